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

/// Whether an error of opening or saving is one that comes while another replaces the file. Only Windows has such: there an open
/// file is replaced in two steps, between which nothing has its name (`file_operations::rename_over`).
inline bool is_of_replacing([[maybe_unused]] const stet::error& failure) {
#if defined(_WIN32)
  return failure.code() == stet::errc::file_not_found || failure.code() == stet::errc::access_denied;
#else
  return false;
#endif
}

} // namespace stet_test

#endif
