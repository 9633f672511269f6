// SPDX-License-Identifier: MIT
// Fields that are there, and fields that are not.
#include <stet/wire/cursor.hpp>

#include "support/exact_text.hpp"

#include <doctest/doctest.h>

#include <string_view>

using stet::detail::byte_cursor;

TEST_SUITE("wire/cursor") {
  TEST_CASE("fields are little-endian and follow each other") {
    const stet_test::exact_text bytes(std::string_view("\x01\x02\x03\x04\x05\x06\x07MARKab\x08", 14));
    byte_cursor fields(bytes.bytes());
    CHECK(fields.take_u8() == 1);
    CHECK(fields.take_u16() == 0x0302);
    CHECK(fields.take_sized(3) == 0x060504);
    fields.skip(1);
    CHECK(fields.take_mark("MARK"));
    CHECK(fields.take_text(2) == "ab");
    CHECK(fields.left() == 1);
    CHECK(fields.rest().size() == 1);
    CHECK(fields.take_sized(0) == 0);
    CHECK(fields.take_u8() == 8);
    CHECK(fields.is_good());
  }

  TEST_CASE("after a field that is not there whole, none is") {
    const stet_test::exact_text bytes(std::string_view("\x01\x02\x03", 3));
    byte_cursor fields(bytes.bytes());
    CHECK(fields.take_u32() == 0);
    CHECK(!fields.is_good());
    CHECK(fields.left() == 0);
    CHECK(fields.take_u8() == 0);
    CHECK(fields.take_bytes(0).empty());
    CHECK(!fields.is_good());
  }

  TEST_CASE("sizes that no memory has are not there") {
    const stet_test::exact_text bytes("abcdefghij");
    for (const std::uint64_t size : {std::uint64_t{11}, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
      byte_cursor fields(bytes.bytes());
      CHECK(fields.take_bytes(size).empty());
      CHECK(!fields.is_good());
    }
    byte_cursor fields(bytes.bytes());
    CHECK(fields.take_sized(9) == 0); // no integer is so wide
    CHECK(!fields.is_good());
  }

  TEST_CASE("another mark is a failure") {
    const stet_test::exact_text bytes("MARX");
    byte_cursor fields(bytes.bytes());
    CHECK(!fields.take_mark("MARK"));
    CHECK(!fields.is_good());
    byte_cursor nothing;
    CHECK(nothing.is_good());
    CHECK(!nothing.take_mark("M"));
  }
}
