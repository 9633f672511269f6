// SPDX-License-Identifier: MIT
#include <stet/bytes/sha256.hpp>

#include "support/digest_text.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

TEST_SUITE("sha256") {
  // NIST's examples for FIPS 180-4 ("abc", the 56-byte message) and its long one of a million letters a.
  TEST_CASE("gives the published digests") {
    CHECK(stet_test::digest_text(stet::sha256_of({})) ==
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(stet_test::digest_text(stet::sha256_of(stet_test::bytes_to_hash("abc"))) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(stet_test::digest_text(
              stet::sha256_of(stet_test::bytes_to_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(stet_test::digest_text(stet::sha256_of(stet_test::bytes_to_hash(std::string(1000000, 'a')))) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }

  TEST_CASE("does not depend on how the bytes are cut") {
    std::string text;
    for (int i = 0; i < 300; ++i) text += static_cast<char>('a' + i * 7 % 26);
    for (std::size_t size = 0; size <= text.size(); ++size) {
      const std::string_view all(text.data(), size);
      stet::sha256 in_pieces;
      for (std::size_t at = 0; at < size; at += 13) in_pieces.update(stet_test::bytes_to_hash(all.substr(at, 13)));
      REQUIRE(in_pieces.finish() == stet::sha256_of(stet_test::bytes_to_hash(all)));
    }
  }
}
