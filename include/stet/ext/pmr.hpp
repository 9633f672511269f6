// SPDX-License-Identifier: MIT
// A std::pmr::memory_resource as the memory of stet. Include <memory_resource> before this header.
#ifndef STET_EXT_PMR_HPP
#define STET_EXT_PMR_HPP

#include "../vocabulary/config.hpp"

#include "../source/memory.hpp"

namespace stet::inline STET_NAMESPACE {

/// Forwards to a resource of the standard library, which must outlive it and determines the thread safety:
///
///   std::pmr::monotonic_buffer_resource arena;
///   stet::pmr_memory memory(arena);
///   auto model = stet::open("model.stet", {.backing = stet::backing::read, .memory = &memory});
class pmr_memory final : public memory_resource {
public:
  /// Allocates from `to`, which must outlive this object.
  explicit pmr_memory(std::pmr::memory_resource& to) noexcept : to_(to) {}

  void* allocate(std::size_t size_bytes, std::size_t alignment_bytes) noexcept override {
#if defined(__cpp_exceptions)
    try {
      return to_.allocate(size_bytes, alignment_bytes);
    } catch (...) { // std::bad_alloc, or another exception of the resource
      return nullptr;
    }
#else
    return to_.allocate(size_bytes, alignment_bytes);
#endif
  }
  void deallocate(void* block, std::size_t size_bytes, std::size_t alignment_bytes) noexcept override {
    to_.deallocate(block, size_bytes, alignment_bytes);
  }

private:
  std::pmr::memory_resource& to_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
