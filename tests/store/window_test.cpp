// SPDX-License-Identifier: MIT
// Parts of a tensor, from any element on, give what the whole tensor gives.
#include <stet/store/window.hpp>

#include "support/outcome.hpp"

#include <stet/store/open.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("window");

TEST_CASE("any range of elements is that of the whole, packed or not, resident or fetched") {
  std::vector<stet::int4> packed;
  std::vector<std::int64_t> wide;
  for (int i = 0; i < 1000; ++i) {
    packed.push_back(static_cast<stet::int4>(i * 7 % 16 - 8));
    wide.push_back(std::int64_t{i} * 1000003);
  }
  stet::writer out;
  (void)out.add("packed", {1000}, std::span<const stet::int4>(packed));
  (void)out.add("wide", {10, 100}, std::span<const std::int64_t>(wide));
  const std::vector<std::string_view> words{"a", "b"};
  (void)out.add_strings("words", {2}, words);
  const auto saved = out.save_to_memory();
  REQUIRE(saved);
  if (!saved)
    return;
  const auto opened = stet::open(std::span<const std::byte>(*saved));
  REQUIRE(opened);
  if (!opened)
    return;
  for (const char* name : {"packed", "wide"}) {
    CAPTURE(name);
    const auto found = opened->find(name);
    REQUIRE(found);
    if (!found)
      continue;
    std::vector<double> whole(1000);
    CHECK(found->copy_to(std::span(whole), stet::convert));
    for (std::size_t first : {0u, 1u, 7u, 8u, 9u, 255u, 256u, 257u, 511u, 999u, 1000u}) {
      for (std::size_t count : {0u, 1u, 2u, 7u, 8u, 9u, 300u, 1000u}) {
        CAPTURE(first);
        CAPTURE(count);
        std::vector<double> part(count, -1);
        const auto copied = stet::copy_window(*found, first, std::span(part));
        if (first + count > 1000) {
          CHECK(stet_test::outcome(copied) == "bad_range");
        } else {
          CHECK(stet_test::outcome(copied) == "ok");
          CHECK(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
        }
      }
    }
  }
  std::vector<float> one(1);
  const auto strings = opened->find("words");
  REQUIRE(strings);
  if (strings)
    CHECK(stet_test::outcome(stet::copy_window(*strings, 0, std::span(one))) == "not_convertible");
}

TEST_SUITE_END();
