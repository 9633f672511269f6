// SPDX-License-Identifier: MIT
// The values of keys of GGUF files as JSON, and the types that they have where nothing else is stated.
#ifndef STET_FORMATS_GGUF_DETAIL_METADATA_TYPES_HPP
#define STET_FORMATS_GGUF_DETAIL_METADATA_TYPES_HPP

#include "keys.hpp"

#include "../../common/json_members.hpp"

#include "../../../json.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

// Metadata. Each key of a GGUF file is a member of the metadata, in the order of the file. JSON has fewer types than GGUF; what it
// does not tell is in the member "gguf:types", an object from keys to types, which has the keys whose type is not the one that
// their value has without it:
//
//   value                                  type without an entry
//   a string                               string
//   true, false                            bool
//   an integer                             the first of u32, i32, i64 and u64 that holds it
//   another number                         f32 if that holds it exactly, else f64
//   an array of strings or booleans        string[], bool[]
//   an array of integers                   the first of i32[], u32[], i64[] and u64[] that holds all; i32[] of none
//   an array of numbers                    f32[] if that holds all exactly, else f64[]
//   an array of arrays                     an array with the type of each
//
// Types are written as here: "u8", "f64[]", ["i32[]", "string[]"]. A string that is not UTF-8 is {"hex": "c328"}. A float that is not
// finite is the string "inf", "-inf", "nan", or "0x7fa00001", the bits of another NaN; its type then has an entry.

namespace stet::inline STET_NAMESPACE::detail {

/// The member of an object that stands for a string which is not UTF-8.
inline constexpr std::string_view gguf_hex_member = "hex";

/// True if text is UTF-8, which may hold NULs.
inline bool is_utf8_text(std::string_view text) noexcept {
  for (;;) {
    const std::size_t end = text.find('\0');
    if (!is_utf8_without_nul(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

/// The type whose name is `name`, or `array` if there is none.
constexpr gguf_type find_gguf_type(std::string_view name) noexcept {
  for (std::uint32_t code = 0; code < gguf_type_count; ++code) {
    if (gguf_types[code].name == name) return static_cast<gguf_type>(code);
  }
  return gguf_type::array;
}

/// The type of the elements of the array type `name`, "u8[]"; `array` if it is none.
constexpr gguf_type find_gguf_element_type(std::string_view name) noexcept {
  constexpr std::string_view brackets = "[]";
  if (name.size() < brackets.size() || name.substr(name.size() - brackets.size()) != brackets) return gguf_type::array;
  return find_gguf_type(name.substr(0, name.size() - brackets.size()));
}

/// True for {"hex": "…"}, a string that is not UTF-8.
inline bool is_gguf_hex(const json_value& value) {
  return value.is_object() && value.size() == 1 && value.begin().key() == gguf_hex_member && value.begin()->is_string();
}
inline bool is_gguf_string(const json_value& value) { return value.is_string() || is_gguf_hex(value); }

/// True if float32 holds a finite number exactly.
inline bool is_float32(double value) noexcept {
  return std::abs(value) <= static_cast<double>((std::numeric_limits<float>::max)()) &&
         static_cast<double>(static_cast<float>(value)) == value;
}

/// The types that hold all numbers of an array.
struct gguf_number_types {
  bool are_integers = true, fit_int32 = true, fit_uint32 = true, fit_int64 = true, fit_uint64 = true,
       fit_float32 = true, fit_float64 = true;

  /// Takes a number into account.
  void add(const json_value& number) {
    if (number.is_number_float()) {
      are_integers = false;
      fit_float32 = fit_float32 && is_float32(number.get<double>());
      return;
    }
    const bool is_negative = !number.is_number_unsigned() && number.get<std::int64_t>() < 0;
    const auto magnitude = number.get<std::uint64_t>(); // of a negative number its two's complement
    const auto is_at_most = [&](std::uint64_t most) { return !is_negative && magnitude <= most; };
    const bool is_small = is_negative && number.get<std::int64_t>() >= (std::numeric_limits<std::int32_t>::min)();
    fit_int32 = fit_int32 && (is_small || is_at_most((std::numeric_limits<std::int32_t>::max)()));
    fit_uint32 = fit_uint32 && is_at_most((std::numeric_limits<std::uint32_t>::max)());
    fit_int64 = fit_int64 && (is_negative || is_at_most((std::numeric_limits<std::int64_t>::max)()));
    fit_uint64 = fit_uint64 && !is_negative;
    const double rounded =
        is_negative ? static_cast<double>(number.get<std::int64_t>()) : static_cast<double>(magnitude);
    constexpr double exact = 9007199254740992.0; // up to here float64 holds every integer
    fit_float64 = fit_float64 && std::abs(rounded) <= exact;
    fit_float32 = fit_float32 && fit_float64 && is_float32(rounded);
  }
  /// The type of a number alone.
  [[nodiscard]] gguf_type scalar() const noexcept {
    if (!are_integers) return fit_float32 ? gguf_type::float32 : gguf_type::float64;
    return fit_uint32  ? gguf_type::uint32
           : fit_int32 ? gguf_type::int32
           : fit_int64 ? gguf_type::int64
                       : gguf_type::uint64;
  }
  /// The type of the elements of an array; `array` if no type holds all.
  [[nodiscard]] gguf_type element() const noexcept {
    if (!are_integers) return fit_float32 ? gguf_type::float32 : fit_float64 ? gguf_type::float64 : gguf_type::array;
    return fit_int32    ? gguf_type::int32
           : fit_uint32 ? gguf_type::uint32
           : fit_int64  ? gguf_type::int64
           : fit_uint64 ? gguf_type::uint64
                        : gguf_type::array;
  }
};

/// The text of a type in metadata.
inline json_value gguf_type_text(gguf_type type, bool is_array) {
  std::string text(row_of(type).name);
  return is_array ? text.append("[]") : text;
}

/// The type of a value without an entry; null if it has none: null, other objects, mixed arrays, too many arrays within each other.
inline json_value default_gguf_type(const json_value& value, std::size_t depth = 0) {
  if (is_gguf_string(value)) return gguf_type_text(gguf_type::string, false);
  if (value.is_boolean()) return gguf_type_text(gguf_type::boolean, false);
  if (value.is_number()) {
    gguf_number_types types;
    types.add(value);
    return gguf_type_text(types.scalar(), false);
  }
  if (!value.is_array() || depth == max_gguf_depth) return nullptr;
  if (!value.empty() && value.front().is_array()) {
    json_value::array_t made;
    for (const json_value& each : value) {
      json_value type = each.is_array() ? default_gguf_type(each, depth + 1) : json_value();
      if (type.is_null()) return nullptr;
      made.push_back(std::move(type));
    }
    return made;
  }
  bool are_strings = true, are_booleans = true, are_numbers = true;
  gguf_number_types types;
  for (const json_value& each : value) {
    are_strings = are_strings && is_gguf_string(each);
    are_booleans = are_booleans && each.is_boolean();
    are_numbers = are_numbers && each.is_number();
    if (are_numbers) types.add(each);
  }
  const gguf_type type = are_numbers    ? types.element()
                         : are_strings  ? gguf_type::string
                         : are_booleans ? gguf_type::boolean
                                        : gguf_type::array;
  return type == gguf_type::array ? json_value() : gguf_type_text(type, true);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
