// SPDX-License-Identifier: MIT
// A program of two parts that vendor two releases of stet, whose types differ in size: each uses its own.
#include "user.hpp"

#include <stet/stet.hpp>

#include <cstdio>

int main() {
  const seen one = one_release("two_releases.stet"), another = another_release("two_releases.stet"),
             again = one_release("two_releases.stet");
  const bool are_sound =
      one.is_sound && another.is_sound && again.is_sound && one.sum == 6 && another.sum == 6 && again.sum == 6;
  const bool are_apart =
      one.size_of_source == sizeof(stet::source) && another.size_of_source == sizeof(stet::source) + 40;
  // The file of one is the other's, too.
  const auto store = stet::open("two_releases.stet");
  std::remove("two_releases.stet");
  return are_sound && are_apart && store ? 0 : 1;
}
