// SPDX-License-Identifier: MIT
// The fields of a manifest, one row each: its key, whether it must be there, and how its value is read.
#ifndef STET_MANIFEST_DETAIL_FIELDS_HPP
#define STET_MANIFEST_DETAIL_FIELDS_HPP

#include "../../index/detail/name_hash.hpp"
#include "../manifest.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// What is wrong with a field, if anything: the code is 0 for nothing.
struct field_problem {
  errc code{};
  std::string_view field{};
  constexpr field_problem() noexcept = default;
  constexpr field_problem(errc problem, std::string_view name = {}) noexcept : code(problem), field(name) {}
  constexpr explicit operator bool() const noexcept { return code != errc{}; }
};

/// A field of a JSON object that describes an `Owner`. `read` takes the value into the owner and may move
/// from it.
template <class Owner> struct field {
  std::string_view name;
  bool is_required;
  field_problem (*read)(json_value& value, Owner& owner);
};

/// Reads an object field by field, in whatever order they stand.
template <class Owner> class field_reader {
public:
  constexpr explicit field_reader(std::span<const field<Owner>> fields) noexcept : fields_(fields) {}

  /// Whether `name` is one of the fields.
  [[nodiscard]] constexpr bool knows(std::string_view name) const noexcept { return row_of(name) < fields_.size(); }

  /// Reads the field called `name`. Nothing happens if it is not known.
  field_problem read(std::string_view name, json_value& value, Owner& owner) {
    const std::size_t row = row_of(name);
    if (row == fields_.size()) return {};
    seen_ |= std::uint32_t{1} << row;
    field_problem problem = fields_[row].read(value, owner);
    if (problem && problem.field.empty()) problem.field = fields_[row].name;
    return problem;
  }

  /// Complains of a required field that was not read.
  [[nodiscard]] field_problem missing() const noexcept {
    for (std::size_t row = 0; row < fields_.size(); ++row) {
      if (fields_[row].is_required && (seen_ >> row & 1u) == 0) return {errc::missing_field, fields_[row].name};
    }
    return {};
  }

private:
  [[nodiscard]] constexpr std::size_t row_of(std::string_view name) const noexcept {
    std::size_t row = 0;
    while (row < fields_.size() && fields_[row].name != name) ++row;
    return row;
  }
  std::span<const field<Owner>> fields_;
  std::uint32_t seen_ = 0;
};

/// Reads a whole object that was kept as JSON.
template <class Owner>
field_problem read_object(json_value& object, std::span<const field<Owner>> fields, Owner& owner) {
  json_value::object_t* const members = object.get_ptr<json_value::object_t*>();
  if (members == nullptr) return errc::wrong_type;
  field_reader<Owner> reader(fields);
  for (auto& [name, value] : *members) {
    if (const field_problem problem = reader.read(name, value, owner)) return problem;
  }
  return reader.missing();
}

/// Reads an unsigned integer. The parser makes one only of digits alone, so that "-0", "1.0" and "1e3" are
/// none.
template <class Unsigned> field_problem read_unsigned(const json_value& value, Unsigned& into) noexcept {
  if (!value.is_number()) return errc::wrong_type;
  const json_value::number_unsigned_t* const number = value.get_ptr<const json_value::number_unsigned_t*>();
  if (number == nullptr || *number > (std::numeric_limits<Unsigned>::max)()) return errc::bad_number;
  into = static_cast<Unsigned>(*number);
  return {};
}

inline field_problem read_string(json_value& value, std::string& into) noexcept {
  std::string* const text = value.get_ptr<json_value::string_t*>();
  if (text == nullptr) return errc::wrong_type;
  into = std::move(*text);
  return {};
}

/// Reads free-form JSON, which is an object.
inline field_problem read_free_form(json_value& value, json_value& into) noexcept {
  if (!value.is_object()) return errc::wrong_type;
  into = std::move(value);
  return {};
}

/// Reads a string of exactly 2 × sizeof(Unsigned) lower-case hexadecimal digits.
template <class Unsigned>
field_problem read_hexadecimal(const json_value& value, std::optional<Unsigned>& into) noexcept {
  const std::string* const text = value.get_ptr<const json_value::string_t*>();
  if (text == nullptr) return errc::wrong_type;
  if (text->size() != 2 * sizeof(Unsigned)) return errc::bad_checksum_field;
  Unsigned number = 0;
  for (const char c : *text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && !(c >= 'a' && c <= 'f')) return errc::bad_checksum_field;
    number = static_cast<Unsigned>(number << 4 | static_cast<Unsigned>(is_digit ? c - '0' : c - 'a' + 10));
  }
  into = number;
  return {};
}

// ---- of a tensor ----

inline constexpr field<manifest_block> block_fields[] = {
    {"name", true, [](json_value& value, manifest_block& block) { return read_string(value, block.name); }},
    {"elements", true,
     [](json_value& value, manifest_block& block) { return read_unsigned(value, block.element_count); }},
    {"size_bytes", true,
     [](json_value& value, manifest_block& block) { return read_unsigned(value, block.size_bytes); }},
};

/// Whether a block says what it must. (None of its fields may be what they are in a tensor that has no
/// block.)
inline field_problem check_block(const manifest_block& block) noexcept {
  if (!is_valid_name(block.name)) return {errc::bad_name, "block"};
  return block.element_count == 0 || block.size_bytes == 0 ? field_problem(errc::bad_number, "block") : field_problem();
}

inline field_problem read_block(json_value& value, manifest_block& block) {
  const field_problem problem = read_object<manifest_block>(value, block_fields, block);
  return problem ? problem : check_block(block);
}

/// A tensor, and what can be settled only when all its fields, or all tensors, are known.
struct tensor_fields_read {
  manifest_tensor tensor;
  std::optional<std::uint8_t> bits;
  std::optional<std::string> alias_of;
};

/// A dtype by its name, into the member `dtype` of a tensor or a port.
template <class Owner> field_problem read_dtype_of(const json_value& value, Owner& owner) noexcept {
  const std::string* const name = value.get_ptr<const json_value::string_t*>();
  if (name == nullptr) return errc::wrong_type;
  const dtype_description* const row = find_dtype(*name);
  if (row == nullptr) return errc::unknown_dtype;
  owner.dtype = row->dtype;
  return {};
}

inline field_problem read_dtype(json_value& value, tensor_fields_read& owner) noexcept {
  return read_dtype_of(value, owner.tensor);
}

inline field_problem read_shape(json_value& value, tensor_fields_read& owner) {
  const json_value::array_t* const extents = value.get_ptr<const json_value::array_t*>();
  if (extents == nullptr) return errc::wrong_type;
  if (extents->size() > max_rank) return errc::bad_shape;
  owner.tensor.shape.resize(extents->size());
  for (std::size_t axis = 0; axis < extents->size(); ++axis) {
    if (const field_problem problem = read_unsigned((*extents)[axis], owner.tensor.shape[axis])) return problem;
  }
  return {};
}

inline field_problem read_bits(json_value& value, tensor_fields_read& owner) {
  owner.bits.emplace();
  return read_unsigned(value, *owner.bits);
}

inline field_problem read_alias(json_value& value, tensor_fields_read& owner) {
  owner.alias_of.emplace();
  return read_string(value, *owner.alias_of);
}

/// In the order in which they are printed. Every other field of a tensor is one of its attributes.
inline constexpr field<tensor_fields_read> tensor_fields[] = {
    {"dtype", true, read_dtype},
    {"shape", true, read_shape},
    {"offset_bytes", true,
     [](json_value& v, tensor_fields_read& o) { return read_unsigned(v, o.tensor.offset_bytes); }},
    {"size_bytes", true, [](json_value& v, tensor_fields_read& o) { return read_unsigned(v, o.tensor.size_bytes); }},
    {"crc32c", false, [](json_value& v, tensor_fields_read& o) { return read_hexadecimal(v, o.tensor.crc32c); }},
    {"data", false, [](json_value& v, tensor_fields_read& o) { return read_unsigned(v, o.tensor.part); }},
    {"bits", false, read_bits},
    {"block", false, [](json_value& v, tensor_fields_read& o) { return read_block(v, o.tensor.block); }},
    {"alias_of", false, read_alias},
};

// ---- of the manifest ----

inline constexpr field<manifest_part> part_fields[] = {
    {"path", true, [](json_value& value, manifest_part& part) { return read_string(value, part.path); }},
    {"size_bytes", false,
     [](json_value& value, manifest_part& part) { return read_unsigned(value, part.size_bytes.emplace()); }},
    {"content_id", false,
     [](json_value& value, manifest_part& part) { return read_hexadecimal(value, part.content_id); }},
};

inline constexpr field<manifest> version_fields[] = {
    {"version", true, [](json_value& value, manifest& m) { return read_unsigned(value, m.version); }},
    {"minimum_reader", true, [](json_value& value, manifest& m) { return read_unsigned(value, m.minimum_reader); }},
};

inline field_problem read_version(json_value& value, manifest& m) {
  if (const field_problem problem = read_object<manifest>(value, version_fields, m)) return problem;
  if (m.minimum_reader == 0 || m.minimum_reader > m.version) return errc::bad_header;
  return m.minimum_reader > format_version ? errc::newer_format : errc{};
}

inline field_problem read_alignment(json_value& value, manifest& m) {
  std::uint64_t alignment_bytes = 0;
  if (const field_problem problem = read_unsigned(value, alignment_bytes)) return problem;
  if (!is_valid_alignment(alignment_bytes)) return errc::bad_alignment;
  m.alignment_bytes = static_cast<std::uint32_t>(alignment_bytes);
  return {};
}

inline field_problem read_parts(json_value& value, manifest& m) {
  json_value::array_t* const parts = value.get_ptr<json_value::array_t*>();
  if (parts == nullptr) return errc::wrong_type;
  m.parts.reserve(parts->size());
  for (json_value& element : *parts) {
    manifest_part& part = m.parts.emplace_back();
    const field_problem problem =
        element.is_string() ? read_string(element, part.path) : read_object<manifest_part>(element, part_fields, part);
    if (problem) return problem;
  }
  return {};
}

/// The tensors are taken one by one while they are read; what is left of them is an empty object.
inline field_problem read_tensors(json_value& value, manifest&) {
  return value.is_object() ? errc{} : errc::wrong_type;
}

/// In the order in which they are printed. Every other field is kept in `manifest::extra`.
inline constexpr field<manifest> manifest_fields[] = {
    {"stet", true, read_version},
    {"alignment_bytes", false, read_alignment},
    {"data", false, read_parts},
    {"tensors", true, read_tensors},
    {"graph", false, [](json_value& value, manifest& m) { return read_free_form(value, m.graph); }},
    {"state", false, [](json_value& value, manifest& m) { return read_free_form(value, m.state); }},
    {"metadata", false, [](json_value& value, manifest& m) { return read_free_form(value, m.metadata); }},
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
