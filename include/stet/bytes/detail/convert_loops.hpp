// SPDX-License-Identifier: MIT
// Which processors have conversion kernels, and what these share: the loops that compilers vectorise. convert_kernels.hpp includes it.
#ifndef STET_BYTES_DETAIL_CONVERT_LOOPS_HPP
#define STET_BYTES_DETAIL_CONVERT_LOOPS_HPP

#include "../../vocabulary/config.hpp"
#include "../../vocabulary/narrow_float.hpp"

#include <cstddef>
#include <cstdint>

// GCC and Clang are used through their vectors and builtins: <immintrin.h> costs more to include than the whole reading core.
#if STET_SMALL_CODE || !defined(__GNUC__) || defined(_MSC_VER)
#define STET_CONVERT_KERNELS 0
#elif defined(__x86_64__)
#define STET_CONVERT_KERNELS 1
#define STET_CONVERT_TARGET __attribute__((target("avx2,f16c")))
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define STET_CONVERT_KERNELS 1
#define STET_CONVERT_TARGET
#else
#define STET_CONVERT_KERNELS 0
#endif

namespace stet::inline STET_NAMESPACE::detail {

/// The number of elements in a block: a multiple of 8, so that a block of any width begins at a byte.
inline constexpr std::size_t block_elements = 64;

/// The kernel for a pair of types, if it exists: `run(from, into, block_count)` converts that many blocks at any addresses, if
/// `has_convert_kernels()`. `run_quiet`, of the types that have signalling NaNs, makes these quiet, as a conversion to double does.
template <class To, class From> struct convert_kernel {
  static constexpr bool exists = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#if STET_CONVERT_KERNELS

#if defined(__x86_64__)
#include "cpu_x86.hpp"
#endif

#include <cstring>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

#if defined(__x86_64__)
/// True if the kernels may be called. Cost: two loads and tests.
inline bool has_convert_kernels() noexcept { return has_cpu_avx2_f16c(); }
#else
inline bool has_convert_kernels() noexcept { return true; }
#endif

// What both processors share. Loops have fixed lengths and pointers that do not alias, so that compilers vectorise them; they have to
// be part of the function that is compiled for the instructions.
#define STET_CONVERT_INLINE __attribute__((always_inline)) inline

/// The element at index `i` of an array at any address.
template <class T> STET_CONVERT_INLINE T element_at(const std::byte* from, std::size_t i) noexcept {
  T value;
  std::memcpy(&value, from + i * sizeof value, sizeof value);
  return value;
}
template <class T> STET_CONVERT_INLINE void put_element(std::byte* into, std::size_t i, T value) noexcept {
  std::memcpy(into + i * sizeof value, &value, sizeof value);
}

/// Converts blocks of `From` to blocks of `To`, one element at a time by `convert`.
template <class To, class From>
STET_CONVERT_INLINE void convert_each(const std::byte* __restrict from, std::byte* __restrict into,
                                      std::size_t block_count, auto convert) noexcept {
  for (; block_count != 0; --block_count) {
    for (std::size_t i = 0; i < block_elements; ++i) put_element<To>(into, i, convert(element_at<From>(from, i)));
    from += block_elements * sizeof(From);
    into += block_elements * sizeof(To);
  }
}

/// The format of a float8 type of eight bits with a sign; void for other types.
template <class T> struct float8_format_of {
  using type = void;
};
template <class Format>
  requires(Format::exponent_bits + Format::mantissa_bits == 7)
struct float8_format_of<narrow_float<Format>> {
  using type = Format;
};
template <class T>
concept signed_float8 = !std::is_void_v<typename float8_format_of<T>::type>;

// A float8 is converted by way of a float16 with the same fields. The bias of their exponents differs, and so their numbers differ by a
// power of two. Of e5m2fnuz the exponent is one too large for a float16: it is lowered, and the lowest codes, which have no
// exponent to lower, are halved.

/// The number of a float8 by that of its float16.
template <class Format>
inline constexpr float float16_unit = Format::exponent_bits == 5 ? 1.0f : static_cast<float>(1 << (15 - Format::bias));
template <class Format>
inline constexpr bool is_above_float16 =
    Format::exponent_bits == 5 && Format::coding == float_coding::finite_nan_unsigned_zero;

/// The float16 code for a float8 code. NaNs are those that decode to the float of narrow_float.hpp.
template <class Format> STET_CONVERT_INLINE std::uint16_t float16_code(std::uint8_t code) noexcept {
  constexpr int shift = 10 - Format::mantissa_bits;
  const auto sign = static_cast<std::uint16_t>((code & 0x80) << 8);
  auto magnitude = static_cast<std::uint16_t>((code & 0x7f) << shift);
  if constexpr (is_above_float16<Format>) {
    const auto lowered = static_cast<std::int16_t>(magnitude - 0x400);
    const auto halved = static_cast<std::int16_t>(magnitude >> 1);
    magnitude = static_cast<std::uint16_t>(lowered > halved ? lowered : halved);
  }
  std::uint16_t nan = 0;
  if constexpr (Format::coding == float_coding::finite_nan) nan = (code & 0x7f) == 0x7f ? 0x7e00 : 0;
  if constexpr (Format::coding == float_coding::finite_nan_unsigned_zero) nan = code == 0x80 ? 0x7e00 : 0;
  return static_cast<std::uint16_t>(sign | magnitude | nan);
}

/// The processors make signalling NaNs quiet, the rule keeps them: corrects a block of floats that were made of float16.
inline void restore_signalling_nans(const std::byte* halves, std::byte* floats) noexcept {
  for (std::size_t i = 0; i < block_elements; ++i) {
    const auto half = element_at<std::uint16_t>(halves, i);
    if ((half & 0x7fff) > 0x7c00 && (half & 0x0200) == 0)
      put_element(floats, i, element_at<std::uint32_t>(floats, i) & ~std::uint32_t{0x0040'0000});
  }
}

// Types whose kernels are loops that compilers vectorise.

template <> struct convert_kernel<float, bfloat16> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    convert_each<std::uint32_t, std::uint16_t>(from, into, block_count,
                                               [](std::uint16_t code) { return std::uint32_t{code} << 16; });
  }
  STET_CONVERT_TARGET static void run_quiet(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    convert_each<std::uint32_t, std::uint16_t>(from, into, block_count, [](std::uint16_t code) {
      const auto quiet = static_cast<std::uint16_t>((code & 0x7fff) > 0x7f80 ? code | 0x0040 : code);
      return std::uint32_t{quiet} << 16;
    });
  }
};
template <> struct convert_kernel<float, float8_e8m0fnu> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    convert_each<std::uint32_t, std::uint8_t>(from, into, block_count, [](std::uint8_t code) {
      const std::uint32_t power = code == 0 ? 0x0040'0000 : std::uint32_t{code} << 23;
      return power | (code == 0xff ? 0x0040'0000u : 0u);
    });
  }
};
template <class Integer>
  requires(std::is_same_v<Integer, std::int8_t> || std::is_same_v<Integer, std::uint8_t>)
struct convert_kernel<float, Integer> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    convert_each<float, Integer>(from, into, block_count, [](Integer value) { return static_cast<float>(value); });
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif // STET_CONVERT_KERNELS

#endif
