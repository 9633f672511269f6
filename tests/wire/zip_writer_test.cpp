// SPDX-License-Identifier: MIT
// Archives as they are planned: byte for byte, aligned members, ZIP64, and opened again.
#include <stet/wire/zip_writer.hpp>

#include "support/outcome.hpp"

#include <stet/bytes/crc32.hpp>
#include <stet/wire/zip.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

std::span<const std::byte> archive_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string archive_hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string made;
  for (const char each : bytes) {
    made += digits[static_cast<unsigned char>(each) >> 4];
    made += digits[static_cast<unsigned char>(each) & 15];
  }
  return made;
}

/// The archive of these members, written in the order of their places.
std::string archive_of(stet::detail::zip_writer& plan, const std::vector<std::string>& contents) {
  std::string made;
  for (std::size_t number = 0; number < contents.size(); ++number) {
    CHECK(made.size() == plan.header_offset(number));
    made += plan.header(number, stet::crc32(archive_bytes(contents[number])));
    CHECK(made.size() == plan.data_offset(number));
    made += contents[number];
  }
  CHECK(made.size() == plan.directory_offset());
  made += plan.directory();
  CHECK(made.size() == plan.size_bytes());
  return made;
}

} // namespace

TEST_SUITE("zip_writer") {
  TEST_CASE("an archive of two members, byte for byte") {
    stet::detail::zip_writer plan;
    CHECK(*plan.add("a", 2) == 0);
    CHECK(*plan.add("dir/b", 1, 16) == 1);
    CHECK(archive_hex(archive_of(plan, {"hi", "!"})) ==
          // "a": 2.0, UTF-8, stored, 1980-01-01, checksum and sizes
          "504b0304"
          "1400"
          "0008"
          "0000"
          "0000"
          "2100"
          "ac2a93d8"
          "02000000"
          "02000000"
          "0100"
          "0000"
          "61"
          "6869"
          // "dir/b" at 33: its bytes at 80
          "504b0304"
          "1400"
          "0008"
          "0000"
          "0000"
          "2100"
          "d3ff6b9e"
          "01000000"
          "01000000"
          "0500"
          "0c00"
          "6469722f62"
          "35d9"
          "0800"
          "1000"
          "000000000000"
          "21"
          "504b0102"
          "1400"
          "1400"
          "0008"
          "0000"
          "0000"
          "2100"
          "ac2a93d8"
          "02000000"
          "02000000"
          "0100"
          "0000"
          "0000"
          "0000"
          "0000"
          "00000000"
          "00000000"
          "61"
          "504b0102"
          "1400"
          "1400"
          "0008"
          "0000"
          "0000"
          "2100"
          "d3ff6b9e"
          "01000000"
          "01000000"
          "0500"
          "0000"
          "0000"
          "0000"
          "0000"
          "00000000"
          "21000000"
          "6469722f62"
          "504b0506"
          "0000"
          "0000"
          "0200"
          "0200"
          "62000000"
          "51000000"
          "0000");
  }

  TEST_CASE("a deflated member has both of its sizes") {
    stet::detail::zip_writer plan;
    CHECK(*plan.add_deflated("d", 300, 4) == 0);
    CHECK(*plan.add("s", 1, 64) == 1);
    CHECK(plan.data_offset(0) == 31);
    std::string file = plan.header(0, 7) + "\1\2\3\4";
    file += plan.header(1, 8) + "!";
    file += plan.directory();
    CHECK(file.size() == plan.size_bytes());
    const auto members = stet::detail::read_zip(archive_bytes(file));
    REQUIRE(members);
    REQUIRE(members->size() == 2);
    CHECK((*members)[0].method == stet::detail::zip_member::is_deflated);
    CHECK((*members)[0].size_bytes == 300);
    CHECK((*members)[0].stored_size_bytes == 4);
    CHECK((*members)[0].crc32 == 7);
    CHECK((*members)[1].method == stet::detail::zip_member::is_stored);
    CHECK((*members)[1].offset_bytes % 64 == 0);
    // One size that needs ZIP64 is enough.
    stet::detail::zip_writer large;
    REQUIRE(large.add_deflated("d", 0xFFFFFFFFu, 4));
    std::string large_file = large.header(0, 7) + "\1\2\3\4";
    large_file += large.directory();
    const auto found = stet::detail::read_zip(archive_bytes(large_file));
    REQUIRE(found);
    CHECK((*found)[0].size_bytes == 0xFFFFFFFFu);
    CHECK((*found)[0].stored_size_bytes == 4);
  }

  TEST_CASE("members begin where they are to, and are found again") {
    for (const std::uint32_t alignment : {1u, 2u, 4u, 8u, 64u, 4096u}) {
      for (std::size_t name_size = 1; name_size < 80; ++name_size) {
        stet::detail::zip_writer plan;
        CHECK(plan.add(std::string(name_size, 'n'), 3, alignment));
        CHECK(plan.add("other", 0, alignment));
        CHECK(plan.data_offset(0) % alignment == 0);
        CHECK(plan.data_offset(1) % alignment == 0);
        const std::string archive = archive_of(plan, {"abc", ""});
        const auto members = stet::detail::read_zip(archive_bytes(archive));
        REQUIRE_MESSAGE(members, stet_test::outcome(members));
        if (!members) return;
        REQUIRE(members->size() == 2);
        CHECK((*members)[0].offset_bytes == plan.data_offset(0));
        CHECK((*members)[0].size_bytes == 3);
        CHECK((*members)[0].crc32 == 0x352441c2u);
        CHECK((*members)[1].name == "other");
      }
    }
  }

  TEST_CASE("more members than an entry can count") {
    stet::detail::zip_writer plan;
    std::vector<std::string> contents(0x10000);
    for (std::size_t number = 0; number < contents.size(); ++number) REQUIRE(plan.add(std::to_string(number), 0));
    const std::string archive = archive_of(plan, contents);
    const auto members = stet::detail::read_zip(archive_bytes(archive));
    REQUIRE_MESSAGE(members, stet_test::outcome(members));
    if (members) CHECK(members->size() == contents.size());
  }

  TEST_CASE("members of 4 GiB, and behind that: sizes and places in ZIP64's fields") {
    stet::detail::zip_writer plan;
    constexpr std::uint64_t large = 0xFFFFFFFFu;
    CHECK(plan.add("l", large, 64));
    CHECK(plan.add("s", 1));
    CHECK(plan.data_offset(0) == 64);
    const std::string first = plan.header(0, 0x01020304u), second = plan.header(1, 0x05060708u);
    CHECK(archive_hex(first) == "504b0304"
                                "2d00"
                                "0008"
                                "0000"
                                "0000"
                                "2100"
                                "04030201"
                                "ffffffff"
                                "ffffffff"
                                "0100"
                                "2100"
                                "6c"
                                "0100"
                                "1000"
                                "ffffffff00000000"
                                "ffffffff00000000"
                                "35d9"
                                "0900"
                                "4000"
                                "00000000000000");
    CHECK(second.size() == 31);
    CHECK(archive_hex(plan.directory()) == "504b0102"
                                           "2d00"
                                           "2d00"
                                           "0008"
                                           "0000"
                                           "0000"
                                           "2100"
                                           "04030201"
                                           "ffffffff"
                                           "ffffffff"
                                           "0100"
                                           "1400"
                                           "0000"
                                           "0000"
                                           "0000"
                                           "00000000"
                                           "00000000"
                                           "6c"
                                           "0100"
                                           "1000"
                                           "ffffffff00000000"
                                           "ffffffff00000000"
                                           "504b0102"
                                           "2d00"
                                           "2d00"
                                           "0008"
                                           "0000"
                                           "0000"
                                           "2100"
                                           "08070605"
                                           "01000000"
                                           "01000000"
                                           "0100"
                                           "0c00"
                                           "0000"
                                           "0000"
                                           "0000"
                                           "00000000"
                                           "ffffffff"
                                           "73"
                                           "0100"
                                           "0800"
                                           "3f00000001000000"
                                           "504b0606"
                                           "2c00000000000000"
                                           "2d00"
                                           "2d00"
                                           "00000000"
                                           "00000000"
                                           "0200000000000000"
                                           "0200000000000000"
                                           "7e00000000000000"
                                           "5f00000001000000"
                                           "504b0607"
                                           "00000000"
                                           "dd00000001000000"
                                           "01000000"
                                           "504b0506"
                                           "0000"
                                           "0000"
                                           "ffff"
                                           "ffff"
                                           "ffffffff"
                                           "ffffffff"
                                           "0000");
  }

  TEST_CASE("names and sizes that no archive has are refused") {
    stet::detail::zip_writer plan;
    CHECK(stet_test::outcome(plan.add("", 1)) == "bad_name");
    CHECK(stet_test::outcome(plan.add(std::string(0x10000, 'n'), 1)) == "bad_name");
    CHECK(stet_test::outcome(plan.add("huge", ~std::uint64_t{0})) == "too_large");
    CHECK(stet_test::outcome(plan.add("a", 1)) == "ok");
  }
}
