// SPDX-License-Identifier: MIT
// Some of the elements of a tensor of any size, converted, wherever and however they are stored.
#ifndef STET_STORE_WINDOW_HPP
#define STET_STORE_WINDOW_HPP

#include "tensor.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline v0_1 {

/// Copies the elements from number `first` on into all of `into`, converted by the rules of
/// bytes/convert.hpp: what `tensor::copy_to` does for all of them, for a tensor that is larger than memory.
/// @retval errc::bad_range        there are not that many elements
/// @retval errc::not_convertible  strings, blocks, or complex numbers to real ones
/// @retval errc::bad_value        bool elements, and a byte is neither 0 nor 1
/// or an error of the reader. Cost: reads those elements once, allocates nothing.
template <element T>
requires(!std::is_const_v<T>) [[nodiscard]] result<void> copy_window(const tensor& from, std::uint64_t first,
                                                                     std::span<T> into) noexcept {
  if (!detail::range_fits(first, into.size(), from.element_count()))
    return error(errc::bad_range, from.name());
  const element_layout& layout = from.layout();
  if (layout.bits == 0)
    return error(errc::not_convertible, from.name());
  const bool is_swapped = describe(layout.dtype).word_size_bytes > 1 &&
                          from.entry().is_big_endian() != (std::endian::native == std::endian::big);
  // Any multiple of 8 elements is a whole number of bytes; no element has more than 128 bits.
  constexpr std::size_t step = 256;
  std::byte stored[step * 16];
  T converted[8];
  while (!into.empty()) {
    const std::uint64_t aligned = first / 8 * 8;
    const auto skipped = static_cast<std::size_t>(first - aligned);
    const std::size_t wanted = skipped + into.size();
    std::size_t count = wanted < step ? wanted : step;
    // The elements before `first` in its group of 8 are converted with it, elsewhere.
    if (skipped != 0 && count > 8)
      count = 8;
    const std::span<std::byte> bytes(stored, (count * layout.bits + 7) / 8);
    if (auto fetched = from.read(aligned / 8 * layout.bits, bytes); !fetched)
      return fetched;
    const std::size_t taken = count - skipped;
    const std::span<T> target = skipped == 0 ? into.first(taken) : std::span<T>(converted, count);
    const errc failure = detail::convert_elements<T>({stored, layout.dtype, layout.bits, is_swapped}, target);
    if (failure != errc{})
      return error(failure, from.name());
    for (std::size_t i = skipped; skipped != 0 && i < count; ++i)
      into[i - skipped] = converted[i];
    into = into.subspan(taken);
    first += taken;
  }
  return {};
}

} // namespace stet::inline v0_1

#endif
