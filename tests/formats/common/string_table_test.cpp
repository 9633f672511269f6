// SPDX-License-Identifier: MIT
#include <stet/formats/common/string_table.hpp>

#include <stet/vocabulary/view.hpp>

#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <string_view>

using stet::detail::string_table;

TEST_SUITE("formats/string_table") {
  TEST_CASE("strings stand behind their offsets") {
    auto table = string_table::allocate(3, 8, nullptr);
    REQUIRE(table);
    CHECK(table->fits(8));
    CHECK_FALSE(table->fits(9));
    table->append("one");
    table->append("");
    CHECK(table->fits(5));
    CHECK_FALSE(table->fits(6));
    const auto room = table->append(5);
    std::memcpy(room.data(), "three", 5);
    CHECK_FALSE(table->fits(0));
    const stet::source made = table->finish();
    CHECK(made.size_bytes() == 4 * 8 + 8);
    const auto strings =
        stet::string_span::validate({made.data(), static_cast<std::size_t>(made.size_bytes())}, std::uint64_t{3});
    REQUIRE(strings);
    CHECK((*strings)[0] == "one");
    CHECK((*strings)[1].empty());
    CHECK((*strings)[2] == "three");
  }

  TEST_CASE("no strings are one offset, and sizes that overflow are refused") {
    auto none = string_table::allocate(0, 0, nullptr);
    REQUIRE(none);
    CHECK_FALSE(none->fits(0));
    const stet::source made = none->finish();
    CHECK(made.size_bytes() == 8);
    CHECK(made.data()[0] == std::byte{0});
    CHECK(stet_test::outcome(string_table::allocate(~std::uint64_t{0}, 0, nullptr)) == "too_large");
    CHECK(stet_test::outcome(string_table::allocate(std::uint64_t{1} << 61, 0, nullptr)) == "too_large");
    CHECK(stet_test::outcome(string_table::allocate(1, ~std::uint64_t{0} - 8, nullptr)) == "too_large");
  }
}
