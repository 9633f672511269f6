// SPDX-License-Identifier: MIT
// How text is written as a string of JSON.
#ifndef STET_VOCABULARY_DETAIL_JSON_STRING_HPP
#define STET_VOCABULARY_DETAIL_JSON_STRING_HPP

#include "../config.hpp"

#include <cstddef>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// Calls `raw(std::string_view)` with the pieces of `text`, UTF-8, as a JSON string in quotes: only what must be escaped is.
/// Source: RFC 8259, section 7.
template <class Raw> constexpr void emit_json_string(std::string_view text, Raw&& raw) {
  raw("\"");
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20u && c != '"' && c != '\\') continue;
    raw(text.substr(plain, i - plain));
    plain = i + 1;
    constexpr std::string_view shorthands = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt", digits = "0123456789abcdef";
    if (const std::size_t found = shorthands.find(text[i]); found != std::string_view::npos) {
      raw("\\");
      raw(letters.substr(found, 1));
    } else {
      raw("\\u00");
      raw(digits.substr(c >> 4, 1));
      raw(digits.substr(c & 15u, 1));
    }
  }
  raw(text.substr(plain));
  raw("\"");
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
