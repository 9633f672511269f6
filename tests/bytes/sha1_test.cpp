// SPDX-License-Identifier: MIT
#include <stet/bytes/sha1.hpp>

#include "support/digest_text.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

TEST_SUITE("sha1") {
  // NIST's examples for FIPS 180-4 ("abc", the 56-byte message) and its long one of a million letters a.
  TEST_CASE("gives the published SHA-1 digests, however the bytes are cut") {
    const std::string letters(1000000, 'a');
    const std::pair<std::string_view, std::string_view> known[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {letters, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"}};
    for (const auto& [text, digest] : known) {
      for (const std::size_t piece : {std::size_t{1}, std::size_t{13}, std::size_t{64}, std::size_t{1000000}}) {
        stet::sha1 hash;
        for (std::size_t at = 0; at < text.size(); at += piece)
          hash.update(stet_test::bytes_to_hash(text.substr(at, piece)));
        REQUIRE(stet_test::digest_text(hash.finish()) == digest);
      }
    }
  }
}
