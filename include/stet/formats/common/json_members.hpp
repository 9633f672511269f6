// SPDX-License-Identifier: MIT
// Access to the members of untrusted JSON objects by name and type.
#ifndef STET_FORMATS_COMMON_JSON_MEMBERS_HPP
#define STET_FORMATS_COMMON_JSON_MEMBERS_HPP

#include "distinct_names.hpp"

#include "../../json.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The member of an object called `name`; nullptr if there is none, or `object` is no object.
inline json_value* find_member(json_value& object, std::string_view name) {
  json_value::object_t* const members = object.get_ptr<json_value::object_t*>();
  if (members == nullptr) return nullptr;
  for (auto& [key, value] : *members) {
    if (key == name) return &value;
  }
  return nullptr;
}
inline const json_value* find_member(const json_value& object, std::string_view name) {
  return find_member(const_cast<json_value&>(object), name);
}

/// A string's text; empty for anything else.
inline std::string_view string_or_empty(const json_value* value) {
  const std::string* const text = value == nullptr ? nullptr : value->get_ptr<const json_value::string_t*>();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}
/// The text of the member called `name`; empty if it is no string.
inline std::string_view text_member(const json_value& object, std::string_view name) {
  return string_or_empty(find_member(object, name));
}

/// Takes the member called `name` out of an object; null if there is none.
inline json_value take_member(json_value& object, std::string_view name) {
  json_value::object_t* const members = object.get_ptr<json_value::object_t*>();
  if (members == nullptr) return nullptr;
  for (auto at = members->begin(); at != members->end(); ++at) {
    if (at->first != name) continue;
    json_value taken = std::move(at->second);
    members->erase(at);
    return taken;
  }
  return nullptr;
}

/// The elements of an array; nullptr for anything else.
inline const json_value::array_t* elements_of(const json_value* value) {
  return value == nullptr ? nullptr : value->get_ptr<const json_value::array_t*>();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
