// SPDX-License-Identifier: MIT
// Datatypes and dataspaces as their messages say them.
#include <stet/wire/hdf5/type.hpp>

#include "support/hdf5_bytes.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stet_test;
using stet::detail::byte_cursor;
using stet::detail::hdf5_class;
using stet::detail::hdf5_float;
using stet::detail::hdf5_member;
using stet::detail::hdf5_space;
using stet::detail::hdf5_type;

namespace {

bool parse_space(const std::string& body, hdf5_space& into) { return into.parse(exact_text(body).bytes()); }
bool parse_space(const std::string& body) {
  hdf5_space ignored;
  return parse_space(body, ignored);
}

} // namespace

TEST_SUITE("wire/hdf5/type") {
  TEST_CASE("a datatype is its class, flags, size and properties") {
    const exact_text body(made_hdf5::type_f32());
    hdf5_type type;
    REQUIRE(type.parse(body.bytes()));
    CHECK(type.kind == hdf5_class::floating);
    CHECK(type.version == 1);
    CHECK(type.size_bytes == 4);
    CHECK(!type.is_big_endian());
    CHECK(type.properties.size() == 12);
    hdf5_float format;
    REQUIRE(format.parse(type.properties));
    CHECK(format.precision == 32);
    CHECK(format.exponent_at == 23);
    CHECK(format.mantissa_bits == 23);
    CHECK(format.bias == 127);
    CHECK(!format.parse(type.properties.first(11)));
  }

  TEST_CASE("a datatype that ends early, has no version or no size is none") {
    const std::string good = hdf5_fields().u8(0x10).sized(0, 3).u32(4);
    hdf5_type type;
    CHECK(type.parse(exact_text(good).bytes()));
    for (std::size_t size = 0; size < good.size(); ++size) CHECK(!type.parse(exact_text(good.substr(0, size)).bytes()));
    CHECK(!type.parse(exact_text(hdf5_fields().u8(0x00).sized(0, 3).u32(4)).bytes()));
    CHECK(!type.parse(exact_text(hdf5_fields().u8(0x10).sized(0, 3).u32(0)).bytes()));
  }

  TEST_CASE("names are padded before version 3 and never go on without end") {
    const exact_text text(std::string_view("ab\0\0\0\0\0\0cd\0X", 12));
    byte_cursor padded(text.bytes());
    CHECK(stet::detail::take_hdf5_name(padded, 1) == "ab");
    CHECK(stet::detail::take_hdf5_name(padded, 3) == "cd");
    CHECK(padded.left() == 1);
    CHECK(stet::detail::take_hdf5_name(padded, 3).empty());
    CHECK(!padded.is_good());
    const exact_text cut(std::string_view("ab\0\0", 4));
    byte_cursor short_padding(cut.bytes());
    (void)stet::detail::take_hdf5_name(short_padding, 2);
    CHECK(!short_padding.is_good());
  }

  TEST_CASE("members of compounds of each version") {
    hdf5_type compound;
    const std::string properties[] = {
        hdf5_fields().raw("r").zeros(7).u32(4).zeros(28).raw(made_hdf5::type_f32()),
        hdf5_fields().raw("r").zeros(7).u32(4).raw(made_hdf5::type_f32()),
        hdf5_fields().raw("r").zeros(1).u8(4).raw(made_hdf5::type_f32()),
    };
    for (unsigned version = 1; version <= 3; ++version) {
      CAPTURE(version);
      const std::string body = hdf5_fields().u8(version << 4 | 6).sized(2, 3).u32(8).raw(properties[version - 1]);
      const exact_text bytes(body);
      REQUIRE(compound.parse(bytes.bytes()));
      byte_cursor fields(compound.properties);
      hdf5_member member;
      CHECK(take_hdf5_member(fields, compound, 12, member));
      CHECK(member.name == "r");
      CHECK(member.offset_bytes == 4);
      CHECK(member.type.kind == hdf5_class::floating);
      CHECK(fields.left() == 0);
      CHECK(!take_hdf5_member(fields, compound, 12, member));
    }
    // An array of version 1 has dimensions.
    const std::string array =
        hdf5_fields().u8(0x16).sized(2, 3).u32(8).raw("r").zeros(7).u32(0).u8(1).zeros(27).raw(made_hdf5::type_f32());
    const exact_text bytes(array);
    REQUIRE(compound.parse(bytes.bytes()));
    byte_cursor fields(compound.properties);
    hdf5_member member;
    CHECK(!take_hdf5_member(fields, compound, 12, member));
  }

  TEST_CASE("dataspaces of both versions") {
    hdf5_space space;
    REQUIRE(
        parse_space(hdf5_fields().u8(1).u8(2).u8(1).zeros(5).u64(2).u64(3).u64(2).u64(hdf5_space::unlimited), space));
    CHECK(space.rank == 2);
    CHECK(space.shape()[1] == 3);
    CHECK(space.limits[0] == 2);
    CHECK(space.limits[1] == hdf5_space::unlimited);
    REQUIRE(parse_space(made_hdf5::space({5}), space));
    CHECK(space.limits[0] == 5);
    CHECK(!space.is_null);
    REQUIRE(parse_space(made_hdf5::space({}), space));
    CHECK(space.rank == 0);
    REQUIRE(parse_space(hdf5_fields().u8(2).u8(0).u8(0).u8(2), space));
    CHECK(space.is_null);
  }

  TEST_CASE("dataspaces that contradict themselves are none") {
    CHECK(!parse_space(""));
    CHECK(!parse_space(hdf5_fields().u8(0).u8(0).u8(0).zeros(5))); // version
    CHECK(!parse_space(hdf5_fields().u8(3).u8(0).u8(0).u8(0)));
    CHECK(!parse_space(hdf5_fields().u8(2).u8(33).u8(0).u8(1).zeros(33 * 8))); // rank
    CHECK(parse_space(hdf5_fields().u8(2).u8(32).u8(0).u8(1).zeros(32 * 8)));
    CHECK(!parse_space(hdf5_fields().u8(2).u8(1).u8(0).u8(0).u64(1)));        // a scalar with an extent
    CHECK(!parse_space(hdf5_fields().u8(2).u8(1).u8(0).u8(2).u64(1)));        // nothing with an extent
    CHECK(!parse_space(hdf5_fields().u8(2).u8(0).u8(0).u8(3)));               // another type
    CHECK(!parse_space(hdf5_fields().u8(2).u8(2).u8(0).u8(1).u64(1)));        // extents that are not there
    CHECK(!parse_space(hdf5_fields().u8(2).u8(1).u8(1).u8(1).u64(2).u64(1))); // larger than it can be
  }
}
