// SPDX-License-Identifier: MIT
// Tests of layout.hpp: where the sections of an index begin, and what does not fit one. Look-up is tested with index.hpp.
#include <stet/index/detail/layout.hpp>

#include <doctest/doctest.h>

using stet::detail::index_layout;

TEST_SUITE("index/layout") {
  TEST_CASE("sections follow one another: parts, block types, slots, entries, names") {
    index_layout layout;
    layout.tensor_count = 3;
    layout.part_count = 2;
    layout.block_count = 1;
    layout.slot_count = 8;
    layout.entries_size = 200;
    layout.names_size = 13;
    REQUIRE(layout.place());
    CHECK(layout.blocks == 64 + 2 * 32);
    CHECK(layout.slots == layout.blocks + 16);
    CHECK(layout.entries == layout.slots + 8 * 8);
    CHECK(layout.names == layout.entries + 200);
    CHECK(layout.size_bytes == layout.names + 16);
  }

  TEST_CASE("an entry has its extents and a name in whole words") {
    CHECK(index_layout::size_of_entry(0, 1) == 48 + 8);
    CHECK(index_layout::size_of_entry(2, 8) == 48 + 16 + 8);
    CHECK(index_layout::size_of_entry(2, 9) == 48 + 16 + 16);
  }

  TEST_CASE("a place that 32 bits of words cannot say does not fit") {
    constexpr std::uint64_t limit = std::uint64_t{0xFFFFFFFF} * 8;
    for (const std::uint64_t size : {limit + 1, ~std::uint64_t{0}}) {
      index_layout layout;
      layout.entries_size = size;
      CHECK_FALSE(layout.place());
      layout.entries_size = 0;
      layout.names_size = size;
      CHECK_FALSE(layout.place());
    }
    index_layout layout;
    layout.entries_size = limit;
    CHECK_FALSE(layout.place()); // with the header it is too much
    layout.entries_size = limit - 64;
    CHECK(layout.place());
  }
}
