// SPDX-License-Identifier: MIT
// A program with nothing of stet but its single headers, in two files. This one has everything in one, and saves.
#include <stet_full.hpp>

#include <cstdio>

bool second_reads(std::span<const std::byte> file);

int main() {
  const float kernel[] = {1, -2};
  stet::writer out;
  out.add("kernel", kernel, {2});
  const auto saved = out.save_to_memory();
  if (!saved || !second_reads(*saved)) {
    std::puts("what one file saved, the other does not read");
    return 1;
  }
  return 0;
}
