// SPDX-License-Identifier: MIT
// Tests of examples/web/inflate.hpp, which stands in for zlib in the browser.
#include "../../examples/web/inflate.hpp"

#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

namespace {

std::vector<std::byte> inflate_bytes(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

/// What `deflated` makes, as text of `size` bytes; "refused" if it makes something else.
std::string inflate_text(const std::vector<std::byte>& deflated, std::size_t size, bool has_frame = false) {
  std::vector<std::byte> into(size + 1, std::byte{'#'});
  if (!web::inflate(deflated.data(), deflated.size(), into.data(), size, has_frame)) return "refused";
  CHECK(into[size] == std::byte{'#'}); // nothing is written beyond
  return {reinterpret_cast<const char*>(into.data()), size};
}

TEST_SUITE("web inflate") {
  TEST_CASE("blocks that are stored, and blocks of the fixed code with a repetition") {
    CHECK(inflate_text(inflate_bytes({1, 3, 0, 0xFC, 0xFF, 'a', 'b', 'c'}), 3) == "abc");
    CHECK(inflate_text(inflate_bytes({0x4B, 0x4C, 0x84, 1, 0}), 10) == "aaaaaaaaaa"); // 'a' and a repetition of it
    CHECK(inflate_text(inflate_bytes({3, 0}), 0).empty());
    CHECK(inflate_text(inflate_bytes({0x78, 0x9C, 3, 0, 0, 0, 0, 1}), 0, true).empty());
  }

  TEST_CASE("what is cut, too long, too short or no code is refused") {
    CHECK(inflate_text(inflate_bytes({1, 3, 0, 0xFC, 0xFF, 'a', 'b', 'c'}), 2) == "refused");
    CHECK(inflate_text(inflate_bytes({1, 3, 0, 0xFC, 0xFF, 'a', 'b', 'c'}), 4) == "refused");
    CHECK(inflate_text(inflate_bytes({1, 3, 0, 0xFC, 0xFF, 'a', 'b'}), 3) == "refused");
    CHECK(inflate_text(inflate_bytes({1, 3, 0, 0xFD, 0xFF, 'a', 'b', 'c'}), 3) == "refused");
    CHECK(inflate_text(inflate_bytes({7, 0}), 0) == "refused"); // a kind of block that is none
    CHECK(inflate_text(inflate_bytes({3, 2}), 3) == "refused"); // a repetition of what is before the first byte
    CHECK(inflate_text(inflate_bytes({}), 0) == "refused");
    CHECK(inflate_text(inflate_bytes({0x78, 0x9C, 3, 0, 0, 0, 0, 2}), 0, true) == "refused"); // its checksum
    CHECK(inflate_text(inflate_bytes({0x78, 0x9D, 3, 0, 0, 0, 0, 1}), 0, true) == "refused"); // its header
  }

#if STET_HAS_ZLIB
  TEST_CASE("takes and refuses what zlib does, and makes the same bytes") {
    std::minstd_rand random(1);
    const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random()) % limit; };
    for (int round = 0; round < 300; ++round) {
      CAPTURE(round);
      // Noise, text of few letters, long runs, and ramps: every kind of block, and repetitions near and far.
      std::vector<std::byte> plain(below(20000));
      const std::size_t kind = below(4);
      for (std::size_t i = 0; i < plain.size(); ++i) {
        const std::size_t value = kind == 0 ? below(256) : kind == 1 ? below(3) : kind == 2 ? below(100) / 99 : i / 9;
        plain[i] = static_cast<std::byte>(value & 0xFFu);
      }
      uLongf size = compressBound(static_cast<uLong>(plain.size()));
      std::vector<std::byte> deflated(size);
      REQUIRE(compress2(reinterpret_cast<Bytef*>(deflated.data()), &size, reinterpret_cast<const Bytef*>(plain.data()),
                        static_cast<uLong>(plain.size()), static_cast<int>(below(10))) == Z_OK);
      deflated.resize(size);
      std::vector<std::byte> ours(plain.size() + 1), theirs(plain.size() + 1);
      CHECK(web::inflate(deflated.data(), deflated.size(), ours.data(), plain.size(), true));
      CHECK(std::equal(plain.begin(), plain.end(), ours.begin()));
      for (int damage = 0; damage < 5; ++damage) {
        std::vector<std::byte> damaged = deflated;
        damaged[below(damaged.size())] ^= static_cast<std::byte>(1u << below(8));
        if (below(3) == 0) damaged.resize(below(damaged.size()));
        const bool is_taken =
            stet::inflate_with_zlib(damaged.data(), damaged.size(), theirs.data(), plain.size(), true);
        CHECK(web::inflate(damaged.data(), damaged.size(), ours.data(), plain.size(), true) == is_taken);
        if (is_taken) CHECK(std::equal(theirs.begin(), theirs.end() - 1, ours.begin()));
      }
    }
  }
#endif
}

} // namespace
