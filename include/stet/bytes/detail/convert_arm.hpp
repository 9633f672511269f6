// SPDX-License-Identifier: MIT
// Conversion kernels for 64-bit Arm, by NEON; convert_kernels.hpp includes it.
#ifndef STET_BYTES_DETAIL_CONVERT_ARM_HPP
#define STET_BYTES_DETAIL_CONVERT_ARM_HPP

#include "convert_loops.hpp"

#if STET_CONVERT_KERNELS && defined(__aarch64__)

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

typedef __fp16 float16s4 __attribute__((vector_size(8)));
typedef float floats4 __attribute__((vector_size(16)));
typedef char bytes16 __attribute__((vector_size(16)));

/// Converts a block of float16 to floats times `unit`, a power of two.
template <bool IsQuiet>
STET_CONVERT_INLINE void widen_float16_block(const std::byte* from, std::byte* into, float unit) noexcept {
  std::uint16_t largest = 0;
  for (std::size_t i = 0; i < block_elements; ++i) {
    const auto magnitude = static_cast<std::uint16_t>(element_at<std::uint16_t>(from, i) & 0x7fff);
    largest = magnitude > largest ? magnitude : largest;
  }
  for (std::size_t i = 0; i < block_elements / 4; ++i) {
#if defined(__clang__)
    const floats4 floats = __builtin_convertvector(element_at<float16s4>(from, i), floats4) * unit;
#else
    // GCC 12 would convert one at a time.
    const floats4 floats = __builtin_aarch64_float_extend_lo_v4sf(element_at<float16s4>(from, i)) * unit;
#endif
    std::memcpy(into + i * sizeof floats, &floats, sizeof floats);
  }
  if (!IsQuiet && largest > 0x7c00) [[unlikely]]
    restore_signalling_nans(from, into);
}

/// The bfloat16 code nearest to the float with these bits.
STET_CONVERT_INLINE std::uint16_t bfloat16_code(std::uint32_t bits) noexcept {
  const std::uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1), nan = bits | 0x0040'0000;
  const bool is_nan = static_cast<std::int32_t>(bits & 0x7fff'ffff) > 0x7f80'0000;
  return static_cast<std::uint16_t>((is_nan ? nan : rounded) >> 16);
}

template <> struct convert_kernel<bfloat16, float> {
  static constexpr bool exists = true;
  static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    convert_each<std::uint16_t, std::uint32_t>(from, into, block_count,
                                               [](std::uint32_t bits) { return bfloat16_code(bits); });
  }
};

/// The code of a float16 or float8 nearest to the float with these bits. In integers, since the instruction rounds as the processor's
/// rounding mode says.
template <class Format> STET_CONVERT_INLINE std::uint32_t nearest_code(std::uint32_t bits) noexcept {
  constexpr int mantissa_bits = Format::mantissa_bits, dropped = 23 - mantissa_bits, gap = 127 - Format::bias;
  constexpr std::uint32_t sign_code = 1u << (Format::exponent_bits + mantissa_bits);
  constexpr std::uint32_t infinity = (sign_code - 1) & ~((1u << mantissa_bits) - 1);
  // The first code above the largest number: infinity or NaN.
  constexpr std::uint32_t above = Format::coding == float_coding::ieee         ? infinity
                                  : Format::coding == float_coding::finite_nan ? sign_code - 1
                                                                               : sign_code;
  const std::uint32_t magnitude = bits & 0x7fff'ffff;
  const std::int32_t exponent = static_cast<std::int32_t>(magnitude >> 23) - gap - 1;
  const std::int32_t below = exponent < 0 ? -exponent : 0;
  // Past 25 dropped bits the result is zero however many more are dropped.
  const std::int32_t drop = below + dropped < 25 ? below + dropped : 25;
  const std::uint32_t significand = (magnitude & 0x007f'ffff) | 0x0080'0000;
  const std::uint32_t rounded = (significand + ((1u << (drop - 1)) - 1) + (significand >> drop & 1)) >> drop;
  std::uint32_t code = (static_cast<std::uint32_t>(exponent + below) << mantissa_bits) + rounded;
  code = code < above ? code : above; // NaN, too: it has the highest exponent
  const std::uint32_t sign = bits >> 31 << (Format::exponent_bits + mantissa_bits);
  if constexpr (Format::coding == float_coding::ieee) {
    const std::uint32_t nan = infinity | 1u << (mantissa_bits - 1) | (magnitude & 0x007f'ffff) >> dropped;
    return (magnitude > 0x7f80'0000 ? nan : code) | sign;
  } else if constexpr (Format::coding == float_coding::finite_nan) {
    return code | sign;
  } else {
    const std::uint32_t number = code == 0 ? 0 : code | sign;
    return code == above ? above : number;
  }
}
template <> struct convert_kernel<float16, float> {
  static constexpr bool exists = true;
  static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    convert_each<std::uint16_t, std::uint32_t>(from, into, block_count, [](std::uint32_t bits) {
      return static_cast<std::uint16_t>(nearest_code<float16_format>(bits));
    });
  }
};
template <signed_float8 Float8> struct convert_kernel<Float8, float> {
  static constexpr bool exists = true;
  static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    convert_each<std::uint8_t, std::uint32_t>(from, into, block_count, [](std::uint32_t bits) {
      return static_cast<std::uint8_t>(nearest_code<typename float8_format_of<Float8>::type>(bits));
    });
  }
};

template <class Integer>
  requires(std::is_same_v<Integer, std::int8_t> || std::is_same_v<Integer, std::uint8_t>)
struct convert_kernel<Integer, float> {
  static constexpr bool exists = true;
  static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    constexpr float lowest = std::is_same_v<Integer, std::int8_t> ? -128.0f : 0.0f, largest = lowest + 255;
    convert_each<Integer, float>(from, into, block_count, [](float value) {
      value = value == value ? value : 0;
      value = value > lowest ? value : lowest;
      value = value < largest ? value : largest;
      return static_cast<Integer>(static_cast<std::int32_t>(value));
    });
  }
};

/// Copies words and reverses the bytes of each: as many bytes as are whole vectors. @return their number
template <class Word>
std::size_t swap_words_fast(const std::byte* from, std::byte* into, std::size_t size_bytes) noexcept {
  const std::size_t whole = size_bytes / 16 * 16;
  for (std::size_t at = 0; at < whole; at += 16) {
    bytes16 a;
    std::memcpy(&a, from + at, sizeof a);
    if constexpr (sizeof(Word) == 2) {
      a = __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    } else if constexpr (sizeof(Word) == 4) {
      a = __builtin_shufflevector(a, a, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    } else {
      a = __builtin_shufflevector(a, a, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
    }
    std::memcpy(into + at, &a, sizeof a);
  }
  return whole;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif

#endif
