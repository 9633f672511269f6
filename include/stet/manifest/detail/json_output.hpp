// SPDX-License-Identifier: MIT
// Numbers written as JSON, and the members of an object in a text.
#ifndef STET_MANIFEST_DETAIL_JSON_OUTPUT_HPP
#define STET_MANIFEST_DETAIL_JSON_OUTPUT_HPP

#include "json_input.hpp"

#include "../json_text.hpp"

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Appends a finite number with the fewest digits that give it again, as nlohmann's library spells it: as a number with a
/// fraction from 0.0001 to below 10^15, with an exponent beyond.
inline void append_json_number(std::string& out, double number) {
  char buffer[32];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(written.ptr - buffer));
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  for (const char c : text.substr(e + 2)) exponent = exponent * 10 + (c - '0');
  if (text[e + 1] == '-') exponent = -exponent;

  constexpr int least_exponent = -4, most_digits = 15;
  if (exponent < least_exponent || exponent >= most_digits) {
    out += text;
  } else if (exponent < 0) {
    out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0') += digits;
  } else {
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() < whole) digits.append(whole - digits.size(), '0');
    out.append(digits, 0, whole) += '.';
    out += digits.size() == whole ? "0" : digits.substr(whole);
  }
}
inline void append_json_number(std::string& out, std::uint64_t number) { out += std::to_string(number); }

/// Calls `take(const json_string& name, std::string_view value)` with the members in the text of an object, in order.
/// @return whether it is an object, read to its end
template <class Take> bool visit_members(std::string_view object, Take take) {
  json_reader in(object);
  if (in.next() != json_token::begin_object) return false;
  while (in.next() == json_token::key) {
    const json_string name = in.string();
    in.next();
    if (!in.skip()) return false;
    take(name, in.text());
  }
  return in.token() == json_token::end_object;
}

/// The text of the member called `name` in the text of an object; empty if there is none.
inline std::string_view member_of(std::string_view object, std::string_view name) {
  std::string_view found;
  (void)visit_members(object, [&](const json_string& key, std::string_view value) {
    if (key == name) found = value;
  });
  return found;
}

/// The object without the member called `name`; nothing if there is no other.
inline json_text without_member(const json_text& object, std::string_view name) {
  std::string left;
  (void)visit_members(object.text(), [&](const json_string& key, std::string_view value) {
    if (key == name) return;
    append_json_key(left, key);
    left += value;
  });
  return left.empty() ? json_text() : json_text(left += '}');
}

/// The string in the text of a value; nothing if that is none.
inline std::optional<std::string> string_in(std::string_view value) {
  json_reader in(value);
  if (in.next() != json_token::string) return std::nullopt;
  std::optional<std::string> made(std::in_place);
  assign_string(in.string(), *made);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
