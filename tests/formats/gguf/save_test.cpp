// SPDX-License-Identifier: MIT
// Saving GGUF: golden bytes, what is written again as it was, parts, and what the format cannot have.
#include <stet/formats/gguf/save.hpp>

#include "support/gguf_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("gguf");

namespace {

using namespace std::string_view_literals;
using stet_test::gguf_file;

std::string gguf_text_of(const stet_test::temp_folder& folder, std::string_view name) {
  const std::vector<std::byte> bytes = folder.read(name);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// Opens a file with any format and saves it as GGUF; gives the new file's bytes, or the error's text.
std::string saved_again(const stet_test::temp_folder& folder, const std::string& path,
                        const stet::open_options& options = {}) {
  const auto model = stet::compiled::open_any(path, options);
  if (!model) return stet_test::outcome(model);
  stet::writer out;
  if (const auto added = stet::compiled::add_model(out, *model); !added) return stet_test::outcome(added);
  const std::string to = folder.path("again.gguf");
  const auto saved = stet::compiled::save_any(to, out);
  if (!saved) return stet_test::outcome(saved);
  CHECK(saved->file_count == 1);
  const std::string bytes = gguf_text_of(folder, "again.gguf");
  CHECK(saved->file_size_bytes == bytes.size());
  return bytes;
}

/// The error's name and subject.
std::string gguf_save_failure(const stet::writer& from) {
  const stet_test::temp_folder folder;
  const auto saved = stet::save_gguf(folder.path("m.gguf"), from);
  CHECK(stet_test::outcome(stet::file::open(folder.path("m.gguf"))) == (saved ? "ok" : "file_not_found"));
  if (saved) return "ok";
  return std::string(stet::describe(saved.error().code()).name) + " " + std::string(saved.error().subject());
}

/// A file with every type of value, and several tensors.
std::string rich_gguf_file() {
  using namespace stet_test;
  gguf_file f;
  f.string("general.architecture", "test").alignment(64);
  f.key("u8", gguf_u8, "\xFF")
      .key("i8", gguf_i8, "\x80")
      .key("u16", gguf_u16, "\xFF\xFF")
      .key("i16", gguf_i16, "\0\x80"sv);
  f.u32("u32", 4294967295u).key("i32", gguf_i32, f.number(0x80000000u, 4)).key("one", gguf_i32, f.number(1, 4));
  f.key("u64", gguf_u64, f.number(~std::uint64_t{0}, 8)).key("i64", gguf_i64, f.number(std::uint64_t{1} << 63, 8));
  f.key("small", gguf_u64, f.number(3, 8)).key("minus", gguf_i64, f.number(~std::uint64_t{0}, 8));
  f.key("f32", gguf_f32, f.number(0x3dcccccdu, 4)).key("f64", gguf_f64, f.number(0x3fb999999999999au, 8));
  f.key("half", gguf_f64, f.number(0x3fe0000000000000u, 8)).key("zero", gguf_f32, f.number(0x80000000u, 4));
  f.key("nan", gguf_f32, f.number(0x7fc00000u, 4)).key("snan", gguf_f64, f.number(0xfff0000000000001u, 8));
  f.key("inf", gguf_f32, f.number(0xff800000u, 4)).key("tiny", gguf_f32, f.number(1, 4));
  f.key("t", gguf_bool, "\1").key("f", gguf_bool, "\0"sv).string("raw", "\xFF\0\x01"sv).string("nul", "a\0b"sv);
  f.string("hex", R"({"hex":"00"})").string("named", "nan").string("empty", "");
  f.key("a1", gguf_array, f.array(gguf_string, 3, f.text("a") + f.text("\xC3") + f.text("")));
  f.key("a2", gguf_array, f.array(gguf_u64, 2, f.number(1, 8) + f.number(2, 8)));
  f.key("a3", gguf_array, f.array(gguf_f32, 2, f.number(0x7f800000u, 4) + f.number(0x3f800000u, 4)));
  f.key("a4", gguf_array, f.array(gguf_f64, 0, "")).key("a5", gguf_array, f.array(gguf_array, 0, ""));
  f.key("a6", gguf_array,
        f.array(gguf_array, 3,
                f.array(gguf_u8, 2, "ab") + f.array(gguf_array, 1, f.array(gguf_bool, 1, "\1")) +
                    f.array(gguf_string, 0, "")));
  f.tensor("w", {3, 2}, 0, std::string(24, 'w')).tensor("z", {0, 2}, 1, "").tensor("s", {}, 28, "12345678");
  return f.tensor("q", {32, 2}, 2, std::string(36, 'q'))
      .tensor("n", {64}, 40, std::string(36, 'n'))
      .tensor("b", {1, 1, 1, 2}, 30, "abcd")
      .bytes();
}

} // namespace

TEST_CASE("golden bytes: the worked example, made by a program") {
  const float w[] = {1, 2, 3, 4, 5, 6};
  std::string block("\0\x3c", 2);
  for (int i = 0; i < 32; ++i) block.push_back(static_cast<char>(i));
  stet::writer out;
  out.metadata = stet::json_value::parse(R"({"general.architecture":"test","k.u32":7,"k.sa":["ab","c"],"k.b":true})");
  out.add("w", std::span(w), {2, 3});
  out.add_bytes("q", stet::element_layout{stet::dtype::block, 0, {"q8_0", 32, 34}}, {32},
                std::as_bytes(std::span(block)));
  const stet_test::temp_folder folder;
  const auto saved = stet::save_gguf(folder.path("m.gguf"), out);
  REQUIRE(saved);
  CHECK(saved->part_count == 1);
  CHECK(saved->file_size_bytes == 0x160);
  CHECK(gguf_text_of(folder, "m.gguf") == stet_test::example_gguf_file());
  // Nothing but the frame; no padding, as ggml has it.
  REQUIRE(stet::save_gguf(folder.path("e.gguf"), stet::writer()));
  CHECK(gguf_text_of(folder, "e.gguf") == "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv);
}

TEST_CASE("a file is written again as it was: every type of value, every tensor") {
  const stet_test::temp_folder folder;
  for (const std::string& file : {rich_gguf_file(), stet_test::example_gguf_file()}) {
    const std::string path = folder.write("m.gguf", file);
    for (const stet::backing backing : {stet::backing::map, stet::backing::stream})
      CHECK(saved_again(folder, path, {.backing = backing}) == file);
  }
  // Over a native file, too: its manifest keeps the types.
  const auto model = stet::compiled::open_any(folder.path("m.gguf"));
  REQUIRE(model);
  (void)folder.write("r.gguf", rich_gguf_file());
  const auto rich = stet::compiled::open_any(folder.path("r.gguf"));
  REQUIRE(rich);
  stet::writer native;
  REQUIRE(stet::compiled::add_model(native, *rich));
  REQUIRE(native.save(folder.path("m.stet")));
  CHECK(saved_again(folder, folder.path("m.stet")) == rich_gguf_file());
}

TEST_CASE("versions 1 and 2 and big-endian files become version 3, little-endian") {
  const stet_test::temp_folder folder;
  const auto make = [](std::uint32_t version, bool is_big) {
    gguf_file f(version, is_big);
    f.key("i", stet_test::gguf_i16, f.number(0xFFFE, 2));
    f.tensor("x", {2}, 0, f.number(0x3f800000u, 4) + f.number(0x40000000u, 4));
    return f.tensor("y", {1}, 27, f.number(7, 8)).bytes();
  };
  for (const std::uint32_t version : {1u, 2u, 3u}) {
    for (const bool is_big : {false, true})
      CHECK(saved_again(folder, folder.write("m.gguf", make(version, is_big))) == make(3, false));
  }
  gguf_file blocks(3, true);
  blocks.tensor("q", {32}, 8, std::string(34, 'q'));
  CHECK(saved_again(folder, folder.write("m.gguf", blocks.bytes())) == "not_expressible");
  gguf_file brain(3, true);
  brain.tensor("h", {1}, 30, "ab");
  CHECK(saved_again(folder, folder.write("m.gguf", brain.bytes())) == "not_expressible");
}

TEST_CASE("what GGUF does not have is an error that names it") {
  const auto one = [](std::string_view name, auto value, std::initializer_list<std::uint64_t> shape) {
    stet::writer out;
    std::vector<decltype(value)> values(1, value);
    out.add(name, std::span<const decltype(value)>(values), shape);
    return gguf_save_failure(out);
  };
  CHECK(one("x", 1.0f, {1, 1, 1, 1}) == "ok");
  CHECK(one("x", 1.0f, {1, 1, 1, 1, 1}) == "not_expressible x: GGUF has at most 4 extents");
  CHECK(one(std::string(63, 'n'), 1.0f, {1}) == "ok");
  CHECK(one(std::string(64, 'n'), 1.0f, {1}).starts_with("not_expressible nnn"));
  CHECK(one("x", std::uint8_t{1}, {1}) == "not_expressible x (uint8): not a type of GGUF; float32 is one");
  CHECK(one("x", std::uint64_t{1}, {1}).starts_with("not_expressible x (uint64): "));
  CHECK(one("x", stet::complex64{1, 2}, {1}).starts_with("not_expressible x (complex64): "));
  CHECK(one("x", std::int8_t{1}, {}) == "ok");
  {
    const std::string block(34, 'q');
    stet::writer out;
    out.add_bytes("q", stet::element_layout{stet::dtype::block, 0, {"q8_0", 32, 34}}, {2, 16},
                  std::as_bytes(std::span(block)));
    CHECK(gguf_save_failure(out) == "not_expressible q: its rows are no whole blocks");
    stet::writer other;
    other.add_bytes("q", stet::element_layout{stet::dtype::block, 0, {"mine", 32, 34}}, {32},
                    std::as_bytes(std::span(block)));
    CHECK(gguf_save_failure(other).starts_with("not_expressible q (mine): "));
  }
  {
    const float x = 1;
    stet::writer out;
    out.add("x", std::span(&x, 1), {1});
    out.add_alias("tied", "x");
    CHECK(gguf_save_failure(out) == "not_expressible tied: GGUF has no aliases; leave it out");
  }
}

TEST_CASE("metadata of other formats becomes keys; what fits no type is an error by its key") {
  const auto failure_of = [](std::string_view json) {
    stet::writer out;
    out.metadata = stet::json_value::parse(json);
    return gguf_save_failure(out);
  };
  const auto again = [](std::string_view json) {
    const stet_test::temp_folder folder;
    stet::writer out;
    out.metadata = stet::json_value::parse(json);
    if (const auto saved = stet::save_gguf(folder.path("m.gguf"), out); !saved) return stet_test::outcome(saved);
    const auto model = stet::compiled::open_any(folder.path("m.gguf"));
    const auto described = model ? stet::describe(*model) : model.error();
    return described ? described->metadata.dump() : stet_test::outcome(described);
  };
  CHECK(again(R"({"a":1,"b":-1,"c":0.5,"d":[1,2.5],"e":[[1],["x"]],"f":0.1,"g":5000000000,"h":[]})") ==
        R"({"a":1,"b":-1,"c":0.5,"d":[1.0,2.5],"e":[[1],["x"]],"f":0.1,"g":5000000000,"h":[]})");
  // Objects, null and arrays of unlike values are kept as text.
  CHECK(again(R"({"keras":{"a":[1,null]},"n":null,"m":[1,"x"]})") ==
        R"({"keras":"{\"a\":[1,null]}","n":"null","m":"[1,\"x\"]"})");
  CHECK(again(R"({"split.no":1,"split.count":2,"split.tensors.count":3,"x":1})") == R"({"x":1})");
  CHECK(failure_of(R"({"é":1})") == "not_expressible metadata é: a key of GGUF is 1 to 65535 bytes of ASCII");
  CHECK(failure_of(R"({"":1})").starts_with("not_expressible metadata "));
  CHECK(failure_of("[1]") == "not_expressible metadata: GGUF has an object of values");
  CHECK(failure_of(R"({"general.alignment":64})") == "ok");
  for (const std::string_view wrong : {"0", "24", "-1", "131072", "\"32\"", "32.0"})
    CHECK(failure_of("{\"general.alignment\":" + std::string(wrong) + "}") == "bad_alignment general.alignment");
  CHECK(failure_of(R"({"general.alignment":32,"gguf:types":{"general.alignment":"u64"}})") ==
        "bad_alignment general.alignment");
  const auto typed = [&](std::string_view value, std::string_view type) {
    return failure_of("{\"k\":" + std::string(value) + ",\"gguf:types\":{\"k\":" + std::string(type) + "}}");
  };
  struct row {
    std::string_view value, type;
  };
  for (const row& good :
       {row{"255", R"("u8")"}, row{"-128", R"("i8")"}, row{"1", R"("f32")"}, row{R"("inf")", R"("f64")"},
        row{R"(["nan",1])", R"("f32[]")"}, row{"[]", "[]"}, row{"[[],[]]", R"(["u8[]",[]])"},
        row{R"({"hex":"00ff"})", R"("string")"}, row{R"("0x7fc00001")", R"("f32")"}})
    CHECK(typed(good.value, good.type) == "ok");
  for (const row& bad : {row{"256", R"("u8")"},
                         row{"-1", R"("u8")"},
                         row{"-129", R"("i8")"},
                         row{"128", R"("i8")"},
                         row{"-1", R"("u64")"},
                         row{"9223372036854775808", R"("i64")"},
                         row{"1.0", R"("u8")"},
                         row{"1", R"("bool")"},
                         row{"true", R"("u8")"},
                         row{"1", R"("string")"},
                         row{R"("x")", R"("f32")"},
                         row{"1e300", R"("f32")"},
                         row{"1", R"("u8[]")"},
                         row{"[1]", R"("u8")"},
                         row{"[1]", "[]"},
                         row{"[[1]]", R"(["u8"])"},
                         row{"[1]", R"(["u8[]"])"},
                         row{"1", R"("nonsense")"},
                         row{"1", R"("array")"},
                         row{"[1]", R"("array[]")"},
                         row{"1", "7"},
                         row{R"({"hex":"0"})", R"("string")"},
                         row{R"({"hex":"zz"})", R"("string")"},
                         row{R"("0x7fc0000g")", R"("f32")"}})
    CHECK(typed(bad.value, bad.type) == "bad_value k");
}

TEST_CASE("parts of a chosen size, which open by any of them") {
  const stet_test::temp_folder folder;
  stet::writer out;
  out.metadata = stet::json_value::parse(R"({"general.architecture":"test","general.alignment":64})");
  std::vector<float> values(64, 1.5f);
  for (int i = 0; i < 10; ++i) out.add("t" + std::to_string(i), std::span<const float>(values), {64});
  const auto whole = stet::save_gguf(folder.path("whole.gguf"), out, {.part_size_bytes = 1 << 20});
  REQUIRE(whole);
  CHECK(whole->part_count == 1);
  CHECK(stet::save_gguf(folder.path("exact.gguf"), out, {.part_size_bytes = whole->file_size_bytes})->part_count == 1);
  const auto saved = stet::save_gguf(folder.path("m.gguf"), out, {.part_size_bytes = 1024});
  REQUIRE(saved);
  CHECK(saved->part_count == 4);
  CHECK(stet_test::outcome(stet::file::open(folder.path("m.gguf"))) == "file_not_found");
  std::uint64_t size = 0;
  for (int i = 1; i <= 4; ++i) {
    const std::string name = "m-0000" + std::to_string(i) + "-of-00004.gguf";
    size += folder.read(name).size();
    CHECK(folder.read(name).size() <= 1024);
    const auto model = stet::compiled::open_any(folder.path(name));
    REQUIRE(model);
    CHECK(model->store.tensor_count() == 10);
    CHECK(model->store.alignment_bytes() == 64);
    CHECK(stet::describe(*model)->metadata.dump() == R"({"general.architecture":"test","general.alignment":64})");
  }
  CHECK(size == saved->file_size_bytes);
  // A tensor that is larger than a part has one of its own.
  const auto single = stet::save_gguf(folder.path("n.gguf"), out, {.part_size_bytes = 1});
  REQUIRE(single);
  CHECK(single->part_count == 10);
  CHECK(stet::compiled::open_any(folder.path("n-00010-of-00010.gguf")));
  // Together again
  const auto model = stet::compiled::open_any(folder.path("m-00003-of-00004.gguf"));
  REQUIRE(model);
  stet::writer all;
  REQUIRE(stet::compiled::add_model(all, *model));
  REQUIRE(stet::save_gguf(folder.path("again.gguf"), all));
  CHECK(gguf_text_of(folder, "again.gguf") == gguf_text_of(folder, "whole.gguf"));
}

TEST_SUITE_END();
