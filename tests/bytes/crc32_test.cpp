// SPDX-License-Identifier: MIT
// Tests of bytes/crc32.hpp: catalogued values, and every way to compute it against division bit by bit.
#include <stet/bytes/crc32.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace {

/// Bit by bit, from the plain generator 0x104c11db7 rather than from the header's reflected form.
std::uint32_t crc32_reference(std::uint32_t state, std::byte next) {
  state ^= std::to_integer<std::uint32_t>(next);
  for (int bit = 0; bit < 8; ++bit) {
    std::uint64_t plain = 0;
    for (unsigned power = 0; power < 32; ++power) plain |= std::uint64_t{(state >> (31 - power)) & 1u} << power;
    plain <<= 1;
    if ((plain >> 32) != 0) plain ^= 0x104c11db7u;
    state = 0;
    for (unsigned power = 0; power < 32; ++power)
      state |= static_cast<std::uint32_t>((plain >> power) & 1u) << (31 - power);
  }
  return state;
}

std::vector<std::byte> crc32_noise(std::size_t size_bytes) {
  std::vector<std::byte> bytes(size_bytes);
  std::uint64_t seed = 5;
  for (std::byte& byte : bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(seed >> 56);
  }
  return bytes;
}

std::uint32_t crc32_of(std::string_view text) {
  return stet::crc32(std::as_bytes(std::span(text.data(), text.size())));
}

} // namespace

TEST_SUITE("crc32") {
  TEST_CASE("gives the check value of the catalogues, and what zlib gives") {
    CHECK(crc32_of("123456789") == 0xcbf43926u);
    CHECK(crc32_of("a") == 0xe8b7be43u);
    CHECK(crc32_of("The quick brown fox jumps over the lazy dog") == 0x414fa339u);
    CHECK(crc32_of("") == 0u);
    CHECK(stet::crc32({}, 0x12345678u) == 0x12345678u);
    CHECK(stet::crc32(std::vector<std::byte>(1000000)) == 0x1279cb9eu); // of zeros
  }

  TEST_CASE("agrees with the reference on every length up to 1024 at every alignment, by tables as well") {
    constexpr std::size_t longest = 1024;
    const auto message = crc32_noise(longest + 64);
    for (std::size_t alignment = 0; alignment < 64; ++alignment) {
      const std::byte* const first = message.data() + alignment;
      std::uint32_t expected = 0xdeadbeefu;
      std::size_t wrong = 0;
      for (std::size_t length = 0; length <= longest; ++length) {
        wrong += stet::detail::crc32_update(0xdeadbeefu, first, length) != expected;
        wrong +=
            stet::detail::crc_update_by_tables<stet::detail::crc32_polynomial>(0xdeadbeefu, first, length) != expected;
        if (length < longest) expected = crc32_reference(expected, first[length]);
      }
      CHECK(wrong == 0);
    }
  }

  TEST_CASE("agrees with the reference on long messages, and in any two pieces") {
    const auto message = crc32_noise(100'003);
    std::uint32_t state = ~0u;
    for (const std::byte byte : message) state = crc32_reference(state, byte);
    CHECK(stet::crc32(message) == ~state);
    CHECK(~stet::detail::crc_update_by_tables<stet::detail::crc32_polynomial>(~0u, message.data(), message.size()) ==
          ~state);
    const std::span<const std::byte> all(message);
    for (const std::size_t cut : {1u, 255u, 256u, 24'576u, 65'537u, 99'999u})
      CHECK(stet::crc32(all.subspan(cut), stet::crc32(all.first(cut))) == ~state);
  }

  TEST_CASE("four bytes change, and the checksum of all is that of the new bytes") {
    auto message = crc32_noise(5'000);
    std::uint32_t crc = stet::crc32(message);
    for (const std::size_t at : {0u, 1u, 63u, 2'500u, 4'995u, 4'996u}) {
      CAPTURE(at);
      const std::uint32_t changed_bits = 0x9E3779B9u * static_cast<std::uint32_t>(at + 1);
      for (std::size_t i = 0; i < 4; ++i) message[at + i] ^= static_cast<std::byte>(changed_bits >> 8 * i & 0xFFu);
      crc = stet::crc32_after_change(crc, changed_bits, message.size() - at - 4);
      CHECK(crc == stet::crc32(message));
    }
    CHECK(stet::crc32_after_change(0x12345678u, 0, ~std::uint64_t{0}) == 0x12345678u);
  }
}
