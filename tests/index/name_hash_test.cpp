// SPDX-License-Identifier: MIT
// Tests of name_hash.hpp: the hash that files depend on, and which names are legal.
#include <stet/index/detail/name_hash.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

using stet::detail::hash_name;

namespace {
/// Whether a name in a block of exactly its size is legal.
bool is_valid(std::string_view name) {
  const auto exact = std::make_unique<char[]>(name.size());
  if (!name.empty()) std::memcpy(exact.get(), name.data(), name.size());
  return stet::detail::is_valid_name({exact.get(), name.size()});
}
} // namespace

TEST_SUITE("name_hash") {
  TEST_CASE("hashes every length as the specification says") {
    // Computed by the function hash_name of golden_store.py, which follows the prose of format.hpp.
    const struct {
      std::string_view name;
      std::uint64_t seed, hash;
    } golden[] = {
        {"", 0, 0x0000000000000000u},
        {"a", 0, 0xB1CDF7E7BB3168D6u},
        {"ab", 0, 0x0633EDD54A3EEBC9u},
        {"abc", 0, 0x19A70F2D2B60FB63u},
        {"abcd", 0, 0xF3E75A583111E09Du},
        {"abcdefg", 0, 0x7AC7B6BF1B51AEA2u},
        {"abcdefgh", 0, 0x7896BE6485BAB01Fu},
        {"abcdefghi", 0, 0xFD9DE1A6D9F40656u},
        {"layer_0/kernel", 0, 0x4A17A8F16EF1854Au},
        {"layer_0/kernel", 7, 0x569F4F8103EB9430u},
        {"0123456789abcdef", 0, 0xD40349B985EFFECEu},
        {"0123456789abcdef0", 1, 0xE7C0C860EFF0A8DEu},
    };
    for (const auto& row : golden) {
      const auto exact = std::make_unique<char[]>(row.name.size());
      if (!row.name.empty()) std::memcpy(exact.get(), row.name.data(), row.name.size());
      CHECK(hash_name({exact.get(), row.name.size()}, row.seed) == row.hash);
    }
  }

  TEST_CASE("the table has the least power of two of slots that is at least twice the tensors") {
    using stet::detail::slot_count_for;
    static_assert(slot_count_for(0) == 2 && slot_count_for(1) == 2 && slot_count_for(2) == 4 && slot_count_for(3) == 8);
    static_assert(slot_count_for(0x40000000u) == 0x80000000u && slot_count_for(0xFFFFFFFFu) == 0x80000000u);
  }

  TEST_CASE("names are 1 to 65535 bytes") {
    CHECK_FALSE(is_valid(""));
    CHECK(is_valid("a"));
    CHECK(is_valid(std::string(65535, 'a')));
    CHECK_FALSE(is_valid(std::string(65536, 'a')));
  }

  TEST_CASE("names hold no NUL, wherever it stands") {
    for (std::size_t size = 1; size <= 20; ++size) {
      for (std::size_t at = 0; at < size; ++at) {
        std::string name(size, 'a');
        CHECK(is_valid(name));
        name[at] = '\0';
        CHECK_FALSE(is_valid(name));
        name[at] = '\x01';
        CHECK(is_valid(name));
      }
    }
  }

  TEST_CASE("names are well-formed UTF-8, at any place in a word") {
    // Unicode 15, table 3-7: the first and last of each row, and what lies just outside.
    const std::string_view good[] = {
        "\x7F",         "\xC2\x80",         "\xDF\xBF",         "\xE0\xA0\x80",     "\xE0\xBF\xBF",
        "\xE1\x80\x80", "\xEC\xBF\xBF",     "\xED\x80\x80",     "\xED\x9F\xBF",     "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF0\xBF\xBF\xBF", "\xF1\x80\x80\x80", "\xF4\x8F\xBF\xBF"};
    const std::string_view bad[] = {"\x80",
                                    "\xBF",
                                    "\xC0\x80",
                                    "\xC1\xBF",
                                    "\xC2",
                                    "\xC2\x7F",
                                    "\xC2\xC0",
                                    "\xE0\x9F\xBF",
                                    "\xE0\xA0",
                                    "\xE1\x80",
                                    "\xE1\x80\xC0",
                                    "\xED\xA0\x80",
                                    "\xED\xBF\xBF",
                                    "\xEF\xBF",
                                    "\xF0\x8F\xBF\xBF",
                                    "\xF0\x90\x80",
                                    "\xF1\x80\x80",
                                    "\xF4\x90\x80\x80",
                                    "\xF5\x80\x80\x80",
                                    "\xFE",
                                    "\xFF",
                                    "\xF8\x88\x80\x80\x80"};
    for (std::size_t before = 0; before < 10; ++before) {
      for (std::size_t after = 0; after < 10; ++after) {
        const std::string left(before, 'x'), right(after, 'y');
        for (const std::string_view text : good) CHECK(is_valid(left + std::string(text) + right));
        for (const std::string_view text : bad) CHECK_FALSE(is_valid(left + std::string(text) + right));
      }
    }
  }

  TEST_CASE("slashes, dots, any length and any spelling are names like others") {
    for (const char* name : {"/", "..", "../../etc/passwd", "__metadata__", " ", "\\",
                             "\xEF\xBB\xBF"
                             "bom",
                             "e\xCC\x81", "\xC3\xA9"}) {
      CHECK(is_valid(name));
    }
  }
}

TEST_CASE("names of Windows devices are none of parts") {
  for (const char* const name : {"NUL", "nul", "Con", "aux.bin", "PRN .txt", "COM1", "com9.tar.gz", "LPT0",
                                 "COM\xC2\xB9", "CONIN$", "conout$.x"}) {
    CAPTURE(name);
    CHECK_FALSE(stet::detail::is_part_name(name));
  }
  for (const char* const name :
       {"NULL", "CONSOLE", "COM", "COM10", "COMA", "LPT", "my.NUL", "NUL-1", "auxiliary.bin", "com\xC2\xB4"}) {
    CAPTURE(name);
    CHECK(stet::detail::is_part_name(name));
  }
}
