// SPDX-License-Identifier: MIT
// Makes HDF5 structures byte by byte, mends the checksums of changed ones, and opens files in memory.
#ifndef STET_TESTS_SUPPORT_HDF5_BYTES_HPP
#define STET_TESTS_SUPPORT_HDF5_BYTES_HPP

#include "exact_text.hpp"

#include <stet/formats/hdf5/open.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// The lookup3 checksum of some bytes.
inline std::uint32_t checksum_of(std::string_view text) {
  return stet::detail::lookup3(std::as_bytes(std::span(text.data(), text.size())));
}

/// Bytes, one field after the other.
class hdf5_fields {
public:
  hdf5_fields& sized(std::uint64_t value, std::size_t size_bytes) {
    for (std::size_t i = 0; i < size_bytes; ++i) text_.push_back(static_cast<char>(value >> 8 * i & 0xFF));
    return *this;
  }
  hdf5_fields& u8(std::uint64_t value) { return sized(value, 1); }
  hdf5_fields& u16(std::uint64_t value) { return sized(value, 2); }
  hdf5_fields& u32(std::uint64_t value) { return sized(value, 4); }
  hdf5_fields& u64(std::uint64_t value) { return sized(value, 8); }
  hdf5_fields& zeros(std::size_t count) { return text_.append(count, '\0'), *this; }
  hdf5_fields& raw(std::string_view bytes) { return text_.append(bytes), *this; }
  /// The checksum of all from `begin` on.
  hdf5_fields& seal(std::uint64_t begin) {
    return u32(checksum_of(std::string_view(text_).substr(static_cast<std::size_t>(begin))));
  }
  [[nodiscard]] std::uint64_t size() const { return text_.size(); }
  [[nodiscard]] const std::string& text() const { return text_; }
  operator std::string() const { return text_; }
  operator std::string_view() const { return text_; }

private:
  std::string text_;
};

/// A message of an object header.
struct made_message {
  std::uint8_t type;
  std::string body;
  std::uint8_t flags = 0;
};

/// A file that begins with a superblock of version 3 and goes on with whatever is added; addresses are places
/// in it.
class hdf5_bytes : public hdf5_fields {
public:
  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
  static constexpr std::uint64_t root = 48;
  hdf5_bytes() { zeros(48); }

  /// An object header of version 2; its address.
  std::uint64_t object(std::initializer_list<made_message> messages) {
    return object(std::vector<made_message>(messages));
  }
  std::uint64_t object(const std::vector<made_message>& messages) {
    const std::uint64_t at = size();
    std::string bodies;
    for (const made_message& each : messages)
      bodies += hdf5_fields().u8(each.type).u16(each.body.size()).u8(each.flags).raw(each.body).text();
    raw("OHDR").u8(2).u8(2).u32(bodies.size()).raw(bodies).seal(at);
    return at;
  }

  /// The file, its superblock made.
  [[nodiscard]] std::string file(std::uint64_t root_address = root) const {
    hdf5_fields block;
    block.raw("\x89HDF\r\n\x1a\n").u8(3).u8(8).u8(8).u8(0).u64(0).u64(nowhere).u64(size()).u64(root_address).seal(0);
    return block.text() + text().substr(48);
  }
};

/// An open file in a block of exactly its size. Tests that need one read no further than it opens.
struct opened_hdf5 {
  explicit opened_hdf5(std::string_view text)
      : bytes(text), file(stet::detail::open_hdf5_file(bytes.bytes(), nullptr)) {}
  exact_text bytes;
  stet::result<stet::detail::hdf5_file> file;
};

/// Bodies of messages as files of the program have them.
namespace made_hdf5 {

inline std::string type_f32() {
  return hdf5_fields().u8(0x11).sized(0x1F20, 3).u32(4).u16(0).u16(32).u8(23).u8(8).u8(0).u8(23).u32(127);
}
inline std::string type_integer(std::uint32_t size_bytes) {
  return hdf5_fields().u8(0x10).sized(0, 3).u32(size_bytes).u16(0).u16(size_bytes * 8);
}
inline std::string type_variable_string() { return hdf5_fields().u8(0x19).sized(1, 3).u32(16).raw(type_integer(1)); }
inline std::string space(std::initializer_list<std::uint64_t> shape) {
  hdf5_fields made;
  made.u8(2).u8(shape.size()).u8(0).u8(shape.size() != 0 ? 1 : 0);
  for (const std::uint64_t each : shape) made.u64(each);
  return made;
}
inline std::string contiguous(std::uint64_t address, std::uint64_t size_bytes) {
  return hdf5_fields().u8(3).u8(1).u64(address).u64(size_bytes);
}
inline std::string compact(std::string_view data) { return hdf5_fields().u8(3).u8(0).u16(data.size()).raw(data); }
inline std::string hard_link(std::string_view name, std::uint64_t address) {
  return hdf5_fields().u8(1).u8(0).u8(name.size()).raw(name).u64(address);
}
inline std::string soft_link(std::string_view name, std::string_view path) {
  return hdf5_fields().u8(1).u8(8).u8(1).u8(name.size()).raw(name).u16(path.size()).raw(path);
}
inline std::string link_info(std::uint64_t heap = hdf5_bytes::nowhere, std::uint64_t tree = hdf5_bytes::nowhere) {
  return hdf5_fields().u8(0).u8(0).u64(heap).u64(tree);
}

enum : std::uint8_t {
  is_space = 1,
  is_link_info = 2,
  is_type = 3,
  is_fill = 5,
  is_link = 6,
  is_external = 7,
  is_layout = 8,
  is_filters = 11,
  is_attribute = 12,
  is_continuation = 16,
  is_symbol_table = 17,
  is_attribute_info = 21
};

} // namespace made_hdf5

/// The store of the file in `bytes`, which must outlive it.
inline stet::result<stet::store> open_hdf5_bytes(std::span<const std::byte> bytes,
                                                 stet::inflate_function inflate = nullptr, bool is_strict = false,
                                                 std::vector<stet::omitted_item>* omitted = nullptr) {
  using namespace stet::detail;
  stet::result<hdf5_file> file = open_hdf5_file(bytes, inflate);
  if (!file) return file.error();
  stet::store_builder builder;
  const std::uint32_t part = builder.add_file("m.h5", stet::source::borrow(bytes));
  hdf5_importer importer(builder, *file, part, 0, is_strict ? hdf5_strictness::strict : hdf5_strictness::lenient,
                         inflate);
  if (auto read = importer.run(); !read) return read.error();
  if (omitted != nullptr) *omitted = builder.take_omitted();
  return builder.finish();
}

/// Reads every tensor that is not larger than a few thousand bytes. @return the codes that reading came to,
/// "" for none
inline std::string use_tensors(const stet::store& from) {
  std::string codes;
  for (const stet::tensor each : from) {
    if (each.size_bytes() > 1 << 14) continue;
    std::vector<std::byte> into(static_cast<std::size_t>(each.size_bytes()));
    if (const auto read = each.read(0, into); !read)
      codes.append(codes.empty() ? "" : " ").append(stet::describe(read.error().code()).name);
    if (each.dtype() == stet::dtype::string && each.as_strings()) {
      for (std::size_t i = 0; i < each.as_strings()->size(); ++i) (void)(*each.as_strings())[i].size();
    }
  }
  return codes;
}

/// The elements of a tensor as text: "1 2 3", or the code of the error.
template <class T> std::string elements_of(const stet::result<stet::store>& from, std::string_view name) {
  if (!from) return stet::describe(from.error().code()).name;
  const auto found = from->find(name);
  if (!found) return stet::describe(found.error().code()).name;
  const auto count = static_cast<std::size_t>(found->element_count());
  const auto into = std::make_unique<T[]>(count);
  if (const auto read = found->copy_to(std::span(into.get(), count)); !read)
    return stet::describe(read.error().code()).name;
  std::string made;
  for (std::size_t i = 0; i < count; ++i)
    made.append(i == 0 ? "" : " ").append(std::to_string(static_cast<long long>(into[i])));
  return made;
}

} // namespace stet_test

#endif
