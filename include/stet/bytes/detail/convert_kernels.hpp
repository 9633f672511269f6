// SPDX-License-Identifier: MIT
// Conversions to and from float, and the swapping of bytes, by the vector instructions of x86 (AVX2 and F16C) and of 64-bit Arm. The
// results are those of convert.hpp, bit by bit.
#ifndef STET_BYTES_DETAIL_CONVERT_KERNELS_HPP
#define STET_BYTES_DETAIL_CONVERT_KERNELS_HPP

#include "convert_arm.hpp"
#include "convert_loops.hpp"
#include "convert_x86.hpp"

#if STET_CONVERT_KERNELS

#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

// Both have `widen_float16_block`.

template <> struct convert_kernel<float, float16> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    for (; block_count != 0; --block_count, from += block_elements * 2, into += block_elements * 4)
      widen_float16_block<false>(from, into, 1);
  }
  STET_CONVERT_TARGET static void run_quiet(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    for (; block_count != 0; --block_count, from += block_elements * 2, into += block_elements * 4)
      widen_float16_block<true>(from, into, 1);
  }
};
template <signed_float8 Float8> struct convert_kernel<float, Float8> {
  static constexpr bool exists = true;
  using format = typename float8_format_of<Float8>::type;
  /// Only codes of this kind can be signalling NaNs.
  static constexpr bool may_signal = format::coding == float_coding::ieee;

  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    widen<!may_signal>(from, into, block_count);
  }
  STET_CONVERT_TARGET static void run_quiet(const std::byte* from, std::byte* into, std::size_t block_count) noexcept
    requires may_signal
  {
    widen<true>(from, into, block_count);
  }

private:
  template <bool IsQuiet>
  STET_CONVERT_TARGET static void widen(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    std::byte halves[block_elements * 2];
    for (; block_count != 0; --block_count, from += block_elements, into += block_elements * 4) {
      convert_each<std::uint16_t, std::uint8_t>(from, halves, 1,
                                                [](std::uint8_t code) { return float16_code<format>(code); });
      widen_float16_block<IsQuiet>(halves, into, float16_unit<format>);
    }
  }
};

#undef STET_CONVERT_INLINE

} // namespace stet::inline STET_NAMESPACE::detail

#endif // STET_CONVERT_KERNELS
#undef STET_CONVERT_TARGET

#endif
