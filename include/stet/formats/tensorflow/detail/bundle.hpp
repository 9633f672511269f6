// SPDX-License-Identifier: MIT
// The messages in the index of a TensorFlow V2 checkpoint: a header, and an entry for each tensor or slice.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_BUNDLE_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_BUNDLE_HPP

#include "../../../manifest/detail/slice_extent.hpp"

#include "../../../vocabulary/shape.hpp"
#include "../../../wire/ordered_code.hpp"
#include "../../../wire/protobuf.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// A checkpoint with the prefix P consists of
//
//   P.index                a sorted table (wire/sorted_table.hpp): key "" BundleHeaderProto, other keys BundleEntryProto
//   P.data-00000-of-00002  … of each shard: the bytes of its tensors, row-major, at any offset
//
//   BundleHeaderProto  1 num_shards | 2 endianness of the data (0 little, 1 big) | 3 VersionDef version
//   VersionDef         1 producer | 2 min_consumer | 3 bad_consumers (repeated)
//   BundleEntryProto   1 DataType | 2 TensorShapeProto | 3 shard_id | 4 offset | 5 size | 6 fixed32 masked CRC-32C |
//                      7 TensorSliceProto (repeated)
//   TensorShapeProto   2 dim (repeated) {1 size | 2 name} | 3 unknown_rank
//   TensorSliceProto   1 extent (repeated) {1 start | 2 length}; without a length, the whole dimension
//
// An entry with slices has the dtype and shape of a tensor that was saved in pieces. Each piece is another entry, whose key is
// the ordered code (wire/ordered_code.hpp) of 0, the name, the rank, and start and length (-1: the whole dimension) of each
// dimension as in the slice. Such keys begin with a zero byte, and therefore precede the names.
// Source: tensorflow/core/protobuf/tensor_bundle.proto, core/framework/{tensor_shape,tensor_slice,versions}.proto,
// core/util/saved_tensor_slice_util.cc.

namespace stet::inline STET_NAMESPACE::detail {

/// The version of this reader. Writers may list versions that must not read a file.
inline constexpr std::int32_t bundle_version = 1;

struct bundle_header {
  std::int32_t shard_count = 0;
  bool is_big_endian = false;
};

/// @retval errc::bad_protobuf  the message is malformed
/// @retval errc::bad_header    there are no shards, or the byte order is neither little nor big
/// @retval errc::newer_format  version 1 must not read the file
inline result<bundle_header> parse_bundle_header(std::span<const std::byte> bytes) noexcept {
  bundle_header header;
  std::int32_t endianness = 0;
  protobuf_message message(bytes);
  while (message.next()) {
    switch (message.tag()) {
    case varint_field(1):
      header.shard_count = message.int32();
      break;
    case varint_field(2):
      endianness = message.int32();
      break;
    case bytes_field(3): {
      protobuf_message version(message.bytes());
      bool is_too_new = false, is_whole = true;
      while (version.next()) {
        if (version.tag() == varint_field(2)) is_too_new |= version.int32() > bundle_version;
        if (version.tag() == varint_field(3) || version.tag() == bytes_field(3)) {
          is_whole &= for_each_varint(version, [&](std::uint64_t bad) { is_too_new |= bad == bundle_version; });
        }
      }
      if (!version.is_whole() || !is_whole) return error(errc::bad_protobuf, "header");
      if (is_too_new) return error(errc::newer_format, "header");
      break;
    }
    default:
      break;
    }
  }
  if (!message.is_whole()) return error(errc::bad_protobuf, "header");
  if (header.shard_count < 1) return error(errc::bad_header, "number of shards");
  if (endianness != 0 && endianness != 1) return error(errc::bad_header, "byte order");
  header.is_big_endian = endianness == 1;
  return header;
}

/// The extents of a TensorShapeProto, in memory that is reused.
class parsed_shape {
public:
  void clear() noexcept { rank_ = 0; }
  [[nodiscard]] std::span<const std::uint64_t> extents() const noexcept { return {extents_, rank_}; }

  /// Appends the dimensions of a TensorShapeProto.
  /// @return  errc{}, or errc::bad_protobuf, or errc::bad_shape: too many dimensions, or an unknown one
  errc append(std::span<const std::byte> bytes) noexcept {
    protobuf_message message(bytes);
    while (message.next()) {
      if (message.tag() == bytes_field(2)) {
        if (rank_ == max_rank) return errc::bad_shape;
        std::uint64_t extent = 0;
        protobuf_message dim(message.bytes());
        while (dim.next()) {
          if (dim.tag() == varint_field(1)) extent = dim.varint();
        }
        if (!dim.is_whole()) return errc::bad_protobuf;
        if (extent >> 63 != 0) return errc::bad_shape; // negative: unknown
        extents_[rank_++] = extent;
      } else if (message.tag() == varint_field(3) && message.boolean()) {
        return errc::bad_shape;
      }
    }
    return message.is_whole() ? errc{} : errc::bad_protobuf;
  }

private:
  std::size_t rank_ = 0;
  std::uint64_t extents_[max_rank];
};

/// Sets `extents` to those of a TensorSliceProto, one for each dimension. @return false if the message is malformed
inline bool parse_slice(std::span<const std::byte> bytes, std::vector<slice_extent>& extents) {
  extents.clear();
  protobuf_message message(bytes);
  while (message.next()) {
    if (message.tag() != bytes_field(1)) continue;
    slice_extent extent;
    protobuf_message inner(message.bytes());
    while (inner.next()) {
      if (inner.tag() == varint_field(1)) extent.start = inner.int64();
      if (inner.tag() == varint_field(2)) extent.length = inner.int64();
    }
    if (!inner.is_whole()) return false;
    extents.push_back(extent);
  }
  return message.is_whole();
}

/// The key of a slice of the tensor `name`.
inline std::string slice_key(std::string_view name, std::span<const slice_extent> extents) {
  std::string key;
  append_ordered_number(key, 0);
  append_ordered_text(key, name);
  append_ordered_number(key, extents.size());
  for (const slice_extent& extent : extents) {
    append_ordered_signed(key, extent.start);
    append_ordered_signed(key, extent.length);
  }
  return key;
}

/// The contents of an entry: a tensor or a slice. One object is reused for all entries.
struct bundle_entry {
  std::int32_t data_type = 0;
  parsed_shape shape;
  std::uint32_t shard = 0;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
  std::uint32_t masked_crc32c = 0;
  /// The TensorSliceProtos, in place in the message.
  std::vector<std::span<const std::byte>> slices;

  /// Parses the message in `bytes`. Negative numbers become very large ones.
  /// @return  errc{}, or an error of `parsed_shape::append`. Cost: tens of nanoseconds.
  errc parse(std::span<const std::byte> bytes) {
    data_type = 0;
    shape.clear();
    shard = 0;
    offset_bytes = size_bytes = 0;
    masked_crc32c = 0;
    slices.clear();
    protobuf_message message(bytes);
    while (message.next()) {
      switch (message.tag()) {
      case varint_field(1):
        data_type = message.int32();
        break;
      case bytes_field(2):
        if (const errc failure = shape.append(message.bytes()); failure != errc{}) return failure;
        break;
      case varint_field(3):
        shard = static_cast<std::uint32_t>(message.varint());
        break;
      case varint_field(4):
        offset_bytes = message.varint();
        break;
      case varint_field(5):
        size_bytes = message.varint();
        break;
      case fixed32_field(6):
        masked_crc32c = message.fixed32();
        break;
      case bytes_field(7):
        slices.push_back(message.bytes());
        break;
      default:
        break;
      }
    }
    return message.is_whole() ? errc{} : errc::bad_protobuf;
  }
};

/// True if a checkpoint whose shards have `data_size_bytes` may have string tensors of `string_size_bytes`. Stored tensors can
/// share bytes, but decoded ones cannot, so a small file could otherwise demand any amount of memory.
constexpr bool are_strings_in_proportion(std::uint64_t string_size_bytes, std::uint64_t data_size_bytes) noexcept {
  return string_size_bytes / 16 <= data_size_bytes + (1u << 16);
}

/// The end of the name of shard `number` of `count`: ".data-00000-of-00002".
inline std::string shard_suffix(std::uint32_t number, std::uint32_t count) {
  char text[64];
  std::snprintf(text, sizeof text, ".data-%05u-of-%05u", static_cast<unsigned>(number), static_cast<unsigned>(count));
  return text;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
