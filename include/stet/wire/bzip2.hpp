// SPDX-License-Identifier: MIT
// Decompresses bzip2, a method of members of zip archives.
#ifndef STET_WIRE_BZIP2_HPP
#define STET_WIRE_BZIP2_HPP

#include "../vocabulary/config.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// A bzip2 stream, bits from the most significant one on:
//
//   "BZh" | '1' … '9': 100 kB of elements in a block | blocks | 48 bits 0x177245385090 | 32 bits checksum
//   block: 48 bits 0x314159265359 | 32 bits checksum | 1 bit randomised | 24 bits origin | symbols in use: 16 bits, then 16 bits
//   for each that is set | 3 bits count of tables | 15 bits count of selectors | selectors: unary, moved to front | tables:
//   5 bits length, then for each symbol "10" longer, "11" shorter, "0" done | symbols in groups of 50, each group by the table
//   that its selector names
//
// The symbols are runs of the first byte (0 and 1, digits of a bijective base 2), moves to the front, and the end. They give the
// last column of the sorted rotations of the block, in which four equal bytes are followed by a count of more.
//
// Source: the bzip2 1.0.8 sources; the format has no other specification. The checksums are not compared: the archive has one.

namespace stet::inline STET_NAMESPACE::detail {

/// Decompresses one stream. Used once.
class bzip2_reader {
public:
  bzip2_reader(std::span<const std::byte> from, std::span<std::byte> into) noexcept : from_(from), into_(into) {}

  /// Fills `into` exactly. @return false if the stream is damaged, randomised (bzip2 before 0.9.5), or gives another size
  bool run() {
    if (bits(8) != 'B' || bits(8) != 'Z' || bits(8) != 'h') return false;
    const std::uint32_t level = bits(8) - '0';
    if (level < 1 || level > 9) return false;
    // Five bytes in a block may be four of what comes out: the declared size is enough, whatever the level.
    capacity_ = (std::min)(std::size_t{level} * 100'000, into_.size() + into_.size() / 4 + 1);
    constexpr std::uint32_t block_high = 0x314159, block_low = 0x265359, end_high = 0x177245, end_low = 0x385090;
    while (is_good_) {
      const std::uint32_t high = bits(24), low = bits(24);
      (void)bits(16), (void)bits(16);
      if (high == end_high && low == end_low) return is_good_ && written_ == into_.size();
      if (high != block_high || low != block_low || !read_block()) return false;
    }
    return false;
  }

private:
  static constexpr std::size_t max_length = 20, max_symbols = 258, max_tables = 6, group_size = 50;
  struct table {
    /// For each length, the first code behind those of it, and what leads from a code to a place in `symbols`.
    std::int32_t limit[max_length + 2], base[max_length + 2];
    std::uint16_t symbols[max_symbols];
  };

  /// Up to 24 bits; 0 and a failure behind the end.
  std::uint32_t bits(unsigned count) noexcept {
    while (bit_count_ < count) {
      if (at_ == from_.size()) return is_good_ = false, 0u;
      buffer_ = buffer_ << 8 | static_cast<std::uint32_t>(from_[at_++]);
      bit_count_ += 8;
    }
    bit_count_ -= count;
    return static_cast<std::uint32_t>(buffer_ >> bit_count_ & ((1u << count) - 1));
  }

  bool read_block() {
    if (bits(1) != 0) return false;
    const std::uint32_t origin = bits(24);
    if (!read_symbols_in_use() || !read_selectors() || !read_tables() || !read_column()) return false;
    return origin < column_.size() && write_block(origin);
  }

  bool read_symbols_in_use() {
    in_use_.clear();
    const std::uint32_t rows = bits(16);
    for (unsigned row = 0; row < 16; ++row) {
      const std::uint32_t set = (rows >> (15 - row) & 1u) != 0 ? bits(16) : 0u;
      for (unsigned i = 0; i < 16; ++i) {
        if ((set >> (15 - i) & 1u) != 0) in_use_.push_back(static_cast<std::uint8_t>(row * 16 + i));
      }
    }
    return is_good_ && !in_use_.empty();
  }

  bool read_selectors() {
    table_count_ = bits(3);
    const std::uint32_t count = bits(15);
    if (table_count_ < 2 || table_count_ > max_tables || count == 0) return false;
    selectors_.clear();
    std::uint8_t order[max_tables] = {0, 1, 2, 3, 4, 5};
    for (std::uint32_t i = 0; i < count && is_good_; ++i) {
      std::size_t place = 0;
      while (bits(1) != 0) {
        if (++place == table_count_) return false;
      }
      std::rotate(order, order + place, order + place + 1);
      selectors_.push_back(order[0]);
    }
    return is_good_;
  }

  bool read_tables() {
    const std::size_t symbol_count = in_use_.size() + 2;
    for (std::size_t number = 0; number < table_count_; ++number) {
      std::uint8_t lengths[max_symbols];
      std::uint32_t length = bits(5);
      for (std::size_t symbol = 0; symbol < symbol_count; ++symbol) {
        for (;;) {
          if (!is_good_ || length < 1 || length > max_length) return false;
          if (bits(1) == 0) break;
          length = bits(1) == 0 ? length + 1 : length - 1;
        }
        lengths[symbol] = static_cast<std::uint8_t>(length);
      }
      make_table(std::span<const std::uint8_t>(lengths, symbol_count), tables_[number]);
    }
    return is_good_;
  }
  /// The codes of each length follow one another, shorter ones first.
  static void make_table(std::span<const std::uint8_t> lengths, table& into) noexcept {
    std::int32_t code = 0, place = 0;
    for (std::size_t length = 1; length <= max_length; ++length) {
      into.base[length] = code - place;
      for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        if (lengths[symbol] != length) continue;
        into.symbols[place++] = static_cast<std::uint16_t>(symbol);
        ++code;
      }
      into.limit[length] = code;
      code *= 2;
    }
  }
  /// The next symbol; past all of them for a code that there is not.
  std::size_t take_symbol(const table& from) noexcept {
    std::int32_t code = 0;
    for (std::size_t length = 1; length <= max_length; ++length) {
      code = code * 2 + static_cast<std::int32_t>(bits(1));
      if (code >= from.limit[length]) continue;
      const std::int32_t place = code - from.base[length];
      return place >= 0 && place < static_cast<std::int32_t>(in_use_.size() + 2)
                 ? from.symbols[static_cast<std::size_t>(place)]
                 : max_symbols;
    }
    return max_symbols;
  }

  bool read_column() {
    column_.clear();
    const std::size_t end_symbol = in_use_.size() + 1;
    std::vector<std::uint8_t> order = in_use_;
    std::size_t run = 0, digit = 1;
    for (std::size_t number = 0; is_good_; ++number) {
      if (number / group_size == selectors_.size()) return false;
      const std::size_t symbol = take_symbol(tables_[selectors_[number / group_size]]);
      if (symbol < 2) {
        if (digit > capacity_) return false;
        run += digit << symbol;
        digit *= 2;
        continue;
      }
      if (run > capacity_ - column_.size()) return false;
      column_.insert(column_.end(), run, order[0]);
      run = 0;
      digit = 1;
      if (symbol == end_symbol) return is_good_;
      if (symbol > end_symbol || column_.size() == capacity_) return false;
      const auto place = static_cast<std::ptrdiff_t>(symbol - 1);
      std::rotate(order.begin(), order.begin() + place, order.begin() + place + 1);
      column_.push_back(order[0]);
    }
    return false;
  }

  /// Follows the rotations from the origin on, and writes the bytes with their runs.
  bool write_block(std::uint32_t origin) {
    std::uint32_t begins[256] = {}, sum = 0;
    for (const std::uint32_t each : column_) ++begins[each];
    for (std::uint32_t& each : begins) sum += each, each = sum - each;
    for (std::uint32_t i = 0; i < column_.size(); ++i) column_[begins[column_[i] & 0xFFu]++] |= i << 8;
    std::uint32_t next = column_[origin] >> 8;
    unsigned equal = 0;
    std::byte last{};
    for (std::size_t i = 0; i < column_.size(); ++i) {
      const std::uint32_t both = column_[next];
      next = both >> 8;
      const auto value = static_cast<std::byte>(both & 0xFFu);
      std::size_t count = 1;
      if (equal == 4) {
        count = static_cast<std::size_t>(value);
        equal = 0;
      } else {
        equal = equal != 0 && value == last ? equal + 1 : 1;
        last = value;
      }
      if (count > into_.size() - written_) return false;
      std::fill_n(into_.begin() + static_cast<std::ptrdiff_t>(written_), count, last);
      written_ += count;
    }
    return true;
  }

  std::span<const std::byte> from_;
  std::span<std::byte> into_;
  std::size_t at_ = 0, written_ = 0, capacity_ = 0;
  std::uint64_t buffer_ = 0;
  unsigned bit_count_ = 0;
  bool is_good_ = true;
  std::vector<std::uint8_t> in_use_, selectors_;
  std::uint32_t table_count_ = 0;
  table tables_[max_tables];
  /// A byte of the column each, and in its upper bits the place of the next one.
  std::vector<std::uint32_t> column_;
};

/// Decompresses a bzip2 stream to exactly the size of `into`. @return false if it is damaged, or of another size
/// Cost: up to 5 bytes of memory for each one that comes out, 3.6 MB at most.
inline bool decompress_bzip2(std::span<const std::byte> from, std::span<std::byte> into) {
  return bzip2_reader(from, into).run();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
