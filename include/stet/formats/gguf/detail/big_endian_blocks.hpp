// SPDX-License-Identifier: MIT
// The block types of ggml whose blocks in big-endian files are known: only their float16 numbers have swapped bytes.
#ifndef STET_FORMATS_GGUF_DETAIL_BIG_ENDIAN_BLOCKS_HPP
#define STET_FORMATS_GGUF_DETAIL_BIG_ENDIAN_BLOCKS_HPP

#include "../ggml_type.hpp"

#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// Where the blocks of a type have float16 numbers. All else in them are bytes.
struct float16_fields {
  std::uint32_t code;
  std::size_t count;
  std::size_t at[2];
};
/// Not here: types with words of 16 or 32 bits for codes, signs or multipliers, which writers swap or do not (q5_0, q5_1, iq4_xs,
/// iq2_xxs, iq2_xs, iq3_xxs, iq1_s, iq1_m), and the other lattices, whose rows ggml has as words, too.
/// Source: github.com/ggml-org/llama.cpp, gguf-py/gguf/scripts/gguf_convert_endian.py; ggml/src/ggml-common.h.
inline constexpr float16_fields big_endian_blocks[] = {
    {2, 1, {0}},    {3, 2, {0, 2}}, {8, 1, {0}},   {10, 2, {80, 82}}, {11, 1, {108}}, {12, 2, {0, 2}}, {13, 2, {0, 2}},
    {14, 1, {208}}, {20, 1, {0}},   {34, 1, {52}}, {35, 1, {64}},     {39, 0, {}},    {40, 0, {}},
};

/// Where blocks of this type have float16 numbers; nullptr if nobody knows what big-endian blocks are like.
constexpr const float16_fields* find_big_endian_block(const block_type& of) noexcept {
  const ggml_type* const type = find_ggml_type(dtype::block, of);
  for (const float16_fields& each : big_endian_blocks) {
    if (type != nullptr && each.code == type->code) return &each;
  }
  return nullptr;
}

/// Makes little-endian blocks of big-endian ones.
inline void swap_blocks(const float16_fields& fields, std::byte* blocks, std::size_t size_bytes,
                        std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t field = 0; field < fields.count; ++field) {
      std::byte* const at = blocks + i * size_bytes + fields.at[field];
      const std::byte first = at[0];
      at[0] = at[1];
      at[1] = first;
    }
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
