// SPDX-License-Identifier: MIT
// LZMA streams that Python's zipfile wrote, and damaged ones.
#include <stet/wire/lzma.hpp>

#include "support/exact_text.hpp"
#include "support/python_streams.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

std::string unpacked_lzma(std::string_view stream, std::size_t size) {
  const stet_test::exact_text block(stream);
  std::vector<std::byte> made(size);
  if (!stet::detail::decompress_lzma(block.bytes(), made)) return "no";
  return {reinterpret_cast<const char*>(made.data()), made.size()};
}

} // namespace

TEST_SUITE("lzma") {
  TEST_CASE("a stream of Python's becomes what it was") {
    const std::string text = stet_test::python_text(), stream = stet_test::text_of_hex(stet_test::python_lzma);
    CHECK((unpacked_lzma(stream, text.size()) == text));
    CHECK(unpacked_lzma(stream, text.size() + 1) == "no");
    CHECK((unpacked_lzma(stream, 100) == text.substr(0, 100))); // the archive's checksum tells the rest
    CHECK(unpacked_lzma(stream, 0).empty());
  }

  TEST_CASE("what is cut off is refused, and any flipped bit reads nothing outside") {
    const std::string text = stet_test::python_text(), stream = stet_test::text_of_hex(stet_test::python_lzma);
    // Its last bytes only end the stream.
    for (std::size_t size = 0; size + 8 < stream.size(); ++size)
      CHECK(unpacked_lzma(stream.substr(0, size), text.size()) == "no");
    for (std::size_t at = 0; at < stream.size(); ++at) {
      std::string flipped = stream;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
      const std::string made = unpacked_lzma(flipped, text.size());
      CHECK((made == "no" || made.size() == text.size()));
    }
    std::string properties = stream;
    for (int value = 0; value < 256; ++value) {
      properties[4] = static_cast<char>(value);
      const int lc = value % 9, lp = value / 9 % 5;
      if (lc + lp > 4 || value >= 225) CHECK(unpacked_lzma(properties, text.size()) == "no");
    }
  }
}
