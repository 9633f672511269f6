// SPDX-License-Identifier: MIT
// A program with nothing of stet but its single headers, in two files. This one has everything in one, and saves.
#include <stet_full.hpp>

#include <cstdio>

bool second_reads(std::span<const std::byte> file);

int main() {
  const float kernel[] = {1, -2};
  stet::writer out;
  if (!out.add("kernel", {2}, std::span<const float>(kernel))) return 1;
  const auto saved = out.save_to_memory();
  if (!saved || !second_reads(*saved)) {
    std::puts("what one file saved, the other does not read");
    return 1;
  }
  return 0;
}
