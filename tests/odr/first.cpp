// SPDX-License-Identifier: MIT
// One of two files that include every header.
#include "all_headers.hpp"

#include <cstdio>

int value_seen_by_second();

int main() {
  const int value = STET_VERSION_MAJOR * 10000 + STET_VERSION_MINOR * 100 + STET_VERSION_PATCH;
  if (value != value_seen_by_second()) {
    std::fputs("the two files see different versions\n", stderr);
    return 1;
  }
  return 0;
}
