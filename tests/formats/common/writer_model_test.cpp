// SPDX-License-Identifier: MIT
#include <stet/formats/common/writer_model.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::detail::model_of_writer;
using stet_test::outcome;

std::vector<std::byte> bytes_read_of(const stet::tensor& from) {
  std::vector<std::byte> made(static_cast<std::size_t>(from.size_bytes()));
  CHECK(from.read(0, made));
  return made;
}

/// What a source may do.
struct source_case {
  std::size_t size_bytes;
  const char* expected;
};

} // namespace

TEST_SUITE("formats/writer_model") {
  TEST_CASE("a writer is a store of the same tensors as the file that it saves") {
    const std::array<float, 6> kernel{1, 2, 3, 4, 5, 6};
    const std::array<std::string_view, 2> words{"one", "three"};
    const std::array<stet::int4, 3> narrow{stet::int4::from_bits(1), stet::int4::from_bits(7),
                                           stet::int4::from_bits(9)};
    const std::array<bool, 2> flags{true, false};
    stet::writer out;
    out.add("kernel", kernel, {2, 3}, stet::json_value{{"trainable", true}});
    out.add("words", words, {2});
    out.add("narrow", narrow, {3});
    out.add("step", std::int64_t{12});
    out.add("unit", "metre");
    out.add_alias("tied", "kernel");
    out.add_alias("again", "tied");
    const stet::json_value second{{"second_name", true}}, noted{{"note", 1}, {"second_name", true}};
    out.add_alias("k", "kernel", second);
    out.add_alias("k/again", "tied", noted);
    out.add("flags", flags, {2});
    out.add("none", std::span<const double>(), {0, 4}, second); // no alias
    out.add_source("given", stet::element_layout::of(stet::dtype::uint8), {300}, 300,
                   [](stet::piece_sink& sink) -> stet::result<void> {
                     for (int i = 0; i < 3; ++i) {
                       const std::vector<std::byte> piece(100, static_cast<std::byte>(i));
                       if (auto written = sink.write(piece); !written) return written;
                     }
                     return {};
                   });
    out.state = stet::json_value{{"global_step", 12}};
    out.metadata = stet::json_value{{"author", "me"}};
    const auto saved = out.save_to_memory();
    REQUIRE(saved);
    const auto file = stet::open(std::span<const std::byte>(*saved));
    REQUIRE(file);
    const auto made = model_of_writer(out);
    REQUIRE(outcome(made) == "ok");
    if (!made || !file) return;
    CHECK(made->own_count == 10);
    REQUIRE(made->store.tensor_count() == 12);
    CHECK(file->tensor_count() == 12);
    const auto is_k = [](std::string_view name) { return name == "k" || name == "k/again"; };
    auto expected = file->begin();
    for (const stet::tensor each : made->store) {
      CAPTURE(each.name());
      CHECK(made->is_second_name(each) == is_k(each.name()));
      if (made->is_second_name(each)) {
        CHECK(made->store.original_of(each)->name() == "kernel");
        continue;
      }
      while (expected != file->end() && is_k((*expected).name())) ++expected;
      REQUIRE(expected != file->end());
      const stet::tensor same = *expected;
      ++expected;
      CHECK(each.name() == same.name());
      CHECK(each.dtype() == same.dtype());
      CHECK(each.shape() == same.shape());
      CHECK(bool(made->store.original_of(each)) == bool(file->original_of(same)));
      CHECK((bytes_read_of(each) == bytes_read_of(same)));
      CHECK((bytes_read_of(each) == bytes_read_of(same))); // also when it is read again
    }
    while (expected != file->end() && is_k((*expected).name())) ++expected;
    CHECK(expected == file->end());
    CHECK(made->store.find("kernel")->bytes().data() == std::as_bytes(std::span(kernel)).data());
    CHECK(made->described.graphs.empty());
    CHECK(made->described.state["global_step"] == 12);
    CHECK(made->described.metadata["author"] == "me");
    REQUIRE(made->described.tensors.size() == 3);
    CHECK(made->described.tensors[0].name == "kernel");
    CHECK(made->described.tensors[1] == stet::tensor_note{"k/again", {{"note", 1}}});
    CHECK(made->described.tensors[2] == stet::tensor_note{"none", {{"second_name", true}}});
    CHECK(made->is_order_known);
  }

  TEST_CASE("a source that gives too few or too many bytes, or fails, is the error of reading") {
    for (const source_case& each : {source_case{3, "source_too_short"}, source_case{5, "source_too_long"},
                                    source_case{0, "io_error"}, source_case{4, "ok"}}) {
      stet::writer out;
      const std::size_t size = each.size_bytes;
      out.add_source("w", stet::element_layout::of(stet::dtype::uint8), {4}, 4,
                     [size](stet::piece_sink& sink) -> stet::result<void> {
                       if (size == 0) return stet::errc::io_error;
                       return sink.write(std::vector<std::byte>(size));
                     });
      const auto made = model_of_writer(out);
      REQUIRE(made);
      std::array<std::byte, 4> into{};
      CHECK(outcome(made->store.find("w")->read(0, into)) == each.expected);
    }
  }

  TEST_CASE("tensors of open files keep their bytes, offsets and checksums, in memory or not") {
    const stet_test::temp_folder folder;
    const std::vector<float> a(100, 1.5f), b(50, 2.5f);
    stet::writer first;
    first.add("a", a, {100});
    first.add("b", b, {50});
    REQUIRE(first.save(folder.path("m.stet")));
    for (const stet::backing how : {stet::backing::map, stet::backing::stream}) {
      const auto opened = stet::open(folder.path("m.stet"), {.backing = how});
      REQUIRE(opened);
      stet::writer out;
      for (const char* const name : {"b", "a"}) {
        const stet::tensor each = *opened->find(name);
        out.add_opened(std::string("new ") + name, each, [](stet::piece_sink&) -> stet::result<void> {
          return stet::errc::io_error; // not asked
        });
      }
      const auto made = model_of_writer(out);
      REQUIRE(outcome(made) == "ok");
      if (!made) return;
      for (const char* const name : {"a", "b"}) {
        const stet::tensor from = *opened->find(name), to = *made->store.find(std::string("new ") + name);
        CHECK(to.entry().offset_bytes() == from.entry().offset_bytes());
        CHECK(to.entry().crc32c() == from.entry().crc32c());
        CHECK(to.bytes().data() == from.bytes().data());
        CHECK(to.verify_checksum());
        CHECK((bytes_read_of(to) == bytes_read_of(from)));
      }
    }
  }

  TEST_CASE("what cannot be saved is said at once") {
    const std::array<float, 1> value{1};
    stet::writer failed;
    failed.add("", value, {1});
    CHECK(outcome(model_of_writer(failed)) == "bad_name");
    stet::writer twice;
    twice.add("w", value, {1});
    twice.add("w", value, {1});
    CHECK(outcome(model_of_writer(twice)) == "duplicate_name");
    stet::writer odd;
    odd.graph = stet::json_value{{"nodes", 3}};
    CHECK(outcome(model_of_writer(odd)) == "wrong_type");
    stet::writer further;
    further.foreign.further_graphs.push_back(stet::json_value{{"nodes", 3}});
    CHECK(outcome(model_of_writer(further)) == "wrong_type");
  }

  TEST_CASE("an open tensor needs a source, and has to be one") {
    stet::writer out;
    out.add_opened("w", stet::tensor(), [](stet::piece_sink&) { return stet::result<void>(); });
    CHECK(outcome(out.added()) == "invalid_argument");
    CHECK(outcome(out.save_to_memory()) == "invalid_argument");
  }
}
