// SPDX-License-Identifier: MIT
// Tests of varint.hpp: the edges of 32 and 64 bits, cut-off and over-long integers.
#include <stet/wire/varint.hpp>

#include <doctest/doctest.h>

#include <initializer_list>
#include <vector>

namespace {

using stet::detail::append_varint;
using stet::detail::read_varint;
using byte_vector = std::vector<std::byte>;

byte_vector bytes_of(std::initializer_list<int> values) {
  byte_vector bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

/// Whether `bytes` are exactly one varint of `Unsigned`; `value` is then what it holds.
template <class Unsigned> bool reads(const byte_vector& bytes, Unsigned& value) {
  const std::byte* const end = bytes.data() + bytes.size();
  return read_varint(bytes.data(), end, value) == end && !bytes.empty();
}

} // namespace

TEST_SUITE("varint") {
  TEST_CASE("what is written is read, at every power of two") {
    for (unsigned bit = 0; bit < 64; ++bit) {
      const std::uint64_t power = std::uint64_t{1} << bit;
      for (const std::uint64_t value : {power - 1, power, power | 1, ~power}) {
        byte_vector bytes;
        append_varint(bytes, value);
        CHECK(bytes.size() <= stet::detail::max_varint_size_bytes);
        std::uint64_t back = 1;
        CHECK(reads(bytes, back));
        CHECK(back == value);
        std::uint32_t narrow = 1;
        CHECK(reads(bytes, narrow) == (value <= 0xFFFFFFFFu));
        for (std::size_t size = 0; size < bytes.size(); ++size)
          CHECK(read_varint(bytes.data(), bytes.data() + size, back) == nullptr);
      }
    }
  }

  TEST_CASE("the bytes are those of the specification") {
    byte_vector bytes;
    append_varint(bytes, 0);
    append_varint(bytes, 127);
    append_varint(bytes, 300);
    CHECK(bytes == bytes_of({0x00, 0x7F, 0xAC, 0x02}));
  }

  TEST_CASE("refuses what has more bits than the integer") {
    std::uint64_t wide = 0;
    std::uint32_t narrow = 0;
    CHECK(reads(bytes_of({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}), wide));
    CHECK(wide == ~std::uint64_t{0});
    CHECK_FALSE(reads(bytes_of({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02}), wide));
    CHECK_FALSE(reads(bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}), wide));
    CHECK(reads(bytes_of({0xFF, 0xFF, 0xFF, 0xFF, 0x0F}), narrow));
    CHECK_FALSE(reads(bytes_of({0xFF, 0xFF, 0xFF, 0xFF, 0x1F}), narrow));
    CHECK_FALSE(reads(bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x00}), narrow));
  }

  TEST_CASE("accepts needless zero groups, as other readers do") {
    std::uint64_t wide = 1;
    CHECK(reads(bytes_of({0x85, 0x80, 0x00}), wide));
    CHECK(wide == 5);
  }
}
