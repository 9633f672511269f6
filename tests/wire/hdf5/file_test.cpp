// SPDX-License-Identifier: MIT
// Superblocks of each version, and the bounds and budget of what is read after them.
#include <stet/wire/hdf5/file.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/hdf5_files.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

using stet::detail::byte_cursor;
using stet::detail::hdf5_file;
using stet_test::hdf5_bytes;
using stet_test::hdf5_fields;
using stet_test::opened_hdf5;
using stet_test::outcome;

namespace {

std::string open_file(std::string_view text) { return outcome(opened_hdf5(text).file); }

std::string with(std::string text, std::size_t at, std::string_view bytes) {
  return text.replace(at, bytes.size(), bytes);
}
/// With the checksum of a superblock of version 2 or 3 mended.
std::string resealed(std::string text) {
  return with(text, 44, hdf5_fields().u32(stet_test::checksum_of(text.substr(0, 44))).text());
}

} // namespace

TEST_SUITE("wire/hdf5/file") {
  TEST_CASE("superblocks of every version open") {
    const struct {
      const stet_test::hdf5_sample& file;
      char version;
      std::uint64_t base;
    } rows[] = {{stet_test::hdf5_files::symbols, 0, 0},
                {stet_test::hdf5_files::chunks1, 1, 0},
                {stet_test::hdf5_files::links, 2, 512},
                {stet_test::hdf5_files::arrays, 3, 0}};
    for (const auto& row : rows) {
      CAPTURE(row.file.name);
      const std::string text = row.file.bytes();
      CHECK(text[static_cast<std::size_t>(row.base) + 8] == row.version);
      opened_hdf5 opened(text);
      REQUIRE(opened.file);
      if (!opened.file) return;
      CHECK(opened.file->base_bytes() == row.base);
      CHECK(opened.file->size_bytes() == text.size() - row.base);
      CHECK(opened.file->contains(opened.file->root(), 1));
    }
  }

  TEST_CASE("what is no superblock is refused by the exact reason") {
    hdf5_bytes made;
    made.zeros(64);
    const std::string file = made.file();
    REQUIRE(open_file(file) == "ok");
    CHECK(open_file("") == "truncated");
    CHECK(open_file("\x89HDF") == "truncated");
    CHECK(open_file(std::string(4096, 'x')) == "bad_magic");
    CHECK(open_file(file.substr(0, 8)) == "truncated");
    CHECK(open_file(file.substr(0, 47)) == "truncated");
    CHECK(open_file(with(file, 8, "\4")) == "unsupported");                           // a later version
    CHECK(open_file(with(file, 9, "\4")) == "unsupported");                           // addresses of 4 bytes
    CHECK(open_file(with(file, 10, "\2")) == "unsupported");                          // lengths of 2 bytes
    CHECK(open_file(with(file, 30, "\1")) == "bad_hdf5");                             // the checksum is of other bytes
    CHECK(open_file(resealed(with(file, 28, "\xff"))) == "truncated");                // an end behind the bytes
    CHECK(open_file(resealed(with(file, 12, "\xff"))) == "bad_hdf5");                 // a base behind the end
    CHECK(open_file(resealed(with(file, 36, std::string(8, '\xff')))) == "bad_hdf5"); // a root that is nowhere
    CHECK(open_file(file.substr(0, file.size() - 1)) == "truncated");
    CHECK(open_file(file + "more") == "ok");
  }

  TEST_CASE("a superblock of version 0 or 1 that ends early is truncated") {
    for (const auto* each : {&stet_test::hdf5_files::symbols, &stet_test::hdf5_files::chunks1}) {
      const std::string text = each->bytes();
      for (std::size_t size = 8; size < 100; ++size) CHECK(open_file(text.substr(0, size)) == "truncated");
    }
  }

  TEST_CASE("a superblock is looked for at 0, 512, 1024 and so on") {
    hdf5_bytes made;
    made.zeros(16);
    for (const std::size_t before : {512u, 1024u, 4096u})
      CHECK(open_file(std::string(before, '\0') + made.file()) == "ok");
    for (const std::size_t before : {1u, 511u, 1536u})
      CHECK(open_file(std::string(before, '\0') + made.file()) == "bad_magic");
  }

  TEST_CASE("bytes outside the file are not there, wherever they are said to be") {
    hdf5_bytes made;
    made.zeros(52);
    opened_hdf5 opened(made.file());
    REQUIRE(opened.file);
    if (!opened.file) return;
    hdf5_file& file = *opened.file;
    constexpr std::uint64_t huge = ~std::uint64_t{0};
    CHECK(file.at(0, 100).is_good());
    CHECK(file.at(100, 0).is_good());
    CHECK(!file.at(0, 101).is_good());
    CHECK(!file.at(101, 0).is_good());
    CHECK(!file.at(1, huge).is_good());
    CHECK(!file.at(huge, 1).is_good());
    CHECK(!file.at(huge, huge).is_good());
    CHECK(!file.from(101).is_good());
    CHECK(file.from(60).left() == 40);
  }

  TEST_CASE("checksummed bytes are read without it, and not at all if it is wrong") {
    hdf5_bytes made;
    made.raw("abcd").seal(48);
    opened_hdf5 opened(made.file());
    REQUIRE(opened.file);
    if (!opened.file) return;
    CHECK(opened.file->checked_at(48, 8).take_text(4) == "abcd");
    CHECK(!opened.file->checked_at(47, 9).is_good());
    CHECK(!opened.file->checked_at(48, 7).is_good());
    CHECK(!opened.file->checked_at(48, 3).is_good());
  }

  TEST_CASE("reading the same bytes again and again ends") {
    hdf5_bytes made;
    made.zeros(1000);
    opened_hdf5 opened(made.file());
    REQUIRE(opened.file);
    if (!opened.file) return;
    std::size_t times = 0;
    while (times < 1000000 && opened.file->at(0, 1000).is_good()) ++times;
    CHECK(times > 16);
    CHECK(times < 2000);
    CHECK(!opened.file->charge(0)); // for good
  }
}
