// SPDX-License-Identifier: MIT
#include <stet/manifest/parse.hpp>
#include <stet/manifest/to_index.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace {

using stet::errc;

/// A manifest around the members of its tensors, and further fields.
std::string with_tensors(std::string_view tensors, std::string_view more = "") {
  return std::string(R"({"stet":{"version":1,"minimum_reader":1},"tensors":{)")
      .append(tensors)
      .append("}")
      .append(more)
      .append("}");
}

/// A manifest of one tensor "t": float32 [2, 3] in bytes 64 … 87 unless `fields` say otherwise.
std::string with_tensor(std::string_view fields) {
  return with_tensors(std::string("\"t\":{").append(fields).append("}"));
}

constexpr std::string_view good_fields = R"("dtype":"float32","shape":[2,3],"offset_bytes":64,"size_bytes":24)";
std::string with_good_tensor(std::string_view more_fields) {
  return with_tensor(std::string(good_fields).append(",").append(more_fields));
}
std::string with_quantization(std::string_view dtype, std::string_view quantization) {
  return with_tensor(std::string(R"("dtype":")")
                         .append(dtype)
                         .append(R"(","shape":[2,3],"offset_bytes":64,"size_bytes":6,"quantization":)")
                         .append(quantization));
}

/// The code that parsing ends in; 0 for success.
errc code_of(std::string_view text) {
  // An allocation of exactly the text's size, so that a sanitizer sees reading beyond it.
  const auto exact = std::make_unique<char[]>(text.size() + (text.empty() ? 1u : 0u));
  for (std::size_t i = 0; i < text.size(); ++i) exact[i] = text[i];
  const auto parsed = stet::parse_manifest({exact.get(), text.size()});
  return parsed ? errc{} : parsed.error().code();
}

/// The code that parsing and then making an index of 1 MiB of data ends in; 0 for success.
errc index_code_of(std::string_view text, bool any_order = false) {
  const auto parsed = stet::parse_manifest(text);
  if (!parsed) return parsed.error().code();
  stet::index_limits limits;
  limits.data_begin_bytes = 64;
  limits.data_end_bytes = 1 << 20;
  limits.foreign = any_order;
  const auto index = stet::make_index(*parsed, limits);
  return index ? errc{} : index.error().code();
}

struct text_case {
  std::string text;
  errc code;
};

void check_all(std::initializer_list<text_case> cases) {
  for (const text_case& each : cases) {
    CAPTURE(each.text.substr(0, 300));
    CHECK(static_cast<int>(code_of(each.text)) == static_cast<int>(each.code));
  }
}
void check_all_indexed(std::initializer_list<text_case> cases) {
  for (const text_case& each : cases) {
    CAPTURE(each.text.substr(0, 300));
    CHECK(static_cast<int>(index_code_of(each.text)) == static_cast<int>(each.code));
  }
}

std::string repeated(std::string_view piece, std::size_t count) {
  std::string text;
  text.reserve(piece.size() * count);
  while (count-- > 0) text += piece;
  return text;
}

} // namespace

TEST_SUITE("manifest/parse") {
  TEST_CASE("reads every field") {
    const auto parsed = stet::parse_manifest(R"( {
      "stet": {"version": 3, "minimum_reader": 1, "later": []},
      "alignment_bytes": 128,
      "data": ["weights.bin", {"path": "b.stet", "size_bytes": 4096, "content_id": "0123456789abcdef", "later": 1}],
      "tensors": {
        "a/b": {"dtype": "int4", "shape": [3, 2], "offset_bytes": 128, "size_bytes": 6, "crc32c": "0a1b2c3d",
                "data": 1, "bits": 8, "note": "x", "trainable": true},
        "q": {"block": {"name": "q4_k", "elements": 256, "size_bytes": 144}, "size_bytes": 144, "offset_bytes": 0,
              "shape": [1, 256], "dtype": "block"},
        "c": {"dtype": "int4", "shape": [3, 2], "offset_bytes": 128, "size_bytes": 6, "crc32c": "0a1b2c3d",
              "data": 1, "bits": 8, "alias_of": "a/b"}
      },
      "later": [1, -1, 1.0], "graph": {"nodes": []}, "state": {"step": 7}, "metadata": {"z": 1, "a": 2}, "last": null } )");
    REQUIRE(parsed);
    if (!parsed) return;
    const stet::manifest& m = *parsed;
    CHECK(m.version == 3);
    CHECK(m.minimum_reader == 1);
    CHECK(m.alignment_bytes == 128);
    REQUIRE(m.parts.size() == 2);
    CHECK(m.parts[0] == stet::manifest_part{"weights.bin", {}, {}});
    CHECK(m.parts[1] == stet::manifest_part{"b.stet", 4096, 0x0123456789ABCDEFu});
    REQUIRE(m.tensors.size() == 3);
    CHECK(m.tensors[0].name == "a/b");
    CHECK(m.tensors[0].dtype == stet::dtype::int4);
    CHECK(m.tensors[0].bits == 8);
    CHECK(m.tensors[0].shape == std::vector<std::uint64_t>{3, 2});
    CHECK(m.tensors[0].part == 1);
    CHECK(m.tensors[0].offset_bytes == 128);
    CHECK(m.tensors[0].size_bytes == 6);
    CHECK(m.tensors[0].crc32c.value_or(0) == 0x0A1B2C3Du);
    CHECK_FALSE(m.tensors[0].alias_of.has_value());
    CHECK(m.tensors[0].attributes.text() == R"({"note":"x","trainable":true})");
    CHECK(m.tensors[1].block == stet::manifest_block{"q4_k", 256, 144});
    CHECK(m.tensors[1].bits == 0);
    CHECK(m.tensors[1].attributes.empty());
    CHECK(m.tensors[2].alias_of.value_or(9) == 0);
    CHECK(m.graph.text() == R"({"nodes":[]})");
    CHECK(m.state.text() == R"({"step":7})");
    CHECK(m.metadata.text() == R"({"z":1,"a":2})");
    CHECK(m.extra.text() == R"({"later":[1,-1,1.0],"last":null})");
  }

  TEST_CASE("J1: the text is an object") {
    check_all({{"[]", errc::wrong_type},
               {"1", errc::wrong_type},
               {"-1.5", errc::wrong_type},
               {"\"a\"", errc::wrong_type},
               {"null", errc::wrong_type},
               {"true", errc::wrong_type},
               {"", errc::bad_json},
               {" \n", errc::bad_json},
               {"{}", errc::missing_field}});
  }

  TEST_CASE("J2: nothing but one JSON value") {
    check_all({{with_tensors(""), errc{}},
               {with_tensors("") + " \t\r\n", errc{}},
               {with_tensors("") + "x", errc::bad_json},
               {with_tensors("") + "{}", errc::bad_json},
               {with_tensors("") + with_tensors(""), errc::bad_json},
               {with_tensors("") + std::string(1, '\0'), errc::bad_json},
               {with_tensors("") + std::string(1, '\0') + "PK\x03\x04", errc::bad_json},
               {"x" + with_tensors(""), errc::bad_json},
               {with_tensors("", ","), errc::bad_json},
               {with_tensors("", R"(,"x":[1,])"), errc::bad_json},
               {with_tensors("", R"(,"x":[1)"), errc::bad_json},
               {with_tensors("", "/* no */"), errc::bad_json},
               {with_tensors("", ",// no\n\"x\":1"), errc::bad_json},
               {with_tensors("", ",'x':1"), errc::bad_json},
               {with_tensors("", ",x:1"), errc::bad_json},
               {with_tensors("", R"(,"x":True)"), errc::bad_json},
               {with_tensors("", R"(,"x")"), errc::bad_json}});
  }

  TEST_CASE("J3: nesting is bounded, in fields that mean nothing, too") {
    // The manifest itself is one level.
    const std::string arrays = repeated("[", 63) + repeated("]", 63),
                      objects = repeated("{\"a\":", 62) + "{}" + repeated("}", 62);
    check_all(
        {{with_tensors("", ",\"x\":" + arrays), errc{}},
         {with_tensors("", ",\"x\":[" + arrays + "]"), errc::too_deep},
         {with_tensors("", ",\"metadata\":" + objects), errc{}},
         {with_tensors("", ",\"metadata\":{\"a\":" + objects + "}"), errc::too_deep},
         {repeated("[", 200000), errc::wrong_type},
         {repeated("{\"a\":", 200000), errc::too_deep},
         {with_tensors("", ",\"x\":" + repeated("[", 200000) + repeated("]", 200000)), errc::too_deep},
         {with_tensors("", ",\"x\":" + repeated("{\"a\":", 200000) + "1" + repeated("}", 200000)), errc::too_deep},
         {with_good_tensor("\"x\":" + repeated("[", 200000)), errc::too_deep},
         {with_tensors("\"t\":" + repeated("[", 200000)), errc::too_deep}});
  }

  TEST_CASE("J4: a key occurs once in its object") {
    const std::string tensor = std::string("{").append(good_fields).append("}");
    std::string many = "\"t0\":" + tensor;
    for (int i = 1; i < 100; ++i) many += ",\"t" + std::to_string(i) + "\":" + tensor;
    check_all({{with_tensors("\"t\":" + tensor + ",\"u\":" + tensor), errc{}},
               {with_tensors("\"t\":" + tensor + ",\"t\":" + tensor), errc::duplicate_key},
               {with_tensors("\"t\":" + tensor + ",\"\\u0074\":" + tensor), errc::duplicate_key},
               {with_tensors(many), errc{}},
               {with_tensors(many + ",\"t42\":" + tensor), errc::duplicate_key},
               {with_good_tensor("\"shape\":[2,3]"), errc::duplicate_key},
               {with_good_tensor("\"x\":1,\"x\":1"), errc::duplicate_key},
               {with_tensors("", R"(,"metadata":{},"metadata":{})"), errc::duplicate_key},
               {with_tensors("", R"(,"metadata":{"a":1,"b":2,"a":1})"), errc::duplicate_key},
               {with_tensors("", R"(,"graph":{"n":[{"a":{"b":1,"b":2}}]})"), errc::duplicate_key},
               {with_tensors("", R"(,"x":1,"y":2,"x":3)"), errc::duplicate_key},
               {with_tensors("", R"(,"tensors":{})"), errc::duplicate_key},
               {with_tensors("", R"(,"stet":{"version":1,"minimum_reader":1})"), errc::duplicate_key},
               {R"({"stet":{"version":1,"version":1,"minimum_reader":1},"tensors":{}})", errc::duplicate_key},
               {with_tensors("", R"(,"data":[{"path":"a","path":"b"}])"), errc::duplicate_key}});
  }

  TEST_CASE("J5: strings are UTF-8") {
    check_all({{"\xEF\xBB\xBF" + with_tensors(""), errc::bad_json},
               {with_tensors("", ",\"x\":\"\xC0\xAF\""), errc::bad_json},
               {with_tensors("", ",\"x\":\"\xED\xA0\x80\""), errc::bad_json},
               {with_tensors("", ",\"x\":\"\xF4\x90\x80\x80\""), errc::bad_json},
               {with_tensors("", ",\"x\":\"\xFF\""), errc::bad_json},
               {with_tensors("", ",\"\xE2\x82\":1"), errc::bad_json},
               {with_tensors("", R"(,"x":"\ud800")"), errc::bad_json},
               {with_tensors("", R"(,"x":"\udc00")"), errc::bad_json},
               {with_tensors("", R"(,"x":"\ud800\u0041")"), errc::bad_json},
               {with_tensors("", R"(,"x":"\ud83d\ude00")"), errc{}},
               {with_tensors("", ",\"x\":\"a\nb\""), errc::bad_json},
               {with_tensors("", R"(,"x":"\x")"), errc::bad_json},
               {with_tensors("", R"(,"x":"a\u0000b")"), errc{}},
               {with_tensors("\"a\\u0000b\":{" + std::string(good_fields) + "}"), errc::bad_name},
               {with_tensors("\"\":{" + std::string(good_fields) + "}"), errc::bad_name}});
  }

  TEST_CASE("J6: numbers") {
    for (const std::string_view number :
         {"-1", "-0", "1.0", "4.7", "1e3", "1e400", "18446744073709551616", "18446744073709551617",
          "-9223372036854775808", "-9223372036854775809", "0.0", "1E2"}) {
      CAPTURE(number);
      const std::string n(number);
      CHECK(code_of(with_tensor(R"("dtype":"int8","shape":[)" + n + R"(],"offset_bytes":64,"size_bytes":1)")) ==
            errc::bad_number);
      CHECK(code_of(with_tensor(R"("dtype":"int8","shape":[],"offset_bytes":)" + n + R"(,"size_bytes":1)")) ==
            errc::bad_number);
      CHECK(code_of(with_tensor(R"("dtype":"int8","shape":[],"offset_bytes":64,"size_bytes":)" + n)) ==
            errc::bad_number);
      CHECK(code_of(with_tensors("", ",\"alignment_bytes\":" + n)) == errc::bad_number);
      CHECK(code_of(with_good_tensor("\"data\":" + n)) == errc::bad_number);
      CHECK(code_of(with_good_tensor("\"bits\":" + n)) == errc::bad_number);
    }
    for (const std::string_view number :
         {"01", "+1", "NaN", "Infinity", "-", "1.", ".5", "0x10", "1e", "--1", "1_000"}) {
      CAPTURE(number);
      CHECK(code_of(with_tensors("", ",\"x\":" + std::string(number))) == errc::bad_json);
      CHECK(code_of(with_tensor(R"("dtype":"int8","shape":[)" + std::string(number) + "]")) == errc::bad_json);
    }
    check_all(
        {{with_tensor(R"("dtype":"int8","shape":[9007199254740993],"offset_bytes":0,"size_bytes":9007199254740993)"),
          errc{}},
         {with_tensor(R"("dtype":"int8","shape":[18446744073709551615],"offset_bytes":0,"size_bytes":0)"), errc{}},
         {with_tensors("", R"(,"x":1e400)"), errc::bad_number},
         {with_tensors("", R"(,"x":-1e400)"), errc::bad_number},
         {with_tensors("", R"(,"metadata":{"x":[18446744073709551616]})"), errc::bad_number},
         {with_tensors("", R"(,"x":[18446744073709551615,-9223372036854775808,5e-324,1e308])"), errc{}},
         {with_good_tensor("\"bits\":256"), errc::bad_number},
         {with_good_tensor("\"data\":4294967296"), errc::bad_number}});
    const auto parsed = stet::parse_manifest(
        with_tensor(R"("dtype":"int8","shape":[9007199254740993],"offset_bytes":0,"size_bytes":18446744073709551615)"));
    REQUIRE(parsed);
    if (!parsed) return;
    CHECK(parsed->tensors[0].shape[0] == 9007199254740993u);
    CHECK(parsed->tensors[0].size_bytes == 18446744073709551615u);
  }

  TEST_CASE("J7: long strings, long keys, many keys") {
    const std::string megabyte(1 << 20, 'k');
    CHECK(code_of(with_tensors("", ",\"x\":\"" + repeated(megabyte, 10) + "\"")) == errc{});
    CHECK(code_of(with_tensors("", ",\"" + megabyte + "\":1")) == errc{});
    CHECK(code_of(with_tensors("\"" + megabyte + "\":{" + std::string(good_fields) + "}")) == errc::bad_name);
    CHECK(code_of(with_tensors("\"" + std::string(65535, 'k') + "\":{" + std::string(good_fields) + "}")) == errc{});
    CHECK(code_of(with_tensors("\"" + std::string(65536, 'k') + "\":{" + std::string(good_fields) + "}")) ==
          errc::bad_name);
    std::string keys;
    for (int i = 0; i < 300000; ++i) keys += ",\"k" + std::to_string(i) + "\":0";
    CHECK(code_of(with_tensors("", keys)) == errc{});
    CHECK(code_of(with_tensors("", keys + ",\"k12345\":0")) == errc::duplicate_key);
    CHECK(code_of(with_tensors("", ",\"metadata\":{\"a\":0" + keys + ",\"k299999\":0}")) == errc::duplicate_key);
    CHECK(code_of(with_good_tensor("\"a\":0" + keys)) == errc{});
  }

  TEST_CASE("a large member that is followed by many is not copied again for each") {
    // 40 levels, each with a first member that is large because all others are in it.
    std::string text = "{\"a\":[" + repeated("1,", 500000) + "1]";
    for (int level = 0; level < 40; ++level) {
      text = "{\"a\":" + text;
      for (int i = 0; i < 200; ++i) text += ",\"b" + std::to_string(i) + "\":0";
      text += "}";
    }
    text += "}";
    CHECK(code_of(with_tensors("", ",\"metadata\":" + text)) == errc{});
  }

  TEST_CASE("a text over the limit is refused unread") {
    const std::string text = with_tensors("");
    stet::manifest_limits limits;
    limits.size_bytes = text.size();
    CHECK(stet::parse_manifest(text, limits));
    limits.size_bytes = text.size() - 1;
    const auto refused = stet::parse_manifest(text, limits);
    REQUIRE_FALSE(refused);
    if (!refused) CHECK(refused.error().code() == errc::too_large);
  }

  TEST_CASE("J9: each required field is required, and named") {
    const struct {
      std::string text;
      std::string_view subject;
    } cases[] = {
        {R"({"tensors":{}})", "stet"},
        {R"({"stet":{"version":1,"minimum_reader":1}})", "tensors"},
        {R"({"stet":{"version":1},"tensors":{}})", "minimum_reader"},
        {R"({"stet":{"minimum_reader":1},"tensors":{}})", "version"},
        {with_tensor(R"("shape":[],"offset_bytes":0,"size_bytes":0)"), "dtype of t"},
        {with_tensor(R"("dtype":"int8","offset_bytes":0,"size_bytes":0)"), "shape of t"},
        {with_tensor(R"("dtype":"int8","shape":[],"size_bytes":0)"), "offset_bytes of t"},
        {with_tensor(R"("dtype":"int8","shape":[],"offset_bytes":0)"), "size_bytes of t"},
        {with_tensor(""), "dtype of t"},
        {with_tensor(R"("dtype":"block","shape":[],"offset_bytes":0,"size_bytes":0)"), "block of t"},
        {with_tensor(
             R"("dtype":"block","block":{"name":"q","elements":32},"shape":[],"offset_bytes":0,"size_bytes":0)"),
         "size_bytes of t"},
        {with_tensors("", R"(,"data":[{}])"), "path"},
    };
    for (const auto& each : cases) {
      CAPTURE(each.text);
      const auto parsed = stet::parse_manifest(each.text);
      REQUIRE_FALSE(parsed);
      if (parsed) continue;
      CHECK(parsed.error().code() == errc::missing_field);
      CHECK(parsed.error().subject() == each.subject);
    }
  }

  TEST_CASE("J10: each field has its JSON type") {
    for (const std::string_view value : {"null", "true", "[]", "[1]", "\"a\"", "{}", "1", "1.5"}) {
      CAPTURE(value);
      const std::string v(value);
      const bool is_object = value == "{}", is_array = value[0] == '[', is_number = value[0] == '1',
                 is_string = value[0] == '"';
      const auto has_wrong_type = [](const std::string& text) { return code_of(text) == errc::wrong_type; };
      CHECK(has_wrong_type(with_tensors("", ",\"graph\":" + v)) == !is_object);
      CHECK(has_wrong_type(with_tensors("", ",\"state\":" + v)) == !is_object);
      CHECK(has_wrong_type(with_tensors("", ",\"metadata\":" + v)) == !is_object);
      CHECK(has_wrong_type(with_tensors("", ",\"alignment_bytes\":" + v)) == !is_number);
      CHECK(has_wrong_type(with_tensors("", ",\"data\":" + v)) == (!is_array || value == "[1]"));
      CHECK(has_wrong_type(with_tensors("", ",\"data\":[" + v + "]")) == (!is_string && !is_object));
      CHECK(has_wrong_type(with_tensors("", ",\"data\":[{\"path\":" + v + "}]")) == !is_string);
      CHECK(has_wrong_type(with_tensors("", ",\"data\":[{\"path\":\"a\",\"size_bytes\":" + v + "}]")) == !is_number);
      CHECK(has_wrong_type(with_tensors("", ",\"data\":[{\"path\":\"a\",\"content_id\":" + v + "}]")) == !is_string);
      CHECK(has_wrong_type("{\"stet\":" + v + ",\"tensors\":{}}") == !is_object);
      CHECK(has_wrong_type("{\"stet\":{\"version\":" + v + ",\"minimum_reader\":1},\"tensors\":{}}") == !is_number);
      CHECK(has_wrong_type("{\"stet\":{\"version\":1,\"minimum_reader\":" + v + "},\"tensors\":{}}") == !is_number);
      CHECK(has_wrong_type("{\"stet\":{\"version\":1,\"minimum_reader\":1},\"tensors\":" + v + "}") == !is_object);
      CHECK(has_wrong_type(with_tensors("\"t\":" + v)) == !is_object);
      CHECK(has_wrong_type(with_tensor("\"dtype\":" + v)) == !is_string);
      CHECK(has_wrong_type(with_tensor("\"shape\":" + v)) == !is_array);
      CHECK(has_wrong_type(with_tensor("\"shape\":[" + v + "]")) == !is_number);
      CHECK(has_wrong_type(with_tensor("\"offset_bytes\":" + v)) == !is_number);
      CHECK(has_wrong_type(with_tensor("\"size_bytes\":" + v)) == !is_number);
      CHECK(has_wrong_type(with_tensor("\"crc32c\":" + v)) == !is_string);
      CHECK(has_wrong_type(with_tensor("\"data\":" + v)) == !is_number);
      CHECK(has_wrong_type(with_tensor("\"bits\":" + v)) == !is_number);
      CHECK(has_wrong_type(with_tensor("\"block\":" + v)) == !is_object);
      CHECK(has_wrong_type(with_tensor("\"block\":{\"name\":" + v + "}")) == !is_string);
      CHECK(has_wrong_type(with_tensor("\"block\":{\"elements\":" + v + "}")) == !is_number);
      CHECK(has_wrong_type(with_tensor("\"alias_of\":" + v)) == !is_string);
      CHECK(has_wrong_type(with_good_tensor("\"trainable\":" + v)) == (value != "true"));
      CHECK(has_wrong_type(with_good_tensor("\"quantization\":" + v)) == !is_object);
    }
  }

  TEST_CASE("J11, J12: names never become paths and are compared bytewise") {
    const std::string tensor = ":{" + std::string(good_fields) + "}";
    // The last two are equal after Unicode normalisation.
    const std::string_view names[] = {"__metadata__", "..",      "../x",  "/",        "a/b",      "a\\\\b",
                                      "stet",         "tensors", "dtype", "\xC3\xA9", "e\xCC\x81"};
    std::string tensors;
    for (const std::string_view name : names)
      tensors += (tensors.empty() ? "\"" : ",\"") + std::string(name) + "\"" + tensor;
    const auto parsed = stet::parse_manifest(with_tensors(tensors));
    REQUIRE(parsed);
    if (parsed) CHECK(parsed->tensors.size() == std::size(names));
  }

  TEST_CASE("versions") {
    const auto versions = [](std::string_view version, std::string_view minimum) {
      return std::string(R"({"stet":{"version":)")
          .append(version)
          .append(R"(,"minimum_reader":)")
          .append(minimum)
          .append(R"(},"tensors":{}})");
    };
    check_all({{versions("1", "1"), errc{}},
               {versions("99", "1"), errc{}},
               {versions("2", "2"), errc::newer_format},
               {versions("4294967295", "4294967295"), errc::newer_format},
               {versions("4294967296", "1"), errc::bad_number},
               {versions("1", "0"), errc::bad_header},
               {versions("0", "0"), errc::bad_header},
               {versions("0", "1"), errc::bad_header},
               // That the store is newer is said before anything that an older reader misunderstands.
               {R"({"stet":{"version":2,"minimum_reader":2},"tensors":{"t":{"dtype":"float3"}},"alignment_bytes":"a"})",
                errc::newer_format}});
  }

  TEST_CASE("O5: alignment") {
    for (const std::string_view good : {"1", "2", "64", "16384", "65536"})
      CHECK(code_of(with_tensors("", ",\"alignment_bytes\":" + std::string(good))) == errc{});
    for (const std::string_view bad : {"0", "3", "65535", "131072", "2147483648", "9223372036854775808"}) {
      CHECK(code_of(with_tensors("", ",\"alignment_bytes\":" + std::string(bad))) == errc::bad_alignment);
    }
  }

  TEST_CASE("T1: dtypes") {
    for (const stet::dtype_description& row : stet::dtype_table) {
      if (row.dtype == stet::dtype::block) continue;
      CHECK(code_of(with_tensor("\"dtype\":\"" + std::string(row.name) +
                                R"(","shape":[0],"offset_bytes":0,"size_bytes":0)")) == errc{});
    }
    const auto fields = [](std::string_view dtype, std::string_view more) {
      return with_tensor(std::string(R"("dtype":")")
                             .append(dtype)
                             .append(R"(","shape":[],"offset_bytes":64,"size_bytes":1)")
                             .append(more));
    };
    constexpr std::string_view block = R"(,"block":{"name":"q","elements":32,"size_bytes":18})";
    check_all({{fields("float", ""), errc::unknown_dtype},
               {fields("Float32", ""), errc::unknown_dtype},
               {fields("", ""), errc::unknown_dtype},
               {fields("f32\\u0000", ""), errc::unknown_dtype},
               {fields("int4", R"(,"bits":8)"), errc{}},
               {fields("int4", R"(,"bits":4)"), errc{}},
               {fields("int4", R"(,"bits":5)"), errc::unknown_dtype},
               {fields("int4", R"(,"bits":0)"), errc::unknown_dtype},
               {fields("float32", R"(,"bits":8)"), errc::unknown_dtype},
               {fields("string", R"(,"bits":8)"), errc::unknown_dtype},
               {fields("float32", block), errc::unknown_dtype},
               {fields("block", block), errc{}},
               {fields("block", std::string(block) + R"(,"bits":8)"), errc::unknown_dtype},
               {fields("block", R"(,"block":{"name":"","elements":32,"size_bytes":18})"), errc::bad_name},
               {fields("block", R"(,"block":{"name":"q","elements":0,"size_bytes":18})"), errc::bad_number},
               {fields("block", R"(,"block":{"name":"q","elements":32,"size_bytes":0})"), errc::bad_number},
               {fields("block", R"(,"block":{"name":"q","elements":4294967296,"size_bytes":18})"), errc::bad_number}});
  }

  TEST_CASE("C2: checksums and content ids have one form") {
    for (const std::string_view bad :
         {"", "0a1b2c3", "0a1b2c3d0", "0A1B2C3D", "0x1b2c3d", "0a1b2c3g", " a1b2c3d", "crc:0000"}) {
      CAPTURE(bad);
      CHECK(code_of(with_good_tensor("\"crc32c\":\"" + std::string(bad) + "\"")) == errc::bad_checksum_field);
      CHECK(code_of(with_tensors("", ",\"data\":[{\"path\":\"a\",\"content_id\":\"" + std::string(bad) + "\"}]")) ==
            errc::bad_checksum_field);
    }
    CHECK(code_of(with_good_tensor("\"crc32c\":\"ffffffff\"")) == errc{});
    CHECK(code_of(with_good_tensor("\"crc32c\":null")) == errc::wrong_type);
  }

  TEST_CASE("T5: quantization") {
    check_all(
        {{with_quantization("int8", R"({})"), errc{}},
         {with_quantization("int8", R"({"scheme":"anything","scales":0.5,"zero_points":-3,"x":[{}]})"), errc{}},
         {with_quantization("int8", R"({"scales":[0.5,1,2e-3],"zero_points":[-128,0,127],"axis":1})"), errc{}},
         {with_quantization("int8", R"({"scales":[0.5],"zero_points":[1],"axis":1})"), errc{}},
         {with_quantization("int8", R"({"scales":"t/scales","zero_points":"t/zero_points","axis":0})"), errc{}},
         {with_quantization("int8", R"({"scales":"t/scales","zero_points":[1,2],"axis":0})"), errc{}},
         {with_quantization("int8", R"({"scales":0})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":0.0})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":-0.5})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":-1})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":null})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":[0.5,"a",1],"axis":1})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":1e400})"), errc::bad_number},
         {with_quantization("int8", R"({"scales":NaN})"), errc::bad_json},
         {with_quantization("int8", R"({"scales":[0.5,1]})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":[0.5,1],"axis":1})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":[],"axis":1})"), errc::bad_quantization},
         {with_quantization("int8", R"({"axis":2})"), errc::bad_quantization},
         {with_quantization("int8", R"({"axis":-1})"), errc::bad_quantization},
         {with_quantization("int8", R"({"axis":1.0})"), errc::bad_quantization},
         {with_quantization("int8", R"({"axis":"1"})"), errc::bad_quantization},
         {with_quantization("int8", R"({"axis":18446744073709551615})"), errc::bad_quantization},
         {with_quantization("int8", R"({"zero_points":128})"), errc::bad_quantization},
         {with_quantization("int8", R"({"zero_points":-129})"), errc::bad_quantization},
         {with_quantization("int8", R"({"zero_points":0.5})"), errc::bad_quantization},
         {with_quantization("int8", R"({"zero_points":[0,0],"axis":1})"), errc::bad_quantization},
         {with_quantization("int8", R"({"scales":[1,1,1],"zero_points":0,"axis":1})"), errc::bad_quantization},
         {with_quantization("uint8", R"({"zero_points":255})"), errc{}},
         {with_quantization("uint8", R"({"zero_points":256})"), errc::bad_quantization},
         {with_quantization("uint8", R"({"zero_points":-1})"), errc::bad_quantization},
         {with_quantization("int4", R"({"zero_points":[-8,7],"axis":0})"), errc{}},
         {with_quantization("int4", R"({"zero_points":8})"), errc::bad_quantization},
         {with_quantization("uint2", R"({"zero_points":4})"), errc::bad_quantization},
         {with_quantization("int64", R"({"zero_points":[-9223372036854775808,9223372036854775807],"axis":0})"), errc{}},
         {with_quantization("int64", R"({"zero_points":9223372036854775808})"), errc::bad_quantization},
         {with_quantization("uint64", R"({"zero_points":18446744073709551615})"), errc{}},
         {with_quantization("float8_e4m3fn", R"({"zero_points":0,"scales":2})"), errc{}},
         {with_quantization("float8_e4m3fn", R"({"zero_points":0.5})"), errc::bad_quantization}});
  }

  TEST_CASE("P1: parts are plain files beside the manifest") {
    for (const std::string_view bad :
         {"",         ".",         "..",       "../x",    "/abs",      "a/b",      "a/../../x",
          "./a",      "a/",        "a\\\\b",   "..\\\\x", "C:x",       "C:\\\\x",  "\\\\\\\\?\\\\x",
          "x:stream", "a\\u0000b", "a\\u0000", "\\n",     "a\\u001bb", "a\\u007f", "a\\u0085",
          "a.",       "a ",        "...",      ".. "}) {
      CAPTURE(bad);
      CHECK(code_of(with_tensors("", ",\"data\":[\"" + std::string(bad) + "\"]")) == errc::bad_path);
      CHECK(code_of(with_tensors("", ",\"data\":[\"ok\",{\"path\":\"" + std::string(bad) + "\"}]")) == errc::bad_path);
    }
    // Nothing decodes these: they are names like any other.
    for (const std::string_view good :
         {"a", ".hidden", "%2e%2e%2fx", "\xEF\xBC\x8E\xEF\xBC\x8E", "w..bin", "\xC3\xA9.bin", " a"}) {
      CAPTURE(good);
      CHECK(code_of(with_tensors("", ",\"data\":[\"" + std::string(good) + "\"]")) == errc{});
    }
    CHECK(code_of(with_tensors("", ",\"data\":[\"" + std::string(255, 'a') + "\"]")) == errc{});
    CHECK(code_of(with_tensors("", ",\"data\":[\"" + std::string(256, 'a') + "\"]")) == errc::bad_path);
    CHECK(code_of(with_tensors("", R"(,"data":["a","b",{"path":"a"}])")) == errc::duplicate_part);
    std::string many = "\"p\"";
    for (int i = 0; i < 100000; ++i) many += ",\"p" + std::to_string(i) + "\"";
    CHECK(code_of(with_tensors("", ",\"data\":[" + many + "]")) == errc{});
    CHECK(code_of(with_tensors("", ",\"data\":[" + many + ",\"p777\"]")) == errc::duplicate_part);
    const std::string second = with_tensors("\"t\":{" + std::string(good_fields) + ",\"data\":1}", R"(,"data":["a"])");
    CHECK(code_of(second) == errc::missing_part);
    CHECK(code_of(with_good_tensor("\"data\":1")) == errc::missing_part);
  }

  TEST_CASE("O10: aliases") {
    const std::string good(good_fields);
    const auto alias = [&](std::string_view name, std::string_view of) {
      return "\"" + std::string(name) + "\":{" + good + ",\"alias_of\":\"" + std::string(of) + "\"}";
    };
    const std::string original = "\"a\":{" + good + "}";
    check_all_indexed(
        {{with_tensors(original + "," + alias("b", "a") + "," + alias("c", "a")), errc{}},
         {with_tensors(original + "," + alias("b", "x")), errc::bad_alias},
         {with_tensors(original + "," + alias("b", "")), errc::bad_alias},
         {with_tensors(original + "," + alias("b", "b")), errc::bad_alias},
         {with_tensors(alias("b", "a") + "," + original), errc::bad_alias},
         {with_tensors(alias("a", "b") + "," + alias("b", "a")), errc::bad_alias},
         {with_tensors(original + "," + alias("b", "a") + "," + alias("c", "b")), errc::bad_alias},
         {with_tensors(original +
                       R"(,"b":{"dtype":"int32","shape":[2,3],"offset_bytes":64,"size_bytes":24,"alias_of":"a"})"),
          errc::bad_alias},
         {with_tensors(original +
                       R"(,"b":{"dtype":"float32","shape":[3,2],"offset_bytes":64,"size_bytes":24,"alias_of":"a"})"),
          errc::bad_alias},
         {with_tensors(original +
                       R"(,"b":{"dtype":"float32","shape":[2,3],"offset_bytes":68,"size_bytes":24,"alias_of":"a"})"),
          errc::bad_alias},
         {with_tensors(original + ",\"b\":{" + good + R"(,"crc32c":"00000000","alias_of":"a"})"), errc::bad_alias},
         {with_tensors(original + ",\"b\":{" + good + "}"), errc::overlap}});
  }

  TEST_CASE("S1 … S12: shapes and sizes") {
    const auto sized = [](std::string_view dtype, std::string_view shape, std::string_view size,
                          std::string_view more = "") {
      return with_tensor(std::string(R"("dtype":")")
                             .append(dtype)
                             .append(R"(","shape":)")
                             .append(shape)
                             .append(R"(,"offset_bytes":)")
                             .append(size == "0" ? "0" : "64")
                             .append(",\"size_bytes\":")
                             .append(size)
                             .append(more));
    };
    const std::string block = R"(,"block":{"name":"q","elements":32,"size_bytes":18})";
    check_all_indexed({{sized("float32", "[4294967296,4294967296]", "0"), errc::bad_shape},
                       {sized("float32", "[9223372036854775808,2]", "0"), errc::bad_shape},
                       {sized("float32", "[18446744073709551615]", "0"), errc::bad_shape},
                       {sized("float32", "[18446744073709551615]", "18446744073709551612"), errc::bad_shape},
                       {sized("float32", "[4611686018427387904]", "0"), errc::bad_shape},
                       {sized("uint8", "[9223372036854775808]", "9223372036854775808"), errc::bad_shape},
                       {sized("uint8", "[9223372036854775807]", "9223372036854775807"), errc::bad_offset},
                       {sized("float32", "[0,18446744073709551615]", "0"), errc::bad_shape},
                       {sized("float32", "[18446744073709551615,0]", "0"), errc::bad_shape},
                       {sized("float32", "[4294967296,0,4294967296]", "0"), errc::bad_shape},
                       {sized("float32", "[0,5]", "0"), errc{}},
                       {sized("float32", "[]", "4"), errc{}},
                       {sized("float32", "[]", "0"), errc::bad_size},
                       {sized("uint8", "[" + repeated("1,", 253) + "1]", "1"), errc{}},
                       {sized("uint8", "[" + repeated("1,", 254) + "1]", "1"), errc::bad_shape},
                       {sized("uint8", "[" + repeated("1,", 999999) + "1]", "1"), errc::bad_shape},
                       {sized("int4", "[3]", "2"), errc{}},
                       {sized("int4", "[3]", "1"), errc::bad_size},
                       {sized("int4", "[3]", "3"), errc::bad_size},
                       {sized("int4", "[3]", "3", R"(,"bits":8)"), errc{}},
                       {sized("float6_e2m3fn", "[3]", "3"), errc{}},
                       {sized("float6_e2m3fn", "[3]", "2"), errc::bad_size},
                       {sized("block", "[64]", "36", block), errc{}},
                       {sized("block", "[63]", "36", block), errc::bad_shape},
                       {sized("block", "[64]", "35", block), errc::bad_size},
                       {sized("float32", "[3]", "11"), errc::bad_size},
                       {sized("float32", "[3]", "13"), errc::bad_size},
                       {sized("string", "[2]", "24"), errc{}},
                       {sized("string", "[2]", "23"), errc::bad_size},
                       {sized("string", "[0]", "8"), errc{}},
                       {sized("string", "[0]", "0"), errc::bad_size},
                       {sized("string", "[2305843009213693951]", "24"), errc::bad_shape}});
  }

  TEST_CASE("O1 … O9: offsets") {
    const auto placed = [](std::initializer_list<std::pair<std::string_view, std::string_view>> places,
                           std::string_view alignment = "1") {
      std::string tensors;
      for (const auto& [offset, size] : places) {
        const std::string number = std::to_string(tensors.size());
        tensors += (tensors.empty() ? "\"t" : ",\"t") + number + R"(":{"dtype":"uint8","shape":[)" + std::string(size) +
                   R"(],"offset_bytes":)" + std::string(offset) + R"(,"size_bytes":)" + std::string(size) + "}";
      }
      return with_tensors(tensors, ",\"alignment_bytes\":" + std::string(alignment));
    };
    check_all_indexed({{placed({{"64", "10"}, {"74", "6"}}), errc{}},
                       {placed({{"1048566", "10"}}), errc{}},
                       {placed({{"1048567", "10"}}), errc::bad_offset},
                       {placed({{"18446744073709551610", "10"}}), errc::bad_offset},
                       {placed({{"18446744073709551615", "1"}}), errc::bad_offset},
                       {placed({{"63", "10"}}), errc::bad_offset},
                       {placed({{"0", "10"}}), errc::bad_offset},
                       {placed({{"128", "10"}}, "64"), errc{}},
                       {placed({{"129", "10"}}, "64"), errc::bad_offset},
                       {placed({{"64", "0"}}), errc::bad_offset},
                       {placed({{"0", "0"}}), errc{}},
                       {placed({{"64", "10"}, {"64", "10"}}), errc::overlap},
                       {placed({{"64", "10"}, {"73", "10"}}), errc::overlap},
                       {placed({{"64", "10"}, {"66", "2"}}), errc::overlap},
                       {placed({{"74", "6"}, {"64", "10"}}), errc::overlap}});
    CHECK(index_code_of(placed({{"74", "6"}, {"0", "0"}, {"64", "10"}}), true) == errc{});
    CHECK(index_code_of(placed({{"73", "6"}, {"64", "10"}}), true) == errc::overlap);
    CHECK(index_code_of(placed({{"64", "100"}, {"164", "1"}, {"70", "2"}}), true) == errc::overlap);
    CHECK(index_code_of(placed({{"64", "10"}, {"64", "10"}}), true) == errc::overlap);
    CHECK(index_code_of(placed({{"70", "0"}}), true) == errc::bad_offset);
    const auto parsed = stet::parse_manifest(placed({{"100", "6"}, {"64", "37"}}));
    REQUIRE(parsed);
    if (!parsed) return;
    stet::index_limits limits;
    limits.data_end_bytes = 1000;
    limits.foreign = true;
    const auto overlapping = stet::make_index(*parsed, limits);
    REQUIRE_FALSE(overlapping);
    if (!overlapping) CHECK(overlapping.error().subject() == "t0");
  }

  TEST_CASE("errors say where and about what") {
    const std::string text = with_tensors("\"dense/kernel\":{\"dtype\":\"float32\",\"shape\":[-1]}");
    const auto negative = stet::parse_manifest(text);
    REQUIRE_FALSE(negative);
    if (negative) return;
    CHECK(negative.error().subject() == "shape of dense/kernel");
    CHECK(negative.error().offset_bytes() >= text.find("[-1]"));
    CHECK(negative.error().offset_bytes() <= text.size());
    const std::string broken = with_tensors("", ",\"x\":[1,?]");
    const auto syntax = stet::parse_manifest(broken);
    REQUIRE_FALSE(syntax);
    if (syntax) return;
    CHECK(syntax.error().offset_bytes() == broken.find('?'));
    const std::string unfinished = broken.substr(0, broken.find('?'));
    const auto ended = stet::parse_manifest(unfinished);
    REQUIRE_FALSE(ended);
    if (ended) return;
    CHECK(ended.error().offset_bytes() == unfinished.size());
  }

  static constexpr std::string_view small_manifest =
      R"({"stet":{"version":1,"minimum_reader":1},"alignment_bytes":64,"data":["a.bin",{"path":"b","size_bytes":9,)"
      R"("content_id":"0123456789abcdef"}],"tensors":{"\u00e9/k":{"dtype":"int8","shape":[2,3],"offset_bytes":64,)"
      R"("size_bytes":6,"crc32c":"0a1b2c3d","quantization":{"scales":[0.5,1],"axis":0,"zero_points":[1,-2]},"trainable":true},)"
      R"("b":{"dtype":"block","shape":[32],"offset_bytes":0,"size_bytes":18,"data":1,"block":{"name":"q","elements":32,)"
      R"("size_bytes":18}},"c":{"dtype":"int8","shape":[2,3],"offset_bytes":64,"size_bytes":6,"crc32c":"0a1b2c3d",)"
      R"("alias_of":"\u00e9/k"}},"graph":{"n":[null,{}]},"metadata":{"x":-1.5e3,"y":"\ud83d\ude00"},"later":[true,false]})";

  TEST_CASE("every truncation is an error") {
    CHECK(code_of(small_manifest) == errc{});
    for (std::size_t size = 0; size < small_manifest.size(); ++size) {
      CAPTURE(size);
      CHECK(code_of(small_manifest.substr(0, size)) != errc{});
    }
  }

  TEST_CASE("every change of a byte gives a manifest or an error") {
    int accepted = 0;
    for (std::size_t at = 0; at < small_manifest.size(); ++at) {
      for (const int bit : {0, 1, 2, 3, 4, 5, 6, 7}) {
        std::string changed(small_manifest);
        changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
        accepted += index_code_of(changed) == errc{} ? 1 : 0;
      }
      for (const char c : {'"', '{', '}', '[', ']', ',', ':', '\\', '0', '-', '\0', '\xFF'}) {
        std::string changed(small_manifest);
        changed[at] = c;
        accepted += code_of(changed) == errc{} ? 1 : 0;
      }
    }
    CHECK(accepted > 0);
  }

  TEST_CASE("J13: names made to collide cost no more than others") {
    // The index gives up when no seed keeps them apart; nothing takes quadratic time. Equal hashes for one
    // seed need not be equal for another, so these are only a sample of a flood: many names of one long
    // common beginning.
    std::string tensors;
    const std::string beginning(1000, 'x');
    for (int i = 0; i < 5000; ++i) {
      tensors += (i == 0 ? "\"" : ",\"") + beginning + std::to_string(i) +
                 R"(":{"dtype":"int8","shape":[0],"offset_bytes":0,"size_bytes":0})";
    }
    CHECK(index_code_of(with_tensors(tensors)) == errc{});
  }
}
