// SPDX-License-Identifier: MIT
// Makes blocks of GGUF of numbers. Needs the standard library only.
#ifndef STET_FORMATS_GGUF_QUANTIZE_HPP
#define STET_FORMATS_GGUF_QUANTIZE_HPP

#include "ggml_type.hpp"

#include "../../vocabulary/detail/bit_cast.hpp"
#include "../../vocabulary/config.hpp"
#include "../../vocabulary/detail/endian.hpp"
#include "../../vocabulary/narrow_float.hpp"
#include "../../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The elements of a block of the types that are made here.
inline constexpr std::size_t quantized_elements = 32;

/// The bits of the largest magnitude of numbers of one sign: in the order of magnitudes, NaN above all. 0 if there is none.
template <bool IsNegative> std::int32_t largest_magnitude(const float* numbers) noexcept {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < quantized_elements; ++i) {
    const std::int32_t bits = bit_cast<std::int32_t>(numbers[i]);
    const std::int32_t magnitude = (bits < 0) == IsNegative ? bits & 0x7FFFFFFF : 0;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

/// 1 / scale; 0 for 0.
inline float inverse_of(float scale) noexcept { return scale == 0 ? 0.0f : 1.0f / scale; }

/// The numbers of a block times `by`, each product rounded: a compiler that fuses it with the sum behind it would give other codes on
/// one machine than on another. Bits that go through integers cannot be fused.
struct rounded_products {
  std::uint32_t bits[quantized_elements];
  rounded_products(const float* numbers, float by) noexcept {
    for (std::size_t i = 0; i < quantized_elements; ++i) bits[i] = bit_cast<std::uint32_t>(numbers[i] * by);
#if defined(__GNUC__)
    // Compilers see through bit casts; they do not look into memory that this may have changed.
    __asm__ volatile("" : : "r"(bits) : "memory");
#endif
  }
  [[nodiscard]] float operator[](std::size_t i) const noexcept { return bit_cast<float>(bits[i]); }
};

/// Codes of 8 bits, the magnitudes up to 127 of the largest: rounded to nearest, ties away from zero.
inline void encode_q8_0(const float* numbers, std::byte* block) noexcept {
  const std::int32_t above = largest_magnitude<false>(numbers), below = largest_magnitude<true>(numbers);
  const float scale = bit_cast<float>(above > below ? above : below) / 127;
  const rounded_products products(numbers, inverse_of(scale));
  store_little(block, float16(scale).bits());
  for (std::size_t i = 0; i < quantized_elements; ++i) {
    // Casts of what is out of range are undefined.
    const float product = products[i] > -128.0f && products[i] < 128.0f ? products[i] : 0.0f;
    const int whole = static_cast<int>(product);
    const float rest = product - static_cast<float>(whole);
    const int code = whole + int{rest >= 0.5f} - int{rest <= -0.5f};
    block[2 + i] = static_cast<std::byte>(code & 0xFF);
  }
}

/// Codes of 4 bits: 0 for the number of the largest magnitude, the first if there are several, 8 for zero.
inline void encode_q4_0(const float* numbers, std::byte* block) noexcept {
  const std::int32_t above = largest_magnitude<false>(numbers), below = largest_magnitude<true>(numbers);
  float extreme = above > below ? bit_cast<float>(above) : -bit_cast<float>(below);
  if (above == below) {
    std::size_t first = 0;
    while ((bit_cast<std::int32_t>(numbers[first]) & 0x7FFFFFFF) != above) ++first;
    extreme = numbers[first];
  }
  const float scale = extreme / -8;
  const rounded_products products(numbers, inverse_of(scale));
  store_little(block, float16(scale).bits());
  unsigned codes[quantized_elements];
  for (std::size_t i = 0; i < quantized_elements; ++i) {
    const float sum = products[i] + 8.5f;
    const int code = static_cast<int>(sum >= 0 && sum < 256.0f ? sum : 0.0f);
    codes[i] = static_cast<unsigned>(code < 15 ? code : 15);
  }
  for (std::size_t i = 0; i < quantized_elements / 2; ++i)
    block[2 + i] = static_cast<std::byte>(codes[i] | codes[quantized_elements / 2 + i] << 4);
}

/// A block type that can be made, and how: of `quantized_elements` numbers.
struct block_encoder {
  std::uint32_t code;
  void (*encode)(const float* numbers, std::byte* block) noexcept;
};
inline constexpr block_encoder block_encoders[] = {{2, encode_q4_0}, {8, encode_q8_0}};

constexpr const block_encoder* find_encoder(const block_type& of) noexcept {
  const ggml_type* const type = find_ggml_type(dtype::block, of);
  for (const block_encoder& each : block_encoders) {
    if (type != nullptr && each.code == type->code) return &each;
  }
  return nullptr;
}

} // namespace detail

/// True if `quantize_blocks` makes blocks of this type: q8_0 and q4_0.
[[nodiscard]] constexpr bool is_quantizable(const block_type& to) noexcept {
  return detail::find_encoder(to) != nullptr;
}

/// Makes blocks of numbers: those of gguf-py, bit by bit, where all numbers are finite. A number that is infinite or NaN makes the
/// scale of its block so, too: nothing of the block remains.
/// @param to    the block type: `find_ggml_type(8)->block()`
/// @param from  whole blocks of numbers; in a tensor, blocks do not extend over rows
/// @param into  the blocks: of exactly that many bytes
/// @retval errc::not_convertible  no blocks of this type are made here
/// @retval errc::size_mismatch    the numbers are not whole blocks, or `into` is of another size
/// Cost: reads each number once, allocates nothing.
/// Source: github.com/ggml-org/llama.cpp, gguf-py/gguf/quants.py.
inline result<void> quantize_blocks(const block_type& to, std::span<const float> from,
                                    std::span<std::byte> into) noexcept {
  const detail::block_encoder* const encoder = detail::find_encoder(to);
  if (encoder == nullptr) return error(errc::not_convertible, to.name);
  const std::size_t count = from.size() / to.element_count;
  if (from.size() % to.element_count != 0 || into.size() % to.size_bytes != 0 || into.size() / to.size_bytes != count)
    return error(errc::size_mismatch, to.name);
  for (std::size_t i = 0; i < count; ++i)
    encoder->encode(from.data() + i * to.element_count, into.data() + i * to.size_bytes);
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
