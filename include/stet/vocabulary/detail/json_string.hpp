// SPDX-License-Identifier: MIT
// How text is written as a string of JSON.
#ifndef STET_VOCABULARY_DETAIL_JSON_STRING_HPP
#define STET_VOCABULARY_DETAIL_JSON_STRING_HPP

#include "../config.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The high bits of those of eight characters that may have to be escaped in a JSON string: exact in the lowest byte that has to
/// be, which is enough to be sure that none has.
constexpr std::uint64_t find_escapes(std::uint64_t eight) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101u, high_bits = ones * 0x80u;
  // The high bit of a byte less than another, or equal to one.
  const std::uint64_t quote = eight ^ (ones * '"'), backslash = eight ^ (ones * '\\');
  return (((eight - ones * 0x20u) & ~eight) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) &
         high_bits;
}

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
