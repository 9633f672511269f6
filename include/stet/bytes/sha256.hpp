// SPDX-License-Identifier: MIT
// SHA-256, which identifies the file that a delta was made from.
#ifndef STET_BYTES_SHA256_HPP
#define STET_BYTES_SHA256_HPP

#include "detail/block_hash.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// A SHA-256 digest.
struct sha256_digest {
  /// The digest, most significant byte first.
  std::byte bytes[32] = {};
  friend constexpr bool operator==(const sha256_digest&, const sha256_digest&) noexcept = default;
};

namespace detail {

/// The compression function of SHA-256 (section 6.2.2).
struct sha256_function {
  using digest = sha256_digest;
  static constexpr std::size_t round_count = 64;
  /// The state, as it begins: the fractional parts of the square roots of the first eight primes (section 5.3.3).
  struct start {
    std::uint32_t words[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  };

  static void compress(std::uint32_t (&state)[8], std::uint32_t (&w)[round_count]) noexcept {
    // The fractional parts of the cube roots of the first 64 primes (section 4.2.2).
    static constexpr std::uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
      const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    std::uint32_t v[8];
    std::memcpy(v, state, sizeof v);
    for (std::size_t i = 0; i < 64; i += 8) {
      // Instead of moving the eight words, each round takes them from one place further on: after eight they are where they were.
      const auto round = [&](std::size_t at) noexcept {
        const auto word = [&](std::size_t number) noexcept -> std::uint32_t& { return v[(number - at) & 7u]; };
        const std::uint32_t a = word(0), e = word(4);
        const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
        const std::uint32_t choice = (e & word(5)) ^ (~e & word(6));
        const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
        const std::uint32_t majority = (a & word(1)) ^ (a & word(2)) ^ (word(1) & word(2));
        const std::uint32_t t1 = word(7) + s1 + choice + k[i + at] + w[i + at];
        word(3) += t1;
        word(7) = t1 + s0 + majority;
      };
      round(0), round(1), round(2), round(3), round(4), round(5), round(6), round(7);
    }
    for (std::size_t i = 0; i < 8; ++i) state[i] += v[i];
  }
};

} // namespace detail

/// Computes a SHA-256 digest piece by piece. Portable code at some hundred MB/s: fast enough for tables, too slow for tensors.
/// Source: FIPS 180-4.
using sha256 = detail::block_hash<detail::sha256_function>;

/// The SHA-256 digest of `bytes`.
[[nodiscard]] inline sha256_digest sha256_of(std::span<const std::byte> bytes) noexcept {
  sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

} // namespace stet::inline STET_NAMESPACE

#endif
