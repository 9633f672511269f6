// SPDX-License-Identifier: MIT
// Tests of pickle.hpp: golden pickles of all protocols, every opcode, every truncation, and what is made to do harm.
#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/outcome.hpp"
#include "support/pickles.hpp"

#include <stet/wire/pickle.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace {

using namespace std::literals;
using namespace stet_test;
using stet::detail::pickle;
using stet::detail::pickle_kind;
using stet::detail::pickle_ref;

constexpr stet::detail::pickle_name names_of_test[] = {{"collections", "OrderedDict", 7}, {"m.n", "K", 9}};

/// A value as text: (1,) [1] {k:v} s{1} f(1) "text" b<00> <module.name#id> callee(arguments)+state.
std::string shown(const pickle& of, pickle_ref number, int depth = 0) {
  if (number == stet::detail::no_pickle_value) return "?";
  if (depth > 20) return "...";
  const stet::detail::pickle_value& value = of[number];
  const auto sequence = [&](std::string_view begin, std::string_view end) {
    std::string made(begin);
    for (pickle::walk each(of, value); each.next();) {
      if (value.kind == pickle_kind::dict) made += shown(of, each.key(), depth + 1) + ":";
      made += shown(of, each.value(), depth + 1) + ",";
    }
    return made.append(end);
  };
  const auto hex = [&](std::string made) {
    for (const char c : of.text(value)) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", unsigned{static_cast<unsigned char>(c)});
      made += digits;
    }
    return made + ">";
  };
  switch (value.kind) {
  case pickle_kind::none:
    return "None";
  case pickle_kind::boolean:
    return value.integer != 0 ? "True" : "False";
  case pickle_kind::integer:
    return std::to_string(value.integer);
  case pickle_kind::long_integer:
    return value.is_other_form ? "L" + std::string(of.text(value)) : hex("L<");
  case pickle_kind::real: {
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value.real);
    return text;
  }
  case pickle_kind::text:
    return "\"" + std::string(of.text(value)) + "\"";
  case pickle_kind::bytes:
    return hex("b<");
  case pickle_kind::tuple:
    return sequence("(", ")");
  case pickle_kind::list:
    return sequence("[", "]");
  case pickle_kind::dict:
    return sequence("{", "}");
  case pickle_kind::set:
    return sequence("s{", "}");
  case pickle_kind::frozen_set:
    return sequence("f(", ")");
  case pickle_kind::global:
    return "<" + std::string(of.module_of(value)) + "." + std::string(of.name_of(value)) + "#" +
           std::to_string(value.id) + ">";
  case pickle_kind::object: {
    const stet::detail::pickle_object& object = of.object(value);
    std::string made = shown(of, object.callee, depth + 1) + shown(of, object.arguments, depth + 1);
    for (const pickle_ref part : {object.keywords, object.state, object.elements, object.pairs}) {
      if (part != stet::detail::no_pickle_value) made += "+" + shown(of, part, depth + 1);
    }
    return made;
  }
  case pickle_kind::persistent:
    return "@" + shown(of, of.persistent_id(value), depth + 1);
  }
  return "not a kind";
}

/// What a pickle is, as text, or the error: "CODE at OFFSET".
std::string read(std::string_view text) {
  const exact_text block(text);
  pickle made;
  const auto done = made.run(block.bytes(), names_of_test);
  if (!done) return outcome(done) + " at " + std::to_string(done.error().offset_bytes());
  CHECK(made.size_bytes() <= text.size());
  return shown(made, made.root());
}

constexpr std::string_view numbers_shown = ",True,False,None,0.5,-1.0000000000000001e+300,inf,],";

TEST_CASE("a pickle of each protocol is read as what Python saved") {
  for (int protocol = 0; protocol <= 5; ++protocol) {
    CAPTURE(protocol);
    const std::string large = protocol < 2 ? "L9223372036854775808" : "L<000000000000008000>";
    std::string want = "{\"a\":[1,-1,255,65535,70000,-2147483648,2147483648,9223372036854775807,-9223372036854775808,";
    want += large + std::string(numbers_shown) + "\"t\":((),(1,),(1,2,),(1,2,3,),(1,2,3,4,),),\"b\":";
    if (protocol >= 3) {
      want += "b<00ff7a>";
    } else {
      want += "<_codecs.encode#0>(\"\0\303\277z\",\"latin1\",)"s;
    }
    want += ",\"u\":\"\303\251\342\202\254\360\237\230\200\n\\\",";
    const std::string builtin = protocol < 3 ? "<__builtin__." : "<builtins.";
    want += "\"s\":" + (protocol < 4 ? builtin + "set#0>([5,],)" : "s{5,}"s);
    want += ",\"f\":" + (protocol < 4 ? builtin + "frozenset#0>([6,],)" : "f(6,)"s);
    want += ",\"o\":<collections.OrderedDict#7>()+{\"k\":1,},\"x\":[[7,],[7,],],\"c\":<m.n.K#9>,}";
    CHECK(read(golden_pickles[protocol]) == want);
  }
}

TEST_CASE("every part of a pickle is an error, never a value") {
  for (const std::string_view whole : golden_pickles) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      CHECK(read(whole.substr(0, size)).starts_with("truncated at "));
    }
  }
}

TEST_CASE("values that are used twice are one value") {
  const exact_text block("\x80\x02]q\x01h\x01\x86."sv);
  pickle made;
  REQUIRE(made.run(block.bytes(), {}));
  CHECK(made.element(made[made.root()], 0) == made.element(made[made.root()], 1));
}

TEST_CASE("each opcode") {
  struct one {
    std::string_view pickled, want;
  };
  const one all[] = {
      {"N."sv, "None"},
      {"\x88."sv, "True"},
      {"\x89."sv, "False"},
      {"K\xff."sv, "255"},
      {"M\x01\x02."sv, "513"},
      {"J\xfe\xff\xff\xff."sv, "-2"},
      {"I-12\n."sv, "-12"},
      {"I01\n."sv, "True"},
      {"I00\n."sv, "False"},
      {"I+7\n."sv, "7"},
      {"L-9223372036854775808L\n."sv, "-9223372036854775808"},
      {"L9223372036854775808\n."sv, "L9223372036854775808"},
      {"L99999999999999999999999L\n."sv, "L99999999999999999999999"},
      {"\x8a\x00."sv, "0"},
      {"\x8a\x01\xff."sv, "-1"},
      {"\x8a\x02\xff\x00."sv, "255"},
      {"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."sv, "-9223372036854775808"},
      {"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."sv, "L<000000000000008000>"},
      {"\x8b\x01\x00\x00\x00\x05."sv, "5"},
      {"F0.25\n."sv, "0.25"},
      {"F-inf\n."sv, "-inf"},
      {"Fnan\n."sv, "nan"},
      {"F1e+16\n."sv, "10000000000000000"},
      {"G\x3f\xe0\x00\x00\x00\x00\x00\x00."sv, "0.5"},
      {"X\x02\x00\x00\x00"
       "ab."sv,
       "\"ab\""},
      {"\x8c\x02"
       "ab."sv,
       "\"ab\""},
      {"\x8d\x02\x00\x00\x00\x00\x00\x00\x00"
       "ab."sv,
       "\"ab\""},
      {"U\x02"
       "ab."sv,
       "\"ab\""},
      {"T\x02\x00\x00\x00"
       "ab."sv,
       "\"ab\""},
      {"Vab\n."sv, "\"ab\""},
      {"V\n."sv, "\"\""},
      {"Va\\u00e9\xe9\\U0001F600\\n\n."sv, "\"a\303\251\303\251\360\237\230\200\\n\""},
      {"S'ab'\n."sv, "\"ab\""},
      {"S\"a'b\"\n."sv, "\"a'b\""},
      {"S'\\'\\n\\x41\\\\\\q'\n."sv, "\"'\nA\\\\q\""},
      {"B\x01\x00\x00\x00z."sv, "b<7a>"},
      {"C\x01z."sv, "b<7a>"},
      {"\x8e\x01\x00\x00\x00\x00\x00\x00\x00z."sv, "b<7a>"},
      {"\x96\x01\x00\x00\x00\x00\x00\x00\x00z."sv, "b<7a>"},
      {")."sv, "()"},
      {"K\x01\x85."sv, "(1,)"},
      {"K\x01K\x02\x86."sv, "(1,2,)"},
      {"K\x01K\x02K\x03\x87."sv, "(1,2,3,)"},
      {"(K\x01K\x02t."sv, "(1,2,)"},
      {"(t."sv, "()"},
      {"]."sv, "[]"},
      {"]K\x01"
       "a."sv,
       "[1,]"},
      {"](K\x01K\x02"
       "e."sv,
       "[1,2,]"},
      {"](e."sv, "[]"},
      {"(K\x01(ll."sv, "[1,[],]"},
      {"}."sv, "{}"},
      {"}K\x01Ns."sv, "{1:None,}"},
      {"}(K\x01NK\x02Nu."sv, "{1:None,2:None,}"},
      {"(K\x01Nd."sv, "{1:None,}"},
      {"\x8f(K\x01\x90."sv, "s{1,}"},
      {"(K\x01K\x02\x91."sv, "f(1,2,)"},
      {"cm.n\nK\n."sv, "<m.n.K#9>"},
      {"cm\nn.K\n."sv, "<m.n.K#0>"},
      {"\x8c\x03m.n\x8c\x01K\x93."sv, "<m.n.K#9>"},
      {"cos\nsystem\nU\x02ls\x85R."sv, "<os.system#0>(\"ls\",)"},
      {"cm.n\nK\n)\x81}b."sv, "<m.n.K#9>()+{}"},
      {"cm.n\nK\n)}\x92."sv, "<m.n.K#9>()+{}"},
      {"(K\x01im.n\nK\n."sv, "<m.n.K#9>(1,)"},
      {"(cm.n\nK\nK\x01o."sv, "<m.n.K#9>(1,)"},
      {"cm.n\nK\n)RK\x01"
       "a(K\x02"
       "e."sv,
       "<m.n.K#9>()+[1,2,]"},
      {"cm.n\nK\n)RK\x01K\x02s."sv, "<m.n.K#9>()+{1:2,}"},
      {"cm.n\nK\n)R(K\x01\x90."sv, "<m.n.K#9>()+[1,]"},
      {"Pab\n."sv, "@\"ab\""},
      {"K\x01Q."sv, "@1"},
      {"K\x01q\x00"
       "0h\x00."sv,
       "1"},
      {"K\x01r\x03\x00\x00\x00"
       "0j\x03\x00\x00\x00."sv,
       "1"},
      {"K\x01p2\n0g2\n."sv, "1"},
      {"K\x01\x94"
       "0K\x02\x94h\x00\x86."sv,
       "(2,1,)"},
      {"K\x01K\x02"
       "0."sv,
       "1"},
      {"K\x01(K\x02"
       "1."sv,
       "1"},
      {"K\x01(0."sv, "1"},
      {"K\x01"
       "2\x86."sv,
       "(1,1,)"},
      {"\x80\x05\x95\x01\x00\x00\x00\x00\x00\x00\x00N."sv, "None"},
  };
  for (const one& each : all) {
    CAPTURE(each.want);
    CHECK(read(each.pickled) == each.want);
  }
}

TEST_CASE("operations without the values that they need") {
  const std::string_view all[] = {
      "."sv,
      "0."sv,
      "2."sv,
      "t."sv,
      "1."sv,
      "e."sv,
      "u."sv,
      "l."sv,
      "d."sv,
      "\x90."sv,
      "\x91."sv,
      "o."sv,
      "im\nn\n."sv,
      "R."sv,
      "NR."sv,
      "b."sv,
      "Nb."sv,
      "N\x81."sv,
      "NN\x92."sv,
      "N\x85\x86."sv,
      "NN\x87."sv,
      "a."sv,
      "]a."sv,
      "}Ns."sv,
      "Q."sv,
      "q\x00."sv,
      "\x94."sv,
      "\x93."sv,
      "N(."sv, // a mark hides what is below it
      "N(R."sv,
      "](a."sv,
      "}(NNs."sv,
      "(e."sv,
      "(NNu."sv,
      "(o."sv,
      "](Ne(e."sv.substr(4), // nothing below the mark
      "}(Nu."sv,             // a key without a value
      "(Nd."sv,
      "NNa."sv, // on what is no list
      "]NNs."sv,
      "N(Ne."sv,
      ")(Ne."sv,
      "}(Ne."sv,
      "](NNu."sv,
      "](N\x90."sv,
      "\x8f(Ne."sv,
      "NNb."sv,
      "}}b."sv,
      "cm\nn\n}b."sv,
      "K\x01Q}b."sv,
      "cm\nn\n)R}b}b."sv, // a second state
      "K\x01K\x02\x93."sv,
      "U\x01mK\x02\x93."sv,
      "h\x00."sv,
      "j\x00\x00\x00\x00."sv,
      "g0\n."sv,
      "Nq\x01h\x00."sv,
      "Nq\x01h\x02."sv,
      "Nr\xff\xff\xff\xff."sv,
      "Np99999999999\n."sv,
      "Nq\xff."sv,
      "Np-1\n."sv,
      "Np\n."sv,
      "Ix\n."sv,
      "I\n."sv,
      "I-\n."sv,
      "L1x\n."sv,
      "F\n."sv,
      "F0x10\n."sv,
      "Fone\n."sv,
      "F1e999\n."sv,
      "Sab\n."sv,
      "S'ab\n."sv,
      "S'\n."sv,
      "S'\\xg1'\n."sv,
      "S'\\012'\n."sv,
      "V\\u12\n."sv,
      "V\\UFFFFFFFF\n."sv,
      "\x00"sv,
      "\xff."sv,
      "?."sv,
      "\x99."sv,
      "\x7f."sv,
  };
  for (const std::string_view each : all) {
    CAPTURE(each);
    CHECK(read(each).starts_with("malformed at "));
  }
  for (const std::string_view each :
       {"\x82\x01."sv, "\x83\x01\x00."sv, "\x84\x01\x00\x00\x00."sv, "\x97."sv, "\x98."sv, "\x80\x06N."sv}) {
    CAPTURE(each);
    CHECK(read(each).starts_with("unsupported at 0"));
  }
}

TEST_CASE("lengths beyond the end are refused before any memory is taken") {
  const std::string_view all[] = {
      "X\xff\xff\xff\xff"
      "ab."sv,
      "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
      "ab."sv,
      "\x8d\x00\x00\x00\x00\x00\x00\x00\x80."
      ""sv,
      "B\xff\xff\xff\x7f."sv,
      "\x8e\x00\x00\x00\x00\x01\x00\x00\x00."sv,
      "\x96\xff\xff\xff\xff\xff\xff\xff\xff."sv,
      "T\xff\xff\xff\xff."sv,
      "\x8b\xff\xff\xff\x7f."sv,
      "\x8b\xff\xff\xff\xff."sv,
      "U\xff."sv,
      "\x8c\xff."sv,
      "C\xff."sv,
      "\x8a\xff."sv,
      "\x95\xff\xff\xff\xff\xff\xff\xff\x7fN."sv,
      "\x95\x03\x00\x00\x00\x00\x00\x00\x00N."sv,
      "Vab."sv,
      "cos\nsystem."sv,
      "I12."sv,
      "p0"sv,
      "Pab."sv,
  };
  for (const std::string_view each : all) {
    CAPTURE(each);
    const exact_text block(each);
    counted_memory memory;
    {
      pickle made(&memory);
      const auto done = made.run(block.bytes(), {});
      REQUIRE_FALSE(done);
      CHECK(done.error().code() == stet::errc::truncated);
    }
    CHECK(memory.largest_bytes() <= 2048);
    CHECK(memory.live() == 0);
  }
}

TEST_CASE("nesting and repetition cost memory in proportion to the bytes") {
  std::string nested = "\x80\x02)";
  nested.append(200000, '\x85');
  nested += '.';
  std::string lists(200000, ']');
  lists.append(199999, 'a');
  lists += '.';
  std::string objects = "cm\nn\n";
  for (int i = 0; i < 100000; ++i) objects += ")R";
  objects += '.';
  std::string classes(300000, '(');
  for (int i = 0; i < 300000; ++i) classes += "i\n\n";
  classes += '.';
  std::string memo;
  for (int i = 0; i < 100000; ++i) memo += "}\x94";
  memo += '.';
  // Each list has the one before twice: 2^1000 elements if they were not shared.
  std::string bomb = "]\x94";
  for (int i = 0; i < 250; ++i) bomb += "](h"s + static_cast<char>(i) + "h"s + static_cast<char>(i) + "e\x94";
  bomb += '.';
  for (const std::string& each : {nested, lists, objects, classes, memo, bomb}) {
    CAPTURE(each.size());
    const exact_text block(each);
    counted_memory memory;
    {
      pickle made(&memory);
      CHECK(made.run(block.bytes(), {}));
      CHECK(made.size_bytes() == each.size());
    }
    CHECK(memory.bytes() <= 96 * each.size() + 65536);
    CHECK(memory.live() == 0);
    CHECK(memory.is_sound());
  }
}

TEST_CASE("a list that contains itself is one value") {
  const exact_text block("]q\x00h\x00"
                         "a."sv);
  pickle made;
  REQUIRE(made.run(block.bytes(), {}));
  pickle::walk elements(made, made[made.root()]);
  REQUIRE(elements.next());
  CHECK(elements.value() == made.root());
  CHECK_FALSE(elements.next());
}

TEST_CASE("memory that runs out is an error") {
  const exact_text block(golden_pickles[4]);
  for (std::uint64_t fails_at = 0;; ++fails_at) {
    counted_memory memory(fails_at);
    pickle made(&memory);
    const auto done = made.run(block.bytes(), {});
    if (done) {
      CHECK(fails_at > 4);
      break;
    }
    CHECK(done.error().code() == stet::errc::out_of_memory);
    REQUIRE(fails_at < 100);
  }
}

TEST_CASE("what follows the pickle is left alone") {
  const exact_text block("N.cos\nsystem\n"sv);
  pickle made;
  REQUIRE(made.run(block.bytes(), {}));
  CHECK(made.size_bytes() == 2);
}

TEST_CASE("a flipped bit is an error or other values, never a read outside") {
  for (const std::string_view whole : golden_pickles) {
    std::string damaged(whole);
    for (std::size_t bit = 0; bit < damaged.size() * 8; ++bit) {
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      CHECK_FALSE(read(damaged).empty());
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    }
  }
}

} // namespace
