// SPDX-License-Identifier: MIT
// Encodes numbers and names so that the bytes sort like the values: the keys of tensor slices in TensorFlow's checkpoints.
#ifndef STET_WIRE_ORDERED_CODE_HPP
#define STET_WIRE_ORDERED_CODE_HPP

#include "../vocabulary/config.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// There is no decoder: a slice is found by encoding its key and looking that up.
// Source: tensorflow/core/lib/strings/ordered_code.cc.

namespace stet::inline STET_NAMESPACE::detail {

/// Appends a number: its size in bytes without leading zeros, then these bytes, most significant first.
inline void append_ordered_number(std::string& into, std::uint64_t value) {
  unsigned count = 0;
  while (count < 8 && value >> (8 * count) != 0) ++count;
  into.push_back(static_cast<char>(count));
  while (count-- > 0) into.push_back(static_cast<char>(value >> (8 * count) & 0xFF));
}

/// Appends any bytes. 00 becomes 00 FF, FF becomes FF 00, and 00 01 marks the end.
inline void append_ordered_text(std::string& into, std::string_view text) {
  for (const char c : text) {
    into.push_back(c);
    if (c == '\0') into.push_back('\xFF');
    if (c == '\xFF') into.push_back('\0');
  }
  into.append({'\0', '\1'});
}

/// Appends a signed number in n bytes, where n is the least for which the number without its sign fits in 7 n - 1 bits: two's
/// complement, most significant byte first. The first n bits are 1 and the next is 0, exclusive-or'ed with the sign.
inline void append_ordered_signed(std::string& into, std::int64_t value) {
  const std::uint64_t bits = static_cast<std::uint64_t>(value);
  const std::uint64_t magnitude = value < 0 ? ~bits : bits;
  unsigned count = 1;
  while (count < 10 && magnitude >> (7 * count - 1) != 0) ++count;
  // 10 bytes: the number has 8, the sign fills the others. From n = 9 on, the n ones of the header reach into the second byte.
  const std::uint32_t header = (0xFFFF0000u >> count) & 0xFFFFu;
  for (unsigned i = 0; i < count; ++i) {
    const unsigned from_end = count - 1 - i;
    std::uint32_t byte = from_end < 8 ? static_cast<std::uint32_t>(bits >> (8 * from_end)) & 0xFFu
                         : value < 0  ? 0xFFu
                                      : 0u;
    if (i < 2) byte ^= i == 0 ? header >> 8 : header & 0xFFu;
    into.push_back(static_cast<char>(byte));
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
