// SPDX-License-Identifier: MIT
// Tests of snappy.hpp: every kind of element, sizes that lie, copies from outside, every truncation and flip of a bit.
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"

#include <stet/wire/snappy.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::string_view_literals;
using stet_test::outcome;
using stet_test::varint;

/// Decompresses into a block of exactly the size declared.
std::string decompress(std::string_view compressed, std::string& text) {
  const stet_test::exact_text from(compressed);
  const auto block = stet::detail::open_snappy(from.bytes());
  if (!block) return outcome(block);
  const std::unique_ptr<std::byte[]> into(new std::byte[block->size_bytes]);
  const auto done = stet::detail::decompress_snappy(*block, into.get());
  text.assign(reinterpret_cast<const char*>(into.get()), block->size_bytes);
  return outcome(done);
}

/// "abcdefgh", a literal; the same again by a copy of each kind; a run; and a literal with its size in one byte.
const std::string everything = varint(8 + 8 + 8 + 8 + 64 + 61) +
                               "\x1c"
                               "abcdefgh" +
                               "\x11\x08" + std::string("\x1e\x10\0", 3) + std::string("\x1f\x08\0\0\0", 5) +
                               std::string("\xfe\x01\0", 3) + "\xf0\x3c" + std::string(61, 'z');

} // namespace

TEST_SUITE("snappy") {
  TEST_CASE("decompresses every kind of element") {
    std::string text;
    CHECK(decompress(everything, text) == "ok");
    CHECK(text == "abcdefghabcdefghabcdefghabcdefgh" + std::string(64, 'h') + std::string(61, 'z'));
  }

  TEST_CASE("literals may have their size in one to four bytes") {
    const std::string letters(70000, 'x');
    const std::pair<std::string, std::size_t> table[] = {
        {"\xf0\x45", 70},
        {std::string("\xf4\x45\x01", 3), 326},
        {std::string("\xf8\x6f\x11\x01", 4), 70000},
        {std::string("\xfc\x6f\x11\x01\x00", 5), 70000},
    };
    for (const auto& [tag, size] : table) {
      std::string text;
      CHECK(decompress(varint(size) + tag + letters.substr(0, size), text) == "ok");
      CHECK(text == letters.substr(0, size));
    }
  }

  TEST_CASE("copies may reach into what they write, at any distance") {
    std::string text;
    CHECK(decompress(varint(67) +
                         "\x08"
                         "abc" +
                         std::string("\xfe\x03\0", 3),
                     text) == "ok");
    CHECK(text == "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabca");
    // A distance of 11 bits: the upper three stand in the tag.
    std::string far = varint(1700) + std::string("\xf4\xa3\x06", 3);
    for (int i = 0; i < 1700; ++i) far += static_cast<char>('a' + i % 26);
    far[0] = static_cast<char>(0xA8), far[1] = 0x0D;   // 1704
    CHECK(decompress(far + "\xc1\x40", text) == "ok"); // 1600 back
    CHECK(text.substr(1700) == text.substr(100, 4));
  }

  TEST_CASE("an empty block is a size of zero") {
    std::string text = "x";
    CHECK(decompress(std::string(1, '\0'), text) == "ok");
    CHECK(text.empty());
  }

  TEST_CASE("refuses what does not decompress to the declared size") {
    const std::pair<const char*, std::string> table[] = {
        {"no size", ""},
        {"a size cut off", "\x80"},
        {"a size of 33 bits", "\xff\xff\xff\xff\x1f"},
        {"a bomb: 4 GiB declared of five bytes", "\xff\xff\xff\xff\x0f"},
        {"more declared than the densest copies could give", varint(23) + std::string(1, '\0')},
        {"a literal missing its size", varint(70) + "\xf0"},
        {"a literal missing half its size", varint(70) + "\xf4\x45"},
        {"a literal cut off", varint(4) + "\x0c"
                                          "abc"},
        {"a literal of 2^32 bytes", varint(4) + "\xfc\xff\xff\xff\xff"
                                                "abc"},
        {"a literal beyond the declared size", varint(3) + "\x0c"
                                                           "abcd"},
        {"a copy before anything", varint(4) + "\x01\x01"},
        {"a copy from before the beginning", varint(5) + std::string("\0a\x01\x02", 4)},
        {"a copy at distance 0, 11 bits", varint(5) + std::string("\0a\x01\0", 4)},
        {"a copy at distance 0, 16 bits", varint(5) + std::string("\0a\x0e\0\0", 5)},
        {"a copy at distance 0, 32 bits", varint(5) + std::string("\0a\x0f\0\0\0\0", 7)},
        {"a copy at distance 2^32 - 1", varint(5) + std::string("\0a\x0f\xff\xff\xff\xff", 7)},
        {"a copy without its distance", varint(5) + std::string("\0a\x01", 3)},
        {"a copy with half its distance", varint(5) + std::string("\0a\x0e\x01", 4)},
        {"a copy beyond the declared size", varint(4) + std::string("\0a\x01\x01", 4)},
        {"less than declared", varint(5) + std::string("\0a", 2)},
        {"elements after the last byte", varint(1) + std::string("\0a\0b", 4)},
    };
    for (const auto& row : table) {
      const auto& what = row.first;
      const auto& compressed = row.second;
      CAPTURE(what);
      std::string text;
      CHECK(decompress(compressed, text) == "bad_compression");
    }
  }

  TEST_CASE("every truncation is refused") {
    for (std::size_t size = 0; size < everything.size(); ++size) {
      std::string text;
      CAPTURE(size);
      CHECK(decompress(everything.substr(0, size), text) == "bad_compression");
    }
  }

  TEST_CASE("every flip of a bit is refused or gives as much as declared") {
    for (std::size_t bit = 0; bit < everything.size() * 8; ++bit) {
      std::string damaged = everything, text;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      const std::string result = decompress(damaged, text);
      CHECK((result == "ok" || result == "bad_compression"));
    }
  }
}
