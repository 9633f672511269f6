// SPDX-License-Identifier: MIT
// Numbers written as JSON, and the members of an object in a text.
#ifndef STET_MANIFEST_DETAIL_JSON_OUTPUT_HPP
#define STET_MANIFEST_DETAIL_JSON_OUTPUT_HPP

#include "json_input.hpp"

#include "../json_text.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Appends a finite number with the fewest digits that give it again, as nlohmann's library spells it: as a number with a
/// fraction from 0.0001 to below 10^15, with an exponent beyond.
inline void append_json_number(std::string& out, double number) {
  // Not std::to_chars, which some standard libraries have for integers only. The separator of the digits is the locale's.
  char buffer[64];
  for (int precision = 0; precision < 17; ++precision) {
    std::snprintf(buffer, sizeof buffer, "%.*e", precision, number);
    if (std::strtod(buffer, nullptr) == number) break;
  }
  const std::string_view text(buffer);
  if (text.front() == '-') out += '-';
  const std::size_t e = text.find('e');
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  const int exponent = std::atoi(buffer + e + 1);

  constexpr int least_exponent = -4, most_digits = 15;
  if (exponent < least_exponent || exponent >= most_digits) {
    out.append(digits, 0, 1);
    if (digits.size() > 1) out.append(".").append(digits, 1);
    out += exponent < 0 ? "e-" : "e+";
    const std::string magnitude = std::to_string(std::abs(exponent));
    out.append(magnitude.size() < 2 ? 1u : 0u, '0') += magnitude;
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
/// @return true if it is a complete object
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

/// Whether an object in the text may have a member called `name`, as a search shows: its key occurs in the text, or a key is spelt
/// with an escape.
inline bool may_have_member(std::string_view text, std::string_view name) {
  const std::string key = '"' + std::string(name) + '"';
  return text.find(key) != std::string_view::npos || text.find("\\u") != std::string_view::npos;
}

/// An object of the members in `begun`, the text of one that is not closed, and then of those of another, which may be text of a
/// program. If that is no object, neither is what is returned, so that whoever checks it says so.
inline json_text with_members_of(std::string begun, const json_text& others) {
  if (others.problem() != errc{}) return others;
  constexpr std::string_view spaces = " \t\r\n";
  const std::string& text = others.text();
  const std::size_t brace = text.find_first_not_of(spaces);
  if (brace == std::string::npos) return json_text(begun += '}');
  if (text[brace] != '{') return others;
  const std::size_t member = text.find_first_not_of(spaces, brace + 1);
  if (member != std::string::npos && text[member] != '}') begun += ',';
  return json_text(begun.append(text, brace + 1));
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

/// The string in the text of a value; nothing if the value is not a string.
inline std::optional<std::string> string_in(std::string_view value) {
  json_reader in(value);
  if (in.next() != json_token::string) return std::nullopt;
  std::optional<std::string> made(std::in_place);
  assign_string(in.string(), *made);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
