// SPDX-License-Identifier: MIT
// Rejects fields of other formats that would be taken for a graph's own fields.
#ifndef STET_FORMATS_COMMON_RESERVED_FIELDS_HPP
#define STET_FORMATS_COMMON_RESERVED_FIELDS_HPP

#include "../../manifest/graph_json.hpp"

#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// Checks that no member of `extra`, an object or null, has the name of one of `fields`.
/// @retval errc::duplicate_key  a member has such a name; the subject is "FIELD of OWNER"
template <class Owner>
result<void> check_reserved_fields(const json_value& extra, std::span<const field<Owner>> fields,
                                   std::string_view owner) {
  const json_value::object_t* const members = extra.get_ptr<const json_value::object_t*>();
  if (members == nullptr) return {};
  const field_reader<Owner> reader(fields);
  for (const auto& [name, value] : *members) {
    if (reader.knows(name)) return error_about({errc::duplicate_key, name}, owner);
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
