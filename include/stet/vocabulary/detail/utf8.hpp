// SPDX-License-Identifier: MIT
// The form of UTF-8 characters of two bytes and more (The Unicode Standard, table 3-7).
#ifndef STET_VOCABULARY_DETAIL_UTF8_HPP
#define STET_VOCABULARY_DETAIL_UTF8_HPP

#include "../config.hpp"

namespace stet::inline STET_NAMESPACE::detail {

/// The bytes that may follow a first byte: no overlong forms, no surrogates, no code above U+10FFFF.
struct utf8_form {
  /// Of the whole character; 0 if none of several bytes begins so.
  unsigned char size_bytes;
  /// Of the second byte.
  unsigned char least, most;

  /// Whether `at`, which has `size_bytes` bytes, is such a character.
  [[nodiscard]] constexpr bool fits(const char* at) const noexcept {
    const auto second = static_cast<unsigned char>(at[1]);
    if (second < least || second > most) return false;
    for (unsigned i = 2; i < size_bytes; ++i) {
      if ((static_cast<unsigned char>(at[i]) & 0xC0u) != 0x80u) return false;
    }
    return true;
  }
};

/// The form of a character that begins with `first`, which is not ASCII.
constexpr utf8_form utf8_form_of(unsigned char first) noexcept {
  if (first < 0xC2u || first > 0xF4u) return {0, 0, 0};
  const unsigned char least = first == 0xE0u ? 0xA0u : first == 0xF0u ? 0x90u : 0x80u;
  const unsigned char most = first == 0xEDu ? 0x9Fu : first == 0xF4u ? 0x8Fu : 0xBFu;
  const unsigned char size = first < 0xE0u ? 2 : first < 0xF0u ? 3 : 4;
  return {size, least, most};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
