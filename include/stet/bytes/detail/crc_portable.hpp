// SPDX-License-Identifier: MIT
// The arithmetic, the tables and the loops of reflected 32-bit CRCs, without special instructions: of CRC-32C, and of CRC-32
// (crc32.hpp) by its polynomial.
#ifndef STET_BYTES_DETAIL_CRC_PORTABLE_HPP
#define STET_BYTES_DETAIL_CRC_PORTABLE_HPP

#include "../../vocabulary/config.hpp"
#include "../../vocabulary/detail/endian.hpp"

#include <cstddef>
#include <cstdint>

// The loop below is inlined into each kernel, so that it is compiled for that kernel's instruction set.
#if defined(_MSC_VER) && !defined(__clang__)
#define STET_CRC_INLINE __forceinline
#else
#define STET_CRC_INLINE inline __attribute__((always_inline))
#endif

namespace stet::inline STET_NAMESPACE::detail {

// A CRC is the remainder of the message, read as a polynomial over GF(2), modulo P. CRC-32C is reflected: the
// first bit of a message is the lowest bit of its first byte and has the highest power of x. Remainders are
// stored in the same way: bit 31 is x^0 and bit 0 is x^31. All functions here work on the *state*, which is the
// bare remainder; the public functions invert it before and after, as RFC 3720 requires.

/// P = x^32 + x^28 + x^27 + x^26 + x^25 + x^23 + x^22 + x^20 + x^19 + x^18 + x^14 + x^13 + x^11 + x^10 + x^9
/// + x^8 + x^6 + 1, reflected and without its x^32. Source: RFC 3720 section 12.1, generator 0x11edc6f41.
inline constexpr std::uint32_t crc32c_polynomial = 0x82f63b78u;

/// The remainder of `a` times x: a shift, and a subtraction of P where x^32 appears.
template <std::uint32_t Polynomial = crc32c_polynomial> constexpr std::uint32_t crc_times_x(std::uint32_t a) noexcept {
  return (a >> 1) ^ (Polynomial & (0u - (a & 1u)));
}

/// The remainder of the product `a` times `b`, one power of x at a time.
template <std::uint32_t Polynomial = crc32c_polynomial>
constexpr std::uint32_t crc_multiply(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t product = 0;
  for (; a != 0; a <<= 1) {
    product ^= b & (0u - (a >> 31));
    b = crc_times_x<Polynomial>(b);
  }
  return product;
}

/// The remainder of `base` to the power `exponent`, by repeated squaring: at most 128 products.
template <std::uint32_t Polynomial = crc32c_polynomial>
constexpr std::uint32_t crc_power(std::uint32_t base, std::uint64_t exponent) noexcept {
  std::uint32_t power = 0x80000000u; // x^0
  for (;;) {
    if ((exponent & 1u) != 0) power = crc_multiply<Polynomial>(power, base);
    exponent >>= 1;
    if (exponent == 0) return power;
    base = crc_multiply<Polynomial>(base, base);
  }
}

/// The remainder of x^`exponent`, the factor that moves a remainder past `exponent` bits of message.
template <std::uint32_t Polynomial = crc32c_polynomial>
constexpr std::uint32_t crc_power_of_x(std::uint64_t exponent) noexcept {
  return crc_power<Polynomial>(0x40000000u, exponent);
}

/// `crc_power_of_x` at compile time. The powers that every includer needs are written out: computing them takes the compiler
/// longer than any other header of the core.
template <std::uint32_t Polynomial, std::uint64_t exponent>
inline constexpr std::uint32_t crc_known_power_of_x = crc_power_of_x<Polynomial>(exponent);
template <> inline constexpr std::uint32_t crc_known_power_of_x<crc32c_polynomial, 223> = 0xba4fc28eu;
template <> inline constexpr std::uint32_t crc_known_power_of_x<crc32c_polynomial, 287> = 0x3da6d0cbu;
template <> inline constexpr std::uint32_t crc_known_power_of_x<crc32c_polynomial, 991> = 0x0d3b6092u;
template <> inline constexpr std::uint32_t crc_known_power_of_x<crc32c_polynomial, 1055> = 0x6992cea2u;
template <> inline constexpr std::uint32_t crc_known_power_of_x<crc32c_polynomial, 65536> = 0x28461564u;
template <> inline constexpr std::uint32_t crc_known_power_of_x<crc32c_polynomial, 131072> = 0xbf455269u;

/// The type of every kernel: returns the state after `size_bytes` more bytes of message.
using crc32c_update_function = std::uint32_t(std::uint32_t state, const std::byte* bytes,
                                             std::size_t size_bytes) noexcept;

#if STET_SMALL_CODE

/// The remainder of each four-bit value times x^32: 64 bytes of table.
struct crc_nibble_table {
  std::uint32_t at[16];
};

template <std::uint32_t Polynomial> constexpr crc_nibble_table make_crc_nibble_table() noexcept {
  crc_nibble_table table{};
  for (std::uint32_t nibble = 0; nibble < 16; ++nibble) {
    std::uint32_t state = nibble;
    for (int bit = 0; bit < 4; ++bit) state = crc_times_x<Polynomial>(state);
    table.at[nibble] = state;
  }
  return table;
}

template <std::uint32_t Polynomial = crc32c_polynomial>
inline constexpr crc_nibble_table crc_nibbles = make_crc_nibble_table<Polynomial>();

/// Advances the state by half a byte at a time.
template <std::uint32_t Polynomial>
inline std::uint32_t crc_update_by_tables(std::uint32_t state, const std::byte* bytes,
                                          std::size_t size_bytes) noexcept {
  for (; size_bytes != 0; --size_bytes, ++bytes) {
    state ^= std::to_integer<std::uint32_t>(*bytes);
    state = (state >> 4) ^ crc_nibbles<Polynomial>.at[state & 15u];
    state = (state >> 4) ^ crc_nibbles<Polynomial>.at[state & 15u];
  }
  return state;
}

#else

/// The size of a lane: long enough for the processor's prefetcher to settle, and for the two products of a round to be
/// cheap.
inline constexpr std::size_t crc_lane_size_bytes = 8192;
template <std::uint32_t Polynomial = crc32c_polynomial>
inline constexpr std::uint32_t crc_past_one_lane = crc_known_power_of_x<Polynomial, 8 * crc_lane_size_bytes>;
template <std::uint32_t Polynomial = crc32c_polynomial>
inline constexpr std::uint32_t crc_past_two_lanes = crc_known_power_of_x<Polynomial, 16 * crc_lane_size_bytes>;

/// The loop of the kernels that take a word at a time. Each `Step::word` and `Step::byte` depends on the state
/// before it, so a single chain leaves most of the processor idle. Long messages are therefore cut into three lanes
/// that advance in parallel. The state of a lane, multiplied by x to the number of bits that follow it, is its share
/// of the state of the whole message.
template <typename Step, std::uint32_t Polynomial = crc32c_polynomial>
STET_CRC_INLINE std::uint32_t crc_update_by_words(std::uint32_t state, const std::byte* bytes,
                                                  std::size_t size_bytes) noexcept {
  constexpr std::size_t lane = crc_lane_size_bytes;
  for (; size_bytes >= 3 * lane; size_bytes -= 3 * lane, bytes += 3 * lane) {
    std::uint32_t second = 0;
    std::uint32_t third = 0;
    for (const std::byte* next = bytes; next != bytes + lane; next += Step::word_size_bytes) {
      state = Step::word(state, next);
      second = Step::word(second, next + lane);
      third = Step::word(third, next + 2 * lane);
    }
    state = crc_multiply<Polynomial>(state, crc_past_two_lanes<Polynomial>) ^
            crc_multiply<Polynomial>(second, crc_past_one_lane<Polynomial>) ^ third;
  }
  for (; size_bytes >= Step::word_size_bytes; size_bytes -= Step::word_size_bytes, bytes += Step::word_size_bytes)
    state = Step::word(state, bytes);
  for (; size_bytes != 0; --size_bytes, ++bytes) state = Step::byte(state, *bytes);
  return state;
}

/// Four tables of remainders. The remainder of the byte `b` followed by k zero bytes, times x^32, is the lower half of
/// `at[k / 2][b]` for an even k, else the upper half. 4 KiB of table. Pairs halve the steps that each includer compiles.
struct crc_byte_tables {
  std::uint64_t at[2][256];
};

template <std::uint32_t Polynomial> constexpr crc_byte_tables make_crc_byte_tables() noexcept {
  crc_byte_tables tables{};
  // The CRC is linear: the entry of a byte is the sum of the entries of its bits.
  std::uint32_t states[4 * 8] = {Polynomial};
  for (std::size_t i = 1; i < 4 * 8; ++i) states[i] = crc_times_x<Polynomial>(states[i - 1]);
  for (std::size_t pair = 0; pair < 2; ++pair)
    for (std::size_t bit = 128, i = 16 * pair; bit != 0; bit >>= 1, ++i) {
      const std::uint64_t both = states[i] | static_cast<std::uint64_t>(states[i + 8]) << 32;
      for (std::size_t byte = 0; byte < 256; byte += 2 * bit)
        tables.at[pair][byte + bit] = tables.at[pair][byte] ^ both;
    }
  return tables;
}

template <std::uint32_t Polynomial = crc32c_polynomial>
inline constexpr crc_byte_tables crc_tables = make_crc_byte_tables<Polynomial>();

/// Four bytes at a time by four look-ups ("slicing by 4": Kounavis and Berry, Intel 2005, "A Systematic
/// Approach to Building High Performance, Software-based, CRC Generators").
template <std::uint32_t Polynomial> struct crc_table_step {
  static constexpr std::size_t word_size_bytes = 4;

  static std::uint32_t byte(std::uint32_t state, std::byte next) noexcept {
    return (state >> 8) ^ remainder<0>(state ^ std::to_integer<std::uint32_t>(next));
  }

  static std::uint32_t word(std::uint32_t state, const std::byte* next) noexcept {
    state ^= load_little<std::uint32_t>(next);
    return remainder<3>(state) ^ remainder<2>(state >> 8) ^ remainder<1>(state >> 16) ^ remainder<0>(state >> 24);
  }

private:
  /// The entry for the lowest byte of `state`.
  template <unsigned zeros> static std::uint32_t remainder(std::uint32_t state) noexcept {
    return static_cast<std::uint32_t>(crc_tables<Polynomial>.at[zeros / 2][state & 255u] >> zeros % 2 * 32);
  }
};

/// The kernel that uses only tables.
template <std::uint32_t Polynomial>
inline std::uint32_t crc_update_by_tables(std::uint32_t state, const std::byte* bytes,
                                          std::size_t size_bytes) noexcept {
  return crc_update_by_words<crc_table_step<Polynomial>, Polynomial>(state, bytes, size_bytes);
}

#endif

/// The kernel that every processor can run.
inline std::uint32_t crc32c_update_portable(std::uint32_t state, const std::byte* bytes,
                                            std::size_t size_bytes) noexcept {
  return crc_update_by_tables<crc32c_polynomial>(state, bytes, size_bytes);
}

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_CRC_INLINE

#endif // STET_BYTES_DETAIL_CRC_PORTABLE_HPP
