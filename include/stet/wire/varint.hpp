// SPDX-License-Identifier: MIT
// Integers in seven bits a byte, least significant first (LEB128), as Protocol Buffers, sorted tables and snappy write them.
#ifndef STET_WIRE_VARINT_HPP
#define STET_WIRE_VARINT_HPP

#include "../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// A varint of 64 bits has no more bytes than this; one of 32 bits no more than 5.
inline constexpr std::size_t max_varint_size_bytes = 10;

/// The rest of a varint of which the first byte, `value`, says that more follow.
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

/// Reads a varint that stands at `at` and ends before `end`.
/// @return  where it ends; nullptr, with `value` unspecified, if it is cut off or exceeds 64 bits
/// Needless zero groups at its end are accepted, as every reader of these formats does, but not beyond ten bytes.
inline const std::byte* read_varint(const std::byte* at, const std::byte* end, std::uint64_t& value) noexcept {
  if (at == end) return nullptr;
  value = static_cast<std::uint64_t>(*at++);
  return value < 0x80 ? at : read_long_varint(at, end, value); // nearly all are short
}

/// As above, for an integer of 32 bits in at most five bytes.
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
