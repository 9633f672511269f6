// SPDX-License-Identifier: MIT
// The field of a native file that makes an alias a second name.
#ifndef STET_FORMATS_COMMON_SECOND_NAME_HPP
#define STET_FORMATS_COMMON_SECOND_NAME_HPP

#include "../../index/detail/builder.hpp"
#include "../../manifest/detail/json_output.hpp"
#include "../../writer/tensors.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The field of a tensor in a manifest: {"second_name": true}.
inline constexpr std::string_view second_name_field = "second_name";

/// True if an alias with these attributes is a second name.
inline bool has_second_name_field(const json_text& attributes) {
  return member_of(attributes.text(), second_name_field) == "true";
}

/// The attributes of an alias, with the field.
inline json_text with_second_name_field(const json_text& attributes) {
  std::string text;
  (void)visit_members(attributes.text(), [&](const json_string& key, std::string_view value) {
    append_json_key(text, key);
    text += value;
  });
  append_json_key(text, second_name_field);
  return json_text(text += "true}");
}

/// For each tensor of a writer: true if it is a second name, which formats other than stet's own do not save.
/// @param rows  those of `of`
inline std::vector<bool> find_second_names(const tensor_list& of, std::span<const index_row> rows) {
  std::vector<bool> found(rows.size());
  for (const tensor_list::attributes_of& each : of.attributes())
    found[each.number] = rows[each.number].alias_of != index_row::not_an_alias && has_second_name_field(each.fields);
  return found;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
