// SPDX-License-Identifier: MIT
// CRC-32C, the checksum of native files and of TensorFlow's files, by the fastest kernel of the processor.
#ifndef STET_BYTES_CRC32C_HPP
#define STET_BYTES_CRC32C_HPP

#include "detail/crc_dispatch.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// The CRC-32C (Castagnoli) of `bytes`, following the bytes whose CRC-32C is `crc`:
/// `crc32c(b, crc32c(a)) == crc32c(ab)`.
///
/// @param bytes  any size, at any address; may be empty
/// @param crc    finished CRC of the bytes before; 0 if there are none
/// @return  finished CRC, both inversions of RFC 3720 included; TensorFlow's masking is not applied
/// Cost: reads every byte once, no allocation; at memory speed where the processor has VPCLMULQDQ.
/// Threads: safe, keeps no state. Source: RFC 3720 sections 12.1 and B.4.
[[nodiscard]] inline std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept {
  return ~detail::crc32c_update(~crc, bytes.data(), bytes.size());
}

/// The CRC-32C of two byte sequences one after the other, from the CRC-32C of each, without their bytes.
///
/// @param crc_a         finished CRC of the first
/// @param crc_b         finished CRC of the second, computed from 0
/// @param size_b_bytes  size of the second, in bytes
/// Cost: at most 128 products of 32 steps (some microseconds), whatever the size. Threads: safe.
[[nodiscard]] constexpr std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b,
                                                     std::uint64_t size_b_bytes) noexcept {
  // The inversions cancel out, so a finished CRC can be advanced like a state.
  constexpr std::uint32_t past_one_byte = 0x80000000u >> 8; // x^8
  return detail::crc_multiply(crc_a, detail::crc_power(past_one_byte, size_b_bytes)) ^ crc_b;
}

} // namespace stet::inline STET_NAMESPACE

#endif
