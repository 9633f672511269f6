// SPDX-License-Identifier: MIT
// Tests of packed_filters.hpp: what HDF5 1.14.6 wrote through h5py 3.14, and bytes that are damaged.
#include "support/exact_text.hpp"

#include <stet/formats/hdf5/detail/packed_filters.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace {

using stet_test::exact_text;

std::string unhex(std::string_view digits) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string made;
  for (std::size_t at = 0; at + 1 < digits.size(); at += 2)
    made.push_back(static_cast<char>(digit(digits[at]) * 16 + digit(digits[at + 1])));
  return made;
}

using decompressor = bool (*)(std::span<const std::byte>, std::span<std::byte>, std::span<const std::byte>);
bool szip(std::span<const std::byte> from, std::span<std::byte> into, std::span<const std::byte> values) {
  return stet::detail::decompress_szip(from, into, values);
}
bool scale_offset(std::span<const std::byte> from, std::span<std::byte> into, std::span<const std::byte> values) {
  return stet::detail::decompress_scale_offset(from, into, values);
}

/// The bytes that become of `stored`; "no" if it is not valid.
std::string undone(decompressor by, std::string_view values, std::string_view stored, std::size_t size) {
  const exact_text from(stored), settings(values);
  const auto into = std::make_unique<std::byte[]>(size);
  return by(from.bytes(), {into.get(), size}, settings.bytes())
             ? std::string(reinterpret_cast<const char*>(into.get()), size)
             : "no";
}

/// The 20 values of scale-offset: what is set, and zeros.
std::string settings_of(std::string_view first) { return unhex(first) + std::string(80 - first.size() / 2, '\0'); }

struct golden {
  const char* what;
  decompressor by;
  std::string values, stored, bytes;
};
const golden table[] = {
    {"predicted samples of 16 bits, in lines that end within a block", szip, unhex("a900000008000000100000000a000000"),
     unhex("28000000403e8d491596592087fc800006044c5552a74adaf09421fda8000000"),
     unhex("e803e903ec03f103f80301040c041904280439044c04610478049104ac04c904e80409052c055105")},
    {"samples with the high byte first", szip, unhex("b1000000040000001000000014000000"),
     unhex("280000006012c24a52962494a529e80e049fef81140931f264c9931f264c9920"),
     unhex("012c010700e200bd00980073004e00290004ffdfffbaff95ff70ff4bff26ff01fedcfeb7fe92fe6d")},
    {"floats as bytes, without a predictor", szip, unhex("8d00000004000000200000000c000000"),
     unhex("300000000207800040606a4400003c04850586aa0ffffd01010103a020202000"),
     unhex("000000000000003f0000803f0000c03f0000004000002040000040400000604000008040000090400000a0400000b040")},
    {"blocks of zeros, and numbers by twos", szip, unhex("8d000000080000000800000000040000"),
     unhex("000400000080000008e92788b12e01"),
     std::string(700, '\0') + unhex("01000001020000000303010000010100") + std::string(308, '\0')},
    {"integers with a fill value", scale_offset,
     settings_of("02000000000000000700000000000000040000000100000000000000010000004d"),
     unhex("0700000008fdffffffffffffff000000000000000010033ff000c780"),
     unhex("05000000fdffffff640000004d000000fdffffff000000000c000000")},
    {"big-endian integers", scale_offset,
     settings_of("0200000000000000040000000000000002000000000000000100000001000000"),
     unhex("07000000085802000000000000000000000000000000172010"), unhex("0258025d02bc0259")},
    {"one number many times", scale_offset,
     settings_of("0200000000000000090000000000000008000000010000000000000001000000"),
     unhex("0100000008fcffffffffffffff00000000000000000000"),
     unhex("fcfffffffffffffffcfffffffffffffffcfffffffffffffffcfffffffffffffffcfffffffffffffffcfffffffffffffffcfffffffff"
           "ffffffcfffffffffffffffcffffffffffffff")},
    {"decimal floats of 64 bits with a fill value", scale_offset,
     settings_of("0000000002000000040000000100000008000000000000000000000001000000000000000000f83f"),
     unhex("0a000000080000000000000cc0000000000000000076c00ffe2600"),
     unhex("000000000000f43f0000000000000cc0000000000000f83f0000000000000040")},
    {"decimal floats of 32 bits", scale_offset,
     settings_of("000000000100000003000000010000000400000000000000000000000100000000000000"),
     unhex("03000000089a9999be0000000000000000000000009400"), unhex("cccccc3dcccc4c3e9a9999be")},
};

} // namespace

TEST_SUITE("hdf5 packed filters") {
  TEST_CASE("what HDF5 wrote becomes what it was") {
    for (const golden& row : table) {
      CAPTURE(row.what);
      CHECK(undone(row.by, row.values, row.stored, row.bytes.size()) == row.bytes);
      CHECK(undone(row.by, row.values, row.stored, 0) == (row.by == szip ? "no" : "")); // szip says its size
    }
  }

  TEST_CASE("damage is refused, or is other numbers, and nothing beyond the bytes is read") {
    for (const golden& row : table) {
      CAPTURE(row.what);
      const std::size_t size = row.bytes.size();
      for (std::size_t cut = 0; cut < row.stored.size(); ++cut)
        (void)undone(row.by, row.values, row.stored.substr(0, cut), size);
      CHECK(undone(row.by, row.values, row.stored.substr(0, 12), size) == "no");
      CHECK(undone(row.by, row.values, "", size) == "no");
      CHECK(undone(row.by, "", row.stored, size) == "no");
      for (std::size_t bit = 0; bit < row.stored.size() * 8; ++bit) {
        std::string damaged = row.stored;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
        (void)undone(row.by, row.values, damaged, size);
      }
      for (std::size_t bit = 0; bit < row.values.size() * 8; ++bit) {
        std::string damaged = row.values;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
        (void)undone(row.by, damaged, row.stored, size);
      }
    }
  }

  TEST_CASE("settings that make no sense are refused") {
    const golden& words = table[0];
    const auto szip_with = [&](std::size_t at, char value) {
      std::string values = words.values;
      values[at] = value;
      return undone(szip, values, words.stored, words.bytes.size());
    };
    CHECK(szip_with(4, 0) == "no");  // no samples in a block
    CHECK(szip_with(4, 7) == "no");  // an odd number
    CHECK(szip_with(4, 64) == "no"); // too many
    CHECK(szip_with(8, 0) == "no");  // no bits
    CHECK(szip_with(8, 12) == "no");
    CHECK(szip_with(12, 0) == "no"); // no samples in a line
    CHECK(undone(szip, words.values, words.stored, words.bytes.size() - 1) == "no");
    const golden& integers = table[4];
    const auto offset_with = [&](std::size_t at, char value) {
      std::string values = integers.values;
      values[at] = value;
      return undone(scale_offset, values, integers.stored, integers.bytes.size());
    };
    CHECK(offset_with(0, 1) == "no");  // a scale by powers of two
    CHECK(offset_with(16, 0) == "no"); // no size
    CHECK(offset_with(16, 3) == "no");
    std::string wide = integers.stored;
    wide[0] = 33;
    CHECK(undone(scale_offset, integers.values, wide, integers.bytes.size()) == "no");
    wide[0] = 32; // as they were, but there are not so many
    CHECK(undone(scale_offset, integers.values, wide, integers.bytes.size()) == "no");
    CHECK(undone(scale_offset, integers.values, integers.stored, 6) == "no");
  }
}
