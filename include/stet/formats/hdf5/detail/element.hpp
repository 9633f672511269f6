// SPDX-License-Identifier: MIT
// Converts HDF5 datatypes to dtypes.
#ifndef STET_FORMATS_HDF5_DETAIL_ELEMENT_HPP
#define STET_FORMATS_HDF5_DETAIL_ELEMENT_HPP

#include "../../../index/detail/builder.hpp"
#include "../../../wire/hdf5/type.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The dtype of an element. An HDF5 type without a dtype is a block with the name of its class and size: "compound24",
/// "opaque2", "string15" for strings of fixed size, "floating16", "integer4" if not every bit is significant. Its bytes
/// are those of the file, in either byte order.
struct hdf5_element {
  element_layout layout;
  bool is_big_endian = false;
  /// The storage of the name of a block.
  std::string block_name;
  explicit hdf5_element(const hdf5_type& type) {
    dtype found = dtype::block;
    if (!find_dtype(type, found)) {
      static constexpr std::string_view names[] = {"integer",  "floating",  "time", "string",   "bits",  "opaque",
                                                   "compound", "reference", "enum", "sequence", "array", "complex"};
      static_assert(std::size(names) == static_cast<std::size_t>(hdf5_class::complex) + 1);
      const auto number = static_cast<std::size_t>(type.kind);
      block_name = number < std::size(names) ? names[number] : std::string_view("unknown");
      block_name += std::to_string(type.size_bytes);
      layout = {dtype::block, 0, {block_name, 1, type.size_bytes}};
      is_big_endian = false;
    } else {
      layout = element_layout::of(found);
    }
  }
  hdf5_element(const hdf5_element&) = delete;
  hdf5_element& operator=(const hdf5_element&) = delete;

private:
  bool find_dtype(const hdf5_type& type, dtype& into) noexcept {
    is_big_endian = type.is_big_endian();
    switch (type.kind) {
    case hdf5_class::integer:
    case hdf5_class::bitfield:
      return find_integer(type, into);
    case hdf5_class::floating:
      return find_float(type, into);
    case hdf5_class::enumeration:
      return find_enumeration(type, into);
    case hdf5_class::compound:
      return find_complex(type, into);
    case hdf5_class::variable_length:
      into = dtype::string;
      is_big_endian = false;
      return type.is_variable_string() && type.size_bytes == 16;
    default:
      return false;
    }
  }

  static bool find_integer(const hdf5_type& type, dtype& into) noexcept {
    byte_cursor fields(type.properties);
    const std::uint16_t offset = fields.take_u16(), precision = fields.take_u16();
    if (!fields.is_good() || offset != 0 || precision != std::uint64_t{type.size_bytes} * 8) return false;
    const bool is_signed = type.kind == hdf5_class::integer && type.is_signed();
    switch (type.size_bytes) {
    case 1:
      into = is_signed ? dtype::int8 : dtype::uint8;
      return true;
    case 2:
      into = is_signed ? dtype::int16 : dtype::uint16;
      return true;
    case 4:
      into = is_signed ? dtype::int32 : dtype::uint32;
      return true;
    case 8:
      into = is_signed ? dtype::int64 : dtype::uint64;
      return true;
    default:
      return false;
    }
  }

  static bool find_float(const hdf5_type& type, dtype& into) noexcept {
    static constexpr struct {
      stet::dtype dtype;
      std::uint32_t size_bytes;
      std::uint8_t exponent_bits, mantissa_bits;
      std::uint32_t bias;
    } known[] = {
        {dtype::float32, 4, 8, 23, 127}, {dtype::float64, 8, 11, 52, 1023}, {dtype::float16, 2, 5, 10, 15},
        {dtype::bfloat16, 2, 8, 7, 127}, {dtype::float8_e5m2, 1, 5, 2, 15}, {dtype::float8_e4m3fn, 1, 4, 3, 7},
    };
    hdf5_float found;
    constexpr std::uint32_t vax = 1u << 6, normalisation = 3u << 4, first_bit_is_implied = 2u << 4;
    if (!found.parse(type.properties) || (type.flags & (vax | normalisation)) != first_bit_is_implied) return false;
    for (const auto& row : known) {
      const bool is_packed = found.bit_offset == 0 && found.precision == row.size_bytes * 8 && found.mantissa_at == 0 &&
                             found.exponent_at == row.mantissa_bits &&
                             (type.flags >> 8 & 0xFF) == row.size_bytes * 8 - 1;
      if (type.size_bytes == row.size_bytes && found.exponent_bits == row.exponent_bits &&
          found.mantissa_bits == row.mantissa_bits && found.bias == row.bias && is_packed) {
        into = row.dtype;
        return true;
      }
    }
    return false;
  }

  /// Finds the dtype of an enumeration: bool for FALSE and TRUE in a byte, as h5py writes booleans, else the integer
  /// type.
  bool find_enumeration(const hdf5_type& type, dtype& into) noexcept {
    byte_cursor fields(type.properties);
    hdf5_type base;
    constexpr std::size_t integer_size = 12;
    if (!base.parse(fields.take_bytes(integer_size)) || base.kind != hdf5_class::integer ||
        base.size_bytes != type.size_bytes)
      return false;
    is_big_endian = base.is_big_endian();
    if (!find_integer(base, into)) return false;
    if ((type.flags & 0xFFFF) == 2 && type.size_bytes == 1) {
      const std::string_view first = take_hdf5_name(fields, type.version),
                             second = take_hdf5_name(fields, type.version);
      const std::uint8_t values[] = {fields.take_u8(), fields.take_u8()};
      if (fields.is_good() && first == "FALSE" && second == "TRUE" && values[0] == 0 && values[1] == 1)
        into = dtype::boolean;
    }
    return true;
  }

  /// Finds the complex dtype of a compound of r and i, as h5py writes complex numbers.
  bool find_complex(const hdf5_type& type, dtype& into) noexcept {
    constexpr std::size_t float_size = 12;
    byte_cursor fields(type.properties);
    hdf5_member parts[2];
    if ((type.flags & 0xFFFF) != 2) return false;
    for (hdf5_member& part : parts) {
      if (!take_hdf5_member(fields, type, float_size, part) || part.type.kind != hdf5_class::floating) return false;
    }
    dtype both[2];
    if (parts[0].name != "r" || parts[1].name != "i" || !find_float(parts[0].type, both[0]) ||
        !find_float(parts[1].type, both[1]) || both[0] != both[1] || parts[0].offset_bytes != 0 ||
        parts[1].offset_bytes * 2 != type.size_bytes ||
        parts[0].type.is_big_endian() != parts[1].type.is_big_endian()) {
      return false;
    }
    is_big_endian = parts[0].type.is_big_endian();
    into = both[0] == dtype::float32 ? dtype::complex64 : dtype::complex128;
    return type.size_bytes == describe(into).bits / 8u && (both[0] == dtype::float32 || both[0] == dtype::float64);
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
