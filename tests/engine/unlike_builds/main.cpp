// SPDX-License-Identifier: MIT
// Parts of a program that were built with unlike settings have types of different names: a function of one cannot be called by
// another, which would take the type for one of another layout.
#include <cstdio>
#include <string_view>

std::string_view with_the_defaults();
std::string_view with_small_code();
std::string_view without_files();

int main() {
  const std::string_view names[] = {with_the_defaults(), with_small_code(), without_files()};
  int equal_count = 0;
  for (int i = 0; i < 3; ++i) {
    std::printf("%.*s\n", static_cast<int>(names[i].size()), names[i].data());
    for (int j = 0; j < i; ++j) equal_count += names[i] == names[j] ? 1 : 0;
  }
  return equal_count;
}
