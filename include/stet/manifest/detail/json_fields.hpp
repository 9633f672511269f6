// SPDX-License-Identifier: MIT
// Fields of objects that are values of nlohmann/json, as those of graphs and of other formats are.
#ifndef STET_MANIFEST_DETAIL_JSON_FIELDS_HPP
#define STET_MANIFEST_DETAIL_JSON_FIELDS_HPP

#include "../../json.hpp"
#include "fields.hpp"

#include <limits>
#include <span>
#include <string>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

template <class Owner> using field = basic_field<Owner, json_value>;
template <class Owner> using field_reader = basic_field_reader<Owner, json_value>;
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

/// A dtype by its name, into the member `dtype` of a tensor or a port.
template <class Owner> field_problem read_dtype_of(const json_value& value, Owner& owner) noexcept {
  const std::string* const name = value.get_ptr<const json_value::string_t*>();
  if (name == nullptr) return errc::wrong_type;
  const dtype_description* const row = find_dtype(*name);
  if (row == nullptr) return errc::unknown_dtype;
  owner.dtype = row->dtype;
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
