// SPDX-License-Identifier: MIT
// Tests of small_int.hpp: every code and every wrap of the small integers; the quantized integers as distinct
// types.
#include <stet/vocabulary/small_int.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace {

/// Calls `test(T{})` for each small integer.
template <class Test> void for_each_small_int(Test test) {
  test(stet::int4{});
  test(stet::uint4{});
  test(stet::int2{});
  test(stet::uint2{});
}

} // namespace

TEST_SUITE("small_int") {
  TEST_CASE("is one byte that can be copied as bytes") {
    for_each_small_int([](auto number) {
      using T = decltype(number);
      static_assert(sizeof(T) == 1 && alignof(T) == 1);
      static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);
      static_assert(std::is_trivially_default_constructible_v<T>);
      static_assert(std::is_convertible_v<T, int> && !std::is_convertible_v<int, T>);
      static_assert(!std::is_constructible_v<T, float>, "which way to round is for the caller to say");
      CHECK(T{} == 0);
    });
  }

  TEST_CASE("has the range of its bits") {
    static_assert(stet::int4::lowest_value == -8 && stet::int4::largest_value == 7);
    static_assert(stet::uint4::lowest_value == 0 && stet::uint4::largest_value == 15);
    static_assert(stet::int2::lowest_value == -2 && stet::int2::largest_value == 1);
    static_assert(stet::uint2::lowest_value == 0 && stet::uint2::largest_value == 3);
    for_each_small_int([](auto number) {
      using T = decltype(number);
      for (int value = T::lowest_value; value <= T::largest_value; ++value) {
        CHECK(T(value) == value);
        CHECK(T::from_bits(T(value).bits()) == value);
        CHECK(T(value).bits() < 1 << T::width_bits);
      }
    });
  }

  TEST_CASE("codes are two's complement and the bits above them are ignored") {
    for (int byte = 0; byte < 256; ++byte) {
      const auto raw = static_cast<std::uint8_t>(byte);
      const int nibble = byte % 16;
      const int pair = byte % 4;
      CHECK(stet::int4::from_bits(raw) == (nibble < 8 ? nibble : nibble - 16));
      CHECK(stet::uint4::from_bits(raw) == nibble);
      CHECK(stet::int2::from_bits(raw) == (pair < 2 ? pair : pair - 4));
      CHECK(stet::uint2::from_bits(raw) == pair);
      stet::int4 viewed;
      std::memcpy(&viewed, &raw, 1);
      CHECK(viewed == stet::int4::from_bits(raw));
      CHECK(viewed.bits() == nibble);
    }
  }

  TEST_CASE("values beyond the range wrap, as those of built-in integers do") {
    CHECK(stet::int4(8) == -8);
    CHECK(stet::int4(-9) == 7);
    CHECK(stet::int4(200) == -8);
    CHECK(stet::uint4(-1) == 15);
    CHECK(stet::int2(3) == -1);
    CHECK(stet::uint2(std::uint64_t{1} << 40 | 2) == 2);
    CHECK(stet::int4((std::numeric_limits<std::int64_t>::min)()) == 0);
  }

  TEST_CASE("widening lets it compare and calculate as int") {
    static_assert(stet::int4(-3) < stet::int4(2));
    static_assert(stet::int4(7) + stet::int4(7) == 14);
    static_assert(stet::uint4(1) == stet::int2(1));
  }
}

TEST_SUITE("quantized_int") {
  TEST_CASE("wraps one integer of its width in a type of its own") {
    static_assert(sizeof(stet::qint8) == 1 && sizeof(stet::quint8) == 1);
    static_assert(sizeof(stet::qint16) == 2 && sizeof(stet::quint16) == 2 && sizeof(stet::qint32) == 4);
    static_assert(alignof(stet::qint32) == alignof(std::int32_t));
    static_assert(std::is_trivially_copyable_v<stet::qint16> && std::is_standard_layout_v<stet::qint16>);
    static_assert(!std::is_convertible_v<stet::qint8, int> && !std::is_convertible_v<int, stet::qint8>);
    static_assert(!std::is_same_v<stet::qint8, stet::quint8>);
    CHECK(stet::qint32{-5}.value == -5);
    CHECK(stet::quint8{}.value == 0);
  }

  TEST_CASE("compares its integers") {
    CHECK((stet::qint8{-1} < stet::qint8{1}));
    CHECK((stet::quint16{65535} > stet::quint16{1}));
    CHECK((stet::qint16{3} == stet::qint16{3}));
    CHECK((stet::qint16{3} != stet::qint16{4}));
  }
}
