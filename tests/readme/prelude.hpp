// SPDX-License-Identifier: MIT
// What a fragment of the documentation may take for granted: the library, and a function to return from.
#ifndef STET_TESTS_README_PRELUDE_HPP
#define STET_TESTS_README_PRELUDE_HPP

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <cstdio>

/// The return type of a fragment's function: whatever the fragment returns.
struct anything {
  anything() = default;
  template <class T> anything(const T&) noexcept {}
};

#endif
