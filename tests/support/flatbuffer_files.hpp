// SPDX-License-Identifier: MIT
// Makes FlatBuffers from a tree of tables.
#ifndef STET_TESTS_SUPPORT_FLATBUFFER_FILES_HPP
#define STET_TESTS_SUPPORT_FLATBUFFER_FILES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// The value of a field, or of an element of a vector. Nothing is checked.
struct flat_value {
  enum kind_type { absent, scalar, table, string, vector, references } kind = absent;
  /// Of a scalar, string or vector.
  std::string bytes{};
  /// Of a vector: the number of elements, and what the place of the first is a multiple of.
  std::size_t count = 0, alignment = 4;
  /// The fields of a table; the tables or strings of a vector of references.
  std::vector<flat_value> children{};
  /// A vector of references refers to its only child so often.
  std::size_t repeats = 1;
};

template <class T> std::string flat_bytes(T value) {
  std::string made(sizeof value, '\0');
  unsigned char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  const std::uint16_t probe = 1;
  const bool is_little = reinterpret_cast<const unsigned char&>(probe) == 1;
  for (std::size_t i = 0; i < sizeof value; ++i) made[i] = static_cast<char>(raw[is_little ? i : sizeof value - 1 - i]);
  return made;
}
template <class T> flat_value flat_number(T value) { return {flat_value::scalar, flat_bytes(value)}; }
inline flat_value flat_table(std::vector<flat_value> fields) {
  return {flat_value::table, {}, 0, 4, std::move(fields)};
}
inline flat_value flat_string(std::string_view text) { return {flat_value::string, std::string(text)}; }
template <class T> flat_value flat_numbers(const std::vector<T>& values) {
  flat_value made{flat_value::vector, {}, values.size(), sizeof(T) < 4 ? 4 : sizeof(T)};
  for (const T each : values) made.bytes += flat_bytes(each);
  return made;
}
/// A vector of bytes whose first is at a multiple of `alignment`.
inline flat_value flat_data(std::string_view bytes, std::size_t alignment = 16) {
  return {flat_value::vector, std::string(bytes), bytes.size(), alignment};
}
/// A vector of tables or of strings.
inline flat_value flat_list(std::vector<flat_value> elements) {
  return {flat_value::references, {}, 0, 4, std::move(elements)};
}
/// A vector of references to one table.
inline flat_value flat_repeated(flat_value element, std::size_t count) {
  return {flat_value::references, {}, 0, 4, {std::move(element)}, count};
}

/// Writes a tree: each value behind what refers to it.
class flatbuffer_writer {
public:
  explicit flatbuffer_writer(std::string_view identifier) { out_.append(4, '\0').append(identifier); }

  std::string write(const flat_value& root) {
    set_reference(0, place(root));
    pad(4);
    return std::move(out_);
  }

private:
  void pad(std::size_t alignment, std::size_t ahead = 0) {
    while ((out_.size() + ahead) % alignment != 0) out_.push_back('\0');
  }
  void set_reference(std::size_t at, std::size_t target) {
    out_.replace(at, 4, flat_bytes(static_cast<std::uint32_t>(target - at)));
  }
  std::size_t place(const flat_value& value) {
    switch (value.kind) {
    case flat_value::string: {
      pad(4);
      const std::size_t at = out_.size();
      out_.append(flat_bytes(static_cast<std::uint32_t>(value.bytes.size()))).append(value.bytes).push_back('\0');
      return at;
    }
    case flat_value::vector: {
      pad(value.alignment, 4);
      const std::size_t at = out_.size();
      out_.append(flat_bytes(static_cast<std::uint32_t>(value.count))).append(value.bytes);
      return at;
    }
    case flat_value::references: {
      pad(4);
      const std::size_t at = out_.size(), count = value.children.size() == 1 ? value.repeats : value.children.size();
      out_.append(flat_bytes(static_cast<std::uint32_t>(count))).append(4 * count, '\0');
      std::size_t target = 0;
      for (std::size_t i = 0; i < count; ++i) {
        if (i < value.children.size()) target = place(value.children[i]);
        set_reference(at + 4 + 4 * i, target);
      }
      return at;
    }
    default:
      return place_table(value.children);
    }
  }
  std::size_t place_table(const std::vector<flat_value>& fields) {
    std::string vtable;
    std::string body(4, '\0');
    for (const flat_value& each : fields) {
      std::size_t offset = 0;
      if (each.kind != flat_value::absent) {
        const std::size_t size = each.kind == flat_value::scalar ? each.bytes.size() : 4;
        while (body.size() % size != 0) body.push_back('\0');
        offset = body.size();
        body += each.kind == flat_value::scalar ? each.bytes : std::string(4, '\0');
      }
      vtable += flat_bytes(static_cast<std::uint16_t>(offset));
    }
    pad(2);
    const std::size_t vtable_at = out_.size();
    out_ += flat_bytes(static_cast<std::uint16_t>(vtable.size() + 4));
    out_ += flat_bytes(static_cast<std::uint16_t>(body.size()));
    out_ += vtable;
    pad(8);
    const std::size_t at = out_.size();
    body.replace(0, 4, flat_bytes(static_cast<std::int32_t>(at - vtable_at)));
    out_ += body;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].kind == flat_value::absent || fields[i].kind == flat_value::scalar) continue;
      std::uint16_t low = static_cast<unsigned char>(vtable[2 * i]),
                    high = static_cast<unsigned char>(vtable[2 * i + 1]);
      const std::size_t field = at + low + 256u * high, target = place(fields[i]);
      set_reference(field, target);
    }
    return at;
  }

  std::string out_;
};

/// The file of `root`, with an identifier of 4 bytes.
inline std::string flatbuffer_file(std::string_view identifier, const flat_value& root) {
  return flatbuffer_writer(identifier).write(root);
}

} // namespace stet_test

#endif
