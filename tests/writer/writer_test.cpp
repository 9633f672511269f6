// SPDX-License-Identifier: MIT
#include "support/allocations.hpp"
#include "support/byte_order.hpp"
#include "support/counted_memory.hpp"
#include "support/faulty_files.hpp"
#include "support/outcome.hpp"
#include "support/sample_model.hpp"
#include "support/temp_folder.hpp"

#include <stet/json.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <csignal>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace {

using stet::dtype;
using stet::element_layout;
using stet::errc;
using stet::json_value;
using stet::save_options;
using stet::store_form;
using stet::writer;
using stet_test::outcome;
using stet_test::pattern;
using stet_test::sample_model;
using stet_test::saved;
using stet_test::temp_folder;
using byte_vector = std::vector<std::byte>;
using names = std::vector<std::string>;

constexpr store_form all_forms[] = {store_form::single_file, store_form::sharded, store_form::loose};

save_options quick(store_form form = store_form::single_file) {
  save_options options;
  options.form = form;
  options.is_durable = false;
  return options;
}

/// Saves in every form and to memory, opens again, and calls `visit` with each store.
template <class Visit> void round_trip(const writer& out, Visit&& visit) {
  const auto memory = out.save_to_memory();
  REQUIRE(memory);
  const auto opened = stet::open(*memory);
  REQUIRE(opened);
  CHECK(stet::verify_store(*opened).is_sound());
  visit(*opened);
  for (const store_form form : all_forms) {
    const temp_folder folder;
    save_options options = quick(form);
    options.max_part_size_bytes = 2000;
    REQUIRE(out.save(folder.path("m.x"), options));
    const auto from_file = stet::open(folder.path("m.x"), {.read_manifest = stet::read_manifest});
    REQUIRE(from_file);
    CHECK(stet::verify_store(*from_file).is_sound());
    visit(*from_file);
  }
}

/// An element whose bits are those of `code`, as far as it has them.
template <class T> T element_from(std::uint64_t code) {
  if constexpr (std::is_same_v<T, bool>) {
    return code % 2 != 0;
  } else if constexpr (requires { T::from_bits(static_cast<std::uint8_t>(code)); }) {
    return T::from_bits(static_cast<decltype(std::declval<T>().bits())>(code));
  } else {
    const std::uint64_t words[] = {code * 0x9E3779B97F4A7C15u, ~code * 0xD6E8FEB86659FD93u};
    T value;
    std::memcpy(&value, words, sizeof value);
    return value;
  }
}

stet::piece_source source_of(std::span<const std::byte> content, std::size_t piece_size) {
  return [content, piece_size](stet::piece_sink& sink) -> stet::result<void> {
    for (std::span<const std::byte> left = content; !left.empty();) {
      const auto piece = left.first(left.size() < piece_size ? left.size() : piece_size);
      if (auto written = sink.write(piece); !written) return written;
      left = left.subspan(piece.size());
    }
    return {};
  };
}

const element_layout byte_layout = element_layout::of(dtype::uint8);

} // namespace

TEST_SUITE("writer/writer") {
  TEST_CASE("every dtype with a C++ type is saved and read back bit for bit") {
    const std::uint8_t one_byte = 1; // so that what follows begins after a gap
    std::size_t dtype_count = 0;
    for (const stet::dtype_description& row : stet::dtype_table) {
      CAPTURE(row.name);
      stet::visit_dtype(row.dtype, [&](auto type) {
        using element = typename decltype(type)::type;
        ++dtype_count;
        for (const std::size_t count : {0u, 1u, 2u, 7u, 8u, 257u}) {
          CAPTURE(count);
          const auto values = std::make_unique<element[]>(count + 1);
          for (std::size_t i = 0; i < count; ++i) values[i] = element_from<element>(i);
          writer out;
          out.add("before", std::span<const std::uint8_t>(&one_byte, 1), {1});
          out.add("t", std::span<const element>(values.get(), count), {count});
          const auto made = out.save_to_memory();
          REQUIRE(made);
          const auto opened = stet::open(*made);
          REQUIRE(opened);
          CHECK(stet::verify_store(*opened, {.thread_count = 1}).is_sound());
          const auto found = opened->find("t");
          REQUIRE(found);
          CHECK(found->dtype() == row.dtype);
          CHECK(found->size_bytes() == (count * row.bits + 7) / 8);
          const auto read = std::make_unique<element[]>(count + 1);
          REQUIRE(found->copy_to(std::span<element>(read.get(), count)));
          CHECK(std::memcmp(read.get(), values.get(), count * sizeof(element)) == 0);
          if (row.bits >= 8) CHECK(stet_test::code_of(found->template as<element>()) == stet_test::view_of(*found));
        }
      });
    }
    CHECK(dtype_count == stet::dtype_count - 2); // all but string and block
  }

  TEST_CASE("strings keep every byte, blocks and unpacked elements their layout") {
    const std::string_view strings[] = {
        "", "a", std::string_view("\0b\0", 3), "\xC3\xA9\xFF", "", std::string_view("c\n\"", 3)};
    const byte_vector blocks = pattern(3 * 144), nibbles = {std::byte{0x07}, std::byte{0x08}, std::byte{0x0F}};
    writer out;
    out.add("strings", strings, {2, 3});
    out.add("no strings", std::span<const std::string_view>(), {0, 3});
    out.add("one string", std::span(strings).first(1), {});
    out.add_bytes("blocks", {dtype::block, 0, {"q4_k", 256, 144}}, {3, 256}, blocks);
    out.add_bytes("other blocks", {dtype::block, 0, {"q8_0", 32, 34}}, {32}, std::span(blocks).first(34));
    out.add_bytes("unpacked", {dtype::int4, 8, {}}, {3}, nibbles);
    round_trip(out, [&](const stet::store& of) {
      const auto found = of.find("strings");
      REQUIRE(found);
      CHECK(found->shape().equals({2, 3}));
      const auto read = found->as_strings();
      REQUIRE(read);
      REQUIRE(read->size() == 6);
      for (std::size_t i = 0; i < 6; ++i) CHECK((*read)[i] == strings[i]);
      CHECK(of.find("no strings")->as_strings()->size() == 0);
      CHECK((*of.find("one string")->as_strings())[0] == "");
      CHECK(of.find("blocks")->layout().block == stet::block_type{"q4_k", 256, 144});
      CHECK(std::ranges::equal(of.find("blocks")->bytes(), blocks));
      CHECK(of.find("other blocks")->layout().block == stet::block_type{"q8_0", 32, 34});
      CHECK(of.find("unpacked")->layout().bits == 8);
      std::vector<stet::int4> integers(3);
      REQUIRE(of.find("unpacked")->copy_to(std::span(integers)));
      CHECK(static_cast<int>(integers[0]) == 7);
      CHECK(static_cast<int>(integers[1]) == -8);
      CHECK(static_cast<int>(integers[2]) == -1);
    });
  }

  TEST_CASE("names, shapes and what is free-form come back exactly") {
    const float one = 1.0f;
    const std::span<const float> scalar(&one, 1);
    const std::vector<std::uint64_t> deep(254, 1);
    const std::string long_name(65535, 'n');
    const char* const odd_names[] = {"\xE3\x83\x86\xE3\x83\xB3\xE3\x82\xBD\xE3\x83\xAB",
                                     "caf\xC3\xA9",
                                     "cafe\xCC\x81",
                                     "../etc/passwd",
                                     "a\"b\\c\n\t\x01\x7F",
                                     "\xF0\x9F\xA6\x86",
                                     " ",
                                     "__metadata__",
                                     "tensors"};
    const json_value attributes = json_value::parse(
        R"({"trainable":false,"quantization":{"scheme":"affine","scales":[0.5],"zero_points":[3]},"z":[1,2.5,null],"a":{"k":"\u0000é"}})",
        nullptr, false);
    writer out;
    out.add("scalar", scalar, {}, attributes);
    out.add("deep", scalar, deep);
    out.add(long_name, scalar, {1});
    for (const char* const name : odd_names) out.add(name, scalar, {1, 1});
    out.add("empty", std::span<const float>(), {0, 1, std::uint64_t{1} << 40});
    out.graph = json_value::parse(R"({"nodes":[{"name":"n","op":"MatMul","inputs":["x","w"]}],"outputs":["n"]})",
                                  nullptr, false);
    out.state = json_value::parse(R"({"global_step":18446744073709551615,"loss":-1e-300,"rng":[-9223372036854775808]})",
                                  nullptr, false);
    out.metadata = json_value::parse(R"({"b":1,"a":{},"text":"\" \\ \n \u2028 😀"})", nullptr, false);
    const json_value extra = json_value::parse(R"({"producer":{"name":"test"},"later":[true]})", nullptr, false);
    out.set_extra(extra);
    round_trip(out, [&](const stet::store& of) {
      CHECK(of.tensor_count() == 4 + std::size(odd_names));
      for (const char* const name : odd_names) CHECK(of.contains(name));
      CHECK(of.contains(long_name));
      CHECK(of.find("scalar")->shape().rank() == 0);
      CHECK(of.find("deep")->shape().equals(deep));
      CHECK(of.find("empty")->shape().equals({0, 1, std::uint64_t{1} << 40}));
      const auto parsed = stet::parse_manifest(of.manifest_text());
      REQUIRE(parsed);
      CHECK(parsed->graph == out.graph);
      CHECK(parsed->state == out.state);
      CHECK(parsed->metadata == out.metadata);
      CHECK(parsed->metadata.text() == out.metadata.text()); // the order of keys, too
      CHECK(parsed->extra == extra);
      CHECK(parsed->tensors[0].attributes == attributes);
      CHECK(parsed->tensors[0].attributes.text() == attributes.dump());
      CHECK(parsed->tensors[1].attributes.empty());
    });
  }

  TEST_CASE("aliases are names of one place, with attributes of their own") {
    const std::vector<float> values(600, 3.0f);
    writer out;
    out.add("a", values, {600}, json_value{{"trainable", true}});
    out.add("other", values, {600});
    out.add_alias("b", "a", json_value{{"trainable", false}});
    out.add_alias("c", "b");
    CHECK(out.tensor_count() == 4);
    writer refused = out;
    CHECK(outcome(refused.add_alias("d", "none").added()) == "not_found");
    CHECK(refused.tensor_count() == 4);
    writer unnamed = out;
    CHECK(outcome(unnamed.add_alias("", "a").added()) == "bad_name");
    CHECK(unnamed.tensor_count() == 4);
    round_trip(out, [&](const stet::store& of) {
      for (const char* const name : {"b", "c"}) {
        const auto alias = of.find(name);
        REQUIRE(alias);
        CHECK(alias->bytes().data() == of.find("a")->bytes().data());
        CHECK(of.original_of(*alias)->name() == "a");
      }
      CHECK(outcome(of.original_of(*of.find("other"))) == "not_found");
      CHECK(stet::verify_store(of).tensors_compared == 2);
    });
  }

  TEST_CASE("elements must be as many as the shape says, also where the bytes would be as many") {
    std::vector<stet::int4> nibbles(4);
    std::vector<float> floats(4);
    const std::string_view strings[] = {"a", "b"};
    const auto refused = [](const writer& out) {
      CHECK(out.tensor_count() == 0);
      return outcome(out.added());
    };
    CHECK(refused(writer().add("t", nibbles, {3})) == "size_mismatch");
    CHECK(refused(writer().add("t", std::span<const stet::int4>(nibbles).first(3), {4})) == "size_mismatch");
    CHECK(refused(writer().add("t", floats, {2, 3})) == "size_mismatch");
    CHECK(refused(writer().add("t", floats, {4, 0})) == "size_mismatch");
    CHECK(refused(writer().add("t", std::span<const float>(), {std::uint64_t{1} << 32, std::uint64_t{1} << 32})) ==
          "bad_shape");
    CHECK(refused(writer().add("t", strings, {3})) == "size_mismatch");
    CHECK(refused(writer().add("t", strings, {})) == "size_mismatch");
    CHECK(refused(writer().add("t", std::span<const std::string_view>(), {0, ~std::uint64_t{0}, 2})) == "bad_shape");
    CHECK(refused(writer().add_bytes("t", byte_layout, {3}, {})) == "size_mismatch");
    CHECK(refused(writer().add_source("t", byte_layout, {3}, 4, source_of({}, 1))) == "size_mismatch");
    CHECK(refused(writer().add_source("t", byte_layout, {3}, 3, nullptr)) == "invalid_argument");
    CHECK(writer().add("t", nibbles, {4}).add("u", floats, {2, 2}).added());
  }

  TEST_CASE("the same name twice is found before anything is written") {
    const temp_folder folder;
    const float one = 1.0f;
    writer out;
    for (const char* const name : {"a", "b", "c", "b"}) out.add(name, std::span<const float>(&one, 1), {1});
    for (const store_form form : all_forms) {
      stet_test::faulty_files watched;
      save_options options = quick(form);
      options.operations = &watched.operations();
      const auto done = out.save(folder.path("m.stet"), options);
      CHECK(outcome(done) == "duplicate_name");
      if (!done) CHECK(done.error().subject() == "b");
      CHECK(std::all_of(watched.calls().begin(), watched.calls().end(), // a look at the path
                        [](const auto& call) { return call.entry == stet_test::file_call::read_link; }));
    }
    CHECK(outcome(out.save_to_memory()) == "duplicate_name");
  }

  TEST_CASE("free-form JSON that no reader would take is refused") {
    const auto code_of = [](auto&& change) {
      const float one = 1.0f;
      writer out;
      json_value attributes;
      change(out, attributes);
      out.add("t", std::span<const float>(&one, 1), {1}, std::move(attributes));
      return outcome(out.save_to_memory());
    };
    json_value deep = 1;
    for (int i = 0; i < 100; ++i) deep = json_value::array({deep});
    CHECK(code_of([](writer&, json_value&) {}) == "ok");
    CHECK(code_of([](writer& out, json_value&) { out.graph = json_value::array(); }) == "wrong_type");
    CHECK(code_of([](writer& out, json_value&) { out.state = json_value(5); }) == "wrong_type");
    CHECK(code_of([](writer& out, json_value&) {
            out.metadata = json_value{{"x", std::numeric_limits<double>::infinity()}};
          }) == "bad_number");
    CHECK(code_of([](writer& out, json_value&) { out.metadata = json_value{{"x", "\xFF"}}; }) == "bad_json");
    CHECK(code_of([&](writer& out, json_value&) { out.metadata = json_value{{"x", deep}}; }) == "too_deep");
    CHECK(code_of([](writer& out, json_value&) { out.set_extra(json_value{{"tensors", 1}}); }) == "duplicate_key");
    CHECK(code_of([](writer&, json_value& attributes) { attributes = {{"dtype", "int8"}}; }) == "duplicate_key");
    CHECK(code_of([](writer&, json_value& attributes) { attributes = json_value::array({1}); }) == "wrong_type");
    CHECK(code_of([](writer&, json_value& attributes) { attributes = {{"trainable", 1}}; }) == "wrong_type");
    CHECK(code_of([](writer&, json_value& attributes) { attributes = {{"quantization", {{"scales", -1}}}}; }) ==
          "bad_quantization");
  }

  TEST_CASE("a source that gives too little, too much or fails leaves the old file and nothing else") {
    const byte_vector content = pattern(700000);
    const sample_model older(1);
    struct bad_source {
      const char* code;
      stet::piece_source source;
    };
    const bad_source cases[] = {
        {"source_too_short", source_of(std::span(content).first(699999), 1000)},
        {"source_too_short", [](stet::piece_sink&) { return stet::result<void>(); }},
        {"source_too_long",
         [&](stet::piece_sink& sink) -> stet::result<void> {
           if (auto written = sink.write(content); !written) return written;
           return sink.write(std::span(content).first(1));
         }},
        {"source_too_long",
         [&](stet::piece_sink& sink) -> stet::result<void> {
           for (int i = 0; i < 3; ++i) (void)sink.write(content); // whoever does not listen
           return {};
         }},
        {"source_failed",
         [&](stet::piece_sink& sink) -> stet::result<void> {
           if (auto written = sink.write(std::span(content).first(300000)); !written) return written;
           return errc::source_failed;
         }},
        {"io_error", [](stet::piece_sink&) -> stet::result<void> { return stet::error(errc::io_error, "my network"); }},
    };
    for (const bad_source& each : cases) {
      const char* const code = each.code;
      CAPTURE(code);
      for (const store_form form : all_forms) {
        const temp_folder folder;
        const std::string path = folder.path("m.stet");
        save_options options = quick(form);
        options.max_part_size_bytes = 9000;
        REQUIRE(older.writer().save(path, options));
        const names before = folder.names();
        writer out = older.writer();
        out.add_source("streamed", byte_layout, {content.size()}, content.size(), each.source);
        const auto done = out.save(path, options);
        CHECK(outcome(done) == code);
        if (!done) CHECK(done.error().subject() == (std::string_view(code) == "io_error" ? "my network" : "streamed"));
        CHECK(folder.names() == before);
        CHECK(stet_test::which_is_at(path, older, older) == saved::older);
        CHECK(outcome(out.save_to_memory()) == code);
      }
    }
  }

#if defined(__cpp_exceptions)
  TEST_CASE("a source that throws leaves nothing behind, and the exception is its caller's") {
    const temp_folder folder;
    const byte_vector content = pattern(2000000);
    for (const store_form form : all_forms) {
      writer out;
      save_options options = quick(form);
      options.max_part_size_bytes = 1000;
      out.add_bytes("whole", byte_layout, {1000}, std::span(content).first(1000));
      out.add_source("thrown", byte_layout, {content.size()}, content.size(),
                     [&](stet::piece_sink& sink) -> stet::result<void> {
                       if (auto written = sink.write(std::span(content).first(1500000)); !written) return written;
                       throw 42;
                     });
      CHECK_THROWS_AS((void)out.save(folder.path("m.stet"), options), int);
      CHECK(folder.names().empty());
    }
  }
#endif

  TEST_CASE("a writer saves several times, and sources are called each time") {
    const byte_vector content = pattern(5000);
    int calls = 0;
    writer out;
    out.add_source("t", byte_layout, {5000}, 5000,
                   [&](stet::piece_sink& sink) { return ++calls, sink.write(content); });
    const auto first = out.save_to_memory(), second = out.save_to_memory();
    REQUIRE(first);
    REQUIRE(second);
    CHECK(*first == *second);
    CHECK(calls == 2);
  }

  TEST_CASE("tensors of an open store are saved again as they are, also those that are not in memory") {
    const temp_folder folder;
    const sample_model model(1);
    const std::string path = folder.path("m.stet");
    REQUIRE(model.writer().save(path, quick()));
    for (const stet::backing backing : {stet::backing::map, stet::backing::stream}) {
      stet::open_options how;
      how.backing = backing;
      const auto opened = stet::open(path, how);
      REQUIRE(opened);
      writer out;
      for (const stet::tensor each : *opened) out.add(each.name(), each);
      const auto made = out.save_to_memory();
      REQUIRE(made);
      const auto again = stet::open(*made);
      REQUIRE(again);
      CHECK(model.is_in(*again));
      for (const stet::tensor each : *again)
        CHECK(each.entry().crc32c() == opened->find(each.name())->entry().crc32c());
    }
  }

  TEST_CASE("a tensor of an open store may have a source of its own, which gives what is saved") {
    const std::vector<float> values{1, 2, 3};
    stet::writer first;
    first.add("w", values, {3});
    const auto bytes = first.save_to_memory();
    REQUIRE(bytes);
    const auto opened = stet::open(std::span<const std::byte>(*bytes));
    REQUIRE(opened);
    const std::vector<float> others{4, 5, 6};
    stet::writer out;
    out.foreign.is_order_known = false; // which a store does not have
    out.add_opened("again", *opened->find("w"),
                   [&](stet::piece_sink& sink) { return sink.write(std::as_bytes(std::span(others))); });
    const auto again = out.save_to_memory();
    REQUIRE(again);
    const auto reopened = stet::open(std::span<const std::byte>(*again));
    REQUIRE(reopened);
    CHECK(reopened->tensor_count() == 1);
    std::vector<float> read(3);
    CHECK(reopened->find("again")->copy_to(std::span(read)));
    const bool host_is_little = std::endian::native == std::endian::little;
    if (host_is_little) CHECK((read == others));

    stet::writer none, unnamed;
    CHECK(stet_test::outcome(none.add_opened("w", *opened->find("w"), nullptr).added()) == "invalid_argument");
    CHECK(stet_test::outcome(none.save_to_memory()) == "invalid_argument");
    CHECK(stet_test::outcome(
              unnamed.add_opened("", *opened->find("w"), [](stet::piece_sink&) { return stet::result<void>(); })
                  .added()) == "bad_name");
    CHECK(unnamed.tensor_count() == 0);
  }

  TEST_CASE("random stores come back whole") {
    std::uint64_t state = 1;
    const auto below = [&state](std::uint64_t limit) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return (state >> 33) % limit;
    };
    const byte_vector content = pattern(20000);
    for (int round = 0; round < 60; ++round) {
      CAPTURE(round);
      writer out;
      const std::uint64_t count = below(40);
      for (std::uint64_t number = 0; number < count; ++number) {
        const std::string name = "tensor " + std::to_string(number);
        if (number != 0 && below(6) == 0) {
          out.add_alias(name, "tensor " + std::to_string(below(number)));
          continue;
        }
        const std::uint64_t size = below(3) == 0 ? below(3000) : below(40);
        const auto piece = std::span<const std::byte>(content).subspan(static_cast<std::size_t>(below(50)),
                                                                       static_cast<std::size_t>(size));
        const bool streams = below(2) == 0;
        if (streams)
          out.add_source(name, byte_layout, {size}, size, source_of(piece, 1 + static_cast<std::size_t>(below(500))));
        else
          out.add_bytes(name, byte_layout, {size}, piece);
      }
      save_options options = quick(all_forms[round % 3]);
      options.alignment_bytes = 1u << below(13);
      options.max_part_size_bytes = 500 + below(5000);
      options.deduplicate = below(2) == 0;
      const temp_folder folder;
      REQUIRE(out.save(folder.path("m.x"), options));
      const auto opened = stet::open(folder.path("m.x"), {.read_manifest = stet::read_manifest});
      REQUIRE(opened);
      CHECK(opened->tensor_count() == count);
      CHECK(stet::verify_store(*opened, {.thread_count = 1}).is_sound());
      const auto memory = out.save_to_memory(options);
      REQUIRE(memory);
      const auto single = stet::open(*memory);
      REQUIRE(single);
      for (const stet::tensor each : *single)
        CHECK(std::ranges::equal(each.bytes(), opened->find(each.name())->bytes()));
    }
  }

  // ---- files ----

  TEST_CASE("saving over a mapped store leaves its views as they were") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    const sample_model older(1), newer(2);
    for (const store_form form : {store_form::single_file, store_form::sharded}) {
      save_options options = quick(form);
      REQUIRE(older.writer().save(path, options));
      const auto mapped = stet::open(path);
      REQUIRE(mapped);
      REQUIRE(newer.writer().save(path, options));
      CHECK(older.is_in(*mapped));
      const auto reopened = stet::open(path);
      REQUIRE(reopened);
      CHECK(newer.is_in(*reopened));
      // And from the mapped store onto itself.
      writer out;
      for (const stet::tensor each : *reopened) out.add(each.name(), each);
      REQUIRE(out.save(path, options));
      CHECK(newer.is_in(*reopened));
      CHECK(stet_test::which_is_at(path, older, newer) == saved::newer);
    }
  }

  TEST_CASE("paths that cannot be saved to are errors, and nothing is left") {
    const temp_folder folder;
    const sample_model model(1);
    const writer out = model.writer();
    std::filesystem::create_directory(stet_test::to_path(folder.path("folder")));
    std::filesystem::create_directory(stet_test::to_path(folder.path("folder/inner")));
    const std::string nul("m\0.stet", 7);
    for (const store_form form : all_forms) {
      const auto code_for = [&](const std::string& path) { return outcome(out.save(path, quick(form))); };
      CHECK(code_for("") == "bad_path");
      CHECK(code_for(folder.path() + "/") == "bad_path");
      CHECK(code_for(folder.path() + "/.") == "bad_path");
      CHECK(code_for(folder.path() + "/..") == "bad_path");
      CHECK(code_for(folder.path(nul)) == "bad_path");
      CHECK(code_for(folder.path("none/m.stet")) == "file_not_found");
      CHECK(code_for(folder.path("folder")) != "ok"); // the system's own words differ
      CHECK(folder.names() == names{"folder"});
      CHECK(std::filesystem::is_directory(stet_test::to_path(folder.path("folder/inner"))));
    }
#if !defined(_WIN32)
    // Parts would be called after it, and no reader takes such parts.
    for (const char* const name : {"a:b.stet", "a\\b.stet", "a\nb.stet", "\xFF.stet"}) {
      CHECK(outcome(out.save(folder.path() + "/" + name, quick(store_form::sharded))) == "bad_path");
    }
    CHECK(folder.names() == names{"folder"});
#endif
  }

  TEST_CASE("names of files may be in any language, and the folder may be the current one") {
    const temp_folder folder;
    const sample_model model(1);
    for (const store_form form : all_forms) {
      const std::string path = folder.path("\xE3\x83\xA2\xE3\x83\x87\xE3\x83\xAB \xC3\xA9.stet");
      REQUIRE(model.writer().save(path, quick(form)));
      CHECK(stet_test::which_is_at(path, model, model) == saved::older);
    }
    const std::string local = std::filesystem::path(stet_test::to_path(folder.path())).filename().string() + ".stet";
    REQUIRE(model.writer().save(local)); // in the folder that the tests run in
    CHECK(stet_test::which_is_at(local, model, model) == saved::older);
    std::filesystem::remove(local);
  }

#if defined(__linux__)
  TEST_CASE("a folder that may not be written to is an error") {
    const temp_folder folder;
    const sample_model model(1);
    const std::string path = folder.path("m.stet");
    REQUIRE(model.writer().save(path, quick()));
    std::filesystem::permissions(stet_test::to_path(folder.path()),
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    if (::geteuid() == 0) {
      MESSAGE("skipped: root may write everywhere");
    } else {
      CHECK(outcome(sample_model(2).writer().save(path, quick())) == "access_denied");
      CHECK(stet_test::which_is_at(path, model, model) == saved::older);
    }
    std::filesystem::permissions(stet_test::to_path(folder.path()), std::filesystem::perms::owner_all);
  }

  TEST_CASE("a file larger than the process may write is an error, and the old one stays") {
    const temp_folder folder;
    const sample_model older(1);
    const std::string path = folder.path("m.stet");
    REQUIRE(older.writer().save(path, quick()));
    const names before = folder.names();
    const byte_vector content = pattern(4000000);
    struct rlimit unlimited;
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
    struct rlimit limited = unlimited;
    limited.rlim_cur = 1000000;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    for (const store_form form : all_forms) {
      writer out;
      int calls = 0;
      out.add_source("t", byte_layout, {content.size()}, content.size(),
                     [&](stet::piece_sink& sink) { return ++calls, sink.write(content); });
      REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
      const auto done = out.save(path, quick(form));
      REQUIRE(::setrlimit(RLIMIT_FSIZE, &unlimited) == 0);
      CHECK_FALSE(done);
      CHECK(calls == 0); // found when the space was reserved
      CHECK(folder.names() == before);
    }
    std::signal(SIGXFSZ, handler);
    CHECK(stet_test::which_is_at(path, older, older) == saved::older);
  }

  TEST_CASE("a full disk is found before a source is called, and leaves the old store") {
    const temp_folder folder;
    if (::geteuid() != 0 || ::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
      MESSAGE("skipped: no small disk can be mounted here");
      return;
    }
    {
      const sample_model older(1);
      const std::string path = folder.path("m.stet");
      CHECK(older.writer().save(path));
      const names before = folder.names();
      const byte_vector content = pattern(2000000);
      for (const store_form form : all_forms) {
        int calls = 0;
        writer out;
        out.add_source("t", byte_layout, {content.size()}, content.size(),
                       [&](stet::piece_sink& sink) { return ++calls, sink.write(content); });
        CHECK(outcome(out.save(path, quick(form))) == "no_space");
        CHECK(calls == 0);
        CHECK(folder.names() == before);
      }
      // The second part is what does not fit: the first goes again.
      writer out;
      out.add_bytes("a", byte_layout, {700000}, std::span(content).first(700000));
      out.add_bytes("b", byte_layout, {700000}, std::span(content).first(700000));
      save_options options = quick(store_form::sharded);
      options.max_part_size_bytes = 800000;
      CHECK(outcome(out.save(path, options)) == "no_space");
      CHECK(folder.names() == before);
      CHECK(stet_test::which_is_at(path, older, older) == saved::older);
    }
    CHECK(::umount2(folder.path().c_str(), MNT_DETACH) == 0);
  }
#endif

  TEST_CASE("several threads save to one path while others read: each sees a whole store") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    const sample_model older(1), newer(2);
    REQUIRE(older.writer().save(path, quick()));
    std::atomic<int> bad{0}, reads{0}, running{2};
    std::vector<std::thread> threads;
    for (const sample_model* const model : {&older, &newer}) {
      threads.emplace_back([&, out = model->writer()] {
        for (int i = 0; i < 40; ++i) {
          const auto done = out.save(path, quick());
          bad += done || stet_test::is_of_replacing(done.error()) ? 0 : 1;
        }
        --running;
      });
    }
    threads.emplace_back([&] {
      do {
        const auto opened = stet::open(path, {.read_manifest = stet::read_manifest});
        const bool is_fine =
            opened ? older.is_in(*opened) || newer.is_in(*opened) : stet_test::is_of_replacing(opened.error());
        bad += is_fine ? 0 : 1;
        ++reads;
      } while (running != 0);
    });
    for (std::thread& thread : threads) thread.join();
    CHECK(bad == 0);
    CHECK(reads > 0);
    for (const std::string& name : folder.names())
      CHECK((name == "m.stet" ||
             name.starts_with("m.stet.stet-old-"))); // the latter where a mapped file cannot be removed
    CHECK(stet_test::which_is_at(path, older, newer) != saved::neither);
  }

  // ---- memory ----

  TEST_CASE("saving a large streamed tensor takes little memory") {
    constexpr std::size_t size = std::size_t{64} << 20;
    const temp_folder folder;
    const byte_vector piece = pattern(100000);
    writer out;
    out.add_source("t", byte_layout, {size}, size, [&](stet::piece_sink& sink) -> stet::result<void> {
      for (std::size_t left = size; left != 0;) {
        const std::size_t count = left < piece.size() ? left : piece.size();
        if (auto written = sink.write(std::span(piece).first(count)); !written) return written;
        left -= count;
      }
      return {};
    });
    for (const store_form form : all_forms) {
      const stet_test::allocations seen;
      const auto done = out.save(folder.path("m.x"), quick(form));
      const std::uint64_t allocated = seen.bytes(); // all of it, also what was given back meanwhile
      REQUIRE(done);
      CHECK(done->tensor_size_bytes == size);
      CHECK(allocated < (std::uint64_t{8} << 20));
      CHECK(allocated > 0);
    }
    // The same from a tensor that is fetched on demand.
    stet::open_options options;
    options.backing = stet::backing::stream;
    options.read_manifest = stet::read_manifest;
    const auto opened = stet::open(folder.path("m.x"), options);
    REQUIRE(opened);
    writer copy;
    copy.add("t", *opened->find("t"));
    const stet_test::allocations seen;
    REQUIRE(copy.save(folder.path("copy.stet"), quick()));
    CHECK(seen.bytes() < (std::uint64_t{8} << 20));
  }

  TEST_CASE("a failed add cannot be forgotten: every save after it fails with its error") {
    const std::vector<float> values(6);
    stet::writer out;
    out.add("kernel", values, {2, 3});
    CHECK(outcome(out.add("bias", values, {4}).added()) == "size_mismatch");
    const auto saved = out.save_to_memory();
    REQUIRE_FALSE(saved);
    if (saved) return;
    CHECK(saved.error().code() == stet::errc::size_mismatch);
    CHECK(saved.error().subject() == "bias");
  }

  TEST_CASE("a span of fixed extent is added as any other") {
    const float values[6] = {};
    stet::writer out;
    out.add("kernel", values, {2, 3});
    CHECK(out.save_to_memory());
  }

  TEST_CASE("through an output of the program come the bytes of a file, in memory of the program") {
    const sample_model model(1);
    const stet::writer out = model.writer();
    const auto whole = out.save_to_memory();
    REQUIRE(whole);
    if (!whole) return;
    /// Takes bytes, and fails at a certain call.
    class program_output final : public stet::byte_writer {
    public:
      explicit program_output(std::size_t size, int calls_left = -1) : bytes(size), calls_left_(calls_left) {}
      std::vector<std::byte> bytes;
      std::uint64_t taken = 0;
      stet::result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> piece) override {
        if (calls_left_ == 0) return stet::error(errc::no_space, "disc");
        --calls_left_;
        taken += piece.size();
        if (!stet::detail::range_fits(offset_bytes, piece.size(), bytes.size())) return errc::bad_range;
        if (!piece.empty())
          std::memcpy(bytes.data() + static_cast<std::size_t>(offset_bytes), piece.data(), piece.size());
        return {};
      }

    private:
      int calls_left_;
    };
    stet_test::counted_memory memory;
    save_options options;
    options.memory = &memory;
    options.form = store_form::sharded; // which concerns files, and is passed over
    program_output to(whole->size());
    const auto saved_so = out.save_to(to, options);
    REQUIRE(outcome(saved_so) == "ok");
    if (!saved_so) return;
    CHECK(saved_so->file_size_bytes == whole->size());
    CHECK(to.bytes == *whole);
    CHECK(to.taken <= whole->size()); // no byte twice
    CHECK(memory.count() == 2);       // index and buffer
    CHECK(memory.live() == 0);
    CHECK(memory.is_sound());
    bool has_saved = false;
    for (int calls = 0; !has_saved && calls < 20; ++calls) {
      program_output failing(whole->size(), calls);
      const auto done = out.save_to(failing);
      has_saved = static_cast<bool>(done);
      CHECK(outcome(done) == (has_saved ? "ok" : "no_space"));
    }
    CHECK(has_saved);
    for (std::uint64_t fails_at = 0; fails_at < 2; ++fails_at) {
      stet_test::counted_memory none(fails_at);
      options.memory = &none;
      CHECK(outcome(out.save_to(to, options)) == "out_of_memory");
      CHECK(outcome(out.save_to_memory(options)) == "out_of_memory");
      CHECK(none.live() == 0);
      const temp_folder folder;
      CHECK(outcome(out.save(folder.path("m.stet"), options)) == "out_of_memory");
      CHECK(folder.names().empty());
    }
  }
}

namespace {

/// Whether `add` takes these arguments behind a name.
template <class... Arguments>
concept can_add =
    requires(writer out, Arguments&&... arguments) { out.add("x", std::forward<Arguments>(arguments)...); };

// Borrowed: what the caller keeps, or a view of it.
static_assert(can_add<std::vector<float>&> && can_add<const std::vector<float>&>);
static_assert(can_add<std::span<const float>> && can_add<std::span<float, 3>> && can_add<stet::view<const float, 3>>);
static_assert(can_add<std::span<const std::string_view>> && can_add<std::vector<std::string>&>);
static_assert(can_add<std::array<bool, 2>&> && can_add<float (&)[3]> && can_add<std::initializer_list<float>&>);
// What would end with the call, and what has no elements in a row.
static_assert(!can_add<std::vector<float>> && !can_add<const std::vector<float>> && !can_add<std::array<float, 3>>);
static_assert(!can_add<std::initializer_list<float>> && !can_add<float (&&)[3]>);
static_assert(!can_add<std::vector<std::string>> && !can_add<std::array<const char*, 2>>);
static_assert(!can_add<std::vector<float>, stet::extents> && !can_add<std::vector<float>, std::vector<int>&>);
static_assert(!can_add<std::vector<bool>&> && !can_add<std::vector<bool>> && !can_add<const std::vector<bool>&>);
static_assert(!can_add<std::list<float>&> && !can_add<std::vector<char>&> && !can_add<std::vector<std::byte>&>);
// Values: elements and strings.
static_assert(can_add<float> && can_add<int> && can_add<long long> && can_add<unsigned long> && can_add<bool>);
static_assert(can_add<const char*> && can_add<std::string> && can_add<std::string_view> && can_add<decltype("x")>);
static_assert(!can_add<char> && !can_add<std::byte> && !can_add<std::nullptr_t> && !can_add<float*>);
static_assert(!can_add<json_value> && !can_add<stet::json_text> && !can_add<std::vector<float>*>);
// `{}` is neither a tensor nor a value, and a shape is no number and no text.
template <class Value>
concept can_add_braces = requires(writer out, Value value) { out.add("x", {}, value); };
static_assert(!can_add_braces<float> && !can_add_braces<std::string> && !can_add_braces<std::vector<float>&>);
template <class Writer>
concept takes_braces = requires(Writer out) { out.add("x", {}); } || requires(Writer out) { out.add("x", {}, {}); };
static_assert(!can_add_braces<json_value> && !takes_braces<writer>);
static_assert(!can_add<float, int> && !can_add<float, std::string> && !can_add<float, json_value>);
static_assert(can_add<stet::tensor> && can_add<stet::tensor&, json_value> && !can_add<stet::tensor, stet::extents>);
// A name is no null pointer.
template <class Writer>
concept takes_null_name = requires(Writer out) { out.add(nullptr, 1.5f); };
static_assert(!takes_null_name<writer>);
// Bytes are borrowed, too.
template <class Bytes>
concept can_add_bytes =
    requires(writer out, Bytes&& bytes) { out.add_bytes("x", byte_layout, {1}, std::forward<Bytes>(bytes)); };
static_assert(can_add_bytes<byte_vector&> && can_add_bytes<std::span<const std::byte>> && !can_add_bytes<byte_vector>);

/// A saved writer, open.
class reopened {
public:
  explicit reopened(const writer& out) : bytes_(*out.save_to_memory()), store_(stet::open(bytes_)) {}
  [[nodiscard]] const stet::store& operator*() const { return *store_; }
  [[nodiscard]] stet::tensor operator[](std::string_view name) const { return *store_->find(name); }
  [[nodiscard]] bool has_shape(std::string_view name, const std::vector<std::uint64_t>& shape) const {
    return (*this)[name].shape().equals(shape);
  }

private:
  byte_vector bytes_;
  stet::result<stet::store> store_;
};

} // namespace

TEST_SUITE("writer/calls") {
  TEST_CASE("calls follow one another") {
    const std::vector<float> kernel(784 * 10, 0.5f);
    writer out;
    const writer* const added =
        &out.add("dense/kernel", kernel, {784, 10}).add("step", 1200).add("name", "digits").add_alias("tied", "step");
    CHECK(added == &out);
    const reopened all(out);
    CHECK((*all).tensor_count() == 4);
    CHECK(all.has_shape("dense/kernel", {784, 10}));
    CHECK(stet_test::elements_of<float>(all["dense/kernel"]) == kernel);
    CHECK(stet_test::elements_of<std::int32_t>(all["step"]) == std::vector{1200});
    CHECK(all.has_shape("step", {}));
    CHECK((*all["name"].as_strings())[0] == "digits");
    CHECK(all.has_shape("name", {}));
  }

  TEST_CASE("any range of elements in a row is taken") {
    const std::array<std::int16_t, 3> array{1, 2, 3};
    std::vector<long long> wide{std::int64_t{1} << 40, -1};
    const unsigned long long large[] = {~std::uint64_t{0}};
    const std::array<bool, 2> flags{true, false};
    const float numbers[6] = {1, 2, 3, 4, 5, 6};
    const std::size_t sizes[] = {2, 3};
    const stet::view<const float, 2, stet::dynamic> view(numbers, sizes);
    const std::initializer_list<double> list = {0.5, 0.25};
    writer out;
    out.add("array", array).add("wide", wide, {2, 1}).add("large", large).add("flags", flags).add("list", list);
    out.add("view", view).add("row", view[1]).add("flat", view, {6}).add("span", std::span(numbers).first(2));
    out.add("scalar", std::span(numbers).first(1), {}).add("empty", std::span<float>());
    const reopened all(out);
    CHECK(stet_test::elements_of<std::int16_t>(all["array"]) == std::vector<std::int16_t>{1, 2, 3});
    CHECK(all.has_shape("array", {3}));
    CHECK(all["wide"].dtype() == dtype::int64);
    CHECK(stet_test::elements_of<std::int64_t>(all["wide"]) == std::vector<std::int64_t>{std::int64_t{1} << 40, -1});
    CHECK(all.has_shape("wide", {2, 1}));
    CHECK(all["large"].dtype() == dtype::uint64);
    CHECK(stet_test::elements_of<std::uint64_t>(all["large"]) == std::vector{~std::uint64_t{0}});
    CHECK(all["flags"].dtype() == dtype::boolean);
    CHECK(stet_test::elements_of<double>(all["list"]) == std::vector{0.5, 0.25});
    CHECK(all.has_shape("view", {2, 3}));
    CHECK(all.has_shape("row", {3}));
    CHECK(stet_test::elements_of<float>(all["row"]) == std::vector<float>{4, 5, 6});
    CHECK(all.has_shape("flat", {6}));
    CHECK(all.has_shape("span", {2}));
    CHECK(all.has_shape("scalar", {}));
    CHECK(all.has_shape("empty", {0}));
  }

  TEST_CASE("ranges of strings are borrowed string tensors, whatever their strings are") {
    std::vector<std::string> owned{"a", "", std::string("\0x", 2)};
    const std::string_view viewed[] = {"b", "c"};
    const char* const pointers[] = {"one", "two"};
    const char arrays[3][4] = {{'f', 'u', 'l', 'l'}, {'x', '\0', 'y', '\0'}, {}};
    writer out;
    out.add("owned", owned, {1, 3}).add("viewed", viewed).add("pointers", pointers).add("arrays", arrays);
    owned[0] = "z"; // borrowed, and of the same size
    const reopened all(out);
    const auto strings_of = [&](std::string_view name) {
      const auto read = all[name].as_strings();
      names made;
      for (std::size_t i = 0; read && i < read->size(); ++i) made.emplace_back((*read)[i]);
      return made;
    };
    CHECK(all.has_shape("owned", {1, 3}));
    CHECK(strings_of("owned") == names{"z", "", std::string("\0x", 2)});
    CHECK(all.has_shape("viewed", {2}));
    CHECK(strings_of("viewed") == names{"b", "c"});
    CHECK(strings_of("pointers") == names{"one", "two"});
    CHECK(strings_of("arrays") == names{"full", "x", ""});
  }

  TEST_CASE("strings and elements by value are copied") {
    writer out;
    {
      std::string text = "temporary and too long to be stored inside the string itself";
      int number = 7;
      const char letters[3] = {'a', 'b', 'c'}; // without a NUL
      out.add("text", text).add("number", number).add("letters", letters);
      text.assign(text.size(), '?');
      number = 0;
    }
    const reopened all(out);
    CHECK((*all["text"].as_strings())[0] == "temporary and too long to be stored inside the string itself");
    CHECK(stet_test::elements_of<std::int32_t>(all["number"]) == std::vector{7});
    CHECK((*all["letters"].as_strings())[0] == "abc");
  }

  TEST_CASE("shapes of any integer type") {
    const std::vector<float> values(6);
    const int n = 2;
    writer out;
    out.add("int", values, {n, 3}).add("signed", values, std::vector<std::int64_t>{3, 2});
    out.add("ints", values, std::vector<int>{1, 6}).add("array", values, std::array<std::uint8_t, 1>{6});
    const reopened first(out);
    writer again;
    again.add("tensor", values, first["int"].shape());
    again.add_bytes("bytes", byte_layout, {n}, std::as_bytes(std::span(values)).first(2));
    again.add_source("source", byte_layout, first["array"].shape(), 6,
                     source_of(std::as_bytes(std::span(values)).first(6), 4));
    const reopened second(again);
    CHECK(first.has_shape("int", {2, 3}));
    CHECK(first.has_shape("signed", {3, 2}));
    CHECK(first.has_shape("ints", {1, 6}));
    CHECK(first.has_shape("array", {6}));
    CHECK(second.has_shape("tensor", {2, 3}));
    CHECK(second.has_shape("bytes", {2}));
    CHECK(second.has_shape("source", {6}));
  }

  TEST_CASE("a negative extent is a bad shape of the tensor, in every add") {
    const std::vector<float> values(6);
    const std::string_view strings[] = {"a"};
    const auto refused = [](const writer& out) {
      const auto added = out.added();
      CHECK(outcome(out.save_to_memory()) == outcome(added));
      return added ? std::string("ok") : outcome(added) + " " + std::string(added.error().subject());
    };
    const std::vector<std::int64_t> negative{-2, -3};
    CHECK(refused(writer().add("t", values, negative)) == "bad_shape t");
    CHECK(refused(writer().add("t", values, {6, -1})) == "bad_shape t");
    CHECK(refused(writer().add("t", 1.5f, {-1})) == "bad_shape t");
    CHECK(refused(writer().add("t", "text", {-1})) == "bad_shape t");
    CHECK(refused(writer().add("t", strings, {-1, -1})) == "bad_shape t");
    CHECK(refused(writer().add("t", std::span<const stet::uint2>(), {-4})) == "bad_shape t");
    CHECK(refused(writer().add_bytes("t", byte_layout, {-1}, {})) == "bad_shape t");
    CHECK(refused(writer().add_bytes("t", element_layout::of(dtype::uint2), negative, {})) == "bad_shape t");
    CHECK(refused(writer().add_source("t", byte_layout, {0, -1}, 0, source_of({}, 1))) == "bad_shape t");
    CHECK(refused(writer().add("t", values, std::vector<int>(255, 1))) == "bad_shape t");
  }

  TEST_CASE("a null pointer for a string is an error") {
    const char* const null = nullptr;
    const char* const strings[] = {"a", nullptr};
    CHECK(outcome(writer().add("t", null).added()) == "invalid_argument");
    CHECK(outcome(writer().add("t", strings).added()) == "invalid_argument");
  }

  TEST_CASE("the first failure is the one that is told, and later tensors are added all the same") {
    const std::vector<float> values(6);
    writer out;
    out.add("first", values, {5}).add("", values).add("good", values);
    const auto added = out.added();
    REQUIRE_FALSE(added);
    CHECK(added.error().code() == errc::size_mismatch);
    CHECK(added.error().subject() == "first");
    CHECK(out.tensor_count() == 1);
  }
}

TEST_SUITE("writer/values and limits") {
  TEST_CASE("the head of a sharded checkpoint is a header and a manifest, byte for byte") {
    stet::shard_reference shards[] = {{"c-00000-of-00002-01234567.stet", {}}, {"c-00001-of-00002-89abcdef.stet", {}}};
    for (std::byte& each : shards[0].digest.bytes) each = std::byte{0x11};
    for (std::byte& each : shards[1].digest.bytes) each = std::byte{0xAB};
    writer head;
    head.state = stet::json_text(R"({"global_step":7})");
    head.set_shards(shards).set_extra(stet::json_text(R"( { "more" : 1 } )"));
    const std::string_view header = "89535445540d0a1a010000000100000000020000000000008000000040000000"
                                    "80000000000000006b0100000000000000000000000000000000000000000000"
                                    "000200000000000000000000000000005c29b660000000000000000000000000"
                                    "000000000000000000000000000000000000000000000000000000007d2d84df";
    const std::string manifest =
        "{\"stet\":{\"version\":1,\"minimum_reader\":1},\n\"alignment_bytes\":64,\n\"tensors\":{\n},\n"
        "\"state\":{\"global_step\":7},\n"
        "\"shards\":[{\"file\":\"c-00000-of-00002-01234567.stet\",\"sha256\":"
        "\"1111111111111111111111111111111111111111111111111111111111111111\"},"
        "{\"file\":\"c-00001-of-00002-89abcdef.stet\",\"sha256\":"
        "\"abababababababababababababababababababababababababababababababab\"}],\"more\":1}\n";
    byte_vector expected;
    for (std::size_t i = 0; i < header.size(); i += 2)
      expected.push_back(static_cast<std::byte>(std::stoi(std::string(header.substr(i, 2)), nullptr, 16)));
    for (const char c : manifest) expected.push_back(static_cast<std::byte>(c));
    expected.resize(512); // up to the alignment
    const auto in_memory = head.save_to_memory();
    REQUIRE(outcome(in_memory) == "ok");
    CHECK(*in_memory == expected);
    // The options of parts and forms do not concern it.
    for (const store_form form : all_forms) {
      const temp_folder folder;
      save_options options;
      options.form = form;
      const auto report = head.save(folder.path("c.stet"), options);
      REQUIRE(outcome(report) == "ok");
      CHECK(report->file_size_bytes == 512);
      CHECK(report->part_count == 0);
      CHECK(folder.read("c.stet") == expected);
      CHECK(folder.names() == names{"c.stet"});
    }
  }

  TEST_CASE("a head has shards with names, and no tensors") {
    const auto save = [](const std::vector<stet::shard_reference>& shards, bool with_tensor = false) {
      writer head;
      head.set_shards(shards);
      if (with_tensor) head.add("a", 1);
      return outcome(head.save_to_memory());
    };
    CHECK(save({{"a", {}}}) == "ok");
    CHECK(save({{"a", {}}}, true) == "invalid_argument");
    CHECK(save({}) == "missing_part");
    CHECK(save({{"a", {}}, {"b", {}}, {"a", {}}}) == "duplicate_part");
    for (const char* const path : {"", "../a", "a/b", "C:a", "a\nb", "a."}) CHECK(save({{path, {}}}) == "bad_path");
    std::vector<stet::shard_reference> many;
    for (std::size_t i = 0; i < stet::max_shard_count; ++i) many.push_back({std::to_string(i), {}});
    CHECK(save(many) == "ok");
    many.push_back({"more", {}});
    CHECK(save(many) == "too_large");
    writer head;
    head.set_shards(std::span(many).first(2));
    CHECK(outcome(head.added()) == "invalid_argument"); // other formats have no shards
    head.set_extra(stet::json_text(R"({"shards":[]})"));
    CHECK(outcome(head.save_to_memory()) == "duplicate_key");
    head.set_extra(stet::json_text("[]"));
    CHECK(outcome(head.save_to_memory()) == "wrong_type");
    head.set_extra(stet::json_text(" {} "));
    CHECK(outcome(head.save_to_memory()) == "ok");
  }

  TEST_CASE("values of one element are added by value") {
    std::vector<std::byte> bytes;
    {
      writer out;
      out.add("step", 1.5f);
      out.add("epoch", std::int64_t{7}, {1, 1}, json_value{{"trainable", false}});
      out.add("flag", true);
      out.add("x", std::string("hi"));
      out.add("y", "there", {1});
      out.add("z", std::string_view());
      auto saved = out.save_to_memory();
      REQUIRE(saved);
      bytes = *saved;
    }
    const auto opened = stet::open(bytes);
    REQUIRE(opened);
    CHECK(stet_test::elements_of<float>(opened->find("step")) == std::vector{1.5f});
    CHECK(stet_test::elements_of<std::int64_t>(opened->find("epoch")) == std::vector<std::int64_t>{7});
    CHECK(opened->find("epoch")->shape().rank() == 2);
    CHECK((*opened->find("flag")->as<bool>())[0]);
    CHECK((*opened->find("x")->as_strings())[0] == "hi");
    CHECK((*opened->find("y")->as_strings())[0] == "there");
    CHECK((*opened->find("z")->as_strings())[0] == "");
  }

  TEST_CASE("a value for a shape of more elements, and no tensor, are errors") {
    writer out;
    CHECK(stet_test::outcome(out.add("a", 1.5f, {2}).added()) == "size_mismatch");
    CHECK(stet_test::outcome(stet::writer().add("a", "text", {0}).added()) == "size_mismatch");
    CHECK(stet_test::outcome(stet::writer().add("b", stet::tensor()).added()) == "invalid_argument");
    const char* const null = nullptr;
    CHECK(stet_test::outcome(stet::writer().add("c", null).added()) == "invalid_argument");
    CHECK(stet_test::outcome(out.save_to_memory()) == "size_mismatch");
  }

  TEST_CASE("a manifest that readers refuse is not written, in any form") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("model.stet", std::string_view("old"));
    // The text of a control character is six times its size.
    for (const std::string& large :
         {std::string(std::size_t{65} << 20, 'x'), std::string(std::size_t{12} << 20, '\x01')}) {
      writer out;
      out.metadata = json_value{{"user", large}};
      for (const store_form form : {store_form::single_file, store_form::sharded, store_form::loose}) {
        save_options options;
        options.form = form;
        CHECK(stet_test::outcome(out.save(path, options)) == "too_large");
      }
      CHECK(stet_test::outcome(out.save_to_memory()) == "too_large");
    }
    CHECK(folder.names() == std::vector<std::string>{"model.stet"});
    CHECK(folder.read("model.stet").size() == 3);
  }

  TEST_CASE("a manifest of the largest size is written and read, and one byte more is not") {
    writer out;
    out.metadata = json_value{{"user", ""}};
    const auto least = out.save_to_memory();
    REQUIRE(least);
    const auto empty = stet::open(*least);
    REQUIRE(empty);
    const std::size_t room = static_cast<std::size_t>(stet::max_manifest_size_bytes) - empty->manifest_text().size();
    out.metadata = json_value{{"user", std::string(room, 'x')}};
    const auto largest = out.save_to_memory();
    REQUIRE(largest);
    const auto opened = stet::open(*largest);
    CHECK(stet_test::outcome(opened) == "ok");
    CHECK(opened->manifest_text().size() == stet::max_manifest_size_bytes);
    out.metadata = json_value{{"user", std::string(room + 1, 'x')}};
    CHECK(stet_test::outcome(out.save_to_memory()) == "too_large");
  }

  TEST_CASE("JSON that nests without end is found without recursion") {
    const auto nested = [] {
      json_value made = json_value::array();
      for (int depth = 0; depth < 200000; ++depth) {
        json_value around = json_value::array();
        around.push_back(std::move(made));
        made = std::move(around);
      }
      return made;
    };
    writer out;
    json_value metadata = json_value::object();
    metadata["deep"] = nested();
    out.metadata = metadata;
    CHECK(stet_test::outcome(out.save_to_memory()) == "too_deep");
    writer with_attributes;
    json_value attributes = json_value::object();
    attributes["deep"] = nested();
    with_attributes.add("a", 1.0f, {}, std::move(attributes));
    CHECK(stet_test::outcome(with_attributes.save_to_memory()) == "too_deep");
  }

#if !defined(_WIN32) // whose paths are of other words
  TEST_CASE("a path as long as the system lets it be needs no heap") {
    std::string path(4000, 'x');
    for (std::size_t i = 100; i < path.size(); i += 100) path[i] = '/';
    const stet_test::allocations since;
    CHECK(!stet::open(path));
    CHECK(since.count() == 0);
  }
#endif
}
