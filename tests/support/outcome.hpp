// SPDX-License-Identifier: MIT
// What a result came to, as something that a test can compare and print.
#ifndef STET_TESTS_SUPPORT_OUTCOME_HPP
#define STET_TESTS_SUPPORT_OUTCOME_HPP

#include <stet/vocabulary/result.hpp>

#include <string>

namespace stet_test {

/// "ok", or the name of the error's code.
template <class Value> std::string outcome(const stet::result<Value>& made) {
  return made ? std::string("ok") : std::string(stet::describe(made.error().code()).name);
}

} // namespace stet_test

#endif
