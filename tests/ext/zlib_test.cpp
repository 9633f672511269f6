// SPDX-License-Identifier: MIT
// zlib as the inflate_function; nothing where the build has not found it.
#if STET_HAS_ZLIB

#include <zlib.h>

#include <stet/ext/zlib.hpp>

#include "support/exact_text.hpp"
#include "support/hdf5_bytes.hpp"
#include "support/hdf5_files.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

/// `text` deflated, with zlib's frame or without.
std::string deflated(std::string_view text, bool has_frame) {
  std::string made(text.size() + 64, '\0');
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, has_frame ? 15 : -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(made.data());
  stream.avail_out = static_cast<uInt>(made.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  made.resize(made.size() - stream.avail_out);
  deflateEnd(&stream);
  return made;
}

/// What the bytes inflate to, which is to have `size` bytes; "no" if they do not.
std::string inflated(std::string_view bytes, std::size_t size, bool has_frame) {
  const stet_test::exact_text from(bytes);
  std::vector<std::byte> into(size);
  return stet::inflate_with_zlib(from.bytes().data(), from.bytes().size(), into.data(), size, has_frame)
             ? std::string(reinterpret_cast<const char*>(into.data()), size)
             : "no";
}

} // namespace

TEST_SUITE("ext/zlib") {
  TEST_CASE("deflated bytes become what they were, with zlib's frame and without") {
    const std::string text(3000, 'x');
    for (const bool has_frame : {false, true}) {
      CHECK(inflated(deflated(text, has_frame), text.size(), has_frame) == text);
      CHECK(inflated(deflated("", has_frame), 0, has_frame).empty());
      CHECK(inflated(deflated(text, has_frame), text.size(), !has_frame) == "no");
    }
  }

  TEST_CASE("more, fewer or damaged bytes are refused") {
    const std::string text = "stet: let it stand", bytes = deflated(text, true);
    REQUIRE(inflated(bytes, text.size(), true) == text);
    CHECK(inflated(bytes, text.size() - 1, true) == "no");
    CHECK(inflated(bytes, text.size() + 1, true) == "no");
    CHECK(inflated(bytes, 0, true) == "no");
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK(inflated(bytes.substr(0, size), text.size(), true) == "no");
    std::string wrong_sum = bytes;
    wrong_sum.back() = static_cast<char>(wrong_sum.back() ^ 1);
    CHECK(inflated(wrong_sum, text.size(), true) == "no");
    // The frame's checksum is what finds a changed byte: no other text may come out.
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ 1 << bit);
        const std::string made = inflated(flipped, text.size(), true);
        CHECK((made == "no" || made == text));
      }
    }
  }

  TEST_CASE("deflated bytes become what they were, and never more than there is room for") {
    for (const std::size_t count : {0u, 1u, 100u, 100'000u}) {
      std::string bytes;
      for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(i * i >> 3));
      std::string room(count + 100, '\0');
      const auto* const from = reinterpret_cast<const std::byte*>(bytes.data());
      auto* const into = reinterpret_cast<std::byte*>(room.data());
      const std::size_t size = stet::deflate_with_zlib(from, count, into, room.size());
      REQUIRE(size != 0);
      CHECK(inflated(room.substr(0, size), count, false) == bytes);
      CHECK(stet::deflate_with_zlib(from, count, into, size + 8) == size);
      CHECK(stet::deflate_with_zlib(from, count, into, size - 1) == 0);
      CHECK(stet::deflate_with_zlib(from, count, into, 0) == 0);
    }
  }

  TEST_CASE("deflated chunks are read with it, and are errc::compressed without") {
    const stet_test::exact_text file(stet_test::hdf5_files::deflated.bytes());
    const auto with = stet_test::open_hdf5_bytes(file.bytes(), stet::inflate_with_zlib);
    REQUIRE(with);
    if (!with) return;
    std::string zeros = "0";
    for (int i = 1; i < 100; ++i) zeros += " 0";
    CHECK(stet_test::elements_of<std::int32_t>(with, "/deflate") == zeros);
    CHECK(stet_test::elements_of<std::int32_t>(with, "/scaleoffset") == "1 2 3 4");
    const auto without = stet_test::open_hdf5_bytes(file.bytes());
    CHECK(stet_test::elements_of<std::int32_t>(without, "/deflate") == "compressed");
  }
}

#endif
