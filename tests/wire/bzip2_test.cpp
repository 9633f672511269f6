// SPDX-License-Identifier: MIT
// bzip2 streams that Python's bz2 wrote, and damaged ones.
#include <stet/wire/bzip2.hpp>

#include "support/exact_text.hpp"
#include "support/python_streams.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

std::string unpacked_bzip2(std::string_view stream, std::size_t size) {
  const stet_test::exact_text block(stream);
  std::vector<std::byte> made(size);
  if (!stet::detail::decompress_bzip2(block.bytes(), made)) return "no";
  return {reinterpret_cast<const char*>(made.data()), made.size()};
}

} // namespace

TEST_SUITE("bzip2") {
  TEST_CASE("a stream of Python's becomes what it was, of exactly that size") {
    const std::string text = stet_test::python_text(), stream = stet_test::text_of_hex(stet_test::python_bzip2);
    CHECK((unpacked_bzip2(stream, text.size()) == text));
    CHECK(unpacked_bzip2(stream, text.size() - 1) == "no");
    CHECK(unpacked_bzip2(stream, text.size() + 1) == "no");
    CHECK(unpacked_bzip2(stream, 0) == "no");
    // What Python makes of nothing, and of one byte.
    CHECK(unpacked_bzip2(stet_test::text_of_hex("425a683917724538509000000000"), 0).empty());
    CHECK(unpacked_bzip2(stet_test::text_of_hex("425a683917724538509000000000"), 1) == "no");
    CHECK(unpacked_bzip2(
              stet_test::text_of_hex("425a6839314159265359774bb01400000000800040200021184682ee48a70a120ee9760280"),
              1) == "x");
  }

  TEST_CASE("what is cut off is refused, and any flipped bit reads nothing outside") {
    const std::string text = stet_test::python_text(), stream = stet_test::text_of_hex(stet_test::python_bzip2);
    for (std::size_t size = 0; size < stream.size(); ++size)
      CHECK(unpacked_bzip2(stream.substr(0, size), text.size()) == "no");
    for (std::size_t at = 0; at < stream.size(); ++at) {
      std::string flipped = stream;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
      const std::string made = unpacked_bzip2(flipped, text.size());
      CHECK((made == "no" || made.size() == text.size()));
    }
  }
}
