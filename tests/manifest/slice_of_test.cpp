// SPDX-License-Identifier: MIT
#include "support/outcome.hpp"

#include <stet/manifest/parse.hpp>
#include <stet/manifest/slice_of.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>

namespace {

using stet::json_text;
using stet::slice_place;
using stet_test::outcome;

/// The text of a place with other attributes.
std::string text_with(const slice_place& place, const char* others) {
  return stet::with_slice_of(place, json_text(others)).text();
}

} // namespace

TEST_SUITE("manifest/slice_of") {
  TEST_CASE("a place becomes an attribute, in front of the others, and is read again") {
    const slice_place place{"dense/\"kernel\"\n", {8, 18446744073709551615u, 0}, {0, 5, 0}};
    constexpr std::string_view field =
        R"({"slice_of":{"tensor":"dense/\"kernel\"\n","shape":[8,18446744073709551615,0],"start":[0,5,0]})";
    // The product of the extents, zeros taken as ones, overflows.
    CHECK(stet::with_slice_of(place).text() == std::string(field) + "}");
    CHECK(outcome(stet::slice_of(stet::with_slice_of(place))) == "bad_shape");
    for (const slice_place& each : {slice_place{"t", {4, 6}, {0, 2}}, slice_place{"\xC3\xA9", {}, {}}}) {
      for (const char* const others : {"", " ", "{}", " { } ", R"({"trainable":true})", R"( { "a" : [1] } )"}) {
        CAPTURE(others);
        const auto read = stet::slice_of(json_text(text_with(each, others)));
        REQUIRE(outcome(read) == "ok");
        REQUIRE(read->has_value());
        CHECK(**read == each);
      }
    }
    const slice_place small{"t", {4}, {2}};
    CHECK(text_with(small, R"({"a":1})") == R"({"slice_of":{"tensor":"t","shape":[4],"start":[2]},"a":1})");
    CHECK(text_with(small, " { } ") == R"({"slice_of":{"tensor":"t","shape":[4],"start":[2]} } )");
  }

  TEST_CASE("what is no object stays none, and what has no text keeps its problem") {
    const slice_place place{"t", {4}, {2}};
    CHECK(text_with(place, "[1]") == "[1]");
    CHECK(text_with(place, "x") == "x");
    CHECK(stet::with_slice_of(place, json_text::of_problem(stet::errc::bad_number)).problem() ==
          stet::errc::bad_number);
  }

  TEST_CASE("a tensor without the attribute is whole") {
    for (const char* const attributes : {"", "{}", R"({"trainable":true})", R"({"a":{"slice_of":1}})"}) {
      CAPTURE(attributes);
      const auto read = stet::slice_of(json_text(attributes));
      REQUIRE(outcome(read) == "ok");
      CHECK(!read->has_value());
    }
  }

  TEST_CASE("in a manifest, a piece lies within its tensor") {
    const auto parsed = [](std::string_view shape, std::string_view field) {
      std::string text = R"({"stet":{"version":1,"minimum_reader":1},"tensors":{"a":{"dtype":"int8","shape":)";
      text.append(shape).append(R"(,"offset_bytes":0,"size_bytes":4,"slice_of":)").append(field);
      return outcome(stet::parse_manifest(text + "}}}"));
    };
    CHECK(parsed("[2,2]", R"({"tensor":"t","shape":[2,4],"start":[0,2]})") == "ok");
    CHECK(parsed("[2,2]", R"({"tensor":"t","shape":[2,4],"start":[0,3]})") == "bad_slice");
    CHECK(parsed("[2,2]", R"({"tensor":"t","shape":[2,4],"start":[1,2]})") == "bad_slice");
    CHECK(parsed("[4]", R"({"tensor":"t","shape":[2,4],"start":[0,0]})") == "bad_slice");
    CHECK(parsed("[4]", R"({"tensor":"t","shape":[8],"start":[4.0]})") == "bad_number");
    CHECK(parsed("[4]", R"("t")") == "wrong_type");
    std::string many = "[1";
    for (std::size_t i = 0; i < stet::max_rank; ++i) many += ",1";
    CHECK(parsed("[4]", R"({"tensor":"t","start":[0],"shape":)" + many + "]}") == "bad_shape");
  }
}
