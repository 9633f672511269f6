// SPDX-License-Identifier: MIT
// Tests of ordered_code.hpp: the published bytes, and that bytes sort as what they stand for.
#include <stet/wire/ordered_code.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::string_view_literals;

std::string signed_code(std::int64_t value) {
  std::string bytes;
  stet::detail::append_ordered_signed(bytes, value);
  return bytes;
}

std::string hex(const std::string& bytes) {
  std::string text;
  char digits[3];
  for (const char c : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    text += digits;
  }
  return text;
}

} // namespace

TEST_SUITE("ordered_code") {
  TEST_CASE("signed numbers are the bytes that TensorFlow writes") {
    // -65, -0x800 and 0x424242 are the examples in tensorflow/core/lib/strings/ordered_code.cc; the short ones stand in
    // keys of its checkpoints.
    const std::pair<std::int64_t, std::string> table[] = {
        {0, "80"},
        {1, "81"},
        {63, "bf"},
        {-1, "7f"},
        {-64, "40"},
        {64, "c040"},
        {1000000, "ef4240"},
        {-65, "3fbf"},
        {-0x800, "3800"},
        {0x424242, "f0424242"},
        {std::int64_t{1} << 55, "ff8080000000000000"},
    };
    for (const auto& row : table) {
      const auto& value = row.first;
      const auto& bytes = row.second;
      CAPTURE(value);
      CHECK(hex(signed_code(value)) == bytes);
    }
  }

  TEST_CASE("signed numbers sort as their bytes") {
    std::vector<std::int64_t> values = {INT64_MIN, INT64_MIN + 1};
    for (int bit = 62; bit >= 0; --bit) {
      for (const std::int64_t near_by : {-1, 0, 1}) values.push_back(-(std::int64_t{1} << bit) + near_by);
    }
    for (int bit = 0; bit < 63; ++bit) {
      for (const std::int64_t near_by : {-1, 0, 1}) values.push_back((std::int64_t{1} << bit) + near_by);
    }
    values.push_back(INT64_MAX);
    for (const std::int64_t a : values) {
      for (const std::int64_t b : values) CHECK((a < b) == (signed_code(a) < signed_code(b)));
    }
    CHECK(signed_code(INT64_MAX).size() == 10);
    CHECK(signed_code(INT64_MIN).size() == 10);
  }

  TEST_CASE("numbers are a count and that many bytes") {
    const std::pair<std::uint64_t, std::string> table[] = {
        {0, "00"}, {1, "0101"}, {255, "01ff"}, {256, "020100"}, {~std::uint64_t{0}, "08ffffffffffffffff"}};
    for (const auto& [value, bytes] : table) {
      std::string made;
      stet::detail::append_ordered_number(made, value);
      CHECK(hex(made) == bytes);
    }
  }

  TEST_CASE("text is escaped and ended") {
    std::string made;
    stet::detail::append_ordered_text(made, "a\0\xff"
                                            "b"sv);
    CHECK(hex(made) == "6100ffff00620001");
  }
}
