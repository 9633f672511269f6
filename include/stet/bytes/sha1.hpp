// SPDX-License-Identifier: MIT
// SHA-1, by which ONNX models identify the files with their values.
#ifndef STET_BYTES_SHA1_HPP
#define STET_BYTES_SHA1_HPP

#include "../vocabulary/config.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// A SHA-1 digest.
struct sha1_digest {
  /// The digest, most significant byte first.
  std::byte bytes[20] = {};
  friend constexpr bool operator==(const sha1_digest&, const sha1_digest&) noexcept = default;
};

/// Computes a SHA-1 digest piece by piece. It finds damage; it is no protection against forgery. Portable code at some hundred
/// MB/s. Source: FIPS 180-4.
class sha1 {
public:
  /// Adds the next bytes.
  void update(std::span<const std::byte> bytes) noexcept {
    size_bytes_ += bytes.size();
    while (!bytes.empty()) {
      const std::size_t room = sizeof block_ - used_;
      const std::size_t count = bytes.size() < room ? bytes.size() : room;
      std::memcpy(block_ + used_, bytes.data(), count);
      bytes = bytes.subspan(count);
      used_ += count;
      if (used_ == sizeof block_) take_block();
    }
  }

  /// The digest of all bytes added. No bytes may be added afterwards.
  [[nodiscard]] sha1_digest finish() noexcept {
    const std::uint64_t size_bits = size_bytes_ * 8;
    block_[used_++] = std::byte{0x80};
    if (used_ > 56) {
      std::memset(block_ + used_, 0, sizeof block_ - used_);
      take_block();
    }
    std::memset(block_ + used_, 0, sizeof block_ - used_);
    for (int i = 0; i < 8; ++i) block_[56 + i] = static_cast<std::byte>(size_bits >> (56 - 8 * i) & 0xFFu);
    take_block();
    sha1_digest digest;
    for (int i = 0; i < 20; ++i) digest.bytes[i] = static_cast<std::byte>(state_[i / 4] >> (24 - i % 4 * 8) & 0xFFu);
    return digest;
  }

private:
  void take_block() noexcept {
    used_ = 0;
    std::uint32_t w[80];
    for (std::size_t i = 0; i < 16; ++i) {
      w[i] = 0;
      for (std::size_t j = 0; j < 4; ++j) w[i] = w[i] << 8 | static_cast<std::uint32_t>(block_[4 * i + j]);
    }
    for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    std::uint32_t a = state_[0], b = state_[1], c = state_[2], d = state_[3], e = state_[4];
    for (std::size_t i = 0; i < 80; ++i) {
      // Section 4.1.1 and 4.2.1: a function and a constant for each 20 rounds.
      const std::uint32_t f = i < 20 ? (b & c) ^ (~b & d) : i >= 40 && i < 60 ? (b & c) ^ (b & d) ^ (c & d) : b ^ c ^ d;
      static constexpr std::uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
      const std::uint32_t next = std::rotl(a, 5) + f + e + k[i / 20] + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    state_[0] += a;
    state_[1] += b;
    state_[2] += c;
    state_[3] += d;
    state_[4] += e;
  }

  std::uint32_t state_[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}; // section 5.3.1
  std::uint64_t size_bytes_ = 0;
  std::byte block_[64] = {};
  std::size_t used_ = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
