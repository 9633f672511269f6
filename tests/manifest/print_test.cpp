// SPDX-License-Identifier: MIT
#include <stet/json.hpp>
#include <stet/manifest/check.hpp>
#include <stet/manifest/parse.hpp>
#include <stet/manifest/print.hpp>
#include <stet/manifest/to_index.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::errc;
using stet::json_value;

stet::manifest_tensor tensor_of(std::string name, stet::dtype dtype, std::vector<std::uint64_t> shape,
                                std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  stet::manifest_tensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.bits = stet::describe(dtype).bits;
  tensor.shape = std::move(shape);
  tensor.offset_bytes = offset_bytes;
  tensor.size_bytes = size_bytes;
  return tensor;
}

/// A manifest that uses every field.
stet::manifest full_manifest() {
  stet::manifest m;
  m.version = 3;
  m.alignment_bytes = 64;
  m.parts = {
      {"weights.bin", {}, {}}, {"\xC3\xA9.stet", 4096, 0x0123456789ABCDEFu}, {"sized.bin", 18446744073709551615u, {}}};
  m.tensors.push_back(tensor_of("dense/kernel", stet::dtype::float32, {784, 10}, 64, 31360));
  m.tensors.back().crc32c = 0x0A1B2C3Du;
  m.tensors.push_back(tensor_of("scalar \"\\/\b\f\n\r\t\x01\x1F\x7F", stet::dtype::uint8, {}, 31424, 1));
  m.tensors.push_back(tensor_of("\xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80", stet::dtype::int4, {3, 0, 5}, 0, 0));
  m.tensors.back().bits = 8;
  m.tensors.back().crc32c = 0;
  m.tensors.push_back(tensor_of("blocks", stet::dtype::block, {2, 256}, 128, 288));
  m.tensors.back().block = {"q4_k", 256, 144};
  m.tensors.back().part = 1;
  m.tensors.push_back(m.tensors[0]);
  m.tensors.back().name = "tied";
  m.tensors.back().alias_of = 0;
  m.tensors.back().attributes = json_value{{"trainable", false},
                                           {"quantization", {{"scheme", "affine"}, {"scales", 0.1}}},
                                           {"z", 1},
                                           {"a", json_value::object()}};
  m.graph = json_value{{"nodes", {{{"name", "dense"}, {"op", "MatMul"}, {"inputs", {"x", "dense/kernel"}}}}}};
  m.state = json_value::object();
  m.metadata = json_value{{"u64", 18446744073709551615u},
                          {"i64", (std::numeric_limits<std::int64_t>::min)()},
                          {"tenth", 0.1},
                          {"tiny", 5e-324},
                          {"huge", 1.7976931348623157e308},
                          {"negative zero", -0.0},
                          {"whole", 1.0},
                          {"text", std::string("a\0b\x7F\xC2\x80\xE2\x80\xA8/\"", 11)},
                          {"", json_value::array({nullptr, true, json_value::array(), json_value::object()})}};
  m.extra = json_value{{"later", {{"deep", {{{"er", 1}}}}}}, {"also", json_value()}};
  return m;
}

/// The code of what check_manifest says of full_manifest() after a change; 0 for nothing.
errc code_after(const std::function<void(stet::manifest&)>& change) {
  stet::manifest m = full_manifest();
  change(m);
  const auto checked = stet::check_manifest(m);
  return checked ? errc{} : checked.error().code();
}

} // namespace

TEST_SUITE("manifest/print") {
  TEST_CASE("the text is the one that the specification shows") {
    stet::manifest m;
    m.alignment_bytes = 64;
    m.tensors.push_back(tensor_of("a", stet::dtype::float32, {784, 10}, 4096, 31360));
    m.tensors.back().crc32c = 0x0A1B2C3Du;
    m.tensors.push_back(tensor_of("b", stet::dtype::int4, {}, 35456, 1));
    m.tensors.back().bits = 8;
    m.tensors.back().attributes = json_value{{"trainable", true}};
    m.metadata = json_value{{"k", "v"}};
    m.extra = json_value{{"x", 1}};
    CHECK(stet::print_manifest(m) ==
          "{\"stet\":{\"version\":1,\"minimum_reader\":1},\n"
          "\"alignment_bytes\":64,\n"
          "\"tensors\":{\n"
          "\"a\":{\"dtype\":\"float32\",\"shape\":[784,10],\"offset_bytes\":4096,\"size_bytes\":31360,"
          "\"crc32c\":\"0a1b2c3d\"},\n"
          "\"b\":{\"dtype\":\"int4\",\"shape\":[],\"offset_bytes\":35456,\"size_bytes\":1,\"bits\":8,"
          "\"trainable\":true}\n"
          "},\n"
          "\"metadata\":{\"k\":\"v\"},\n"
          "\"x\":1}\n");
  }

  TEST_CASE("parsing what was printed gives the same manifest") {
    const stet::manifest m = full_manifest();
    const auto checked = stet::check_manifest(m);
    CHECK(checked);
    const std::string text = stet::print_manifest(m);
    const auto parsed = stet::parse_manifest(text);
    REQUIRE(parsed);
    if (!parsed) return;
    CHECK(*parsed == m);
    CHECK(parsed->metadata.text() == m.metadata.text());
    const json_value metadata = stet::to_json_value(parsed->metadata);
    CHECK(metadata.dump() == parsed->metadata.text());
    CHECK(metadata.find("whole")->is_number_float());
    CHECK(metadata.find("u64")->is_number_unsigned());
    CHECK(std::signbit(*metadata.find("negative zero")->get_ptr<const double*>()));
    CHECK(metadata.find("text")->get_ptr<const std::string*>()->size() == 11);
    CHECK(stet::print_manifest(*parsed) == text);
  }

  TEST_CASE("every dtype survives") {
    stet::manifest m;
    for (const stet::dtype_description& row : stet::dtype_table) {
      stet::manifest_tensor tensor = tensor_of(std::string(row.name), row.dtype, {0}, 0, 0);
      if (row.dtype == stet::dtype::block) tensor.block = {"mx", 32, 17};
      m.tensors.push_back(tensor);
      if (row.bits == 0 || row.bits >= 8) continue;
      tensor.name += " in a byte";
      tensor.bits = 8;
      m.tensors.push_back(tensor);
    }
    const auto parsed = stet::parse_manifest(stet::print_manifest(m));
    REQUIRE(parsed);
    if (parsed) CHECK(*parsed == m);
  }

  TEST_CASE("numbers are written with all of their digits and no others") {
    std::vector<std::uint64_t> numbers = {0, 7, 10, 42, 100, 18446744073709551615u};
    for (std::uint64_t power = 10; power < 10000000000000000000u; power *= 10)
      numbers.insert(numbers.end(), {power - 1, power, power + 1, power * 10 - 11});
    for (const std::uint64_t number : numbers) {
      CAPTURE(number);
      stet::manifest m;
      m.parts = {{"weights.bin", number, {}}};
      const std::string expected = std::string("\"size_bytes\":").append(std::to_string(number)).append("}");
      CHECK(stet::print_manifest(m).find(expected) != std::string::npos);
    }
  }

  TEST_CASE("an empty manifest survives") {
    const stet::manifest m;
    const auto parsed = stet::parse_manifest(stet::print_manifest(m));
    REQUIRE(parsed);
    if (parsed) CHECK(*parsed == m);
  }

  TEST_CASE("a manifest that could not be read again is refused") {
    const auto first = [](auto change) { return [change](stet::manifest& m) { change(m.tensors[0]); }; };
    json_value deep = 1;
    for (int i = 0; i < 62; ++i) deep = json_value::array({deep});
    const json_value deeper = json_value::array({deep});
    CHECK(code_after([](stet::manifest&) {}) == errc{});
    CHECK(code_after([](stet::manifest& m) { m.minimum_reader = 0; }) == errc::bad_header);
    CHECK(code_after([](stet::manifest& m) { m.minimum_reader = 4; }) == errc::bad_header);
    CHECK(code_after([](stet::manifest& m) { m.alignment_bytes = 48; }) == errc::bad_alignment);
    CHECK(code_after([](stet::manifest& m) { m.parts[0].path = "../x"; }) == errc::bad_path);
    CHECK(code_after([](stet::manifest& m) { m.parts[0].path = "sized.bin"; }) == errc::duplicate_part);
    CHECK(code_after(first([](auto& t) { t.part = 3; })) == errc::missing_part);
    CHECK(code_after(first([](auto& t) { t.name = ""; })) == errc::bad_name);
    CHECK(code_after(first([](auto& t) { t.name = "\xFF"; })) == errc::bad_name);
    CHECK(code_after(first([](auto& t) { t.name = std::string("a\0b", 3); })) == errc::bad_name);
    CHECK(code_after(first([](auto& t) { t.name = std::string(65536, 'a'); })) == errc::bad_name);
    CHECK(code_after(first([](auto& t) { t.shape.assign(255, 1); })) == errc::bad_shape);
    CHECK(code_after(first([](auto& t) { t.dtype = static_cast<stet::dtype>(99); })) == errc::unknown_dtype);
    CHECK(code_after(first([](auto& t) { t.bits = 8; })) == errc::unknown_dtype);
    CHECK(code_after(first([](auto& t) { t.block.name = "q"; })) == errc::unknown_dtype);
    CHECK(code_after([](stet::manifest& m) { m.tensors[3].block = {}; }) == errc::missing_field);
    CHECK(code_after([](stet::manifest& m) { m.tensors[3].block.size_bytes = 0; }) == errc::bad_number);
    CHECK(code_after([](stet::manifest& m) { m.tensors[3].block.name = ""; }) == errc::bad_name);
    CHECK(code_after([](stet::manifest& m) { m.tensors[4].alias_of = 4; }) == errc::bad_alias);
    CHECK(code_after(first([](auto& t) { t.alias_of = 4; })) == errc::bad_alias);
    CHECK(code_after(first([](auto& t) { t.attributes = json_value::array(); })) == errc::wrong_type);
    CHECK(code_after(first([](auto& t) { t.attributes = json_value{{"trainable", 1}}; })) == errc::wrong_type);
    CHECK(code_after(first([](auto& t) { t.attributes = json_value{{"shape", 1}}; })) == errc::duplicate_key);
    CHECK(code_after(first([](auto& t) { t.attributes = json_value{{"quantization", {{"axis", 2}}}}; })) ==
          errc::bad_quantization);
    CHECK(code_after(first([](auto& t) { t.attributes = json_value{{"quantization", {{"scales", NAN}}}}; })) ==
          errc::bad_quantization);
    CHECK(code_after(first([](auto& t) { t.attributes = json_value{{"x", NAN}}; })) == errc::bad_number);
    CHECK(code_after([](stet::manifest& m) { m.graph = json_value(1); }) == errc::wrong_type);
    CHECK(code_after([](stet::manifest& m) { m.metadata = json_value{{"x", INFINITY}}; }) == errc::bad_number);
    CHECK(code_after([](stet::manifest& m) { m.metadata = json_value{{"x", "\xC0\xAF"}}; }) == errc::bad_json);
    CHECK(code_after([](stet::manifest& m) { m.metadata = json_value{{"\xC0\xAF", 1}}; }) == errc::bad_json);
    CHECK(code_after([](stet::manifest& m) { m.state = json_value{{"x", std::string("a\0\xFF", 3)}}; }) ==
          errc::bad_json);
    CHECK(code_after([](stet::manifest& m) { m.state = json_value{{"x", json_value::binary({1, 2})}}; }) ==
          errc::wrong_type);
    CHECK(code_after([](stet::manifest& m) {
            m.state = json_value{{"x", json_value(json_value::value_t::discarded)}};
          }) == errc::wrong_type);
    CHECK(code_after([](stet::manifest& m) {
            json_value::object_t twice;
            twice.emplace_back("k", 1);
            twice.emplace_back("k", 2);
            m.state = json_value{{"x", json_value(twice)}};
          }) == errc::duplicate_key);
    CHECK(code_after([](stet::manifest& m) { m.extra = json_value{{"tensors", 1}}; }) == errc::duplicate_key);
    CHECK(code_after([](stet::manifest& m) { m.extra = json_value("x"); }) == errc::wrong_type);
    CHECK(code_after([&](stet::manifest& m) { m.metadata = json_value{{"x", deep}}; }) == errc{});
    CHECK(code_after([&](stet::manifest& m) { m.metadata = json_value{{"x", deeper}}; }) == errc::too_deep);
    CHECK(code_after([&](stet::manifest& m) { m.extra = json_value{{"x", deeper}}; }) == errc{});
    CHECK(code_after(first([&](auto& t) { t.attributes = json_value{{"x", deep}}; })) == errc::too_deep);
  }

  TEST_CASE("what is accepted at the depth limit can be read again") {
    stet::manifest m = full_manifest();
    json_value deep = 1;
    for (int i = 0; i < 61; ++i) deep = json_value::array({deep});
    m.tensors[0].attributes = json_value{{"x", deep}};
    m.metadata = json_value{{"x", json_value::array({deep})}};
    m.extra = json_value{{"x", json_value::array({json_value::array({deep})})}};
    CHECK(stet::check_manifest(m));
    const auto parsed = stet::parse_manifest(stet::print_manifest(m));
    REQUIRE(parsed);
    if (parsed) CHECK(*parsed == m);
  }
}

TEST_SUITE("manifest/to_index") {
  TEST_CASE("the index says what the manifest says") {
    stet::manifest m = full_manifest();
    m.parts[0].size_bytes = 40000;
    m.tensors.erase(m.tensors.begin() + 3); // out of place, and the alias follows
    m.tensors[1].offset_bytes = 31424;
    stet::index_limits limits;
    const auto bytes = stet::make_index(m, limits);
    REQUIRE(bytes);
    if (!bytes) return;
    limits.alignment_bytes = 64;
    const auto index = stet::check_index(*bytes, limits);
    REQUIRE(index);
    if (!index) return;
    CHECK(index->tensor_count() == 4);
    CHECK(index->part_count() == 3);
    CHECK(index->part(1).path == "\xC3\xA9.stet");
    CHECK(index->part(1).content_id == 0x0123456789ABCDEFu);
    CHECK(index->part(1).has_header);
    CHECK_FALSE(index->part(0).has_header);
    for (const stet::manifest_tensor& tensor : m.tensors) {
      const stet::index_entry entry = index->find(tensor.name);
      REQUIRE(entry);
      if (!entry) continue;
      CHECK(entry.dtype() == tensor.dtype);
      CHECK(entry.bits() == tensor.bits);
      CHECK(entry.shape().equals(tensor.shape));
      CHECK(entry.offset_bytes() == tensor.offset_bytes);
      CHECK(entry.size_bytes() == tensor.size_bytes);
      CHECK(entry.has_crc32c() == tensor.crc32c.has_value());
      CHECK(entry.crc32c() == tensor.crc32c.value_or(0));
    }
    CHECK(index->original_of(index->find("tied")) == index->find("dense/kernel"));
  }

  TEST_CASE("what an index cannot say is refused") {
    stet::manifest m;
    m.parts = {{"a", 100, {}}};
    m.tensors.push_back(tensor_of("t", stet::dtype::uint8, {4}, 0, 4));
    const auto code_of = [](const stet::manifest& of) {
      const auto made = stet::make_index(of);
      return made ? errc{} : made.error().code();
    };
    CHECK(code_of(m) == errc{});
    stet::manifest changed = m;
    changed.parts[0].size_bytes.reset();
    CHECK(code_of(changed) == errc::missing_field);
    changed = m;
    changed.parts[0].path = "..";
    CHECK(code_of(changed) == errc::bad_path);
    changed = m;
    changed.parts.push_back(changed.parts[0]);
    CHECK(code_of(changed) == errc::duplicate_part);
    changed = m;
    changed.tensors[0].part = 1;
    CHECK(code_of(changed) == errc::missing_part);
    changed = m;
    changed.alignment_bytes = 0;
    CHECK(code_of(changed) == errc::bad_alignment);
    changed = m;
    changed.tensors.push_back(tensor_of("t", stet::dtype::uint8, {1}, 50, 1));
    CHECK(code_of(changed) == errc::duplicate_name);
    changed = m;
    changed.tensors[0].name = "";
    CHECK(code_of(changed) == errc::bad_name);
    changed = m;
    changed.tensors[0].offset_bytes = 97;
    CHECK(code_of(changed) == errc::bad_offset);
    changed = m;
    changed.parts[0].content_id = 1; // the part's header lies at its start
    CHECK(code_of(changed) == errc::bad_offset);
  }
}
