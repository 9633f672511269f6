// SPDX-License-Identifier: MIT
// Tests of check.hpp that need no file around the index: whatever is in it, it is refused or safe to use. The
// attacks with their exact codes are in store/hostile_test.cpp.
#include "support/native_bytes.hpp"

#include <stet/index/detail/check.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using stet::errc;

namespace {

stet::index_limits limits_of(const stet_test::native_file& file) {
  stet::index_limits limits;
  limits.alignment_bytes = file.header.alignment_bytes;
  limits.data_begin_bytes = file.header.data_offset_bytes;
  limits.data_end_bytes = file.header.file_size_bytes;
  return limits;
}

/// Checks `bytes` in a block of exactly their size; if they pass, uses all of the index.
/// @return how many tensors it has; -1 if it is refused
int check_and_use(std::span<const std::byte> bytes, const stet::index_limits& limits) {
  const auto exact = std::make_unique<std::byte[]>(bytes.size());
  if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
  const auto index = stet::check_index({exact.get(), bytes.size()}, limits);
  if (!index) return -1;
  int used = 0;
  for (const stet::index_entry entry : *index) {
    CHECK(index->find(entry.name()) == entry);
    if (const auto original = index->original_of(entry)) {
      CHECK(index->find(original.name()) == original);
      CHECK(original.number() < entry.number());
    }
    CHECK(entry.shape().rank() <= stet::max_rank);
    CHECK(entry.offset_bytes() + entry.size_bytes() <= limits.data_end_bytes);
    (void)index->layout(entry).block.name.size();
    ++used;
  }
  CHECK(used == static_cast<int>(index->tensor_count()));
  CHECK_FALSE(index->find("certainly not there"));
  return used;
}

std::span<const std::byte> index_of(const stet_test::native_file& file) {
  return std::span(file.bytes).subspan(file.index_at(), static_cast<std::size_t>(file.header.index_size_bytes));
}

stet_test::native_file varied_store() {
  std::vector<stet_test::native_tensor> tensors;
  tensors.push_back(stet_test::tensor_of<float>("a/long/name/of/a/tensor", {2, 1, 3}, {1, 2, 3, 4, 5, 6}));
  tensors.push_back(stet_test::strings_of("s", {"x", "yz"}));
  tensors.push_back(
      stet_test::tensor_of("q", {stet::dtype::block, 0, {"q8_0", 32, 34}}, {32}, stet_test::byte_vector(34)));
  tensors.push_back(stet_test::alias_of("b", tensors, 0));
  return stet_test::native_file(tensors);
}

} // namespace

TEST_SUITE("check") {
  TEST_CASE("no truncated or lengthened index passes") {
    const auto file = varied_store();
    const auto index = index_of(file);
    const auto limits = limits_of(file);
    CHECK(check_and_use(index, limits) == 4);
    for (std::size_t size = 0; size < index.size(); ++size) CHECK(check_and_use(index.first(size), limits) == -1);
    stet_test::byte_vector longer(index.begin(), index.end());
    for (int i = 0; i < 16; ++i) {
      longer.push_back(std::byte{0});
      CHECK(check_and_use(longer, limits) == -1);
    }
  }

  TEST_CASE("whatever value a byte or a word takes, the index is refused or safe") {
    const auto file = varied_store();
    const auto limits = limits_of(file);
    const stet_test::byte_vector good(index_of(file).begin(), index_of(file).end());
    for (std::size_t at = 0; at < good.size(); ++at) {
      auto bytes = good;
      for (int value = 0; value < 256; ++value) {
        bytes[at] = static_cast<std::byte>(value);
        (void)check_and_use(bytes, limits);
      }
    }
    const std::uint64_t words[] = {0,
                                   1,
                                   8,
                                   0x7FFFFFFF,
                                   0x80000000,
                                   0xFFFFFFFF,
                                   0x100000000,
                                   0x7FFFFFFFFFFFFFFF,
                                   0x8000000000000000,
                                   0xFFFFFFFFFFFFFFF8,
                                   0xFFFFFFFFFFFFFFFF};
    for (std::size_t at = 0; at + 8 <= good.size(); at += 4) {
      for (const std::uint64_t word : words) {
        auto bytes = good;
        stet::detail::store_little(bytes.data() + at, word);
        (void)check_and_use(bytes, limits);
        bytes = good;
        stet::detail::store_little(bytes.data() + at, static_cast<std::uint32_t>(word));
        (void)check_and_use(bytes, limits);
      }
    }
  }

  TEST_CASE("only an index made from another format may overlap, be unsorted, or be big-endian") {
    const std::uint64_t two[] = {2};
    stet::index_row rows[3] = {};
    rows[0] = {"b", stet::element_layout::of(stet::dtype::float32), two};
    rows[0].offset_bytes = 24;
    rows[1] = {"a", stet::element_layout::of(stet::dtype::int16), two};
    rows[1].offset_bytes = 26;
    rows[1].big_endian = true;
    rows[2] = {"none", stet::element_layout::of(stet::dtype::int16), {}};
    const std::uint64_t zero[] = {0};
    rows[2].shape = zero;
    rows[2].offset_bytes = 32;
    rows[0].size_bytes = 8;
    rows[1].size_bytes = 4;
    stet_test::byte_vector index(static_cast<std::size_t>(*stet::index_size_bytes(rows, {})));
    REQUIRE(stet::build_index(rows, {}, index));
    stet::index_limits limits;
    limits.data_begin_bytes = 16;
    limits.data_end_bytes = 32;
    limits.foreign = true;
    CHECK(check_and_use(index, limits) == 3);
    limits.foreign = false;
    CHECK(stet::check_index(index, limits).error().code() == errc::bad_index); // big-endian
    rows[1].big_endian = false;
    REQUIRE(stet::build_index(rows, {}, index));
    CHECK(stet::check_index(index, limits).error().code() == errc::overlap);
    rows[1].offset_bytes = 16;
    REQUIRE(stet::build_index(rows, {}, index));
    CHECK(stet::check_index(index, limits).error().code() == errc::overlap); // out of order
    limits.foreign = true;
    rows[2].offset_bytes = 33; // beyond the end
    REQUIRE(stet::build_index(rows, {}, index));
    CHECK(stet::check_index(index, limits).error().code() == errc::bad_offset);
    rows[0].offset_bytes = 15; // before the beginning
    rows[2].offset_bytes = 32;
    REQUIRE(stet::build_index(rows, {}, index));
    CHECK(stet::check_index(index, limits).error().code() == errc::bad_offset);
  }
}
