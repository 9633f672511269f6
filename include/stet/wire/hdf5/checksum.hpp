// SPDX-License-Identifier: MIT
// The two checksums of HDF5 files: lookup3 for structures, Fletcher-32 for chunks.
#ifndef STET_WIRE_HDF5_CHECKSUM_HPP
#define STET_WIRE_HDF5_CHECKSUM_HPP

#include "../../vocabulary/config.hpp"

#include "../../vocabulary/detail/endian.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Bob Jenkins' hash "lookup3", its function hashlittle with the initial value 0.
/// Source: Bob Jenkins, lookup3.c (2006); HDF5 File Format Specification, III, "checksum".
inline std::uint32_t lookup3(std::span<const std::byte> bytes) noexcept {
  std::uint32_t a = 0xDEADBEEFu + static_cast<std::uint32_t>(bytes.size()), b = a, c = a;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  if (left == 0) return c;
  for (; left > 12; at += 12, left -= 12) {
    a += load_little<std::uint32_t>(at);
    b += load_little<std::uint32_t>(at + 4);
    c += load_little<std::uint32_t>(at + 8);
    a = (a - c) ^ std::rotl(c, 4), c += b;
    b = (b - a) ^ std::rotl(a, 6), a += c;
    c = (c - b) ^ std::rotl(b, 8), b += a;
    a = (a - c) ^ std::rotl(c, 16), c += b;
    b = (b - a) ^ std::rotl(a, 19), a += c;
    c = (c - b) ^ std::rotl(b, 4), b += a;
  }
  std::byte last[12] = {};
  for (std::size_t i = 0; i < left; ++i) last[i] = at[i];
  a += load_little<std::uint32_t>(last);
  b += load_little<std::uint32_t>(last + 4);
  c += load_little<std::uint32_t>(last + 8);
  c = (c ^ b) - std::rotl(b, 14);
  a = (a ^ c) - std::rotl(c, 11);
  b = (b ^ a) - std::rotl(a, 25);
  c = (c ^ b) - std::rotl(b, 16);
  a = (a ^ c) - std::rotl(c, 4);
  b = (b ^ a) - std::rotl(a, 14);
  c = (c ^ b) - std::rotl(b, 24);
  return c;
}

/// Fletcher's checksum over 16-bit big-endian words; an odd last byte is the high byte of a word.
/// Source: Fletcher, "An Arithmetic Checksum for Serial Transmissions" (1982), in the form of the HDF5 filter.
inline std::uint32_t fletcher32(std::span<const std::byte> bytes) noexcept {
  std::uint32_t sum = 0, sum_of_sums = 0;
  const std::byte* at = bytes.data();
  for (std::size_t words = bytes.size() / 2; words != 0;) {
    std::size_t some = words < 360 ? words : 360; // few enough that no sum overflows
    for (words -= some; some != 0; --some, at += 2) {
      sum += static_cast<std::uint32_t>(at[0]) << 8 | static_cast<std::uint32_t>(at[1]);
      sum_of_sums += sum;
    }
    sum = (sum & 0xFFFFu) + (sum >> 16);
    sum_of_sums = (sum_of_sums & 0xFFFFu) + (sum_of_sums >> 16);
  }
  if (bytes.size() % 2 != 0) {
    sum += static_cast<std::uint32_t>(*at) << 8;
    sum_of_sums += sum;
  }
  for (int i = 0; i < 2; ++i) {
    sum = (sum & 0xFFFFu) + (sum >> 16);
    sum_of_sums = (sum_of_sums & 0xFFFFu) + (sum_of_sums >> 16);
  }
  return sum_of_sums << 16 | sum;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
