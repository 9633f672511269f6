// SPDX-License-Identifier: MIT
#include "thread_memory.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <malloc.h>

namespace bench {
thread_local thread_memory own_memory;
} // namespace bench

void* operator new(std::size_t size_bytes) {
  void* const made = std::malloc(size_bytes == 0 ? 1 : size_bytes);
  if (made == nullptr) throw std::bad_alloc();
  bench::thread_memory& own = bench::own_memory;
  own.live_bytes += static_cast<std::int64_t>(malloc_usable_size(made));
  own.peak_bytes = (std::max)(own.peak_bytes, own.live_bytes);
  return made;
}
void operator delete(void* memory) noexcept {
  bench::own_memory.live_bytes -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
