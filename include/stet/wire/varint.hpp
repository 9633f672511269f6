// SPDX-License-Identifier: MIT
// Integers of seven bits a byte, least significant first (LEB128), in Protocol Buffers, sorted tables and snappy.
#ifndef STET_WIRE_VARINT_HPP
#define STET_WIRE_VARINT_HPP

#include "../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// The largest size of a varint of 64 bits. A varint of 32 bits has at most 5 bytes.
inline constexpr std::size_t max_varint_size_bytes = 10;

/// Reads the rest of a varint whose first byte, `value`, announces more.
inline const std::byte* read_long_varint(const std::byte* at, const std::byte* end, std::uint64_t& value) noexcept {
  value &= 0x7F;
  for (unsigned shift = 7; at != end && shift < 64; shift += 7) {
    const std::uint64_t group = static_cast<std::uint64_t>(*at++);
    if (shift == 63 && group > 1) return nullptr;
    value |= (group & 0x7F) << shift;
    if (group < 0x80) return at;
  }
  return nullptr;
}

/// Reads the varint at `at`, which must end before `end`.
/// @return  the end of the varint; nullptr, with `value` unspecified, if it is cut off or exceeds 64 bits
/// Superfluous zero groups at the end are accepted, as by every reader of these formats, up to ten bytes in all.
inline const std::byte* read_varint(const std::byte* at, const std::byte* end, std::uint64_t& value) noexcept {
  if (at == end) return nullptr;
  value = static_cast<std::uint64_t>(*at++);
  return value < 0x80 ? at : read_long_varint(at, end, value); // most are short
}

/// The same for an integer of 32 bits in at most five bytes.
inline const std::byte* read_varint(const std::byte* at, const std::byte* end, std::uint32_t& value) noexcept {
  std::uint64_t wide = 0;
  const std::byte* const after = read_varint(at, end, wide);
  value = static_cast<std::uint32_t>(wide);
  return after != nullptr && after - at <= 5 && wide <= 0xFFFFFFFFu ? after : nullptr;
}

/// Appends `value` as a varint to a string or a vector of bytes.
template <class Bytes> void append_varint(Bytes& into, std::uint64_t value) {
  using byte = typename Bytes::value_type;
  for (; value >= 0x80; value >>= 7) into.push_back(static_cast<byte>(static_cast<std::uint8_t>(value | 0x80)));
  into.push_back(static_cast<byte>(static_cast<std::uint8_t>(value)));
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
