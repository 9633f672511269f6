// SPDX-License-Identifier: MIT
#include "support/allocations.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#if defined(_WIN32)
#include <malloc.h>
#endif

std::atomic<std::uint64_t> stet_test::allocation_count{0};
std::atomic<std::uint64_t> stet_test::allocated_bytes{0};

namespace {

void* allocate(std::size_t size) noexcept {
  ++stet_test::allocation_count;
  stet_test::allocated_bytes += size;
  return std::malloc(size == 0 ? 1 : size);
}
void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
  ++stet_test::allocation_count;
  stet_test::allocated_bytes += size;
  const std::size_t to = static_cast<std::size_t>(alignment);
  if (size > PTRDIFF_MAX - to) return nullptr;
#if defined(_WIN32)
  return _aligned_malloc(size, to);
#else
  return std::aligned_alloc(to, (size + to) / to * to);
#endif
}
void release_aligned(void* at) noexcept {
#if defined(_WIN32)
  _aligned_free(at);
#else
  std::free(at);
#endif
}
/// Without exceptions there is nobody to tell.
void* or_fail(void* at) {
  if (at != nullptr) return at;
#if defined(__cpp_exceptions)
  throw std::bad_alloc();
#else
  std::abort();
#endif
}

} // namespace

// All of them: a sanitizer brings its own, and one that is left to it would not fit the rest.
void* operator new(std::size_t size) { return or_fail(allocate(size)); }
void* operator new[](std::size_t size) { return or_fail(allocate(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment) { return or_fail(allocate(size, alignment)); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return or_fail(allocate(size, alignment)); }
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept { return allocate(size, alignment); }
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept { return allocate(size, alignment); }
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { release_aligned(at); }
void operator delete[](void* at, std::align_val_t) noexcept { release_aligned(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { release_aligned(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { release_aligned(at); }
void operator delete(void* at, std::align_val_t, const std::nothrow_t&) noexcept { release_aligned(at); }
void operator delete[](void* at, std::align_val_t, const std::nothrow_t&) noexcept { release_aligned(at); }

TEST_SUITE("allocations") {
  TEST_CASE("every form of new is counted, with its bytes") {
    const stet_test::allocations seen;
    struct alignas(256) wide {
      char bytes[256];
    };
    const auto plain = std::make_unique<int>(1);
    const std::vector<char> many(1000);
    const auto aligned = std::make_unique<wide>();
    int* const quiet = new (std::nothrow) int[4];
    delete[] quiet;
    const std::uint64_t count = seen.count(), bytes = seen.bytes();
    CHECK(count == 4);
    CHECK(bytes == sizeof(int) + 1000 + 256 + 4 * sizeof(int));
  }
}
