// SPDX-License-Identifier: MIT
// Conversions to and from float, and the swapping of bytes, by the vector instructions of x86 (AVX2 and F16C) and of 64-bit Arm. The
// results are those of convert.hpp, bit by bit.
#ifndef STET_BYTES_DETAIL_CONVERT_KERNELS_HPP
#define STET_BYTES_DETAIL_CONVERT_KERNELS_HPP

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

#if defined(__x86_64__)

// Vectors by their elements. They are not passed to functions: that differs between processors with and without AVX.
template <class T, std::size_t SizeBytes> struct vector_of {
  typedef T type __attribute__((vector_size(SizeBytes)));
};
using floats8 = vector_of<float, 32>::type;
using int32s8 = vector_of<int, 32>::type;
using uint32s8 = vector_of<unsigned, 32>::type;
using int64s4 = vector_of<long long, 32>::type;
using int16s16 = vector_of<short, 32>::type;
using uint16s16 = vector_of<unsigned short, 32>::type;
using bytes32 = vector_of<char, 32>::type;
using int16s8 = vector_of<short, 16>::type;
using int64s2 = vector_of<long long, 16>::type;

/// Loads a new vector from element `i` of an array of such vectors at any address; stores one there.
#define STET_CONVERT_LOAD(Vector, name, from, i)                                                                       \
  Vector name;                                                                                                         \
  std::memcpy(&name, (from) + (i) * sizeof(Vector), sizeof(Vector))
#define STET_CONVERT_STORE(value, into, i) std::memcpy((into) + (i) * sizeof(value), &(value), sizeof(value))

/// Eight float16 as floats.
STET_CONVERT_TARGET STET_CONVERT_INLINE floats8 floats_of_halves(int16s8 halves) noexcept {
#if defined(__clang__) && __clang_major__ >= 15 // which has another way, and from version 22 on no builtin
  typedef _Float16 halves8 __attribute__((vector_size(16)));
  return __builtin_convertvector(halves8(halves), floats8);
#else
  return __builtin_ia32_vcvtph2ps256(halves);
#endif
}

/// Converts a block of float16 to floats times `unit`, a power of two.
template <bool IsQuiet>
STET_CONVERT_TARGET STET_CONVERT_INLINE void widen_float16_block(const std::byte* from, std::byte* into,
                                                                 float unit) noexcept {
  [[maybe_unused]] int16s8 is_nan = {};
  for (std::size_t i = 0; i < block_elements / 8; ++i) {
    STET_CONVERT_LOAD(int16s8, halves, from, i);
    if constexpr (!IsQuiet) is_nan |= int16s8((halves & 0x7fff) > 0x7c00);
    floats8 floats = floats_of_halves(halves);
    floats *= unit;
    STET_CONVERT_STORE(floats, into, i);
  }
  if constexpr (!IsQuiet) {
    const auto any = int64s2(is_nan);
    if ((any[0] | any[1]) != 0) [[unlikely]]
      restore_signalling_nans(from, into);
  }
}

template <> struct convert_kernel<float16, float> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    constexpr int to_nearest = 0; // whatever the rounding mode
    for (std::size_t i = 0; i < block_count * (block_elements / 8); ++i) {
      STET_CONVERT_LOAD(floats8, floats, from, i);
      const int16s8 halves = __builtin_ia32_vcvtps2ph256(floats, to_nearest);
      STET_CONVERT_STORE(halves, into, i);
    }
  }
};

template <> struct convert_kernel<bfloat16, float> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    for (std::size_t pair = 0; pair < block_count * (block_elements / 16); ++pair) {
      int32s8 codes[2];
      for (std::size_t i = 0; i < 2; ++i) {
        STET_CONVERT_LOAD(uint32s8, bits, from, 2 * pair + i);
        const auto is_nan = int32s8(int32s8(bits & 0x7fff'ffffu) > 0x7f80'0000);
        const uint32s8 rounded = bits + 0x7fffu + (bits >> 16 & 1u);
        codes[i] = int32s8((is_nan ? bits | 0x0040'0000u : rounded) >> 16);
      }
      // Packing works on the halves of registers: their quarters come out as 0, 2, 1, 3.
      const auto packed = int64s4(__builtin_ia32_packusdw256(codes[0], codes[1]));
      const int64s4 ordered = __builtin_shufflevector(packed, packed, 0, 2, 1, 3);
      STET_CONVERT_STORE(ordered, into, pair);
    }
  }
};

/// By way of a float16 with the same fields, as above, of which each float is rounded to odd: towards zero, and the lowest bit is set
/// if that changed it. A float16 has more bits than a float8 by at least two, so rounding it is rounding the float once.
template <signed_float8 Float8> struct convert_kernel<Float8, float> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    using format = typename float8_format_of<Float8>::type;
    using code_type = unsigned short;
    constexpr int shift = 10 - format::mantissa_bits, towards_zero = 3;
    // The exponent is lowered as an integer. What falls below it is far below half of the smallest float8; infinity and NaN
    // become numbers that are far above the largest.
    constexpr int lowered = format::exponent_bits == 5 ? 0 : (15 - format::bias) << 23;
    constexpr code_type below_half = (1 << (shift - 1)) - 1, odd = 1, sign_bit = 0x80, magnitude_bits = 0x7f;
    for (std::size_t group = 0; group < block_count * (block_elements / 32); ++group) {
      uint16s16 codes[2];
      for (std::size_t i = 0; i < 2; ++i) {
        int16s8 halves[2];
        int32s8 is_changed[2];
        for (std::size_t k = 0; k < 2; ++k) {
          STET_CONVERT_LOAD(int32s8, bits, from, group * 4 + i * 2 + k);
          if constexpr (lowered != 0) {
            const int32s8 magnitude = (bits & 0x7fff'ffff) - lowered;
            bits = (bits & (-0x7fff'ffff - 1)) | (magnitude & int32s8(magnitude > 0));
          }
          halves[k] = __builtin_ia32_vcvtps2ph256(floats8(bits), towards_zero);
          is_changed[k] = int32s8(int32s8(floats_of_halves(halves[k])) != bits);
        }
        // In the order that packing has.
        const auto ordered = uint16s16(
            __builtin_shufflevector(halves[0], halves[1], 0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15));
        const auto sticky = uint16s16(__builtin_ia32_packssdw256(is_changed[0], is_changed[1]));
        const uint16s16 sign = ordered >> 8 & sign_bit, exact = ordered & code_type{0x7fff};
        uint16s16 magnitude = exact | (sticky & odd);
        if constexpr (is_above_float16<format>) {
          const uint16s16 raised = magnitude + code_type{0x400}, doubled = magnitude << 1;
          magnitude = raised < doubled ? raised : doubled;
        }
        uint16s16 code = (magnitude + below_half + (magnitude >> shift & odd)) >> shift;
        if constexpr (format::coding == float_coding::ieee) {
          code = (int16s16(exact) > 0x7c00 ? exact >> shift : code) | sign;
        } else if constexpr (format::coding == float_coding::finite_nan) {
          const uint16s16 nan = uint16s16{} + magnitude_bits;
          code = (code < nan ? code : nan) | sign;
        } else {
          const uint16s16 nan = uint16s16{} + sign_bit;
          code = code < nan ? code | (sign & uint16s16(code != 0)) : nan;
        }
        codes[i] = code;
      }
      const auto packed = int32s8(__builtin_ia32_packuswb256(int16s16(codes[0]), int16s16(codes[1])));
      const int32s8 ordered = __builtin_shufflevector(packed, packed, 0, 4, 1, 5, 2, 6, 3, 7);
      STET_CONVERT_STORE(ordered, into, group);
    }
  }
};

template <class Integer>
  requires(std::is_same_v<Integer, std::int8_t> || std::is_same_v<Integer, std::uint8_t>)
struct convert_kernel<Integer, float> {
  static constexpr bool exists = true;
  STET_CONVERT_TARGET static void run(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
    constexpr bool is_signed = std::is_same_v<Integer, std::int8_t>;
    const floats8 largest = floats8{} + (is_signed ? 127.0f : 255.0f);
    for (std::size_t group = 0; group < block_count * (block_elements / 32); ++group) {
      int32s8 wide[4];
      for (std::size_t i = 0; i < 4; ++i) {
        STET_CONVERT_LOAD(floats8, floats, from, group * 4 + i);
        floats = floats8(int32s8(floats) & int32s8(floats == floats)); // 0 for NaN
        // Numbers below the lowest int32 become that. Packing saturates.
        wide[i] = __builtin_ia32_cvttps2dq256(__builtin_ia32_minps256(floats, largest));
      }
      int32s8 packed;
      if constexpr (is_signed) {
        packed = int32s8(__builtin_ia32_packsswb256(__builtin_ia32_packssdw256(wide[0], wide[1]),
                                                    __builtin_ia32_packssdw256(wide[2], wide[3])));
      } else {
        packed = int32s8(__builtin_ia32_packuswb256(int16s16(__builtin_ia32_packusdw256(wide[0], wide[1])),
                                                    int16s16(__builtin_ia32_packusdw256(wide[2], wide[3]))));
      }
      const int32s8 ordered = __builtin_shufflevector(packed, packed, 0, 4, 1, 5, 2, 6, 3, 7);
      STET_CONVERT_STORE(ordered, into, group);
    }
  }
};

/// Copies words and reverses the bytes of each: as many bytes as are whole pairs of vectors. @return their number
template <class Word>
STET_CONVERT_TARGET std::size_t swap_words_fast(const std::byte* from, std::byte* into,
                                                std::size_t size_bytes) noexcept {
  constexpr char last = sizeof(Word) - 1;
  bytes32 places;
  for (int i = 0; i < 32; ++i) places[i] = static_cast<char>((i & 15) ^ last);
  const std::size_t pairs = size_bytes / 64;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    for (std::size_t i = 0; i < 2; ++i) {
      STET_CONVERT_LOAD(bytes32, words, from, pair * 2 + i);
      words = __builtin_ia32_pshufb256(words, places);
      STET_CONVERT_STORE(words, into, pair * 2 + i);
    }
  }
  return pairs * 64;
}

#undef STET_CONVERT_LOAD
#undef STET_CONVERT_STORE

#else // 64-bit Arm

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

#endif

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
