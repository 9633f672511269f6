// SPDX-License-Identifier: MIT
// Reads the records of version 2 B-trees of HDF5 in order.
#ifndef STET_WIRE_HDF5_BTREE2_HPP
#define STET_WIRE_HDF5_BTREE2_HPP

#include "file.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// header    "BTHD" | u8 0 | u8 type | u32 node size | u16 record size | u16 depth | u8 split | u8 merge |
//           root | u16 records of the root | u64 all records | checksum
// leaf      "BTLF" | u8 0 | u8 type | records | checksum
// internal  "BTIN" | u8 0 | u8 type | records | children, one more than records | checksum
//   child   address | its records | all records below it, unless it is a leaf
//           both numbers have as many bytes as their largest possible value needs
// Source: HDF5 File Format Specification 3.0, III.A.2.

namespace stet::inline STET_NAMESPACE::detail {

/// The number of bytes of an unsigned integer up to `greatest`.
constexpr std::size_t bytes_needed(std::uint64_t greatest) noexcept {
  return greatest == 0 ? 1 : (static_cast<std::size_t>(std::bit_width(greatest)) + 7) / 8;
}

/// Reads the records of one tree.
class btree2_reader {
public:
  explicit btree2_reader(hdf5_file& file) noexcept : file_(file) {}

  /// Reads the records of the tree at `address`, which must be of `type`, in order.
  /// @param least_size  the least size of a record, in bytes
  /// @retval errc::bad_hdf5  the tree is damaged, or the number of records differs from its count
  result<std::vector<std::span<const std::byte>>> run(std::uint64_t address, std::uint8_t type,
                                                      std::size_t least_size) {
    byte_cursor header = file_.checked_at(address, 38);
    const bool is_tree = header.take_mark("BTHD") && header.take_u8() == 0;
    type_ = header.take_u8();
    node_size_ = header.take_u32();
    record_size_ = header.take_u16();
    const std::uint16_t depth = header.take_u16();
    header.skip(2);
    const std::uint64_t root = header.take_u64();
    const std::uint16_t count = header.take_u16();
    total_ = header.take_u64();
    if (!header.is_good() || !is_tree || type_ != type || record_size_ < least_size || record_size_ == 0 ||
        node_size_ < frame_size + record_size_ || depth >= max_depth || !measure(depth) ||
        total_ > file_.size_bytes() / record_size_) {
      return hdf5_file::bad(address);
    }
    if (root != hdf5_file::nowhere && !read_node(root, count, depth)) return hdf5_file::bad(address);
    if (records_.size() != total_) return hdf5_file::bad(address);
    return std::move(records_);
  }

private:
  static constexpr std::size_t max_depth = 16;
  static constexpr std::size_t frame_size = 10; // mark, version, type, checksum

  /// Computes the largest number of records of a node of each depth.
  bool measure(std::size_t depth) noexcept {
    std::uint64_t all = capacity_[0] = (node_size_ - frame_size) / record_size_;
    count_size_ = bytes_needed(capacity_[0]);
    for (std::size_t level = 1; level <= depth; ++level) {
      const std::uint64_t pointer = 8 + count_size_ + total_size_[level - 1];
      if (node_size_ < frame_size + pointer) return false;
      capacity_[level] = (node_size_ - frame_size - pointer) / (record_size_ + pointer);
      std::uint64_t sum = 0;
      if (!checked_multiply(capacity_[level] + 1, all, sum) || !checked_add(sum, capacity_[level], all)) return false;
      total_size_[level] = bytes_needed(all);
    }
    return true;
  }

  bool read_node(std::uint64_t address, std::uint64_t count, std::size_t depth) {
    if (count > capacity_[depth]) return false;
    const std::uint64_t pointer = depth == 0 ? 0 : 8 + count_size_ + total_size_[depth - 1];
    const std::uint64_t size = frame_size + count * record_size_ + (depth == 0 ? 0 : (count + 1) * pointer);
    byte_cursor node = file_.checked_at(address, size);
    if (!node.take_mark(depth == 0 ? "BTLF" : "BTIN") || node.take_u8() != 0 || node.take_u8() != type_) return false;
    byte_cursor records(node.take_bytes(count * record_size_));
    for (std::uint64_t number = 0; number <= count; ++number) {
      if (depth != 0) {
        const std::uint64_t child = node.take_u64(), child_count = node.take_sized(count_size_);
        node.skip(total_size_[depth - 1]);
        if (!node.is_good() || !read_node(child, child_count, depth - 1)) return false;
      }
      if (number == count) break;
      if (records_.size() == total_) // some nodes occur several times
        return false;
      records_.push_back(records.take_bytes(record_size_));
    }
    return true;
  }

  hdf5_file& file_;
  std::vector<std::span<const std::byte>> records_;
  std::uint64_t capacity_[max_depth] = {};
  std::size_t total_size_[max_depth] = {}; // 0 for leaves, which have no total
  std::size_t count_size_ = 0;
  std::uint64_t total_ = 0;
  std::uint32_t node_size_ = 0;
  std::uint16_t record_size_ = 0;
  std::uint8_t type_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
