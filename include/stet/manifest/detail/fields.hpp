// SPDX-License-Identifier: MIT
// The fields of a manifest, one row each: the key, whether it is required, and the function that reads the value.
#ifndef STET_MANIFEST_DETAIL_FIELDS_HPP
#define STET_MANIFEST_DETAIL_FIELDS_HPP

#include "json_input.hpp"

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
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A problem with a field; the code is 0 if there is none.
struct field_problem {
  errc code{};
  std::string_view field{};
  constexpr field_problem() noexcept = default;
  constexpr field_problem(errc problem, std::string_view name = {}) noexcept : code(problem), field(name) {}
  constexpr explicit operator bool() const noexcept { return code != errc{}; }
};

/// A field of a JSON object that describes an `Owner`. `read` takes the value into the owner: from a `json_input` whose token
/// is the value's first, and which it leaves at the last; a `json_value` it may move from.
template <class Owner, class Value> struct basic_field {
  std::string_view name;
  bool is_required;
  field_problem (*read)(Value& value, Owner& owner);
};

/// Reads the fields of an object in any order.
template <class Owner, class Value> class basic_field_reader {
public:
  constexpr explicit basic_field_reader(std::span<const basic_field<Owner, Value>> fields) noexcept : fields_(fields) {}

  /// True if `name` is one of the fields.
  [[nodiscard]] constexpr bool knows(std::string_view name) const noexcept { return row_of(name) < fields_.size(); }

  /// Reads the field called `name`; does nothing if there is no such field.
  field_problem read(std::string_view name, Value& value, Owner& owner) {
    const std::size_t row = row_of(name);
    if (row == fields_.size()) return {};
    seen_ |= std::uint32_t{1} << row;
    field_problem problem = fields_[row].read(value, owner);
    if (problem && problem.field.empty()) problem.field = fields_[row].name;
    return problem;
  }

  /// The problem of a required field that was not read.
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
  std::span<const basic_field<Owner, Value>> fields_;
  std::uint32_t seen_ = 0;
};

/// A field of a manifest.
template <class Owner> using manifest_field = basic_field<Owner, json_input>;

/// errc::wrong_type. If the rest of the value is not valid JSON, the input also has a failure, which takes precedence.
inline field_problem wrong_type(json_input& in) {
  (void)in.skip();
  return errc::wrong_type;
}

/// Reads a whole object and ignores unknown fields.
template <class Owner>
field_problem read_object(json_input& in, std::span<const manifest_field<Owner>> fields, Owner& owner) {
  if (in.token() != json_token::begin_object) return wrong_type(in);
  basic_field_reader<Owner, json_input> reader(fields);
  std::string name;
  while (in.next() == json_token::key) {
    assign_string(in.string(), name);
    in.next();
    if (const field_problem problem = reader.read(name, in, owner)) return problem;
    if (!in.skip()) break;
  }
  return reader.missing();
}

/// Reads an unsigned integer, which consists of digits only: "-0", "1.0" and "1e3" are invalid.
template <class Unsigned> field_problem read_unsigned(json_input& in, Unsigned& into) {
  if (in.token() != json_token::number) return wrong_type(in);
  const json_number& number = in.number();
  if (!number.is_unsigned() || number.magnitude > (std::numeric_limits<Unsigned>::max)()) return errc::bad_number;
  into = static_cast<Unsigned>(number.magnitude);
  return {};
}

inline field_problem read_string(json_input& in, std::string& into) {
  if (in.token() != json_token::string) return wrong_type(in);
  assign_string(in.string(), into);
  return {};
}

/// Reads free-form JSON, which is an object.
inline field_problem read_free_form(json_input& in, json_text& into) {
  if (in.token() != json_token::begin_object) return wrong_type(in);
  std::string text;
  if (append_json_value(text, in)) into = json_text(std::move(text));
  return {};
}

/// Reads a string of exactly 2 × sizeof(Unsigned) lower-case hexadecimal digits.
template <class Unsigned> field_problem read_hexadecimal(json_input& in, std::optional<Unsigned>& into) {
  if (in.token() != json_token::string) return wrong_type(in);
  constexpr std::size_t digit_count = 2 * sizeof(Unsigned), longest_escape = 6;
  char digits[digit_count * longest_escape];
  const json_string& string = in.string();
  if (string.raw().size() > sizeof digits || string.decode(digits) != digit_count) return errc::bad_checksum_field;
  Unsigned number = 0;
  for (std::size_t i = 0; i < digit_count; ++i) {
    const char c = digits[i];
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && !(c >= 'a' && c <= 'f')) return errc::bad_checksum_field;
    number = static_cast<Unsigned>(number << 4 | static_cast<Unsigned>(is_digit ? c - '0' : c - 'a' + 10));
  }
  into = number;
  return {};
}

// ---- of a tensor ----

inline constexpr manifest_field<manifest_block> block_fields[] = {
    {"name", true, [](json_input& in, manifest_block& block) { return read_string(in, block.name); }},
    {"elements", true, [](json_input& in, manifest_block& block) { return read_unsigned(in, block.element_count); }},
    {"size_bytes", true, [](json_input& in, manifest_block& block) { return read_unsigned(in, block.size_bytes); }},
};

/// Checks that all fields of a block are set: a tensor without a block has them empty and zero.
inline field_problem check_block(const manifest_block& block) noexcept {
  if (!is_valid_name(block.name)) return {errc::bad_name, "block"};
  return block.element_count == 0 || block.size_bytes == 0 ? field_problem(errc::bad_number, "block") : field_problem();
}

inline field_problem read_block(json_input& in, manifest_block& block) {
  const field_problem problem = read_object<manifest_block>(in, block_fields, block);
  return problem ? problem : check_block(block);
}

/// A tensor, and the fields that depend on its other fields or on other tensors.
struct tensor_fields_read {
  manifest_tensor tensor;
  std::optional<std::uint8_t> bits;
  std::optional<std::string> alias_of;
};

inline field_problem read_dtype(json_input& in, tensor_fields_read& owner) {
  if (in.token() != json_token::string) return wrong_type(in);
  const dtype_description* row = nullptr;
  if (in.string().has_escapes()) {
    std::string name;
    assign_string(in.string(), name);
    row = find_dtype(name);
  } else {
    row = find_dtype(in.string().raw());
  }
  if (row == nullptr) return errc::unknown_dtype;
  owner.tensor.dtype = row->dtype;
  return {};
}

inline field_problem read_extents(json_input& in, std::vector<std::uint64_t>& into) {
  if (in.token() != json_token::begin_array) return wrong_type(in);
  std::uint64_t extents[max_rank];
  std::size_t rank = 0;
  while (in.next() != json_token::end_array && !in.failure()) {
    if (rank == max_rank) return errc::bad_shape;
    if (const field_problem problem = read_unsigned(in, extents[rank])) return problem;
    ++rank;
  }
  into.assign(extents, extents + rank);
  return {};
}

inline field_problem read_bits(json_input& in, tensor_fields_read& owner) {
  owner.bits.emplace();
  return read_unsigned(in, *owner.bits);
}

inline field_problem read_alias(json_input& in, tensor_fields_read& owner) {
  owner.alias_of.emplace();
  return read_string(in, *owner.alias_of);
}

/// The order is that of printing. Every other field of a tensor is one of its attributes.
inline constexpr manifest_field<tensor_fields_read> tensor_fields[] = {
    {"dtype", true, read_dtype},
    {"shape", true, [](json_input& in, tensor_fields_read& o) { return read_extents(in, o.tensor.shape); }},
    {"offset_bytes", true,
     [](json_input& in, tensor_fields_read& o) { return read_unsigned(in, o.tensor.offset_bytes); }},
    {"size_bytes", true, [](json_input& in, tensor_fields_read& o) { return read_unsigned(in, o.tensor.size_bytes); }},
    {"crc32c", false, [](json_input& in, tensor_fields_read& o) { return read_hexadecimal(in, o.tensor.crc32c); }},
    {"data", false, [](json_input& in, tensor_fields_read& o) { return read_unsigned(in, o.tensor.part); }},
    {"bits", false, read_bits},
    {"block", false, [](json_input& in, tensor_fields_read& o) { return read_block(in, o.tensor.block); }},
    {"alias_of", false, read_alias},
};

// ---- of the manifest ----

inline constexpr manifest_field<manifest_part> part_fields[] = {
    {"path", true, [](json_input& in, manifest_part& part) { return read_string(in, part.path); }},
    {"size_bytes", false,
     [](json_input& in, manifest_part& part) { return read_unsigned(in, part.size_bytes.emplace()); }},
    {"content_id", false, [](json_input& in, manifest_part& part) { return read_hexadecimal(in, part.content_id); }},
};

inline constexpr manifest_field<manifest> version_fields[] = {
    {"version", true, [](json_input& in, manifest& m) { return read_unsigned(in, m.version); }},
    {"minimum_reader", true, [](json_input& in, manifest& m) { return read_unsigned(in, m.minimum_reader); }},
};

inline field_problem read_version(json_input& in, manifest& m) {
  if (const field_problem problem = read_object<manifest>(in, version_fields, m)) return problem;
  if (m.minimum_reader == 0 || m.minimum_reader > m.version) return errc::bad_header;
  return m.minimum_reader > format_version ? errc::newer_format : errc{};
}

inline field_problem read_alignment(json_input& in, manifest& m) {
  std::uint64_t alignment_bytes = 0;
  if (const field_problem problem = read_unsigned(in, alignment_bytes)) return problem;
  if (!is_valid_alignment(alignment_bytes)) return errc::bad_alignment;
  m.alignment_bytes = static_cast<std::uint32_t>(alignment_bytes);
  return {};
}

inline field_problem read_parts(json_input& in, manifest& m) {
  if (in.token() != json_token::begin_array) return wrong_type(in);
  while (in.next() != json_token::end_array && !in.failure()) {
    manifest_part& part = m.parts.emplace_back();
    const field_problem problem = in.token() == json_token::string ? read_string(in, part.path)
                                                                   : read_object<manifest_part>(in, part_fields, part);
    if (problem) return problem;
  }
  return {};
}

/// Called after the parser has read all tensors.
inline field_problem read_tensors(json_input& in, manifest&) {
  return in.token() == json_token::end_object ? field_problem() : wrong_type(in);
}

/// The order is that of printing. Every other field is kept in `manifest::extra`.
inline constexpr manifest_field<manifest> manifest_fields[] = {
    {"stet", true, read_version},
    {"alignment_bytes", false, read_alignment},
    {"data", false, read_parts},
    {"tensors", true, read_tensors},
    {"graph", false, [](json_input& in, manifest& m) { return read_free_form(in, m.graph); }},
    {"state", false, [](json_input& in, manifest& m) { return read_free_form(in, m.state); }},
    {"metadata", false, [](json_input& in, manifest& m) { return read_free_form(in, m.metadata); }},
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
