// SPDX-License-Identifier: MIT
// Reads the header of an npy array: its type, order and shape.
#ifndef STET_FORMATS_NUMPY_DETAIL_HEADER_HPP
#define STET_FORMATS_NUMPY_DETAIL_HEADER_HPP

#include "literal.hpp"
#include "type.hpp"

#include "../../../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

// An npy array
// ============
//
//   93 "NUMPY" | u8 major, u8 minor: 1.0, 2.0 or 3.0 | the size of the text: u16 for 1.0, else u32 | text | elements
//
// All integers are little-endian. The text is a literal of Python, Latin-1 or for 3.0 UTF-8: a dict with exactly the keys
// 'descr', 'fortran_order' (True or False) and 'shape' (a tuple of integers), then spaces and the end of a line. A file may
// hold several arrays, one behind the other.
//
// Source: numpy/lib/format.py, "NPY format"; NumPy 2.4.

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view npy_magic = "\x93NUMPY";

/// The size of everything in front of the text.
inline constexpr std::uint64_t npy_prefix_size(unsigned major) noexcept { return major == 1 ? 10 : 12; }
/// The longest text of version 1.0 that NumPy takes. Versions 2.0 and 3.0 are written for longer ones.
inline constexpr std::uint64_t max_npy_text_size = 10'000, max_long_npy_text_size = 1u << 20;

/// The beginning of an array.
struct npy_prefix {
  unsigned major = 0;
  std::uint64_t text_size_bytes = 0;
  /// Reads it from `bytes`, the first 12 of the array or all if there are less.
  /// @retval errc::unknown_format  there is no array
  /// @retval errc::unsupported     of another version
  /// @retval errc::truncated, too_large
  static result<npy_prefix> read(std::span<const std::byte> bytes) noexcept {
    const std::string_view text = text_at(bytes.data(), bytes.size());
    if (text.substr(0, npy_magic.size()) != npy_magic) {
      const bool is_cut = npy_magic.substr(0, text.size()) == text;
      return error(is_cut ? errc::truncated : errc::unknown_format, "npy", 0);
    }
    if (bytes.size() < 8) return error(errc::truncated, "npy", bytes.size());
    npy_prefix made;
    made.major = static_cast<unsigned>(bytes[6]);
    if (made.major < 1 || made.major > 3 || bytes[7] != std::byte{0}) return error(errc::unsupported, "npy version", 6);
    if (bytes.size() < npy_prefix_size(made.major)) return error(errc::truncated, "npy", bytes.size());
    made.text_size_bytes =
        made.major == 1 ? load_little<std::uint16_t>(bytes.data() + 8) : load_little<std::uint32_t>(bytes.data() + 8);
    return made;
  }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return npy_prefix_size(major); }
  [[nodiscard]] std::uint64_t max_text_size() const noexcept {
    return major == 1 ? max_npy_text_size : max_long_npy_text_size;
  }
};

/// What the header of an array states.
struct npy_header {
  npy_type type;
  /// The descriptor as the file has it; views the text.
  std::string_view descr;
  bool is_fortran_order = false;
  std::uint8_t rank = 0;
  std::uint64_t shape[max_rank];
  /// The size of all elements.
  std::uint64_t size_bytes = 0;

  /// True if the elements are not in row-major order.
  [[nodiscard]] bool is_reordered() const noexcept {
    std::size_t steps = 0;
    for (std::size_t axis = 0; axis < rank; ++axis) steps += shape[axis] != 1 ? 1u : 0u;
    return is_fortran_order && steps > 1 && size_bytes != 0;
  }
  [[nodiscard]] std::span<const std::uint64_t> extents() const noexcept { return {shape, rank}; }
};

/// Reads the text of a header. Used once.
class npy_header_reader {
public:
  /// @param text  must outlive this object and the header
  npy_header_reader(std::string_view text, unsigned major) noexcept : in_(text, major < 3), major_(major) {}

  /// Errors: as `open_npy` documents them; their offset is in the text.
  result<void> read(npy_header& into) noexcept {
    if (!in_.take('{')) return problem(errc::malformed, "header");
    enum : unsigned { descr = 1, fortran_order = 2, shape = 4, all = 7 };
    unsigned seen = 0;
    while (in_.peek() != '}') {
      const std::size_t key_at = in_.offset();
      npy_string key;
      if (!in_.take(key) || !in_.take(':')) return problem(errc::malformed, "header");
      const unsigned which = key.equals("descr")           ? descr
                             : key.equals("fortran_order") ? fortran_order
                             : key.equals("shape")         ? shape
                                                           : 0u;
      if (which == 0) return error(errc::malformed, key.raw(), key_at);
      if ((seen & which) != 0) return error(errc::duplicate_key, key.raw(), key_at);
      seen |= which;
      const auto value = which == descr           ? read_descr(into)
                         : which == fortran_order ? read_order(into)
                                                  : read_shape(into);
      if (!value) return value;
      if (!in_.take(',') && in_.peek() != '}') return problem(errc::malformed, "header");
    }
    (void)in_.take('}');
    if (!in_.is_at_end()) return problem(errc::malformed, "header");
    if (seen != all)
      return problem(errc::missing_field, (seen & descr) == 0           ? "descr"
                                          : (seen & fortran_order) == 0 ? "fortran_order"
                                                                        : "shape");
    if (is_unknown_) return error(errc::unknown_dtype, into.descr, descr_at_);
    return measure(into);
  }

private:
  /// Structured types nest; NumPy's own do so twice or thrice.
  static constexpr unsigned max_depth = 16;
  static constexpr std::uint64_t max_size = 0x7FFFFFFFu;

  [[nodiscard]] error problem(errc code, std::string_view subject) noexcept {
    return error(code, subject, in_.offset());
  }

  result<void> read_order(npy_header& into) noexcept {
    return in_.take(into.is_fortran_order) ? result<void>() : problem(errc::wrong_type, "fortran_order");
  }

  /// A tuple: one of a single integer has a comma.
  result<void> read_shape(npy_header& into) noexcept {
    if (!in_.take('(')) return problem(errc::wrong_type, "shape");
    bool has_comma = true;
    while (in_.peek() != ')') {
      if (!has_comma) return problem(errc::malformed, "shape");
      const std::size_t at = in_.offset();
      npy_integer extent;
      if (!in_.take(extent)) return problem(errc::wrong_type, "shape");
      if (into.rank == max_rank || extent.is_too_large || (extent.is_negative && extent.magnitude != 0))
        return error(errc::bad_shape, "shape", at);
      into.shape[into.rank++] = extent.magnitude;
      has_comma = in_.take(',');
    }
    if (into.rank == 1 && !has_comma) return problem(errc::wrong_type, "shape");
    return in_.take(')') ? result<void>() : problem(errc::malformed, "shape");
  }

  result<void> read_descr(npy_header& into) noexcept {
    descr_at_ = in_.offset();
    npy_string text;
    if (in_.peek() != '[') {
      if (!in_.take(text)) return problem(errc::wrong_type, "descr");
      is_unknown_ = !find_type(text, into.type);
    } else {
      std::uint64_t size = 0;
      if (auto read = read_fields(size, max_depth); !read) return read;
      into.type = npy_type();
      into.type.has_objects = has_objects_;
      is_unknown_ = size == 0 && !has_objects_;
      if (size > max_size) return error(errc::too_large, "descr", descr_at_);
      into.type.size_bytes = static_cast<std::uint32_t>(size);
      into.type.set_name("struct", into.type.size_bytes);
    }
    into.descr = in_.text_from(descr_at_);
    return {};
  }

  static bool find_type(const npy_string& text, npy_type& into) noexcept {
    char decoded[32];
    const std::size_t size = text.decode(decoded, sizeof decoded);
    return size <= sizeof decoded && find_npy_type(text_at(decoded, size), into);
  }

  /// A type within a structured one: a string, a list of fields, or a tuple of a type and a shape.
  result<void> read_type(std::uint64_t& size, unsigned depth) noexcept {
    if (depth == 0) return problem(errc::too_deep, "descr");
    if (in_.peek() == '[') return read_fields(size, depth - 1);
    const std::size_t at = in_.offset();
    if (in_.take('(')) {
      if (auto read = read_type(size, depth - 1); !read) return read;
      if (!in_.take(',')) return problem(errc::malformed, "descr");
      if (auto read = read_counts(size); !read) return read;
      (void)in_.take(',');
      return in_.take(')') ? result<void>() : problem(errc::malformed, "descr");
    }
    npy_string text;
    npy_type type;
    if (!in_.take(text)) return problem(errc::wrong_type, "descr");
    if (find_type(text, type)) {
      has_objects_ = has_objects_ || type.has_objects;
      size = type.size_bytes;
      return {};
    }
    // Fields of no bytes are allowed: '|V0', '|S0'.
    char decoded[32];
    const std::size_t length = text.decode(decoded, sizeof decoded);
    const std::string_view word = length <= sizeof decoded ? text_at(decoded, length) : std::string_view();
    size = 0;
    if (word.size() == 3 && word[2] == '0' && (word[1] == 'V' || word[1] == 'S' || word[1] == 'U')) return {};
    return error(errc::unknown_dtype, text.raw(), at);
  }

  /// Multiplies `size` by the shape of a field: an integer or a tuple of them.
  result<void> read_counts(std::uint64_t& size) noexcept {
    const bool is_tuple = in_.take('(');
    bool has_comma = true;
    for (bool is_first = true; is_first || is_tuple; is_first = false) {
      if (is_tuple && in_.peek() == ')') break;
      const std::size_t at = in_.offset();
      npy_integer count;
      if (!has_comma || !in_.take(count)) return problem(errc::malformed, "descr");
      if (count.is_negative || count.is_too_large || count.magnitude > max_size)
        return error(errc::bad_shape, "descr", at);
      size *= count.magnitude;
      if (size > max_size) return error(errc::too_large, "descr", at);
      has_comma = is_tuple && in_.take(',');
    }
    return !is_tuple || in_.take(')') ? result<void>() : problem(errc::malformed, "descr");
  }

  /// [(NAME, TYPE), (NAME, TYPE, SHAPE), …], where a name is a string or a tuple of a title and a name.
  result<void> read_fields(std::uint64_t& size, unsigned depth) noexcept {
    size = 0;
    (void)in_.take('[');
    bool has_comma = true;
    while (in_.peek() != ']') {
      npy_string name;
      if (!has_comma || !in_.take('(')) return problem(errc::malformed, "descr");
      if (in_.take('(')) {
        if (!in_.take(name) || !in_.take(',') || !in_.take(name)) return problem(errc::malformed, "descr");
        (void)in_.take(',');
        if (!in_.take(')')) return problem(errc::malformed, "descr");
      } else if (!in_.take(name)) {
        return problem(errc::malformed, "descr");
      }
      if (!in_.take(',')) return problem(errc::malformed, "descr");
      std::uint64_t field = 0;
      if (auto read = read_type(field, depth); !read) return read;
      if (in_.take(',') && in_.peek() != ')') {
        if (auto read = read_counts(field); !read) return read;
        (void)in_.take(',');
      }
      if (!in_.take(')')) return problem(errc::malformed, "descr");
      size += field;
      if (size > max_size) return problem(errc::too_large, "descr");
      has_comma = in_.take(',');
    }
    return in_.take(']') ? result<void>() : problem(errc::malformed, "descr");
  }

  /// Computes the size of all elements.
  static result<void> measure(npy_header& into) noexcept {
    element_counter counter;
    for (std::size_t axis = 0; axis < into.rank; ++axis) {
      if (!counter.multiply(into.shape[axis])) return error(errc::bad_shape, "shape");
    }
    if (into.type.has_objects) return {};
    if (!checked_size_bytes(counter, into.type.layout(), into.size_bytes)) return error(errc::bad_shape, "shape");
    return {};
  }

  npy_literal in_;
  unsigned major_;
  std::size_t descr_at_ = 0;
  bool is_unknown_ = false, has_objects_ = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
