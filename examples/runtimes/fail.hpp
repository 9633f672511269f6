// SPDX-License-Identifier: MIT
// The end of an example that something went wrong in.
#ifndef RUNTIMES_FAIL_HPP
#define RUNTIMES_FAIL_HPP

#include <stet/stet.hpp>

#include <cstdio>
#include <string_view>

namespace runtimes {

/// Says what went wrong. @return the exit status
inline int fail(std::string_view what) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
  return 1;
}
inline int fail(const stet::error& failure) {
  char text[256];
  return fail(failure.print(text, sizeof text));
}

} // namespace runtimes

#endif
