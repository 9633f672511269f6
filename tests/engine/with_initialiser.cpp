// SPDX-License-Identifier: MIT
// What must not be in the headers, for state.cmake to find: an initialiser that runs before main, and state.
#include <stet/vocabulary/config.hpp>

int called_before_main();
int called_before_main() { return 1; }

namespace stet::inline STET_NAMESPACE {
extern int state;
int state = called_before_main();
} // namespace stet::inline STET_NAMESPACE
