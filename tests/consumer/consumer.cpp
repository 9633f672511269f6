// SPDX-License-Identifier: MIT
// What a program that uses stet's targets relies on: the headers are found, the language is C++20, the version agrees.
#include <stet/stet.hpp>
#if CONSUMER_USES_JSON
#include <stet/writer.hpp>
#endif

#include <cstdio>
#include <string_view>

int main() {
  if (std::string_view(STET_VERSION_STRING) != STET_EXPECTED_VERSION) {
    std::printf("headers of %s, package of %s\n", STET_VERSION_STRING, STET_EXPECTED_VERSION);
    return 1;
  }
  return 0;
}
