// SPDX-License-Identifier: MIT
// Tests of shape.hpp: extents in place, and sizes that no order of extents can make overflow unnoticed.
#include <stet/vocabulary/shape.hpp>

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

using stet::dtype;
using stet::element_layout;

namespace {

constexpr std::uint64_t largest = ~std::uint64_t{0};
constexpr std::uint64_t no_size = largest;

std::vector<std::byte> encoded(std::initializer_list<std::uint64_t> extents, std::size_t misalignment = 0) {
  std::vector<std::byte> bytes(misalignment + extents.size() * 8);
  std::size_t at = misalignment;
  for (const std::uint64_t extent : extents) {
    stet::detail::store_little(bytes.data() + at, extent);
    at += 8;
  }
  return bytes;
}

/// The size of a tensor; `no_size` if it is refused.
std::uint64_t size_of(std::initializer_list<std::uint64_t> extents, const element_layout& layout) {
  stet::detail::element_counter counter;
  for (const std::uint64_t extent : extents) {
    if (!counter.multiply(extent)) return no_size;
  }
  std::uint64_t size_bytes = 0;
  return stet::checked_size_bytes(counter, layout, size_bytes) ? size_bytes : no_size;
}
std::uint64_t size_of(std::initializer_list<std::uint64_t> extents, dtype d) {
  return size_of(extents, element_layout::of(d));
}
element_layout blocks_of(std::uint32_t elements, std::uint32_t bytes) {
  return {dtype::block, 0, {"b", elements, bytes}};
}

} // namespace

TEST_SUITE("shape") {
  TEST_CASE("views extents at any alignment") {
    for (std::size_t misalignment = 0; misalignment < 8; ++misalignment) {
      const auto bytes = encoded({784, 10}, misalignment);
      const stet::shape shape(bytes.data() + misalignment, 2);
      CHECK(shape.rank() == 2);
      CHECK(shape[0] == 784);
      CHECK(shape[1] == 10);
      CHECK(std::vector<std::uint64_t>{*shape.begin(), *++shape.begin()} == std::vector<std::uint64_t>{784, 10});
      CHECK(shape.equals({784, 10}));
      CHECK_FALSE(shape.equals({784}));
      CHECK_FALSE(shape.equals({784, 11}));
      CHECK_FALSE(shape.equals({784, 10, 1}));
      const int rows = 784;
      CHECK(shape.equals({rows, 10u}));
      CHECK(shape.equals(std::vector<long long>{784, 10}));
      CHECK_FALSE(shape.equals(std::vector<int>{784, -10}));
      CHECK(shape == stet::shape(bytes.data() + misalignment, 2));
      CHECK_FALSE(shape == stet::shape(bytes.data() + misalignment, 1));
    }
  }

  TEST_CASE("of a scalar has no extents") {
    const stet::shape scalar;
    CHECK(scalar.rank() == 0);
    CHECK(scalar.begin() == scalar.end());
    CHECK(scalar.equals({}));
  }

  TEST_CASE("prints as a person reads it") {
    const auto bytes = encoded({784, 10});
    char buffer[32];
    stet::text_writer out(buffer, sizeof buffer);
    stet::shape(bytes.data(), 2).print(out);
    out.append(" ");
    stet::shape().print(out);
    CHECK(out.text() == "[784, 10] []");
  }

  TEST_CASE("sizes: elements of whole bytes") {
    CHECK(size_of({}, dtype::float64) == 8);
    CHECK(size_of({784, 10}, dtype::float32) == 31360);
    CHECK(size_of({3, 0}, dtype::float32) == 0);
    CHECK(size_of({largest / 2}, dtype::int8) == largest / 2);
    CHECK(size_of({largest / 2 + 1}, dtype::int8) == no_size);
  }

  TEST_CASE("sizes: elements below a byte fill the last byte up") {
    CHECK(size_of({3}, dtype::int4) == 2);
    CHECK(size_of({5}, dtype::uint2) == 2);
    CHECK(size_of({5}, dtype::float6_e2m3fn) == 4);
    CHECK(size_of({8}, dtype::float6_e2m3fn) == 6);
    CHECK(size_of({3}, element_layout{dtype::int4, 8, {}}) == 3);
    CHECK(size_of({largest}, dtype::uint2) == largest / 4 + 1); // the count of bits does not fit, the size does
    CHECK(size_of({largest}, dtype::uint4) == no_size);
  }

  TEST_CASE("sizes: strings have at least their offsets") {
    CHECK(size_of({0}, dtype::string) == 8);
    CHECK(size_of({2, 3}, dtype::string) == 56);
    CHECK(size_of({largest / 16 - 1}, dtype::string) == largest / 16 * 8);
    CHECK(size_of({largest / 16 + 1}, dtype::string) == no_size);
    CHECK(size_of({std::uint64_t{1} << 61}, dtype::string) == no_size); // × 8 wraps
    CHECK(size_of({largest}, dtype::string) == no_size);                // + 1 wraps
    CHECK(size_of({largest, 0}, dtype::string) == no_size);
  }

  TEST_CASE("sizes: block types are filled whole") {
    CHECK(size_of({512}, blocks_of(256, 144)) == 288);
    CHECK(size_of({2, 128}, blocks_of(256, 144)) == 144);
    CHECK(size_of({0}, blocks_of(256, 144)) == 0);
    CHECK(size_of({255}, blocks_of(256, 144)) == no_size);
    CHECK(size_of({1}, blocks_of(0, 144)) == no_size);
    CHECK(size_of({largest / 2}, blocks_of(1, 1)) == largest / 2);
    CHECK(size_of({largest / 2}, blocks_of(1, 2)) == no_size);
    CHECK(size_of({largest}, blocks_of(1, 2)) == no_size);
    CHECK(size_of({largest, 0}, blocks_of(1, 2)) == no_size);
    CHECK(size_of({0, largest}, blocks_of(1, 0xFFFFFFFFu)) == no_size);
    CHECK(size_of({largest}, blocks_of(0xFFFFFFFFu, 0xFFFFFFFFu)) == no_size);
  }

  TEST_CASE("sizes: a zero extent hides no overflow, wherever it stands") {
    const std::uint64_t two32 = std::uint64_t{1} << 32;
    CHECK(size_of({two32, two32}, dtype::int8) == no_size);
    CHECK(size_of({two32, two32, 0}, dtype::int8) == no_size);
    CHECK(size_of({0, two32, two32}, dtype::int8) == no_size);
    CHECK(size_of({two32, 0, two32}, dtype::int8) == no_size);
    CHECK(size_of({std::uint64_t{1} << 63, 2}, dtype::int8) == no_size);
    CHECK(size_of({largest}, dtype::float32) == no_size);
    CHECK(size_of({0, largest}, dtype::float32) == no_size);
    CHECK(size_of({largest, 0}, dtype::float32) == no_size);
    CHECK(size_of({largest / 8, 0}, dtype::float32) == 0);
  }
}
