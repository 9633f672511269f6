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

} // namespace stet::inline STET_NAMESPACE

#endif
