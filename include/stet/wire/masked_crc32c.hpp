// SPDX-License-Identifier: MIT
// The masked CRC-32C of sorted tables and TensorFlow's checkpoints.
#ifndef STET_WIRE_MASKED_CRC32C_HPP
#define STET_WIRE_MASKED_CRC32C_HPP

#include "../vocabulary/config.hpp"

#include <bit>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::uint32_t crc32c_mask_delta = 0xA282EAD8u;

/// The stored form of a CRC-32C: rotated and offset, because the CRC of bytes that contain their own CRC is weak.
/// Source: google/leveldb, util/crc32c.h.
constexpr std::uint32_t mask_crc32c(std::uint32_t crc) noexcept { return std::rotr(crc, 15) + crc32c_mask_delta; }

/// The CRC-32C whose stored form is `masked`.
constexpr std::uint32_t unmask_crc32c(std::uint32_t masked) noexcept {
  return std::rotl(masked - crc32c_mask_delta, 15);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
