// SPDX-License-Identifier: MIT
// Tests of extents.hpp: what can be a shape as an argument.
#include <stet/vocabulary/extents.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using numbers = std::vector<std::uint64_t>;

/// What a function gets that takes a shape.
numbers taken(const stet::extents& shape) {
  const std::span<const std::uint64_t> values = shape;
  return {values.begin(), values.end()};
}

/// Whether every check of a shape refuses it.
bool is_refused(const stet::extents& shape) {
  stet::detail::element_counter counter;
  for (const std::uint64_t each : std::span<const std::uint64_t>(shape)) {
    if (!counter.multiply(each)) return true;
  }
  return false;
}

} // namespace

static_assert(!std::is_convertible_v<int, stet::extents>);
static_assert(!std::is_convertible_v<const char*, stet::extents>);
static_assert(!std::is_convertible_v<std::string, stet::extents>);
static_assert(!std::is_convertible_v<std::vector<float>, stet::extents>);
static_assert(!std::is_convertible_v<std::vector<bool>, stet::extents>);
static_assert(!std::is_convertible_v<decltype("text"), stet::extents>);

TEST_SUITE("extents") {
  TEST_CASE("braces take integers of all types") {
    const int n = 784;
    const std::size_t m = 10;
    const long long wide = std::int64_t{1} << 40;
    CHECK(taken({}).empty());
    CHECK(taken({5}) == numbers{5});
    CHECK(taken({n, 10}) == numbers{784, 10});
    CHECK(taken({0, m, wide, 3u, std::int8_t{7}}) == numbers{0, 10, std::uint64_t{1} << 40, 3, 7});
    CHECK(taken({std::numeric_limits<std::uint64_t>::max()}) == numbers{~std::uint64_t{0}});
  }

  TEST_CASE("ranges of any integer type are taken, and nothing of them is kept") {
    const std::vector<std::int64_t> signed_numbers{2, 3};
    const std::vector<int> integers{2, 3};
    const numbers unsigned_numbers{2, 3};
    const std::array<std::uint8_t, 2> bytes{2, 3};
    const int array[] = {2, 3};
    const numbers expected{2, 3};
    CHECK(taken(signed_numbers) == expected);
    CHECK(taken(integers) == expected);
    CHECK(taken(unsigned_numbers) == expected);
    CHECK(taken(std::span<const std::uint64_t>(unsigned_numbers)) == expected);
    CHECK(taken(bytes) == expected);
    CHECK(taken(array) == expected);
    const std::byte stored[16] = {std::byte{2}, {}, {}, {}, {}, {}, {}, {}, std::byte{3}};
    CHECK(taken(stet::shape(stored, 2)) == expected);
    CHECK(taken(std::vector<int>()).empty());
    const stet::extents kept = std::vector<int>{2, 3}; // the vector has ended
    const stet::extents copy = kept;
    CHECK(taken(copy) == expected);
    stet::extents assigned;
    assigned = copy;
    CHECK(taken(assigned) == expected);
  }

  TEST_CASE("a negative extent, or too many, is a shape that every check refuses") {
    CHECK(is_refused({-1}));
    CHECK(is_refused({3, -2}));
    CHECK(is_refused({0, std::int8_t{-1}, 0}));
    CHECK(is_refused({std::numeric_limits<long long>::min()}));
    CHECK(is_refused(std::vector<std::int64_t>{4, -4}));
    CHECK(taken(numbers(stet::max_rank, 1)).size() == stet::max_rank);
    CHECK_FALSE(is_refused(numbers(stet::max_rank, 1)));
    CHECK(is_refused(numbers(stet::max_rank + 1, 1)));
    CHECK(is_refused(numbers(100000, 0)));
  }
}
