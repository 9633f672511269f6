// SPDX-License-Identifier: MIT
// What a fuzz target finds wrong: it ends the program, which every compiler's replay of the seeds notices, too.
#ifndef STET_TESTS_FUZZ_REQUIRE_HPP
#define STET_TESTS_FUZZ_REQUIRE_HPP

#include <cstdlib>

inline void require(bool condition) {
  if (!condition) std::abort();
}

#endif
