// SPDX-License-Identifier: MIT
// Arithmetic on sizes and offsets that reports overflow.
#ifndef STET_VOCABULARY_DETAIL_CHECKED_HPP
#define STET_VOCABULARY_DETAIL_CHECKED_HPP

#include "../config.hpp"

#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// Sets `sum` to a + b; false if that does not fit in 64 bits (`sum` is then unspecified).
constexpr bool checked_add(std::uint64_t a, std::uint64_t b, std::uint64_t& sum) noexcept {
  sum = a + b;
  return sum >= a;
}

/// Sets `product` to a * b; false if that does not fit in 64 bits (`product` is then unspecified).
constexpr bool checked_multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) noexcept {
#if defined(__GNUC__)
  return !__builtin_mul_overflow(a, b, &product);
#else
  product = a * b;
  return (a | b) <= 0xFFFFFFFFu || a == 0 || product / a == b;
#endif
}

/// Sets `aligned` to the least multiple of `alignment` (a power of two) that is at least `value`; false if that does
/// not fit in 64 bits.
constexpr bool checked_align_up(std::uint64_t value, std::uint64_t alignment, std::uint64_t& aligned) noexcept {
  if (!checked_add(value, alignment - 1, aligned)) return false;
  aligned &= ~(alignment - 1);
  return true;
}

/// True if [offset, offset + size) is within [0, limit); correct for all values.
constexpr bool range_fits(std::uint64_t offset, std::uint64_t size, std::uint64_t limit) noexcept {
  return offset <= limit && size <= limit - offset;
}

/// `size` as std::size_t. If it does not fit, the largest value, which every container rejects.
constexpr std::size_t container_size(std::uint64_t size) noexcept {
  constexpr std::size_t largest = ~std::size_t{0};
  return size < largest ? static_cast<std::size_t>(size) : largest;
}

/// True if `at` is a multiple of `alignment_bytes`.
inline bool is_aligned(const void* at, std::size_t alignment_bytes) noexcept {
  return reinterpret_cast<std::uintptr_t>(at) % alignment_bytes == 0;
}

/// True if `value` is a power of two.
constexpr bool is_power_of_two(std::uint64_t value) noexcept { return value != 0 && (value & (value - 1)) == 0; }

} // namespace stet::inline STET_NAMESPACE::detail

#endif
