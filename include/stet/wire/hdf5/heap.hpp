// SPDX-License-Identifier: MIT
// Heaps of HDF5: fractal heaps, which hold links and attributes, and global heaps, which hold strings.
#ifndef STET_WIRE_HDF5_HEAP_HPP
#define STET_WIRE_HDF5_HEAP_HPP

#include "btree2.hpp"
#include "file.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// A fractal heap: blocks in rows of `width`, of which the first two rows are of the starting size and each
/// later one of twice the size of the row before. Rows up to the greatest size of a direct block are of
/// those; blocks further down are indirect, rows again. Objects that are huge, or filtered, are
/// errc::unsupported. Source: HDF5 File Format Specification 3.0, III.G.
class fractal_heap {
 public:
  static result<fractal_heap> open(hdf5_file& file, std::uint64_t address) {
    fractal_heap made(file, address);
    byte_cursor header = file.checked_at(address, 146);
    const bool is_heap = header.take_mark("FRHP") && header.take_u8() == 0;
    header.skip(2);
    const std::uint16_t filter_size = header.take_u16();
    made.is_checked_ = (header.take_u8() & 2) != 0;
    const std::uint32_t max_object = header.take_u32();
    header.skip(12 * 8);
    made.width_ = header.take_u16();
    made.start_size_ = header.take_u64();
    made.max_direct_size_ = header.take_u64();
    const std::uint16_t bits = header.take_u16();
    header.skip(2);
    made.root_ = header.take_u64();
    made.rows_ = header.take_u16();
    if (header.is_good() && filter_size != 0)
      return errc::unsupported;
    constexpr std::uint64_t greatest_block = std::uint64_t{1} << 32;
    if (!header.is_good() || !is_heap || !is_power_of_two(made.width_) ||
        !is_power_of_two(made.start_size_) || !is_power_of_two(made.max_direct_size_) ||
        made.start_size_ > made.max_direct_size_ || made.max_direct_size_ > greatest_block || bits == 0 ||
        bits > 64 || made.rows_ > max_rows) {
      return hdf5_file::bad(address);
    }
    made.offset_size_ = (std::size_t{bits} + 7) / 8;
    made.length_size_ = (std::min)((log_of(made.max_direct_size_) + 7) / 8, bytes_needed(max_object));
    return made;
  }

  /// The object with this id.
  /// @retval errc::unsupported  it is huge: stored outside the heap
  /// @retval errc::bad_hdf5     there is no such
  result<std::span<const std::byte>> find(std::span<const std::byte> id) {
    byte_cursor fields(id);
    const std::uint8_t first = fields.take_u8();
    const std::uint8_t kind = first >> 4 & 3;
    if (kind == 2) { // tiny: the object itself
      const std::span<const std::byte> object = fields.take_bytes(std::uint64_t{first & 15u} + 1);
      return fields.is_good() ? result(object) : hdf5_file::bad(address_);
    }
    const std::uint64_t offset = fields.take_sized(offset_size_), size = fields.take_sized(length_size_);
    if (kind == 1)
      return errc::unsupported;
    if (!fields.is_good() || (first & 0xC0) != 0 || kind != 0)
      return hdf5_file::bad(address_);
    std::uint64_t block = root_, begin = 0, block_size = start_size_;
    for (std::size_t rows = rows_, depth = 0; rows != 0; ++depth) {
      if (depth == max_depth || !enter(block, begin, block_size, rows, offset))
        return hdf5_file::bad(address_);
    }
    return in_direct(block, begin, block_size, offset, size);
  }

 private:
  static constexpr std::size_t max_depth = 32;
  /// Of an indirect block: sizes double with each, and no heap is larger than 2^64.
  static constexpr std::size_t max_rows = 64;
  fractal_heap(hdf5_file& file, std::uint64_t address) noexcept : file_(&file), address_(address) {}

  [[nodiscard]] std::uint64_t size_in_row(std::size_t row) const noexcept {
    return row < 2 ? start_size_ : log_of(start_size_) + row <= 62 ? start_size_ << (row - 1) : 0;
  }
  static std::size_t log_of(std::uint64_t value) noexcept {
    return static_cast<std::size_t>(std::bit_width(value)) - 1;
  }

  /// Goes from an indirect block to the one in it that holds `offset`; `rows` becomes 0 if that is a direct
  /// one.
  bool enter(std::uint64_t& block, std::uint64_t& begin, std::uint64_t& block_size, std::size_t& rows,
             std::uint64_t offset) {
    const std::size_t max_direct_rows = log_of(max_direct_size_) - log_of(start_size_) + 2;
    std::size_t row = 0;
    std::uint64_t row_begin = begin;
    for (; row < rows; ++row) {
      const std::uint64_t size = size_in_row(row);
      std::uint64_t row_size = 0;
      if (size == 0 || !checked_multiply(size, width_, row_size))
        return false;
      if (offset - row_begin < row_size)
        break;
      if (!checked_add(row_begin, row_size, row_begin))
        return false;
    }
    if (row == rows || offset < begin)
      return false;
    const std::uint64_t size = size_in_row(row), column = (offset - row_begin) / size;
    const std::uint64_t whole = 4 + 1 + 8 + offset_size_ + std::uint64_t{rows} * width_ * 8 + 4;
    byte_cursor indirect = is_known(block) ? file_->from(block) : file_->checked_at(block, whole);
    const bool is_own =
        indirect.take_mark("FHIB") && indirect.take_u8() == 0 && indirect.take_u64() == address_;
    indirect.skip(offset_size_ + (row * width_ + column) * 8);
    known_.insert(block);
    block = indirect.take_u64();
    begin = row_begin + column * size;
    block_size = size;
    if (row < max_direct_rows) {
      rows = 0;
    } else {
      const std::size_t log_size = log_of(size), log_least = log_of(start_size_ * width_);
      if (log_size < log_least)
        return false;
      rows = log_size - log_least + 1;
    }
    return is_own && indirect.is_good();
  }

  result<std::span<const std::byte>> in_direct(std::uint64_t block, std::uint64_t begin,
                                               std::uint64_t block_size, std::uint64_t offset,
                                               std::uint64_t size) {
    const std::uint64_t frame = 4 + 1 + 8 + offset_size_ + (is_checked_ ? 4u : 0u);
    if (!file_->contains(block, block_size) || offset < begin || offset - begin < frame ||
        !range_fits(offset - begin, size, block_size)) {
      return hdf5_file::bad(address_);
    }
    if (!is_known(block)) {
      byte_cursor all = file_->at(block, block_size);
      const std::span<const std::byte> bytes = all.rest();
      if (!all.take_mark("FHDB") || all.take_u8() != 0 || all.take_u64() != address_ || block_size < frame)
        return hdf5_file::bad(block);
      if (is_checked_ && !is_sound(bytes, static_cast<std::size_t>(frame)))
        return hdf5_file::bad(block);
      known_.insert(block);
    }
    return file_->at(block + (offset - begin), size).take_bytes(size);
  }
  /// Whether a block was read before, and found sound.
  [[nodiscard]] bool is_known(std::uint64_t block) const { return known_.find(block) != known_.end(); }
  /// Whether a block is what its checksum says, which counts as zeros itself.
  static bool is_sound(std::span<const std::byte> block, std::size_t frame) {
    std::vector<std::byte> copy(block.begin(), block.end());
    std::fill_n(copy.begin() + static_cast<std::ptrdiff_t>(frame) - 4, 4, std::byte{0});
    return lookup3(copy) == load_little<std::uint32_t>(block.data() + frame - 4);
  }

  hdf5_file* file_;
  std::uint64_t address_, start_size_ = 0, max_direct_size_ = 0, root_ = 0;
  std::size_t offset_size_ = 0, length_size_ = 0, rows_ = 0;
  std::uint16_t width_ = 0;
  bool is_checked_ = false;
  std::set<std::uint64_t> known_;
};

/// The global heaps of a file: collections of numbered objects. Each is read once for the file.
///   collection  "GCOL" | u8 1 | 3 unused | u64 size | objects
///   object      u16 number, 0 for free space | u16 references | 4 unused | u64 size | bytes, padded to 8
/// Source: HDF5 File Format Specification 3.0, III.E.
class global_heap {
 public:
  explicit global_heap(hdf5_file& file) noexcept : file_(file) {}

  /// The first `size_bytes` bytes of an object; false if there is no such or it is shorter.
  bool find(std::uint64_t collection, std::uint32_t number, std::uint64_t size_bytes,
            std::span<const std::byte>& into) {
    auto at = file_.collections().find(collection);
    if (at == file_.collections().end()) {
      std::vector<hdf5_heap_object> objects;
      if (!read(collection, objects))
        return false;
      at = file_.collections().emplace(collection, std::move(objects)).first;
    }
    const auto found = std::lower_bound(
        at->second.begin(), at->second.end(), number,
        [](const hdf5_heap_object& each, std::uint32_t wanted) { return each.number < wanted; });
    if (found == at->second.end() || found->number != number || found->bytes.size() < size_bytes)
      return false;
    into = found->bytes.first(static_cast<std::size_t>(size_bytes));
    return true;
  }

 private:
  bool read(std::uint64_t address, std::vector<hdf5_heap_object>& into) {
    byte_cursor header = file_.at(address, 16);
    if (!header.take_mark("GCOL") || header.take_u8() != 1)
      return false;
    header.skip(3);
    byte_cursor all = file_.at(address, header.take_u64());
    all.skip(16);
    while (all.is_good() && all.left() >= 16) {
      const std::uint16_t number = all.take_u16();
      all.skip(6);
      const std::uint64_t size = all.take_u64();
      if (number == 0)
        break; // what is left is free
      const std::span<const std::byte> bytes = all.take_bytes(size);
      all.skip((std::min)((8 - size % 8) % 8, std::uint64_t{all.left()}));
      into.push_back({number, bytes});
    }
    std::sort(into.begin(), into.end(),
              [](const hdf5_heap_object& a, const hdf5_heap_object& b) { return a.number < b.number; });
    return all.is_good();
  }

  hdf5_file& file_;
};

} // namespace stet::inline v0_1::detail

#endif
