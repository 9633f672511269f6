// SPDX-License-Identifier: MIT
// Counts what the program allocates. The operators that count are in allocations_test.cpp.
#ifndef STET_TESTS_SUPPORT_ALLOCATIONS_HPP
#define STET_TESTS_SUPPORT_ALLOCATIONS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

// Clang links its ThreadSanitizer with operators that cannot be replaced: there nothing is counted.
#define STET_TEST_COUNTS_ALLOCATIONS 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef STET_TEST_COUNTS_ALLOCATIONS
#define STET_TEST_COUNTS_ALLOCATIONS 0
#endif
#endif

namespace stet_test {

/// Whether anything is counted: a test that expects allocations asks first.
inline constexpr bool counts_allocations = STET_TEST_COUNTS_ALLOCATIONS != 0;

/// Every call of an operator new since the program began, by any thread, and the bytes asked for.
extern std::atomic<std::uint64_t> allocation_count;
extern std::atomic<std::uint64_t> allocated_bytes;
/// The most that one call asked for since the newest `allocations` was made.
extern std::atomic<std::uint64_t> largest_allocation_bytes;

/// Decides about every call of an operator new, of that size: whether it fails. Null: none does.
extern std::atomic<bool (*)(std::size_t size_bytes) noexcept> fails_to_allocate;

/// Counts from its construction on.
class allocations {
public:
  allocations() noexcept : count_(allocation_count), bytes_(allocated_bytes) { largest_allocation_bytes = 0; }
  [[nodiscard]] std::uint64_t count() const noexcept { return allocation_count - count_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return allocated_bytes - bytes_; }
  /// The largest of them. Only of the newest of these objects.
  [[nodiscard]] std::uint64_t largest_bytes() const noexcept { return largest_allocation_bytes; }

private:
  std::uint64_t count_, bytes_;
};

} // namespace stet_test

#endif
