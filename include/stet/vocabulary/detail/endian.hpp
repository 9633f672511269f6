// SPDX-License-Identifier: MIT
// Little-endian integers at any address, on any host.
#ifndef STET_VOCABULARY_DETAIL_ENDIAN_HPP
#define STET_VOCABULARY_DETAIL_ENDIAN_HPP

#include "../config.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

/// True if this machine is little-endian, as the files are. std::endian would require <bit>.
#if defined(__BYTE_ORDER__)
inline constexpr bool host_is_little_endian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
#else
inline constexpr bool host_is_little_endian = true; // Windows
#endif

/// `value` with its bytes in the opposite order.
template <class Unsigned> constexpr Unsigned byte_swapped(Unsigned value) noexcept {
  static_assert(std::is_unsigned_v<Unsigned>);
  // By halves, a pattern that compilers replace by one instruction.
  if constexpr (sizeof value == 8) {
    return std::uint64_t{byte_swapped(static_cast<std::uint32_t>(value))} << 32 |
           byte_swapped(static_cast<std::uint32_t>(value >> 32));
  } else if constexpr (sizeof value == 4) {
    return std::uint32_t{byte_swapped(static_cast<std::uint16_t>(value))} << 16 |
           byte_swapped(static_cast<std::uint16_t>(value >> 16));
  } else if constexpr (sizeof value == 2) {
    return static_cast<Unsigned>(value << 8 | value >> 8);
  } else {
    return value;
  }
}

/// Reverses the bytes of each whole word, in place. Words of one byte, and what has none, size 0, stay as they are.
inline void reverse_words(std::byte* bytes, std::size_t size_bytes, std::size_t word_size_bytes) noexcept {
  for (std::size_t at = 0; word_size_bytes > 1 && at + word_size_bytes <= size_bytes; at += word_size_bytes) {
    for (std::size_t first = at, last = at + word_size_bytes - 1; first < last; ++first, --last) {
      const std::byte moved = bytes[first];
      bytes[first] = bytes[last];
      bytes[last] = moved;
    }
  }
}

/// The unsigned integer with the little-endian bytes at `bytes`, which need not be aligned.
template <class Unsigned> inline Unsigned load_little(const std::byte* bytes) noexcept {
  Unsigned value;
  std::memcpy(&value, bytes, sizeof value);
  return host_is_little_endian ? value : byte_swapped(value);
}

/// Writes the little-endian bytes of `value` to `bytes`, which need not be aligned.
template <class Unsigned> inline void store_little(std::byte* bytes, Unsigned value) noexcept {
  if (!host_is_little_endian) value = byte_swapped(value);
  std::memcpy(bytes, &value, sizeof value);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
