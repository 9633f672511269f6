// SPDX-License-Identifier: MIT
// JSON text to values: what is kept, and every kind of text that is refused.
#include <stet/json.hpp>

#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>

TEST_SUITE_BEGIN("json values");

namespace {

std::string nested(std::size_t depth, char open, char close) {
  return std::string(depth, open) + std::string(depth, close);
}

} // namespace

TEST_CASE("values keep the order of keys, and integers apart from floats") {
  const auto read = stet::parse_json(R"( {"b":[1,-2,1.0,null,true],"a":{"":"\u00e9"}} )");
  REQUIRE(read);
  if (!read) return;
  CHECK(read->dump() == R"({"b":[1,-2,1.0,null,true],"a":{"":"é"}})");
  CHECK((*read)["b"][0].is_number_unsigned());
  CHECK((*read)["b"][2].is_number_float());
}

TEST_CASE("the root may be of any type") {
  for (const char* text : {"[]", "{}", "\"\"", "0", "null", "[[1],[{}]]"}) {
    CAPTURE(text);
    const auto read = stet::parse_json(text);
    REQUIRE(read);
    if (read) CHECK(read->dump() == text);
  }
}

TEST_CASE("refuses what is not JSON, or not safe to hold") {
  const struct {
    std::string text;
    const char* expected;
  } rows[] = {
      {"", "bad_json"},
      {"{", "bad_json"},
      {"[1,]", "bad_json"},
      {"[1] [2]", "bad_json"},
      {"[NaN]", "bad_json"},
      {"[01]", "bad_json"},
      {"// comment\n[]", "bad_json"},
      {"\"\\ud800\"", "bad_json"},
      {"\"\xC0\xAF\"", "bad_json"},
      {"\xEF\xBB\xBF[]", "bad_json"},
      {std::string("[]\0", 3), "bad_json"},
      {R"({"a":1,"b":{"c":1,"c":2}})", "duplicate_key"},
      {"[18446744073709551616]", "bad_number"},
      {"[1e400]", "bad_number"},
      {nested(65, '[', ']'), "too_deep"},
      {nested(200000, '[', ']'), "too_deep"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text.substr(0, 40));
    CHECK(stet_test::outcome(stet::parse_json(row.text)) == row.expected);
  }
  CHECK(stet_test::outcome(stet::parse_json(nested(64, '[', ']'))) == "ok");
  stet::manifest_limits limits;
  limits.size_bytes = 3;
  CHECK(stet_test::outcome(stet::parse_json("[0]", limits)) == "ok");
  CHECK(stet_test::outcome(stet::parse_json("[00]", limits)) == "too_large");
}

TEST_CASE("errors say where reading stood") {
  const auto twice = stet::parse_json(R"({"a":1,"a":2}  )");
  REQUIRE_FALSE(twice);
  if (!twice) {
    CHECK(twice.error().subject() == "a");
    CHECK(twice.error().offset_bytes() == 13);
  }
}

TEST_SUITE_END();
