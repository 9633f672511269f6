// SPDX-License-Identifier: MIT
// The types of NumPy as their descriptors write them: '<f4', '|S5', '<M8[ns]', 'float32'.
#ifndef STET_FORMATS_NUMPY_DETAIL_TYPE_HPP
#define STET_FORMATS_NUMPY_DETAIL_TYPE_HPP

#include "../../../vocabulary/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// A type of NumPy. One without a dtype is a block, whose name says what it is: "bytes5", "unicode2" (characters of 4 bytes),
/// "void5", "struct24" (sizes in bytes), "datetime64[ns]", "timedelta64[25s]", "longdouble16", "clongdouble32". Big-endian
/// ones end in "_be": the bytes of blocks are never turned around.
struct npy_type {
  stet::dtype dtype = dtype::block;
  /// The size of an element; 0 for objects.
  std::uint32_t size_bytes = 0;
  bool is_big_endian = false;
  /// True for Python objects, which are stored as a pickle.
  bool has_objects = false;
  /// The name of a block.
  char name[40] = {};
  std::uint8_t name_size = 0;

  /// Its layout, which views this object.
  [[nodiscard]] element_layout layout() const noexcept {
    // Elements of less than a byte have one each, as ml_dtypes stores them.
    if (dtype != dtype::block) return {dtype, static_cast<std::uint8_t>(size_bytes * 8), {}};
    return {dtype, 0, {text_at(name, name_size), 1, size_bytes}};
  }
  void set_name(std::string_view word, std::uint32_t number, std::string_view end = {}) noexcept {
    text_writer out(name, sizeof name);
    out.append(word).append(std::uint64_t{number}).append(end);
    name_size = static_cast<std::uint8_t>(out.text().size());
  }
};

/// A type that has a dtype, by its letter and size. The sizes are in bytes.
struct npy_plain_type {
  char kind;
  std::uint8_t size_bytes;
  stet::dtype dtype;
};
inline constexpr npy_plain_type npy_plain_types[] = {
    {'b', 1, dtype::boolean},   {'i', 1, dtype::int8},        {'i', 2, dtype::int16},   {'i', 4, dtype::int32},
    {'i', 8, dtype::int64},     {'u', 1, dtype::uint8},       {'u', 2, dtype::uint16},  {'u', 4, dtype::uint32},
    {'u', 8, dtype::uint64},    {'f', 2, dtype::float16},     {'f', 4, dtype::float32}, {'f', 8, dtype::float64},
    {'c', 8, dtype::complex64}, {'c', 16, dtype::complex128},
};

/// Finds the type that `text`, a descriptor or the name of a type with a dtype, means. The byte order of one without a mark is
/// this machine's.
/// @return false if NumPy has no such type, or its elements have no bytes
inline bool find_npy_type(std::string_view text, npy_type& into) noexcept {
  into = npy_type();
  for (const npy_plain_type& row : npy_plain_types) {
    if (text != name_of(row.dtype)) continue;
    into.dtype = row.dtype;
    into.size_bytes = row.size_bytes;
    into.is_big_endian = !host_is_little_endian && describe(row.dtype).word_size_bytes > 1;
    return true;
  }
  const char order = text.empty() ? '\0' : text.front();
  const bool has_order = order == '<' || order == '>' || order == '|' || order == '=';
  if (has_order) text.remove_prefix(1);
  if (text.empty()) return false;
  const bool is_big_endian = order == '>' || (order != '<' && !host_is_little_endian);
  if (text == "?") text = "b1";
  const char kind = text.front();
  std::uint64_t size = 0;
  std::size_t digits = 1;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    size = size * 10 + static_cast<std::uint64_t>(text[digits] - '0');
    if (size > 0x7FFFFFFFu) return false;
  }
  const std::string_view rest = text.substr(digits);
  if (kind == 'O') { // with the size of a pointer in old files
    into.has_objects = true;
    return rest.empty();
  }
  if (digits == 1 || size == 0) return false;
  const auto number = static_cast<std::uint32_t>(size);
  into.size_bytes = number;
  if (kind == 'M' || kind == 'm') {
    // A count and a unit may follow: [25s].
    bool is_known = rest.empty() || (rest.size() > 2 && rest.size() < 16 && rest.front() == '[' && rest.back() == ']');
    for (std::size_t i = 1; i + 1 < rest.size(); ++i) {
      is_known = is_known && ((rest[i] >= '0' && rest[i] <= '9') || (rest[i] >= 'a' && rest[i] <= 'z') ||
                              (rest[i] >= 'A' && rest[i] <= 'Z'));
    }
    if (size != 8 || !is_known) return false;
    char end[20];
    text_writer out(end, sizeof end);
    out.append(rest).append(is_big_endian ? "_be" : "");
    into.set_name(kind == 'M' ? "datetime" : "timedelta", 64, out.text());
    return true;
  }
  if (!rest.empty()) return false;
  for (const npy_plain_type& row : npy_plain_types) {
    if (row.kind != kind || row.size_bytes != size) continue;
    into.dtype = row.dtype;
    into.is_big_endian = is_big_endian && describe(row.dtype).word_size_bytes > 1;
    return true;
  }
  const std::string_view end = is_big_endian ? "_be" : "";
  switch (kind) {
  case 'S':
  case 'a':
    return into.set_name("bytes", number), true;
  case 'V':
    return into.set_name("void", number), true;
  case 'U':
    into.set_name("unicode", number, end);
    into.size_bytes = number * 4;
    return size <= 0x1FFFFFFFu;
  case 'f':
    return into.set_name("longdouble", number, end), size == 12 || size == 16;
  case 'c':
    return into.set_name("clongdouble", number, end), size == 24 || size == 32;
  default:
    return false;
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
