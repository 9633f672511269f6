// SPDX-License-Identifier: MIT
// The header fields of an answer of HTTP that matter for ranges of a file, and the rules by which an answer is taken. No network.
#ifndef STET_EXT_DETAIL_HTTP_RESPONSE_HPP
#define STET_EXT_DETAIL_HTTP_RESPONSE_HPP

#include "../../bytes/detail/fnv1a.hpp"
#include "../../vocabulary/error.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// Letters of ASCII in lower case; nothing else changes, whatever the locale.
constexpr char lower_ascii(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower_ascii(a[i]) != lower_ascii(b[i])) return false;
  }
  return true;
}

constexpr bool starts_ignoring_case(std::string_view text, std::string_view start) noexcept {
  return text.size() >= start.size() && equals_ignoring_case({text.data(), start.size()}, start);
}

/// Text without spaces and ends of lines around it.
constexpr std::string_view trimmed(std::string_view text) noexcept {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes a decimal number off the front of `text`. @return false if there is none, or it does not fit
constexpr bool take_decimal(std::string_view& text, std::uint64_t& into) noexcept {
  std::size_t digits = 0;
  into = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    const auto digit = static_cast<std::uint64_t>(text[digits] - '0');
    if (into > (~std::uint64_t{0} - digit) / 10) return false;
    into = into * 10 + digit;
  }
  text.remove_prefix(digits);
  return digits != 0;
}

/// Takes `mark` off the front of `text`. @return false if it is not there
constexpr bool take_mark(std::string_view& text, std::string_view mark) noexcept {
  if (!starts_ignoring_case(text, mark)) return false;
  text.remove_prefix(mark.size());
  return true;
}

/// The field Content-Range. Source: RFC 9110, 14.4.
struct http_content_range {
  std::uint64_t first = 0, last = 0, total = 0;
  /// False for "bytes */TOTAL", which comes with status 416.
  bool has_bytes = false;

  /// Parses the value of the field. @return false for other units, an unknown total, and ranges that contradict it
  constexpr bool parse(std::string_view value) noexcept {
    if (!take_mark(value, "bytes") || value.empty() || value.front() != ' ') return false;
    value = trimmed(value);
    has_bytes = !take_mark(value, "*");
    if (has_bytes && (!take_decimal(value, first) || !take_mark(value, "-") || !take_decimal(value, last)))
      return false;
    if (!take_mark(value, "/") || !take_decimal(value, total) || !value.empty()) return false;
    return !has_bytes || (first <= last && last < total);
  }
  friend constexpr bool operator==(const http_content_range&, const http_content_range&) = default;
};

/// What tells one state of a file from another: its entity tag and the time of its last change.
struct http_validators {
  /// The longest tag that is sent back.
  static constexpr std::size_t max_tag_size = 128;

  /// The tag with its quotes, where it is strong and short enough; else empty.
  char strong_tag[max_tag_size] = {};
  std::size_t strong_tag_size = 0;
  /// Hashes of the tag without "W/", and of the time; 0: the server gave none.
  std::uint64_t tag_hash = 0, time_hash = 0;

  /// Takes the value of the field ETag. Source: RFC 9110, 8.8.3.
  void set_tag(std::string_view value) noexcept {
    std::string_view opaque = value;
    const bool is_weak = opaque.starts_with("W/");
    if (is_weak) opaque.remove_prefix(2);
    tag_hash = fnv1a().add(opaque).value() | 1u;
    strong_tag_size = 0;
    if (is_weak || opaque.size() > max_tag_size || opaque.size() < 2 || opaque.front() != '"' || opaque.back() != '"')
      return;
    for (const char c : std::string_view(opaque.data() + 1, opaque.size() - 2)) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x21u || byte == 0x22u || byte == 0x7Fu) return;
    }
    std::memcpy(strong_tag, opaque.data(), opaque.size());
    strong_tag_size = opaque.size();
  }
  void set_time(std::string_view value) noexcept { time_hash = fnv1a().add(value).value() | 1u; }

  /// True if an answer with `now` can be of the same bytes. A field that one of both does not have tells nothing.
  [[nodiscard]] bool allow(const http_validators& now) const noexcept {
    if (tag_hash != 0 && now.tag_hash != 0) return tag_hash == now.tag_hash;
    return time_hash == 0 || now.time_hash == 0 || time_hash == now.time_hash;
  }
  /// A number for this state of a file of `size_bytes` bytes.
  [[nodiscard]] std::uint64_t hash(std::uint64_t size_bytes) const noexcept {
    return fnv1a().add(tag_hash, 8).add(time_hash, 8).add(size_bytes, 8).value();
  }
};

/// What is known of a file once its first range has come.
struct http_facts {
  std::uint64_t size_bytes = 0;
  http_validators validators;
};

/// The status line and the header fields of one answer.
struct http_response {
  int status = 0;
  http_content_range range;
  http_validators validators;
  std::uint64_t length = 0, retry_after_s = 0;
  bool has_range = false, has_length = false, has_retry_after = false;
  bool is_range_bad = false, is_encoded = false, is_multipart = false;
  /// The date that Retry-After has in place of seconds.
  char retry_date[40] = {};

  /// Takes a line of the header, its end included. A status line begins a new answer.
  void take_line(std::string_view line) noexcept {
    if (starts_ignoring_case(line, "HTTP/")) {
      *this = http_response();
      const std::size_t space = line.find(' ');
      std::uint64_t number = 0;
      if (space != std::string_view::npos) line.remove_prefix(space + 1);
      if (take_decimal(line, number) && number < 1000) status = static_cast<int>(number);
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view name(line.data(), colon);
    const std::string_view value = trimmed({line.data() + colon + 1, line.size() - colon - 1});
    if (equals_ignoring_case(name, "Content-Range")) {
      const http_content_range before = range;
      is_range_bad = is_range_bad || !range.parse(value) || (has_range && !(before == range));
      has_range = true;
    } else if (equals_ignoring_case(name, "Content-Length")) {
      std::string_view digits = value;
      has_length = take_decimal(digits, length) && digits.empty();
    } else if (equals_ignoring_case(name, "Content-Encoding")) {
      is_encoded = is_encoded || !(value.empty() || equals_ignoring_case(value, "identity"));
    } else if (equals_ignoring_case(name, "Content-Type")) {
      is_multipart = starts_ignoring_case(value, "multipart/");
    } else if (equals_ignoring_case(name, "ETag")) {
      validators.set_tag(value);
    } else if (equals_ignoring_case(name, "Last-Modified")) {
      validators.set_time(value);
    } else if (equals_ignoring_case(name, "Retry-After")) {
      std::string_view digits = value;
      has_retry_after = take_decimal(digits, retry_after_s) && digits.empty();
      if (!has_retry_after && value.size() < sizeof retry_date) {
        std::memcpy(retry_date, value.data(), value.size());
        retry_date[value.size()] = '\0';
      }
    }
  }
};

/// What an answer means for the request of a range: an error and its reason, or the size of the body to be taken.
struct http_verdict {
  errc code{};
  const char* reason = "";
  /// The bytes that the body must have; of an answer that is not taken, 0.
  std::uint64_t body_size_bytes = 0;
  /// True if the body is the whole file, from a server without ranges.
  bool is_whole = false;
};

/// Judges the header of an answer with status 200 or 206 to the request of `size_bytes` bytes from `offset_bytes` on.
/// @param known  what the first answer told; nullptr: this is the first, and the file may be smaller than what was asked for
inline http_verdict judge_http_response(const http_response& given, std::uint64_t offset_bytes,
                                        std::uint64_t size_bytes, const http_facts* known) noexcept {
  if (known != nullptr && !known->validators.allow(given.validators))
    return {errc::changed, "it has another ETag or time than before"};
  if (given.is_encoded) return {errc::bad_response, "Content-Encoding, where identity was asked for"};
  if (given.status == 200) {
    if (known != nullptr && given.has_length && given.length != known->size_bytes)
      return {errc::changed, "it has another size than before"};
    if (known != nullptr || offset_bytes != 0 || (given.has_length && given.length > size_bytes))
      return {errc::no_ranges, "status 200"};
    return {errc{}, "", given.has_length ? given.length : size_bytes, true};
  }
  if (given.is_multipart) return {errc::bad_response, "several ranges, where one was asked for"};
  if (!given.has_range) return {errc::bad_response, "no Content-Range"};
  if (given.is_range_bad || !given.range.has_bytes) return {errc::bad_response, "the Content-Range is not valid"};
  const http_content_range& range = given.range;
  if (known != nullptr && range.total != known->size_bytes) return {errc::changed, "it has another size than before"};
  const std::uint64_t wanted_last =
      size_bytes <= range.total - range.first ? range.first + (size_bytes - 1) : range.total - 1;
  if (range.first != offset_bytes || range.last != wanted_last)
    return {errc::bad_response, "another range than was asked for"};
  const std::uint64_t body_size = range.last - range.first + 1;
  if (given.has_length && given.length != body_size)
    return {errc::bad_response, "Content-Length contradicts Content-Range"};
  return {errc{}, "", body_size};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
