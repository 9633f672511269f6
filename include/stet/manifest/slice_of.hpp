// SPDX-License-Identifier: MIT
// Which piece of a larger tensor a tensor of a shard is: its attribute `slice_of`.
#ifndef STET_MANIFEST_SLICE_OF_HPP
#define STET_MANIFEST_SLICE_OF_HPP

#include "detail/fields.hpp"
#include "detail/json_output.hpp"
#include "json_text.hpp"

#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The place of a piece in the tensor that it is a piece of. Its extents are its own shape.
struct slice_place {
  /// The name of the whole tensor, UTF-8.
  std::string tensor;
  /// The extents of the whole tensor, outermost first.
  std::vector<std::uint64_t> shape;
  /// Where the piece begins, for each extent.
  std::vector<std::uint64_t> start;
  friend bool operator==(const slice_place&, const slice_place&) = default;
};

namespace detail {

inline constexpr std::string_view slice_of_key = "slice_of";

inline constexpr manifest_field<slice_place> slice_fields[] = {
    {"tensor", true, [](json_input& in, slice_place& into) { return read_string(in, into.tensor); }},
    {"shape", true, [](json_input& in, slice_place& into) { return read_extents(in, into.shape); }},
    {"start", true, [](json_input& in, slice_place& into) { return read_extents(in, into.start); }},
};

/// Reads the attribute `slice_of`, if there is one.
inline field_problem read_slice_of(const json_text& attributes, std::optional<slice_place>& into) {
  const std::string_view field = member_of(attributes.text(), slice_of_key);
  if (field.empty()) return {};
  json_input in(field);
  in.next();
  slice_place place;
  field_problem problem = read_object<slice_place>(in, slice_fields, place);
  if (in.failure()) return {in.failure()->code(), slice_of_key};
  if (!problem && !is_valid_name(place.tensor)) problem = errc::bad_name;
  if (!problem && place.start.size() != place.shape.size()) problem = errc::bad_slice;
  element_counter counter;
  for (const std::uint64_t extent : place.shape) {
    if (!problem && !counter.multiply(extent)) problem = errc::bad_shape;
  }
  if (problem) return {problem.code, slice_of_key};
  into = std::move(place);
  return {};
}

/// Whether a piece of these extents lies within its tensor.
inline bool is_within(const slice_place& place, std::span<const std::uint64_t> extents) noexcept {
  if (extents.size() != place.shape.size()) return false;
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    if (!range_fits(place.start[axis], extents[axis], place.shape[axis])) return false;
  }
  return true;
}

} // namespace detail

/// The place that the attributes of a tensor state; nothing if the tensor is whole. Fields that are not known are passed over.
/// Whether the piece lies within its tensor is checked where the manifest is read.
/// @retval errc::wrong_type, missing_field, bad_number, duplicate_key  the attribute is not as manifest.hpp specifies it
/// @retval errc::bad_name   no tensor may have the name
/// @retval errc::bad_shape  the shape has too many extents, or too many elements
/// @retval errc::bad_slice  there are more starts than extents, or fewer
/// Cost: reads the attributes once; allocates the place.
[[nodiscard]] inline result<std::optional<slice_place>> slice_of(const json_text& attributes) {
  std::optional<slice_place> place;
  if (const detail::field_problem problem = detail::read_slice_of(attributes, place))
    return error(problem.code, problem.field);
  return place;
}

/// The attributes of a piece: those of the whole tensor, an object or nothing, with `slice_of` in front. A save checks them.
/// Cost: allocates the text.
[[nodiscard]] inline json_text with_slice_of(const slice_place& place, const json_text& attributes = {}) {
  const auto append_extents = [](std::string& out, const std::vector<std::uint64_t>& extents) {
    out += '[';
    for (std::size_t axis = 0; axis < extents.size(); ++axis) {
      if (axis != 0) out += ',';
      detail::append_json_number(out, extents[axis]);
    }
    out += ']';
  };
  std::string field, text;
  detail::append_json_key(field, std::string_view("tensor"));
  detail::append_json_string(field, std::string_view(place.tensor));
  detail::append_json_key(field, std::string_view("shape"));
  append_extents(field, place.shape);
  detail::append_json_key(field, std::string_view("start"));
  append_extents(field, place.start);
  detail::append_json_key(text, detail::slice_of_key);
  return detail::with_members_of(text.append(field) += '}', attributes);
}

} // namespace stet::inline STET_NAMESPACE

#endif
