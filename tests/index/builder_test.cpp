// SPDX-License-Identifier: MIT
// Tests of builder.hpp: the golden index from its rows, and rows that make no index.
#include "index/golden_store.hpp"
#include "support/allocations.hpp"
#include "support/colliding_names.hpp"
#include "support/native_bytes.hpp"

#include <stet/index/detail/builder.hpp>
#include <stet/index/detail/check.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

using stet::dtype;
using stet::element_layout;
using stet::errc;
using stet::index_row;

namespace {

const std::uint64_t one[] = {1};

index_row byte_row(std::string_view name) {
  index_row row{name, element_layout::of(dtype::uint8), one};
  row.size_bytes = 1;
  return row;
}

errc build(const std::vector<index_row>& rows, stet_test::byte_vector& into) {
  const auto size = stet::index_size_bytes(rows, {});
  if (!size) return size.error().code();
  into.assign(static_cast<std::size_t>(*size), std::byte{0xCC});
  const auto built = stet::build_index(rows, {}, into);
  return built ? errc{} : built.error().code();
}

/// Whether every row's name is found, and others are not.
bool finds_all(const stet_test::byte_vector& index, const std::vector<std::string>& names) {
  stet::index_limits limits;
  limits.data_end_bytes = 1;
  limits.foreign = true; // all rows lie at the same byte
  const auto checked = stet::check_index(index, limits);
  if (!checked) return false;
  for (const std::string& name : names) {
    const auto entry = checked->find(name);
    if (!entry || entry.name() != name) return false;
  }
  return !checked->find("not there");
}

} // namespace

TEST_SUITE("builder") {
  TEST_CASE("makes the golden index of its rows, byte for byte") {
    const std::uint64_t kernel[] = {2, 1}, seven[] = {7}, two[] = {2};
    std::vector<index_row> rows = {
        {"layer_0/kernel", element_layout::of(dtype::float32), kernel},
        {"w4", element_layout::of(dtype::int4), seven},
        {"labels", element_layout::of(dtype::string), two},
        {"tied", element_layout::of(dtype::float32), kernel},
    };
    const std::uint64_t sizes[] = {8, 4, 27, 8}, places[] = {0, 64, 128, 0};
    const auto golden = std::as_bytes(std::span(stet_test::golden_store));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].offset_bytes = stet_test::golden_data_offset + places[i];
      rows[i].size_bytes = sizes[i];
      rows[i].crc32c = stet::crc32c(
          golden.subspan(static_cast<std::size_t>(rows[i].offset_bytes), static_cast<std::size_t>(sizes[i])));
      rows[i].has_crc32c = true;
    }
    rows[3].alias_of = 0;
    const auto expected = golden.subspan(stet_test::golden_index_offset, stet_test::golden_index_size);
    stet_test::byte_vector index;
    REQUIRE(build(rows, index) == errc{});
    CHECK(std::equal(index.begin(), index.end(), expected.begin(), expected.end()));

    // Checksums can come later, when the bytes have been written.
    auto without = rows;
    for (index_row& row : without) row.crc32c = 0;
    REQUIRE(build(without, index) == errc{});
    CHECK_FALSE(std::equal(index.begin(), index.end(), expected.begin(), expected.end()));
    stet::set_checksums(index, rows);
    CHECK(std::equal(index.begin(), index.end(), expected.begin(), expected.end()));
  }

  TEST_CASE("nothing makes an index, too") {
    stet_test::byte_vector index;
    CHECK(build({}, index) == errc{});
    CHECK(index.size() == 64 + 2 * 8);
    CHECK(finds_all(index, {}));
  }

  TEST_CASE("finds every name of many, of any length") {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < 5000; ++i) names.push_back(std::string(i % 40, '/') + std::to_string(i));
    std::vector<index_row> rows;
    for (const std::string& name : names) rows.push_back(byte_row(name));
    stet_test::byte_vector index, again;
    CHECK(build(rows, index) == errc{});
    CHECK(finds_all(index, names));
    CHECK(build(rows, again) == errc{});
    CHECK(index == again);
  }

  TEST_CASE("refuses rows that no index can hold") {
    stet_test::byte_vector index;
    CHECK(build({byte_row("a"), byte_row("b"), byte_row("a")}, index) == errc::duplicate_name);
    const std::string long_name(65536, 'n');
    CHECK(build({byte_row(long_name)}, index) == errc::bad_name);
    const std::vector<std::uint64_t> deep(255, 1), most = {~0ull, 2};
    index_row row = byte_row("a");
    row.shape = deep;
    CHECK(build({row}, index) == errc::bad_shape);
    row.shape = std::span(deep).first(254);
    CHECK(build({row}, index) == errc{});
    row.shape = most;
    CHECK(build({row}, index) == errc::bad_shape);
    row = byte_row("a");
    row.alias_of = 7;
    CHECK(build({row}, index) == errc::bad_alias);

    row = byte_row("a");
    index.assign(8, std::byte{0});
    const auto built = stet::build_index(std::span(&row, 1), {}, index);
    CHECK((!built && built.error().code() == errc::size_mismatch));
  }

  TEST_CASE("as many block types as 16 bits can name, each found again; the first 64 take no memory") {
    std::vector<std::string> names;
    std::vector<index_row> rows;
    for (std::uint32_t i = 0; i < 65537; ++i) names.push_back(std::to_string(i));
    for (std::uint32_t i = 0; i < 65537; ++i) {
      rows.push_back(byte_row(names[i]));
      rows.back().layout = {
          dtype::block, 0, {i % 2 == 0 ? std::string_view("b") : std::string_view(names[i]), 1, i / 2 + 1}};
      rows.back().size_bytes = i / 2 + 1;
    }
    stet_test::byte_vector index;
    CHECK(build(rows, index) == errc::too_large);
    const auto refused = stet::index_size_bytes(rows, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().subject() == "65536");
    rows.pop_back();
    for (const std::size_t count : {64u, 65u, 256u, 257u, 1000u, 65536u}) {
      CAPTURE(count);
      // Those that were seen come again.
      std::vector<index_row> some(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
      some.push_back(some.front());
      some.back().name = "again";
      const stet_test::allocations made;
      const auto size = stet::index_size_bytes(some, {});
      REQUIRE(size);
      index.assign(static_cast<std::size_t>(*size), std::byte{0xCC});
      const std::uint64_t before_building = made.count();
      REQUIRE(stet::build_index(some, {}, index));
      CHECK((made.count() == before_building) == (count == 64));
      CHECK(made.bytes() <= index.size() + count * 16 * 2 * 6);
      stet::index_limits limits;
      limits.data_end_bytes = 65536;
      limits.foreign = true;
      const auto checked = stet::check_index(index, limits);
      REQUIRE(checked);
      bool is_same = true;
      for (const index_row& row : some) {
        const auto entry = checked->find(row.name);
        is_same = is_same && entry && checked->layout(entry).block == row.layout.block;
      }
      CHECK(is_same);
    }
    // One more than an index can have, said by the index itself.
    stet::detail::store_little(index.data() + 8, std::uint32_t{65537});
    const auto checked = stet::check_index(index, {});
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code() == errc::bad_index);
  }

  TEST_CASE("block types made to collide are refused before they take time") {
    const auto names = stet_test::colliding_names(700, 0xFFFF, 5);
    std::vector<std::string> own;
    std::vector<index_row> rows;
    for (std::size_t i = 0; i < names.size(); ++i) own.push_back(std::to_string(i));
    for (std::size_t i = 0; i < names.size(); ++i) {
      rows.push_back(byte_row(own[i]));
      rows.back().layout = {dtype::block, 0, {names[i], 0, 0}};
    }
    stet_test::byte_vector index;
    CHECK(build(rows, index) == errc::bad_hash_table);
  }

  TEST_CASE("names made to collide get another seed") {
    const auto names = stet_test::colliding_names(300, 1023, 5);
    std::vector<index_row> rows;
    for (const std::string& name : names) {
      CHECK((stet::detail::hash_name(name, 0) & 1023) == 5);
      rows.push_back(byte_row(name));
    }
    stet_test::byte_vector index;
    CHECK(build(rows, index) == errc{});
    CHECK(stet::detail::load_little<std::uint64_t>(index.data() + 32) != 0);
    CHECK(finds_all(index, names));
  }

  TEST_CASE("names made to collide under every seed are refused, and soon") {
    // The hash of a name of 8 bytes begins with seed ^ name: so a set that is closed under ^ 0 … 63 collides
    // for each.
    std::vector<std::string> names;
    for (const std::string& name : stet_test::colliding_names(300, 32767, 5)) {
      if ((name[0] & 0x40) == 0) continue; // stays ASCII, not NUL
      for (int j = 0; j < 64; ++j) names.push_back(static_cast<char>(name[0] ^ j) + name.substr(1));
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    REQUIRE(names.size() > 8192);
    std::vector<index_row> rows;
    for (const std::string& name : names) rows.push_back(byte_row(name));
    stet_test::byte_vector index;
    CHECK(build(rows, index) == errc::bad_hash_table);
  }
}
