// SPDX-License-Identifier: MIT
// Tests of glob.hpp: what patterns match, what wildcards capture, and that no pattern takes long.
#include <stet/restore/glob.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using stet::glob;

namespace {

/// Whether `pattern` matches `name`, by trying everything.
bool matches_slowly(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*') {
    const bool is_deep = pattern.substr(0, 2) == "**";
    for (std::size_t taken = 0;; ++taken) {
      if (matches_slowly(pattern.substr(is_deep ? 2 : 1), name.substr(taken))) return true;
      if (taken == name.size() || (!is_deep && name[taken] == '/')) return false;
    }
  }
  if (name.empty() || (pattern[0] == '?' ? name[0] == '/' : pattern[0] != name[0])) return false;
  return matches_slowly(pattern.substr(1), name.substr(1));
}

std::string captured(std::string_view pattern, std::string_view name) {
  std::vector<std::string_view> captures;
  if (!glob(pattern).matches(name, &captures)) return "no match";
  std::string all;
  for (const std::string_view each : captures) all.append("<").append(each).append(">");
  return all;
}

} // namespace

TEST_SUITE("glob") {
  TEST_CASE("matches names") {
    struct row {
      const char *pattern, *name;
      bool is_match;
    };
    const row rows[] = {
        {"", "", true},
        {"", "a", false},
        {"dense/kernel", "dense/kernel", true},
        {"dense/kernel", "dense/kernels", false},
        {"dense/kernel", "dense/kerne", false},
        {"*", "", true},
        {"*", "kernel", true},
        {"*", "dense/kernel", false},
        {"*/*", "dense/kernel", true},
        {"**", "", true},
        {"**", "dense/kernel/Adam/m", true},
        {"dense/*", "dense/", true},
        {"dense/*", "dense/kernel/Adam", false},
        {"dense/**", "dense/kernel/Adam", true},
        {"dense/**", "dense", false},
        {"**/kernel", "a/b/kernel", true},
        {"**/kernel", "kernel", false},
        {"**kernel", "kernel", true},
        {"layer_?/bias", "layer_7/bias", true},
        {"layer_?/bias", "layer_12/bias", false},
        {"a?b", "a/b", false},
        {"?", "", false},
        {"***", "a/b", true},
        {"[ab]", "a", false},
        {"[ab]", "[ab]", true},
        {"Kernel", "kernel", false},
    };
    for (const row& each : rows) {
      CAPTURE(each.pattern);
      CAPTURE(each.name);
      CHECK(glob(each.pattern).matches(each.name) == each.is_match);
    }
  }

  TEST_CASE("captures what each wildcard matched, the earlier ones as little as they can") {
    CHECK(captured("layer_*/kernel", "layer_12/kernel") == "<12>");
    CHECK(captured("*_?/**", "layer_1/a/b") == "<layer><1><a/b>");
    CHECK(captured("*a*", "banana") == "<b><nana>");
    CHECK(captured("**/*", "a/b/c") == "<a/b><c>");
    CHECK(captured("**", "") == "<>");
    CHECK(captured("plain", "plain") == "");
    std::vector<std::string_view> kept = {"as it was"};
    CHECK_FALSE(glob("x*").matches("y", &kept));
    CHECK(kept.size() == 1);
  }

  TEST_CASE("rewrites by what was captured") {
    const std::vector<std::string_view> captures = {"a", "b/c"};
    CHECK(glob::rewrite("old/$2/$1", captures) == "old/b/c/a");
    CHECK(glob::rewrite("$1$1", captures) == "aa");
    CHECK(glob::rewrite("$3", captures).empty());
    CHECK(glob::rewrite("$$1", captures) == "$1");
    CHECK(glob::rewrite("$10", captures) == "a0");
    CHECK(glob::rewrite("cost $", captures) == "cost $");
    CHECK(glob::rewrite("$0 $x", captures) == "$0 $x");
  }

  TEST_CASE("agrees with trying everything, also in what it captures") {
    std::mt19937 random(7);
    const auto draw = [&random](std::string_view from, std::size_t most) {
      std::string text;
      for (std::size_t left = random() % (most + 1); left > 0; --left) text += from[random() % from.size()];
      return text;
    };
    std::size_t match_count = 0;
    for (int i = 0; i < 20000; ++i) {
      const std::string pattern = draw("ab/**?", 7), name = draw("ab/", 8);
      CAPTURE(pattern);
      CAPTURE(name);
      std::vector<std::string_view> captures;
      const bool is_match = glob(pattern).matches(name, &captures);
      REQUIRE(is_match == matches_slowly(pattern, name));
      if (!is_match) continue;
      ++match_count;
      std::string rebuilt;
      std::size_t next = 0;
      for (std::size_t at = 0; at < pattern.size() && next <= captures.size(); ++at) {
        if (pattern[at] != '*' && pattern[at] != '?') {
          rebuilt += pattern[at];
        } else if (next < captures.size()) {
          rebuilt += captures[next++];
          at += pattern.substr(at, 2) == "**" ? 1u : 0u;
        }
      }
      CHECK(rebuilt == name);
      CHECK(next == captures.size());
    }
    CHECK(match_count > 1000);
  }

  TEST_CASE("no pattern takes long") {
    // Each of these has so many ways to match that trying them one by one would not end.
    std::string stars, deeps;
    for (int i = 0; i < 40; ++i) {
      stars += "*a";
      deeps += "**a?";
    }
    const std::string name(2000, 'a');
    CHECK_FALSE(glob(stars + "*b").matches(name));
    CHECK_FALSE(glob(deeps + "**b").matches(name));
    CHECK(glob(stars + "*").matches(name));
    std::vector<std::string_view> captures;
    CHECK(glob(deeps + "**").matches(name, &captures));
    CHECK(captures.size() == 81);
    const std::string longest(65535, 'a'); // no tensor has a longer name
    CHECK_FALSE(glob("**a**a**b").matches(longest));
  }
}
