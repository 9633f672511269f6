// SPDX-License-Identifier: MIT
// Datatypes and dataspaces of HDF5: the type and the number of elements.
#ifndef STET_WIRE_HDF5_TYPE_HPP
#define STET_WIRE_HDF5_TYPE_HPP

#include "../cursor.hpp"

#include "../../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The class of a datatype.
enum class hdf5_class : std::uint8_t {
  integer = 0,
  floating = 1,
  time = 2,
  string = 3,
  bitfield = 4,
  opaque = 5,
  compound = 6,
  reference = 7,
  enumeration = 8,
  variable_length = 9,
  array = 10,
  complex = 11,
};

/// A datatype: u8 class and version | 3 bytes of flags | u32 size of an element | properties, by class.
/// Source: HDF5 File Format Specification 3.0, IV.A.2.d.
struct hdf5_type {
  hdf5_class kind{};
  std::uint8_t version = 0;
  std::uint32_t flags = 0;
  std::uint32_t size_bytes = 0;
  /// The bytes after the header, in place: the properties, and possibly other things after them.
  std::span<const std::byte> properties;

  /// @return false if the bytes are cut off, or an element has no size
  [[nodiscard]] bool parse(std::span<const std::byte> bytes) noexcept {
    byte_cursor fields(bytes);
    const std::uint8_t first = fields.take_u8();
    kind = static_cast<hdf5_class>(first & 15);
    version = first >> 4;
    flags = static_cast<std::uint32_t>(fields.take_sized(3));
    size_bytes = fields.take_u32();
    properties = fields.rest();
    return fields.is_good() && version >= 1 && size_bytes != 0;
  }

  [[nodiscard]] bool is_big_endian() const noexcept { return (flags & 1) != 0; }
  [[nodiscard]] bool is_signed() const noexcept { return (flags & 8) != 0; }
  [[nodiscard]] bool is_variable_string() const noexcept {
    return kind == hdf5_class::variable_length && (flags & 15) == 1;
  }
};

/// A floating-point format, from the properties of its class.
struct hdf5_float {
  std::uint16_t bit_offset = 0, precision = 0;
  std::uint8_t exponent_at = 0, exponent_bits = 0, mantissa_at = 0, mantissa_bits = 0;
  std::uint32_t bias = 0;

  [[nodiscard]] bool parse(std::span<const std::byte> properties) noexcept {
    byte_cursor fields(properties);
    bit_offset = fields.take_u16();
    precision = fields.take_u16();
    exponent_at = fields.take_u8();
    exponent_bits = fields.take_u8();
    mantissa_at = fields.take_u8();
    mantissa_bits = fields.take_u8();
    bias = fields.take_u32();
    return fields.is_good();
  }
};

/// Takes a name that ends in a NUL. In datatypes before version 3 it is padded to a multiple of 8 bytes.
inline std::string_view take_hdf5_name(byte_cursor& from, std::uint8_t version) noexcept {
  const std::span<const std::byte> rest = from.rest();
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  const std::size_t size = text.find('\0');
  if (size == std::string_view::npos) return from.fail(), std::string_view();
  from.skip(version < 3 ? (size + 8) / 8 * 8 : size + 1);
  return text.substr(0, size);
}

/// A member of a compound.
struct hdf5_member {
  std::string_view name;
  std::uint64_t offset_bytes = 0;
  hdf5_type type;
};

/// Takes the next member of a compound, which must be a scalar with `fixed_size` bytes of properties, as the two floats
/// of a complex number. @return false for any other member
inline bool take_hdf5_member(byte_cursor& from, const hdf5_type& compound, std::size_t fixed_size,
                             hdf5_member& into) noexcept {
  into.name = take_hdf5_name(from, compound.version);
  std::size_t offset_size = 4;
  if (compound.version >= 3) { // the number of bytes that the size of the compound needs
    offset_size = 1;
    while (offset_size < 4 && compound.size_bytes >> offset_size * 8 != 0) ++offset_size;
  }
  into.offset_bytes = from.take_sized(offset_size);
  if (compound.version == 1) {
    if (from.take_u8() != 0) return false; // an array
    from.skip(27);
  }
  return into.type.parse(from.take_bytes(8 + fixed_size)) && from.is_good();
}

/// A dataspace, the shape of a dataset: u8 version | u8 rank | u8 flags | … | extents | [largest extents].
/// Source: HDF5 File Format Specification 3.0, IV.A.2.b.
struct hdf5_space {
  static constexpr std::size_t max_rank = 32;
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

  std::uint8_t rank = 0;
  /// True if the space has neither elements nor a shape.
  bool is_null = false;
  std::uint64_t extents[max_rank] = {};
  /// The largest extents; equal to the extents if the file does not state them.
  std::uint64_t limits[max_rank] = {};

  [[nodiscard]] bool parse(std::span<const std::byte> bytes) noexcept {
    byte_cursor fields(bytes);
    const std::uint8_t version = fields.take_u8();
    rank = fields.take_u8();
    const std::uint8_t flags = fields.take_u8();
    if (version == 1) {
      fields.skip(5);
    } else {
      const std::uint8_t type = fields.take_u8();
      is_null = type == 2;
      if (version != 2 || type > 2 || (type != 1 && rank != 0)) return false;
    }
    if (rank > max_rank) return false;
    for (std::size_t axis = 0; axis < rank; ++axis) limits[axis] = extents[axis] = fields.take_u64();
    for (std::size_t axis = 0; axis < rank && (flags & 1) != 0; ++axis) {
      limits[axis] = fields.take_u64();
      if (limits[axis] < extents[axis]) return false;
    }
    return fields.is_good();
  }

  [[nodiscard]] std::span<const std::uint64_t> shape() const noexcept { return {extents, rank}; }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
