// SPDX-License-Identifier: MIT
// Attributes of HDF5 objects, and their strings of fixed and variable size.
#ifndef STET_WIRE_HDF5_ATTRIBUTE_HPP
#define STET_WIRE_HDF5_ATTRIBUTE_HPP

#include "heap.hpp"
#include "object.hpp"
#include "type.hpp"

#include "../../vocabulary/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// An attribute; all members view the file.
struct hdf5_attribute {
  std::string_view name;
  hdf5_type type;
  hdf5_space space;
  /// The elements, as far as they are stored with the attribute.
  std::span<const std::byte> data;
};

/// Counts the elements of a space; false if the number or the size of all of them overflows.
inline bool count_elements(const hdf5_space& space, std::uint32_t element_size, std::uint64_t& count,
                           std::uint64_t& size_bytes) noexcept {
  element_counter counter;
  for (const std::uint64_t extent : space.shape()) {
    if (!counter.multiply(extent)) return false;
  }
  count = space.is_null ? 0 : counter.element_count();
  return checked_multiply(count, element_size, size_bytes) && size_bytes <= max_tensor_size_bytes;
}

/// Reads the attributes of one object.
class hdf5_attribute_reader {
public:
  explicit hdf5_attribute_reader(hdf5_file& file) noexcept : file_(file) {}

  result<std::vector<hdf5_attribute>> run(const hdf5_object& object) {
    for (const hdf5_message& message : object.messages()) {
      if (message.type == hdf5_message_type::attribute) {
        const auto body = body_of(file_, message);
        if (!body) return body.error();
        if (auto read = read_one(*body, object.address()); !read) return read.error();
      } else if (message.type == hdf5_message_type::attribute_info) {
        byte_cursor fields(message.body);
        const bool is_known = fields.take_u8() == 0;
        if ((fields.take_u8() & 1) != 0) fields.skip(2);
        const std::uint64_t heap = fields.take_u64(), tree = fields.take_u64();
        if (!fields.is_good() || !is_known) return hdf5_file::bad(object.address());
        if (heap == hdf5_file::nowhere) continue;
        if (auto read = read_dense(heap, tree); !read) return read.error();
      }
    }
    return std::move(attributes_);
  }

private:
  result<void> read_dense(std::uint64_t heap_address, std::uint64_t tree) {
    constexpr std::uint8_t attributes_by_name = 8, shared = 2;
    result<fractal_heap> heap = fractal_heap::open(file_, heap_address);
    if (!heap) return heap.error();
    const auto records = btree2_reader(file_).run(tree, attributes_by_name, 9);
    if (!records) return records.error();
    for (const std::span<const std::byte> record : *records) {
      const bool is_shared = (record[8] & std::byte{shared}) != std::byte{0};
      const auto object =
          is_shared ? find_shared(file_, record.first(8), hdf5_message_type::attribute) : heap->find(record.first(8));
      if (!object) return object.error();
      if (auto read = read_one(*object, heap_address); !read) return read;
    }
    return {};
  }

  /// Reads u8 version | u8 flags | u16 sizes of name, datatype, dataspace | [u8 character set] | each of them, in
  /// version 1 padded to 8 | data
  result<void> read_one(std::span<const std::byte> body, std::uint64_t where) {
    const error bad = hdf5_file::bad(where, "attribute");
    byte_cursor fields(body);
    const std::uint8_t version = fields.take_u8(), flags = fields.take_u8();
    const std::uint16_t sizes[] = {fields.take_u16(), fields.take_u16(), fields.take_u16()};
    if (version == 3) fields.skip(1);
    if (!fields.is_good() || version == 0 || version > 3) return bad;
    std::span<const std::byte> parts[3];
    for (std::size_t i = 0; i < 3; ++i) {
      parts[i] = fields.take_bytes(sizes[i]);
      if (version == 1) fields.skip((8u - sizes[i] % 8u) % 8u);
    }
    if (!fields.is_good() || sizes[0] == 0) return bad;
    if (version != 1) {
      for (std::size_t i = 1; i < 3; ++i) {
        if ((flags & i) == 0) continue;
        const auto resolved =
            resolve_shared(file_, parts[i], i == 1 ? hdf5_message_type::datatype : hdf5_message_type::dataspace);
        if (!resolved) return resolved.error();
        parts[i] = *resolved;
      }
    }
    hdf5_attribute made;
    made.name = {reinterpret_cast<const char*>(parts[0].data()), parts[0].size()};
    made.name = made.name.substr(0, made.name.find('\0'));
    std::uint64_t count = 0, size_bytes = 0;
    if (!made.type.parse(parts[1]) || !made.space.parse(parts[2]) ||
        !count_elements(made.space, made.type.size_bytes, count, size_bytes)) {
      return bad;
    }
    made.data = fields.take_bytes(size_bytes);
    if (!fields.is_good() || made.name.empty() || !file_.charge(sizeof made)) return bad;
    attributes_.push_back(made);
    return {};
  }

  hdf5_file& file_;
  std::vector<hdf5_attribute> attributes_;
};

/// Reads the attributes of an object.
/// @retval errc::bad_hdf5     an attribute, or a structure that leads to it, is damaged
/// Errors: those of `hdf5_file::undo_filters`, if the attributes are in a heap with filters.
inline result<std::vector<hdf5_attribute>> read_attributes(hdf5_file& file, const hdf5_object& object) {
  return hdf5_attribute_reader(file).run(object);
}

/// Reads elements that are strings: of fixed size, terminated or padded by NULs or padded by spaces, or of variable
/// size in the global heap. The strings view the file.
class hdf5_string_reader {
public:
  hdf5_string_reader(hdf5_file& file, const hdf5_type& type) noexcept : heap_(file), type_(type) {}

  /// True if the datatype is a string type.
  [[nodiscard]] bool are_strings() const noexcept {
    return type_.kind == hdf5_class::string || (type_.is_variable_string() && type_.size_bytes == 16);
  }

  /// Reads the string of the element whose bytes are `element`; false if its reference is invalid.
  bool read(std::span<const std::byte> element, std::string_view& into) {
    into = {reinterpret_cast<const char*>(element.data()), element.size()};
    if (type_.kind == hdf5_class::string) {
      constexpr std::uint32_t ended = 0, padded_by_spaces = 2;
      const std::uint32_t padding = type_.flags & 15;
      if (padding == ended) {
        into = into.substr(0, into.find('\0'));
      } else {
        into = into.substr(0, into.find_last_not_of(padding == padded_by_spaces ? ' ' : '\0') + 1);
      }
      return true;
    }
    byte_cursor fields(element);
    const std::uint32_t size = fields.take_u32();
    const std::uint64_t collection = fields.take_u64();
    const std::uint32_t number = fields.take_u32();
    std::span<const std::byte> found;
    into = {};
    if (size == 0 && (collection == 0 || collection == hdf5_file::nowhere)) return fields.is_good();
    if (!fields.is_good() || !heap_.find(collection, number, size, found)) return false;
    into = {reinterpret_cast<const char*>(found.data()), found.size()};
    return true;
  }

private:
  global_heap heap_;
  const hdf5_type& type_;
};

/// Reads the strings of an attribute; none if the attribute has another type.
/// @retval errc::bad_hdf5  the reference of a string is invalid
inline result<std::vector<std::string_view>> read_strings(hdf5_file& file, const hdf5_attribute& attribute) {
  std::vector<std::string_view> made;
  hdf5_string_reader reader(file, attribute.type);
  if (!reader.are_strings()) return made;
  const std::size_t size = attribute.type.size_bytes;
  made.reserve(attribute.data.size() / size);
  for (std::size_t at = 0; at + size <= attribute.data.size(); at += size) {
    std::string_view text;
    if (!reader.read(attribute.data.subspan(at, size), text)) return error(errc::bad_hdf5, attribute.name);
    made.push_back(text);
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
