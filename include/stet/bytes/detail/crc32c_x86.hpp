// SPDX-License-Identifier: MIT
// The CRC-32C kernels for x86: by the crc32 instruction of SSE4.2, and by folding with VPCLMULQDQ.
#ifndef STET_BYTES_DETAIL_CRC32C_X86_HPP
#define STET_BYTES_DETAIL_CRC32C_X86_HPP

#include "crc_portable.hpp"

// GCC and Clang are used through their builtins: <immintrin.h> costs more to include than the whole reading
// core. With Microsoft's compiler only the crc32 kernel exists, because it has no cheap test for VPCLMULQDQ.
#if STET_SMALL_CODE || defined(_M_ARM64EC)
#define STET_CRC32C_SSE42 0
#elif defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
#define STET_CRC32C_SSE42 1
#else
#define STET_CRC32C_SSE42 0
#endif

#if STET_CRC32C_SSE42 && !defined(_MSC_VER)
#define STET_CRC32C_VPCLMULQDQ 1
#else
#define STET_CRC32C_VPCLMULQDQ 0
#endif

#if STET_CRC32C_SSE42

#include "cpu_x86.hpp"

#include <cstring>

#if defined(_MSC_VER) && !defined(__clang__)
#include <nmmintrin.h>
#define STET_CRC32C_TARGET(instructions)
#else
#define STET_CRC32C_TARGET(instructions) __attribute__((target(instructions)))
#endif

namespace stet::inline STET_NAMESPACE::detail {

/// True if this processor has SSE4.2. Cost: a load and test of what was found at start.
inline bool has_crc32c_sse42() noexcept { return has_cpu_sse42(); }

/// One register of message per crc32 instruction.
struct crc32c_sse42_step {
#if defined(__x86_64__) || defined(_M_X64)
  using word_type = std::uint64_t;
#else
  using word_type = std::uint32_t;
#endif
  static constexpr std::size_t word_size_bytes = sizeof(word_type);

  STET_CRC32C_TARGET("sse4.2") static std::uint32_t byte(std::uint32_t state, std::byte next) noexcept {
#if defined(_MSC_VER) && !defined(__clang__)
    return _mm_crc32_u8(state, std::to_integer<unsigned char>(next));
#else
    return __builtin_ia32_crc32qi(state, std::to_integer<unsigned char>(next));
#endif
  }

  STET_CRC32C_TARGET("sse4.2")
  static std::uint32_t word(std::uint32_t state, const std::byte* next) noexcept {
    const auto value = load_little<word_type>(next);
#if defined(_MSC_VER) && defined(_M_X64) && !defined(__clang__)
    return static_cast<std::uint32_t>(_mm_crc32_u64(state, value));
#elif defined(_MSC_VER) && !defined(__clang__)
    return _mm_crc32_u32(state, value);
#elif defined(__x86_64__)
    return static_cast<std::uint32_t>(__builtin_ia32_crc32di(state, value));
#else
    return __builtin_ia32_crc32si(state, value);
#endif
  }
};

/// The crc32 instruction in three lanes; `has_crc32c_sse42()` must hold.
STET_CRC32C_TARGET("sse4.2")
inline std::uint32_t crc32c_update_sse42(std::uint32_t state, const std::byte* bytes, std::size_t size_bytes) noexcept {
  return crc_update_by_words<crc32c_sse42_step>(state, bytes, size_bytes);
}

#if STET_CRC32C_VPCLMULQDQ

// Folding, after Gopal et al., Intel 2009, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ". A
// 128-bit piece of message is A x^64 + B, where A is its first eight bytes. Instead of dividing it by P, it is
// moved forward by d bits: (A x^64 + B) x^d is congruent to A (x^(d+64) mod P) + B (x^d mod P). These two products
// of less than 128 bits are added to the piece that is d bits further on. A short message remains, which has the
// CRC of the whole message.
//
// Because the bits are reflected, the instruction's 127-bit product of two registers appears multiplied by x in a
// 128-bit register, and a 32-bit remainder in a 64-bit register appears multiplied by x^32. The exponents of the
// factors are therefore 33 less: d + 31 and d - 33.

/// The factors for the first and the last eight bytes of a 128-bit piece that is moved forward by `distance_bits`.
template <unsigned distance_bits, std::uint32_t Polynomial = crc32c_polynomial> struct crc_fold_factors {
  static constexpr std::uint32_t first = crc_known_power_of_x<Polynomial, distance_bits + 31>;
  static constexpr std::uint32_t last = crc_known_power_of_x<Polynomial, distance_bits - 33>;
};

/// Two adjacent pieces of message.
using crc_pieces = long long __attribute__((vector_size(32)));

#define STET_CRC_FOLDING STET_CRC32C_TARGET("sse4.2,avx2,pclmul,vpclmulqdq")

/// The size below which folding is not faster than the crc32 instruction.
inline constexpr std::size_t crc_folding_from_bytes = 256;

/// True if this processor and its operating system have VPCLMULQDQ on 256-bit registers, and SSE4.2.
/// Cost: three loads and tests.
inline bool has_crc32c_vpclmulqdq() noexcept { return has_cpu_vpclmulqdq() && has_crc32c_sse42(); }

/// Loads pieces from any address.
STET_CRC_FOLDING inline crc_pieces crc_pieces_at(const std::byte* bytes) noexcept {
  crc_pieces pieces;
  std::memcpy(&pieces, bytes, sizeof(pieces));
  return pieces;
}

/// Moves pieces forward by `distance_bits` and adds the pieces that are there.
template <unsigned distance_bits, std::uint32_t Polynomial>
STET_CRC_FOLDING inline crc_pieces crc_folded(crc_pieces pieces, crc_pieces there) noexcept {
  using factors = crc_fold_factors<distance_bits, Polynomial>;
  const crc_pieces by = {factors::first, factors::last, factors::first, factors::last};
#if defined(__clang__)
  return there ^ __builtin_ia32_pclmulqdq256(pieces, by, 0x00) ^ __builtin_ia32_pclmulqdq256(pieces, by, 0x11);
#else
  return there ^ __builtin_ia32_vpclmulqdq_v4di(pieces, by, 0x00) ^ __builtin_ia32_vpclmulqdq_v4di(pieces, by, 0x11);
#endif
}

/// Folds in four pairs of pieces, 128 bytes a round, which covers the latency of the products. Needs at least 128 bytes.
/// Whole rounds are consumed from the message. The result is a message of 32 bytes in front of the bytes that are left.
template <std::uint32_t Polynomial>
STET_CRC_FOLDING inline crc_pieces crc_fold(std::uint32_t state, const std::byte*& bytes,
                                            std::size_t& size_bytes) noexcept {
  // The state is a remainder of what came before: it is added to the first 32 bits of the message.
  const crc_pieces before = {static_cast<long long>(state), 0, 0, 0};
  crc_pieces a = crc_pieces_at(bytes) ^ before;
  crc_pieces b = crc_pieces_at(bytes + 32);
  crc_pieces c = crc_pieces_at(bytes + 64);
  crc_pieces d = crc_pieces_at(bytes + 96);
  for (bytes += 128, size_bytes -= 128; size_bytes >= 128; bytes += 128, size_bytes -= 128) {
    a = crc_folded<1024, Polynomial>(a, crc_pieces_at(bytes));
    b = crc_folded<1024, Polynomial>(b, crc_pieces_at(bytes + 32));
    c = crc_folded<1024, Polynomial>(c, crc_pieces_at(bytes + 64));
    d = crc_folded<1024, Polynomial>(d, crc_pieces_at(bytes + 96));
  }
  a = crc_folded<256, Polynomial>(a, b);
  a = crc_folded<256, Polynomial>(a, c);
  a = crc_folded<256, Polynomial>(a, d);
  for (; size_bytes >= 32; bytes += 32, size_bytes -= 32) a = crc_folded<256, Polynomial>(a, crc_pieces_at(bytes));
  return a;
}

/// The kernel that folds; `has_crc32c_vpclmulqdq()` must hold.
STET_CRC_FOLDING
inline std::uint32_t crc32c_update_vpclmulqdq(std::uint32_t state, const std::byte* bytes,
                                              std::size_t size_bytes) noexcept {
  if (size_bytes < crc_folding_from_bytes) return crc32c_update_sse42(state, bytes, size_bytes);
  const crc_pieces folded = crc_fold<crc32c_polynomial>(state, bytes, size_bytes);
  std::byte left[sizeof(folded)];
  std::memcpy(left, &folded, sizeof(folded));
  return crc32c_update_sse42(crc32c_update_sse42(0, left, sizeof(left)), bytes, size_bytes);
}

/// The same for another polynomial; the bytes that are left are handled by tables.
template <std::uint32_t Polynomial>
STET_CRC_FOLDING inline std::uint32_t crc32_update_folding(std::uint32_t state, const std::byte* bytes,
                                                           std::size_t size_bytes) noexcept {
  if (size_bytes < crc_folding_from_bytes) return crc_update_by_tables<Polynomial>(state, bytes, size_bytes);
  const crc_pieces folded = crc_fold<Polynomial>(state, bytes, size_bytes);
  std::byte left[sizeof(folded)];
  std::memcpy(left, &folded, sizeof(folded));
  return crc_update_by_tables<Polynomial>(crc_update_by_tables<Polynomial>(0, left, sizeof(left)), bytes, size_bytes);
}

#undef STET_CRC_FOLDING
#endif

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_CRC32C_TARGET
#endif

#endif // STET_BYTES_DETAIL_CRC32C_X86_HPP
