// SPDX-License-Identifier: MIT
// JSON read token by token with a check that no key occurs twice, and copied as a manifest has it.
#ifndef STET_MANIFEST_DETAIL_JSON_INPUT_HPP
#define STET_MANIFEST_DETAIL_JSON_INPUT_HPP

#include "../../vocabulary/result.hpp"
#include "../../wire/json.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Decodes the string into `into`.
inline void assign_string(const json_string& string, std::string& into) {
  if (!string.has_escapes()) {
    into = string.raw();
    return;
  }
  into.resize(string.raw().size());
  into.resize(string.decode(into.data()));
}

/// A `json_reader` that also detects duplicate keys, and keeps the failure of the text as an error.
/// Cost: allocates about 40 bytes for each key of the objects that are open.
class json_input {
public:
  explicit json_input(std::string_view text, std::size_t max_depth = max_json_depth) noexcept : in_(text, max_depth) {}

  /// Reads the next token. A duplicate key is an `error` at the end of its object.
  json_token next() {
    if (failure_) return json_token::error;
    switch (in_.next()) {
    case json_token::begin_object:
    case json_token::begin_array:
      first_key_[in_.depth() - 1] = keys_.size();
      break;
    case json_token::key:
      if (in_.depth() != unchecked_depth_) keys_.push_back({in_.string(), 0});
      break;
    case json_token::end_object:
    case json_token::end_array:
      end_level();
      break;
    case json_token::error:
      fail_reading();
      break;
    default:
      break;
    }
    return token();
  }

  [[nodiscard]] json_token token() const noexcept { return failure_ ? json_token::error : in_.token(); }
  [[nodiscard]] const json_string& string() const noexcept { return in_.string(); }
  [[nodiscard]] const json_number& number() const noexcept { return in_.number(); }
  [[nodiscard]] bool boolean() const noexcept { return in_.boolean(); }
  [[nodiscard]] std::string_view text() const noexcept { return in_.text(); }
  [[nodiscard]] std::size_t depth() const noexcept { return in_.depth(); }
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return in_.offset_bytes(); }
  /// The failure of the text, if any. For a duplicate key, and for an integer that does not fit, the subject is the key.
  [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }

  /// Does not check the keys of the innermost object, which has just begun; the caller does.
  void leave_keys() noexcept { unchecked_depth_ = in_.depth(); }

  /// Skips the rest of the value whose first token was read. @return false if it is not valid
  bool skip() {
    if (token() != json_token::begin_object && token() != json_token::begin_array) return !failure_;
    for (const std::size_t around = in_.depth() - 1; in_.depth() != around;) {
      if (next() == json_token::error) return false;
    }
    return true;
  }

private:
  void end_level() {
    const std::size_t first = first_key_[in_.depth()];
    if (const json_key* const found = find_duplicate_key(std::span(keys_).subspan(first))) {
      std::string name;
      assign_string(found->name, name);
      failure_ = error(errc::duplicate_key, name, in_.offset_bytes());
    }
    keys_.resize(first);
    if (unchecked_depth_ > in_.depth()) unchecked_depth_ = 0;
  }
  void fail_reading() {
    std::string name;
    if (in_.code() == errc::bad_number && !keys_.empty()) assign_string(keys_.back().name, name);
    failure_ = error(in_.code(), name, in_.offset_bytes());
  }

  json_reader in_;
  std::size_t unchecked_depth_ = 0;
  /// By depth: the number of keys when the object or array began.
  std::size_t first_key_[max_json_depth + 1] = {};
  std::vector<json_key> keys_;
  std::optional<error> failure_;
};

/// Appends a string and escapes only the characters that must be.
inline void append_json_string(std::string& out, std::string_view text) {
  emit_json_string(text, [&out](std::string_view piece) { out += piece; });
}
inline void append_json_string(std::string& out, const json_string& string) {
  if (!string.has_escapes()) {
    out += '"';
    out += string.raw();
    out += '"';
    return;
  }
  std::string decoded;
  assign_string(string, decoded);
  append_json_string(out, decoded);
}

/// Appends a key, with its separator and colon, to the text of an object that is not closed yet.
template <class Name> void append_json_key(std::string& object, const Name& name) {
  object += object.empty() ? '{' : ',';
  append_json_string(object, name);
  object += ':';
}

/// Appends the value whose first token was read in the form that a manifest has: without spaces, with the fewest escapes, and
/// with numbers unchanged, except that -0 becomes 0.
/// @return false if the value is not valid
inline bool append_json_value(std::string& out, json_input& in) {
  bool is_separated = true; // no comma is needed in front of the next value
  const bool is_container = in.token() == json_token::begin_object || in.token() == json_token::begin_array;
  for (const std::size_t around = in.depth() - (is_container ? 1 : 0);; in.next()) {
    const json_token token = in.token();
    if (token == json_token::error) return false;
    const bool is_end = token == json_token::end_object || token == json_token::end_array;
    if (!is_separated && !is_end) out += ',';
    switch (token) {
    case json_token::key:
      append_json_string(out, in.string());
      out += ':';
      is_separated = true;
      continue;
    case json_token::string:
      append_json_string(out, in.string());
      break;
    case json_token::number:
      if (in.number().is_integer && in.number().magnitude == 0)
        out += '0';
      else
        out += in.number().raw;
      break;
    default:
      out += in.text();
      break; // a literal, a brace or a bracket
    }
    is_separated = token == json_token::begin_object || token == json_token::begin_array;
    if (in.depth() == around) return true;
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
