// SPDX-License-Identifier: MIT
// CRC-32, the checksum of zip archives, by folding where the processor can, else by tables.
#ifndef STET_BYTES_CRC32_HPP
#define STET_BYTES_CRC32_HPP

#include "crc32c_portable.hpp"
#include "crc32c_x86.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline v0_1 {

namespace detail {

/// x^32 + x^26 + x^23 + x^22 + x^16 + x^12 + x^11 + x^10 + x^8 + x^7 + x^5 + x^4 + x^2 + x + 1, reflected and
/// without its x^32. Source: PKWARE, APPNOTE.TXT, 4.4.7 (its "magic number", 0xdebb20e3, is a remainder of
/// this).
inline constexpr std::uint32_t crc32_polynomial = 0xEDB88320u;

/// The state after `size_bytes` more bytes. The processor is asked on each call.
inline std::uint32_t crc32_update(std::uint32_t state, const std::byte* bytes,
                                  std::size_t size_bytes) noexcept {
#if STET_CRC32C_VPCLMULQDQ
  if (size_bytes >= crc32c_folding_from_bytes && has_crc32c_vpclmulqdq())
    return crc32_update_folding<crc32_polynomial>(state, bytes, size_bytes);
#endif
  return crc32c_update_by_tables<crc32_polynomial>(state, bytes, size_bytes);
}

} // namespace detail

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

} // namespace stet::inline v0_1

#endif
