// SPDX-License-Identifier: MIT
// Decompresses snappy blocks, which sorted tables may consist of.
#ifndef STET_WIRE_SNAPPY_HPP
#define STET_WIRE_SNAPPY_HPP

#include "varint.hpp"

#include "../vocabulary/detail/endian.hpp"
#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// A block is the varint (32 bits) of its decompressed size, then elements. The low 2 bits of the first byte t of an element
// are its kind:
//
//   00  literal  t >> 2 is the size - 1; from 60 to 63, the size - 1 follows in 1 to 4 bytes; then the bytes
//   01  copy     4 + (t >> 2 & 7) bytes; the distance back from the end of the output is (t >> 5) << 8 | next byte
//   10  copy     1 + (t >> 2) bytes, the distance in 2 bytes
//   11  copy     1 + (t >> 2) bytes, the distance in 4 bytes
//
// A copy may overlap the bytes that it writes. Source: google/snappy, format_description.txt.

namespace stet::inline STET_NAMESPACE::detail {

/// A block whose elements begin at `elements`.
struct snappy_block {
  std::span<const std::byte> elements;
  /// The decompressed size, as the block declares it: at most `snappy_block::max_ratio` times the compressed size.
  std::uint32_t size_bytes = 0;

  /// The largest expansion: a copy of 64 bytes takes 3.
  static constexpr std::uint64_t max_ratio = 22;
};

/// Reads the declared size of a snappy block, for which the caller then allocates.
/// @retval errc::bad_compression  the size is missing, or too large for the number of compressed bytes
inline result<snappy_block> open_snappy(std::span<const std::byte> compressed) noexcept {
  snappy_block block;
  const std::byte* const end = compressed.data() + compressed.size();
  const std::byte* const at = read_varint(compressed.data(), end, block.size_bytes);
  if (at == nullptr) return error(errc::bad_compression, {}, 0);
  block.elements = {at, static_cast<std::size_t>(end - at)};
  if (block.size_bytes > block.elements.size() * snappy_block::max_ratio) return error(errc::bad_compression, {}, 0);
  return block;
}

/// Decompresses `block` into `into`, which must hold `block.size_bytes` bytes and not overlap the block.
/// @retval errc::bad_compression  an element is cut off, copies from before the beginning, or does not fit; or the
///                                output is smaller than declared. `offset_bytes` counts from the first element
/// Cost: writes every byte once, allocates nothing.
inline result<void> decompress_snappy(const snappy_block& block, std::byte* into) noexcept {
  const std::byte* const begin = block.elements.data();
  const std::byte* const end = begin + block.elements.size();
  std::size_t done = 0;
  for (const std::byte* at = begin; at != end;) {
    const auto bad = [offset = static_cast<std::uint64_t>(at - begin)] {
      return error(errc::bad_compression, {}, offset);
    };
    const std::uint32_t tag = static_cast<std::uint32_t>(*at++);
    const bool is_literal = (tag & 3) == 0;
    // The number of bytes after the tag: the size of a literal, or the distance of a copy.
    std::size_t extra = (tag & 3) == 3 ? 4 : tag & 3;
    if (is_literal) extra = tag >> 2 < 60 ? 0 : (tag >> 2) - 59;
    if (static_cast<std::size_t>(end - at) < extra) return bad();
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < extra; ++i) number |= static_cast<std::uint32_t>(*at++) << (8 * i);

    std::uint64_t size = std::uint64_t{tag >> 2} + 1;
    if (is_literal && extra != 0) size = std::uint64_t{number} + 1;
    if ((tag & 3) == 1) {
      size = 4 + (tag >> 2 & 7);
      number |= tag >> 5 << 8;
    }
    if (size > block.size_bytes - done) return bad();
    if (is_literal) {
      if (size > static_cast<std::uint64_t>(end - at)) return bad();
      std::memcpy(into + done, at, static_cast<std::size_t>(size));
      at += static_cast<std::size_t>(size);
    } else {
      if (number == 0 || number > done) return bad();
      std::byte* const to = into + done;
      const std::byte* const from = to - number;
      if (number >= size) {
        std::memcpy(to, from, static_cast<std::size_t>(size));
      } else {
        for (std::size_t i = 0; i < size; ++i) to[i] = from[i]; // overlap: repeats the bytes just written
      }
    }
    done += static_cast<std::size_t>(size);
  }
  if (done != block.size_bytes) return error(errc::bad_compression, {}, block.elements.size());
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
