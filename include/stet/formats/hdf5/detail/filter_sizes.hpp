// SPDX-License-Identifier: MIT
// Computes the decompressed size of an HDF5 chunk from the compressed bytes alone.
#ifndef STET_FORMATS_HDF5_DETAIL_FILTER_SIZES_HPP
#define STET_FORMATS_HDF5_DETAIL_FILTER_SIZES_HPP

#include "../../../vocabulary/detail/checked.hpp"
#include "../../../vocabulary/detail/endian.hpp"
#include "../../../wire/cursor.hpp"
#include "../../../wire/hdf5/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Counts the bytes that deflated bytes, in zlib's frame, decompress to. It does not produce them, so it needs no window.
/// Source: RFC 1950; RFC 1951, 3.2.
class deflated_size {
public:
  explicit deflated_size(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  /// @param most  the largest size that is counted
  /// @return      false if the bytes are invalid, or the size exceeds `most`
  bool measure(std::uint64_t most, std::uint64_t& size_bytes) noexcept {
    constexpr std::uint32_t deflate = 8, has_dictionary = 0x2000;
    const std::uint32_t frame = take(16);
    if ((frame & 15) != deflate || (frame & has_dictionary) != 0) return false;
    for (bool is_last = false; !is_last;) {
      is_last = take(1) != 0;
      const std::uint32_t kind = take(2);
      const bool is_valid = kind == 0 ? pass_stored() : kind == 1 ? pass_fixed(most) : kind == 2 && pass_dynamic(most);
      if (!is_valid || !is_good_ || size_ > most) return false;
    }
    size_bytes = size_;
    return true;
  }

private:
  /// A canonical Huffman code: the number of codes of each length, and the symbols in the order of their codes.
  struct code {
    static constexpr std::size_t max_bits = 15, max_symbols = 288;
    std::uint16_t counts[max_bits + 1] = {}, symbols[max_symbols] = {};

    /// @return false if there are more codes than their lengths allow
    bool make(std::span<const std::uint8_t> lengths) noexcept {
      for (const std::uint8_t each : lengths) ++counts[each];
      counts[0] = 0;
      int room = 1;
      std::uint16_t begins[max_bits + 2] = {};
      for (std::size_t bits = 1; bits <= max_bits; ++bits) {
        room = room * 2 - counts[bits];
        if (room < 0) return false;
        begins[bits + 1] = static_cast<std::uint16_t>(begins[bits] + counts[bits]);
      }
      for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        if (lengths[symbol] != 0) symbols[begins[lengths[symbol]]++] = static_cast<std::uint16_t>(symbol);
      }
      return true;
    }
  };

  /// Takes the next `count` ≤ 16 bits, lowest first.
  std::uint32_t take(std::uint32_t count) noexcept {
    std::uint32_t value = 0;
    for (std::uint32_t i = 0; i < count; ++i, ++at_) {
      if (at_ / 8 >= bytes_.size()) return is_good_ = false, 0u;
      value |= (static_cast<std::uint32_t>(bytes_[static_cast<std::size_t>(at_ / 8)]) >> at_ % 8 & 1u) << i;
    }
    return value;
  }
  /// Takes the next symbol; sets `is_good_` to false if there is none.
  std::uint32_t take_symbol(const code& from) noexcept {
    std::uint32_t number = 0, first = 0, index = 0;
    for (std::size_t bits = 1; bits <= code::max_bits && is_good_; ++bits) {
      number |= take(1);
      const std::uint32_t count = from.counts[bits];
      if (number - first < count) return from.symbols[index + (number - first)];
      index += count;
      first = (first + count) * 2;
      number *= 2;
    }
    return is_good_ = false, 0u;
  }

  bool pass_stored() noexcept {
    at_ = (at_ + 7) / 8 * 8;
    const std::uint32_t size = take(16), inverted = take(16);
    if (!is_good_ || (size ^ inverted) != 0xFFFFu || size > bytes_.size() - static_cast<std::size_t>(at_ / 8))
      return false;
    at_ += std::uint64_t{size} * 8;
    size_ += size;
    return true;
  }
  bool pass_fixed(std::uint64_t most) noexcept {
    std::uint8_t lengths[code::max_symbols + 30];
    for (std::size_t i = 0; i < code::max_symbols; ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    for (std::size_t i = 0; i < 30; ++i) lengths[code::max_symbols + i] = 5;
    return pass(std::span<const std::uint8_t>(lengths), code::max_symbols, most);
  }
  bool pass_dynamic(std::uint64_t most) noexcept {
    static constexpr std::uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const std::size_t literals = take(5) + 257u, distances = take(5) + 1u, given = take(4) + 4u;
    std::uint8_t lengths[code::max_symbols + 32] = {};
    if (literals > 286 || distances > 30) return false;
    std::uint8_t of_lengths[19] = {};
    for (std::size_t i = 0; i < given; ++i) of_lengths[order[i]] = static_cast<std::uint8_t>(take(3));
    code lengths_code;
    if (!lengths_code.make(of_lengths)) return false;
    for (std::size_t at = 0; at < literals + distances;) {
      const std::uint32_t symbol = take_symbol(lengths_code);
      if (symbol < 16) {
        if (!is_good_) return false;
        lengths[at++] = static_cast<std::uint8_t>(symbol);
        continue;
      }
      const std::uint8_t repeated = symbol == 16 && at != 0 ? lengths[at - 1] : std::uint8_t{0};
      std::size_t count = symbol == 16 ? 3 + take(2) : symbol == 17 ? 3 + take(3) : 11 + take(7);
      if (!is_good_ || (symbol == 16 && at == 0) || count > literals + distances - at) return false;
      for (; count != 0; --count) lengths[at++] = repeated;
    }
    return pass(std::span<const std::uint8_t>(lengths, literals + distances), literals, most);
  }
  /// Counts the symbols of a block to its end. @param lengths  the lengths of the codes of `literals` symbols, then of distances
  bool pass(std::span<const std::uint8_t> lengths, std::size_t literals, std::uint64_t most) noexcept {
    static constexpr std::uint16_t length_begins[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    code literal, distance;
    if (!literal.make(lengths.first(literals)) || !distance.make(lengths.subspan(literals))) return false;
    while (is_good_ && size_ <= most) {
      const std::uint32_t symbol = take_symbol(literal);
      if (symbol < 256) {
        ++size_;
        continue;
      }
      if (symbol == 256) return is_good_;
      const std::uint32_t number = symbol - 257;
      if (number > 28) return false;
      const std::uint32_t bits = number < 8 || number == 28 ? 0 : (number - 4) / 4;
      size_ += length_begins[number] + take(bits);
      const std::uint32_t back = take_symbol(distance);
      if (back > 29) return false;
      (void)take(back < 4 ? 0 : (back - 2) / 2);
    }
    return false;
  }

  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0, size_ = 0;
  bool is_good_ = true;
};

/// Counts the bytes that LZF decompresses to (filters.hpp has the format). @return false if the bytes end within a match
inline bool measure_lzf(std::span<const std::byte> from, std::uint64_t& size_bytes) noexcept {
  size_bytes = 0;
  for (std::size_t at = 0; at < from.size();) {
    const std::size_t control = static_cast<std::size_t>(from[at++]);
    if (control < 32) {
      at += control + 1;
      size_bytes += control + 1;
      continue;
    }
    std::size_t length = control >> 5;
    if (length == 7 && at < from.size()) length += static_cast<std::size_t>(from[at++]);
    ++at; // the byte of the distance
    size_bytes += length + 2;
    if (at > from.size()) return false;
  }
  return true;
}

/// Finds the size of the input of a compressor, which is needed if another filter made that input.
/// @param most  the largest size that is accepted
/// @return      false if the size is not known from the bytes, or exceeds `most`
/// Cost: reads the bytes once for deflate and LZF; else a few of them.
inline bool measure_decompressed(const hdf5_filter& filter, std::span<const std::byte> bytes, std::uint64_t most,
                                 std::uint64_t& size_bytes) noexcept {
  byte_cursor fields(bytes), values(filter.values);
  bool is_known = false;
  switch (filter.id) {
  case hdf5_filter::deflate:
    is_known = deflated_size(bytes).measure(most, size_bytes);
    break;
  case hdf5_filter::lzf:
    is_known = measure_lzf(bytes, size_bytes);
    break;
  case hdf5_filter::lz4:
    size_bytes = byte_swapped(fields.take_u64());
    is_known = fields.is_good();
    break;
  case hdf5_filter::szip:
    size_bytes = fields.take_u32();
    is_known = fields.is_good();
    break;
  case hdf5_filter::scale_offset: { // values: kind, exponent, count, class, size of a number …
    values.skip(8);
    const std::uint64_t count = values.take_u32();
    values.skip(4);
    is_known = checked_multiply(count, std::uint64_t{values.take_u32()}, size_bytes) && values.is_good();
    break;
  }
  default:
    break;
  }
  return is_known && size_bytes <= most;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
