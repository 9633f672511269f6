// SPDX-License-Identifier: MIT
// Heaps of HDF5: fractal heaps for links and attributes, and global heaps for strings.
#ifndef STET_WIRE_HDF5_HEAP_HPP
#define STET_WIRE_HDF5_HEAP_HPP

#include "btree2.hpp"
#include "file.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A fractal heap: rows of `width` blocks. Blocks of the first two rows have the starting size; each later row doubles
/// it. Rows up to the largest size of a direct block consist of direct blocks; blocks of later rows are indirect, that
/// is, consist of rows again. An object that is too large for a block is stored outside of the blocks; its id is a key
/// of a B-tree, or its place. A heap may have filters, which are applied to whole direct blocks and large objects.
/// Source: HDF5 File Format Specification 3.0, III.G.
class fractal_heap {
public:
  static result<fractal_heap> open(hdf5_file& file, std::uint64_t address) {
    fractal_heap made(file, address);
    byte_cursor start = file.from(address);
    start.skip(7);
    const std::uint16_t filter_size = start.take_u16();
    // The size and mask of a filtered root, and the filters, precede the checksum.
    byte_cursor header =
        file.checked_at(address, 146 + (filter_size == 0 ? std::uint64_t{0} : 12 + std::uint64_t{filter_size}));
    const bool is_heap = header.take_mark("FRHP") && header.take_u8() == 0;
    made.id_size_ = header.take_u16();
    header.skip(2);
    made.is_checked_ = (header.take_u8() & 2) != 0;
    const std::uint32_t max_object = header.take_u32();
    header.skip(8);
    made.huge_tree_ = header.take_u64();
    header.skip(10 * 8);
    made.width_ = header.take_u16();
    made.start_size_ = header.take_u64();
    made.max_direct_size_ = header.take_u64();
    const std::uint16_t bits = header.take_u16();
    header.skip(2);
    made.root_.address = header.take_u64();
    made.rows_ = header.take_u16();
    if (filter_size != 0) {
      made.root_.stored_size = header.take_u64();
      made.root_.filter_mask = header.take_u32();
      made.filters_ = header.take_bytes(filter_size);
    }
    constexpr std::uint64_t greatest_block = std::uint64_t{1} << 32;
    if (!header.is_good() || !is_heap || made.id_size_ == 0 || !is_power_of_two(made.width_) ||
        !is_power_of_two(made.start_size_) || !is_power_of_two(made.max_direct_size_) ||
        made.start_size_ > made.max_direct_size_ || made.max_direct_size_ > greatest_block || bits == 0 || bits > 64 ||
        made.rows_ > max_rows) {
      return hdf5_file::bad(address);
    }
    made.offset_size_ = (std::size_t{bits} + 7) / 8;
    made.length_size_ = (std::min)((log_of(made.max_direct_size_) + 7) / 8, bytes_needed(max_object));
    return made;
  }

  /// Finds the object with this id, which lives as long as the file.
  /// @retval errc::bad_hdf5  there is no such object
  /// Errors: those of `hdf5_file::undo_filters`, if the heap has filters.
  result<std::span<const std::byte>> find(std::span<const std::byte> id) {
    byte_cursor fields(id);
    const std::uint8_t first = fields.take_u8();
    const std::uint8_t kind = first >> 4 & 3;
    if (kind == 2) { // tiny: the object itself
      const std::span<const std::byte> object = fields.take_bytes(std::uint64_t{first & 15u} + 1);
      return fields.is_good() ? result(object) : hdf5_file::bad(address_);
    }
    if (!fields.is_good() || (first & 0xC0) != 0 || kind > 1) return hdf5_file::bad(address_);
    if (kind == 1) return find_huge(fields);
    const std::uint64_t offset = fields.take_sized(offset_size_), size = fields.take_sized(length_size_);
    if (!fields.is_good()) return hdf5_file::bad(address_);
    block_place block = root_;
    block.size = start_size_;
    for (std::size_t rows = rows_, depth = 0; rows != 0; ++depth) {
      if (depth == max_depth || !enter(block, rows, offset)) return hdf5_file::bad(address_);
    }
    return in_direct(block, offset, size);
  }

private:
  static constexpr std::size_t max_depth = 32;
  /// The largest number of rows of an indirect block: sizes double with each row, up to 2^64.
  static constexpr std::size_t max_rows = 64;
  struct block_place {
    /// `begin` is an offset of the heap.
    std::uint64_t address = 0, begin = 0, size = 0;
    /// The size in the file of a direct block of a heap with filters.
    std::uint64_t stored_size = 0;
    std::uint32_t filter_mask = 0;
  };
  fractal_heap(hdf5_file& file, std::uint64_t address)
      : file_(&file), contents_(&file.heap(address)), address_(address) {}

  [[nodiscard]] std::uint64_t size_in_row(std::size_t row) const noexcept {
    return row < 2 ? start_size_ : log_of(start_size_) + row <= 62 ? start_size_ << (row - 1) : 0;
  }
  static std::size_t log_of(std::uint64_t value) noexcept {
    return static_cast<std::size_t>(std::bit_width(value)) - 1;
  }

  /// Goes from an indirect block to its block that contains `offset`. `rows` becomes 0 if that block is direct.
  bool enter(block_place& block, std::size_t& rows, std::uint64_t offset) {
    const std::size_t max_direct_rows = log_of(max_direct_size_) - log_of(start_size_) + 2;
    std::size_t row = 0;
    std::uint64_t row_begin = block.begin;
    for (; row < rows; ++row) {
      const std::uint64_t size = size_in_row(row);
      std::uint64_t row_size = 0;
      if (size == 0 || !checked_multiply(size, width_, row_size)) return false;
      if (offset - row_begin < row_size) break;
      if (!checked_add(row_begin, row_size, row_begin)) return false;
    }
    if (row == rows || offset < block.begin) return false;
    const std::uint64_t size = size_in_row(row), column = (offset - row_begin) / size;
    // An entry is an address and, for direct blocks with filters, the size in the file and the mask.
    const std::uint64_t direct_entry = filters_.empty() ? 8 : 8 + 8 + 4;
    const std::uint64_t direct_rows = (std::min)(rows, max_direct_rows);
    const auto entries_before = [&](std::uint64_t at_row, std::uint64_t at_column) {
      const std::uint64_t direct = (std::min)(at_row, direct_rows) * width_;
      return at_row < direct_rows ? (direct + at_column) * direct_entry
                                  : direct * direct_entry + ((at_row - direct_rows) * width_ + at_column) * 8;
    };
    const std::uint64_t whole = 4 + 1 + 8 + offset_size_ + entries_before(rows, 0) + 4;
    byte_cursor indirect =
        is_known(block.address) ? file_->from(block.address) : file_->checked_at(block.address, whole);
    const bool is_own = indirect.take_mark("FHIB") && indirect.take_u8() == 0 && indirect.take_u64() == address_;
    indirect.skip(offset_size_ + entries_before(row, column));
    contents_->sound_blocks.insert(block.address);
    block.address = indirect.take_u64();
    block.begin = row_begin + column * size;
    block.size = size;
    if (row < max_direct_rows) {
      if (!filters_.empty()) {
        block.stored_size = indirect.take_u64();
        block.filter_mask = indirect.take_u32();
      }
      rows = 0;
    } else {
      const std::size_t log_size = log_of(size), log_least = log_of(start_size_ * width_);
      if (log_size < log_least) return false;
      rows = log_size - log_least + 1;
    }
    return is_own && indirect.is_good();
  }

  result<std::span<const std::byte>> in_direct(const block_place& block, std::uint64_t offset, std::uint64_t size) {
    const std::uint64_t frame = 4 + 1 + 8 + offset_size_ + (is_checked_ ? 4u : 0u), begin = block.begin;
    if (offset < begin || offset - begin < frame || !range_fits(offset - begin, size, block.size))
      return hdf5_file::bad(address_);
    if (!filters_.empty()) {
      const auto bytes = unfiltered(block.address, block.stored_size, block.filter_mask, block.size);
      if (!bytes) return bytes.error();
      if (!is_known(block.address) && !is_sound(*bytes, static_cast<std::size_t>(frame)))
        return hdf5_file::bad(block.address);
      contents_->sound_blocks.insert(block.address);
      return bytes->subspan(static_cast<std::size_t>(offset - begin), static_cast<std::size_t>(size));
    }
    if (!file_->contains(block.address, block.size)) return hdf5_file::bad(address_);
    if (!is_known(block.address)) {
      if (!is_sound(file_->at(block.address, block.size).rest(), static_cast<std::size_t>(frame)))
        return hdf5_file::bad(block.address);
      contents_->sound_blocks.insert(block.address);
    }
    return file_->at(block.address + (offset - begin), size).take_bytes(size);
  }
  /// True if a block has been read and checked.
  [[nodiscard]] bool is_known(std::uint64_t block) const { return contents_->sound_blocks.count(block) != 0; }
  /// True if a direct block belongs to this heap and its checksum is correct; the checksum itself counts as zeros.
  [[nodiscard]] bool is_sound(std::span<const std::byte> block, std::size_t frame) const {
    byte_cursor fields(block);
    if (block.size() < frame || !fields.take_mark("FHDB") || fields.take_u8() != 0 || fields.take_u64() != address_)
      return false;
    if (!is_checked_) return true;
    std::vector<std::byte> copy(block.begin(), block.end());
    std::fill_n(copy.begin() + static_cast<std::ptrdiff_t>(frame) - 4, 4, std::byte{0});
    return lookup3(copy) == load_little<std::uint32_t>(block.data() + frame - 4);
  }

  /// Finds a huge object by the rest of its id after the first byte: its place if that fits, else its key.
  result<std::span<const std::byte>> find_huge(byte_cursor id) {
    const bool is_filtered = !filters_.empty();
    const std::size_t place_size = is_filtered ? 8 + 8 + 4 + 8 : 8 + 8;
    hdf5_huge_object object;
    if (id_size_ - std::size_t{1} >= place_size) {
      object = take_huge(id, is_filtered);
    } else {
      const std::uint64_t key = id.take_sized((std::min)(id_size_ - std::size_t{1}, std::size_t{8}));
      if (auto read = read_huge(is_filtered, place_size); !read) return read.error();
      const auto found = contents_->huge.find(key);
      if (found == contents_->huge.end()) return hdf5_file::bad(address_);
      object = found->second;
    }
    if (!id.is_good()) return hdf5_file::bad(address_);
    if (is_filtered)
      return unfiltered(object.address, object.size_bytes, object.filter_mask, object.unfiltered_size_bytes);
    byte_cursor bytes = file_->at(object.address, object.size_bytes);
    return bytes.is_good() ? result(bytes.rest()) : hdf5_file::bad(object.address);
  }
  static hdf5_huge_object take_huge(byte_cursor& from, bool is_filtered) noexcept {
    hdf5_huge_object made;
    made.address = from.take_u64();
    made.size_bytes = from.take_u64();
    if (is_filtered) {
      made.filter_mask = from.take_u32();
      made.unfiltered_size_bytes = from.take_u64();
    }
    return made;
  }
  /// Reads the B-tree of huge objects: their keys and places.
  result<void> read_huge(bool is_filtered, std::size_t place_size) {
    if (contents_->has_huge) return {};
    constexpr std::uint8_t indirect = 1, indirect_filtered = 2;
    const auto records =
        btree2_reader(*file_).run(huge_tree_, is_filtered ? indirect_filtered : indirect, place_size + 8);
    if (!records) return records.error();
    for (const std::span<const std::byte> record : *records) {
      byte_cursor fields(record);
      const hdf5_huge_object object = take_huge(fields, is_filtered);
      if (!file_->charge(sizeof object)) return hdf5_file::bad(address_);
      contents_->huge.emplace(fields.take_u64(), object);
    }
    contents_->has_huge = true;
    return {};
  }

  /// Undoes the filters of the heap for the bytes at `address`. @return their `size` bytes without filters
  result<std::span<const std::byte>> unfiltered(std::uint64_t address, std::uint64_t stored_size, std::uint32_t mask,
                                                std::uint64_t size) {
    const auto known = contents_->unfiltered.find(address);
    if (known != contents_->unfiltered.end()) {
      if (known->second.size() != size) return hdf5_file::bad(address);
      return std::span<const std::byte>(known->second);
    }
    byte_cursor stored = file_->at(address, stored_size);
    if (!stored.is_good() || !file_->charge(size)) return hdf5_file::bad(address);
    std::vector<std::byte> made(static_cast<std::size_t>(size));
    if (auto undone = file_->undo_filters(filters_, mask, stored.rest(), made); !undone) return undone.error();
    return std::span<const std::byte>(contents_->unfiltered.emplace(address, std::move(made)).first->second);
  }

  hdf5_file* file_;
  hdf5_heap_contents* contents_;
  std::uint64_t address_, start_size_ = 0, max_direct_size_ = 0, huge_tree_ = 0;
  block_place root_;
  std::span<const std::byte> filters_;
  std::size_t offset_size_ = 0, length_size_ = 0, rows_ = 0;
  std::uint16_t width_ = 0, id_size_ = 0;
  bool is_checked_ = false;
};

/// The global heaps of a file: collections of numbered objects. Each collection is read once for the file.
///   collection  "GCOL" | u8 1 | 3 unused | u64 size | objects
///   object      u16 number, 0 for free space | u16 references | 4 unused | u64 size | bytes, padded to 8
/// Source: HDF5 File Format Specification 3.0, III.E.
class global_heap {
public:
  explicit global_heap(hdf5_file& file) noexcept : file_(file) {}

  /// Finds the first `size_bytes` bytes of an object; false if there is no such object or it is shorter.
  bool find(std::uint64_t collection, std::uint32_t number, std::uint64_t size_bytes,
            std::span<const std::byte>& into) {
    auto at = file_.collections().find(collection);
    if (at == file_.collections().end()) {
      std::vector<hdf5_heap_object> objects;
      if (!read(collection, objects)) return false;
      at = file_.collections().emplace(collection, std::move(objects)).first;
    }
    const auto found =
        std::lower_bound(at->second.begin(), at->second.end(), number,
                         [](const hdf5_heap_object& each, std::uint32_t wanted) { return each.number < wanted; });
    if (found == at->second.end() || found->number != number || found->bytes.size() < size_bytes) return false;
    into = found->bytes.first(static_cast<std::size_t>(size_bytes));
    return true;
  }

private:
  bool read(std::uint64_t address, std::vector<hdf5_heap_object>& into) {
    byte_cursor header = file_.at(address, 16);
    if (!header.take_mark("GCOL") || header.take_u8() != 1) return false;
    header.skip(3);
    byte_cursor all = file_.at(address, header.take_u64());
    all.skip(16);
    while (all.is_good() && all.left() >= 16) {
      const std::uint16_t number = all.take_u16();
      all.skip(6);
      const std::uint64_t size = all.take_u64();
      if (number == 0) break; // the rest is free
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

} // namespace stet::inline STET_NAMESPACE::detail

#endif
