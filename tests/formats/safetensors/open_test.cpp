// SPDX-License-Identifier: MIT
// Safetensors files: what the reference takes, in place; what is wrong, by name.
#include <stet/formats/safetensors.hpp>

#include "support/allocations.hpp"
#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/outcome.hpp"
#include "support/safetensors_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("safetensors");

namespace {

using namespace std::string_view_literals;
using stet_test::bytes_of;
using stet_test::example_safetensors_file;
using stet_test::safetensors_file;

/// The name of the error and its subject; "ok" for none. Read from a block that ends where the file does.
std::string failure_of(std::string_view file) {
  const stet_test::exact_text block(file);
  const auto opened = stet::open_safetensors(block.bytes());
  if (opened) return "ok";
  const stet::error& failure = opened.error();
  std::string text(stet::describe(failure.code()).name);
  if (!failure.subject().empty()) text.append(" ").append(failure.subject());
  return text;
}
std::string failure_of_header(std::string_view header, std::string_view data = {}) {
  return failure_of(safetensors_file(header, data));
}

} // namespace

TEST_CASE("the specification's example opens in place") {
  const std::string file = example_safetensors_file();
  REQUIRE(file.size() == 223);
  const auto store = stet::open_safetensors(bytes_of(file));
  REQUIRE(store);
  CHECK(store->tensor_count() == 3);
  const auto a = store->find("a");
  REQUIRE(a);
  CHECK(a->dtype() == stet::dtype::float32);
  CHECK(a->shape().equals({3}));
  CHECK(static_cast<const void*>(a->bytes().data()) == file.data() + 0xd0);
  std::vector<float> values(3);
  REQUIRE(a->copy_to(std::span(values)));
  CHECK(values == std::vector<float>{1, 2, 3});
  const auto h = store->find("h");
  REQUIRE(h);
  CHECK(h->dtype() == stet::dtype::float16);
  CHECK(h->shape().rank() == 0);
  CHECK(h->size_bytes() == 2);
  REQUIRE(store->find("bb"));
  CHECK(store->find("bb")->bytes()[0] == std::byte{7});
  CHECK(stet_test::outcome(store->find("__metadata__")) == "not_found");
}

TEST_CASE("opens from a file: mapped, read and on demand") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("m.safetensors", example_safetensors_file());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto store = stet::open_safetensors(path, {.backing = backing});
    REQUIRE(store);
    std::vector<float> values(3);
    REQUIRE(store->find("a")->copy_to(std::span(values)));
    CHECK(values == std::vector<float>{1, 2, 3});
  }
  const auto missing = stet::open_safetensors(folder.path("none.safetensors"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == stet::errc::file_not_found);
}

TEST_CASE("every dtype of the format, by its name") {
  struct row {
    std::string_view name;
    stet::dtype dtype;
    int bits;
  };
  using stet::dtype;
  constexpr row rows[] = {{"BOOL", dtype::boolean, 8},
                          {"F4", dtype::float4_e2m1fn, 4},
                          {"F6_E2M3", dtype::float6_e2m3fn, 6},
                          {"F6_E3M2", dtype::float6_e3m2fn, 6},
                          {"U8", dtype::uint8, 8},
                          {"I8", dtype::int8, 8},
                          {"F8_E5M2", dtype::float8_e5m2, 8},
                          {"F8_E4M3", dtype::float8_e4m3fn, 8},
                          {"F8_E8M0", dtype::float8_e8m0fnu, 8},
                          {"F8_E4M3FNUZ", dtype::float8_e4m3fnuz, 8},
                          {"F8_E5M2FNUZ", dtype::float8_e5m2fnuz, 8},
                          {"I16", dtype::int16, 16},
                          {"U16", dtype::uint16, 16},
                          {"F16", dtype::float16, 16},
                          {"BF16", dtype::bfloat16, 16},
                          {"I32", dtype::int32, 32},
                          {"U32", dtype::uint32, 32},
                          {"F32", dtype::float32, 32},
                          {"C64", dtype::complex64, 64},
                          {"F64", dtype::float64, 64},
                          {"I64", dtype::int64, 64},
                          {"U64", dtype::uint64, 64}};
  for (const row& each : rows) {
    CAPTURE(each.name);
    const std::size_t size = static_cast<std::size_t>(each.bits) * 4 / 8;
    const std::string file =
        safetensors_file("{\"x\":{\"dtype\":\"" + std::string(each.name) + "\",\"shape\":[2,2],\"data_offsets\":[0," +
                             std::to_string(size) + "]}}",
                         std::string(size, '\1'));
    const auto store = stet::open_safetensors(bytes_of(file));
    REQUIRE(store);
    CHECK(store->find("x")->dtype() == each.dtype);
    CHECK(store->find("x")->size_bytes() == size);
  }
  // The elements of a tensor fill whole bytes.
  CHECK(failure_of_header(R"({"x":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", "ab") == "bad_size x");
  CHECK(failure_of_header(R"({"x":{"dtype":"F6_E2M3","shape":[2],"data_offsets":[0,2]}})", "ab") == "bad_size x");
  for (const std::string_view name : {"f32", "C128", "I4", "U4", "F8_E3M4", "", "F32 "}) {
    CHECK(failure_of_header("{\"x\":{\"dtype\":\"" + std::string(name) + "\",\"shape\":[0],\"data_offsets\":[0,0]}}") ==
          "unknown_dtype x");
  }
}

TEST_CASE("any layout of the header that the reference takes") {
  CHECK(failure_of_header("{}") == "ok");
  CHECK(failure_of_header("{}      ") == "ok");
  CHECK(failure_of_header(" \t\r\n{ } \n\t\r") == "ok");
  CHECK(failure_of_header(R"({"__metadata__":null})") == "ok");
  CHECK(failure_of_header(R"({"__metadata__":{"a":"1","a":"2"}})") == "ok");
  // The fields in any order, escaped, with others among them; the metadata anywhere.
  CHECK(failure_of_header(
            R"({"x":{"data_offsets":[0,2],"note":{"deep":[1,{}]},"shape":[2],"\u0064type":"U8"},"__metadata__":{}})",
            "ab") == "ok");
  // The tensors in any order; empty ones between the others.
  const std::string mixed = safetensors_file(
      R"({"c":{"dtype":"U8","shape":[1],"data_offsets":[3,4]},"e":{"dtype":"F64","shape":[0,7],"data_offsets":[1,1]},)"
      R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
      "wxyz");
  const auto store = stet::open_safetensors(bytes_of(mixed));
  REQUIRE(store);
  std::string names, firsts;
  for (const stet::tensor each : *store) {
    names.append(each.name());
    if (each.size_bytes() != 0) firsts.push_back(static_cast<char>(each.bytes()[0]));
  }
  CHECK(names == "ceab");
  CHECK(firsts == "zwx");
}

TEST_CASE("names are those of the header: escaped, empty, with NULs") {
  const std::string file = safetensors_file(
      R"({"":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a\u0000b":{"dtype":"U8","shape":[],"data_offsets":[1,2]},)"
      R"("\u00e9\ud83d\ude00\n":{"dtype":"U8","shape":[],"data_offsets":[2,3]},"../x":{"dtype":"U8","shape":[],"data_offsets":[3,4]}})",
      "wxyz");
  const auto store = stet::open_safetensors(bytes_of(file));
  REQUIRE(store);
  const std::string_view names[] = {"", "a\0b"sv, "\xC3\xA9\xF0\x9F\x98\x80\n", "../x"};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto found = store->find(names[i]);
    REQUIRE(found);
    CHECK(static_cast<char>(found->bytes()[0]) == "wxyz"[i]);
  }
  const auto one = [](std::size_t size) {
    return "{\"" + std::string(size, 'n') + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})";
  };
  CHECK(failure_of_header(one(stet::max_name_size_bytes)) == "ok");
  CHECK(failure_of_header(one(stet::max_name_size_bytes + 1)).starts_with("bad_name nnn"));
  // The same after decoding: an escape is six bytes of the header for one of the name.
  std::string escaped = "{\"";
  for (std::size_t i = 0; i < stet::max_name_size_bytes; ++i) escaped.append("\\u006e");
  const std::string rest = R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})";
  CHECK(failure_of_header(escaped + rest) == "ok");
  CHECK(failure_of_header(escaped + "\\u006e" + rest).starts_with("bad_name"));
}

TEST_CASE("J4: what occurs twice is refused, where the reference takes the last") {
  const std::string_view data = "ab";
  CHECK(
      failure_of_header(
          R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
          data) == "duplicate_name x");
  CHECK(
      failure_of_header(
          R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"x":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
          data) == "duplicate_name x");
  CHECK(
      failure_of_header(
          R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
          data) == "duplicate_name a");
  for (const std::string_view field : {R"("dtype":"U8")", R"("shape":[2])", R"("data_offsets":[0,2])"}) {
    CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2],)" + std::string(field) + "}}",
                            data) == "duplicate_key x");
  }
  CHECK(failure_of_header(R"({"__metadata__":{},"__metadata__":{}})") == "duplicate_key __metadata__");
}

TEST_CASE("a tensor is read alike however its object is laid out") {
  const struct {
    std::string_view dtype, shape, offsets;
  } rows[] = {
      {"U8", "2", "0,2"},
      {"F16", "1", "0,2"},
      {"U8", "", "0,1"},
      {"F8_E5M2FNUZ", "1,2,1", "0,2"},
      {"F8_E5M2", "2", "0,2"},
      {"U8", "2", "0,3"},
      {"U8", "3", "0,3"},
      {"U8", "02", "0,2"},
      {"U8", "2", "00,2"},
      {"U8", "2,", "0,2"},
      {"U8", ",2", "0,2"},
      {"U8", "2", "0,2,"},
      {"U8", "2", "0"},
      {"U8", "2", "2,0"},
      {"U8", "2", "1,2"},
      {"U9", "2", "0,2"},
      {"U", "2", "0,2"},
      {"U8", "10000000000000000000,0", "0,0"},
      {"U8", "9999999999999999999,0", "0,0"},
      {"U8", "18446744073709551616,0", "0,0"},
      {"U8", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2", "0,2"},
      {"U8", "2", "0,2],\"more\":[1"},
      {"U8", "2", "0,2],\"shape\":[2"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.dtype);
    CAPTURE(row.shape);
    CAPTURE(row.offsets);
    const std::string dtype = "\"dtype\":\"" + std::string(row.dtype) + '"';
    const std::string shape = "\"shape\":[" + std::string(row.shape) + ']';
    const std::string offsets = "\"data_offsets\":[" + std::string(row.offsets) + ']';
    const std::string usual = failure_of_header("{\"x\":{" + dtype + ',' + shape + ',' + offsets + "}}", "ab");
    CHECK(failure_of_header("{\"x\":{" + dtype + ", " + shape + ',' + offsets + "}}", "ab") == usual);
    CHECK(failure_of_header("{\"x\": {" + dtype + ',' + shape + ',' + offsets + "}}", "ab") == usual);
    CHECK(failure_of_header("{\"x\":{" + dtype + ',' + shape + ',' + offsets + " }}", "ab") == usual);
    // A tensor before it, whose dtype is remembered.
    const std::string before = R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{)";
    CHECK(failure_of_header(before + dtype + ',' + shape + ',' + offsets + "}}", "ab") == usual);
  }
  CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "ab") == "ok");
}

TEST_CASE("J1, J2, J5, J6, J9, J10: a header that is wrong is an error that says where") {
  CHECK(failure_of_header("[]") == "wrong_type header");
  CHECK(failure_of_header("\"x\"") == "wrong_type header");
  CHECK(failure_of_header("") == "bad_json header");
  CHECK(failure_of_header("{") == "bad_json header");
  CHECK(failure_of_header("{}x") == "bad_json header");
  CHECK(failure_of_header("{}\0\0"sv) == "bad_json header, padded with NUL bytes");
  CHECK(failure_of_header("{} {}") == "bad_json header");
  CHECK(failure_of_header("{,}") == "bad_json header");
  CHECK(failure_of_header(R"({"x":{},})") == "missing_field x");
  CHECK(failure_of_header("{\"\xFF\":{}}") == "bad_json header");
  CHECK(failure_of_header(R"({"\ud800":{}})") == "bad_json header");
  CHECK(failure_of_header("\xEF\xBB\xBF{}") == "bad_json header");
  CHECK(failure_of_header(R"({"x":["U8",[0],[0,0]]})") == "wrong_type x"); // the reference takes arrays, too
  CHECK(failure_of_header(R"({"x":null})") == "wrong_type x");
  CHECK(failure_of_header(R"({"x":{"dtype":5,"shape":[0],"data_offsets":[0,0]}})") == "wrong_type x");
  CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":0,"data_offsets":[0,0]}})") == "wrong_type x");
  CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":["0"],"data_offsets":[0,0]}})") == "wrong_type x");
  for (const std::string_view number : {"-1", "1.0", "1e2", "-0", "null"}) {
    CAPTURE(number);
    CHECK(failure_of_header("{\"x\":{\"dtype\":\"U8\",\"shape\":[" + std::string(number) +
                            "],\"data_offsets\":[0,0]}}") == "wrong_type x");
    CHECK(failure_of_header("{\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[" + std::string(number) +
                            ",0]}}") == "wrong_type x");
  }
  CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0]}})") ==
        "bad_number header");
  for (const std::string_view offsets : {"[]", "[0]", "[0,0,0]", "{}", "[[0,0]]"}) {
    CAPTURE(offsets);
    CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":)" + std::string(offsets) + "}}") ==
          "wrong_type x");
  }
  CHECK(failure_of_header(R"({"x":{"shape":[0],"data_offsets":[0,0]}})") == "missing_field x");
  CHECK(failure_of_header(R"({"x":{"dtype":"U8","data_offsets":[0,0]}})") == "missing_field x");
  CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":[0]}})") == "missing_field x");
  CHECK(failure_of_header(R"({"__metadata__":{"a":1}})") == "wrong_type __metadata__");
  CHECK(failure_of_header(R"({"__metadata__":["a"]})") == "wrong_type __metadata__");
  // J3: nested without end, in a field that is ignored
  CHECK(failure_of_header(R"({"x":{"note":)" + std::string(200000, '[')) == "too_deep header");

  const std::string file = safetensors_file(R"({"x":{"dtype":"U9"}})");
  const auto opened = stet::open_safetensors(bytes_of(file));
  REQUIRE_FALSE(opened);
  CHECK(opened.error().offset_bytes() == 8 + 18); // behind "U9"
}

TEST_CASE("O: every byte of the data belongs to one tensor") {
  const auto two = [](std::string_view first, std::string_view second, std::string_view sizes) {
    return "{\"a\":{\"dtype\":\"U8\",\"shape\":[" + std::string(1, sizes[0]) + "],\"data_offsets\":[" +
           std::string(first) + "]},\"b\":{\"dtype\":\"U8\",\"shape\":[" + std::string(1, sizes[1]) +
           "],\"data_offsets\":[" + std::string(second) + "]}}";
  };
  CHECK(failure_of_header(two("0,2", "2,4", "22"), "abcd") == "ok");
  CHECK(failure_of_header(two("2,4", "0,2", "22"), "abcd") == "ok");
  CHECK(failure_of_header(two("0,2", "3,5", "22"), "abcde") == "bad_offset b");
  CHECK(failure_of_header(two("1,3", "3,5", "22"), "abcde") == "bad_offset a");
  CHECK(failure_of_header(two("0,2", "1,3", "22"), "abc") == "overlap b");
  CHECK(failure_of_header(two("0,2", "0,2", "22"), "ab") == "overlap b");
  CHECK(failure_of_header(two("0,4", "1,1", "40"), "abcd") == "overlap b"); // empty, but within another
  CHECK(failure_of_header(two("0,4", "0,0", "40"), "abcd") == "ok");
  CHECK(failure_of_header(two("0,4", "4,4", "40"), "abcd") == "ok");
  CHECK(failure_of_header(two("0,2", "2,4", "22"), "abcde") == "trailing_bytes");
  CHECK(failure_of_header(two("0,2", "2,4", "22"), "abc") == "truncated b");
  CHECK(failure_of_header(two("2,0", "0,0", "20"), "ab") == "bad_offset a");
  CHECK(failure_of_header(two("0,2", "2,4", "32"), "abcd") == "bad_size a");
  CHECK(failure_of_header("{}", "a") == "trailing_bytes");
}

TEST_CASE("S: sizes that overflow") {
  const auto shaped = [](std::string_view shape) {
    return failure_of_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[" + std::string(shape) +
                             "],\"data_offsets\":[0,0]}}");
  };
  CHECK(shaped("0,4294967296") == "ok");
  CHECK(shaped("0,18446744073709551615") == "bad_shape x"); // S5: a zero does not hide it; the reference takes it
  CHECK(shaped("18446744073709551615,18446744073709551615,0") == "bad_shape x");
  CHECK(shaped("18446744073709551615,2") == "bad_shape x");
  CHECK(shaped("4611686018427387904") == "bad_shape x"); // its bits overflow
  std::string ones = "1";
  for (std::size_t i = 1; i < stet::max_rank; ++i) ones.append(",1");
  CHECK(failure_of_header("{\"x\":{\"dtype\":\"U8\",\"shape\":[" + ones + "],\"data_offsets\":[0,1]}}", "a") == "ok");
  CHECK(failure_of_header("{\"x\":{\"dtype\":\"U8\",\"shape\":[" + ones + ",1],\"data_offsets\":[0,1]}}", "a") ==
        "bad_shape x");
  CHECK(failure_of_header(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]}})") ==
        "bad_offset x");
  CHECK(failure_of_header(
            R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[9223372036854775807,9223372036854775809]}})") ==
        "truncated x");
}

TEST_CASE("F: the size of the header") {
  CHECK(failure_of("") == "truncated header");
  CHECK(failure_of("\2\0\0\0\0\0\0"sv) == "truncated header");
  CHECK(failure_of(safetensors_file("{}", "", 3)) == "truncated header");
  CHECK(failure_of(safetensors_file("{}", "", 1)) == "bad_json header");
  CHECK(failure_of(safetensors_file("{}", "", 100'000'001)) == "too_large header");
  CHECK(failure_of(safetensors_file("{}", "", ~std::uint64_t{0})) == "too_large header");
}

TEST_CASE("F2, C1: every truncation and every flipped bit is an error or a sound store") {
  const std::string good = example_safetensors_file();
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK(failure_of(std::string_view(good).substr(0, size)) != "ok");
  std::size_t opened_count = 0;
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string flipped = good;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    const stet_test::exact_text block(flipped);
    const auto store = stet::open_safetensors(block.bytes());
    if (!store) continue;
    ++opened_count;
    std::uint64_t sum = 0;
    for (const stet::tensor each : *store) {
      for (const std::byte value : each.bytes()) sum += std::to_integer<std::uint64_t>(value);
    }
    CHECK(sum <= 15 * 255);
  }
  CHECK(opened_count > 15 * 8); // the data are not checked
}

TEST_CASE("memory is the program's, in proportion to the header, and its lack an error") {
  std::string header = "{";
  for (int i = 0; i < 1000; ++i) {
    // From the last byte to the first, so that they have to be sorted.
    header.append(i == 0 ? "\"" : ",\"")
        .append("layer.")
        .append(std::to_string(i))
        .append(R"(":{"dtype":"U8","shape":[1],"data_offsets":[)");
    header.append(std::to_string(999 - i)).append(",").append(std::to_string(1000 - i)).append("]}");
  }
  const std::string file = safetensors_file(header.append("}"), std::string(1000, 'x'));
  stet_test::counted_memory memory;
  {
    const stet_test::allocations counted;
    const auto store = stet::open_safetensors(bytes_of(file), {.memory = &memory});
    REQUIRE(store);
    CHECK(counted.count() == 0);
    CHECK(store->tensor_count() == 1000);
    CHECK(memory.bytes() < 4 * file.size());
    for (std::uint64_t fails_at = 0; fails_at < memory.count(); ++fails_at) {
      stet_test::counted_memory little(fails_at);
      CHECK(stet_test::outcome(stet::open_safetensors(bytes_of(file), {.memory = &little})) == "out_of_memory");
      CHECK(little.live() == 0);
    }
  }
  CHECK(memory.live() == 0);
  CHECK(memory.is_sound());
  // Long names and many extents make entries that are larger than their rows.
  std::string wide = R"({"x":{"dtype":"U8","shape":[1)";
  for (int i = 1; i < 200; ++i) wide.append(",1");
  stet_test::counted_memory grown;
  const std::string wide_file = safetensors_file(wide.append(R"(],"data_offsets":[0,1]}})"), "x");
  CHECK(stet::open_safetensors(bytes_of(wide_file), {.memory = &grown}));
  CHECK(grown.largest_bytes() < 16 * wide_file.size());
}

TEST_CASE("a header means the same, whether it is printed in the usual way or not") {
  // A space in front of the fields: not the usual way.
  constexpr std::string_view begin = R"({"a":{)", spaced = R"({"a":{ )";
  constexpr std::string_view rest =
      R"("dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"U8","shape":[],"data_offsets":[24,25]}})";
  const std::string data(25, 'd');
  const auto content_of = [&](std::string_view header, std::string_view after) {
    const std::string file = safetensors_file(std::string(header).append(after), data);
    const stet_test::exact_text block(file);
    const auto store = stet::open_safetensors(block.bytes());
    if (!store) return failure_of(file);
    std::string text;
    for (const stet::tensor each : *store) {
      text.append(each.name()).append(" ").append(stet::name_of(each.dtype()));
      for (const std::uint64_t extent : each.shape()) text.append(" ").append(std::to_string(extent));
      text.append(" ").append(std::to_string(each.entry().offset_bytes() - (file.size() - data.size()))).append(";");
    }
    return text;
  };
  CHECK(content_of(begin, rest) == "a float32 2 3 0;b uint8 24;");
  CHECK(content_of(spaced, rest) == "a float32 2 3 0;b uint8 24;");
  std::size_t opened = 0;
  for (std::size_t at = 0; at < rest.size(); ++at) {
    for (const char c : " \",:]}[{0126-.eE_FI\\\n\x80"sv) {
      std::string changed(rest);
      changed[at] = c;
      std::string longer(rest);
      longer.insert(at, 1, c);
      for (const std::string& each : {changed, longer}) {
        CAPTURE(each);
        const std::string usual = content_of(begin, each);
        REQUIRE(usual == content_of(spaced, each));
        opened += usual.find(';') != std::string::npos;
      }
    }
    std::string shorter(rest);
    shorter.erase(at, 1);
    REQUIRE(content_of(begin, shorter) == content_of(spaced, shorter));
  }
  CHECK(opened > 20);
  // Numbers of as many digits as there are.
  for (const char* const number : {"18446744073709551615", "18446744073709551616", "999999999999999999",
                                   "1000000000000000000", "0000000000000000001", "00", "1e1", "1.0", "-0"}) {
    CAPTURE(number);
    for (const std::string& shape :
         {"[" + std::string(number) + ",0]", "[0," + std::string(number) + "]", "[" + std::string(number) + "]"}) {
      const std::string fields = R"("dtype":"U8","shape":)" + shape + R"(,"data_offsets":[0,25]}})";
      CHECK(content_of(begin, fields) == content_of(spaced, fields));
    }
    const std::string fields = R"("dtype":"U8","shape":[25],"data_offsets":[0,)" + std::string(number) + "]}}";
    CHECK(content_of(begin, fields) == content_of(spaced, fields));
  }
}

TEST_SUITE_END();
