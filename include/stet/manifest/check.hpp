// SPDX-License-Identifier: MIT
// Whether a manifest is one: what parsing and printing ask of it alike.
#ifndef STET_MANIFEST_CHECK_HPP
#define STET_MANIFEST_CHECK_HPP

#include "detail/fields.hpp"
#include "detail/names.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

// ---- quantization ----

/// Whether an integer is one that elements of this dtype can have. Dtypes that are no integers have no such
/// bounds.
inline bool is_zero_point(const json_value& value, const dtype_description& row) noexcept {
  if (!value.is_number_integer()) return false;
  const bool is_signed = row.kind == dtype_kind::signed_integer;
  if (!is_signed && row.kind != dtype_kind::unsigned_integer) return true;
  const std::uint64_t largest = ~std::uint64_t{0} >> (64 - row.bits + (is_signed ? 1 : 0));
  if (value.is_number_unsigned()) return *value.get_ptr<const json_value::number_unsigned_t*>() <= largest;
  const std::int64_t number = *value.get_ptr<const json_value::number_integer_t*>();
  if (number >= 0) return static_cast<std::uint64_t>(number) <= largest;
  return is_signed && static_cast<std::uint64_t>(-(number + 1)) <= largest;
}

/// Whether a number is finite and greater than 0.
inline bool is_scale(const json_value& value) noexcept {
  if (value.is_number_unsigned()) return *value.get_ptr<const json_value::number_unsigned_t*>() > 0;
  if (value.is_number_integer()) return *value.get_ptr<const json_value::number_integer_t*>() > 0;
  const double* const number = value.get_ptr<const json_value::number_float_t*>();
  return number != nullptr && std::isfinite(*number) && *number > 0;
}

/// The number of values, each of which `is_good`: of an array's elements, or 1 for anything else; nothing if
/// one is bad.
template <class IsGood> std::optional<std::uint64_t> count_values(const json_value& values, IsGood is_good) {
  const json_value::array_t* const array = values.get_ptr<const json_value::array_t*>();
  if (array == nullptr) return is_good(values) ? std::optional<std::uint64_t>(1) : std::nullopt;
  for (const json_value& value : *array) {
    if (!is_good(value)) return std::nullopt;
  }
  return array->size();
}

/// Whether what is known of a quantization fits its tensor. Source: manifest.hpp, "quantization".
inline bool is_quantization_valid(const json_value& quantization, const manifest_tensor& tensor) {
  std::uint64_t axis_extent = 1;
  if (const auto axis = quantization.find("axis"); axis != quantization.end()) {
    const json_value::number_integer_t* const number = axis->get_ptr<const json_value::number_integer_t*>();
    if (number == nullptr || static_cast<std::uint64_t>(*number) >= tensor.shape.size()) return false; // -1 is large
    axis_extent = tensor.shape[static_cast<std::size_t>(*number)];
  }
  std::optional<std::uint64_t> count;
  if (const auto scales = quantization.find("scales"); scales != quantization.end() && !scales->is_string()) {
    count = count_values(*scales, is_scale);
    if (!count || (*count != 1 && *count != axis_extent)) return false;
  }
  const auto zero_points = quantization.find("zero_points");
  if (zero_points == quantization.end() || zero_points->is_string()) return true;
  const dtype_description& row = describe(tensor.dtype);
  const auto zero_point_count =
      count_values(*zero_points, [&](const json_value& value) { return is_zero_point(value, row); });
  if (!zero_point_count) return false;
  return count ? *zero_point_count == *count : *zero_point_count == 1 || *zero_point_count == axis_extent;
}

// ---- tensors ----

/// Whether an element of the tensor's dtype may be stored as its bits and block say.
inline field_problem check_elements(const manifest_tensor& tensor) noexcept {
  if (!is_known(tensor.dtype)) return errc::unknown_dtype;
  const std::uint8_t own_bits = describe(tensor.dtype).bits;
  const bool is_unpacked = tensor.bits == 8 && own_bits < 8 && own_bits != 0;
  if (tensor.bits != own_bits && !is_unpacked) return errc::unknown_dtype;
  if (tensor.dtype != dtype::block) return tensor.block == manifest_block() ? errc{} : errc::unknown_dtype;
  if (tensor.block == manifest_block()) return {errc::missing_field, "block"};
  return check_block(tensor.block);
}

/// Whether what a tensor says of itself, its place apart, is sound.
inline field_problem check_tensor(const manifest_tensor& tensor) {
  if (!is_valid_name(tensor.name)) return errc::bad_name;
  if (tensor.shape.size() > max_rank) return errc::bad_shape;
  if (const field_problem problem = check_elements(tensor)) return problem;
  if (tensor.attributes.is_null()) return {};
  const json_value& attributes = tensor.attributes;
  if (const auto found = attributes.find("trainable"); found != attributes.end() && !found->is_boolean()) {
    return {errc::wrong_type, "trainable"};
  }
  if (const auto found = attributes.find("quantization"); found != attributes.end()) {
    if (!found->is_object()) return {errc::wrong_type, "quantization"};
    if (!is_quantization_valid(*found, tensor)) return errc::bad_quantization;
  }
  return {};
}

/// Whether the parts may have their names, and these differ.
inline result<void> check_parts(const manifest& m) {
  for (const manifest_part& part : m.parts) {
    if (!is_part_name(part.path)) return error(errc::bad_path, part.path);
  }
  const std::size_t duplicate =
      find_duplicate(m.parts.size(), [&](std::size_t i) -> std::string_view { return m.parts[i].path; });
  if (duplicate != name_table::none) return error(errc::duplicate_part, m.parts[duplicate].path);
  return {};
}

/// An error about a tensor; where it is about one of its fields, the subject is "FIELD of NAME".
inline error error_about(field_problem problem, std::string_view tensor_name,
                         std::uint64_t offset_bytes = error::no_offset) noexcept {
  char buffer[error::max_subject_bytes];
  text_writer subject(buffer, sizeof buffer);
  if (!problem.field.empty()) subject.append(problem.field).append(" of ");
  return error(problem.code, subject.append(tensor_name).text(), offset_bytes);
}

// ---- free-form JSON ----

/// Whether `text` is UTF-8, which may hold NULs.
inline bool is_utf8(std::string_view text) noexcept {
  for (;;) {
    const std::size_t end = text.find('\0');
    if (!is_utf8_without_nul(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

/// Whether JSON that a program made can be printed and read again as it is. `depth` is that of `value` if it
/// is an object or array; it bounds the recursion.
inline errc check_free_form(const json_value& value, std::size_t depth) {
  if (value.is_string()) return is_utf8(*value.get_ptr<const json_value::string_t*>()) ? errc{} : errc::bad_json;
  if (value.is_number_float()) {
    return std::isfinite(*value.get_ptr<const json_value::number_float_t*>()) ? errc{} : errc::bad_number;
  }
  if (value.is_binary() || value.is_discarded()) return errc::wrong_type;
  if (!value.is_structured()) return {};
  if (depth > max_manifest_depth) return errc::too_deep;
  if (const json_value::array_t* const array = value.get_ptr<const json_value::array_t*>()) {
    for (const json_value& element : *array) {
      if (const errc problem = check_free_form(element, depth + 1); problem != errc{}) return problem;
    }
    return {};
  }
  const json_value::object_t& members = *value.get_ptr<const json_value::object_t*>();
  const auto name_at = [&](std::size_t i) -> std::string_view { return members.data()[i].first; };
  if (find_duplicate(members.size(), name_at) != name_table::none) return errc::duplicate_key;
  for (const auto& [name, member] : members) {
    if (!is_utf8(name)) return errc::bad_json;
    if (const errc problem = check_free_form(member, depth + 1); problem != errc{}) return problem;
  }
  return {};
}

/// The same for an object, or null for none, which must not use a key that means something here.
template <class Owner>
errc check_free_object(const json_value& value, std::size_t depth, std::span<const field<Owner>> reserved) {
  if (value.is_null()) return {};
  const json_value::object_t* const members = value.get_ptr<const json_value::object_t*>();
  if (members == nullptr) return errc::wrong_type;
  const field_reader<Owner> fields(reserved);
  for (const auto& [name, member] : *members) {
    if (fields.knows(name)) return errc::duplicate_key;
  }
  return check_free_form(value, depth);
}

/// The same for the attributes of a tensor, around which are the manifest, its tensors and the tensor.
inline errc check_attributes(const json_value& attributes) {
  return check_free_object<tensor_fields_read>(attributes, 3, tensor_fields);
}

/// The same for all that a manifest has besides its tensors.
inline result<void> check_free_form_of_manifest(const json_value& graph, const json_value& state,
                                                const json_value& metadata, const json_value& extra) {
  const struct {
    std::string_view name;
    const json_value& value;
  } objects[] = {{"graph", graph}, {"state", state}, {"metadata", metadata}};
  for (const auto& [name, value] : objects) {
    if (const errc problem = check_free_object<manifest>(value, 2, {}); problem != errc{}) return error(problem, name);
  }
  if (const errc problem = check_free_object<manifest>(extra, 1, manifest_fields); problem != errc{})
    return error(problem);
  return {};
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
/// @retval errc::wrong_type        free-form JSON is not an object or holds binary values, or trainable is not a
///                                 boolean
/// @retval errc::duplicate_key     a key occurs twice, or an attribute or extra field has the name of another
///                                 field
/// @retval errc::bad_number        free-form JSON holds an infinity or NaN, or a block has a size of 0
/// @retval errc::bad_json          free-form JSON holds a string that is not UTF-8
/// @retval errc::too_deep          free-form JSON is nested too deeply
/// Cost: reads the manifest once; allocates only for objects of many members.
inline result<void> check_manifest(const manifest& m) {
  if (m.minimum_reader == 0 || m.minimum_reader > m.version) return error(errc::bad_header, "stet");
  if (!is_valid_alignment(m.alignment_bytes)) return error(errc::bad_alignment, "alignment_bytes");
  if (const result<void> parts = detail::check_parts(m); !parts) return parts.error();
  for (std::size_t number = 0; number < m.tensors.size(); ++number) {
    const manifest_tensor& tensor = m.tensors[number];
    if (const detail::field_problem problem = detail::check_tensor(tensor))
      return detail::error_about(problem, tensor.name);
    if (tensor.part != 0 && tensor.part >= m.parts.size()) return error(errc::missing_part, tensor.name);
    if (tensor.alias_of && (*tensor.alias_of >= number || m.tensors[*tensor.alias_of].alias_of)) {
      return error(errc::bad_alias, tensor.name);
    }
    if (const errc problem = detail::check_attributes(tensor.attributes); problem != errc{})
      return error(problem, tensor.name);
  }
  return detail::check_free_form_of_manifest(m.graph, m.state, m.metadata, m.extra);
}

} // namespace stet::inline STET_NAMESPACE

#endif
