// SPDX-License-Identifier: MIT
// The six kinds of chunk indexes of an HDF5 dataset.
#ifndef STET_WIRE_HDF5_CHUNKS_HPP
#define STET_WIRE_HDF5_CHUNKS_HPP

#include "btree2.hpp"
#include "layout.hpp"
#include "type.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A chunk that is stored in the file.
struct hdf5_chunk {
  /// The number of the chunk, row by row over the present grid of chunks of the dataset.
  std::uint64_t number = 0;
  std::uint64_t address = 0;
  /// The size in the file.
  std::uint64_t size_bytes = 0;
  /// The filters that were not applied to it, one bit each.
  std::uint32_t mask = 0;
};

/// Reads the chunk index of one dataset.
class hdf5_chunk_reader {
public:
  /// @param size_bytes  the size of a chunk without filters
  hdf5_chunk_reader(hdf5_file& file, const hdf5_layout& layout, const hdf5_space& space, std::uint64_t size_bytes,
                    bool is_filtered) noexcept
      : file_(file), layout_(layout), space_(space), size_bytes_(size_bytes), is_filtered_(is_filtered) {}

  result<std::vector<hdf5_chunk>> run() {
    if (layout_.rank != space_.rank) return hdf5_file::bad(layout_.address);
    if (layout_.address == hdf5_file::nowhere) return std::move(chunks_);
    std::uint64_t all = 1;
    for (std::size_t axis = 0; axis < layout_.rank; ++axis) {
      grid_[axis] = chunk_count(space_.extents[axis], axis);
      if (!checked_multiply(all, grid_[axis], all)) return hdf5_file::bad(layout_.address);
    }
    all_ = all;
    if (!read()) return hdf5_file::bad(layout_.address);
    // Chunks must not share bytes: else a small file could be decompressed to many chunks.
    std::sort(chunks_.begin(), chunks_.end(),
              [](const hdf5_chunk& a, const hdf5_chunk& b) { return a.address < b.address; });
    const auto over = [](const hdf5_chunk& a, const hdf5_chunk& b) { return b.address - a.address < a.size_bytes; };
    if (std::adjacent_find(chunks_.begin(), chunks_.end(), over) != chunks_.end())
      return hdf5_file::bad(layout_.address);
    std::sort(chunks_.begin(), chunks_.end(),
              [](const hdf5_chunk& a, const hdf5_chunk& b) { return a.number < b.number; });
    const auto same = [](const hdf5_chunk& a, const hdf5_chunk& b) { return a.number == b.number; };
    if (std::adjacent_find(chunks_.begin(), chunks_.end(), same) != chunks_.end())
      return hdf5_file::bad(layout_.address);
    return std::move(chunks_);
  }

private:
  static constexpr std::size_t max_depth = 32;

  [[nodiscard]] std::uint64_t chunk_count(std::uint64_t extent, std::size_t axis) const noexcept {
    return extent / layout_.chunk[axis] + (extent % layout_.chunk[axis] != 0 ? 1u : 0u);
  }

  bool read() {
    switch (layout_.index) {
    case hdf5_chunk_index::btree1:
      return read_tree(layout_.address, 0, max_depth);
    case hdf5_chunk_index::single:
      return all_ <= 1 &&
             add(std::uint64_t{0}, layout_.address,
                 layout_.single_size_bytes != 0 ? layout_.single_size_bytes : size_bytes_, layout_.single_mask);
    case hdf5_chunk_index::implicit:
      return read_implicit();
    case hdf5_chunk_index::fixed_array:
      return read_fixed_array();
    case hdf5_chunk_index::extensible_array:
      return read_extensible_array();
    case hdf5_chunk_index::btree2:
      return read_tree2();
    }
    return false;
  }

  /// Adds the chunk at a place of the grid. A chunk outside of the present extents is ignored: it remains from a time
  /// when the dataset was larger.
  bool add(const std::uint64_t* place, std::uint64_t address, std::uint64_t size, std::uint32_t mask) {
    std::uint64_t number = 0;
    for (std::size_t axis = 0; axis < layout_.rank; ++axis) {
      if (place[axis] >= grid_[axis]) return true;
      number = number * grid_[axis] + place[axis];
    }
    return add(number, address, size, mask);
  }
  bool add(std::uint64_t number, std::uint64_t address, std::uint64_t size, std::uint32_t mask) {
    if (address == hdf5_file::nowhere) return true;
    if (!file_.contains(address, size) || (!is_filtered_ && size != size_bytes_) || !file_.charge(sizeof(hdf5_chunk)))
      return false;
    chunks_.push_back({number, address, size, mask});
    return true;
  }

  /// Reads a version 1 B-tree of type 1. A key is u32 size, u32 mask, the offset of the first element along each axis,
  /// and 0.
  bool read_tree(std::uint64_t address, std::uint8_t level, std::size_t depth) {
    byte_cursor node = file_.at(address, 24);
    const bool is_chunk_tree = node.take_mark("TREE") && node.take_u8() == 1;
    const std::uint8_t own_level = node.take_u8();
    const std::uint16_t count = node.take_u16();
    if (!node.is_good() || !is_chunk_tree || (depth != max_depth && own_level != level) || own_level >= max_depth)
      return false;
    const std::uint64_t key_size = 8 + (std::uint64_t{layout_.rank} + 1) * 8;
    byte_cursor entries = file_.at(address + 24, count * (key_size + 8) + key_size);
    for (std::uint16_t i = 0; i < count; ++i) {
      const std::uint32_t size = entries.take_u32(), mask = entries.take_u32();
      std::uint64_t place[hdf5_space::max_rank] = {};
      bool is_aligned = true;
      for (std::size_t axis = 0; axis < layout_.rank; ++axis) {
        const std::uint64_t offset = entries.take_u64();
        is_aligned = is_aligned && offset % layout_.chunk[axis] == 0;
        place[axis] = offset / layout_.chunk[axis];
      }
      entries.skip(8);
      const std::uint64_t child = entries.take_u64();
      if (!entries.is_good()) return false;
      if (own_level != 0 ? !read_tree(child, static_cast<std::uint8_t>(own_level - 1), depth - 1)
                         : !is_aligned || !add(place, child, size, mask)) {
        return false;
      }
    }
    return entries.is_good();
  }

  /// Reads a version 2 B-tree. A record is address, [size, u32 mask], and the place in the grid.
  bool read_tree2() {
    constexpr std::uint8_t plain = 10, filtered = 11;
    const std::size_t fixed = 8 + std::size_t{layout_.rank} * 8;
    const auto records =
        btree2_reader(file_).run(layout_.address, is_filtered_ ? filtered : plain, fixed + (is_filtered_ ? 4u : 0u));
    if (!records) return false;
    for (const std::span<const std::byte> record : *records) {
      byte_cursor fields(record);
      const std::uint64_t address = fields.take_u64();
      std::uint64_t size = size_bytes_;
      std::uint32_t mask = 0;
      if (is_filtered_) {
        size = fields.take_sized(record.size() - fixed - 4);
        mask = fields.take_u32();
      }
      std::uint64_t place[hdf5_space::max_rank] = {};
      for (std::size_t axis = 0; axis < layout_.rank; ++axis) place[axis] = fields.take_u64();
      if (!fields.is_good() || !add(place, address, size, mask)) return false;
    }
    return true;
  }

  // ---- indexes by number: row by row over the grid of the dataset at its largest ----

  /// Computes the largest grid.
  /// @param unlimited  true if one axis may grow without limit; that axis then counts as the first
  bool measure_largest(bool unlimited) noexcept {
    std::uint64_t all = 1;
    growing_ = layout_.rank;
    for (std::size_t axis = 0; axis < layout_.rank; ++axis) {
      largest_[axis] = chunk_count(space_.limits[axis], axis);
      if (unlimited && space_.limits[axis] == hdf5_space::unlimited && growing_ == layout_.rank) {
        growing_ = axis;
      } else if (!checked_multiply(all, largest_[axis], all)) {
        return false;
      }
    }
    other_ = all;
    return !unlimited || growing_ != layout_.rank;
  }
  bool add_number(std::uint64_t number, std::uint64_t address, std::uint64_t size, std::uint32_t mask) {
    std::uint64_t place[hdf5_space::max_rank] = {};
    for (std::size_t axis = layout_.rank; axis-- > 0;) {
      if (axis == growing_) continue;
      if (largest_[axis] == 0) return true;
      place[axis] = number % largest_[axis];
      number /= largest_[axis];
    }
    if (growing_ != layout_.rank) {
      place[growing_] = number;
    } else if (number != 0) {
      return true;
    }
    return add(place, address, size, mask);
  }
  /// Reads an element of an array: address, [size, u32 mask].
  bool add_element(byte_cursor& from, std::uint64_t number, std::size_t element_size) {
    const std::uint64_t address = from.take_u64();
    std::uint64_t size = size_bytes_;
    std::uint32_t mask = 0;
    if (is_filtered_) {
      size = from.take_sized(element_size - 12);
      mask = from.take_u32();
    }
    return from.is_good() && add_number(number, address, size, mask);
  }
  [[nodiscard]] bool fits_element(std::size_t size) const noexcept {
    return is_filtered_ ? size > 12 && size <= 20 : size == 8;
  }

  bool read_implicit() {
    if (is_filtered_ || !measure_largest(false) || size_bytes_ == 0) return false;
    // The chunks are stored one after the other, so the size of the file limits their number.
    std::uint64_t size = 0;
    if (!checked_multiply(other_, size_bytes_, size) || !file_.contains(layout_.address, size)) return false;
    // Only chunks within the extents are added, and each is charged: the largest grid may have many more, in many datasets.
    for (std::uint64_t number = 0; number < all_; ++number) {
      std::uint64_t rest = number, largest_number = 0, scale = 1;
      for (std::size_t axis = layout_.rank; axis-- > 0;) {
        largest_number += rest % grid_[axis] * scale;
        rest /= grid_[axis];
        scale *= largest_[axis];
      }
      if (!add(number, layout_.address + largest_number * size_bytes_, size_bytes_, 0)) return false;
    }
    return true;
  }

  /// Reads the beginning of a block of an array: its mark, u8 0, u8 client, and the address of the header.
  bool enter(byte_cursor& block, std::string_view mark) const noexcept {
    return block.take_mark(mark) && block.take_u8() == 0 && block.take_u8() == (is_filtered_ ? 1u : 0u) &&
           block.take_u64() == layout_.address;
  }

  /// Reads "FAHD" | u8 0 | u8 client | u8 element size | u8 bits of a page | u64 elements | address of the data
  /// block | checksum
  bool read_fixed_array() {
    byte_cursor header = file_.checked_at(layout_.address, 28);
    const bool is_array =
        header.take_mark("FAHD") && header.take_u8() == 0 && header.take_u8() == (is_filtered_ ? 1u : 0u);
    const std::uint8_t element_size = header.take_u8(), page_bits = header.take_u8();
    const std::uint64_t count = header.take_u64(), block = header.take_u64();
    if (!header.is_good() || !is_array || !fits_element(element_size) || page_bits > 31 || !measure_largest(false))
      return false;
    if (block == hdf5_file::nowhere) return true;
    if (count > file_.size_bytes() * 8) return false; // even a page that was never written has one bit
    constexpr std::uint64_t frame = 4 + 1 + 1 + 8;
    const std::uint64_t page = std::uint64_t{1} << page_bits;
    if (count <= page) {
      byte_cursor data = file_.checked_at(block, frame + count * element_size + 4);
      return enter(data, "FADB") && read_elements(data, 0, count, element_size);
    }
    const std::uint64_t pages = (count + page - 1) / page, bitmap_size = (pages + 7) / 8;
    byte_cursor data = file_.checked_at(block, frame + bitmap_size + 4);
    if (!enter(data, "FADB")) return false;
    return read_pages(data.take_bytes(bitmap_size), 0, block + frame + bitmap_size + 4, 0, count, page, element_size);
  }

  bool read_elements(byte_cursor& data, std::uint64_t first, std::uint64_t count, std::size_t element_size) {
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!add_element(data, first + i, element_size)) return false;
    }
    return data.is_good();
  }
  /// Reads pages of elements, each with a checksum. The bits of `bitmap` from `bit` on, highest bit of a byte first, mark
  /// the pages that were written.
  bool read_pages(std::span<const std::byte> bitmap, std::uint64_t bit, std::uint64_t at, std::uint64_t first,
                  std::uint64_t count, std::uint64_t page, std::size_t element_size) {
    for (std::uint64_t done = 0; done < count; done += page, ++bit) {
      const std::uint64_t some = (std::min)(page, count - done);
      if (bit / 8 >= bitmap.size()) return false;
      const bool is_written =
          (static_cast<unsigned>(bitmap[static_cast<std::size_t>(bit / 8)]) >> (7 - bit % 8) & 1u) != 0;
      if (is_written) {
        byte_cursor data = file_.checked_at(at, some * element_size + 4);
        if (!read_elements(data, first + done, some, element_size)) return false;
      }
      at += page * element_size + 4; // the last page is as long as the others
    }
    return true;
  }

  /// Reads an extensible array: elements in the index block, then in data blocks. The index block has the addresses of
  /// data blocks and of secondary blocks, which have the addresses of more data blocks. Secondary block number u has
  /// 2^(u/2) data blocks of 2^((u+1)/2) times the least number of elements.
  ///   header  "EAHD" | u8 0 | u8 client | u8 element size | u8 bits of a number | u8 elements in the index block |
  ///           u8 least elements of a data block | u8 least data blocks of a secondary block | u8 bits of a page |
  ///           6 counts | address of the index block | checksum
  bool read_extensible_array() {
    byte_cursor header = file_.checked_at(layout_.address, 72);
    const bool is_array =
        header.take_mark("EAHD") && header.take_u8() == 0 && header.take_u8() == (is_filtered_ ? 1u : 0u);
    const std::uint8_t element_size = header.take_u8(), bits = header.take_u8(), in_index = header.take_u8();
    const std::uint64_t least_elements = header.take_u8();
    const std::uint64_t least_blocks = header.take_u8();
    const std::uint8_t page_bits = header.take_u8();
    header.skip(6 * 8);
    const std::uint64_t index_block = header.take_u64();
    if (!header.is_good() || !is_array || !fits_element(element_size) || bits > 63 || page_bits > 31 ||
        !is_power_of_two(least_elements) || !is_power_of_two(least_blocks) || !measure_largest(true)) {
      return false;
    }
    if (index_block == hdf5_file::nowhere) return true;
    const std::size_t log_elements = static_cast<std::size_t>(std::bit_width(least_elements)) - 1;
    const std::size_t log_blocks = static_cast<std::size_t>(std::bit_width(least_blocks)) - 1;
    if (bits < log_elements) return false;
    const std::size_t super_blocks = 1 + bits - log_elements,
                      direct_super_blocks = (std::min)(2 * log_blocks, super_blocks);
    std::uint64_t direct_blocks = 0;
    for (std::size_t u = 0; u < direct_super_blocks; ++u) direct_blocks += std::uint64_t{1} << u / 2;
    constexpr std::uint64_t frame = 4 + 1 + 1 + 8;
    const std::uint64_t offset_size = (std::uint64_t{bits} + 7) / 8, page = std::uint64_t{1} << page_bits;
    byte_cursor index = file_.checked_at(index_block, frame + std::uint64_t{in_index} * element_size +
                                                          (direct_blocks + super_blocks - direct_super_blocks) * 8 + 4);
    if (!enter(index, "EAIB") || !read_elements(index, 0, in_index, element_size)) return false;

    std::uint64_t first = in_index;
    const auto read_block = [&](std::uint64_t address, std::uint64_t count, std::span<const std::byte> bitmap,
                                std::uint64_t bit) {
      if (address == hdf5_file::nowhere) return true;
      const bool is_paged = count > page;
      if (count > file_.size_bytes()) return false;
      byte_cursor data = file_.checked_at(address, frame + offset_size + (is_paged ? 0 : count * element_size) + 4);
      if (!enter(data, "EADB")) return false;
      data.skip(offset_size);
      if (!is_paged) return read_elements(data, first, count, element_size);
      return read_pages(bitmap, bit, address + frame + offset_size + 4, first, count, page, element_size);
    };
    for (std::size_t u = 0; u < super_blocks; ++u) {
      const std::uint64_t blocks = std::uint64_t{1} << u / 2, count = least_elements << (u + 1) / 2;
      if (u < direct_super_blocks) {
        for (std::uint64_t i = 0; i < blocks; ++i, first += count) {
          const std::uint64_t address = index.take_u64();
          // The data blocks of the index block are too short to have pages.
          if (!index.is_good() || !read_block(address, count, {}, 0)) return false;
        }
        continue;
      }
      const std::uint64_t address = index.take_u64();
      if (!index.is_good()) return false;
      if (address == hdf5_file::nowhere) {
        first += blocks * count;
        continue;
      }
      const std::uint64_t pages = count > page ? count / page : 0, bitmap_size = (pages + 7) / 8;
      if (blocks > file_.size_bytes() || bitmap_size > file_.size_bytes()) return false;
      byte_cursor super = file_.checked_at(address, frame + offset_size + blocks * (bitmap_size + 8) + 4);
      if (!enter(super, "EASB")) return false;
      super.skip(offset_size);
      const std::span<const std::byte> bitmaps = super.take_bytes(blocks * bitmap_size);
      for (std::uint64_t i = 0; i < blocks; ++i, first += count) {
        const std::uint64_t data = super.take_u64();
        // The bitmap has whole bytes for each data block, and yet the bits of all data blocks are contiguous.
        // Source: HDF5 1.14, src/H5EA.c, H5EA__lookup_elmt.
        if (!super.is_good() || !read_block(data, count, bitmaps, i * pages)) return false;
      }
    }
    return true;
  }

  hdf5_file& file_;
  const hdf5_layout& layout_;
  const hdf5_space& space_;
  std::uint64_t size_bytes_;
  bool is_filtered_;
  std::uint64_t all_ = 0; // the number of chunks of the grid
  std::uint64_t grid_[hdf5_space::max_rank] = {}, largest_[hdf5_space::max_rank] = {};
  /// The axis that grows, or the rank if there is none; and the number of chunks of the largest grid, or of one step
  /// along that axis.
  std::size_t growing_ = 0;
  std::uint64_t other_ = 0;
  std::vector<hdf5_chunk> chunks_;
};

/// Lists the chunks of a dataset that are stored in the file, by number. All other chunks have the fill value.
/// @param size_bytes  the size of a chunk without filters
/// @retval errc::bad_hdf5  the index is damaged, has a chunk twice, or leads out of the file or to bytes of
///                         another chunk
/// Cost: reads the index; allocates the list.
inline result<std::vector<hdf5_chunk>> read_chunks(hdf5_file& file, const hdf5_layout& layout, const hdf5_space& space,
                                                   std::uint64_t size_bytes, bool is_filtered) {
  return hdf5_chunk_reader(file, layout, space, size_bytes, is_filtered).run();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
