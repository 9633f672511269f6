// SPDX-License-Identifier: MIT
// Base64 (RFC 4648, 4), the form of bytes in JSON.
#ifndef STET_WIRE_BASE64_HPP
#define STET_WIRE_BASE64_HPP

#include "../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// Encodes `bytes`, padded with '='.
inline std::string to_base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = bytes.size() - at < 3 ? bytes.size() - at : 3;
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (std::size_t i = 0; i < 4; ++i) text.push_back(i <= count ? digits[bits >> (18 - 6 * i) & 63u] : '=');
  }
  return text;
}

/// Decodes `text`, which may use either alphabet and may lack the padding, as readers of JSON messages accept it.
/// Returns nothing if the text is invalid.
inline std::optional<std::string> from_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  const auto value_of = [](char c) -> std::uint32_t {
    if (c >= 'A' && c <= 'Z') return static_cast<std::uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'z') return static_cast<std::uint32_t>(c - 'a' + 26);
    if (c >= '0' && c <= '9') return static_cast<std::uint32_t>(c - '0' + 52);
    return c == '+' || c == '-' ? 62u : c == '/' || c == '_' ? 63u : 64u;
  };
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0, filled = 0;
  for (const char c : text) {
    const std::uint32_t value = value_of(c);
    if (value == 64) return std::nullopt;
    bits = bits << 6 | value;
    filled += 6;
    if (filled >= 8) {
      filled -= 8;
      bytes.push_back(static_cast<char>(bits >> filled & 0xFFu));
    }
  }
  return bytes;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
