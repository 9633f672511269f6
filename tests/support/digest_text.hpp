// SPDX-License-Identifier: MIT
// Digests of text, as text.
#ifndef STET_TESTS_SUPPORT_DIGEST_TEXT_HPP
#define STET_TESTS_SUPPORT_DIGEST_TEXT_HPP

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace stet_test {

/// The bytes of a text.
inline std::span<const std::byte> bytes_to_hash(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A digest in hexadecimal digits.
template <class Digest> std::string digest_text(const Digest& digest) {
  std::string text;
  for (const std::byte b : digest.bytes) {
    text += "0123456789abcdef"[static_cast<unsigned>(b) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned>(b) & 15u];
  }
  return text;
}

} // namespace stet_test

#endif
