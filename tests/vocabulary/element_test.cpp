// SPDX-License-Identifier: MIT
// Tests of element.hpp: from a C++ type to its dtype and back.
#include <stet/vocabulary/element.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <type_traits>

namespace {
/// Stands for a maths library's own half.
struct foreign_half {
  unsigned short code;
};
} // namespace
template <> struct stet::dtype_of<foreign_half> : std::integral_constant<stet::dtype, stet::dtype::float16> {};

TEST_SUITE("element") {
  TEST_CASE("every dtype but string and block has a type, which has that dtype and its width") {
    std::size_t visited = 0;
    for (const stet::dtype_description& row : stet::dtype_table) {
      const bool called = stet::visit_dtype(row.dtype, [&]<class T>(std::type_identity<T>) {
        ++visited;
        CHECK(stet::dtype_of<T>::value == row.dtype);
        CHECK(sizeof(T) == (row.bits + 7u) / 8u);
        static_assert(stet::element<T> && stet::element<const T>);
        static_assert(std::is_same_v<typename stet::element_of<stet::dtype_of<T>::value>::type, T>);
      });
      CHECK(called == (row.bits != 0));
    }
    CHECK(visited == stet::dtype_count - 2);
    CHECK_FALSE(stet::visit_dtype(stet::dtype{0}, [](auto) { FAIL("called"); }));
    CHECK_FALSE(stet::visit_dtype(stet::dtype{255}, [](auto) { FAIL("called"); }));
  }

  TEST_CASE("a program's own type becomes an element by one line") {
    static_assert(stet::element<foreign_half>);
    static_assert(!stet::element<long double> && !stet::element<int*>);
  }

  TEST_CASE("every integer type has the dtype of its width, whichever the fixed-width names are") {
    using stet::dtype;
    static_assert(stet::dtype_of<int>::value == dtype::int32 && stet::dtype_of<unsigned>::value == dtype::uint32);
    static_assert(stet::dtype_of<long long>::value == dtype::int64);
    static_assert(stet::dtype_of<unsigned long long>::value == dtype::uint64);
    static_assert(stet::dtype_of<long>::value == (sizeof(long) == 8 ? dtype::int64 : dtype::int32));
    static_assert(stet::dtype_of<const unsigned long>::value == (sizeof(long) == 8 ? dtype::uint64 : dtype::uint32));
    static_assert(!stet::element<char> && !stet::element<wchar_t> && !stet::element<char8_t>);
    static_assert(!stet::element<std::byte>);
    CHECK(stet::dtype_of<const long long>::value == dtype::int64);
  }

  TEST_CASE("complex numbers compare part by part") {
    CHECK(stet::complex64{1, 2} == stet::complex64{1, 2});
    CHECK_FALSE(stet::complex128{1, 2} == stet::complex128{1, 3});
  }
}
