// SPDX-License-Identifier: MIT
// What the demo measures about itself: time, and memory that belongs to this process alone.
#ifndef DIGITS_MEASURE_HPP
#define DIGITS_MEASURE_HPP

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>

namespace digits {

/// Seconds since it was made.
class stopwatch {
public:
  double seconds() const noexcept {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Memory of this process in bytes that no file stands behind: heap, stack, and copies of file pages that it
/// has written to. Pages of a file mapped for reading are not among them. Nothing where the system does not
/// tell (only Linux is asked). Source: proc_pid_smaps(5), Anonymous; smaps_rollup sums it over all mappings.
/// (Private_Dirty would count a mapped page as ours while the disk has not caught up with whoever wrote it.)
inline std::optional<std::uint64_t> private_memory_bytes() noexcept {
#if defined(__linux__)
  std::FILE* file = std::fopen("/proc/self/smaps_rollup", "r");
  if (file == nullptr) return std::nullopt;
  char line[256];
  std::optional<std::uint64_t> found;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    unsigned long kib = 0;
    if (std::sscanf(line, "Anonymous: %lu", &kib) == 1) found = std::uint64_t{kib} * 1024;
  }
  std::fclose(file);
  return found;
#else
  return std::nullopt;
#endif
}

} // namespace digits

#endif
