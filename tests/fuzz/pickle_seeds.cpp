// SPDX-License-Identifier: MIT
// Writes the seeds of pickle_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/pickles.hpp"

#include <string>

int main(int count, char** arguments) {
  using namespace std::literals;
  stet_test::seed_folder seeds(count, arguments);
  int protocol = 0;
  for (const std::string_view each : stet_test::golden_pickles)
    seeds.add("protocol" + std::to_string(protocol++), each);
  seeds.add("objects", "(cm\nn\nK\x01o(im\nn\n\x8c\x01m\x8c\x01n\x93)}\x92(K\x01\x90P1\nQtb."sv);
  seeds.add("itself", "]q\x00h\x00"
                      "a}h\x00h\x00s\x86."sv);
  return seeds.status();
}
