// SPDX-License-Identifier: MIT
// Makes numbers of the block types of GGUF. Needs the standard library only.
#ifndef STET_FORMATS_GGUF_DEQUANTIZE_HPP
#define STET_FORMATS_GGUF_DEQUANTIZE_HPP

#include "detail/big_endian_blocks.hpp"
#include "detail/block_codecs.hpp"

#include "../../bytes/detail/convert.hpp"
#include "../../store/copy_elements.hpp"
#include "../../store/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

/// True if `dequantize` makes numbers of this block type: every one that gguf-py 0.19 decodes, with the sizes that ggml gives it. They
/// are q4_0, q4_1, q5_0, q5_1, q8_0, q2_k … q6_k, iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq4_nl, iq4_xs, tq1_0,
/// tq2_0, mxfp4, nvfp4.
[[nodiscard]] inline bool is_dequantizable(const block_type& of) noexcept {
  return detail::find_decoder(of) != nullptr;
}

/// A type that numbers are dequantized to.
template <class T>
concept dequantized_element =
    element<T> && !std::is_const_v<T> && describe(dtype_of<T>::value).kind == dtype_kind::floating;

/// Makes numbers of the elements of a tensor of blocks from element `first_element` on, as many as `into` has. They are those of
/// gguf-py, bit by bit but for the payload of a NaN; for types other than float32 each is rounded once more. A tensor that has
/// no blocks is converted as by `copy_elements`. Of big-endian blocks, the float16 numbers are taken to be big-endian: so
/// gguf_convert_endian of gguf-py writes q4_0, q8_0, q4_k and q6_k, and ggml on a big-endian machine the others. GGUFWriter of gguf-py
/// leaves blocks little-endian in a big-endian file; the bytes do not tell, and their numbers are wrong.
/// @param first_element  the first element: one that begins a block
/// @retval errc::not_convertible   there is no rule for the block type, or for the dtype
/// @retval errc::wrong_byte_order  the blocks are big-endian, and have words other than float16 numbers, whose order is not known: q5_0,
///                                 q5_1, iq4_xs, iq1, iq2 and iq3
/// @retval errc::invalid_argument  `first_element` begins no block, or `into` ends within one
/// @retval errc::bad_range         the tensor has too few elements
/// or an error of the reader. Cost: reads each byte once, allocates nothing.
/// Source: github.com/ggml-org/llama.cpp, gguf-py/gguf/quants.py.
template <dequantized_element To>
[[nodiscard]] result<void> dequantize(const tensor& of, std::span<To> into, std::uint64_t first_element) noexcept {
  if (of.dtype() != dtype::block)
    return copy_elements(of, dtype_of<To>::value, std::as_writable_bytes(into), first_element);
  const block_type& block = of.layout().block;
  const detail::decode_function decode = detail::find_decoder(block);
  if (decode == nullptr) return detail::error_about(errc::not_convertible, of.name(), block.name);
  const bool is_swapped = of.entry().is_big_endian();
  const detail::float16_fields* const swapped = is_swapped ? detail::find_big_endian_block(block) : nullptr;
  if (is_swapped && swapped == nullptr) return error(errc::wrong_byte_order, of.name());
  if (first_element % block.element_count != 0 || into.size() % block.element_count != 0)
    return error(errc::invalid_argument, of.name());
  if (!detail::range_fits(first_element, into.size(), of.element_count())) return error(errc::bad_range, of.name());

  constexpr bool is_direct = std::is_same_v<To, float>;
  constexpr std::size_t most_elements = 256, stored_size = STET_SMALL_CODE ? 512 : 4096;
  // Numbers that are rounded stay in the first-level cache between both steps.
  constexpr std::size_t room = STET_SMALL_CODE ? most_elements : 8 * most_elements;
  [[maybe_unused]] float numbers[is_direct ? 1 : room];
  std::byte stored[stored_size];
  const std::size_t count = into.size() / block.element_count;
  const std::uint64_t begin = first_element / block.element_count * block.size_bytes;
  const bool is_used_in_place = !is_swapped && of.size_bytes() != 0 && of.bytes().size() == of.size_bytes();
  std::size_t step = is_used_in_place ? count : sizeof stored / block.size_bytes;
  if (!is_direct && step > room / block.element_count) step = room / block.element_count;
  for (std::size_t done = 0; done < count; done += step) {
    const std::size_t some = count - done < step ? count - done : step;
    const std::uint64_t offset = begin + std::uint64_t{done} * block.size_bytes;
    const std::byte* blocks = stored;
    if (is_used_in_place) {
      blocks = of.bytes().data() + static_cast<std::size_t>(offset);
    } else if (auto read = of.read(offset, std::span(stored, some * block.size_bytes)); !read) {
      return read;
    } else if (is_swapped) {
      detail::swap_blocks(*swapped, stored, block.size_bytes, some);
    }
    To* const target = into.data() + done * block.element_count;
    if constexpr (is_direct) {
      decode(blocks, some, target);
    } else {
      decode(blocks, some, numbers);
      // `To` may be a type of the program, with operations that stet does not know; a type of stet is used instead.
      using element_type = typename element_of<dtype_of<To>::value>::type;
      detail::convert_blocks(detail::conversion_of<element_type, float>,
                             {reinterpret_cast<const std::byte*>(numbers), dtype::float32, 32, false},
                             reinterpret_cast<std::byte*>(target), some * block.element_count);
    }
  }
  return {};
}

/// Makes numbers of all elements of a tensor: the argument of `copy_to`.
///
///     std::vector<float> numbers(tensor.element_count());
///     auto copied = tensor.copy_to(std::span(numbers), stet::dequantize);
///
/// Errors and cost: those of the function above; `into` has as many elements as the tensor.
template <dequantized_element To> [[nodiscard]] result<void> dequantize(const tensor& of, std::span<To> into) noexcept {
  return dequantize(of, into, 0);
}

} // namespace stet::inline STET_NAMESPACE

#endif
