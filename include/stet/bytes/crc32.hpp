// SPDX-License-Identifier: MIT
// CRC-32, the checksum of zip archives: by carry-less multiplication where the processor has it, else by tables.
#ifndef STET_BYTES_CRC32_HPP
#define STET_BYTES_CRC32_HPP

#include "detail/crc_dispatch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// The CRC-32 (of zip, gzip, PNG, Ethernet) of `bytes`, following the bytes whose CRC-32 is `crc`:
/// `crc32(b, crc32(a)) == crc32(ab)`.
///
/// @param bytes  any size, at any address; may be empty
/// @param crc    finished CRC of what comes before; 0 if nothing does
/// Cost: reads every byte once, no allocation; at memory speed where the processor has VPCLMULQDQ.
/// Threads: safe, keeps no state. Source: ISO 3309; PKWARE, APPNOTE.TXT, 4.4.7.
[[nodiscard]] inline std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept {
  return ~detail::crc32_update(~crc, bytes.data(), bytes.size());
}

/// The CRC-32 of bytes of which four others became, without reading the rest of them.
///
/// @param crc              the CRC-32 of the bytes as they were
/// @param changed_bits     what the four bytes were, XOR what they are, as a little-endian number
/// @param following_bytes  how many bytes are behind them
/// Cost: a few microseconds. Threads: safe, keeps no state.
/// Source: a CRC is linear: a change adds its own remainder, times x for each bit that follows, modulo the polynomial.
[[nodiscard]] inline std::uint32_t crc32_after_change(std::uint32_t crc, std::uint32_t changed_bits,
                                                      std::uint64_t following_bytes) noexcept {
  constexpr std::uint32_t one = 0x80000000u; // the highest bit is x^0
  const auto times = [](std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (std::uint32_t bit = one; bit != 0; bit >>= 1) {
      if ((a & bit) != 0) product ^= b;
      b = b >> 1 ^ ((b & 1u) != 0 ? detail::crc32_polynomial : 0);
    }
    return product;
  };
  std::uint32_t power = one >> 8; // x^8 for each byte
  std::uint32_t shift = one;
  for (std::uint64_t left = following_bytes; left != 0; left >>= 1) {
    if ((left & 1u) != 0) shift = times(shift, power);
    power = times(power, power);
  }
  std::byte bytes[4];
  for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(changed_bits >> 8 * i & 0xFFu);
  return crc ^ times(detail::crc32_update(0, bytes, sizeof bytes), shift);
}

} // namespace stet::inline STET_NAMESPACE

#endif
