// SPDX-License-Identifier: MIT
#include <array>
#include <version>
#if __has_include(<mdspan>)
#include <mdspan>
#endif

#include <stet/ext/mdspan.hpp>

#include <doctest/doctest.h>

TEST_SUITE("ext/mdspan") {
  TEST_CASE("an mdspan has the elements and extents of its view") {
#if defined(__cpp_lib_mdspan)
    float elements[6] = {0, 1, 2, 3, 4, 5};
    const std::size_t extents[3] = {2, 3, 0};
    const stet::view<const float, stet::dynamic, 3> view(elements, extents);
    const auto span = stet::to_mdspan(view);
    static_assert(decltype(span)::static_extent(1) == 3);
    CHECK(span.extent(0) == 2);
    CHECK(span.rank() == 2);
    CHECK(span.data_handle() == elements);
    CHECK((span[std::array<std::size_t, 2>{1, 2}]) == 5.0f);
#else
    MESSAGE("skipped: this standard library has no <mdspan>");
#endif
  }
}
