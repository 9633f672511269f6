// SPDX-License-Identifier: MIT
#include "support/allocations.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(_WIN32)
#include <malloc.h>
#endif

std::atomic<std::uint64_t> stet_test::allocation_count{0};
std::atomic<std::uint64_t> stet_test::allocated_bytes{0};
std::atomic<std::uint64_t> stet_test::largest_allocation_bytes{0};
std::atomic<bool (*)(std::size_t) noexcept> stet_test::fails_to_allocate{nullptr};

// GCC sees the replaced operators inlined one by one and takes malloc and delete for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#if STET_TEST_COUNTS_ALLOCATIONS

namespace {

/// @return whether there shall be no memory
bool note(std::size_t size) noexcept {
  ++stet_test::allocation_count;
  stet_test::allocated_bytes += size;
  std::uint64_t largest = stet_test::largest_allocation_bytes;
  while (size > largest && !stet_test::largest_allocation_bytes.compare_exchange_weak(largest, size)) {
  }
  const auto fails = stet_test::fails_to_allocate.load();
  return fails != nullptr && fails(size);
}

void* allocate(std::size_t size) noexcept {
  if (note(size)) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}
void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
  if (note(size)) return nullptr;
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
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, alignment);
}
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

#endif

TEST_SUITE("allocations") {
  TEST_CASE("every form of new is counted, with its bytes") {
    if (!stet_test::counts_allocations) {
      MESSAGE("skipped: this sanitizer's operator new cannot be replaced");
      return;
    }
    // Called as functions: what a new-expression allocates and nobody uses may be optimised away.
    const std::align_val_t alignment{256};
    const stet_test::allocations seen;
    ::operator delete(::operator new(1));
    ::operator delete[](::operator new[](10));
    ::operator delete(::operator new(100, std::nothrow));
    ::operator delete[](::operator new[](1000, std::nothrow));
    ::operator delete(::operator new(10000, alignment), alignment);
    ::operator delete[](::operator new[](100000, alignment), alignment);
    ::operator delete(::operator new(1000000, alignment, std::nothrow), alignment);
    ::operator delete[](::operator new[](10000000, alignment, std::nothrow), alignment);
    const std::uint64_t count = seen.count(), bytes = seen.bytes(), largest = seen.largest_bytes();
    CHECK(count == 8);
    CHECK(bytes == 11111111);
    CHECK(largest == 10000000);
  }
}
