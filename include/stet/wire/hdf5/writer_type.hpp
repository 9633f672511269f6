// SPDX-License-Identifier: MIT
// Writes HDF5 datatypes, and strings in a global heap.
#ifndef STET_WIRE_HDF5_WRITER_TYPE_HPP
#define STET_WIRE_HDF5_WRITER_TYPE_HPP

#include "type.hpp"

#include "../little_writer.hpp"

#include "../../vocabulary/dtype.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Appends the beginning of a datatype of version 1.
inline void append_hdf5_type_head(little_writer& out, hdf5_class kind, std::uint32_t flags, std::uint32_t size_bytes) {
  out.u8(static_cast<std::uint8_t>(1u << 4 | static_cast<unsigned>(kind))).sized(flags, 3).u32(size_bytes);
}

/// A little-endian integer.
inline std::string hdf5_integer_type(std::uint32_t size_bytes, bool is_signed) {
  little_writer out;
  append_hdf5_type_head(out, hdf5_class::integer, is_signed ? 8 : 0, size_bytes);
  return out.u16(0).u16(static_cast<std::uint16_t>(size_bytes * 8)).take();
}

/// A little-endian float in the manner of IEEE 754: sign, exponent, mantissa with an implied leading 1.
inline std::string hdf5_float_type(std::uint8_t exponent_bits, std::uint8_t mantissa_bits) {
  const std::uint32_t bits = 1u + exponent_bits + mantissa_bits;
  constexpr std::uint32_t leading_one_is_implied = 2u << 4;
  little_writer out;
  append_hdf5_type_head(out, hdf5_class::floating, leading_one_is_implied | (bits - 1) << 8, bits / 8);
  out.u16(0).u16(static_cast<std::uint16_t>(bits)).u8(mantissa_bits).u8(exponent_bits).u8(0).u8(mantissa_bits);
  return out.u32((1u << (exponent_bits - 1)) - 1).take();
}

/// Opaque bytes.
inline std::string hdf5_opaque_type(std::uint32_t size_bytes) {
  little_writer out;
  append_hdf5_type_head(out, hdf5_class::opaque, 0, size_bytes);
  return out.take();
}

/// Strings of a fixed size, padded with NULs.
inline std::string hdf5_fixed_string_type(std::uint32_t size_bytes) {
  little_writer out;
  append_hdf5_type_head(out, hdf5_class::string, 1, size_bytes);
  return out.take();
}

/// The size of a reference to a string in the global heap: u32 size | u64 address of its collection | u32 index there.
inline constexpr std::size_t hdf5_reference_size = 16;

/// UTF-8 strings of variable size, in the global heap.
inline std::string hdf5_string_type() {
  constexpr std::uint32_t is_string = 1, is_utf8 = 1u << 8;
  little_writer out;
  append_hdf5_type_head(out, hdf5_class::variable_length, is_string | is_utf8, hdf5_reference_size);
  return out.text(hdf5_fixed_string_type(1)).take();
}

/// Booleans as in h5py: an enumeration.
inline std::string hdf5_boolean_type() {
  little_writer out;
  append_hdf5_type_head(out, hdf5_class::enumeration, 2, 1);
  out.text(hdf5_integer_type(1, true)).text("FALSE").zeros(3).text("TRUE").zeros(4);
  return out.u8(0).u8(1).take();
}

/// Complex numbers as in h5py: a compound of r and i.
inline std::string hdf5_complex_type(const std::string& part) {
  const std::uint32_t size = part == hdf5_float_type(8, 23) ? 4 : 8;
  little_writer out;
  append_hdf5_type_head(out, hdf5_class::compound, 2, 2 * size);
  // A member: name padded to 8 | u32 offset | u8 rank and 27 bytes about dimensions, all zero.
  out.text("r").zeros(7).u32(0).zeros(28).text(part);
  return out.text("i").zeros(7).u32(size).zeros(28).text(part).take();
}

/// The datatype for a dtype; empty if HDF5 has none. bfloat16 and the 8-bit floats are as HDF5 2.0 defines them;
/// earlier versions can read them, too.
inline std::string hdf5_type_of(dtype of) {
  const dtype_description& row = describe(of);
  switch (of) {
  case dtype::boolean:
    return hdf5_boolean_type();
  case dtype::float16:
    return hdf5_float_type(5, 10);
  case dtype::bfloat16:
    return hdf5_float_type(8, 7);
  case dtype::float32:
    return hdf5_float_type(8, 23);
  case dtype::float64:
    return hdf5_float_type(11, 52);
  case dtype::float8_e5m2:
    return hdf5_float_type(5, 2);
  case dtype::float8_e4m3fn:
    return hdf5_float_type(4, 3);
  case dtype::complex64:
    return hdf5_complex_type(hdf5_float_type(8, 23));
  case dtype::complex128:
    return hdf5_complex_type(hdf5_float_type(11, 52));
  case dtype::string:
    return hdf5_string_type();
  default:
    break;
  }
  const bool is_integer = row.kind == dtype_kind::signed_integer || row.kind == dtype_kind::unsigned_integer;
  return is_integer && row.bits >= 8 ? hdf5_integer_type(row.bits / 8u, row.kind == dtype_kind::signed_integer)
                                     : std::string();
}

/// Plans and writes strings in the global heap.
///   collection  "GCOL" | u8 1 | 3 zero | u64 size of the collection | objects
///   object      u16 index | u16 1 | u32 0 | u64 size | bytes, padded to 8
/// If 16 bytes or more are left in a collection, they are an object of index 0.
/// Source: HDF5 File Format Specification 3.0, III.E.
class hdf5_string_heap {
public:
  /// Adds a string of this size after the others.
  void add(std::uint64_t size_bytes) {
    if (size_bytes == 0) return;
    if (collections_.empty() || collections_.back().count == max_count) collections_.push_back({});
    ++collections_.back().count;
    collections_.back().size_bytes += head_size + (size_bytes + 7) / 8 * 8;
  }
  /// The size of all collections together; a multiple of 8.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept {
    std::uint64_t size = 0;
    for (const collection& each : collections_) size += padded(each.size_bytes);
    return size;
  }

  /// Writes the references to the strings, which must be the strings that were added.
  /// @param heap_address  the address of the first collection
  template <class Strings, class Write>
  auto write_references(const Strings& strings, std::uint64_t heap_address, Write write) const {
    std::size_t at = 0;
    std::uint32_t index = 0;
    for (std::size_t number = 0; number < strings.size(); ++number) {
      const std::string_view each = strings[number];
      little_writer reference;
      if (each.empty()) {
        reference.zeros(hdf5_reference_size);
      } else {
        if (index == collections_[at].count) {
          heap_address += padded(collections_[at++].size_bytes);
          index = 0;
        }
        reference.u32(static_cast<std::uint32_t>(each.size())).u64(heap_address).u32(++index);
      }
      if (auto done = write(std::string_view(reference.bytes())); !done) return done;
    }
    return write(std::string_view());
  }

  /// Writes the collections.
  template <class Strings, class Write> auto write_collections(const Strings& strings, Write write) const {
    std::size_t number = 0;
    for (const collection& of : collections_) {
      const std::uint64_t size = padded(of.size_bytes);
      little_writer head;
      head.text("GCOL").u8(1).zeros(3).u64(size);
      for (std::uint32_t index = 1; index <= of.count; ++number) {
        const std::string_view each = strings[number];
        if (each.empty()) continue;
        head.u16(static_cast<std::uint16_t>(index++)).u16(1).u32(0).u64(each.size());
        if (auto done = write(std::string_view(head.bytes())); !done) return done;
        if (auto done = write(each); !done) return done;
        head = {};
        head.zeros((8 - each.size() % 8) % 8);
      }
      const auto left = static_cast<std::size_t>(size - of.size_bytes);
      if (left >= head_size) head.u16(0).u16(0).u32(0).u64(left).zeros(left - head_size);
      if (auto done = write(std::string_view(head.bytes())); !done) return done;
    }
    return write(std::string_view());
  }

private:
  static constexpr std::size_t head_size = 16, max_count = 0xFFFF, min_size = 4096;
  struct collection {
    std::uint32_t count = 0;
    std::uint64_t size_bytes = head_size;
  };
  /// The size of a collection: at least 4096 bytes, as the format requires. It never has a rest of 8 bytes, which is undefined.
  static std::uint64_t padded(std::uint64_t size_bytes) noexcept {
    return size_bytes + 8 == min_size ? min_size + 8 : (std::max<std::uint64_t>)(size_bytes, min_size);
  }

  std::vector<collection> collections_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
