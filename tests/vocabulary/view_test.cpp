// SPDX-License-Identifier: MIT
// Tests of view.hpp: multi-index access, packed elements, and strings whose table may be hostile.
#include "support/native_bytes.hpp"

#include <stet/vocabulary/view.hpp>

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>

using stet::errc;
using stet::string_span;

namespace {
/// The error of a string table in a block of exactly this size; errc{} if there is none.
errc check_of(const stet_test::byte_vector& bytes, std::uint64_t count) {
  const auto exact = std::make_unique<std::byte[]>(bytes.size());
  if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
  const auto checked = string_span::validate({exact.get(), bytes.size()}, count);
  return checked ? errc{} : checked.error().code();
}
} // namespace

TEST_SUITE("view") {
  TEST_CASE("indexes row-major, by all indices at once or one by one") {
    std::array<float, 24> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    const std::size_t extents[] = {2, 3, 4};
    const stet::view<float, stet::dynamic, 3, 4> view(values.data(), extents);
    CHECK(view.extent(0) == 2);
    CHECK(view.extent(2) == 4);
    CHECK(view.element_count() == 24);
    CHECK(view.flat().size() == 24);
    CHECK(view(1, 2, 3) == 23);
    CHECK(view[1][0][2] == 14);
    CHECK(view[1].extent(0) == 3);
    view(0, 0, 1) = 99;
    CHECK(values[1] == 99);
    CHECK(view.end() - view.begin() == 24);
  }

  TEST_CASE("of rank 0 is one element; of nothing is empty") {
    const double value = 2.5;
    const std::size_t none[] = {0};
    const stet::view<const double> scalar(&value, none);
    CHECK(scalar() == 2.5);
    CHECK(scalar.element_count() == 1);
    const stet::view<const double, stet::dynamic, 7> nothing;
    CHECK(nothing.data() == nullptr);
    CHECK(nothing.extent(0) == 0);
    CHECK(nothing.flat().empty());
    CHECK(nothing.begin() == nothing.end());
    CHECK(stet::view<const double>().flat().empty());
  }

  TEST_CASE("of any rank is indexed by as many indices as the shape has") {
    std::array<float, 24> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    stet_test::byte_vector stored(24);
    stored[0] = std::byte{2};
    stored[8] = std::byte{3};
    stored[16] = std::byte{4};
    const stet::view<float, stet::dynamic_rank> view(values.data(), stet::shape(stored.data(), 3));
    CHECK(view.rank() == 3);
    CHECK(view.extent(1) == 3);
    CHECK(view.extents().equals({2, 3, 4}));
    CHECK(view.element_count() == 24);
    CHECK(view.flat().size() == 24);
    CHECK(view.end() - view.begin() == 24);
    CHECK(view(1, 2, 3) == 23);
    CHECK(view(1, 0, 2u) == 14);
    view(0, 0, 1) = 99;
    CHECK(values[1] == 99);
    const stet::view<const float, stet::dynamic_rank> scalar(values.data() + 2, {});
    CHECK(scalar.rank() == 0);
    CHECK(scalar() == 2);
    CHECK(scalar.flat().size() == 1);
    const stet::view<const float, stet::dynamic_rank> nothing;
    CHECK(nothing.data() == nullptr);
    CHECK(nothing.flat().empty());
    CHECK(nothing.begin() == nothing.end());
    static_assert(noexcept(view(0, 0, 1)) && std::is_trivially_copyable_v<decltype(view)>);
  }

  TEST_CASE("all extents of a fixed rank, outermost first") {
    const std::array<float, 6> values{};
    const std::size_t extents[] = {2, 3};
    const stet::view<const float, stet::dynamic, 3> view(values.data(), extents);
    CHECK(view.extents().size() == 2);
    CHECK(view.extents()[0] == 2);
    CHECK(view.extents()[1] == 3);
    CHECK(stet::view<const float>(values.data()).extents().empty());
    CHECK(stet::view<const float, 2, 3>(values.data()).extents()[1] == 3);
  }

  TEST_CASE("packed elements begin at the least significant bit and may cross bytes") {
    // By hand: int4 -1, 2, 7 -> nibbles F, 2, 7. Six-bit codes 1, 2, 3, 63 -> 000001 | 000010<<6 | 000011<<12
    // | 111111<<18.
    const auto nibbles = stet_test::bytes_of<unsigned char>({0x2F, 0x07});
    const stet::packed_span<stet::int4> ints(nibbles.data(), 3, 4);
    CHECK(ints[0] == -1);
    CHECK(ints[1] == 2);
    CHECK(ints[2] == 7);
    const auto sixes = stet_test::bytes_of<unsigned char>({0x81, 0x30, 0xFC});
    const stet::packed_span<stet::float6_e2m3fn> floats(sixes.data(), 4, 6);
    for (std::uint64_t i = 0; i < 4; ++i) CHECK(floats[i].bits() == (i == 3 ? 63 : i + 1));
    const auto unpacked = stet_test::bytes_of<unsigned char>({0xF7, 0x08});
    const stet::packed_span<stet::int4> wide(unpacked.data(), 2, 8);
    CHECK(wide[0] == 7);
    CHECK(wide[1] == -8);
    CHECK(stet::packed_span<stet::uint2>().element_count() == 0);
  }

  TEST_CASE("reading the last packed element reads no byte beyond it") {
    for (const std::size_t count : {1u, 2u, 3u, 4u, 5u, 7u, 8u}) {
      const std::size_t size = (count * 6 + 7) / 8;
      const auto exact = std::make_unique<std::byte[]>(size);
      const stet::packed_span<stet::float6_e3m2fn> floats(exact.get(), count, 6);
      CHECK(floats[count - 1].bits() == 0);
    }
  }

  TEST_CASE("strings are viewed in place, NUL and all") {
    const auto bytes = stet_test::bytes_of_strings({"zero", "", std::string_view("a\0b", 3)});
    const auto strings = string_span::validate(bytes, 3);
    REQUIRE(strings);
    if (!strings) return;
    CHECK(strings->size() == 3);
    CHECK((*strings)[0] == "zero");
    CHECK((*strings)[1].empty());
    CHECK((*strings)[2] == std::string_view("a\0b", 3));
    CHECK(check_of(stet_test::bytes_of_strings({}), 0) == errc{});
  }

  TEST_CASE("a hostile string table is refused") {
    const auto good = stet_test::bytes_of_strings({"ab", "cd"});
    CHECK(check_of(good, 2) == errc{});
    const auto with = [&](std::size_t offset, std::uint64_t value) {
      auto bytes = good;
      stet::detail::store_little(bytes.data() + offset * 8, value);
      return bytes;
    };
    for (const std::uint64_t value : {1ull, 8ull, ~0ull}) CHECK(check_of(with(0, value), 2) == errc::bad_string_table);
    for (const std::uint64_t value : {5ull, ~0ull, 1ull << 63})
      CHECK(check_of(with(1, value), 2) == errc::bad_string_table);
    for (const std::uint64_t value : {0ull, 1ull, 3ull, 5ull, ~0ull, ~0ull - 23}) {
      CHECK(check_of(with(2, value), 2) == errc::bad_string_table);
    }
    CHECK(check_of(with(1, 4), 2) == errc{});
    for (const std::uint64_t count : {0ull, 1ull, 3ull, 1ull << 61, (1ull << 61) - 1, ~0ull, ~0ull / 8}) {
      CHECK(check_of(good, count) == errc::bad_string_table);
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
      CHECK(check_of({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}, 2) == errc::bad_string_table);
    }
    CHECK(check_of({}, 0) == errc::bad_string_table);
  }
}
