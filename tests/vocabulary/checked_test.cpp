// SPDX-License-Identifier: MIT
// Tests of checked.hpp: sums, products and alignments at the edge of 64 bits.
#include <stet/vocabulary/detail/checked.hpp>

#include <doctest/doctest.h>

#include <cstdint>

namespace {
constexpr std::uint64_t most = ~std::uint64_t{0};
using stet::detail::checked_add;
using stet::detail::checked_align_up;
using stet::detail::checked_multiply;
using stet::detail::range_fits;
} // namespace

TEST_SUITE("checked") {
  TEST_CASE("adds up to the largest integer and no further") {
    std::uint64_t sum = 0;
    CHECK(checked_add(most - 1, 1, sum));
    CHECK(sum == most);
    CHECK(checked_add(0, most, sum));
    CHECK_FALSE(checked_add(1, most, sum));
    CHECK_FALSE(checked_add(most, most, sum));
  }

  TEST_CASE("multiplies up to the largest integer and no further") {
    std::uint64_t product = 0;
    CHECK(checked_multiply(0xFFFFFFFFu, 0x100000001u, product));
    CHECK(product == most);
    CHECK(checked_multiply(most, 0, product));
    CHECK(product == 0);
    CHECK(checked_multiply(0, most, product));
    CHECK(checked_multiply(most, 1, product));
    CHECK_FALSE(checked_multiply(std::uint64_t{1} << 32, std::uint64_t{1} << 32, product));
    CHECK_FALSE(checked_multiply(std::uint64_t{1} << 63, 2, product));
    CHECK_FALSE(checked_multiply(2, std::uint64_t{1} << 63, product));
    CHECK_FALSE(checked_multiply(most, most, product));
  }

  TEST_CASE("aligns upwards unless that would wrap") {
    std::uint64_t aligned = 1;
    CHECK(checked_align_up(0, 64, aligned));
    CHECK(aligned == 0);
    CHECK(checked_align_up(1, 64, aligned));
    CHECK(aligned == 64);
    CHECK(checked_align_up(64, 64, aligned));
    CHECK(aligned == 64);
    CHECK(checked_align_up(most, 1, aligned));
    CHECK(aligned == most);
    CHECK(checked_align_up(most - 63, 64, aligned));
    CHECK(aligned == most - 63);
    CHECK_FALSE(checked_align_up(most - 62, 64, aligned));
    CHECK_FALSE(checked_align_up(most, 65536, aligned));
  }

  TEST_CASE("says whether a range fits, whatever its numbers are") {
    CHECK(range_fits(0, 0, 0));
    CHECK(range_fits(4, 4, 8));
    CHECK(range_fits(8, 0, 8));
    CHECK_FALSE(range_fits(9, 0, 8));
    CHECK_FALSE(range_fits(4, 5, 8));
    CHECK_FALSE(range_fits(4, most - 3, 8));
    CHECK_FALSE(range_fits(most, 1, 8));
    CHECK_FALSE(range_fits(most, most, 8));
  }

  TEST_CASE("a size that does not fit is the largest there is, and never a small one") {
    using stet::detail::container_size;
    constexpr std::size_t largest = ~std::size_t{0};
    CHECK(container_size(0) == 0);
    CHECK(container_size(70'000) == 70'000);
    CHECK(container_size(most) == largest);
    CHECK(container_size((std::uint64_t{1} << 32) + 1) ==
          (sizeof(std::size_t) == 8 ? static_cast<std::size_t>((std::uint64_t{1} << 32) + 1) : largest));
  }

  TEST_CASE("knows addresses that are multiples") {
    alignas(8) const char bytes[9] = {};
    for (std::size_t i = 0; i < 9; ++i) {
      CHECK(stet::detail::is_aligned(bytes + i, 1));
      CHECK(stet::detail::is_aligned(bytes + i, 4) == (i % 4 == 0));
      CHECK(stet::detail::is_aligned(bytes + i, 8) == (i % 8 == 0));
    }
  }

  TEST_CASE("knows the powers of two") {
    CHECK_FALSE(stet::detail::is_power_of_two(0));
    CHECK(stet::detail::is_power_of_two(1));
    CHECK_FALSE(stet::detail::is_power_of_two(3));
    CHECK(stet::detail::is_power_of_two(std::uint64_t{1} << 63));
  }
}
