// SPDX-License-Identifier: MIT
// Tests of strings.hpp: golden bytes, both byte orders, lies of all kinds, truncations and flipped bits.
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"

#include <stet/formats/tensorflow/detail/strings.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace std::literals;
using namespace stet_test;

struct decoded {
  std::string result;
  std::vector<std::string> strings;
};

decoded decode(std::string_view stored, std::uint64_t count, std::uint32_t crc, bool is_big_endian = false) {
  const exact_text block(stored);
  const auto made = stet::detail::decode_strings(block.bytes(), count, crc, is_big_endian);
  decoded seen{outcome(made), {}};
  if (!made) return seen;
  const auto strings = stet::string_span::validate({made->data(), static_cast<std::size_t>(made->size_bytes())}, count);
  CHECK(strings);
  if (!strings) return seen;
  for (std::size_t i = 0; i < strings->size(); ++i) seen.strings.emplace_back((*strings)[i]);
  return seen;
}

/// ["ab", ""] as TensorFlow stores it, and its checksum.
constexpr std::string_view golden = "\x02\x00\x78\x27\x0b\x34\x61\x62"sv;
constexpr std::uint32_t golden_crc = 0x4DB08891u;

std::uint32_t crc_of(std::string_view text, std::uint32_t crc = 0) {
  return stet::crc32c(std::as_bytes(std::span(text.data(), text.size())), crc);
}

} // namespace

TEST_SUITE("tensorflow/strings") {
  TEST_CASE("reads what TensorFlow wrote") {
    const decoded seen = decode(golden, 2, golden_crc);
    CHECK(seen.result == "ok");
    CHECK(seen.strings == std::vector<std::string>{"ab", ""});
  }

  TEST_CASE("a tensor without elements is a checksum, or nothing at all") {
    CHECK(decode("\xd8\xea\x82\xa2"sv, 0, stet::detail::mask_crc32c(crc_of("\xd8\xea\x82\xa2"sv))).result == "ok");
    CHECK(decode("", 0, 0).result == "ok");
    CHECK(decode("", 1, 0).result == "bad_string_table");
  }

  TEST_CASE("what is encoded is decoded") {
    const std::vector<std::string> strings = {"", "a", std::string(300, 'x'), "with \0 and \xff"s};
    std::vector<std::byte> native((strings.size() + 1) * 8);
    std::string text;
    for (std::size_t i = 0; i < strings.size(); ++i) {
      text += strings[i];
      stet::detail::store_little(native.data() + (i + 1) * 8, std::uint64_t{text.size()});
    }
    const auto made = stet::detail::encode_string_lengths(native);
    REQUIRE(made);
    const decoded seen =
        decode(made->bytes + text, strings.size(), stet::detail::mask_crc32c(crc_of(text, made->crc32c)));
    CHECK(seen.result == "ok");
    CHECK(seen.strings == strings);
  }

  TEST_CASE("encodes what TensorFlow writes, and refuses offsets that decrease") {
    std::vector<std::byte> offsets(24);
    stet::detail::store_little(offsets.data() + 8, std::uint64_t{2});
    stet::detail::store_little(offsets.data() + 16, std::uint64_t{2});
    const auto made = stet::detail::encode_string_lengths(offsets);
    REQUIRE(made);
    CHECK(made->bytes == golden.substr(0, 6));
    CHECK(stet::detail::mask_crc32c(crc_of("ab", made->crc32c)) == golden_crc);
    stet::detail::store_little(offsets.data() + 16, std::uint64_t{1});
    CHECK(outcome(stet::detail::encode_string_lengths(offsets)) == "bad_string_table");
  }

  TEST_CASE("reads the other byte order") {
    // The lengths enter the checksum as big-endian words, and it is stored as one.
    const std::uint32_t lengths = stet::detail::mask_crc32c(crc_of("\0\0\0\x02\0\0\0\0"sv));
    std::string stored("\x02\x00"sv), word;
    for (const unsigned shift : {24u, 16u, 8u, 0u}) word += static_cast<char>(lengths >> shift & 0xFF);
    const std::uint32_t crc = stet::detail::mask_crc32c(crc_of("ab", crc_of(word, crc_of("\0\0\0\x02\0\0\0\0"sv))));
    stored += word + "ab";
    const decoded seen = decode(stored, 2, crc, true);
    CHECK(seen.result == "ok");
    CHECK(seen.strings == std::vector<std::string>{"ab", ""});
    CHECK(decode(stored, 2, crc, false).result == "checksum_mismatch");
    CHECK(decode(golden, 2, golden_crc, true).result == "checksum_mismatch");
  }

  TEST_CASE("refuses lengths that do not make up the tensor") {
    const std::pair<std::string_view, std::uint64_t> table[] = {
        {golden, 0},
        {golden, 1},
        {golden, 3},
        {golden, 5},
        {golden, 9},
        {golden, ~std::uint64_t{0}},
        {golden, std::uint64_t{1} << 61},
        {"\x02\x00\x78"sv, 2},
        {"\x03\x00\x78\x27\x0b\x34\x61\x62"sv, 2},
        {"\x01\x00\x78\x27\x0b\x34\x61\x62"sv, 2},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x04\x78\x27\x0b\x34\x61\x62"sv, 2}, // the sum wraps to 3
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"sv, 1},
        {"\x80\x80\x80\x80\x80\x80\x80\x80"sv, 4},
    };
    for (const auto& [stored, count] : table) CHECK(decode(stored, count, golden_crc).result == "bad_string_table");
  }

  TEST_CASE("notices damage anywhere") {
    CHECK(decode(golden, 2, golden_crc ^ 1).result == "checksum_mismatch");
    for (std::size_t bit = 0; bit < golden.size() * 8; ++bit) {
      std::string damaged(golden);
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      CHECK(decode(damaged, 2, golden_crc).result != "ok");
    }
    for (std::size_t size = 0; size < golden.size(); ++size)
      CHECK(decode(golden.substr(0, size), 2, golden_crc).result == "bad_string_table");
  }
}
