// SPDX-License-Identifier: MIT
// SHA-1, by which ONNX models identify the files with their values.
#ifndef STET_BYTES_SHA1_HPP
#define STET_BYTES_SHA1_HPP

#include "detail/block_hash.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE {

/// A SHA-1 digest.
struct sha1_digest {
  /// The digest, most significant byte first.
  std::byte bytes[20] = {};
  friend constexpr bool operator==(const sha1_digest&, const sha1_digest&) noexcept = default;
};

namespace detail {

/// The compression function of SHA-1 (section 6.1.2).
struct sha1_function {
  using digest = sha1_digest;
  static constexpr std::size_t round_count = 80;
  /// The state, as it begins (section 5.3.1).
  struct start {
    std::uint32_t words[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  };

  static void compress(std::uint32_t (&state)[5], std::uint32_t (&w)[round_count]) noexcept {
    for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
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
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
  }
};

} // namespace detail

/// Computes a SHA-1 digest piece by piece. It finds damage; it is no protection against forgery. Portable code at some hundred
/// MB/s. Source: FIPS 180-4.
using sha1 = detail::block_hash<detail::sha1_function>;

} // namespace stet::inline STET_NAMESPACE

#endif
