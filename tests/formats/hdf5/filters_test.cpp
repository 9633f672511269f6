// SPDX-License-Identifier: MIT
// Filters undone, and bytes that no filter made.
#include <stet/formats/hdf5/filters.hpp>

#include "support/exact_text.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace stet_test;
using stet::errc;
using stet::detail::hdf5_filter;

namespace {

using decompress = bool (*)(std::span<const std::byte>, std::span<std::byte>) noexcept;

/// What `bytes` decompress to, which is to have `size` bytes; "no" if they do not.
std::string run(decompress method, std::string_view bytes, std::size_t size) {
  const exact_text from(bytes), into(std::string(size, '?'));
  const std::span<std::byte> place(const_cast<std::byte*>(into.bytes().data()), size);
  return method(from.bytes(), place) ? std::string(reinterpret_cast<const char*>(place.data()), size) : "no";
}
std::string lzf(std::string_view bytes, std::size_t size) {
  return run(stet::detail::decompress_lzf, bytes, size);
}
std::string lz4(std::string_view bytes, std::size_t size) {
  return run(stet::detail::decompress_lz4_blocks, bytes, size);
}
std::string lz4_block(std::string_view bytes, std::size_t size) {
  return run(stet::detail::decompress_lz4, bytes, size);
}

hdf5_filter filter(std::uint16_t id, std::uint32_t value = 0) {
  hdf5_filter made;
  made.id = id;
  made.value = value;
  return made;
}

/// Bytes are inflated to themselves, one byte shorter at the front: enough to see what is asked.
bool inflate_for_test(const std::byte* from, std::size_t size, std::byte* into, std::size_t into_size,
                      bool has_frame) noexcept {
  if (!has_frame || size != into_size + 1 || static_cast<char>(*from) != 'Z')
    return false;
  std::memcpy(into, from + 1, into_size);
  return true;
}

std::string undo(const std::vector<hdf5_filter>& filters, std::string_view stored, std::uint64_t size,
                 std::uint32_t mask = 0) {
  const exact_text bytes(stored);
  const auto made =
      stet::detail::undo_filters(filters, mask, stet::source::borrow(bytes.bytes()), size, inflate_for_test);
  return made ? std::string(reinterpret_cast<const char*>(made->data()), static_cast<std::size_t>(size))
              : outcome(made);
}

/// With HDF5's checksum behind.
std::string summed(std::string text, bool is_old = false) {
  std::uint32_t sum = stet::detail::fletcher32(exact_text(text).bytes());
  if (is_old)
    sum = (sum & 0x00FF00FFu) << 8 | (sum >> 8 & 0x00FF00FFu);
  for (int i = 0; i < 4; ++i)
    text.push_back(static_cast<char>(sum >> 8 * i & 0xFF));
  return text;
}

} // namespace

TEST_SUITE("formats/hdf5/filters") {
  TEST_CASE("LZF: literals, and matches near and far, short and long") {
    CHECK(lzf(std::string_view("\x02"
                               "abc",
                               4),
              3) == "abc");
    CHECK(lzf(std::string_view("\x00"
                               "a\x20\x00",
                               4),
              4) == "aaaa");
    CHECK(lzf(std::string_view("\x01"
                               "ab\xe0\x03\x01",
                               6),
              14) == "ababababababab");
    CHECK(lzf("", 0).empty());
  }

  TEST_CASE("LZF that no encoder wrote is refused") {
    CHECK(lzf(std::string_view("\x02"
                               "ab",
                               3),
              3) == "no"); // literals that end early
    CHECK(lzf(std::string_view("\x02"
                               "abc",
                               4),
              2) == "no"); // more than there is room for
    CHECK(lzf(std::string_view("\x02"
                               "abc",
                               4),
              4) == "no"); // less
    CHECK(lzf(std::string_view("\x00"
                               "a\x20\x01",
                               4),
              4) == "no"); // a match before the beginning
    CHECK(lzf(std::string_view("\x00"
                               "a\x20",
                               3),
              4) == "no"); // a match that ends early
    CHECK(lzf(std::string_view("\x00"
                               "a\xe0",
                               3),
              20) == "no");
    CHECK(lzf(std::string_view("\x00"
                               "a\xe0\x05",
                               4),
              20) == "no");
    CHECK(lzf(std::string_view("\x00"
                               "a\x40\x00",
                               4),
              4) == "no"); // a match longer than the room
  }

  TEST_CASE("LZ4: blocks, and blocks stored as they are") {
    CHECK(lz4_block(std::string_view("\x30"
                                     "abc",
                                     4),
                    3) == "abc");
    CHECK(lz4_block(std::string_view("\x13"
                                     "a\x01\x00\x10"
                                     "z",
                                     6),
                    9) == "aaaaaaaaz");
    CHECK(lz4_block(std::string_view("\xf0\x01"
                                     "0123456789abcdef",
                                     18),
                    16) == "0123456789abcdef");
    const std::string head("\0\0\0\0\0\0\0\x05\0\0\0\x03", 12);
    CHECK(lz4(head + std::string("\0\0\0\x03"
                                 "abc"
                                 "\0\0\0\x02"
                                 "de",
                                 13),
              5) == "abcde");
    CHECK(lz4(head + std::string("\0\0\0\x04"
                                 "\x30"
                                 "abc"
                                 "\0\0\0\x02"
                                 "de",
                                 14),
              5) == "abcde");
  }

  TEST_CASE("LZ4 that no encoder wrote is refused") {
    CHECK(lz4_block(std::string_view("\x30"
                                     "ab",
                                     3),
                    3) == "no");
    CHECK(lz4_block(std::string_view("\x30"
                                     "abc",
                                     4),
                    2) == "no");
    CHECK(lz4_block(std::string_view("\x13"
                                     "a\x02\x00\x10"
                                     "z",
                                     6),
                    9) == "no"); // a match before the beginning
    CHECK(lz4_block(std::string_view("\x13"
                                     "a\x00\x00\x10"
                                     "z",
                                     6),
                    9) == "no"); // or of the byte to come
    CHECK(lz4_block(std::string_view("\x13"
                                     "a\x01",
                                     3),
                    9) == "no");
    CHECK(lz4_block(std::string_view("\xf0", 1), 16) == "no");
    CHECK(lz4_block(std::string_view("\xf0\xff\xff", 3), 16) == "no");
    CHECK(lz4_block(std::string_view("\x1f"
                                     "a\x01\x00",
                                     4),
                    30) == "no");
    const std::string head("\0\0\0\0\0\0\0\x05\0\0\0\x03", 12);
    CHECK(lz4(head.substr(0, 11), 5) == "no");
    CHECK(lz4(head, 4) == "no"); // another size
    CHECK(lz4(head + std::string("\0\0\0\x03"
                                 "abc"
                                 "\0\0\0",
                                 10),
              5) == "no");
    CHECK(lz4(head + std::string("\0\0\0\x04"
                                 "abc",
                                 7),
              5) == "no");
    CHECK(lz4(std::string("\0\0\0\0\0\0\0\x05\0\0\0\0", 12) + std::string(8, '\0'), 5) ==
          "no"); // blocks of no bytes
  }

  TEST_CASE("shuffled bytes come together; what is no whole element stays") {
    const auto unshuffle = [](std::string_view text, std::size_t element) {
      const exact_text from(text), into(std::string(text.size(), '?'));
      const std::span<std::byte> place(const_cast<std::byte*>(into.bytes().data()), text.size());
      stet::detail::unshuffle(from.bytes(), place, element);
      return std::string(reinterpret_cast<const char*>(place.data()), place.size());
    };
    CHECK(unshuffle("abcABC", 2) == "aAbBcC");
    CHECK(unshuffle("abcABCx", 2) == "aAbBcCx");
    CHECK(unshuffle("abc", 1) == "abc");
    CHECK(unshuffle("abc", 0) == "abc");
    CHECK(unshuffle("abc", 4) == "abc");
    CHECK(unshuffle("abc", 0xFFFFFFFF) == "abc");
    CHECK(unshuffle("", 4).empty());
  }

  TEST_CASE("pipelines are undone from the end, but for the filters that a chunk left out") {
    const hdf5_filter shuffle = filter(hdf5_filter::shuffle, 2), sum = filter(hdf5_filter::fletcher),
                      deflate = filter(hdf5_filter::deflate);
    CHECK(undo({}, "abcd", 4) == "abcd");
    CHECK(undo({shuffle}, "acbd", 4) == "abcd");
    CHECK(undo({shuffle, sum}, summed("acbd"), 4) == "abcd");
    CHECK(undo({shuffle, sum}, summed("acbd", true), 4) == "abcd"); // as HDF5 before 1.6.3 wrote it
    CHECK(undo({shuffle, deflate}, "Zacbd", 4) == "abcd");
    CHECK(undo({sum, deflate}, "Z" + summed("abcd"), 4) == "abcd"); // the checksum was compressed, too
    CHECK(undo({deflate, sum}, summed("Zabcd"), 4) == "abcd");
    CHECK(undo({shuffle, deflate}, "acbd", 4, 2) == "abcd");
    CHECK(undo({shuffle, deflate}, "abcd", 4, 3) == "abcd");
    CHECK(undo({filter(hdf5_filter::lzf), sum},
               summed(std::string("\x03"
                                  "abcd",
                                  5)),
               4) == "abcd");
  }

  TEST_CASE("chunks that are damaged are refused by the exact reason") {
    const hdf5_filter sum = filter(hdf5_filter::fletcher), deflate = filter(hdf5_filter::deflate),
                      packed = filter(hdf5_filter::lzf);
    CHECK(undo({}, "abc", 4) == "bad_compression");
    CHECK(undo({}, "abcde", 4) == "bad_compression");
    CHECK(undo({sum}, "abc", 4) == "bad_compression");
    CHECK(undo({sum}, summed("abc"), 4) == "bad_compression");
    std::string flipped = summed("abcd");
    flipped[1] ^= 1;
    CHECK(undo({sum}, flipped, 4) == "checksum_mismatch");
    CHECK(undo({deflate}, "Yabcd", 4) == "bad_compression");
    CHECK(undo({packed}, "\x1f", 4) == "bad_compression");
    CHECK(undo({packed, packed}, "\x1f", 4) == "bad_compression");
  }

  TEST_CASE("a chunk that is larger than its bytes can be is not even tried") {
    CHECK(undo({filter(hdf5_filter::deflate)}, "Zabcd", std::uint64_t{1} << 20) == "too_large");
    CHECK(undo({filter(hdf5_filter::deflate)}, "Zabcd", std::uint64_t{1} << 47) == "too_large");
    CHECK(undo({}, "", std::uint64_t{1} << 47) == "too_large");
  }

  TEST_CASE("filters that nobody undoes are named") {
    const auto obstacle = [](const std::vector<hdf5_filter>& filters, stet::inflate_function inflate) {
      const hdf5_filter* const found = stet::detail::find_obstacle(filters, inflate);
      if (found == nullptr)
        return std::string("none");
      const stet::error made = stet::detail::error_of_obstacle(*found, "/a");
      return std::string(stet::describe(made.code()).name) + ": " + std::string(made.subject());
    };
    const hdf5_filter deflate = filter(hdf5_filter::deflate);
    CHECK(obstacle({filter(hdf5_filter::shuffle), filter(hdf5_filter::fletcher), filter(hdf5_filter::lzf),
                    filter(hdf5_filter::lz4)},
                   nullptr) == "none");
    CHECK(obstacle({filter(hdf5_filter::shuffle), deflate}, nullptr) == "compressed: /a");
    CHECK(obstacle({filter(hdf5_filter::shuffle), deflate}, inflate_for_test) == "none");
    CHECK(obstacle({filter(hdf5_filter::szip), filter(hdf5_filter::scale_offset)}, nullptr) == "none");
    CHECK(obstacle({deflate, filter(hdf5_filter::nbit)}, inflate_for_test) == "unsupported: nbit of /a");
    CHECK(obstacle({filter(hdf5_filter::nbit)}, nullptr) == "unsupported: nbit of /a");
    CHECK(obstacle({filter(32015)}, nullptr) == "unsupported: filter 32015 of /a");
  }
}
