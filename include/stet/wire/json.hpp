// SPDX-License-Identifier: MIT
// A strict reader of JSON text (RFC 8259) that the caller pulls token by token: no heap, no exceptions, no recursion.
#ifndef STET_WIRE_JSON_HPP
#define STET_WIRE_JSON_HPP

#include "json_scalars.hpp"

#include "../vocabulary/detail/endian.hpp"
#include "../vocabulary/detail/heap_sort.hpp"
#include "../vocabulary/detail/json_string.hpp"
#include "../vocabulary/detail/utf8.hpp"
#include "../vocabulary/error.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The most objects and arrays within each other that a reader can be told to take.
inline constexpr std::size_t max_json_depth = 64;

/// One piece of a JSON text.
enum class json_token : std::uint8_t {
  begin_object,
  end_object,
  begin_array,
  end_array,
  /// The key of a member; its value is the next token.
  key,
  string,
  number,
  boolean,
  null,
  /// Nothing but white space follows the value.
  end,
  /// The text is not JSON, or not one that the reader takes; `json_reader::code` says why. It stays the token.
  error,
};

/// Reads one JSON text token by token. The text must outlive it and what it gives.
///
///     json_reader in(text);
///     if (in.next() != json_token::begin_object) return in.code() != errc{} ? in.code() : errc::wrong_type;
///     while (in.next() == json_token::key) {
///       const json_string name = in.string();
///       in.next();
///       if (name == "size" && in.token() == json_token::number && in.number().is_unsigned()) size = in.number().magnitude;
///       in.skip();
///     }
///     if (in.next() != json_token::end) return in.code();
///
/// A loop over an object ends with `end_object` or `error`. Errors of a text:
/// @retval errc::bad_json    not JSON in UTF-8 (a byte order mark is not either), or something follows the value
/// @retval errc::too_deep    more objects and arrays within each other than the reader was told to take
/// @retval errc::bad_number  an integer does not fit 64 bits, or the nearest double of another number is infinite
/// That a key occurs once in its object is for the caller to check, who knows its fields; see `find_duplicate_key`.
/// Cost: one pass. Source: RFC 8259.
class json_reader {
public:
  /// @param max_depth  the most objects and arrays within each other, at most `max_json_depth`
  constexpr explicit json_reader(std::string_view text, std::size_t max_depth = max_json_depth) noexcept
      : begin_(text.data()), token_begin_(begin_), at_(begin_), end_(begin_ + text.size()),
        max_depth_(max_depth < max_json_depth ? max_depth : max_json_depth) {}

  /// Reads the next token.
  json_token next() noexcept {
    if (token_ == json_token::error || token_ == json_token::end) return token_;
    skip_space();
    token_begin_ = at_;
    if (expected_ == expected::value) return read_value();
    if (expected_ == expected::first) {
      if (at_ != end_ && *at_ == closing()) return close();
      return is_in_object() ? read_key() : read_value();
    }
    if (depth_ == 0) return at_ == end_ ? token_ = json_token::end : fail(errc::bad_json);
    if (at_ == end_) return fail(errc::bad_json);
    if (*at_ == closing()) return close();
    if (*at_ != ',') return fail(errc::bad_json);
    ++at_;
    skip_space();
    token_begin_ = at_;
    return is_in_object() ? read_key() : read_value();
  }

  /// The last token that was read; `null` before the first.
  [[nodiscard]] json_token token() const noexcept { return token_; }
  /// The text of the last token; after `skip`, of the value that was skipped.
  [[nodiscard]] std::string_view text() const noexcept {
    return {token_begin_, static_cast<std::size_t>(at_ - token_begin_)};
  }
  /// Of a key or string.
  [[nodiscard]] const json_string& string() const noexcept { return string_; }
  /// Of a number.
  [[nodiscard]] const json_number& number() const noexcept { return number_; }
  /// Of a boolean.
  [[nodiscard]] bool boolean() const noexcept { return *token_begin_ == 't'; }

  /// The objects and arrays that have begun and not ended.
  [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
  /// The offset behind the last token and, of a key, its colon; of an error, where reading stopped.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return static_cast<std::uint64_t>(at_ - begin_); }
  /// The error of the text; 0 if there is none so far.
  [[nodiscard]] errc code() const noexcept { return code_; }

  /// After a key: the text from behind its colon on.
  [[nodiscard]] std::string_view rest() const noexcept { return {at_, static_cast<std::size_t>(end_ - at_)}; }
  /// After a key: passes over its value, which the caller has read itself.
  /// @param size_bytes  at the beginning of `rest`, exactly one object or array that is valid JSON and within the depth
  void pass_value(std::size_t size_bytes) noexcept {
    token_begin_ = at_;
    at_ += size_bytes;
    expected_ = expected::separator;
    token_ = at_[-1] == '}' ? json_token::end_object : json_token::end_array;
  }

  /// Passes over the rest of the value whose first token was read.
  /// @return false after an error
  bool skip() noexcept {
    const char* const begin = token_begin_;
    if (token_ == json_token::begin_object || token_ == json_token::begin_array) {
      const std::size_t around = depth_ - 1;
      while (depth_ != around) {
        if (next() == json_token::error) return false;
      }
    }
    token_begin_ = begin;
    return token_ != json_token::error;
  }

private:
  enum class expected : std::uint8_t { value, first, separator };

  json_token fail(errc code, const char* where) noexcept {
    at_ = where;
    code_ = code;
    return token_ = json_token::error;
  }
  json_token fail(errc code) noexcept { return fail(code, at_); }

  void skip_space() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  [[nodiscard]] bool is_in_object() const noexcept { return (objects_ & 1) != 0; }
  [[nodiscard]] char closing() const noexcept { return is_in_object() ? '}' : ']'; }

  json_token open(json_token token, bool is_object) noexcept {
    if (depth_ == max_depth_) return fail(errc::too_deep);
    ++at_;
    ++depth_;
    objects_ = objects_ << 1 | (is_object ? 1 : 0);
    expected_ = expected::first;
    return token_ = token;
  }
  json_token close() noexcept {
    token_ = is_in_object() ? json_token::end_object : json_token::end_array;
    ++at_;
    --depth_;
    objects_ >>= 1;
    expected_ = expected::separator;
    return token_;
  }

  json_token read_value() noexcept {
    expected_ = expected::separator;
    if (at_ == end_) return fail(errc::bad_json);
    switch (*at_) {
    case '{':
      return open(json_token::begin_object, true);
    case '[':
      return open(json_token::begin_array, false);
    case '"':
      return read_string(json_token::string);
    case 't':
      return read_literal("true", json_token::boolean);
    case 'f':
      return read_literal("false", json_token::boolean);
    case 'n':
      return read_literal("null", json_token::null);
    default:
      return read_number();
    }
  }

  json_token read_literal(std::string_view literal, json_token token) noexcept {
    for (const char c : literal) {
      if (at_ == end_ || *at_ != c) return fail(errc::bad_json);
      ++at_;
    }
    return token_ = token;
  }

  json_token read_key() noexcept {
    if (at_ == end_ || *at_ != '"') return fail(errc::bad_json);
    if (read_string(json_token::key) == json_token::error) return token_;
    skip_space();
    if (at_ == end_ || *at_ != ':') return fail(errc::bad_json);
    ++at_;
    expected_ = expected::value;
    return token_;
  }

  json_token read_string(json_token token) noexcept {
    const char *const begin = at_ + 1, *at = begin;
    bool has_escapes = false;
    for (;;) {
      at = skip_plain(at);
      if (at == end_) return fail(errc::bad_json, at);
      if (*at == '"') break;
      if (*at == '\\') {
        has_escapes = true;
        if (!skip_escape(at)) return fail(errc::bad_json, at);
      } else if (!skip_character(at)) {
        return fail(errc::bad_json, at);
      }
    }
    string_ = {{begin, static_cast<std::size_t>(at - begin)}, has_escapes};
    at_ = at + 1;
    return token_ = token;
  }

  /// The first character from `at` on that is not ASCII, or means something in a string.
  [[nodiscard]] const char* skip_plain(const char* at) const noexcept {
    constexpr std::uint64_t not_ascii = 0x8080808080808080u;
    const auto is_plain = [](const char* eight) {
      const auto word = load_little<std::uint64_t>(reinterpret_cast<const std::byte*>(eight));
      return ((find_escapes(word) | word) & not_ascii) == 0;
    };
    for (;;) {
      while (end_ - at >= 8 && is_plain(at)) at += 8;
      const char* const stop = end_ - at > 8 ? at + 8 : end_;
      for (; at != stop; ++at) {
        const auto c = static_cast<unsigned char>(*at);
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') return at;
      }
      if (at == end_) return at;
    }
  }

  /// Passes over an escape. A surrogate has to be the first of a pair.
  [[nodiscard]] bool skip_escape(const char*& at) const noexcept {
    if (end_ - at < 2) return at = end_, false;
    if (at[1] != 'u') {
      if (std::string_view("\"\\/bfnrt").find(at[1]) == std::string_view::npos) return false;
      at += 2;
      return true;
    }
    std::uint32_t code = 0, low = 0;
    if (end_ - at < 6) return at = end_, false;
    if (!json_string::take_hex(at + 2, code) || (code >= 0xDC00 && code < 0xE000)) return false;
    if (code < 0xD800 || code >= 0xE000) return at += 6, true;
    if (end_ - at < 12) return at = end_, false;
    if (at[6] != '\\' || at[7] != 'u' || !json_string::take_hex(at + 8, low) || low < 0xDC00 || low >= 0xE000)
      return false;
    return at += 12, true;
  }

  /// Passes over a character of two bytes or more.
  [[nodiscard]] bool skip_character(const char*& at) const noexcept {
    const utf8_form form = utf8_form_of(static_cast<unsigned char>(*at));
    if (form.size_bytes == 0) return false;
    if (end_ - at < form.size_bytes) return at = end_, false;
    if (!form.fits(at)) return false;
    at += form.size_bytes;
    return true;
  }

  [[nodiscard]] static bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  /// Passes over one digit or more.
  [[nodiscard]] bool skip_digits(const char*& at) const noexcept {
    if (at == end_ || !is_digit(*at)) return false;
    while (at != end_ && is_digit(*at)) ++at;
    return true;
  }

  json_token read_number() noexcept {
    const char* at = at_;
    json_number made;
    made.is_negative = *at == '-';
    if (made.is_negative) ++at;
    if (at == end_ || !is_digit(*at)) return fail(errc::bad_json, at);
    constexpr std::uint64_t most = ~std::uint64_t{0};
    bool fits = true;
    if (*at == '0') {
      ++at; // no digit follows a leading 0
    } else {
      for (; at != end_ && is_digit(*at); ++at) {
        const auto digit = static_cast<std::uint64_t>(*at - '0');
        fits = fits && made.magnitude <= (most - digit) / 10;
        made.magnitude = made.magnitude * 10 + digit;
      }
    }
    made.is_integer = true;
    if (at != end_ && *at == '.') {
      made.is_integer = false;
      if (!skip_digits(++at)) return fail(errc::bad_json, at);
    }
    if (at != end_ && (*at == 'e' || *at == 'E')) {
      made.is_integer = false;
      ++at;
      if (at != end_ && (*at == '-' || *at == '+')) ++at;
      if (!skip_digits(at)) return fail(errc::bad_json, at);
    }
    made.raw = {at_, static_cast<std::size_t>(at - at_)};
    at_ = at;
    constexpr std::uint64_t most_negative = std::uint64_t{1} << 63;
    const bool is_held =
        made.is_integer ? fits && (!made.is_negative || made.magnitude <= most_negative) : made.is_finite();
    if (!is_held) return fail(errc::bad_number);
    number_ = made;
    return token_ = json_token::number;
  }

  const char *begin_, *token_begin_, *at_, *end_;
  std::size_t depth_ = 0, max_depth_;
  /// A bit for each object or array that is open, the innermost the lowest: whether it is an object.
  std::uint64_t objects_ = 0;
  json_string string_;
  json_number number_;
  json_token token_ = json_token::null;
  expected expected_ = expected::value;
  errc code_{};
};

/// A key of an object, for `find_duplicate_key`.
struct json_key {
  json_string name;
  /// Set by `find_duplicate_key` where it needs it.
  std::uint64_t hash = 0;
};

/// A key that equals another of `keys`, which are those of one object; nullptr if all differ. May change their order.
/// Cost: n log n, whatever the keys are; allocates nothing.
inline const json_key* find_duplicate_key(std::span<json_key> keys) noexcept {
  constexpr std::size_t few = 16;
  if (keys.size() <= few) {
    for (std::size_t i = 1; i < keys.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (keys[i].name == keys[j].name) return &keys[i];
      }
    }
    return nullptr;
  }
  for (json_key& each : keys) each.hash = each.name.hash();
  const auto is_before = [](const json_key& a, const json_key& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.name.compare(b.name) < 0;
  };
  heap_sort(keys.data(), keys.size(), is_before);
  for (std::size_t i = 1; i < keys.size(); ++i) {
    if (keys[i].hash == keys[i - 1].hash && keys[i].name == keys[i - 1].name) return &keys[i];
  }
  return nullptr;
}

/// Passes over the rest of the value whose first token was read, and checks that a key occurs once in each of its objects.
/// @param room       memory for the keys of all objects that are open at once
/// @param duplicate  set to the key that occurs twice
/// @retval errc::duplicate_key  found at the end of the object, where the reader then is
/// @retval errc::too_large      there are more keys than `room`
/// or the error of the text.
inline errc skip_checked(json_reader& in, std::span<json_key> room, json_string& duplicate) noexcept {
  std::size_t first_key[max_json_depth] = {};
  std::size_t level = 0, count = 0;
  for (;; in.next()) {
    switch (in.token()) {
    case json_token::error:
      return in.code();
    case json_token::begin_object:
    case json_token::begin_array:
      first_key[level++] = count;
      break;
    case json_token::key:
      if (count == room.size()) return errc::too_large;
      room[count++] = {in.string(), 0};
      break;
    case json_token::end_object:
    case json_token::end_array: // of what began here, so that `level` is not 0
      --level;
      if (const json_key* const found = find_duplicate_key(room.subspan(first_key[level], count - first_key[level]))) {
        duplicate = found->name;
        return errc::duplicate_key;
      }
      count = first_key[level];
      break;
    default:
      break;
    }
    if (level == 0) return {};
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
