// SPDX-License-Identifier: MIT
// Heaps of HDF5: fractal heaps, which hold links and attributes, and global heaps, which hold strings.
#ifndef STET_WIRE_HDF5_HEAP_HPP
#define STET_WIRE_HDF5_HEAP_HPP

#include "btree2.hpp"
#include "file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// A fractal heap: blocks in rows of `width`, of which the first two rows are of the starting size and each
/// later one of twice the size of the row before. Objects that are huge, or filtered, are errc::unsupported.
/// Source: HDF5 File Format Specification 3.0, III.G.
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
    if (!header.is_good() || !is_heap || made.width_ == 0 || !is_power_of_two(made.start_size_) ||
        !is_power_of_two(made.max_direct_size_) || made.start_size_ > made.max_direct_size_ || bits == 0 ||
        bits > 64) {
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
  fractal_heap(hdf5_file& file, std::uint64_t address) noexcept : file_(&file), address_(address) {}

  [[nodiscard]] std::uint64_t size_in_row(std::size_t row) const noexcept {
    return row < 2 ? start_size_ : row < 64 ? start_size_ << (row - 1) : 0;
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
      if (size == 0 || size > (std::uint64_t{1} << 62) || !checked_multiply(size, width_, row_size))
        return false;
      if (offset - row_begin < row_size)
        break;
      row_begin += row_size;
    }
    if (row == rows || offset < begin)
      return false;
    const std::uint64_t size = size_in_row(row), column = (offset - row_begin) / size;
    const std::uint64_t entries = std::uint64_t{rows} * width_;
    byte_cursor indirect = file_->checked_at(block, 4 + 1 + 8 + offset_size_ + entries * 8 + 4);
    if (!indirect.take_mark("FHIB") || indirect.take_u8() != 0 || indirect.take_u64() != address_)
      return false;
    indirect.skip(offset_size_ + (row * width_ + column) * 8);
    block = indirect.take_u64();
    begin = row_begin + column * size;
    block_size = size;
    rows = row < max_direct_rows ? 0 : log_of(size) - log_of(start_size_ * width_) + 1;
    return indirect.is_good();
  }

  result<std::span<const std::byte>> in_direct(std::uint64_t block, std::uint64_t begin,
                                               std::uint64_t block_size, std::uint64_t offset,
                                               std::uint64_t size) {
    const std::uint64_t frame = 4 + 1 + 8 + offset_size_ + (is_checked_ ? 4u : 0u);
    if (!file_->contains(block, block_size) || offset < begin || offset - begin < frame ||
        !range_fits(offset - begin, size, block_size)) {
      return hdf5_file::bad(address_);
    }
    if (std::find(checked_.begin(), checked_.end(), block) == checked_.end()) {
      byte_cursor all = file_->at(block, block_size);
      const std::span<const std::byte> bytes = all.rest();
      if (!all.take_mark("FHDB") || all.take_u8() != 0 || all.take_u64() != address_ || block_size < frame)
        return hdf5_file::bad(block);
      if (is_checked_ && !is_sound(bytes, static_cast<std::size_t>(frame)))
        return hdf5_file::bad(block);
      checked_.push_back(block);
    }
    return file_->at(block + (offset - begin), size).take_bytes(size);
  }
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
  std::vector<std::uint64_t> checked_;
};

/// The global heaps of a file: collections of numbered objects.
///   collection  "GCOL" | u8 1 | 3 unused | u64 size | objects
///   object      u16 number, 0 for free space | u16 references | 4 unused | u64 size | bytes, padded to 8
/// Source: HDF5 File Format Specification 3.0, III.E.
class global_heap {
 public:
  explicit global_heap(hdf5_file& file) noexcept : file_(file) {}

  /// The first `size_bytes` bytes of an object; false if there is no such or it is shorter.
  bool find(std::uint64_t collection, std::uint32_t number, std::uint64_t size_bytes,
            std::span<const std::byte>& into) {
    if (collection != address_ && !open(collection))
      return false;
    const auto found =
        std::lower_bound(objects_.begin(), objects_.end(), number,
                         [](const object& each, std::uint32_t wanted) { return each.number < wanted; });
    if (found == objects_.end() || found->number != number || found->bytes.size() < size_bytes)
      return false;
    into = found->bytes.first(static_cast<std::size_t>(size_bytes));
    return true;
  }

 private:
  struct object {
    std::uint32_t number;
    std::span<const std::byte> bytes;
  };

  bool open(std::uint64_t address) {
    // The one before is forgotten: strings of one attribute or dataset lie together.
    address_ = hdf5_file::nowhere;
    objects_.clear();
    byte_cursor header = file_.at(address, 16);
    if (!header.take_mark("GCOL") || header.take_u8() != 1)
      return false;
    header.skip(3);
    const std::uint64_t size = header.take_u64();
    byte_cursor all = file_.at(address, size);
    all.skip(16);
    while (all.is_good() && all.left() >= 16) {
      const std::uint16_t number = all.take_u16();
      all.skip(6);
      const std::uint64_t object_size = all.take_u64();
      if (number == 0)
        break; // what is left is free
      const std::span<const std::byte> bytes = all.take_bytes(object_size);
      all.skip((std::min)((8 - object_size % 8) % 8, std::uint64_t{all.left()}));
      objects_.push_back({number, bytes});
    }
    if (!all.is_good())
      return false;
    std::sort(objects_.begin(), objects_.end(),
              [](const object& a, const object& b) { return a.number < b.number; });
    address_ = address;
    return true;
  }

  hdf5_file& file_;
  std::uint64_t address_ = hdf5_file::nowhere;
  std::vector<object> objects_;
};

} // namespace stet::inline v0_1::detail

#endif
