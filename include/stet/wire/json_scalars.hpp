// SPDX-License-Identifier: MIT
// Strings and numbers as they stand in a JSON text (RFC 8259), decoded on demand.
#ifndef STET_WIRE_JSON_SCALARS_HPP
#define STET_WIRE_JSON_SCALARS_HPP

#include "../bytes/detail/fnv1a.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// A string as it stands in a JSON text, without its quotes. A reader has checked it.
class json_string {
public:
  constexpr json_string() noexcept = default;
  constexpr json_string(std::string_view raw, bool has_escapes) noexcept : raw_(raw), has_escapes_(has_escapes) {}

  /// The characters between the quotes, escapes as they stand.
  [[nodiscard]] constexpr std::string_view raw() const noexcept { return raw_; }
  /// Whether the string differs from `raw`.
  [[nodiscard]] constexpr bool has_escapes() const noexcept { return has_escapes_; }

  /// Writes the string, UTF-8 that may hold NULs, to `into`, which has room for `raw().size()` bytes.
  /// @return its size in bytes
  std::size_t decode(char* into) const noexcept {
    const char* const begin = into;
    visit([&into](char c) {
      *into++ = c;
      return true;
    });
    return static_cast<std::size_t>(into - begin);
  }

  friend bool operator==(const json_string& string, std::string_view text) noexcept {
    // In these words, so that compilers compare with a short literal by a few instructions.
    if (!string.has_escapes_)
      return string.raw_.size() == text.size() &&
             (text.empty() || std::memcmp(string.raw_.data(), text.data(), text.size()) == 0);
    std::size_t at = 0;
    const bool is_prefix = string.visit([&](char c) { return at < text.size() && text[at++] == c; });
    return is_prefix && at == text.size();
  }
  friend bool operator==(const json_string& a, const json_string& b) noexcept { return a.compare(b) == 0; }
  /// Orders strings by their bytes: negative, 0 or positive, as std::string_view::compare.
  [[nodiscard]] int compare(const json_string& other) const noexcept {
    if (!has_escapes_ && !other.has_escapes_) return raw_.compare(other.raw_);
    const char *a = raw_.data(), *b = other.raw_.data();
    const char *const end_of_a = a + raw_.size(), *const end_of_b = b + other.raw_.size();
    character from_a, from_b;
    for (;;) {
      const bool has_a = from_a.take(a, end_of_a), has_b = from_b.take(b, end_of_b);
      if (!has_a || !has_b) return static_cast<int>(has_a) - static_cast<int>(has_b);
      if (from_a.byte != from_b.byte) return from_a.byte < from_b.byte ? -1 : 1;
    }
  }
  /// A hash of the string, the same however it is escaped.
  [[nodiscard]] std::uint64_t hash() const noexcept {
    fnv1a hash;
    visit([&hash](char c) {
      hash.add(static_cast<unsigned char>(c), 1);
      return true;
    });
    return hash.value();
  }

  /// The number that four hexadecimal digits make; false if they are not all digits.
  static bool take_hex(const char* digits, std::uint32_t& number) noexcept {
    number = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = digits[i];
      const std::uint32_t digit = c >= '0' && c <= '9'   ? static_cast<std::uint32_t>(c - '0')
                                  : c >= 'a' && c <= 'f' ? static_cast<std::uint32_t>(c - 'a' + 10)
                                  : c >= 'A' && c <= 'F' ? static_cast<std::uint32_t>(c - 'A' + 10)
                                                         : 16;
      if (digit == 16) return false;
      number = number << 4 | digit;
    }
    return true;
  }

private:
  /// Gives the bytes of a string one by one.
  struct character {
    unsigned char byte = 0;

    bool take(const char*& at, const char* end) noexcept {
      if (next != count) return byte = bytes[next++], true;
      if (at == end) return false;
      if (*at != '\\') return byte = static_cast<unsigned char>(*at++), true;
      constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
      const char letter = at[1];
      at += 2;
      if (letter != 'u') return byte = static_cast<unsigned char>(meanings[letters.find(letter)]), true;
      std::uint32_t code = 0, low = 0;
      (void)take_hex(at, code);
      at += 4;
      if (code >= 0xD800 && code < 0xDC00) {
        (void)take_hex(at + 2, low);
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
      }
      count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      for (unsigned i = count; i-- > 1; code >>= 6) bytes[i] = static_cast<unsigned char>(0x80 | (code & 0x3F));
      constexpr unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
      bytes[0] = static_cast<unsigned char>(leads[count] | code);
      next = 1;
      return byte = bytes[0], true;
    }

    unsigned char bytes[4] = {};
    unsigned next = 0, count = 0;
  };

  /// Calls `take` with each byte until it returns false. @return whether it never did
  template <class Take> bool visit(Take take) const noexcept {
    if (!has_escapes_) {
      for (const char c : raw_) {
        if (!take(c)) return false;
      }
      return true;
    }
    const char* at = raw_.data();
    for (character each; each.take(at, raw_.data() + raw_.size());) {
      if (!take(static_cast<char>(each.byte))) return false;
    }
    return true;
  }

  std::string_view raw_;
  bool has_escapes_ = false;
};

/// A number as it stands in a JSON text. A reader has checked it: an integer fits 64 bits, another number a double.
struct json_number {
  std::string_view raw;
  /// Of an integer.
  std::uint64_t magnitude = 0;
  /// Whether there is neither a fraction nor an exponent.
  bool is_integer = false;
  bool is_negative = false;

  /// Whether it is written as a non-negative integer: of digits alone.
  [[nodiscard]] bool is_unsigned() const noexcept { return is_integer && !is_negative; }

  /// The double nearest to the number, whatever the locale is.
  /// Cost: a copy of at most 800 digits on the stack, and strtod, which some C libraries let allocate.
  [[nodiscard]] double to_double() const noexcept {
    // Without a decimal point, which a locale may spell otherwise. No double needs more than 767 digits to be told from the
    // number half way to the next; of those behind it matters whether one is not 0.
    constexpr std::size_t most_digits = 800;
    char text[most_digits + 32];
    char* into = text;
    if (is_negative) *into++ = '-';
    const scientific parts = split();
    std::size_t count = 0;
    bool is_more = false;
    for (const char c : parts.digits) {
      if (c == '.') continue;
      if (count == most_digits) {
        is_more = is_more || c != '0';
      } else {
        into[count++] = c;
      }
    }
    if (count == 0) into[count++] = '0';
    if (is_more) into[count++] = '1';
    into += count;
    *into++ = 'e';
    constexpr std::int64_t beyond = 100000;
    std::int64_t exponent = parts.exponent - static_cast<std::int64_t>(count) + 1;
    exponent = exponent < -beyond ? -beyond : exponent > beyond ? beyond : exponent;
    if (exponent < 0) *into++ = '-';
    char digits[8];
    std::size_t size = 0;
    for (std::int64_t left = exponent < 0 ? -exponent : exponent; size == 0 || left != 0; left /= 10)
      digits[size++] = static_cast<char>('0' + left % 10);
    while (size != 0) *into++ = digits[--size];
    *into = '\0';
    return std::strtod(text, nullptr);
  }

  /// Whether the nearest double is finite. Needs no strtod.
  [[nodiscard]] bool is_finite() const noexcept {
    // The digits of the number half way between the largest double and what would be the next, which rounds to infinity.
    constexpr std::string_view limit = "1797693134862315807937289714053034150799341327100378269361737789";
    constexpr std::int64_t limit_exponent = 308;
    const scientific parts = split();
    if (parts.digits.empty() || parts.exponent != limit_exponent)
      return parts.digits.empty() || parts.exponent < limit_exponent;
    std::size_t at = 0;
    for (const char c : parts.digits) {
      if (c == '.') continue;
      if (c != limit[at]) return c < limit[at];
      if (++at == limit.size()) return false;
    }
    return true;
  }

private:
  /// The digits from the first that is not 0, perhaps with a point among them, and the power of ten of that first digit.
  struct scientific {
    std::string_view digits;
    std::int64_t exponent;
  };
  [[nodiscard]] scientific split() const noexcept {
    const auto or_end = [](std::size_t found, std::size_t end) { return found < end ? found : end; };
    const std::size_t end = or_end(raw.find_first_of("eE"), raw.size());
    const std::size_t first = raw.find_first_of("123456789");
    if (first >= end) return {{}, 0};
    const std::size_t point = or_end(raw.find('.'), end);
    const auto place = [](std::size_t at) { return static_cast<std::int64_t>(at); };
    std::int64_t exponent = first < point ? place(point) - place(first) - 1 : place(point) - place(first);
    std::int64_t written = 0;
    std::size_t at = end + 1;
    const bool is_small = at < raw.size() && raw[at] == '-';
    if (at < raw.size() && (raw[at] == '-' || raw[at] == '+')) ++at;
    // More digits than these lead beyond every double, whatever stands before.
    constexpr std::int64_t most = std::int64_t{1} << 60;
    for (; at < raw.size(); ++at) written = written > most / 16 ? most : written * 10 + (raw[at] - '0');
    return {std::string_view(raw.data() + first, end - first), exponent + (is_small ? -written : written)};
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
