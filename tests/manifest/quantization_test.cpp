// SPDX-License-Identifier: MIT
// Codes to numbers: by tensor and by axis, rounded as TensorFlow.js rounds them; and what is refused.
#include <stet/manifest/quantization.hpp>

#include "support/outcome.hpp"

#include <stet/json.hpp>
#include <stet/store/open.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

TEST_SUITE_BEGIN("quantization");

namespace {

/// A store in memory of one tensor of codes, and one of scales.
struct codes_store {
  template <class T> codes_store(std::vector<std::uint64_t> shape, std::vector<T> codes) {
    stet::writer out;
    out.add("codes", codes, shape);
    const std::array<float, 3> scales{1, 2, 4};
    out.add("scales", scales, {3});
    auto saved = out.save_to_memory();
    if (saved) bytes = std::move(*saved);
    auto opened = stet::open(std::span<const std::byte>(bytes));
    if (opened) store = std::move(*opened);
  }
  stet::tensor codes() const {
    const auto found = store.find("codes");
    return found ? *found : stet::tensor();
  }
  stet::result<stet::quantization> read(std::string_view json) const {
    const auto parsed = stet::parse_json(json);
    if (!parsed) return parsed.error();
    return stet::read_quantization(*parsed, codes(), store);
  }
  template <class To> std::vector<To> numbers(std::string_view json, std::uint64_t first = 0) const {
    std::vector<To> made(static_cast<std::size_t>(codes().element_count() - first));
    const auto how = read(json);
    REQUIRE(how);
    if (how) CHECK(stet_test::outcome(stet::dequantize(codes(), *how, std::span(made), first)) == "ok");
    return made;
  }

  std::vector<std::byte> bytes;
  stet::store store;
};

} // namespace

TEST_CASE("a scale and a minimum, as TensorFlow.js has them") {
  const codes_store of({3}, std::vector<std::uint8_t>{0, 128, 255});
  CHECK(of.numbers<float>(R"({"scales":0.5,"min":-64})") == std::vector<float>{-64, 0, 63.5f});
  // Rounded once, to float32: the sum in double is another number than the sum in float.
  const double scale = 0.0583068754158768, min = -3.789946902031992;
  const volatile double product = 255 * scale;
  CHECK(of.numbers<float>(R"({"scales":0.0583068754158768,"min":-3.789946902031992})")[2] ==
        static_cast<float>(product + min));
}

TEST_CASE("a scale and a zero point, along an axis") {
  const codes_store of({2, 3}, std::vector<std::int8_t>{-128, 0, 127, 1, 2, 3});
  CHECK(of.numbers<double>(R"({"axis":1,"scales":[1,0.5,2],"zero_points":[0,1,-1]})") ==
        std::vector<double>{-128, -0.5, 256, 1, 0.5, 8});
  CHECK(of.numbers<double>(R"({"axis":0,"scales":[1,10]})") == std::vector<double>{-128, 0, 127, 10, 20, 30});
  CHECK(of.numbers<double>(R"({"axis":1,"scales":"scales"})") == std::vector<double>{-128, 0, 508, 1, 4, 12});
  const codes_store rows({3, 8}, std::vector<std::int8_t>(24, 1));
  CHECK(rows.numbers<double>(R"({"axis":0,"scales":[1,2,3]})", 16) == std::vector<double>(8, 3));
}

TEST_CASE("integers are rounded to the nearest, ties upwards, and do not wrap") {
  const codes_store of({6}, std::vector<std::uint8_t>{0, 1, 2, 3, 4, 255});
  CHECK(of.numbers<std::int32_t>(R"({"scales":0.5,"min":-1.5,"dtype":"int32"})") ==
        std::vector<std::int32_t>{-1, -1, 0, 0, 1, 126});
  CHECK(of.numbers<std::int32_t>(R"({"scales":1e9})").back() == (std::numeric_limits<std::int32_t>::max)());
  // 0.5 less the least is below a half, although their sum with a half rounds to 1.
  CHECK(of.numbers<std::int32_t>(R"({"scales":0.49999999999999994})")[1] == 0);
}

TEST_CASE("codes narrower than a byte, and floats") {
  std::vector<stet::int4> nibbles;
  for (int i = 0; i < 600; ++i) nibbles.push_back(static_cast<stet::int4>(i % 16 - 8));
  const codes_store of({600}, nibbles);
  const auto made = of.numbers<float>(R"({"scales":2})", 8);
  REQUIRE(made.size() == 592);
  for (int i = 8; i < 600; ++i) CHECK(made[static_cast<std::size_t>(i - 8)] == static_cast<float>((i % 16 - 8) * 2));
  const codes_store halves({2}, std::vector<stet::float16>{stet::float16(1.5f), stet::float16(-0.0f)});
  const auto floats = halves.numbers<float>(R"({"dtype":"float32"})");
  CHECK(floats == std::vector<float>{1.5f, 0});
  CHECK(std::signbit(floats[1]));
}

TEST_CASE("refuses what does not fit the tensor") {
  const codes_store of({2, 3}, std::vector<std::uint8_t>(6));
  const struct {
    const char* json;
    const char* expected;
  } rows[] = {
      {"[]", "wrong_type"},
      {R"({"scales":0})", "bad_quantization"},
      {R"({"scales":-1})", "bad_quantization"},
      {R"({"scales":"codes"})", "bad_quantization"}, // all zero, and too many
      {R"({"scales":"scales"})", "bad_quantization"},
      {R"({"scales":"none"})", "not_found"},
      {R"({"scales":[1,2]})", "bad_quantization"},
      {R"({"scales":[]})", "bad_quantization"},
      {R"({"scales":{}})", "bad_quantization"},
      {R"({"scales":[1,2],"axis":1})", "bad_quantization"},
      {R"({"scales":1,"axis":2})", "bad_quantization"},
      {R"({"scales":1,"axis":-1})", "bad_quantization"},
      {R"({"scales":1,"zero_points":256})", "bad_quantization"},
      {R"({"scales":1,"zero_points":[1,2]})", "bad_quantization"},
      {R"({"scales":1,"min":"x"})", "not_found"},
      {R"({"scales":1,"min":[1,2]})", "bad_quantization"},
      {R"({"scales":1,"min":null})", "bad_quantization"},
      {R"({"scales":1,"dtype":"float33"})", "unknown_dtype"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.json);
    CHECK(stet_test::outcome(of.read(row.json)) == row.expected);
  }
  const auto how = of.read(R"({"scales":1})");
  REQUIRE(how);
  std::vector<float> into(7);
  if (how) {
    CHECK(stet_test::outcome(stet::dequantize(of.codes(), *how, std::span(into))) == "bad_range");
    CHECK(stet_test::outcome(stet::dequantize(of.codes(), *how, std::span(into).first(1), 8)) == "bad_range");
    CHECK(stet_test::outcome(stet::dequantize(of.codes(), *how, std::span(into).first(1), 1)) == "invalid_argument");
  }
}

TEST_SUITE_END();
