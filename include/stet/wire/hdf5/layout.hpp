// SPDX-License-Identifier: MIT
// The layout, the filters and the fill value of an HDF5 dataset.
#ifndef STET_WIRE_HDF5_LAYOUT_HPP
#define STET_WIRE_HDF5_LAYOUT_HPP

#include "object.hpp"
#include "type.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Kinds of chunk indexes; the numbers from 1 on are those of layouts of version 4.
enum class hdf5_chunk_index : std::uint8_t {
  btree1 = 0,
  single = 1,
  implicit = 2,
  fixed_array = 3,
  extensible_array = 4,
  btree2 = 5
};

/// The storage of the elements of a dataset.
enum class hdf5_storage : std::uint8_t { compact = 0, contiguous = 1, chunked = 2, virtual_sets = 3 };

/// The data layout message of a dataset.
/// Source: HDF5 File Format Specification 3.0, IV.A.2.i.
struct hdf5_layout {
  hdf5_storage storage{};
  /// The address of contiguous data, or of the chunk index.
  std::uint64_t address = hdf5_file::nowhere;
  /// The size of contiguous data; `has_size` is false if the file does not state it.
  std::uint64_t size_bytes = 0;
  bool has_size = false;
  std::span<const std::byte> compact;

  std::uint8_t rank = 0;
  std::uint64_t chunk[hdf5_space::max_rank] = {};
  /// The size of an element, which layouts of chunks repeat.
  std::uint64_t element_size = 0;
  hdf5_chunk_index index{};
  /// The size of a single filtered chunk in the file; else 0.
  std::uint64_t single_size_bytes = 0;
  std::uint32_t single_mask = 0;
  /// True if chunks that are only partly within the dataset are not filtered.
  bool leaves_edges = false;

  /// @retval errc::unsupported  the version or the index is unknown
  /// @retval errc::bad_hdf5     the message is cut off, or a chunk has no elements
  [[nodiscard]] errc parse(std::span<const std::byte> body) noexcept {
    byte_cursor fields(body);
    const std::uint8_t version = fields.take_u8();
    if (version == 0 || version > 5) return fields.is_good() ? errc::unsupported : errc::bad_hdf5;
    const errc failure = version < 3 ? parse_old(fields) : parse_new(fields, version);
    if (failure != errc{}) return failure;
    return fields.is_good() ? errc{} : errc::bad_hdf5;
  }

private:
  errc parse_old(byte_cursor& fields) noexcept {
    const std::uint8_t dimensions = fields.take_u8();
    storage = static_cast<hdf5_storage>(fields.take_u8());
    fields.skip(5);
    if (storage > hdf5_storage::chunked) return errc::unsupported;
    if (storage != hdf5_storage::compact) address = fields.take_u64();
    if (storage == hdf5_storage::chunked) return take_chunk(fields, dimensions, 4);
    fields.skip(std::uint64_t{dimensions} * 4);
    if (storage == hdf5_storage::compact) compact = fields.take_bytes(fields.take_u32());
    return {};
  }

  errc parse_new(byte_cursor& fields, std::uint8_t version) noexcept {
    storage = static_cast<hdf5_storage>(fields.take_u8());
    switch (storage) {
    case hdf5_storage::compact:
      compact = fields.take_bytes(fields.take_u16());
      return {};
    case hdf5_storage::contiguous:
      address = fields.take_u64();
      size_bytes = fields.take_u64();
      has_size = true;
      return {};
    case hdf5_storage::chunked:
      break;
    case hdf5_storage::virtual_sets:
      return {};
    default:
      return errc::unsupported;
    }
    if (version == 3) {
      const std::uint8_t dimensions = fields.take_u8();
      address = fields.take_u64();
      return take_chunk(fields, dimensions, 4);
    }
    const std::uint8_t flags = fields.take_u8();
    leaves_edges = (flags & 1) != 0;
    const std::uint8_t dimensions = fields.take_u8();
    if (const errc failure = take_chunk(fields, dimensions, fields.take_u8()); failure != errc{}) return failure;
    index = static_cast<hdf5_chunk_index>(fields.take_u8());
    // The header of the index repeats its parameters. A single chunk has no header.
    constexpr std::uint8_t sizes_of_details[] = {0, 0, 0, 1, 5, 6};
    if (index == hdf5_chunk_index::btree1 || index > hdf5_chunk_index::btree2) return errc::unsupported;
    if (index == hdf5_chunk_index::single && (flags & 2) != 0) {
      single_size_bytes = fields.take_u64();
      single_mask = fields.take_u32();
    }
    fields.skip(sizes_of_details[static_cast<std::size_t>(index)]);
    address = fields.take_u64();
    return {};
  }

  /// Reads the extents of a chunk, and the size of an element, which the datatype also states.
  errc take_chunk(byte_cursor& fields, std::uint8_t dimensions, std::uint8_t extent_size) noexcept {
    if (dimensions < 2 || dimensions > hdf5_space::max_rank + 1) return errc::bad_hdf5;
    rank = static_cast<std::uint8_t>(dimensions - 1);
    for (std::size_t axis = 0; axis < rank; ++axis) {
      chunk[axis] = fields.take_sized(extent_size);
      if (chunk[axis] == 0) return errc::bad_hdf5;
    }
    element_size = fields.take_sized(extent_size);
    return {};
  }
};

/// A filter that is applied to chunks.
struct hdf5_filter {
  enum : std::uint16_t {
    deflate = 1,
    shuffle = 2,
    fletcher = 3,
    szip = 4,
    nbit = 5,
    scale_offset = 6,
    lzf = 32000,
    lz4 = 32004
  };

  std::uint16_t id = 0;
  std::string_view name;
  /// The first of its parameters; and all of them, u32 each, in the file.
  std::uint32_t value = 0;
  std::span<const std::byte> values;
};

/// Reads a filter pipeline message:
///   u8 version | u8 count | in version 1: 6 unused | filters
///   filter  u16 id | [u16 size of the name] | u16 flags | u16 count of values | [name] | u32 values
/// @return false if the message is damaged
/// Source: HDF5 File Format Specification 3.0, IV.A.2.l.
inline bool read_filters(std::span<const std::byte> body, std::vector<hdf5_filter>& into) {
  byte_cursor fields(body);
  const std::uint8_t version = fields.take_u8(), count = fields.take_u8();
  if (version == 1) fields.skip(6);
  if (version == 0 || version > 2 || count > 32) return false;
  for (std::uint8_t i = 0; i < count; ++i) {
    hdf5_filter made;
    made.id = fields.take_u16();
    const bool has_name = version == 1 || made.id >= 256;
    const std::uint16_t name_size = has_name ? fields.take_u16() : std::uint16_t{0};
    fields.skip(2); // whether the filter is optional; each chunk has a mask
    const std::uint16_t value_count = fields.take_u16();
    made.name = fields.take_text(version == 1 ? (name_size + 7u) / 8u * 8u : name_size);
    made.name = made.name.substr(0, made.name.find('\0'));
    made.values = fields.take_bytes((version == 1 ? (value_count + 1u) / 2u * 2u : value_count) * 4u);
    if (value_count != 0) made.value = byte_cursor(made.values).take_u32();
    if (!fields.is_good()) return false;
    into.push_back(made);
  }
  return fields.is_good();
}

/// The fill value: the value of an element that was never written; empty: zeros.
/// @retval errc::bad_hdf5  the message, or the reference to it, is damaged
inline result<std::span<const std::byte>> read_fill_value(hdf5_file& file, const hdf5_object& object) {
  const hdf5_message* const found = object.find(hdf5_message_type::fill_value);
  const hdf5_message* const old = object.find(hdf5_message_type::old_fill_value);
  if (found == nullptr && old == nullptr) return std::span<const std::byte>();
  const auto body = body_of(file, found != nullptr ? *found : *old);
  if (!body) return body.error();
  byte_cursor fields(*body);
  bool has_value = true;
  if (found != nullptr) {
    const std::uint8_t version = fields.take_u8();
    if (version == 3) {
      has_value = (fields.take_u8() & 0x20) != 0;
    } else {
      fields.skip(2);
      has_value = fields.take_u8() != 0 || version == 1;
    }
    if (version < 1 || version > 3) return hdf5_file::bad(object.address(), "fill value");
  }
  constexpr std::uint32_t undefined = 0xFFFFFFFFu; // in version 1: there is no value
  const std::uint32_t size = has_value ? fields.take_u32() : 0;
  const std::span<const std::byte> value = fields.take_bytes(size == undefined ? 0 : size);
  return fields.is_good() ? result(value) : hdf5_file::bad(object.address(), "fill value");
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
