// SPDX-License-Identifier: MIT
// New values in ONNX models: every byte of the new file, what is refused, and faults of the system.
#include <stet/formats/check_model.hpp>
#include <stet/formats/onnx/replace.hpp>

#include "support/digest_text.hpp"
#include "support/faulty_files.hpp"
#include "support/onnx_files.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

TEST_SUITE_BEGIN("onnx");

namespace {

using namespace std::string_literals;
using stet_test::onnx_attribute;
using stet_test::onnx_external;
using stet_test::onnx_field;
using stet_test::onnx_graph;
using stet_test::onnx_model;
using stet_test::onnx_node;
using stet_test::onnx_raw;
using stet_test::onnx_tensor;
using stet_test::onnx_writer;

/// Values that are these bytes, in two pieces.
stet::onnx_values onnx_new(std::string name, std::string bytes) {
  return {std::move(name), [bytes = std::move(bytes)](stet::piece_sink& into) -> stet::result<void> {
            const auto all = std::as_bytes(std::span(bytes));
            if (auto written = into.write(all.first(all.size() / 2)); !written) return written;
            return into.write(all.subspan(all.size() / 2));
          }};
}

std::string onnx_text_in(const stet_test::temp_folder& folder, std::string_view name) {
  const std::vector<std::byte> bytes = folder.read(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The file that a model becomes; or the error.
std::string onnx_replaced(std::string_view model, std::vector<stet::onnx_values> values) {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("model.onnx", model);
  std::string made;
  for (const stet::backing backing : {stet::backing::map, stet::backing::stream}) {
    const auto done = stet::replace_onnx_values(path, values, folder.path("new.onnx"),
                                                {.files = {.backing = backing}, .is_durable = false});
    std::string now;
    if (!done) {
      now = std::string(stet::describe(done.error().code()).name) + " " + std::string(done.error().subject());
      CHECK(folder.names() == std::vector<std::string>{"model.onnx"});
    } else {
      now = onnx_text_in(folder, "new.onnx");
      CHECK(done->file_size_bytes == now.size());
      CHECK(done->file_count == 1);
    }
    if (backing == stet::backing::stream) CHECK(now == made);
    made = now;
    std::filesystem::remove(stet_test::to_path(folder.path("new.onnx")));
  }
  CHECK(onnx_text_in(folder, "model.onnx") == model);
  return made;
}

std::string onnx_value_of(const stet::result<stet::model>& of, std::string_view name) {
  if (!of) return std::string(of.error().subject());
  const auto found = of->store.find(name);
  if (!found) return "not_found";
  std::string made(static_cast<std::size_t>(found->size_bytes()), '\0');
  if (!found->read(0, std::as_writable_bytes(std::span(made)))) return "unreadable";
  return made;
}

/// The name of the one file in a folder that ends in ".data" and is not among `others`.
std::string onnx_data_in(const stet_test::temp_folder& folder, std::initializer_list<std::string_view> others) {
  std::string found;
  for (const std::string& name : folder.names()) {
    bool is_other = !name.ends_with(".data");
    for (const std::string_view other : others) is_other = is_other || name == other;
    if (is_other) continue;
    CHECK(found.empty());
    found = name;
  }
  return found;
}

} // namespace

TEST_CASE("a value of ONNX that is replaced changes no other byte") {
  const auto model = [](std::string_view raw, std::string_view floats) {
    const auto packed = onnx_tensor("b", 1, {2}, [&](onnx_writer& out) { out.bytes(4, floats).bytes(12, "doc"); });
    return onnx_model(onnx_graph({onnx_raw("w", 1, {2}, raw), packed, onnx_raw("other", 2, {1}, "o")}),
                      onnx_field(14, onnx_field(1, "k") + onnx_field(2, "v")) + onnx_writer().varint(99, 7).take());
  };
  const std::string old = model("abcdefgh", "ijklmnop");
  CHECK(onnx_replaced(old, {onnx_new("w", "ABCDEFGH")}) == model("ABCDEFGH", "ijklmnop"));
  CHECK(onnx_replaced(old, {onnx_new("b", "IJKLMNOP"), onnx_new("w", "ABCDEFGH")}) == model("ABCDEFGH", "IJKLMNOP"));
  CHECK(onnx_replaced(old, {}) == old);
  // Sizes that are written longer than they need to be stay, too.
  const std::string tensor = onnx_raw("w", 1, {1}, "abcd"), after = onnx_raw("w", 1, {1}, "ABCD");
  const auto padded = [](const std::string& graph) {
    return "\x08\x08\x3a"s + static_cast<char>(graph.size() | 0x80u) + "\x80\x00"s + graph;
  };
  CHECK(onnx_replaced(padded(onnx_field(5, tensor)), {onnx_new("w", "ABCD")}) == padded(onnx_field(5, after)));
  CHECK(onnx_replaced(tensor, {onnx_new("w", "ABCD")}) == after);
}

TEST_CASE("lists of ONNX are encoded again, with the sizes of the messages around them") {
  const auto number = [](std::uint64_t value) { // as int64 in a store
    std::string made;
    for (int shift = 0; shift < 64; shift += 8) made += static_cast<char>(value >> shift & 0xFFu);
    return made;
  };
  const auto nested = [&](const std::vector<std::uint64_t>& values, bool is_packed) {
    const auto list = onnx_tensor("w", 7, {static_cast<std::int64_t>(values.size())}, [&](onnx_writer& out) {
      std::string packed;
      for (const std::uint64_t each : values) {
        if (is_packed) {
          stet::detail::append_varint(packed, each);
        } else {
          out.varint(7, each);
        }
      }
      if (is_packed) out.bytes(7, packed);
    });
    const std::string inner = onnx_graph({list, onnx_raw("after", 2, {1}, "a")}, onnx_field(2, "inner"));
    const std::string node = onnx_node("If", {}, {"y"}, {onnx_attribute("b", 6, inner)});
    return onnx_model(onnx_graph({onnx_raw("before", 2, {1}, "b")}, onnx_field(1, node) + onnx_field(10, "doc")),
                      onnx_field(6, "model"));
  };
  for (const bool is_packed : {true, false}) {
    CAPTURE(is_packed);
    // Shorter, longer, over the sizes where a size takes another byte, and as long as before.
    const std::vector<std::uint64_t> small(12, 1), large(12, ~std::uint64_t{0}),
        mixed{0, 300, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (const auto& from : {small, large, mixed}) {
      for (const auto& to : {small, large, mixed}) {
        std::string bytes;
        for (const std::uint64_t each : to) bytes += number(each);
        CHECK(onnx_replaced(nested(from, is_packed), {onnx_new("sub:y:b/w", bytes)}) == nested(to, is_packed));
      }
    }
  }
  // Every element type: what is read is written again as it was.
  struct row {
    std::uint64_t type;
    std::uint32_t list;
    std::vector<std::uint64_t> values; // of 3 elements
  };
  constexpr std::uint64_t minus = ~std::uint64_t{0};
  const row rows[] = {{2, 5, {1, 128, 255}},
                      {3, 5, {1, minus, minus << 7}},
                      {4, 5, {1, 300, 65535}},
                      {5, 5, {1, minus, minus << 15}},
                      {6, 5, {1, minus, minus << 31}},
                      {7, 7, {1, minus, minus << 63}},
                      {9, 5, {1, 0, 1}},
                      {10, 5, {1, 300, 65535}},
                      {12, 11, {1, 300, 0xFFFFFFFF}},
                      {13, 11, {1, 300, minus}},
                      {16, 5, {1, 300, 65535}},
                      {17, 5, {1, 128, 255}},
                      {21, 5, {0x21, 0x0f}},
                      {22, 5, {0xf1, 0x0f}},
                      {25, 5, {0x39}},
                      {27, 5, {0x28, 0x24, 0x10}},
                      {28, 5, {1, 2, 63}}};
  for (const row& each : rows) {
    CAPTURE(each.type);
    const auto model = [&](bool is_old) {
      return onnx_model(onnx_graph({onnx_tensor("w", each.type, {3}, [&](onnx_writer& out) {
        std::string packed;
        for (const std::uint64_t value : each.values) stet::detail::append_varint(packed, is_old ? 0 : value);
        out.bytes(each.list, packed);
      })}));
    };
    const std::string wanted = model(false);
    const auto opened = stet::open_onnx(std::as_bytes(std::span(wanted)));
    REQUIRE(opened);
    CHECK(onnx_replaced(model(true), {onnx_new("w", onnx_value_of(opened, "w"))}) == wanted);
  }
  // Pieces of a list become one, at the place of the first; loose words stay loose.
  const auto floats = [](bool is_new) {
    return onnx_model(onnx_graph({onnx_tensor("w", 1, {3}, [&](onnx_writer& out) {
      if (is_new) {
        out.bytes(4, "ABCDEFGHIJKL").bytes(12, "doc");
      } else {
        out.bytes(4, "abcd").bytes(12, "doc").bytes(4, "efghijkl");
      }
    })}));
  };
  CHECK(onnx_replaced(floats(false), {onnx_new("w", "ABCDEFGHIJKL")}) == floats(true));
  const auto words = [](std::uint32_t first, std::uint64_t second) {
    return onnx_model(
        onnx_graph({onnx_tensor("w", 1, {2}, [&](onnx_writer& out) { out.fixed32(4, first).fixed32(4, first + 1); }),
                    onnx_tensor("d", 11, {1}, [&](onnx_writer& out) { out.fixed64(10, second); })}));
  };
  CHECK(onnx_replaced(words(1, 2), {onnx_new("w", "\x05\0\0\0\x06\0\0\0"s), onnx_new("d", "\x07\0\0\0\0\0\0\0"s)}) ==
        words(5, 7));
}

TEST_CASE("what cannot be replaced in an ONNX model") {
  const std::string model = onnx_model(
      onnx_graph({onnx_raw("w", 1, {1}, "abcd"), onnx_tensor("s", 8, {1}, [](onnx_writer& out) { out.bytes(6, "a"); }),
                  onnx_tensor("i", 7, {1}, [](onnx_writer& out) { out.bytes(7, "\1"); })}));
  CHECK(onnx_replaced(model, {onnx_new("none", "abcd")}) == "not_found none");
  CHECK(onnx_replaced(model, {onnx_new("w", "abcd"), onnx_new("w", "abcd")}) == "duplicate_name w");
  CHECK(onnx_replaced(model, {onnx_new("s", "012345670123456a")}) == "unsupported s: strings");
  CHECK(onnx_replaced(model, {onnx_new("w", "abc")}).starts_with("source_too_short"));
  CHECK(onnx_replaced(model, {onnx_new("w", "abcde")}).starts_with("source_too_long"));
  CHECK(onnx_replaced(model, {onnx_new("i", "0123456")}) == "source_too_short i");
  CHECK(onnx_replaced(model, {onnx_new("i", "012345678")}) == "source_too_long i");
  CHECK(onnx_replaced(model, {{"w", [](stet::piece_sink&) -> stet::result<void> { return stet::errc::io_error; }}})
            .starts_with("io_error"));
  CHECK(onnx_replaced("text", {}).starts_with("unknown_format"));
  CHECK(onnx_replaced(std::string_view(model).substr(0, 20), {}).starts_with("truncated"));
  const stet_test::temp_folder folder;
  CHECK(stet::replace_onnx_values(folder.path("none.onnx"), {}, folder.path("new.onnx")).error().code() ==
        stet::errc::file_not_found);
  CHECK(stet::replace_onnx_values(folder.write("m.onnx", model), {}, folder.path("none/new.onnx")).error().code() ==
        stet::errc::file_not_found);
}

TEST_CASE("values of ONNX in other files are replaced in a new file") {
  const stet_test::temp_folder folder;
  constexpr std::string_view digest_of_old = "67c5e1f3a5cd4cf9b4aa1cd3b3dbab0de9e4bbcb"; // any: it is not compared here
  folder.write("w.data", "..abcd..");
  folder.write("other.data", "xy");
  const auto model = [&](std::string_view w, std::string_view other, std::string_view digest) {
    return onnx_model(onnx_graph(
        {onnx_external("a", 2, {2}, {{"location", w}, {"offset", "2"}, {"length", "2"}, {"checksum", digest}}),
         onnx_external("b", 2, {2}, {{"location", w}, {"offset", "4"}}),
         onnx_external("c", 2, {2}, {{"location", other}}), onnx_raw("in", 2, {1}, "i")}));
  };
  const std::string old = model("w.data", "other.data", digest_of_old);
  const std::string path = folder.write("model.onnx", old);
  const std::vector<stet::onnx_values> values{onnx_new("a", "AB"), onnx_new("in", "I")};
  SUBCASE("in the same folder, the file that changes is written alone") {
    const auto done = stet::replace_onnx_values(path, values, path);
    REQUIRE(done);
    CHECK(done->file_count == 2);
    const std::string data = onnx_data_in(folder, {"w.data", "other.data"});
    CHECK(data.starts_with("model-00000-of-00001-"));
    CHECK(onnx_text_in(folder, data) == "..ABcd..");
    CHECK(onnx_text_in(folder, "w.data") == "..abcd..");
    const auto opened = stet::open_onnx(path);
    CHECK(onnx_value_of(opened, "a") == "AB");
    CHECK(onnx_value_of(opened, "b") == "cd");
    CHECK(onnx_value_of(opened, "c") == "xy");
    CHECK(onnx_value_of(opened, "in") == "I");
    REQUIRE(opened);
    CHECK(stet::check_ranges(*opened)); // the digest is that of the new file
    stet::sha1 hash;
    hash.update(stet_test::bytes_to_hash("..ABcd.."));
    const std::string digest = stet_test::digest_text(hash.finish());
    std::string wanted = model(data, "other.data", digest);
    wanted.replace(wanted.rfind("J\x01i"), 3, "J\x01I");
    CHECK(onnx_text_in(folder, "model.onnx") == wanted);
    // The same values again give the same files.
    REQUIRE(stet::replace_onnx_values(path, values, path));
    CHECK(onnx_text_in(folder, "model.onnx") == wanted);
  }
  SUBCASE("in another folder, all files are") {
    const stet_test::temp_folder other;
    const auto done = stet::replace_onnx_values(path, values, other.path("phone.onnx"));
    REQUIRE(done);
    CHECK(done->file_count == 3);
    CHECK(other.names().size() == 3);
    const auto opened = stet::open_onnx(other.path("phone.onnx"));
    CHECK(onnx_value_of(opened, "a") == "AB");
    CHECK(onnx_value_of(opened, "c") == "xy");
    CHECK(onnx_text_in(folder, "model.onnx") == old);
    CHECK(folder.names().size() == 3);
  }
  SUBCASE("without values for them, they stay") {
    REQUIRE(stet::replace_onnx_values(path, std::vector{onnx_new("in", "I")}, folder.path("new.onnx")));
    CHECK(onnx_data_in(folder, {"w.data", "other.data"}).empty());
  }
  SUBCASE("a file that is too short is an error, and nothing is written") {
    folder.write("w.data", "..abc");
    const auto done = stet::replace_onnx_values(path, values, path);
    REQUIRE_FALSE(done);
    CHECK(done.error().code() == stet::errc::truncated);
    CHECK(onnx_text_in(folder, "model.onnx") == old);
    CHECK(folder.names().size() == 3);
  }
}

TEST_CASE("tensors of ONNX that share bytes are replaced together or not at all") {
  const stet_test::temp_folder folder;
  folder.write("w.data", "abcdefgh");
  const auto at = [](std::string_view name, std::int64_t size, std::string_view offset) {
    return onnx_external(name, 2, {size}, {{"location", "w.data"}, {"offset", offset}});
  };
  const std::string path = folder.write(
      "model.onnx", onnx_model(onnx_graph({at("a", 2, "0"), at("same", 2, "0"), at("part", 1, "3"),
                                           at("around", 4, "2"), at("free", 2, "6"), at("none", 0, "0")})));
  const auto replace = [&](std::vector<stet::onnx_values> values) {
    const auto done = stet::replace_onnx_values(path, values, folder.path("new.onnx"), {.is_durable = false});
    return done ? std::string("ok")
                : std::string(stet::describe(done.error().code()).name) + " " + std::string(done.error().subject());
  };
  CHECK(replace({onnx_new("a", "AB")}) == "overlap same");
  CHECK(replace({onnx_new("same", "AB")}) == "overlap same");
  CHECK(replace({onnx_new("part", "D")}) == "overlap around");
  CHECK(replace({onnx_new("around", "CDEF")}) == "overlap part");
  CHECK(replace({onnx_new("part", "D"), onnx_new("around", "CDEF")}).starts_with("overlap "));
  CHECK(replace({onnx_new("free", "GH"), onnx_new("none", "")}) == "ok");
  CHECK(replace({onnx_new("a", "AB"), onnx_new("same", "AB")}) == "ok");
  const auto opened = stet::open_onnx(folder.path("new.onnx"));
  CHECK(onnx_value_of(opened, "a") == "AB");
  CHECK(onnx_value_of(opened, "around") == "cdef");
}

TEST_CASE("faults of the system leave the old ONNX model or the new one") {
  const std::string old =
      onnx_model(onnx_graph({onnx_external("a", 2, {2}, {{"location", "w.data"}}), onnx_raw("in", 2, {1}, "i")}));
  const std::vector<stet::onnx_values> values{onnx_new("a", "AB"), onnx_new("in", "I")};
  const auto run = [&](const stet_test::temp_folder& folder, const stet::file_operations& operations) {
    folder.write("w.data", "ab");
    const std::string path = folder.write("model.onnx", old);
    return stet::replace_onnx_values(path, values, path, {.operations = &operations});
  };
  std::vector<stet_test::faulty_files::call> calls;
  {
    const stet_test::temp_folder folder;
    stet_test::faulty_files watched(stet_test::fault::none, stet_test::faulty_files::never,
                                    stet_test::without_syncing());
    REQUIRE(run(folder, watched.operations()));
    calls = watched.calls();
  }
  std::size_t old_count = 0, new_count = 0;
  for (const stet_test::fault kind :
       {stet_test::fault::failure, stet_test::fault::late_failure, stet_test::fault::short_write}) {
    for (std::size_t number = 0; number < calls.size(); ++number) {
      if (!stet_test::is_applicable(kind, calls[number].entry)) continue;
      CAPTURE(number);
      CAPTURE(static_cast<int>(kind));
      const stet_test::temp_folder folder;
      stet_test::faulty_files faulty(kind, number, stet_test::without_syncing());
      const auto done = run(folder, faulty.operations());
      const auto opened = stet::open_onnx(folder.path("model.onnx"));
      const std::string found = onnx_value_of(opened, "a") + onnx_value_of(opened, "in");
      CHECK((found == "abi" || found == "ABI"));
      if (done) CHECK(found == "ABI");
      ++(found == "abi" ? old_count : new_count);
      for (const std::string& name : folder.names()) CHECK(name.find(".stet-tmp") == std::string::npos);
    }
  }
  CHECK(old_count > 5);
  CHECK(new_count > 0);
}

TEST_SUITE_END();
