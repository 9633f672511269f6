// SPDX-License-Identifier: MIT
// Conversion kernels for x86, by AVX2 and F16C; convert_kernels.hpp includes it.
#ifndef STET_BYTES_DETAIL_CONVERT_X86_HPP
#define STET_BYTES_DETAIL_CONVERT_X86_HPP

#include "convert_loops.hpp"

#if STET_CONVERT_KERNELS && defined(__x86_64__)

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

// Vectors by their elements. They are passed to functions that are inlined alone: that
// differs between processors with and without AVX.
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

} // namespace stet::inline STET_NAMESPACE::detail

#endif

#endif
