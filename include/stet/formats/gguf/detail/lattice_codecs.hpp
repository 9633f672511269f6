// SPDX-License-Identifier: MIT
// The block types of ggml whose codes are rows of a lattice: iq1, iq2 and iq3. The numbers are those of gguf-py, bit by bit.
#ifndef STET_FORMATS_GGUF_DETAIL_LATTICE_CODECS_HPP
#define STET_FORMATS_GGUF_DETAIL_LATTICE_CODECS_HPP

#include "block_codec.hpp"
#include "lattices.hpp"

#include <cstddef>
#include <cstdint>

// A block has 256 elements in groups of 16 or 32, each with an odd multiplier of the scale. A row of 11 bits or fewer gives eight
// or four elements, and a byte gives the signs of eight. All products are exact: at most 11, 5 and 6 significant bits.

namespace stet::inline STET_NAMESPACE::detail {

STET_BLOCK_INLINE std::uint32_t uint16_at(block_bytes at) noexcept {
  return std::uint32_t{at[0]} | std::uint32_t{at[1]} << 8;
}
STET_BLOCK_INLINE std::uint32_t uint32_at(block_bytes at) noexcept { return uint16_at(at) | uint16_at(at + 2) << 16; }

/// The number 2n + 1 of the four bits that begin at bit `shift`.
STET_BLOCK_INLINE float odd_at(std::uint32_t bits, std::size_t shift) noexcept {
  return static_cast<float>(2 * (bits >> shift & 15) + 1);
}
/// The four bits of group `index` in `bytes`.
STET_BLOCK_INLINE float odd_of(block_bytes bytes, std::size_t index) noexcept {
  return odd_at(bytes[index / 2], index % 2 * 4);
}

/// Eight signs of the lowest seven bits: the eighth makes the number of negative elements even.
STET_BLOCK_INLINE std::uint32_t even_signs(std::uint32_t bits) noexcept {
  const std::uint32_t seven = bits & 127, parity = 0x6996u >> ((seven ^ seven >> 4) & 15) & 1;
  return seven | parity << 7;
}

/// The elements of a row: `number(code)` of each code, negative where its bit of `signs` is set, times `scale`.
/// @tparam Bits  the bits from one code to the next
template <std::size_t Count, std::size_t Bits>
STET_BLOCK_INLINE void decode_row(std::uint32_t row, std::uint32_t signs, float scale, float* __restrict into,
                                  auto number) noexcept {
  for (std::size_t i = 0; i < Count; ++i) {
    // Without a branch, which processors could not predict: all bits flipped and one added is the negative number.
    const int magnitude = number(static_cast<int>(row >> (Bits * i) & ((1u << Bits) - 1)));
    const int sign = static_cast<int>(signs >> i & 1);
    into[i] = scale * static_cast<float>((magnitude ^ -sign) + sign);
  }
}
/// Eight elements of a row of iq2: 8, 25 or 43.
STET_BLOCK_INLINE void decode_iq2_row(std::uint32_t row, std::uint32_t signs, float scale,
                                      float* __restrict into) noexcept {
  decode_row<8, 2>(row, signs, scale, into, [](int code) { return 8 + 17 * code + (code >> 1); });
}
/// Eight elements of a row of iq1, of an eighth of the scale: -8, 0 or 8, and 1 more or less.
STET_BLOCK_INLINE void decode_iq1_row(std::uint32_t row, bool is_less, float scale, float* __restrict into) noexcept {
  const int first = is_less ? -9 : -7;
  decode_row<8, 2>(row, 0, scale * 0.125f, into, [first](int code) { return first + 8 * code; });
}

struct iq2_xxs_codec : block_codec<16> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block) * 0.125f;
    for (std::size_t group = 0; group < 8; ++group) {
      const block_bytes rows = block + 2 + group * 8;
      const std::uint32_t signs = uint32_at(rows + 4);
      const float by = scale * odd_at(signs, 28);
      for (std::size_t i = 0; i < 4; ++i)
        decode_iq2_row(iq2_xxs_rows[rows[i]], even_signs(signs >> (7 * i)), by, into + group * 32 + i * 8);
    }
  }
};
struct iq2_xs_codec : block_codec<17> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block) * 0.125f;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::uint32_t code = uint16_at(block + 2 + i * 2);
      const float by = scale * odd_of(block + 66, i / 2);
      decode_iq2_row(iq2_xs_rows[code & 511], even_signs(code >> 9), by, into + i * 8);
    }
  }
};
struct iq2_s_codec : block_codec<22> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block) * 0.125f;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::size_t high = block[66 + i / 4] >> (i % 4 * 2) & 3;
      const float by = scale * odd_of(block + 74, i / 2);
      decode_iq2_row(iq2_s_rows[block[2 + i] | high << 8], block[34 + i], by, into + i * 8);
    }
  }
};

struct iq3_xxs_codec : block_codec<18> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block) * 0.25f;
    for (std::size_t group = 0; group < 8; ++group) {
      const std::uint32_t packed = uint32_at(block + 66 + group * 4);
      const float by = scale * odd_at(packed, 28);
      for (std::size_t i = 0; i < 8; ++i) {
        const std::uint32_t signs = even_signs(packed >> (i / 2 * 7)) >> (i % 2 * 4);
        decode_row<4, 4>(iq3_xxs_rows[block[2 + group * 8 + i]], signs, by, into + group * 32 + i * 4,
                         [](int code) { return 4 + 8 * code + int{code == 7} * 2; });
      }
    }
  }
};
struct iq3_s_codec : block_codec<21> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block);
    for (std::size_t i = 0; i < 64; ++i) {
      const std::size_t high = block[66 + i / 8] >> (i % 8) & 1;
      const std::uint32_t signs = static_cast<std::uint32_t>(block[74 + i / 2]) >> (i % 2 * 4);
      decode_row<4, 4>(iq3_s_rows[block[2 + i] | high << 8], signs, scale * odd_of(block + 106, i / 8), into + i * 4,
                       [](int code) { return 2 * code + 1; });
    }
  }
};

struct iq1_s_codec : block_codec<19> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    const float scale = float16_at(block);
    for (std::size_t i = 0; i < 32; ++i) {
      const std::uint32_t highs = uint16_at(block + 34 + i / 4 * 2);
      const float by = scale * static_cast<float>(2 * (highs >> 12 & 7) + 1);
      const std::size_t high = highs >> (i % 4 * 3) & 7;
      decode_iq1_row(iq1_rows[block[2 + i] | high << 8], (highs & 0x8000) != 0, by, into + i * 8);
    }
  }
};
struct iq1_m_codec : block_codec<29> {
  STET_BLOCK_INLINE static void decode(block_bytes __restrict block, float* __restrict into) noexcept {
    // The scale is in the highest four bits of the words that have four multipliers of three bits each.
    std::uint32_t words[4], scale_bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      words[i] = uint16_at(block + 48 + i * 2);
      scale_bits |= words[i] >> 12 << (i * 4);
    }
    const float scale = float16::from_bits(static_cast<std::uint16_t>(scale_bits));
    for (std::size_t i = 0; i < 32; ++i) {
      const float by = scale * static_cast<float>(2 * (words[i / 8] >> (i / 2 % 4 * 3) & 7) + 1);
      const std::size_t high = block[32 + i / 2] >> (i % 2 * 4) & 15;
      decode_iq1_row(iq1_rows[block[i] | (high & 7) << 8], (high & 8) != 0, by, into + i * 8);
    }
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
