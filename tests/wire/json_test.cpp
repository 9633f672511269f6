// SPDX-License-Identifier: MIT
// Tests of json.hpp: every token of RFC 8259, exact numbers, and every kind of text that is refused, with where and why.
#include <stet/wire/json.hpp>

#include "support/exact_text.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::string_view_literals;
using stet::errc;
using stet::detail::json_reader;
using stet::detail::json_token;

std::string decoded(const stet::detail::json_string& string) {
  std::string text(string.raw().size(), '\0');
  text.resize(string.decode(text.data()));
  return text;
}

/// The tokens of a text, each spelt, up to its end or "ERROR@OFFSET".
std::string json_tokens(std::string_view text, std::size_t max_depth = stet::detail::max_json_depth) {
  const stet_test::exact_text exact(text); // so that a sanitizer sees reading beyond it
  json_reader in({reinterpret_cast<const char*>(exact.bytes().data()), exact.bytes().size()}, max_depth);
  std::string made;
  for (;;) {
    switch (in.next()) {
    case json_token::begin_object:
      made += "{ ";
      break;
    case json_token::end_object:
      made += "} ";
      break;
    case json_token::begin_array:
      made += "[ ";
      break;
    case json_token::end_array:
      made += "] ";
      break;
    case json_token::key:
      made += decoded(in.string()) + ": ";
      break;
    case json_token::string:
      made += "\"" + decoded(in.string()) + "\" ";
      break;
    case json_token::number:
      made += std::string(in.number().raw) + " ";
      break;
    case json_token::boolean:
      made += in.boolean() ? "T " : "F ";
      break;
    case json_token::null:
      made += "N ";
      break;
    case json_token::end:
      return made + "end";
    case json_token::error:
      CHECK(in.next() == json_token::error); // and stays one
      return made + std::string(stet::describe(in.code()).name) + "@" + std::to_string(in.offset_bytes());
    }
  }
}

/// How reading a text ends: "end", or "ERROR@OFFSET".
std::string json_outcome(std::string_view text, std::size_t max_depth = stet::detail::max_json_depth) {
  const std::string tokens = json_tokens(text, max_depth);
  return tokens.substr(tokens.rfind(' ') + 1);
}

std::string json_times(std::size_t count, std::string_view piece) {
  std::string made;
  while (count-- > 0) made += piece;
  return made;
}

stet::detail::json_number number_of(std::string_view text) {
  json_reader in(text);
  CHECK(in.next() == json_token::number);
  return in.number();
}

/// What `skip_checked` says of a text, with the key; of what is behind the value, nothing.
std::string key_outcome(std::string_view text, std::size_t room_size = 64) {
  json_reader in(text);
  std::vector<stet::detail::json_key> room(room_size);
  stet::detail::json_string duplicate;
  in.next();
  const errc code = stet::detail::skip_checked(in, room, duplicate);
  if (code == errc{}) return "ok@" + std::to_string(in.offset_bytes());
  return std::string(stet::describe(code).name) + " " + decoded(duplicate) + "@" + std::to_string(in.offset_bytes());
}

constexpr std::string_view json_sample =
    " {\"a\" : [1,-2.5e+3,true,false,null,\"\\u00e9\\ud83d\\ude00\\n\xC3\xA9\"],\"b\":{},\"\":[[],{\"c\":\"\"}]}\t";

} // namespace

TEST_SUITE("json") {
  TEST_CASE("gives every token in order") {
    CHECK(json_tokens(json_sample) ==
          "{ a: [ 1 -2.5e+3 T F N \"\xC3\xA9\xF0\x9F\x98\x80\n\xC3\xA9\" ] b: { } : [ [ ] { c: \"\" } ] } end");
    CHECK(json_tokens("null") == "N end");
    CHECK(json_tokens(" \r\n\t\"x\" ") == "\"x\" end");
    CHECK(json_tokens("[ ]") == "[ ] end");
  }

  TEST_CASE("J1, J2: one value, and nothing else") {
    const struct {
      std::string_view text, outcome;
    } rows[] = {
        {"", "bad_json@0"},
        {" ", "bad_json@1"},
        {"[1,]", "bad_json@3"},
        {"[,1]", "bad_json@1"},
        {"[1 2]", "bad_json@3"},
        {"[1}", "bad_json@2"},
        {"{\"a\":1]", "bad_json@6"},
        {"{\"a\"}", "bad_json@4"},
        {"{\"a\":}", "bad_json@5"},
        {"{\"a\":1,}", "bad_json@7"},
        {"{a:1}", "bad_json@1"},
        {"{1:1}", "bad_json@1"},
        {"{\"a\" 1}", "bad_json@5"},
        {"[]]", "bad_json@2"},
        {"1 2", "bad_json@2"},
        {"{}{}", "bad_json@2"},
        {"// no\n1", "bad_json@0"},
        {"[1/**/]", "bad_json@2"},
        {"'a'", "bad_json@0"},
        {"tru", "bad_json@3"},
        {"trux", "bad_json@3"},
        {"True", "bad_json@0"},
        {"nul", "bad_json@3"},
        {"falsey", "bad_json@5"},
        {"NaN", "bad_json@0"},
        {"\xEF\xBB\xBF"
         "1",
         "bad_json@0"},
        {"1\0"sv, "bad_json@1"},
        {"\0"sv, "bad_json@0"},
        {"[1\f]", "bad_json@2"},
        {"[1,?]", "bad_json@3"},
    };
    for (const auto& row : rows) {
      CAPTURE(row.text);
      CHECK(json_outcome(row.text) == row.outcome);
    }
  }

  TEST_CASE("J3: nesting is bounded as the caller says") {
    CHECK(json_outcome(json_times(64, "[") + json_times(64, "]")) == "end");
    CHECK(json_outcome(json_times(65, "[") + json_times(65, "]")) == "too_deep@64");
    CHECK(json_outcome(json_times(200'000, "{\"a\":")) == "too_deep@320");
    CHECK(json_outcome("[[]]", 2) == "end");
    CHECK(json_outcome("[[]]", 1) == "too_deep@1");
    CHECK(json_outcome("{}", 0) == "too_deep@0");
    CHECK(json_outcome("1", 0) == "end");
    CHECK(json_outcome(json_times(65, "["), 1000) == "too_deep@64");
    // Objects and arrays in turns, so that each level's kind is remembered.
    CHECK(json_outcome(json_times(32, "[{\"k\":") + "0" + json_times(32, "}]")) == "end");
    CHECK(json_outcome(json_times(32, "[{\"k\":") + "0" + json_times(31, "}]") + "]") == "bad_json@255");
  }

  TEST_CASE("J4: a key that occurs twice in one object is found where the object ends") {
    CHECK(key_outcome(R"({"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]} ,)") == "ok@41");
    CHECK(key_outcome(R"({"a":1,"a":2}  )") == "duplicate_key a@13");
    CHECK(key_outcome(R"({"x":{"a":1,"b":2,"\u0061":3},"x":1})") == "duplicate_key a@29");
    CHECK(key_outcome(R"({"a\n":1,"a\u000A":2})") == "duplicate_key a\n@21");
    CHECK(key_outcome(R"({"a":1,"A":2})") == "ok@13");
    CHECK(key_outcome("[1]") == "ok@3");
    CHECK(key_outcome("1") == "ok@1");
    CHECK(key_outcome("[1,]") == "bad_json @3");
    CHECK(key_outcome(R"({"a":{"b":{"c":1}},"d":1})", 3) == "ok@25");
    CHECK(key_outcome(R"({"a":{"b":{"c":1}},"d":1})", 2) == "too_large @15");
    // More than are compared each with each, of one long beginning; escapes make no difference.
    std::string many = "{";
    for (int i = 0; i < 3000; ++i) many += "\"" + std::string(200, 'k') + std::to_string(i) + "\":0,";
    CHECK(key_outcome(many + "\"\":0}", 3001).starts_with("ok@"));
    CHECK(key_outcome(many + "\"" + std::string(199, 'k') + "\\u006b1234\":0}", 3001) ==
          "duplicate_key " + std::string(200, 'k') + "1234@" + std::to_string(many.size() + 214));
  }

  TEST_CASE("J5: strings are UTF-8, escapes whole") {
    for (const std::string_view good :
         {"\"\x7F\"", "\"\xC2\x80\"", "\"\xDF\xBF\"", "\"\xE0\xA0\x80\"", "\"\xED\x9F\xBF\"", "\"\xEF\xBF\xBF\"",
          "\"\xF0\x90\x80\x80\"", "\"\xF4\x8F\xBF\xBF\"", R"("\u0000")", R"("\uD800\uDC00\uDBFF\uDFFF")",
          R"("\uFFFF\/")"}) {
      CAPTURE(good);
      CHECK(json_outcome(good) == "end");
    }
    for (const std::string_view bad : {"\"\x80\""sv,
                                       "\"\xC0\xAF\""sv,
                                       "\"\xC1\xBF\""sv,
                                       "\"\xC3\""sv,
                                       "\"\xE0\x9F\xBF\""sv,
                                       "\"\xED\xA0\x80\""sv,
                                       "\"\xE2\x82\""sv,
                                       "\"\xF0\x8F\xBF\xBF\""sv,
                                       "\"\xF4\x90\x80\x80\""sv,
                                       "\"\xF5\x80\x80\x80\""sv,
                                       "\"\xFF   \""sv,
                                       "\"\n\""sv,
                                       "\"\x1F\""sv,
                                       "\"\0\""sv,
                                       R"("\x")"sv,
                                       R"("\u12G4")"sv,
                                       R"("\u 123")"sv,
                                       R"("\uD800123456")"sv,
                                       R"("\uD800\n1234")"sv,
                                       R"("\uD800\u0041")"sv,
                                       R"("\uD800\uD800")"sv,
                                       R"("\uDC00")"sv,
                                       R"("\U0041")"sv}) {
      CAPTURE(bad);
      CHECK(json_outcome(bad) == "bad_json@1");
    }
    // Cut short by the end of the text.
    for (const std::string_view bad : {R"("\uD800")"sv, R"("\uD800\u1")"sv, R"("\u12")"sv, "\"\xF0\x90"sv, "\"\\"sv}) {
      CAPTURE(bad);
      CHECK(json_outcome(bad) == "bad_json@" + std::to_string(bad.size()));
    }
    CHECK(json_outcome("\"abcdefgh\xFFijklmnopq\"") == "bad_json@9");
    CHECK(json_outcome("\"abcdefghijk\xC3\xA9lm\x01\"") == "bad_json@16");
    CHECK(json_tokens(R"(["\"\\\/\b\f\n\r\t","\u0041\u00DF\u6771\ud834\udd1e"])") ==
          "[ \"\"\\/\b\f\n\r\t\" \"A\xC3\x9F\xE6\x9D\xB1\xF0\x9D\x84\x9E\" ] end");
    json_reader in(R"(["a\u0000b","plain"])");
    (void)in.next();
    (void)in.next();
    CHECK(in.string().has_escapes());
    CHECK(in.string() == "a\0b"sv);
    CHECK_FALSE(in.string() == "a\0bc"sv);
    CHECK_FALSE(in.string() == "a\0"sv);
    (void)in.next();
    CHECK_FALSE(in.string().has_escapes());
    CHECK(in.string() == "plain");
  }

  TEST_CASE("J6: integers are exact, other numbers are doubles") {
    const struct {
      std::string_view text;
      std::uint64_t magnitude;
      bool is_negative;
    } integers[] = {{"0", 0, false},
                    {"-0", 0, true},
                    {"9007199254740993", 9007199254740993u, false},
                    {"18446744073709551615", ~std::uint64_t{0}, false},
                    {"-9223372036854775808", std::uint64_t{1} << 63, true}};
    for (const auto& row : integers) {
      CAPTURE(row.text);
      const auto number = number_of(row.text);
      CHECK(number.is_integer);
      CHECK(number.magnitude == row.magnitude);
      CHECK(number.is_negative == row.is_negative);
      CHECK(number.is_unsigned() == !row.is_negative);
    }
    for (const std::string_view beyond :
         {"18446744073709551616", "18446744073709551617", "28446744073709551615", "100000000000000000000",
          "-9223372036854775809", "1e309", "-1e400", "1e99999999999999999999999", "1.7976931348623159e308",
          "179769313486231580794e288"}) {
      CAPTURE(beyond);
      CHECK(json_outcome(beyond) == "bad_number@" + std::to_string(beyond.size()));
    }
    for (const std::string_view bad : {"-", "+1", ".5", "-.5", "-a", "Infinity"}) {
      CAPTURE(bad);
      CHECK(json_outcome(bad) == (bad[0] == '-' ? "bad_json@1" : "bad_json@0"));
    }
    for (const std::string_view bad : {"01", "1.", "1e", "1e+", "0x10", "1.e5", "-01", "1_0", "00", "1.5.", "1e5.5"}) {
      CAPTURE(bad);
      CHECK(json_outcome(bad).starts_with("bad_json@"));
    }
    const struct {
      std::string text;
      double value;
    } doubles[] = {{"1.0", 1.0},
                   {"0.1", 0.1},
                   {"-2.5E-3", -2.5e-3},
                   {"5e-324", 5e-324},
                   {"2.4703282292062327208e-324", 0},
                   {"1e-400", 0},
                   {"0e99999999999999999999", 0},
                   {"0.000e5", 0},
                   {"1.7976931348623157e308", (std::numeric_limits<double>::max)()},
                   {"1.797693134862315807937289714053e308", (std::numeric_limits<double>::max)()},
                   {"0.00001797693134862315807e313", (std::numeric_limits<double>::max)()},
                   {"1000e305", 1e308},
                   {"1" + std::string(400, '0') + "e-400", 1.0},
                   {"0." + std::string(400, '0') + "1e401", 1.0},
                   {"1e000000000000000000000000000000000005", 1e5},
                   // Half way between two doubles, and a digit behind many zeros that decides.
                   {"9007199254740993.0", 9007199254740992.0},
                   {"9007199254740993." + std::string(900, '0') + "1", 9007199254740994.0},
                   {"18446744073709551616.0", 18446744073709551616.0}};
    for (const auto& row : doubles) {
      CAPTURE(row.text);
      CHECK(number_of(row.text).to_double() == row.value);
    }
    CHECK(std::signbit(number_of("-0.0").to_double()));
    CHECK(number_of("-7").to_double() == -7.0);
    CHECK(number_of("18446744073709551615").to_double() == 18446744073709551616.0);
  }

  TEST_CASE("J7: long strings and numbers") {
    const std::string long_text(1 << 20, 'k');
    CHECK(json_outcome("{\"" + long_text + "\":\"" + long_text + "\"}") == "end");
    CHECK(json_outcome("[0." + std::string(1 << 20, '7') + "]") == "end");
    CHECK(json_outcome("[" + std::string(1 << 20, '7') + "]").starts_with("bad_number@"));
  }

  TEST_CASE("a value that the caller reads itself is passed over") {
    stet::detail::json_reader in(R"({"a":{"x":[1]} , "b":[2],"c":3})");
    CHECK(in.next() == stet::detail::json_token::begin_object);
    CHECK(in.next() == stet::detail::json_token::key);
    CHECK(in.rest() == R"({"x":[1]} , "b":[2],"c":3})");
    in.pass_value(9);
    CHECK(in.token() == stet::detail::json_token::end_object);
    CHECK(in.text() == R"({"x":[1]})");
    CHECK(in.next() == stet::detail::json_token::key);
    CHECK(in.string() == "b");
    in.pass_value(3);
    CHECK(in.token() == stet::detail::json_token::end_array);
    CHECK(in.next() == stet::detail::json_token::key);
    CHECK(in.next() == stet::detail::json_token::number);
    CHECK(in.next() == stet::detail::json_token::end_object);
    CHECK(in.depth() == 0);
    CHECK(in.next() == stet::detail::json_token::end);
  }

  TEST_CASE("values are skipped whole, and their text is known") {
    json_reader in(R"({"a": {"b":[1,{"c":2}]} ,"d":[[]],"e":1.50})");
    std::vector<std::string> texts;
    CHECK(in.next() == json_token::begin_object);
    CHECK(in.depth() == 1);
    while (in.next() == json_token::key) {
      (void)in.next();
      CHECK(in.skip());
      texts.emplace_back(in.text());
    }
    CHECK(texts == std::vector<std::string>{R"({"b":[1,{"c":2}]})", "[[]]", "1.50"});
    CHECK(in.token() == json_token::end_object);
    CHECK(in.next() == json_token::end);
    CHECK(in.next() == json_token::end);
    json_reader broken("[[1,2");
    (void)broken.next();
    CHECK_FALSE(broken.skip());
    CHECK(broken.code() == errc::bad_json);
    CHECK(broken.offset_bytes() == 5);
  }

  TEST_CASE(
      "every truncation is an error where the text ends, but for what an unfinished character or number leaves open") {
    CHECK(json_outcome(json_sample) == "end");
    for (std::size_t size = 0; size + 1 < json_sample.size(); ++size) {
      CAPTURE(size);
      CHECK(json_outcome(json_sample.substr(0, size)) == "bad_json@" + std::to_string(size));
    }
  }

  TEST_CASE("every change of a byte ends in the end or an error") {
    int ends = 0;
    for (std::size_t at = 0; at < json_sample.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string changed(json_sample);
        changed[at] = static_cast<char>(value);
        ends += json_outcome(changed) == "end" ? 1 : 0;
      }
    }
    CHECK(ends > static_cast<int>(json_sample.size()));
  }
}
