// SPDX-License-Identifier: MIT
// Reads the Python literals of an npy header: strings, integers, True and False, tuples, lists and one dict.
#ifndef STET_FORMATS_NUMPY_DETAIL_LITERAL_HPP
#define STET_FORMATS_NUMPY_DETAIL_LITERAL_HPP

#include "../../../vocabulary/config.hpp"

#include "../../../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// A string of a literal: the text between its quotes, with escapes.
class npy_string {
public:
  npy_string() noexcept = default;
  explicit npy_string(std::string_view raw) noexcept : raw_(raw) {}

  /// The text as in the file, escapes not decoded.
  [[nodiscard]] std::string_view raw() const noexcept { return raw_; }

  /// Takes the next character from `rest`, which is not empty: a code point of an escape, else one byte of the text.
  static std::uint32_t take(std::string_view& rest) noexcept {
    const auto byte_at = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(rest[i])); };
    std::uint32_t value = byte_at(0);
    std::size_t size = 1;
    if (value == '\\') {
      value = byte_at(1);
      size = 2;
      const std::size_t digits = size_of_escape(rest[1]);
      if (digits != 0) {
        value = 0;
        for (; size < 2 + digits; ++size) value = value << 4 | static_cast<std::uint32_t>(hex_digit(rest[size]));
      }
    }
    rest.remove_prefix(size);
    return value;
  }
  /// True if the decoded text is `text`, ASCII.
  [[nodiscard]] bool equals(std::string_view text) const noexcept {
    std::string_view rest = raw_;
    for (const char each : text) {
      if (rest.empty() || take(rest) != static_cast<unsigned char>(each)) return false;
    }
    return rest.empty();
  }
  /// Decodes the text to `into`. @return its size, or `size` + 1 if there is no room or a character is not ASCII
  std::size_t decode(char* into, std::size_t size) const noexcept {
    std::size_t count = 0;
    for (std::string_view rest = raw_; !rest.empty(); ++count) {
      const std::uint32_t value = take(rest);
      if (value > 0x7E || count == size) return size + 1;
      into[count] = static_cast<char>(value);
    }
    return count;
  }

  /// The number of hexadecimal digits of an escape that begins with this letter; 0 for others.
  static constexpr std::size_t size_of_escape(char letter) noexcept {
    return letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
  }
  /// The value of a digit of base 16; -1 for another character.
  static constexpr int hex_digit(char from) noexcept {
    if (from >= '0' && from <= '9') return from - '0';
    if (from >= 'a' && from <= 'f') return from - 'a' + 10;
    return from >= 'A' && from <= 'F' ? from - 'A' + 10 : -1;
  }

private:
  std::string_view raw_;
};

/// An integer of a literal.
struct npy_integer {
  std::uint64_t magnitude = 0;
  bool is_negative = false;
  bool is_too_large = false;
};

/// Takes the parts of a literal one after the other; spaces and comments between them are passed over. Evaluates nothing.
class npy_literal {
public:
  /// @param text       the header, which must outlive this object
  /// @param has_longs  whether integers may end in 'L', as Python 2 wrote them
  npy_literal(std::string_view text, bool has_longs) noexcept : text_(text), has_longs_(has_longs) {}

  /// The offset of the next part in the header.
  [[nodiscard]] std::size_t offset() noexcept { return pass_spaces(), at_; }
  /// The text from `begin` to here.
  [[nodiscard]] std::string_view text_from(std::size_t begin) const noexcept {
    return text_at(text_.data() + begin, at_ - begin);
  }
  /// The next character; 0 at the end.
  [[nodiscard]] char peek() noexcept {
    pass_spaces();
    return at_ == text_.size() ? '\0' : text_[at_];
  }
  [[nodiscard]] bool is_at_end() noexcept { return pass_spaces(), at_ == text_.size(); }

  /// Passes over the punctuation mark `mark` if it is next.
  bool take(char mark) noexcept {
    if (peek() != mark || is_at_end()) return false;
    ++at_;
    return true;
  }

  /// Takes a string in single or double quotes. Of escapes, \xNN, \uNNNN, \UNNNNNNNN, \\, \' and \" are known.
  bool take(npy_string& into) noexcept {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return false;
    const std::size_t begin = at_ + 1;
    for (std::size_t end = begin; end < text_.size(); ++end) {
      const char each = text_[end];
      if (each == quote) {
        into = npy_string(text_at(text_.data() + begin, end - begin));
        at_ = end + 1;
        // What follows would be a part of the string: '''…''' and 'a' 'b'.
        return peek() != '\'' && peek() != '"';
      }
      if (static_cast<unsigned char>(each) < 0x20 || each == 0x7F) return false;
      if (each == '\\' && !pass_escape(end)) return false;
    }
    return false;
  }

  /// Takes an integer: decimal, or with 0x, 0o or 0b.
  bool take(npy_integer& into) noexcept {
    into = npy_integer();
    std::size_t at = (pass_spaces(), at_);
    if (at < text_.size() && (text_[at] == '-' || text_[at] == '+')) into.is_negative = text_[at++] == '-';
    std::uint64_t base = 10;
    if (at + 1 < text_.size() && text_[at] == '0') {
      const char letter = static_cast<char>(text_[at + 1] | 0x20);
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
      if (base != 10) at += 2;
    }
    const std::size_t begin = at;
    for (; at < text_.size(); ++at) {
      const int digit = npy_string::hex_digit(text_[at]);
      if (digit < 0 || static_cast<std::uint64_t>(digit) >= base) break;
      if (into.magnitude > (~std::uint64_t{0} - static_cast<std::uint64_t>(digit)) / base) into.is_too_large = true;
      into.magnitude = into.magnitude * base + static_cast<std::uint64_t>(digit);
    }
    // Python refuses 012.
    if (at == begin || (base == 10 && at - begin > 1 && text_[begin] == '0')) return false;
    if (has_longs_ && at < text_.size() && text_[at] == 'L') ++at;
    if (at < text_.size() && is_word(text_[at])) return false;
    at_ = at;
    return true;
  }

  /// Takes True or False.
  bool take(bool& into) noexcept {
    pass_spaces();
    for (const std::string_view word : {std::string_view("True"), std::string_view("False")}) {
      if (text_.substr(at_, word.size()) != word) continue;
      const std::size_t end = at_ + word.size();
      if (end < text_.size() && is_word(text_[end])) return false;
      into = word.size() == 4;
      at_ = end;
      return true;
    }
    return false;
  }

private:
  static constexpr bool is_word(char each) noexcept {
    return (each >= '0' && each <= '9') || (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
           each == '_' || each == '.' || static_cast<unsigned char>(each) >= 0x80;
  }

  void pass_spaces() noexcept {
    for (; at_ < text_.size(); ++at_) {
      const char each = text_[at_];
      if (each == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
        if (at_ == text_.size()) return;
      } else if (each != ' ' && each != '\t' && each != '\n' && each != '\r' && each != '\f') {
        return;
      }
    }
  }

  /// Moves `at` from a backslash to the last character of its escape. False if the escape is not known, or cut off.
  [[nodiscard]] bool pass_escape(std::size_t& at) const noexcept {
    if (++at == text_.size()) return false;
    const char letter = text_[at];
    if (letter == '\\' || letter == '\'' || letter == '"') return true;
    const std::size_t digits = npy_string::size_of_escape(letter);
    for (std::size_t i = 0; i < digits; ++i) {
      if (++at == text_.size() || npy_string::hex_digit(text_[at]) < 0) return false;
    }
    return digits != 0;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool has_longs_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
