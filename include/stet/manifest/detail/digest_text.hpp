// SPDX-License-Identifier: MIT
// Digests as manifests have them: hexadecimal digits.
#ifndef STET_MANIFEST_DETAIL_DIGEST_TEXT_HPP
#define STET_MANIFEST_DETAIL_DIGEST_TEXT_HPP

#include "../../bytes/sha256.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

inline std::string hex_of(const sha256_digest& digest) {
  std::string text;
  for (const std::byte b : digest.bytes) {
    text += "0123456789abcdef"[static_cast<unsigned>(b) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned>(b) & 15u];
  }
  return text;
}

inline std::optional<sha256_digest> digest_of_hex(std::string_view text) {
  sha256_digest digest;
  if (text.size() != 2 * sizeof digest.bytes) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t value = std::string_view("0123456789abcdef").find(text[i]);
    if (value == std::string_view::npos) return std::nullopt;
    digest.bytes[i / 2] =
        static_cast<std::byte>(static_cast<unsigned>(digest.bytes[i / 2]) << 4 | static_cast<unsigned>(value));
  }
  return digest;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
