// SPDX-License-Identifier: MIT
// Datatypes of HDF5 as dtypes, and as blocks where no dtype says the same.
#include <stet/formats/hdf5/detail/element.hpp>

#include "support/hdf5_bytes.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stet_test;
using stet::detail::hdf5_element;
using stet::detail::hdf5_type;

namespace {

/// "float32", "int16 big", "opaque2": what the elements of a type are.
std::string element(const std::string& body) {
  const exact_text bytes(body);
  hdf5_type type;
  if (!type.parse(bytes.bytes())) return "no type";
  const hdf5_element made(type);
  const std::string name(made.layout.dtype == stet::dtype::block ? made.layout.block.name
                                                                 : stet::describe(made.layout.dtype).name);
  if (made.layout.dtype == stet::dtype::block) CHECK(made.layout.block.size_bytes == type.size_bytes);
  return name + (made.is_big_endian ? " big" : "");
}

std::string integer(std::uint32_t flags, std::uint32_t size, std::uint64_t offset, std::uint64_t precision,
                    std::uint8_t kind = 0) {
  return hdf5_fields().u8(0x10 | kind).sized(flags, 3).u32(size).u16(offset).u16(precision);
}
struct float_format {
  std::uint32_t flags, size;
  std::uint8_t sign, exponent_at, exponent_bits, mantissa_at, mantissa_bits;
  std::uint32_t bias;
};
std::string floating(const float_format& is) {
  return hdf5_fields()
      .u8(0x11)
      .sized(is.flags | std::uint32_t{is.sign} << 8, 3)
      .u32(is.size)
      .u16(0)
      .u16(is.size * 8)
      .u8(is.exponent_at)
      .u8(is.exponent_bits)
      .u8(is.mantissa_at)
      .u8(is.mantissa_bits)
      .u32(is.bias);
}
constexpr float_format f32{0x20, 4, 31, 23, 8, 0, 23, 127}, f64{0x20, 8, 63, 52, 11, 0, 52, 1023};

std::string enumeration(std::string_view first, std::string_view second, std::uint8_t value = 1,
                        std::uint32_t count = 2) {
  return hdf5_fields()
      .u8(0x38)
      .sized(count, 3)
      .u32(1)
      .raw(integer(8, 1, 0, 8))
      .raw(first)
      .u8(0)
      .raw(second)
      .u8(0)
      .u8(0)
      .u8(value);
}
std::string complex_type(const float_format& part, std::string_view second_name = "i", std::uint32_t offset = 0,
                         std::uint32_t second_flags = 0) {
  float_format other = part;
  other.flags |= second_flags;
  const std::uint32_t second = offset != 0 ? offset : part.size;
  return hdf5_fields()
      .u8(0x36)
      .sized(2, 3)
      .u32(part.size * 2)
      .raw("r")
      .u8(0)
      .u8(0)
      .raw(floating(part))
      .raw(second_name)
      .u8(0)
      .u8(second)
      .raw(floating(other));
}

} // namespace

TEST_SUITE("formats/hdf5/element") {
  TEST_CASE("integers and bit fields") {
    CHECK(element(integer(8, 1, 0, 8)) == "int8");
    CHECK(element(integer(0, 1, 0, 8)) == "uint8");
    CHECK(element(integer(9, 2, 0, 16)) == "int16 big");
    CHECK(element(integer(8, 4, 0, 32)) == "int32");
    CHECK(element(integer(0, 8, 0, 64)) == "uint64");
    CHECK(element(integer(0, 2, 0, 16, 4)) == "uint16"); // a bit field
    CHECK(element(integer(1, 3, 0, 24)) == "integer3");
    CHECK(element(integer(8, 4, 0, 20)) == "integer4"); // not all bits count
    CHECK(element(integer(8, 4, 8, 24)) == "integer4");
    CHECK(element(integer(0, 16, 0, 128)) == "integer16");
  }

  TEST_CASE("floats are known by their numbers") {
    CHECK(element(floating(f32)) == "float32");
    CHECK(element(floating(f64)) == "float64");
    CHECK(element(floating({0x21, 8, 63, 52, 11, 0, 52, 1023})) == "float64 big");
    CHECK(element(floating({0x20, 2, 15, 10, 5, 0, 10, 15})) == "float16");
    CHECK(element(floating({0x20, 2, 15, 7, 8, 0, 7, 127})) == "bfloat16");
    CHECK(element(floating({0x20, 1, 7, 3, 4, 0, 3, 7})) == "float8_e4m3fn");
    CHECK(element(floating({0x20, 1, 7, 2, 5, 0, 2, 15})) == "float8_e5m2");
  }

  TEST_CASE("floats of another make are blocks") {
    for (const float_format& is : {float_format{0x20, 4, 31, 23, 8, 0, 23, 128},
                                   {0x60, 4, 31, 23, 8, 0, 23, 127},
                                   {0x01, 4, 31, 23, 8, 0, 23, 127},
                                   {0x20, 4, 0, 23, 8, 0, 23, 127},
                                   {0x20, 4, 31, 23, 8, 1, 23, 127}}) {
      CHECK(element(floating(is)) == "floating4");
    }
    CHECK(element(floating({0x20, 16, 127, 112, 15, 0, 112, 16383})) == "floating16");
    CHECK(element(floating(f32).substr(0, 12)) == "floating4"); // its properties are cut off
  }

  TEST_CASE("truth values are FALSE and TRUE; other enumerations are their integers") {
    CHECK(element(enumeration("FALSE", "TRUE")) == "bool");
    CHECK(element(enumeration("FALSE", "TRUE", 2)) == "int8");
    CHECK(element(enumeration("RED", "TRUE")) == "int8");
    CHECK(element(enumeration("FALSE", "TRUE", 1, 3)) == "int8");
    CHECK(element(enumeration("FALSE", "TRUE").substr(0, 14)) == "enum1");
  }

  TEST_CASE("complex numbers are r and i; other compounds are blocks") {
    CHECK(element(complex_type(f32)) == "complex64");
    CHECK(element(complex_type(f64)) == "complex128");
    float_format big = f32;
    big.flags |= 1;
    CHECK(element(complex_type(big)) == "complex64 big");
    CHECK(element(complex_type(f32, "j")) == "compound8");
    CHECK(element(complex_type(f32, "i", 5)) == "compound8");
    CHECK(element(complex_type(f32, "i", 0, 1)) == "compound8"); // each part in another order
    CHECK(element(complex_type({0x20, 2, 15, 10, 5, 0, 10, 15})) == "compound4");
    CHECK(element(complex_type(f32).substr(0, 30)) == "compound8");
  }

  TEST_CASE("strings and everything else") {
    CHECK(element(made_hdf5::type_variable_string()) == "string");
    CHECK(element(hdf5_fields().u8(0x19).sized(0, 3).u32(16).raw(integer(8, 4, 0, 32))) == "sequence16");
    CHECK(element(hdf5_fields().u8(0x13).sized(1, 3).u32(15)) == "string15");
    CHECK(element(hdf5_fields().u8(0x15).sized(0, 3).u32(2)) == "opaque2");
    CHECK(element(hdf5_fields().u8(0x17).sized(0, 3).u32(8)) == "reference8");
    CHECK(element(hdf5_fields().u8(0x3A).sized(0, 3).u32(24)) == "array24");
    CHECK(element(hdf5_fields().u8(0x12).sized(0, 3).u32(4)) == "time4");
    CHECK(element(hdf5_fields().u8(0x5B).sized(0, 3).u32(8)) == "complex8");
    CHECK(element(hdf5_fields().u8(0x1F).sized(0, 3).u32(9)) == "unknown9");
  }
}
