// SPDX-License-Identifier: MIT
// Counts the memory that each thread takes. The operators that count are in thread_memory.cpp.
#ifndef STET_BENCHMARKS_THREAD_MEMORY_HPP
#define STET_BENCHMARKS_THREAD_MEMORY_HPP

#include <cstdint>

namespace bench {

/// What a thread has allocated by `new`, less what it has freed, whoever allocated that.
struct thread_memory {
  std::int64_t live_bytes = 0, peak_bytes = 0;
};
extern thread_local thread_memory own_memory;

} // namespace bench

#endif
