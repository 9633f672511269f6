// SPDX-License-Identifier: MIT
// Tests of bytes/crc32c.hpp: published vectors, and every kernel against division bit by bit.
#include <stet/bytes/crc32c.hpp>

#include "support/thinned.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// x times `a` modulo P, written from RFC 3720's generator 0x11edc6f41 rather than from the header's
/// reflected form.
std::uint32_t reference_times_x(std::uint32_t a) {
  std::uint64_t plain = 0;
  for (unsigned power = 0; power < 32; ++power) plain |= std::uint64_t{(a >> (31 - power)) & 1u} << power;
  plain <<= 1;
  if ((plain >> 32) != 0) plain ^= 0x11edc6f41u;
  std::uint32_t reflected = 0;
  for (unsigned power = 0; power < 32; ++power)
    reflected |= static_cast<std::uint32_t>((plain >> power) & 1u) << (31 - power);
  return reflected;
}

std::uint32_t reference_power_of_x(std::uint64_t exponent) {
  std::uint32_t power = 0x80000000u;
  for (; exponent != 0; --exponent) power = reference_times_x(power);
  return power;
}

std::uint32_t reference_update(std::uint32_t state, std::byte next) {
  state ^= std::to_integer<std::uint32_t>(next);
  for (int bit = 0; bit < 8; ++bit) state = reference_times_x(state);
  return state;
}

/// Bytes without a pattern, the same on every run.
std::vector<std::byte> noise(std::size_t size_bytes, std::uint64_t seed = 1) {
  std::vector<std::byte> bytes(size_bytes);
  for (std::byte& byte : bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(seed >> 56);
  }
  return bytes;
}

std::uint32_t crc_of(std::string_view text) { return stet::crc32c(std::as_bytes(std::span(text.data(), text.size()))); }

} // namespace

TEST_SUITE("crc32c") {
  TEST_CASE("gives the values of RFC 3720 B.4") {
    std::array<std::byte, 32> bytes{};
    CHECK(stet::crc32c(bytes) == 0x8a9136aau);
    bytes.fill(std::byte{0xff});
    CHECK(stet::crc32c(bytes) == 0x62a8ab43u);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    CHECK(stet::crc32c(bytes) == 0x46dd794eu);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(31 - i);
    CHECK(stet::crc32c(bytes) == 0x113fdb5cu);

    // An iSCSI SCSI Read (10) command PDU.
    std::array<std::byte, 48> command{};
    const auto set = [&](std::size_t at, unsigned value) { command[at] = static_cast<std::byte>(value); };
    set(0, 0x01), set(1, 0xc0), set(16, 0x14), set(22, 0x04), set(27, 0x14), set(31, 0x18);
    set(32, 0x28), set(40, 0x02);
    CHECK(stet::crc32c(command) == 0xd9963a56u);
  }

  TEST_CASE("gives the check value of the catalogues") {
    CHECK(crc_of("123456789") == 0xe3069283u);
    CHECK(crc_of("a") == 0xc1d04330u);
    CHECK(crc_of("") == 0u);
    CHECK(stet::crc32c({}) == 0u);
    CHECK(stet::crc32c({}, 0x12345678u) == 0x12345678u);
  }

  TEST_CASE("the kernel list starts with the portable one and holds what runs") {
    std::size_t supported = 0;
    for (const auto& kernel : stet::detail::crc32c_kernels()) {
      const std::string remark = kernel.supported ? "" : " (not on this processor)";
      MESSAGE((kernel.name + remark));
      supported += kernel.supported;
    }
    CHECK(supported >= 1);
    CHECK(std::string_view(stet::detail::crc32c_kernels().begin()->name) == "portable");
    CHECK(stet::detail::crc32c_kernels().begin()->supported);
  }

  TEST_CASE("every kernel agrees with the reference on every length up to 4096 at every alignment") {
    constexpr std::size_t longest = 4096;
    constexpr std::size_t alignments = 64;
    alignas(64) static std::byte buffer[longest + alignments];
    const auto message = noise(longest);
    constexpr std::uint32_t start = 0xdeadbeefu;
    std::vector<std::uint32_t> expected{start};
    for (const std::byte byte : message) expected.push_back(reference_update(expected.back(), byte));

    for (const auto& kernel : stet::detail::crc32c_kernels()) {
      if (!kernel.supported) continue;
      CAPTURE(std::string(kernel.name));
      for (std::size_t alignment = 0; alignment < alignments; alignment += stet_test::step_if_thinned(9)) {
        std::memcpy(buffer + alignment, message.data(), longest);
        std::size_t wrong = 0;
        for (std::size_t length = 0; length <= longest; ++length)
          wrong += kernel.update(start, buffer + alignment, length) != expected[length];
        CAPTURE(alignment);
        CHECK(wrong == 0);
      }
    }
  }

  TEST_CASE("every kernel agrees with the reference around the sizes at which lanes begin") {
    constexpr std::size_t three_lanes = 3 * 8192;
    const auto message = noise(4 * three_lanes + 200);
    std::vector<std::uint32_t> expected{~0u};
    for (const std::byte byte : message) expected.push_back(reference_update(expected.back(), byte));

    for (const auto& kernel : stet::detail::crc32c_kernels()) {
      if (!kernel.supported) continue;
      CAPTURE(std::string(kernel.name));
      for (std::size_t blocks = 1; blocks <= 4; ++blocks) {
        std::size_t wrong = 0;
        for (std::size_t length = blocks * three_lanes - 140; length <= blocks * three_lanes + 140;
             length += stet_test::step_if_thinned(7))
          wrong += kernel.update(~0u, message.data(), length) != expected[length];
        CHECK(wrong == 0);
      }
    }
  }

  TEST_CASE("no kernel reads outside of the bytes it is given") {
    // Exactly sized allocations: a sanitizer sees any byte read before or behind them.
    for (std::size_t length = 0; length <= 600; ++length) {
      const auto message = noise(length, length);
      std::uint32_t expected = 0;
      for (const std::byte byte : message) expected = reference_update(expected, byte);
      for (const auto& kernel : stet::detail::crc32c_kernels())
        if (kernel.supported) CHECK(kernel.update(0, message.data(), length) == expected);
    }
  }

  TEST_CASE("continues from the crc of what came before, at any split") {
    const auto bytes = noise(25000);
    const std::span<const std::byte> all(bytes);
    const std::uint32_t whole = stet::crc32c(all);
    std::size_t wrong = 0;
    for (std::size_t split = 0; split <= all.size(); split += split < 600 ? 1 : 7)
      wrong += stet::crc32c(all.subspan(split), stet::crc32c(all.first(split))) != whole;
    CHECK(wrong == 0);
  }

  TEST_CASE("combines the crcs of two parts without their bytes") {
    const auto bytes = noise(3000);
    const std::span<const std::byte> all(bytes);
    const std::uint32_t whole = stet::crc32c(all);
    std::size_t wrong = 0;
    for (std::size_t split = 0; split <= all.size(); ++split) {
      const auto behind = all.subspan(split);
      wrong += stet::crc32c_combine(stet::crc32c(all.first(split)), stet::crc32c(behind), behind.size()) != whole;
    }
    CHECK(wrong == 0);
  }

  TEST_CASE("combines over sizes that no memory holds") {
    // 2^40 zero bytes, doubled up from one. The order of x modulo P is 2^31 - 1, so long sizes have short
    // equals: 2^40 bytes are 2^43 bits, which is 2^12, or 512 bytes; 2^64 - 1 bytes are 2^67 - 8 bits, which
    // is 2^5 - 8, or 3.
    const std::uint32_t a = crc_of("123456789");
    std::uint32_t zeros = stet::crc32c(std::array{std::byte{0}});
    for (std::uint64_t size_bytes = 1; size_bytes < std::uint64_t{1} << 40; size_bytes *= 2)
      zeros = stet::crc32c_combine(zeros, zeros, size_bytes);
    const std::uint32_t joined = stet::crc32c_combine(a, zeros, std::uint64_t{1} << 40);
    const std::vector<std::byte> few(512);
    CHECK(joined == (stet::crc32c(few, a) ^ stet::crc32c(few) ^ zeros));
    CHECK(stet::crc32c_combine(a, 0, ~std::uint64_t{0}) == stet::crc32c_combine(a, 0, 3));
  }

  TEST_CASE("any single flipped bit changes the crc") {
    auto bytes = noise(700);
    const std::uint32_t whole = stet::crc32c(bytes);
    std::size_t unnoticed = 0;
    for (std::byte& byte : bytes)
      for (unsigned bit = 0; bit < 8; ++bit) {
        byte ^= static_cast<std::byte>(1u << bit);
        unnoticed += stet::crc32c(bytes) == whole;
        byte ^= static_cast<std::byte>(1u << bit);
      }
    CHECK(unnoticed == 0);
  }

  TEST_CASE("the factors that move remainders on are the powers of x that they claim") {
    CHECK(stet::detail::crc32c_polynomial == reference_power_of_x(32));
    for (std::uint64_t exponent = 0; exponent < 300; ++exponent)
      CHECK(stet::detail::crc_power_of_x(exponent) == reference_power_of_x(exponent));
#if !STET_SMALL_CODE
    CHECK(stet::detail::crc_past_one_lane<> == reference_power_of_x(8 * 8192));
    CHECK(stet::detail::crc_past_two_lanes<> == reference_power_of_x(16 * 8192));
#endif
#if !STET_SMALL_CODE && defined(__x86_64__) && !defined(_MSC_VER)
    // Moving on by d bits takes x^(d + 64) and x^d; each less 1 for reflection and 32 for the register's
    // width.
    CHECK(stet::detail::crc_fold_factors<1024>::first == reference_power_of_x(1024 + 64 - 1 - 32));
    CHECK(stet::detail::crc_fold_factors<1024>::last == reference_power_of_x(1024 - 1 - 32));
    CHECK(stet::detail::crc_fold_factors<256>::first == reference_power_of_x(256 + 64 - 1 - 32));
    CHECK(stet::detail::crc_fold_factors<256>::last == reference_power_of_x(256 - 1 - 32));
#endif
  }

  TEST_CASE("the table entries are the remainders of single bytes") {
#if STET_SMALL_CODE
    for (std::uint32_t nibble = 0; nibble < 16; ++nibble) {
      std::uint32_t state = nibble;
      for (int bit = 0; bit < 4; ++bit) state = reference_times_x(state);
      CHECK(stet::detail::crc_nibbles<>.at[nibble] == state);
    }
#else
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t state = reference_update(0, static_cast<std::byte>(byte));
      for (const auto& pair : stet::detail::crc_tables<>.at) {
        for (const std::uint64_t entry : {pair[byte] & 0xFFFF'FFFF, pair[byte] >> 32}) {
          CHECK(entry == state);
          state = reference_update(state, std::byte{0});
        }
      }
    }
#endif
  }
}
