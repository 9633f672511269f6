// SPDX-License-Identifier: MIT
// The file `checkpoint`, which lists the newest checkpoint of a TensorFlow folder and all that are kept.
#ifndef STET_FORMATS_TENSORFLOW_STATE_FILE_HPP
#define STET_FORMATS_TENSORFLOW_STATE_FILE_HPP

#include "../../vocabulary/result.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A CheckpointState in the text form of Protocol Buffers:
//
//   model_checkpoint_path: "ckpt-2"                      the newest
//   all_model_checkpoint_paths: "ckpt-1"                 all that are kept, oldest first
//   all_model_checkpoint_paths: "ckpt-2"
//   all_model_checkpoint_timestamps: 1700000000.25       the time of each, in seconds since 1970 (CheckpointManager only)
//   last_preserved_timestamp: 1699990000.5               the time of the last one that is never removed (CheckpointManager only)
//
// Paths are prefixes of checkpoints, relative to the folder or absolute. Fields may be separated by ',' or ';', and lists may be
// written as [a, b]. Strings have either kind of quotes, C's escapes, and may be in several pieces. '#' begins a comment. If a
// field that is not repeated occurs twice, the last one is valid. As in TensorFlow, an unknown field or a missing colon makes
// the file invalid.
// Source: tensorflow/python/training/checkpoint_state.proto; protobuf.dev, "Text Format Language".

namespace stet::inline STET_NAMESPACE {

/// The contents of TensorFlow's state file. A plain value.
struct tensorflow_state {
  /// The prefix of the newest checkpoint, as stored.
  std::string model_checkpoint_path;
  /// The checkpoints that are kept, oldest first.
  std::vector<std::string> all_model_checkpoint_paths;
  /// The time of each path, in seconds since 1970-01-01 UTC; or empty.
  std::vector<double> all_model_checkpoint_timestamps;
  /// The time of the last checkpoint that is never removed, in seconds since 1970-01-01 UTC.
  double last_preserved_timestamp = 0;
  friend bool operator==(const tensorflow_state&, const tensorflow_state&) = default;
};

namespace detail {

/// The largest size of a state file.
inline constexpr std::uint64_t max_tensorflow_state_size_bytes = std::uint64_t{64} << 20;

/// Reads the text form, token by token.
class tensorflow_state_parser {
public:
  explicit tensorflow_state_parser(std::string_view text) noexcept : text_(text) {}

  result<tensorflow_state> run() {
    tensorflow_state state;
    for (skip_blanks(); at_ < text_.size(); skip_blanks()) {
      const std::size_t begin = at_;
      const std::string_view name = word();
      if (!take(':') || !field(name, state)) return error(errc::bad_state_file, name, begin);
      if (!take(',')) (void)take(';');
    }
    if (state.model_checkpoint_path.empty()) return error(errc::bad_state_file, "model_checkpoint_path");
    return state;
  }

private:
  bool field(std::string_view name, tensorflow_state& state) {
    if (name == "model_checkpoint_path") return string(state.model_checkpoint_path);
    if (name == "last_preserved_timestamp") return number(state.last_preserved_timestamp);
    if (name == "all_model_checkpoint_paths") {
      return each([&] { return string(state.all_model_checkpoint_paths.emplace_back()); });
    }
    if (name == "all_model_checkpoint_timestamps") {
      return each([&] { return number(state.all_model_checkpoint_timestamps.emplace_back()); });
    }
    return false;
  }

  /// Parses one value, or a list of values.
  template <class Value> bool each(Value&& value) {
    if (!take('[')) return value();
    if (take(']')) return true;
    do {
      if (!value()) return false;
    } while (take(','));
    return take(']');
  }

  void skip_blanks() noexcept {
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '#') {
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      } else if (std::string_view(" \t\r\n\v\f").find(text_[at_]) == std::string_view::npos) {
        return;
      }
    }
  }
  /// Passes over `c`. Returns false if another character is next.
  bool take(char c) noexcept {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string_view word() noexcept {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_lower(text_[at_]) || text_[at_] == '_')) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  static bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }

  bool string(std::string& into) {
    into.clear();
    skip_blanks();
    bool any = false;
    for (; at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\''); skip_blanks()) {
      const char quote = text_[at_++];
      while (at_ < text_.size() && text_[at_] != quote) {
        if (text_[at_] == '\n') return false;
        if (text_[at_] != '\\') {
          into += text_[at_++];
        } else if (++at_; !escape(into)) {
          return false;
        }
      }
      if (at_++ >= text_.size()) return false;
      any = true;
    }
    return any;
  }

  /// Parses the escape after a backslash.
  bool escape(std::string& into) {
    if (at_ >= text_.size()) return false;
    constexpr std::string_view letters = "abfnrtv\\'\"?", meanings = "\a\b\f\n\r\t\v\\'\"?";
    const char c = text_[at_];
    if (const std::size_t letter = letters.find(c); letter != std::string_view::npos) {
      into += meanings[letter];
      ++at_;
      return true;
    }
    std::uint32_t code = 0;
    if (c >= '0' && c <= '7') {
      if (digits(code, 8, 3) == 0 || code > 0xFF) return false;
    } else if (c == 'x' || c == 'X') {
      ++at_;
      if (digits(code, 16, 2) == 0) return false;
    } else {
      if (c != 'u' && c != 'U') return false;
      ++at_;
      const std::size_t length = c == 'u' ? 4 : 8;
      if (digits(code, 16, length) != length || code > 0x10FFFF) return false;
      append_utf8(into, code);
      return true;
    }
    into += static_cast<char>(code);
    return true;
  }
  /// Parses up to `limit` digits. @return the number of digits
  std::size_t digits(std::uint32_t& value, std::uint32_t base, std::size_t limit) noexcept {
    constexpr std::string_view known = "0123456789abcdef0123456789ABCDEF";
    std::size_t count = 0;
    for (; count < limit && at_ < text_.size(); ++count, ++at_) {
      const std::size_t digit = known.find(text_[at_]) % 16;
      if (known.find(text_[at_]) == std::string_view::npos || digit >= base) break;
      value = value * base + static_cast<std::uint32_t>(digit);
    }
    return count;
  }
  static void append_utf8(std::string& into, std::uint32_t code) {
    const unsigned following = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    constexpr std::uint32_t leads[] = {0, 0xC0, 0xE0, 0xF0};
    into += static_cast<char>(leads[following] | code >> (6 * following));
    for (unsigned i = following; i-- > 0;) into += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
  }

  /// Parses a decimal number, digit by digit, because the functions of the C library depend on the locale. Fractions of a second
  /// need at most the sixteen digits of a double.
  bool number(double& into) {
    skip_blanks();
    const std::size_t begin = at_;
    const bool is_negative = take('-');
    std::uint64_t value = 0;
    int exponent = 0;
    bool any = false, in_fraction = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '.' && !in_fraction) {
        in_fraction = true;
        continue;
      }
      if (c < '0' || c > '9') break;
      any = true;
      const bool fits = value < 100000000000000000u;
      if (fits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
      if (fits == in_fraction) exponent += in_fraction ? -1 : 1;
    }
    if (!any) return at_ = begin, false;
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      const bool is_small = at_ < text_.size() && text_[at_] == '-';
      if (is_small || (at_ < text_.size() && text_[at_] == '+')) ++at_;
      std::uint32_t power = 0;
      if (digits(power, 10, 4) == 0) return false;
      exponent += is_small ? -static_cast<int>(power) : static_cast<int>(power);
    }
    // The C library parses digits with an exponent in every locale, and rounds correctly.
    char digits_and_exponent[48];
    std::snprintf(digits_and_exponent, sizeof digits_and_exponent, "%s%llue%d", is_negative ? "-" : "",
                  static_cast<unsigned long long>(value), exponent);
    into = std::strtod(digits_and_exponent, nullptr);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

} // namespace detail

/// Parses TensorFlow's state file, which may have any content.
/// @retval errc::bad_state_file  the file is invalid, at the offset of the error, or lists no checkpoint
/// Cost: one pass; allocates the strings.
[[nodiscard]] inline result<tensorflow_state> parse_tensorflow_state(std::string_view text) {
  return detail::tensorflow_state_parser(text).run();
}

/// Prints a state file. Like TensorFlow, it leaves out a `last_preserved_timestamp` of 0.
[[nodiscard]] inline std::string print_tensorflow_state(const tensorflow_state& state) {
  std::string text;
  const auto path = [&](std::string_view name, std::string_view value) {
    text.append(name).append(": \"");
    for (const char c : value) {
      const unsigned char byte = static_cast<unsigned char>(c);
      if (byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\') {
        text += c;
      } else {
        for (const char digit : {'\\', static_cast<char>('0' + (byte >> 6)), static_cast<char>('0' + (byte >> 3 & 7)),
                                 static_cast<char>('0' + (byte & 7))}) {
          text += digit;
        }
      }
    }
    text += "\"\n";
  };
  const auto time = [&](std::string_view name, double seconds) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.17g", seconds);
    std::replace(std::begin(digits), std::end(digits), ',', '.'); // some locales print ','
    text.append(name).append(": ").append(digits).append("\n");
  };
  path("model_checkpoint_path", state.model_checkpoint_path);
  for (const std::string& each : state.all_model_checkpoint_paths) path("all_model_checkpoint_paths", each);
  for (const double each : state.all_model_checkpoint_timestamps) time("all_model_checkpoint_timestamps", each);
  if (state.last_preserved_timestamp != 0) time("last_preserved_timestamp", state.last_preserved_timestamp);
  return text;
}

} // namespace stet::inline STET_NAMESPACE

#endif
