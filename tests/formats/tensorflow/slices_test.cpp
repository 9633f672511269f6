// SPDX-License-Identifier: MIT
// Tests of slices.hpp: any partition is gathered to the tensor it was cut from; none that overlaps or leaves holes is accepted.
#include "support/files.hpp"

#include <stet/formats/tensorflow/slices.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace {

using stet::detail::append_slice;
using stet::detail::slice_extent;
using stet::detail::sort_and_cover;
using stet::detail::tensor_slice;
using extents = std::vector<std::uint64_t>;
using slice_list = std::vector<std::vector<slice_extent>>;

std::uint64_t product(const extents& shape) {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape)
    count *= extent;
  return count;
}

/// Whether the slices lie within the shape and cover it once.
bool covers(const extents& shape, const slice_list& listed) {
  std::vector<tensor_slice> slices;
  for (const auto& each : listed) {
    if (!append_slice("t", each, shape, slices))
      return false;
  }
  return sort_and_cover(shape, slices);
}

/// Cuts `shape` at random: along an axis, each part again.
void cut(std::mt19937& random, const std::vector<slice_extent>& box, int depth, slice_list& into) {
  const std::size_t axis = random() % box.size();
  if (depth == 0 || box[axis].length < 2) {
    into.push_back(box);
    return;
  }
  const std::int64_t first = 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(box[axis].length - 1));
  std::vector<slice_extent> low = box, high = box;
  low[axis].length = first;
  high[axis] = {box[axis].start + first, box[axis].length - first};
  cut(random, low, depth - 1, into);
  cut(random, high, depth - 1, into);
}

/// A tensor whose element i is the bytes of i, cut into slices that lie in files in any order.
struct cut_tensor {
  extents shape;
  std::uint64_t element_size;
  std::vector<std::byte> whole;
  std::vector<std::byte> file;
  std::vector<tensor_slice> slices;

  cut_tensor(std::mt19937& random, extents of, std::uint64_t element_size_bytes) : shape(std::move(of)), element_size(element_size_bytes) {
    whole = stet_test::pattern(static_cast<std::size_t>(product(shape) * element_size));
    std::vector<slice_extent> box;
    for (const std::uint64_t extent : shape)
      box.push_back({0, static_cast<std::int64_t>(extent)});
    slice_list listed;
    cut(random, box, static_cast<int>(random() % 5), listed);
    std::shuffle(listed.begin(), listed.end(), random);
    for (const auto& each : listed)
      CHECK(append_slice("t", each, shape, slices));
    for (tensor_slice& slice : slices) {
      file.resize(file.size() + random() % 7); // gaps
      slice.offset_bytes = file.size();
      slice.size_bytes = slice.element_count() * element_size;
      for (std::uint64_t i = 0; i < slice.element_count(); ++i) {
        std::uint64_t rest = i, element = 0, stride = 1;
        for (std::size_t axis = shape.size(); axis-- > 0;) {
          element += (slice.start[axis] + rest % slice.extents[axis]) * stride;
          rest /= slice.extents[axis];
          stride *= shape[axis];
        }
        for (std::uint64_t byte = 0; byte < element_size; ++byte)
          file.push_back(whole[static_cast<std::size_t>(element * element_size + byte)]);
      }
    }
    for (tensor_slice& slice : slices)
      slice.data = file.data();
  }
};

} // namespace

TEST_SUITE("tensorflow/slices") {
  TEST_CASE("any partition covers, and is gathered to the tensor it was cut from") {
    std::mt19937 random(20240817);
    const extents shapes[] = {{7}, {4, 6}, {3, 2, 4}, {1, 5, 1, 3}, {2, 3, 5, 2}, {1}, {64, 3}};
    for (int round = 0; round < 400; ++round) {
      cut_tensor made(random, shapes[static_cast<std::size_t>(round) % std::size(shapes)], 1u << random() % 4);
      REQUIRE(sort_and_cover(made.shape, made.slices));
      const stet::detail::gathered_slices gathered(made.shape, made.element_size, std::move(made.slices));
      CHECK(gathered.size_bytes() == made.whole.size());
      std::vector<std::byte> all(made.whole.size());
      CHECK(gathered.read(0, all));
      CHECK(all == made.whole);
      for (int piece = 0; piece < 20; ++piece) {
        const std::size_t begin = random() % (all.size() + 1), size = random() % (all.size() - begin + 1);
        const std::unique_ptr<std::byte[]> some(new std::byte[size]);
        CHECK(gathered.read(begin, std::span(some.get(), size)));
        CHECK(std::equal(some.get(), some.get() + size, made.whole.begin() + static_cast<std::ptrdiff_t>(begin)));
      }
      CHECK(gathered.read(all.size() + 1, {}).error().code() == stet::errc::bad_range);
      CHECK(gathered.read(1, all).error().code() == stet::errc::bad_range);
      CHECK(gathered.read(~std::uint64_t{0}, std::span(all).first(1)).error().code() == stet::errc::bad_range);
    }
  }

  TEST_CASE("slices are fetched where they are on demand, and their errors are passed on") {
    std::mt19937 random(7);
    for (const int fails_at : {stet_test::memory_reader::never, 0, 1}) {
      cut_tensor made(random, {6, 5}, 4);
      REQUIRE(sort_and_cover(made.shape, made.slices));
      const stet_test::memory_reader file(made.file, fails_at);
      for (tensor_slice& slice : made.slices) {
        slice.data = nullptr;
        slice.fetcher = &file;
      }
      const bool one = made.slices.size() == 1;
      const stet::detail::gathered_slices gathered(made.shape, 4, std::move(made.slices));
      std::vector<std::byte> all(made.whole.size());
      const auto read = gathered.read(0, all);
      if (fails_at == stet_test::memory_reader::never || (one && fails_at == 1)) {
        CHECK(read);
        CHECK(all == made.whole);
      } else {
        CHECK(read.error().code() == stet::errc::io_error);
      }
    }
  }

  TEST_CASE("a slice is one run where the tensor has its elements one after the other") {
    const extents shape = {3, 4, 5};
    const std::pair<std::vector<slice_extent>, bool> table[] = {
        {{{0, 3}, {0, 4}, {0, 5}}, true},  {{{1, 2}, {0, 4}, {0, 5}}, true},  {{{1, 1}, {1, 2}, {0, 5}}, true},
        {{{1, 1}, {1, 1}, {2, 3}}, true},  {{{0, 2}, {1, 2}, {0, 5}}, false}, {{{0, 1}, {1, 2}, {0, 4}}, false},
        {{{0, 3}, {0, 4}, {0, 4}}, false},
    };
    for (const auto& [listed, expected] : table) {
      std::vector<tensor_slice> slices;
      REQUIRE(append_slice("t", listed, shape, slices));
      CHECK(slices[0].is_one_run(shape) == expected);
    }
  }

  TEST_CASE("refuses slices outside the tensor") {
    const std::int64_t least = INT64_MIN, most = INT64_MAX;
    const slice_list table[] = {
        {{{0, 4}}},           {{{0, 4}, {0, 6}, {0, 1}}}, {{{0, 5}, {0, 6}}},  {{{4, 1}, {0, 6}}},     {{{-1, 2}, {0, 6}}},
        {{{0, -2}, {0, 6}}},  {{{1, most}, {0, 6}}},      {{{most, most}, {0, 6}}}, {{{least, 1}, {0, 6}}}, {{{1, least}, {0, 6}}},
    };
    for (const slice_list& listed : table)
      CHECK_FALSE(covers({4, 6}, listed));
  }

  TEST_CASE("refuses overlaps and holes") {
    CHECK(covers({4, 6}, {{{0, 2}, {0, -1}}, {{2, 2}, {0, 6}}}));
    CHECK(covers({4, 6}, {{{0, -1}, {7, -1}}})); // of a whole dimension the start does not count
    CHECK_FALSE(covers({4, 6}, {}));
    CHECK_FALSE(covers({4, 6}, {{{0, 2}, {0, -1}}}));
    CHECK_FALSE(covers({4, 6}, {{{0, 2}, {0, -1}}, {{0, 2}, {0, -1}}}));
    CHECK_FALSE(covers({4, 6}, {{{0, 3}, {0, -1}}, {{2, 2}, {0, -1}}}));
    CHECK_FALSE(covers({4, 6}, {{{0, 2}, {0, -1}}, {{2, 1}, {0, -1}}}));
    // As many elements as the tensor, one corner twice and one never.
    CHECK_FALSE(covers({2, 2}, {{{0, 1}, {0, 2}}, {{0, 2}, {0, 1}}}));
    CHECK_FALSE(covers({2, 2}, {{{0, 2}, {0, 1}}, {{0, 1}, {0, 1}}, {{1, 1}, {0, 1}}}));
    CHECK(covers({}, {{}}));
    CHECK_FALSE(covers({}, {{}, {}}));
    CHECK_FALSE(covers({}, {}));
  }

  TEST_CASE("slices without elements do not count") {
    CHECK(covers({4}, {{{0, 4}}, {{2, 0}}, {{4, 0}}}));
    CHECK_FALSE(covers({4}, {{{5, 0}}, {{0, 4}}}));
  }

  TEST_CASE("a hundred thousand slices are checked soon, whatever they are") {
    slice_list rows, columns;
    for (std::int64_t i = 0; i < 100000; ++i) {
      rows.push_back({{i, 1}, {0, -1}});
      columns.push_back({{0, -1}, {i, 1}});
    }
    CHECK(covers({100000, 2}, rows));
    (void)covers({2, 100000}, columns); // beside each other in the first dimension: it may give up
  }
}
