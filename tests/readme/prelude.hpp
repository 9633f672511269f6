// SPDX-License-Identifier: MIT
// The prelude of a fragment of the documentation: the library, and a function to return from.
#ifndef STET_TESTS_README_PRELUDE_HPP
#define STET_TESTS_README_PRELUDE_HPP

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <cstdio>

/// The return type of the function of a fragment, which accepts any value.
struct anything {
  anything() = default;
  template <class T> anything(const T&) noexcept {}
};

#endif
