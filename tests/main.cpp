// SPDX-License-Identifier: MIT
// The test program's main, which doctest writes.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
