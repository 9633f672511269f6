// SPDX-License-Identifier: MIT
// Finds a member of a JSON object in a file of safetensors: the metadata of a header, or of an index.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_METADATA_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_METADATA_HPP

#include "../../../vocabulary/config.hpp"

#include "../../../vocabulary/error.hpp"
#include "../../../vocabulary/result.hpp"
#include "../../../wire/json.hpp"

#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The text of the member `key` of the JSON object `text`; empty if it has none, or null.
/// @retval errc::malformed  the text is not a JSON object
/// Cost: reads the text up to the member.
inline result<std::string_view> safetensors_member(std::string_view text, std::string_view key) noexcept {
  json_reader in(text);
  if (in.next() != json_token::begin_object) return errc::malformed;
  while (in.next() == json_token::key) {
    const bool is_wanted = in.string() == key;
    const bool is_null = in.next() == json_token::null;
    if (!in.skip()) return errc::malformed;
    if (is_wanted) return is_null ? std::string_view() : in.text();
  }
  return in.token() == json_token::end_object ? std::string_view() : result<std::string_view>(errc::malformed);
}

/// A string of JSON, decoded.
inline std::string decoded(const json_string& from) {
  std::string made(from.raw().size(), '\0');
  made.resize(from.decode(made.data()));
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
