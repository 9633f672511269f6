// SPDX-License-Identifier: MIT
// Filters undone, and bytes that no filter made.
#include <stet/formats/hdf5/detail/filters.hpp>

#include "support/exact_text.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

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
std::string lzf(std::string_view bytes, std::size_t size) { return run(stet::detail::decompress_lzf, bytes, size); }
std::string lz4(std::string_view bytes, std::size_t size) {
  return run(stet::detail::decompress_lz4_blocks, bytes, size);
}
std::string lz4_block(std::string_view bytes, std::size_t size) {
  return run(stet::detail::decompress_lz4, bytes, size);
}

std::string from_hex(std::string_view digits) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string made;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    made.push_back(static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1])));
  return made;
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
  if (!has_frame || size != into_size + 1 || static_cast<char>(*from) != 'Z') return false;
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
  if (is_old) sum = (sum & 0x00FF00FFu) << 8 | (sum >> 8 & 0x00FF00FFu);
  for (int i = 0; i < 4; ++i) text.push_back(static_cast<char>(sum >> 8 * i & 0xFF));
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
    CHECK(lz4(std::string("\0\0\0\0\0\0\0\x05\0\0\0\0", 12) + std::string(8, '\0'), 5) == "no"); // blocks of no bytes
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

  TEST_CASE("two compressors: the size between them is that of the first one's bytes") {
    // 1000, 1000, 1000, 1001 …: 64 numbers of 4 bytes, by h5py's scaleoffset=0 and then another filter.
    std::string numbers;
    for (std::uint32_t i = 0; i < 64; ++i) {
      for (int byte = 0; byte < 4; ++byte) numbers.push_back(static_cast<char>((i / 3 + 1000) >> 8 * byte & 0xFF));
    }
    std::string settings;
    for (const std::uint32_t each :
         {2u, 0u, 64u, 0u, 4u, 1u, 0u, 1u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 20u, 0u}) {
      for (int byte = 0; byte < 4; ++byte) settings.push_back(static_cast<char>(each >> 8 * byte & 0xFF));
    }
    const exact_text kept(settings);
    hdf5_filter scaled = filter(hdf5_filter::scale_offset, 2);
    scaled.values = kept.bytes();
    const std::string by_lzf = from_hex("060500000008e8032005e004001f10844210c6321085294c631ce7421094a54a52d6b6318d6b"
                                        "5ce73def842118c6065294e73a529500");
    CHECK(undo({scaled, filter(hdf5_filter::lzf)}, by_lzf, 256) == numbers);
    CHECK(undo({scaled, filter(hdf5_filter::lzf), filter(hdf5_filter::fletcher)}, summed(by_lzf), 256) == numbers);
    CHECK(undo({scaled, filter(hdf5_filter::lzf)}, by_lzf.substr(0, by_lzf.size() - 3), 256) == "bad_compression");
    const std::string deflated = from_hex("785e63656060e078c1cc8006045a9c048e1909b46afa24cb3c771298b2d42be8da36c3deec98"
                                          "e7b6ef5b14258e054d796e153495010061b61103"),
                      shuffled = from_hex("785e63e560008216231f272fc3e78a53185e80b84e02c90241bdb612cf1998415c81569929d7"
                                          "b2df1fb3027118048e693e5fba2da62528682a0300c6ac1103");
    const auto measure = [](std::string_view text, std::uint64_t most) {
      const exact_text bytes(text);
      std::uint64_t size = 0;
      return stet::detail::deflated_size(bytes.bytes()).measure(most, size) ? std::to_string(size) : "no";
    };
    CHECK(measure(deflated, 1000) == "62");
    CHECK(measure(shuffled, 62) == "62");
    CHECK(measure(shuffled, 61) == "no");
    CHECK(measure(std::string("\x78\x01\x01\x03\x00\xfc\xff"
                              "abc",
                              10),
                  100) == "3"); // stored
    CHECK(measure(std::string("\x78\x01\x01\x04\x00\xfb\xff"
                              "abc",
                              10),
                  100) == "no");
    CHECK(measure(std::string("\x78\x01\x01\x03\x00\xfd\xff"
                              "abc",
                              10),
                  100) == "no");
    CHECK(measure(from_hex("7801"
                           "07"),
                  100) == "no"); // a kind of block that there is not
    CHECK(measure(from_hex("7901"
                           "0103"),
                  100) == "no");
    for (std::size_t size = 0; size + 4 < deflated.size(); ++size)
      CHECK(measure(deflated.substr(0, size), 1000) == "no"); // but for the checksum behind them
    for (std::size_t bit = 0; bit < deflated.size() * 8; ++bit) {
      std::string changed = deflated;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
      const std::string size = measure(changed, 100);
      CHECK((size == "no" || std::stoul(size) <= 100));
    }
#if STET_HAS_ZLIB
    const auto unzip = [&](const std::vector<hdf5_filter>& filters, std::string_view text) {
      const exact_text bytes(text);
      const auto made =
          stet::detail::undo_filters(filters, 0, stet::source::borrow(bytes.bytes()), 256, stet::inflate_with_zlib);
      return made ? std::string(reinterpret_cast<const char*>(made->data()), 256) : outcome(made);
    };
    const hdf5_filter deflate = filter(hdf5_filter::deflate);
    CHECK(unzip({scaled, deflate}, deflated) == numbers);
    CHECK(unzip({scaled, filter(hdf5_filter::shuffle, 4), deflate}, shuffled) == numbers);
    CHECK(unzip({scaled, filter(hdf5_filter::shuffle, 4), deflate, filter(hdf5_filter::fletcher)}, summed(shuffled)) ==
          numbers);
#endif
  }

  TEST_CASE("scale-offset makes any number of equal elements of a minimum alone") {
    std::string settings;
    for (const std::uint32_t each : {2u, 0u, 1u << 16, 0u, 4u, 1u, 0u, 0u}) {
      for (int byte = 0; byte < 4; ++byte) settings.push_back(static_cast<char>(each >> 8 * byte & 0xFF));
    }
    const exact_text kept(settings);
    hdf5_filter scaled = filter(hdf5_filter::scale_offset, 2);
    scaled.values = kept.bytes();
    const std::string stored = std::string("\0\0\0\0\x08\x07", 6) + std::string(16, '\0');
    std::string sevens;
    for (int i = 0; i < 1 << 16; ++i) sevens += std::string("\x07\0\0\0", 4);
    CHECK((undo({scaled}, stored, 1 << 18) == sevens));
    CHECK(undo({scaled}, stored, std::uint64_t{1} << 40) == "too_large");
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
      const hdf5_filter* const found = stet::detail::first_unsupported_filter(filters, inflate);
      if (found == nullptr) return std::string("none");
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
    CHECK(obstacle({deflate, filter(hdf5_filter::nbit)}, inflate_for_test) ==
          "unsupported: nbit (h5repack -f NONE removes it) of /a");
    CHECK(obstacle({filter(hdf5_filter::nbit)}, nullptr) == "unsupported: nbit (h5repack -f NONE removes it) of /a");
    CHECK(obstacle({filter(32015)}, nullptr) == "unsupported: filter 32015 (zstd; h5repack -f NONE removes it) of /a");
    CHECK(obstacle({filter(32001)}, nullptr) == "unsupported: filter 32001 (blosc; h5repack -f NONE removes it) of /a");
    CHECK(obstacle({filter(40000)}, nullptr) == "unsupported: filter 40000 (h5repack -f NONE removes it) of /a");
    hdf5_filter named = filter(40000);
    named.name = "squash; see example.org";
    CHECK(obstacle({named}, nullptr) == "unsupported: filter 40000 (squash; h5repack -f NONE removes it) of /a");
    named.name = "a_very_long_name_that_leaves_no_room";
    CHECK(obstacle({named}, nullptr) ==
          "unsupported: filter 40000 (a_very_long_name; h5repack -f NONE removes it) of /a");
  }
}
