// SPDX-License-Identifier: MIT
// Validity checks shared by the manifest's parser and printer.
#ifndef STET_MANIFEST_CHECK_HPP
#define STET_MANIFEST_CHECK_HPP

#include "detail/fields.hpp"
#include "detail/names.hpp"
#include "slice_of.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

// ---- quantization ----

/// True if the token is an integer within the range of this dtype. Dtypes other than integers have no range.
inline bool is_zero_point(const json_reader& in, const dtype_description& row) noexcept {
  if (in.token() != json_token::number || !in.number().is_integer) return false;
  const bool is_signed = row.kind == dtype_kind::signed_integer;
  if (!is_signed && row.kind != dtype_kind::unsigned_integer) return true;
  const std::uint64_t largest = ~std::uint64_t{0} >> (64 - row.bits + (is_signed ? 1 : 0));
  const std::uint64_t magnitude = in.number().magnitude;
  if (!in.number().is_negative || magnitude == 0) return magnitude <= largest;
  return is_signed && magnitude - 1 <= largest;
}

/// True if the token is a finite number greater than 0.
inline bool is_scale(const json_reader& in) noexcept {
  if (in.token() != json_token::number || in.number().is_negative) return false;
  return in.number().is_integer ? in.number().magnitude > 0 : in.number().to_double() > 0;
}

/// The number of values in `text`: of an array, its elements; of anything else, 1. Nothing if `is_good` rejects a value.
template <class IsGood> std::optional<std::uint64_t> count_values(std::string_view text, IsGood is_good) noexcept {
  json_reader in(text);
  if (in.next() != json_token::begin_array) return is_good(in) ? std::optional<std::uint64_t>(1) : std::nullopt;
  std::uint64_t count = 0;
  for (; in.next() != json_token::end_array; ++count) {
    if (!is_good(in)) return std::nullopt;
  }
  return count;
}

/// True if the text of a member is a string, or if there is no such member.
inline bool is_name_or_absent(std::string_view text) noexcept { return text.empty() || text.front() == '"'; }

/// True if the specified fields of a quantization fit its tensor. Reads an object, from its first token to its last.
/// Source: manifest.hpp, "quantization".
inline bool is_quantization_valid(json_reader& in, dtype of, std::span<const std::uint64_t> shape) noexcept {
  std::uint64_t axis_extent = 1;
  std::string_view scales, zero_points;
  while (in.next() == json_token::key) {
    const json_string name = in.string();
    in.next();
    if (name == "axis") {
      if (in.token() != json_token::number || !in.number().is_unsigned() || in.number().magnitude >= shape.size())
        return false;
      axis_extent = shape[static_cast<std::size_t>(in.number().magnitude)];
    }
    if (!in.skip()) return false;
    if (name == "scales") scales = in.text();
    if (name == "zero_points") zero_points = in.text();
  }
  if (in.token() == json_token::error) return false;
  std::optional<std::uint64_t> count;
  if (!is_name_or_absent(scales)) {
    count = count_values(scales, is_scale);
    if (!count || (*count != 1 && *count != axis_extent)) return false;
  }
  if (is_name_or_absent(zero_points)) return true;
  const dtype_description& row = describe(of);
  const auto zero_point_count =
      count_values(zero_points, [&](const json_reader& value) { return is_zero_point(value, row); });
  if (!zero_point_count) return false;
  return count ? *zero_point_count == *count : *zero_point_count == 1 || *zero_point_count == axis_extent;
}

// ---- tensors ----

/// Checks that `bits` and `block` are valid for the tensor's dtype.
inline field_problem check_elements(const manifest_tensor& tensor) noexcept {
  if (!is_known(tensor.dtype)) return errc::unknown_dtype;
  const std::uint8_t own_bits = describe(tensor.dtype).bits;
  const bool is_unpacked = tensor.bits == 8 && own_bits < 8 && own_bits != 0;
  if (tensor.bits != own_bits && !is_unpacked) return errc::unknown_dtype;
  if (tensor.dtype != dtype::block) return tensor.block == manifest_block() ? errc{} : errc::unknown_dtype;
  if (tensor.block == manifest_block()) return {errc::missing_field, "block"};
  return check_block(tensor.block);
}

/// Checks the attributes of a tensor that this library interprets. `append_attributes` checks the text itself.
inline field_problem check_known_attributes(const json_text& attributes, dtype of,
                                            std::span<const std::uint64_t> shape) {
  json_reader in(attributes.text());
  if (attributes.empty() || in.next() != json_token::begin_object) return {};
  std::optional<slice_place> place;
  if (const field_problem problem = read_slice_of(attributes, place)) return problem;
  if (place) {
    if (!is_within(*place, shape)) return {errc::bad_slice, slice_of_key};
    shape = place->shape; // the other attributes are those of the whole tensor
  }
  while (in.next() == json_token::key) {
    const json_string name = in.string();
    in.next();
    if (name == "trainable" && in.token() != json_token::boolean) return {errc::wrong_type, "trainable"};
    if (name == "quantization") {
      if (in.token() != json_token::begin_object) return {errc::wrong_type, "quantization"};
      if (!is_quantization_valid(in, of, shape)) return errc::bad_quantization;
    }
    if (!in.skip()) break;
  }
  return {};
}

/// Checks the name, shape, dtype and attributes of a tensor. `make_index` checks its offset and size.
inline field_problem check_tensor(const manifest_tensor& tensor) {
  if (!is_valid_name(tensor.name)) return errc::bad_name;
  if (tensor.shape.size() > max_rank) return errc::bad_shape;
  if (const field_problem problem = check_elements(tensor)) return problem;
  return check_known_attributes(tensor.attributes, tensor.dtype, tensor.shape);
}

/// Checks that the paths of the parts are valid and differ.
inline result<void> check_parts(const manifest& m) {
  for (const manifest_part& part : m.parts) {
    if (!is_part_name(part.path)) return error(errc::bad_path, part.path);
  }
  const std::size_t duplicate =
      find_duplicate(m.parts.size(), [&](std::size_t i) -> std::string_view { return m.parts[i].path; });
  if (duplicate != name_table::none) return error(errc::duplicate_part, m.parts[duplicate].path);
  return {};
}

/// An error about a tensor. If it concerns one field, the subject is "FIELD of NAME".
inline error error_about(field_problem problem, std::string_view tensor_name,
                         std::uint64_t offset_bytes = error::no_offset) noexcept {
  char buffer[error::max_subject_bytes];
  text_writer subject(buffer, sizeof buffer);
  if (!problem.field.empty()) subject.append(problem.field).append(" of ");
  return error(problem.code, subject.append(tensor_name).text(), offset_bytes);
}

// ---- free-form JSON ----

/// Checks JSON of a program and appends it in the form that a manifest has. Appends nothing if `value` is empty.
/// @param depth  of the value if it is an object or array
inline errc append_free_form(std::string& out, const json_text& value, std::size_t depth) {
  if (value.problem() != errc{}) return value.problem();
  if (value.empty()) return {};
  json_input in(value.text(), max_manifest_depth - depth + 1);
  in.next();
  if (!append_json_value(out, in) || in.next() != json_token::end) return in.failure()->code();
  return {};
}

/// The same for an object, which must not have one of the reserved keys.
template <class Owner>
errc append_free_object(std::string& out, const json_text& value, std::size_t depth,
                        std::span<const manifest_field<Owner>> reserved) {
  if (value.problem() != errc{}) return value.problem();
  if (value.empty()) return {};
  json_input in(value.text(), max_manifest_depth - depth + 1);
  if (in.next() != json_token::begin_object) return in.failure() ? in.failure()->code() : errc::wrong_type;
  const basic_field_reader<Owner, json_input> fields(reserved);
  const std::size_t begin = out.size();
  std::string name;
  while (in.next() == json_token::key) {
    assign_string(in.string(), name);
    if (fields.knows(name)) return errc::duplicate_key;
    out += out.size() == begin ? '{' : ',';
    append_json_string(out, in.string());
    out += ':';
    in.next();
    if (!append_json_value(out, in)) break;
  }
  out += out.size() == begin ? "{}" : "}";
  return in.next() == json_token::end ? errc{} : in.failure()->code();
}

/// The same for the attributes of a tensor, which are three objects deep in a manifest.
inline errc append_attributes(std::string& out, const json_text& attributes) {
  return append_free_object<tensor_fields_read>(out, attributes, 3, tensor_fields);
}

/// The free-form fields of a manifest, without those of its tensors.
struct free_form {
  const json_text &graph, &state, &metadata, &extra;
};

/// The checked texts of free-form fields. A field that is missing has an empty text.
struct free_form_texts {
  std::string graph, state, metadata, extra;
};

/// Checks the free-form fields of a manifest and returns their texts.
inline result<free_form_texts> texts_of(const free_form& from) {
  free_form_texts made;
  const struct {
    std::string_view name;
    const json_text& value;
    std::string& text;
  } objects[] = {
      {"graph", from.graph, made.graph}, {"state", from.state, made.state}, {"metadata", from.metadata, made.metadata}};
  for (const auto& [name, value, text] : objects) {
    if (const errc problem = append_free_object<manifest>(text, value, 2, {}); problem != errc{})
      return error(problem, name);
  }
  if (const errc problem = append_free_object<manifest>(made.extra, from.extra, 1, manifest_fields); problem != errc{})
    return error(problem);
  return made;
}

/// The text of an object's members, without the braces.
inline std::string_view members_of(std::string_view object) noexcept {
  return object.size() < 2 ? std::string_view() : object.substr(1, object.size() - 2);
}

} // namespace detail

/// Checks that a manifest which a program made can be printed and then parsed to the same manifest. Sizes,
/// offsets and equal names are make_index's to check.
/// @retval errc::bad_header        versions are 0 or contradict each other
/// @retval errc::bad_alignment     the alignment is not a power of two from 1 to 65536
/// @retval errc::bad_path          the path of a part is not a plain file name
/// @retval errc::duplicate_part    two parts are the same file
/// @retval errc::missing_part      a tensor lies in a part that is not listed
/// @retval errc::bad_name          a tensor or block has a name that it may not have
/// @retval errc::bad_shape         a tensor has more than `max_rank` dimensions
/// @retval errc::unknown_dtype     a dtype is not known, or does not go with its bits or block
/// @retval errc::missing_field     a tensor of blocks does not say which
/// @retval errc::bad_alias         an alias does not name an earlier tensor that is none
/// @retval errc::bad_quantization  a quantization does not fit its tensor
/// @retval errc::bad_slice         a piece does not lie within the tensor that it is a piece of
/// @retval errc::wrong_type        free-form JSON is not an object or holds binary values, or trainable is not a
///                                 boolean
/// @retval errc::duplicate_key     a key occurs twice, or an attribute or extra field has the name of another
///                                 field
/// @retval errc::bad_number        free-form JSON holds an infinity or NaN, or a block has a size of 0
/// @retval errc::bad_json          free-form JSON holds a string that is not UTF-8
/// @retval errc::too_deep          free-form JSON is nested too deeply
/// Cost: reads the manifest once, and copies free-form JSON.
inline result<void> check_manifest(const manifest& m) {
  if (m.minimum_reader == 0 || m.minimum_reader > m.version) return error(errc::bad_header, "stet");
  if (!is_valid_alignment(m.alignment_bytes)) return error(errc::bad_alignment, "alignment_bytes");
  if (const result<void> parts = detail::check_parts(m); !parts) return parts.error();
  std::string attributes; // whose capacity is used again
  for (std::size_t number = 0; number < m.tensors.size(); ++number) {
    const manifest_tensor& tensor = m.tensors[number];
    if (const detail::field_problem problem = detail::check_tensor(tensor))
      return detail::error_about(problem, tensor.name);
    if (tensor.part != 0 && tensor.part >= m.parts.size()) return error(errc::missing_part, tensor.name);
    if (tensor.alias_of && (*tensor.alias_of >= number || m.tensors[*tensor.alias_of].alias_of)) {
      return error(errc::bad_alias, tensor.name);
    }
    attributes.clear();
    if (const errc problem = detail::append_attributes(attributes, tensor.attributes); problem != errc{})
      return error(problem, tensor.name);
  }
  if (const auto texts = detail::texts_of({m.graph, m.state, m.metadata, m.extra}); !texts) return texts.error();
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
