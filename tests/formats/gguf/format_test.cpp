// SPDX-License-Identifier: MIT
// GGUF as a row of the table of formats: what it recognises, and the keys as metadata.
#include <stet/formats/gguf/format.hpp>

#include "support/gguf_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>

TEST_SUITE_BEGIN("gguf");

namespace {

using namespace std::string_view_literals;
using stet_test::gguf_file;

/// The metadata of a file as JSON; the name of an error.
std::string gguf_metadata(const std::string& file) {
  const stet_test::temp_folder folder;
  const auto model = stet::compiled::open_any(folder.write("m.gguf", file));
  if (!model) return stet_test::outcome(model);
  const auto described = stet::describe(*model);
  return described ? described->metadata.dump() : stet_test::outcome(described);
}

} // namespace

TEST_CASE("a GGUF file is recognised by its content") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("model.bin", stet_test::example_gguf_file());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = stet::compiled::open_any(path, {.backing = backing});
    REQUIRE(model);
    CHECK(model->format == &stet::gguf_format);
    CHECK(model->file_count == 1);
    CHECK(model->is_in_file(*model->store.find("w")));
    const auto described = stet::describe(*model);
    REQUIRE(described);
    CHECK(described->metadata.dump() == R"({"general.architecture":"test","k.u32":7,"k.sa":["ab","c"],"k.b":true})");
    CHECK(described->graphs.empty());
  }
  CHECK(stet_test::outcome(stet::compiled::open_any(folder.write("x", "GGUf\3\0\0\0"sv))) == "unknown_format");
  const auto cut = stet::compiled::open_any(folder.write("cut.gguf", "GGUF\3\0"sv));
  CHECK(stet_test::outcome(cut) == "truncated");
}

TEST_CASE("the metadata has every type, and states those that JSON does not tell") {
  using namespace stet_test;
  const gguf_file f;
  CHECK(gguf_metadata(gguf_file().bytes()) == "null");
  CHECK(gguf_metadata(gguf_file().u32("a", 1).string("b", "c").u32("a", 1).bytes()) == R"({"a":1,"b":"c"})");
  gguf_file plain;
  plain.u32("u32", 4294967295u)
      .key("i32", gguf_i32, f.number(0x80000000u, 4))
      .key("f32", gguf_f32, f.number(0x3dcccccdu, 4));
  plain.key("u64", gguf_u64, f.number(~std::uint64_t{0}, 8)).key("i64", gguf_i64, f.number(std::uint64_t{1} << 63, 8));
  plain.key("f64", gguf_f64, f.number(0x3fb999999999999au, 8))
      .key("no", gguf_bool, "\0"sv)
      .string("s", "h\xC3\xA9\n\0x"sv);
  plain.key("a", gguf_array, f.array(gguf_i32, 2, f.number(1, 4) + f.number(0xFFFFFFFFu, 4)));
  plain.key("b", gguf_array, f.array(gguf_f32, 1, f.number(0x80000000u, 4)));
  plain.key("c", gguf_array, f.array(gguf_bool, 2, "\0\1"sv));
  plain.key("d", gguf_array, f.array(gguf_array, 2, f.array(gguf_i32, 0, "") + f.array(gguf_string, 1, f.text("x"))));
  CHECK(gguf_metadata(plain.bytes()) ==
        R"({"u32":4294967295,"i32":-2147483648,"f32":0.10000000149011612,"u64":18446744073709551615,)"
        R"("i64":-9223372036854775808,"f64":0.1,"no":false,"s":"hé\n\u0000x","a":[1,-1],"b":[-0.0],"c":[false,true],)"
        R"("d":[[],["x"]]})");
  gguf_file typed;
  typed.key("u8", gguf_u8, "\xFF")
      .key("i8", gguf_i8, "\xFF")
      .key("u16", gguf_u16, "\1\2")
      .key("i16", gguf_i16, "\xFF\xFF");
  typed.key("i32", gguf_i32, f.number(1, 4)).key("u64", gguf_u64, f.number(1, 8)).key("i64", gguf_i64, f.number(1, 8));
  typed.key("f64", gguf_f64, f.number(0x3fe0000000000000u, 8));
  typed.key("nan", gguf_f32, f.number(0x7fc00000u, 4)).key("inf", gguf_f64, f.number(0x7ff0000000000000u, 8));
  typed.key("fs", gguf_array,
            f.array(gguf_f32, 3, f.number(0xff800000u, 4) + f.number(0x7fa00001u, 4) + f.number(0x3f800000u, 4)));
  typed.string("raw", "\xC3\x28").key("es", gguf_array, f.array(gguf_string, 0, ""));
  typed.key("n", gguf_array, f.array(gguf_array, 2, f.array(gguf_u8, 1, "\1") + f.array(gguf_array, 0, "")));
  CHECK(gguf_metadata(typed.bytes()) ==
        R"({"u8":255,"i8":-1,"u16":513,"i16":-1,"i32":1,"u64":1,"i64":1,"f64":0.5,"nan":"nan","inf":"inf",)"
        R"("fs":["-inf","0x7fa00001",1.0],"raw":{"hex":"c328"},"es":[],"n":[[1],[]],)"
        R"("gguf:types":{"u8":"u8","i8":"i8","u16":"u16","i16":"i16","i32":"i32","u64":"u64","i64":"i64","f64":"f64",)"
        R"("nan":"f32","inf":"f64","fs":"f32[]","es":"string[]","n":["u8[]",[]]}})");
  gguf_file big(3, true);
  big.key("i", gguf_i16, big.number(0xFFFE, 2)).key("f", gguf_f32, big.number(0x3f800000u, 4)).string("s", "ab");
  CHECK(gguf_metadata(big.bytes()) == R"({"i":-2,"f":1.0,"s":"ab","gguf:types":{"i":"i16"}})");
  gguf_file first(1);
  first.string("s", "ab").key("a", gguf_array, first.array(gguf_u8, 1, "\5"));
  CHECK(gguf_metadata(first.bytes()) == R"({"s":"ab","a":[5],"gguf:types":{"a":"u8[]"}})");
}

TEST_CASE("300,000 tokens are described in linear time, on demand, too") {
  const stet_test::temp_folder folder;
  gguf_file made;
  std::string tokens, scores;
  for (int i = 0; i < 300000; ++i) tokens.append(made.text("token" + std::to_string(i)));
  for (int i = 0; i < 300000; ++i) scores.append(made.number(0x3f800000u, 4));
  made.key("tokens", stet_test::gguf_array, made.array(stet_test::gguf_string, 300000, tokens));
  made.key("scores", stet_test::gguf_array, made.array(stet_test::gguf_f32, 300000, scores));
  made.string("long", std::string(400000, 'x'));
  const std::string path = folder.write("m.gguf", made.bytes());
  for (const stet::backing backing : {stet::backing::map, stet::backing::stream}) {
    const auto model = stet::compiled::open_any(path, {.backing = backing});
    REQUIRE(model);
    const auto begin = std::chrono::steady_clock::now();
    const auto described = stet::describe(*model);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
    REQUIRE(described);
    CHECK(described->metadata["tokens"].size() == 300000);
    CHECK(described->metadata["tokens"][299999] == "token299999");
    CHECK(described->metadata["scores"][7] == 1.0);
    CHECK(described->metadata["long"].get<std::string>().size() == 400000);
  }
}

TEST_CASE("a split model opens by its folder; its metadata is that of the first part") {
  const stet_test::temp_folder folder;
  const auto part = [](std::uint64_t number, std::string_view name) {
    gguf_file made;
    if (number == 0) made.string("general.architecture", "test");
    made.split(number, 2, 2).tensor(name, {2}, 24, "ab");
    return made.bytes();
  };
  (void)folder.write("m-00001-of-00002.gguf", part(0, "x"));
  const std::string second = folder.write("m-00002-of-00002.gguf", part(1, "y"));
  (void)folder.write("readme.md", "x");
  for (const std::string& path : {folder.path(), second}) {
    const auto model = stet::compiled::open_any(path);
    REQUIRE(model);
    CHECK(model->format == &stet::gguf_format);
    CHECK(model->file_count == 2);
    CHECK(model->store.tensor_count() == 2);
    const auto described = stet::describe(*model);
    REQUIRE(described);
    CHECK(described->metadata.dump() == R"({"general.architecture":"test"})");
  }
  // A model of one part has the name of its file there.
  const stet_test::temp_folder single;
  (void)single.write("m-00001-of-00001.gguf", gguf_file().split(0, 1, 1).tensor("x", {2}, 24, "ab").bytes());
  const auto one = stet::compiled::open_any(single.path());
  REQUIRE(one);
  REQUIRE(one->store.index().part_count() == 1);
  CHECK(one->store.index().part(0).path == "m-00001-of-00001.gguf");
  (void)single.write("m-00001-of-00001.gguf", gguf_file().split(0, 2, 1).bytes());
  CHECK(stet_test::outcome(stet::compiled::open_any(single.path())) == "part_mismatch");
  (void)folder.write("n-00001-of-00002.gguf", part(0, "x"));
  const auto two = stet::compiled::open_any(folder.path());
  REQUIRE_FALSE(two);
  CHECK(two.error().code() == stet::errc::invalid_argument);
  CHECK(two.error().subject().ends_with("m-00001-of-00002.gguf"));
}

TEST_SUITE_END();
