// SPDX-License-Identifier: MIT
// Tests of rules.hpp: under which name a rule looks for a variable.
#include <stet/restore/rules.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>

using stet::rename_rule;

namespace {

std::string asked(const rename_rule& rule, std::string_view variable) {
  return rule.tensor_for(variable).value_or("not known");
}

} // namespace

TEST_SUITE("rules") {
  TEST_CASE("an exact rule knows one variable") {
    const rename_rule rule = rename_rule::exact("a*", "b");
    CHECK(asked(rule, "a*") == "b");
    CHECK(asked(rule, "aa") == "not known");
  }

  TEST_CASE("a prefix is exchanged for another") {
    CHECK(asked(rename_rule::prefix("new/", "old/layer/"), "new/kernel") == "old/layer/kernel");
    CHECK(asked(rename_rule::prefix("new/", ""), "new/kernel") == "kernel");
    CHECK(asked(rename_rule::prefix("", "model/"), "kernel") == "model/kernel");
    CHECK(asked(rename_rule::prefix("new/", "old/"), "newer/kernel") == "not known");
  }

  TEST_CASE("a pattern is rewritten by what its wildcards matched") {
    const rename_rule rule = rename_rule::matching("layer_*/**", "encoder/$1/$2");
    CHECK(asked(rule, "layer_3/attention/kernel") == "encoder/3/attention/kernel");
    CHECK(asked(rule, "head/kernel") == "not known");
  }

  TEST_CASE("a function of the program decides") {
    const rename_rule rule = rename_rule::callback([](std::string_view name) -> std::optional<std::string> {
      if (name.size() > 3) return std::nullopt;
      return std::string(name.rbegin(), name.rend());
    });
    CHECK(asked(rule, "abc") == "cba");
    CHECK(asked(rule, "abcd") == "not known");
  }

  // The examples in the documentation of tf.compat.v1.train.init_from_checkpoint, the checkpoint's name
  // first.
  TEST_CASE("assignment maps are TensorFlow's") {
    CHECK(asked(rename_rule::assignment("scope_1/", "net/scope_2/"), "net/scope_2/dense/kernel") ==
          "scope_1/dense/kernel");
    CHECK(asked(rename_rule::assignment("scope_1/", "net/scope_2/"), "net/scope_3/kernel") == "not known");
    CHECK(asked(rename_rule::assignment("/", "net/"), "net/kernel") == "kernel");
    CHECK(asked(rename_rule::assignment("", "net/"), "net/kernel") == "kernel");
    CHECK(asked(rename_rule::assignment("trained/", "/"), "dense/kernel") == "trained/dense/kernel");
    CHECK(asked(rename_rule::assignment("/", "/"), "dense/kernel") == "dense/kernel");
    CHECK(asked(rename_rule::assignment("scope/v1", "net/v2"), "net/v2") == "scope/v1");
    CHECK(asked(rename_rule::assignment("scope/v1", "net/v2"), "net/v2/m") == "not known");
    // A scope and a name do not go together: TensorFlow refuses them, here they are two names, of which none
    // is taken apart.
    CHECK(asked(rename_rule::assignment("scope/", "net"), "network") == "not known");
    CHECK(asked(rename_rule::assignment("scope", "net/"), "net/kernel") == "not known");
  }
}
