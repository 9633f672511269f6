// SPDX-License-Identifier: MIT
// What the codecs of all block types of ggml share.
#ifndef STET_FORMATS_GGUF_DETAIL_BLOCK_CODEC_HPP
#define STET_FORMATS_GGUF_DETAIL_BLOCK_CODEC_HPP

#include "../ggml_type.hpp"

#include "../../../vocabulary/narrow_float.hpp"

#include <cstddef>
#include <cstdint>

// Loops have fixed lengths and pointers that do not alias, so that compilers vectorise them. They are compiled twice on x86, the
// second time for AVX2; both times they have to be part of the function that is compiled for it.
#if defined(__GNUC__)
#define STET_BLOCK_INLINE __attribute__((always_inline)) inline
#elif defined(_MSC_VER)
#define STET_BLOCK_INLINE __forceinline
#else
#define STET_BLOCK_INLINE inline
#endif
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__)) && !STET_SMALL_CODE
#define STET_BLOCK_AVX2 1
#else
#define STET_BLOCK_AVX2 0
#endif

// A number is scale × code (+ minimum). Scales have 11 significant bits, their multipliers at most 7, codes at most 7, and at most
// 24 together: products are exact, so that it does not matter whether a compiler fuses them with the sum behind them.
// Source: github.com/ggml-org/llama.cpp, gguf-py/gguf/quants.py, `dequantize_blocks` of each type.

namespace stet::inline STET_NAMESPACE::detail {

/// The bytes of a block.
using block_bytes = const unsigned char*;

/// The float16 at `at`, little-endian.
STET_BLOCK_INLINE float float16_at(block_bytes at) noexcept {
  return float16::from_bits(static_cast<std::uint16_t>(at[0] | at[1] << 8));
}

/// A codec has the sizes of a block by the code of its type; `decode` makes numbers of one block.
template <std::uint32_t Code> struct block_codec {
  static constexpr std::uint32_t code = Code;
  static constexpr std::size_t element_count = find_ggml_type(Code)->element_count;
  static constexpr std::size_t size_bytes = find_ggml_type(Code)->size_bytes;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
