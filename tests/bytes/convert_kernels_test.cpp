// SPDX-License-Identifier: MIT
// Tests of convert_kernels.hpp: each kernel gives bit by bit what the portable loop gives, for every code, at every address.
#include <stet/bytes/detail/convert.hpp>

#include "support/thinned.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#if STET_CONVERT_KERNELS

namespace {

using std::byte;
using stet::detail::block_elements;
using stet::detail::conversion_of;
using stet::detail::convert_all;
using stet::detail::convert_block;
using stet::detail::convert_blocks;
using stet::detail::convert_by_float;
using stet::detail::convert_kernel;
using stet::detail::has_convert_kernels;
using stet::detail::has_kernels_by_float;

/// Calls `test(std::type_identity<T>{})` for each type that has a kernel to or from float.
void for_each_kernel_type(auto test) {
  test(std::type_identity<stet::float16>());
  test(std::type_identity<stet::bfloat16>());
  test(std::type_identity<stet::float8_e4m3fn>());
  test(std::type_identity<stet::float8_e5m2>());
  test(std::type_identity<stet::float8_e4m3fnuz>());
  test(std::type_identity<stet::float8_e5m2fnuz>());
  test(std::type_identity<stet::float8_e4m3b11fnuz>());
  test(std::type_identity<stet::float8_e8m0fnu>());
  test(std::type_identity<std::int8_t>());
  test(std::type_identity<std::uint8_t>());
}

template <class T> std::string kernel_type_name() { return std::string(stet::name_of(stet::dtype_of<T>::value)); }

/// Elements of `size_bytes` bytes that begin `lead` bytes behind the begin of an allocation, which ends with them.
class guarded_bytes {
public:
  guarded_bytes(std::size_t size_bytes, std::size_t lead) : bytes_(size_bytes + lead, byte{0x5A}), lead_(lead) {}
  byte* data() { return bytes_.data() + lead_; }
  [[nodiscard]] std::span<const byte> span() const { return std::span(bytes_).subspan(lead_); }

private:
  std::vector<byte> bytes_;
  std::size_t lead_;
};

/// What the portable loop makes of whole blocks.
template <class To, class From> std::vector<byte> by_portable_loop(std::span<const byte> from) {
  const std::size_t count = from.size() / sizeof(From);
  std::vector<byte> into(count * sizeof(To));
  for (std::size_t first = 0; first < count; first += block_elements)
    convert_block<To, From>(from.data() + first * sizeof(From), into.data() + first * sizeof(To));
  return into;
}

/// Converts whole blocks by `run` at several addresses, and compares with the portable loop. A guard of bytes shows that
/// nothing else is written.
template <class To, class From>
void compare_with_portable(const std::vector<byte>& from, void (*run)(const byte*, byte*, std::size_t) noexcept) {
  CAPTURE(kernel_type_name<From>());
  CAPTURE(kernel_type_name<To>());
  const std::size_t count = from.size() / sizeof(From);
  REQUIRE(count % block_elements == 0);
  const std::vector<byte> expected = by_portable_loop<To, From>(from);
  for (const std::size_t lead : {std::size_t{0}, std::size_t{1}, std::size_t{6}}) {
    guarded_bytes stored(from.size(), lead), converted(count * sizeof(To) + 32, 3 * lead);
    std::memcpy(stored.data(), from.data(), from.size());
    run(stored.data(), converted.data(), count / block_elements);
    std::size_t at = 0;
    while (at < count &&
           std::memcmp(expected.data() + at * sizeof(To), converted.data() + at * sizeof(To), sizeof(To)) == 0)
      ++at;
    CHECK(at == count); // the first element that differs
    for (const byte guard : converted.span().subspan(count * sizeof(To))) CHECK(guard == byte{0x5A});
  }
}

template <class T> std::vector<byte> raw_bytes(const std::vector<T>& values) {
  std::vector<byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Every code of a type of 8 or 16 bits, in an order in which few neighbours are alike.
template <class T> std::vector<byte> every_code() {
  using code = std::conditional_t<sizeof(T) == 1, std::uint8_t, std::uint16_t>;
  constexpr std::size_t count = std::size_t{1} << (8 * sizeof(T));
  std::vector<code> codes;
  for (std::size_t i = 0; i < count; ++i) codes.push_back(static_cast<code>(i * 77));
  for (std::size_t i = 0; i < count; ++i) codes.push_back(static_cast<code>(i));
  return raw_bytes(codes);
}

/// Bits of floats: a sample of all, the special ones, and for each number of `T` it, the middle between it and the next, and what is a
/// little beside each.
template <class T> std::vector<byte> sample_of_floats() {
  std::vector<std::uint32_t> bits;
  const auto add_around = [&](std::uint32_t middle) {
    for (std::uint32_t i = 0; i < 5; ++i) bits.push_back(middle - 2 + i);
  };
  for (std::uint64_t i = 0; i <= 0xffff'ffff; i += 65'537 * stet_test::step_if_thinned(8)) {
    bits.push_back(static_cast<std::uint32_t>(i));
    bits.push_back(static_cast<std::uint32_t>(i ^ i << 7));
  }
  for (int shift = 0; shift < 32; ++shift) {
    for (const std::uint32_t base : {0u, 0x7f80'0000u, 0xff80'0000u, 0x7fc0'0000u, 0x8000'0000u, 0x3f80'0000u})
      add_around(base ^ 1u << shift);
  }
  const std::vector<byte> codes = every_code<T>();
  const std::size_t half = codes.size() / 2; // the second half is in order
  const std::vector<byte> floats = by_portable_loop<float, T>(std::span(codes).subspan(half));
  for (std::size_t at = 0; at + 8 <= floats.size(); at += 4 * stet_test::step_if_thinned(5)) {
    std::uint32_t two[2];
    std::memcpy(two, floats.data() + at, sizeof two);
    add_around(two[0]);
    add_around(two[0] / 2 + two[1] / 2);
    bits.push_back(two[0] ^ 0x8000'0000); // for unsigned and for integers, the negative
  }
  while (bits.size() % block_elements != 0) bits.push_back(0x7f80'0001);
  return raw_bytes(bits);
}

} // namespace

TEST_SUITE("convert_kernels") {
  TEST_CASE("every code becomes the float of the portable loop") {
    if (!has_convert_kernels()) return;
    for_each_kernel_type([]<class From>(std::type_identity<From>) {
      static_assert(convert_kernel<float, From>::exists);
      compare_with_portable<float, From>(every_code<From>(), convert_kernel<float, From>::run);
    });
  }

  TEST_CASE("floats become the codes of the portable loop: a sample, and all that is halfway or nearly so") {
    if (!has_convert_kernels()) return;
    for_each_kernel_type([]<class To>(std::type_identity<To>) {
      if constexpr (!std::is_same_v<To, stet::float8_e8m0fnu>) {
        static_assert(convert_kernel<To, float>::exists);
        compare_with_portable<To, float>(sample_of_floats<To>(), convert_kernel<To, float>::run);
      }
    });
  }

  TEST_CASE("every code becomes, by way of float, the code of the portable loop") {
    if (!has_convert_kernels()) return;
    for_each_kernel_type([]<class From>(std::type_identity<From>) {
      for_each_kernel_type([]<class To>(std::type_identity<To>) {
        if constexpr (!std::is_same_v<To, From> && has_kernels_by_float<To, From>)
          compare_with_portable<To, From>(every_code<From>(), convert_by_float<To, From>);
      });
    });
  }

  TEST_CASE("a signalling NaN stays one in a block of others, and only there") {
    for (std::size_t place = 0; place < block_elements; ++place) {
      std::vector<std::uint16_t> halves(2 * block_elements, 0x3C00);
      halves[place] = place % 2 == 0 ? 0x7C01 : 0xFD55;
      halves[(place + 1) % block_elements] = 0x7E02;
      std::vector<std::uint32_t> floats(halves.size());
      convert_all<float, stet::float16>(reinterpret_cast<const byte*>(halves.data()),
                                        reinterpret_cast<byte*>(floats.data()), 2);
      CHECK(floats[place] == (place % 2 == 0 ? 0x7F80'2000u : 0xFFAA'A000u));
      CHECK(floats[(place + 1) % block_elements] == 0x7FC0'4000u);
      CHECK(floats[(place + 2) % block_elements] == 0x3F80'0000u);
      CHECK(floats.back() == 0x3F80'0000u);
    }
  }

  TEST_CASE("any number of elements is converted, and nothing behind them is written") {
    for_each_kernel_type([]<class From>(std::type_identity<From>) {
      const std::vector<byte> codes = every_code<From>();
      const std::vector<byte> expected = by_portable_loop<float, From>(codes);
      constexpr auto bits = static_cast<std::uint8_t>(8 * sizeof(From));
      for (std::size_t count = 0; count < 200; count += stet_test::step_if_thinned(7)) {
        guarded_bytes stored(count * sizeof(From), 1), floats(count * 4 + 4, 2);
        std::memcpy(stored.data(), codes.data(), count * sizeof(From));
        convert_blocks(conversion_of<float, From>, {stored.data(), stet::dtype_of<From>::value, bits, false},
                       floats.data(), count);
        CHECK(std::memcmp(floats.data(), expected.data(), count * 4) == 0);
        for (const byte guard : floats.span().subspan(count * 4)) CHECK(guard == byte{0x5A});
      }
    });
  }
}

#endif

namespace {

/// Swaps words of that size at several addresses and in any number, and compares with a loop over bytes.
template <class Word> void compare_swapped() {
  for (std::size_t count = 0; count < 100; ++count) {
    for (std::size_t lead = 0; lead < 3; ++lead) {
      const std::size_t size = count * sizeof(Word);
      std::vector<std::byte> stored(size + lead), words(size + lead + 8, std::byte{0x5A});
      for (std::size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<std::byte>(i * 29 + count);
      stet::detail::swap_words<Word>(stored.data() + lead, words.data() + lead, size);
      for (std::size_t i = 0; i < size; ++i)
        REQUIRE(words[lead + i] == stored[lead + i - i % sizeof(Word) + sizeof(Word) - 1 - i % sizeof(Word)]);
      for (std::size_t i = lead + size; i < words.size(); ++i) REQUIRE(words[i] == std::byte{0x5A});
      for (std::size_t i = 0; i < lead; ++i) REQUIRE(words[i] == std::byte{0x5A});
    }
  }
}

} // namespace

TEST_SUITE("convert_kernels") {
  TEST_CASE("words are swapped in any number at any address") {
    compare_swapped<std::uint16_t>();
    compare_swapped<std::uint32_t>();
    compare_swapped<std::uint64_t>();
  }

  TEST_CASE("swapped and packed elements are converted in any number: several blocks are made ready at a time") {
    using namespace stet;
    for (const std::size_t count : {1u, 63u, 64u, 65u, 1023u, 1024u, 1025u, 5000u}) {
      std::vector<std::byte> stored(count * 4), packed((count + 1) / 2);
      std::vector<std::uint8_t> codes(count), bytes(count);
      std::vector<float> floats(count), whole(count);
      for (std::size_t i = 0; i < count; ++i) {
        const auto value = static_cast<float>(i);
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        bits = detail::byte_swapped(bits);
        std::memcpy(stored.data() + i * 4, &bits, sizeof bits);
        packed[i / 2] |= static_cast<std::byte>((i * 7 & 15) << (i % 2 * 4));
      }
      CHECK(detail::copy_elements(detail::stored_elements{stored.data(), dtype::float32, 32, true},
                                  std::span(floats)) == errc{});
      std::vector<std::uint16_t> shorts(count);
      CHECK(detail::convert_elements(detail::stored_elements{stored.data(), dtype::float32, 32, true},
                                     std::span(shorts)) == errc{});
      CHECK(detail::convert_elements(detail::stored_elements{packed.data(), dtype::uint4, 4, false},
                                     std::span(whole)) == errc{});
      std::vector<uint4> fours(count);
      CHECK(detail::copy_elements(detail::stored_elements{packed.data(), dtype::uint4, 4, false}, std::span(fours)) ==
            errc{});
      for (std::size_t i = 0; i < count; ++i) {
        REQUIRE(floats[i] == static_cast<float>(i));
        REQUIRE(shorts[i] == i);
        REQUIRE(whole[i] == static_cast<float>(i * 7 & 15));
        REQUIRE(fours[i].bits() == (i * 7 & 15));
      }
    }
  }
}
