// SPDX-License-Identifier: MIT
// The block types of ggml: how the bytes of a block stand for numbers. The numbers are those of gguf-py, bit by bit.
#ifndef STET_FORMATS_GGUF_DETAIL_BLOCK_CODECS_HPP
#define STET_FORMATS_GGUF_DETAIL_BLOCK_CODECS_HPP

#include "block_codec.hpp"
#include "lattice_codecs.hpp"

#include "../../../vocabulary/detail/bit_cast.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stet::inline STET_NAMESPACE::detail {

/// `Count` numbers in the low halves of bytes, then as many in the high halves, each by `number(code)`.
template <std::size_t Count>
STET_BLOCK_INLINE void decode_halves(block_bytes __restrict codes, float* __restrict into, auto number) noexcept {
  for (std::size_t i = 0; i < Count; ++i) into[i] = number(codes[i] & 15);
  for (std::size_t i = 0; i < Count; ++i) into[Count + i] = number(codes[i] >> 4);
}

/// 32 codes of 5 bits: 4 bits each as above at `codes`, the fifth bits at `fifth`.
STET_BLOCK_INLINE void decode_fives(block_bytes __restrict fifth, block_bytes __restrict codes, float* __restrict into,
                                    auto number) noexcept {
  // By bytes of eight bits: a mask for each, since few processors shift each lane by its own count.
  unsigned char high[32];
  for (std::size_t byte = 0; byte < 4; ++byte) {
    constexpr unsigned char masks[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    for (std::size_t i = 0; i < 8; ++i)
      high[byte * 8 + i] =
          (fifth[byte] & masks[i]) != 0 ? static_cast<unsigned char>(16) : static_cast<unsigned char>(0);
  }
  for (std::size_t i = 0; i < 16; ++i) into[i] = number((codes[i] & 15) | high[i]);
  for (std::size_t i = 0; i < 16; ++i) into[16 + i] = number((codes[i] >> 4) | high[16 + i]);
}

/// The 16 numbers that the codes of a table stand for, times a scale.
struct scaled_table {
  float at[16];
  STET_BLOCK_INLINE scaled_table(const signed char* __restrict values, float scale) noexcept {
    for (std::size_t i = 0; i < 16; ++i) at[i] = scale * static_cast<float>(values[i]);
  }
  STET_BLOCK_INLINE float operator()(int code) const noexcept { return at[code]; }
};
inline constexpr signed char iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
/// Float4 (E2M1) times 2; the negative zero is a zero.
inline constexpr signed char fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct q4_0_codec : block_codec<2> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block);
    decode_halves<16>(block + 2, into, [scale](int code) { return scale * static_cast<float>(code - 8); });
  }
};
struct q4_1_codec : block_codec<3> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block), least = float16_at(block + 2);
    decode_halves<16>(block + 4, into, [=](int code) { return scale * static_cast<float>(code) + least; });
  }
};
struct q5_0_codec : block_codec<6> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block);
    decode_fives(block + 2, block + 6, into, [scale](int code) { return scale * static_cast<float>(code - 16); });
  }
};
struct q5_1_codec : block_codec<7> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block), least = float16_at(block + 2);
    decode_fives(block + 4, block + 8, into, [=](int code) { return scale * static_cast<float>(code) + least; });
  }
};
struct q8_0_codec : block_codec<8> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block);
    for (std::size_t i = 0; i < 32; ++i) into[i] = scale * static_cast<float>(static_cast<signed char>(block[2 + i]));
  }
};

// The K types have 256 elements in groups of 16 or 32, each group with a multiplier of the scale.

struct q2_k_codec : block_codec<10> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block + 80), least = float16_at(block + 82);
    for (std::size_t group = 0; group < 16; ++group) {
      const float by = scale * static_cast<float>(block[group] & 15),
                  minus = least * static_cast<float>(block[group] >> 4);
      const block_bytes codes = block + 16 + group / 8 * 32 + group % 2 * 16;
      const std::size_t shift = group / 2 % 4 * 2;
      for (std::size_t i = 0; i < 16; ++i)
        into[group * 16 + i] = by * static_cast<float>(codes[i] >> shift & 3) - minus;
    }
  }
};
struct q3_k_codec : block_codec<11> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block + 108);
    const block_bytes scales = block + 96;
    for (std::size_t group = 0; group < 16; ++group) {
      const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
      const int high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
      const float by = scale * static_cast<float>((low | high << 4) - 32);
      const block_bytes codes = block + 32 + group / 8 * 32 + group % 2 * 16, thirds = block + group % 2 * 16;
      const std::size_t shift = group / 2 % 4 * 2, third = group / 2;
      // The third bit is stored inverted: without it 4 is subtracted.
      for (std::size_t i = 0; i < 16; ++i) {
        const int code = (codes[i] >> shift & 3) | (thirds[i] >> third & 1) << 2;
        into[group * 16 + i] = by * static_cast<float>(code - 4);
      }
    }
  }
};

/// The multipliers of scale and minimum of group `group` of 8, of 6 bits each in 12 bytes.
struct q4_k_multipliers {
  int scale, least;
  STET_BLOCK_INLINE q4_k_multipliers(block_bytes packed, std::size_t group) noexcept
      : scale(group < 4 ? packed[group] & 63 : (packed[group + 4] & 15) | (packed[group - 4] >> 2 & 48)),
        least(group < 4 ? packed[group + 4] & 63 : packed[group + 4] >> 4 | (packed[group] >> 2 & 48)) {}
};
struct q4_k_codec : block_codec<12> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block), least = float16_at(block + 2);
    for (std::size_t group = 0; group < 8; ++group) {
      const q4_k_multipliers of(block + 4, group);
      const float by = scale * static_cast<float>(of.scale), minus = least * static_cast<float>(of.least);
      const block_bytes codes = block + 16 + group / 2 * 32;
      const std::size_t shift = group % 2 * 4;
      for (std::size_t i = 0; i < 32; ++i)
        into[group * 32 + i] = by * static_cast<float>(codes[i] >> shift & 15) - minus;
    }
  }
};
struct q5_k_codec : block_codec<13> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block), least = float16_at(block + 2);
    const block_bytes fifths = block + 16;
    for (std::size_t group = 0; group < 8; ++group) {
      const q4_k_multipliers of(block + 4, group);
      const float by = scale * static_cast<float>(of.scale), minus = least * static_cast<float>(of.least);
      const block_bytes codes = block + 48 + group / 2 * 32;
      const std::size_t shift = group % 2 * 4;
      for (std::size_t i = 0; i < 32; ++i) {
        const int code = (codes[i] >> shift & 15) | (fifths[i] >> group & 1) << 4;
        into[group * 32 + i] = by * static_cast<float>(code) - minus;
      }
    }
  }
};
struct q6_k_codec : block_codec<14> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block + 208);
    for (std::size_t group = 0; group < 16; ++group) {
      const float by = scale * static_cast<float>(static_cast<signed char>(block[192 + group]));
      const std::size_t half = group / 8, quarter = group / 2 % 4, first = group % 2 * 16;
      const block_bytes codes = block + half * 64 + quarter % 2 * 32 + first, highs = block + 128 + half * 32 + first;
      const std::size_t shift = quarter / 2 * 4, high_shift = quarter * 2;
      for (std::size_t i = 0; i < 16; ++i) {
        const int code = (codes[i] >> shift & 15) | (highs[i] >> high_shift & 3) << 4;
        into[group * 16 + i] = by * static_cast<float>(code - 32);
      }
    }
  }
};

struct iq4_nl_codec : block_codec<20> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    decode_halves<16>(block + 2, into, scaled_table(iq4_values, float16_at(block)));
  }
};
struct iq4_xs_codec : block_codec<23> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block);
    const unsigned high = static_cast<unsigned>(block[2] | block[3] << 8);
    for (std::size_t group = 0; group < 8; ++group) {
      const unsigned low = static_cast<unsigned>(block[4 + group / 2]) >> (group % 2 * 4) & 15;
      const int multiplier = static_cast<int>(low | (high >> (group * 2) & 3) << 4) - 32;
      decode_halves<16>(block + 8 + group * 16, into + group * 32,
                        scaled_table(iq4_values, scale * static_cast<float>(multiplier)));
    }
  }
};

/// Ternary digits, five to a byte: the byte is the fraction of 256 that they are of 3^5.
struct tq1_0_codec : block_codec<34> {
  template <std::size_t Count, std::size_t Digits>
  STET_BLOCK_INLINE static void decode_digits(block_bytes __restrict from, float* __restrict into,
                                              float scale) noexcept {
    constexpr unsigned powers[5] = {1, 3, 9, 27, 81};
    for (std::size_t digit = 0; digit < Digits; ++digit) {
      for (std::size_t i = 0; i < Count; ++i) {
        const int code = static_cast<int>((from[i] * powers[digit] & 255u) * 3 >> 8) - 1;
        into[digit * Count + i] = scale * static_cast<float>(code);
      }
    }
  }
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block + 52);
    decode_digits<32, 5>(block, into, scale);
    decode_digits<16, 5>(block + 32, into + 160, scale);
    decode_digits<4, 4>(block + 48, into + 240, scale);
  }
};
struct tq2_0_codec : block_codec<35> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block + 64);
    for (std::size_t group = 0; group < 8; ++group) {
      const std::size_t shift = group % 4 * 2;
      for (std::size_t i = 0; i < 32; ++i) {
        const int code = (block[group / 4 * 32 + i] >> shift & 3) - 1;
        into[group * 32 + i] = scale * static_cast<float>(code);
      }
    }
  }
};

struct mxfp4_codec : block_codec<39> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    // Half of 2^(exponent - 127), since the values are doubled; the two smallest are subnormal.
    const std::uint32_t exponent = block[0];
    const std::uint32_t bits = exponent < 2 ? std::uint32_t{0x00200000} << exponent : (exponent - 1) << 23;
    decode_halves<16>(block + 1, into, scaled_table(fp4_values, bit_cast<float>(bits)));
  }
};
struct nvfp4_codec : block_codec<40> {
  /// Half of a float8 (E4M3) without sign, since the values are doubled; the code of NaN is 0.
  STET_BLOCK_INLINE static float scale_of(unsigned char code) noexcept {
    const std::uint32_t exponent = code >> 3 & 15u, mantissa = code & 7u;
    const float normal = bit_cast<float>((exponent + 119) << 23 | mantissa << 20);
    const float number = exponent == 0 ? static_cast<float>(mantissa) * 0x1p-10f : normal;
    return code == 0x7F ? 0.0f : number;
  }
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    for (std::size_t group = 0; group < 4; ++group)
      decode_halves<8>(block + 4 + group * 8, into + group * 16, scaled_table(fp4_values, scale_of(block[group])));
  }
};

/// Makes numbers of `count` blocks.
using decode_function = void (*)(const std::byte* blocks, std::size_t count, float* into) noexcept;

template <class Codec>
STET_BLOCK_INLINE void decode_each(const std::byte* __restrict blocks, std::size_t count,
                                   float* __restrict into) noexcept {
  const block_bytes first = reinterpret_cast<block_bytes>(blocks);
  for (std::size_t i = 0; i < count; ++i) Codec::decode(first + i * Codec::size_bytes, into + i * Codec::element_count);
}
template <class Codec> void decode_blocks(const std::byte* blocks, std::size_t count, float* into) noexcept {
  decode_each<Codec>(blocks, count, into);
}
#if STET_BLOCK_AVX2
template <class Codec>
__attribute__((target("avx2"))) void decode_blocks_avx2(const std::byte* blocks, std::size_t count,
                                                        float* into) noexcept {
  decode_each<Codec>(blocks, count, into);
}
/// Of q4_0 the loops are written as vectors: at -O3, GCC 12 makes code of half the speed of them.
template <>
inline __attribute__((target("avx2"))) void decode_blocks_avx2<q4_0_codec>(const std::byte* blocks, std::size_t count,
                                                                           float* into) noexcept {
  typedef signed char code_vector __attribute__((vector_size(16)));
  typedef unsigned short word_vector __attribute__((vector_size(16)));
  typedef float number_vector __attribute__((vector_size(32)));
  for (; count != 0; --count, blocks += q4_0_codec::size_bytes, into += q4_0_codec::element_count) {
    const float scale = float16_at(reinterpret_cast<block_bytes>(blocks));
    code_vector codes;
    std::memcpy(&codes, blocks + 2, sizeof codes);
    const code_vector halves[2] = {(codes & 15) - 8, (code_vector(word_vector(codes) >> 4) & 15) - 8};
    for (std::size_t i = 0; i < 2; ++i) {
      const code_vector from = halves[i];
#if defined(__clang__)
      const number_vector first =
          __builtin_convertvector(__builtin_shufflevector(from, from, 0, 1, 2, 3, 4, 5, 6, 7), number_vector);
      const number_vector last =
          __builtin_convertvector(__builtin_shufflevector(from, from, 8, 9, 10, 11, 12, 13, 14, 15), number_vector);
#else
      // GCC 12 would convert one at a time.
      typedef char byte_vector __attribute__((vector_size(16)));
      const code_vector behind =
          __builtin_shufflevector(from, from, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
      const number_vector first = __builtin_convertvector(__builtin_ia32_pmovsxbd256(byte_vector(from)), number_vector);
      const number_vector last =
          __builtin_convertvector(__builtin_ia32_pmovsxbd256(byte_vector(behind)), number_vector);
#endif
      const number_vector first_numbers = first * scale, last_numbers = last * scale;
      std::memcpy(into + i * 16, &first_numbers, sizeof first_numbers);
      std::memcpy(into + i * 16 + 8, &last_numbers, sizeof last_numbers);
    }
  }
}
/// True if this processor and its operating system have AVX2. Cost: a load and test of what was found at start.
inline bool has_avx2() noexcept { return __builtin_cpu_supports("avx2") != 0; }
#endif

/// A block type that can be decoded, and how: by any processor, and by one that has AVX2.
struct block_decoder {
  std::uint32_t code;
  decode_function portable, avx2;
};
template <class Codec> constexpr block_decoder decoder_of() noexcept {
#if STET_BLOCK_AVX2
  return {Codec::code, decode_blocks<Codec>, decode_blocks_avx2<Codec>};
#else
  return {Codec::code, decode_blocks<Codec>, nullptr};
#endif
}
inline constexpr block_decoder block_decoders[] = {
    decoder_of<q4_0_codec>(),    decoder_of<q4_1_codec>(),   decoder_of<q5_0_codec>(),   decoder_of<q5_1_codec>(),
    decoder_of<q8_0_codec>(),    decoder_of<q2_k_codec>(),   decoder_of<q3_k_codec>(),   decoder_of<q4_k_codec>(),
    decoder_of<q5_k_codec>(),    decoder_of<q6_k_codec>(),   decoder_of<iq4_nl_codec>(), decoder_of<iq4_xs_codec>(),
    decoder_of<tq1_0_codec>(),   decoder_of<tq2_0_codec>(),  decoder_of<mxfp4_codec>(),  decoder_of<nvfp4_codec>(),
    decoder_of<iq2_xxs_codec>(), decoder_of<iq2_xs_codec>(), decoder_of<iq2_s_codec>(),  decoder_of<iq3_xxs_codec>(),
    decoder_of<iq3_s_codec>(),   decoder_of<iq1_s_codec>(),  decoder_of<iq1_m_codec>(),
};

/// The function that makes numbers of blocks of this type on this processor; nullptr if there is none.
inline decode_function find_decoder(const block_type& of) noexcept {
  const ggml_type* const type = find_ggml_type(dtype::block, of);
  if (type == nullptr) return nullptr;
  for (const block_decoder& each : block_decoders) {
    if (each.code != type->code) continue;
#if STET_BLOCK_AVX2
    if (has_avx2()) return each.avx2;
#endif
    return each.portable;
  }
  return nullptr;
}

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_BLOCK_INLINE

#endif
