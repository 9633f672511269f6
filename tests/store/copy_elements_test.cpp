// SPDX-License-Identifier: MIT
// Tests of copy_elements.hpp: the way through a wider type gives what the direct one gives, for every dtype
// there is.
#include "support/files.hpp"
#include "support/outcome.hpp"

#include <stet/store/copy_elements.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

using stet::dtype;
using stet_test::outcome;

namespace {

constexpr std::size_t element_count = 1030; // more than one piece, and not whole bytes of every width

/// Bytes that are elements of any dtype: mostly random, the extremes of integers and the oddities of floats
/// among them.
stet_test::byte_vector stored_bytes(dtype of) {
  const std::uint8_t bits = stet::describe(of).bits;
  stet_test::byte_vector bytes((element_count * bits + 7) / 8);
  std::uint32_t state = 12345;
  for (std::byte& each : bytes) each = static_cast<std::byte>((state = state * 1664525u + 1013904223u) >> 24);
  const std::uint8_t oddities[] = {0x00, 0xFF, 0x80, 0x7F, 0x01};
  for (std::size_t i = 0; i < bytes.size() / 2; ++i) bytes[i] = static_cast<std::byte>(oddities[(i / 8) % 5]);
  if (of == dtype::boolean) {
    for (std::byte& each : bytes) each &= std::byte{1};
  }
  const std::size_t odd_bits = element_count * bits % 8;
  if (odd_bits != 0) bytes.back() &= static_cast<std::byte>((1u << odd_bits) - 1u);
  return bytes;
}

/// Whether the bytes are equal, but for which NaN a float is: on the wider way one that signals falls silent.
template <class To> bool is_equal(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  if constexpr (std::is_same_v<To, float> || std::is_same_v<To, stet::complex64>) {
    for (std::size_t at = 0; at < a.size(); at += sizeof(float)) {
      float x = 0, y = 0;
      std::memcpy(&x, a.data() + at, sizeof x);
      std::memcpy(&y, b.data() + at, sizeof y);
      const bool is_nan = x != x && y != y;
      if (!is_nan && std::memcmp(&x, &y, sizeof x) != 0) return false;
    }
    return true;
  } else {
    return a == b;
  }
}

template <class To> void compare_with_direct() {
  const dtype to = stet::dtype_of<To>::value;
  CAPTURE(std::string(stet::name_of(to)));
  for (const stet::dtype_description& row : stet::dtype_table) {
    if (row.bits == 0) continue; // strings, blocks
    CAPTURE(std::string(row.name));
    const std::vector<stet_test::native_tensor> tensors = {
        stet_test::tensor_of("a", stet::element_layout::of(row.dtype), {element_count}, stored_bytes(row.dtype))};
    const stet_test::native_file file(tensors);
    const auto opened = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    std::vector<std::byte> direct(element_count * sizeof(To), std::byte{0x55}), copied = direct;
    const auto tensor = opened->find("a");
    const auto expected =
        tensor->copy_to(std::span<To>(reinterpret_cast<To*>(direct.data()), element_count), stet::convert);
    CHECK(outcome(stet::copy_elements(*tensor, to, copied)) == outcome(expected));
    if (!expected) continue;
    CHECK(is_equal<To>(copied, direct));
  }
}

/// Elements of a type in this machine's form: every code of 8 and 16 bits, and a sample of wider ones with the ends of each exponent.
std::vector<std::byte> codes_of(dtype of, std::size_t size) {
  std::vector<std::byte> bytes;
  const auto add = [&](std::uint64_t code) {
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t place = stet::detail::host_is_little_endian ? i : size - 1 - i;
      bytes.push_back(static_cast<std::byte>(code >> (8 * place) & 0xFF));
    }
  };
  if (size <= 2) {
    const std::uint64_t count = of == dtype::boolean ? 2 : std::uint64_t{1} << (8 * size);
    for (std::uint64_t code = 0; code < count; ++code) add(code);
  } else {
    const int shift = size == 4 ? 19 : 49; // the exponent and the highest bits of the fraction
    for (std::uint64_t head = 0; head < std::uint64_t{1} << (8 * size - static_cast<std::size_t>(shift)); ++head) {
      for (const std::uint64_t low : {std::uint64_t{0}, std::uint64_t{1}, (std::uint64_t{1} << shift) - 1})
        add(head << shift | low);
    }
  }
  return bytes;
}

} // namespace

TEST_SUITE("copy_elements") {
  TEST_CASE("kernels change no bit of what the way by the widest type gives, NaNs included") {
    using namespace stet::detail;
    for (const dtype from :
         {dtype::float16, dtype::bfloat16, dtype::float8_e4m3fn, dtype::float8_e5m2, dtype::float8_e4m3fnuz,
          dtype::float8_e5m2fnuz, dtype::float8_e4m3b11fnuz, dtype::float8_e8m0fnu, dtype::int8, dtype::uint8,
          dtype::quint8, dtype::boolean, dtype::int16, dtype::float32, dtype::float64}) {
      CAPTURE(std::string(stet::name_of(from)));
      const std::uint8_t bits = stet::describe(from).bits;
      const std::vector<std::byte> stored = codes_of(from, bits / 8u);
      const std::size_t count = stored.size() / (bits / 8u);
      const stored_elements all{stored.data(), from, bits, false};
      std::vector<std::byte> wide(count * 16);
      const dtype widest = widen(all, wide.data(), count);
      for (const stet::dtype_description& row : stet::dtype_table) {
        if (row.dtype == from || row.bits == 0) continue;
        CAPTURE(std::string(row.name));
        const std::size_t size = (row.bits + 7u) / 8u;
        std::vector<std::byte> expected(count * size), copied(count * size);
        REQUIRE(narrow({wide.data(), widest, stet::describe(widest).bits, false}, row.dtype, expected.data(), count) ==
                stet::errc{});
        REQUIRE(copy_as(all, row.dtype, size, copied.data(), count) == stet::errc{});
        CHECK(copied == expected);
      }
    }
  }

  TEST_CASE("gives what the direct conversion gives") {
    compare_with_direct<std::uint8_t>();
    compare_with_direct<std::int32_t>();
    compare_with_direct<std::uint64_t>();
    compare_with_direct<stet::int4>();
    compare_with_direct<stet::bfloat16>();
    compare_with_direct<stet::float8_e4m3fn>();
    compare_with_direct<float>();
    compare_with_direct<stet::complex64>();
    compare_with_direct<stet::qint8>();
  }

  TEST_CASE("reads streamed elements, and passes errors on") {
    const stet_test::native_file file(
        {stet_test::tensor_of<std::uint16_t>("a", {3}, {1, 2, 65535}), stet_test::strings_of("s", {"x"})});
    for (int fails_at = 0; fails_at < 4; ++fails_at) {
      const stet_test::memory_reader reader(file.bytes, fails_at);
      const auto opened = stet::open(reader);
      if (!opened) continue;
      float floats[3] = {};
      const auto copied =
          stet::copy_elements(*opened->find("a"), dtype::float32, std::as_writable_bytes(std::span(floats)));
      if (copied)
        CHECK(floats[2] == 65535);
      else
        CHECK(outcome(copied) == "io_error");
    }
    const auto opened = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    alignas(4) std::byte bytes[16];
    const std::span<std::byte> all(bytes);
    CHECK(outcome(stet::copy_elements(*opened->find("a"), dtype::float32, all)) == "bad_range");
    CHECK(outcome(stet::copy_elements(*opened->find("a"), dtype::float32, all.first(8), 8)) == "bad_range");
    CHECK(outcome(stet::copy_elements(*opened->find("a"), dtype::float32, all.first(7))) == "invalid_argument");
    CHECK(outcome(stet::copy_elements(*opened->find("a"), dtype::float32, all.first(4), 1)) == "invalid_argument");
    CHECK(outcome(stet::copy_elements(*opened->find("s"), dtype::float32, all.first(4))) == "not_convertible");
    CHECK(outcome(stet::copy_elements(*opened->find("a"), dtype::string, all.first(4))) == "not_convertible");
  }

  TEST_CASE("a tensor can be copied part by part, whatever the width and the byte order") {
    for (const dtype of :
         {dtype::uint4, dtype::float6_e2m3fn, dtype::uint2, dtype::int16, dtype::boolean, dtype::complex64}) {
      CAPTURE(std::string(stet::name_of(of)));
      const stet_test::native_file file(
          {stet_test::tensor_of("a", stet::element_layout::of(of), {element_count}, stored_bytes(of))});
      const auto opened = stet::open(std::span<const std::byte>(file.bytes));
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      const stet::tensor from = *opened->find("a");
      for (const dtype to : {of, dtype::complex128}) {
        const std::size_t size = to == of ? of == dtype::int16 ? 2u : of == dtype::complex64 ? 8u : 1u : 16u;
        std::vector<std::byte> whole(element_count * size), parts = whole;
        REQUIRE(outcome(stet::copy_elements(from, to, whole)) == "ok");
        for (const std::size_t step : {std::size_t{8}, std::size_t{600}, std::size_t{1024}}) {
          for (std::size_t first = 0; first < element_count; first += step) {
            const std::size_t some = (std::min)(step, element_count - first);
            REQUIRE(outcome(stet::copy_elements(from, to, std::span(parts).subspan(first * size, some * size),
                                                first)) == "ok");
          }
          CHECK(parts == whole);
        }
      }
    }
  }
}
