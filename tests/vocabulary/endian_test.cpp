// SPDX-License-Identifier: MIT
// Tests of endian.hpp: little-endian bytes at any address.
#include <stet/vocabulary/detail/endian.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace {
template <class Unsigned> void round_trips(Unsigned value, const std::byte* expected) {
  std::byte bytes[16] = {};
  for (std::size_t shift = 0; shift < 8; ++shift) {
    stet::detail::store_little(bytes + shift, value);
    for (std::size_t i = 0; i < sizeof value; ++i) CHECK(bytes[shift + i] == expected[i]);
    CHECK(stet::detail::load_little<Unsigned>(bytes + shift) == value);
  }
}
} // namespace

TEST_SUITE("endian") {
  TEST_CASE("the least significant byte comes first, at any alignment") {
    const std::byte bytes[] = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                               std::byte{5}, std::byte{6}, std::byte{7}, std::byte{0xF8}};
    round_trips(std::uint8_t{0x01}, bytes);
    round_trips(std::uint16_t{0x0201}, bytes);
    round_trips(std::uint32_t{0x04030201}, bytes);
    round_trips(std::uint64_t{0xF807060504030201}, bytes);
  }

  TEST_CASE("swaps the bytes of every width") {
    static_assert(stet::detail::byte_swapped(std::uint8_t{0x12}) == 0x12);
    static_assert(stet::detail::byte_swapped(std::uint16_t{0x12FE}) == 0xFE12);
    static_assert(stet::detail::byte_swapped(std::uint32_t{0x123456FE}) == 0xFE563412);
    static_assert(stet::detail::byte_swapped(std::uint64_t{0x123456789ABCDEF0}) == 0xF0DEBC9A78563412);
  }

  TEST_CASE("reverses whole words in place, and nothing else") {
    const auto reversed = [](std::size_t word_size_bytes) {
      std::byte bytes[7];
      for (std::size_t i = 0; i < 7; ++i) bytes[i] = static_cast<std::byte>('a' + i);
      stet::detail::reverse_words(bytes, 6, word_size_bytes);
      return std::string(reinterpret_cast<const char*>(bytes), 7);
    };
    CHECK(reversed(0) == "abcdefg");
    CHECK(reversed(1) == "abcdefg");
    CHECK(reversed(2) == "badcfeg");
    CHECK(reversed(3) == "cbafedg");
    CHECK(reversed(4) == "dcbaefg"); // the last word is not whole
    CHECK(reversed(8) == "abcdefg");
  }
}
