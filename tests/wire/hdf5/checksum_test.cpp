// SPDX-License-Identifier: MIT
// Checksums against those of the HDF5 library (1.14.6), and lookup3's own.
#include <stet/wire/hdf5/checksum.hpp>

#include "support/exact_text.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

using stet::detail::fletcher32;
using stet::detail::lookup3;

namespace {

/// 1, 2 … 199, 1, 2 …
std::string counted(std::size_t size) {
  std::string made;
  for (std::size_t i = 0; i < size; ++i) made.push_back(static_cast<char>(i % 199 + 1));
  return made;
}

} // namespace

TEST_SUITE("wire/hdf5/checksum") {
  TEST_CASE("checksums are those of the HDF5 library at every length of a tail") {
    static constexpr struct {
      std::size_t size;
      std::uint32_t lookup3, fletcher32;
    } rows[] = {
        {1, 0x04EC883B, 0x01000100},  {4, 0x043FCDDD, 0x05080406},   {11, 0x1894F68C, 0x5B64241E},
        {12, 0x2471B813, 0x5B70242A}, {13, 0xE7D7A0E5, 0x8C9A312A},  {24, 0xA1188176, 0x8CDA909C},
        {25, 0x7D6FB9A4, 0x3677A99C}, {100, 0x4057F33C, 0x5A50CDFF}, {1000, 0x3B13B72F, 0xBFDD50F0},
    };
    for (const auto& row : rows) {
      CAPTURE(row.size);
      const stet_test::exact_text bytes(counted(row.size));
      CHECK(lookup3(bytes.bytes()) == row.lookup3);
      CHECK(fletcher32(bytes.bytes()) == row.fletcher32);
    }
  }

  TEST_CASE("lookup3 is what its author says") {
    CHECK(lookup3({}) == 0xDEADBEEF);
    const stet_test::exact_text text("Four score and seven years ago"); // lookup3.c, driver5
    CHECK(lookup3(text.bytes()) == 0x17770551);
  }

  TEST_CASE("sums of the greatest words do not overflow") {
    const stet_test::exact_text bytes(std::string(4001, '\xff'));
    CHECK(fletcher32(bytes.bytes()) == 0xFF00FF00);
    CHECK(fletcher32({}) == 0);
  }
}
