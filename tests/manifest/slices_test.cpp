// SPDX-License-Identifier: MIT
// Tests of slices.hpp: any partition is gathered to the tensor it was cut from; none that overlaps or leaves holes is accepted.
#include "support/allocations.hpp"
#include "support/files.hpp"

#include <stet/manifest/detail/slices.hpp>

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
  for (const std::uint64_t extent : shape) count *= extent;
  return count;
}

/// Whether the slices lie within the shape and cover it once.
bool covers(const extents& shape, const slice_list& listed) {
  std::vector<tensor_slice> slices;
  for (const auto& each : listed) {
    if (!append_slice(each, shape, slices)) return false;
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

  cut_tensor(std::mt19937& random, extents of, std::uint64_t element_size_bytes)
      : shape(std::move(of)), element_size(element_size_bytes) {
    whole = stet_test::pattern(static_cast<std::size_t>(product(shape) * element_size));
    std::vector<slice_extent> box;
    for (const std::uint64_t extent : shape) box.push_back({0, static_cast<std::int64_t>(extent)});
    slice_list listed;
    cut(random, box, static_cast<int>(random() % 5), listed);
    std::shuffle(listed.begin(), listed.end(), random);
    for (const auto& each : listed) CHECK(append_slice(each, shape, slices));
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
    for (tensor_slice& slice : slices) slice.data = file.data();
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
      CHECK(gathered.reads_from_memory());
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
      CHECK_FALSE(gathered.reads_from_memory());
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
      REQUIRE(append_slice(listed, shape, slices));
      CHECK(slices[0].is_one_run(shape) == expected);
    }
  }

  TEST_CASE("refuses slices outside the tensor") {
    const std::int64_t least = INT64_MIN, most = INT64_MAX;
    const slice_list table[] = {
        {{{0, 4}}},
        {{{0, 4}, {0, 6}, {0, 1}}},
        {{{0, 5}, {0, 6}}},
        {{{4, 1}, {0, 6}}},
        {{{-1, 2}, {0, 6}}},
        {{{0, -2}, {0, 6}}},
        {{{1, most}, {0, 6}}},
        {{{most, most}, {0, 6}}},
        {{{least, 1}, {0, 6}}},
        {{{1, least}, {0, 6}}},
    };
    for (const slice_list& listed : table) CHECK_FALSE(covers({4, 6}, listed));
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

  TEST_CASE("a slice is compared with its checksum before any of its bytes are given out") {
    std::mt19937 random(11);
    cut_tensor made(random, {6, 5}, 4);
    while (made.slices.size() < 3) made = cut_tensor(random, {6, 5}, 4);
    REQUIRE(sort_and_cover(made.shape, made.slices));
    for (tensor_slice& slice : made.slices) {
      slice.crc32c = stet::crc32c(std::span(made.file).subspan(static_cast<std::size_t>(slice.offset_bytes),
                                                               static_cast<std::size_t>(slice.size_bytes)));
      slice.has_crc32c = true;
    }
    const stet_test::memory_reader file(made.file);
    for (const bool is_resident : {true, false}) {
      for (std::size_t number = 0; number <= made.slices.size(); ++number) {
        CAPTURE(number);
        std::vector<tensor_slice> slices = made.slices;
        for (tensor_slice& slice : slices) {
          slice.data = is_resident ? made.file.data() : nullptr;
          slice.fetcher = &file;
        }
        if (number < slices.size()) slices[number].crc32c ^= 1;
        const std::uint64_t place = number < slices.size() ? slices[number].offset_bytes : 0;
        const stet::detail::gathered_slices gathered(made.shape, 4, std::move(slices), "t");
        CHECK_FALSE(gathered.reads_from_memory()); // a checksum may turn out wrong
        std::vector<std::byte> all(made.whole.size());
        for (int round = 0; round < 2;
             ++round) { // what was found damaged stays so, what was found sound is not compared again
          const auto read = gathered.read(0, all);
          if (number < made.slices.size()) {
            REQUIRE_FALSE(read);
            CHECK(read.error().code() == stet::errc::checksum_mismatch);
            CHECK(read.error().subject() == "t");
            CHECK(read.error().offset_bytes() == place);
          } else {
            CHECK(read);
            CHECK(all == made.whole);
          }
        }
        // Slices that a read does not touch do not fail it.
        std::byte first[1];
        CHECK(bool(gathered.read(0, first)) == (number != 0));
      }
    }
  }

  TEST_CASE("a hundred thousand slices along any dimension are accepted, and read in small pieces") {
    constexpr std::int64_t count = 100000;
    for (const std::size_t axis : {0u, 1u}) {
      const extents shape = axis == 0 ? extents{count, 2} : extents{2, count};
      std::vector<tensor_slice> slices;
      const std::vector<std::byte> file = stet_test::pattern(static_cast<std::size_t>(2 * count));
      for (std::int64_t i = 0; i < count; ++i) {
        std::vector<slice_extent> box(2);
        box[axis] = {i, 1};
        REQUIRE(append_slice(box, shape, slices));
      }
      REQUIRE(sort_and_cover(shape, slices));
      for (std::size_t i = 0; i < slices.size(); ++i) {
        slices[i].data = file.data();
        slices[i].offset_bytes = 2 * i;
        slices[i].size_bytes = 2;
      }
      const stet::detail::gathered_slices gathered(shape, 1, std::move(slices));
      std::size_t wrong = 0;
      std::byte piece[10];
      for (std::size_t at = 0, rows = count; at < 2 * rows; at += sizeof piece) {
        REQUIRE(gathered.read(at, piece));
        for (std::size_t i = 0; i < sizeof piece; ++i)
          wrong += piece[i] != (axis == 0 ? file[at + i] : file[(at + i) % rows * 2 + (at + i) / rows]);
      }
      CHECK(wrong == 0);
    }
  }

  TEST_CASE("sound slices of any shape are accepted, in memory in proportion to them") {
    // Diagonal steps: as many ranges as slices in both dimensions, which make a grid of millions of cells.
    constexpr std::int64_t count = 20000;
    std::vector<tensor_slice> slices;
    for (std::int64_t i = 0; i < count; ++i) {
      REQUIRE(append_slice(std::vector<slice_extent>{{i, 1}, {0, i + 1}}, extents{count, count}, slices));
      if (i + 1 < count)
        REQUIRE(append_slice(std::vector<slice_extent>{{i, 1}, {i + 1, count - i - 1}}, extents{count, count}, slices));
    }
    const stet_test::allocations before;
    CHECK(sort_and_cover(extents{count, count}, slices));
    CHECK(before.largest_bytes() <= slices.size() * 64);
    CHECK(before.bytes() <= slices.size() * 1024);
    slices.back().start[1] -= 1; // as many elements, one twice and one never
    CHECK_FALSE(sort_and_cover(extents{count, count}, slices));
  }

  TEST_CASE("slices that no straight cut parts are accepted") {
    // Pinwheels in rows and columns: four slices around one, each of which any cut through the wheel goes through.
    constexpr std::int64_t wheels = 40, size = 3;
    slice_list listed;
    for (std::int64_t row = 0; row < wheels * size; row += size) {
      for (std::int64_t column = 0; column < wheels * size; column += size) {
        listed.push_back({{row, 1}, {column, 2}});
        listed.push_back({{row, 2}, {column + 2, 1}});
        listed.push_back({{row + 2, 1}, {column + 1, 2}});
        listed.push_back({{row + 1, 2}, {column, 1}});
        listed.push_back({{row + 1, 1}, {column + 1, 1}});
      }
    }
    const extents shape = {wheels * size, wheels * size};
    CHECK(covers(shape, listed));
    listed.back()[0].start -= 1;
    CHECK_FALSE(covers(shape, listed));
    // A spiral: each cut takes one slice off.
    constexpr std::int64_t turns = 250;
    listed.clear();
    std::int64_t low = 0, high = 2 * turns;
    for (; low < high; ++low, --high) {
      listed.push_back({{low, 1}, {low, high - low}});
      listed.push_back({{low + 1, high - low - 1}, {high - 1, 1}});
      if (high - low == 2) {
        listed.push_back({{low + 1, 1}, {low, 1}});
        break;
      }
      listed.push_back({{high - 1, 1}, {low, high - low - 1}});
      listed.push_back({{low + 1, high - low - 2}, {low, 1}});
    }
    CHECK(covers({2 * turns, 2 * turns}, listed));
    // Boxes of three dimensions, each cut at another place.
    listed.clear();
    for (std::int64_t i = 0; i < 60; ++i) {
      for (std::int64_t j = 0; j < 30; ++j) {
        const std::int64_t at = 1 + (i * 7 + j * 3) % 50;
        listed.push_back({{i, 1}, {j, 1}, {0, at}});
        listed.push_back({{i, 1}, {j, 1}, {at, 60 - at}});
      }
    }
    std::mt19937 random(3);
    std::shuffle(listed.begin(), listed.end(), random);
    CHECK(covers({60, 30, 60}, listed));
    const auto first = std::find_if(listed.begin(), listed.end(), [](const auto& box) { return box[2].start == 0; });
    (*first)[2].start = 1;
    CHECK_FALSE(covers({60, 30, 60}, listed));
  }

  TEST_CASE("slices made to cross each other are refused before they take memory") {
    // Bars in all directions, of as many elements as the tensor has: every cut goes through many of them.
    constexpr std::int64_t size = 64;
    std::mt19937 random(5);
    std::vector<tensor_slice> slices;
    for (std::int64_t i = 0; i < size * size; ++i) {
      std::vector<slice_extent> bar(3);
      for (slice_extent& each : bar) each = {static_cast<std::int64_t>(random() % size), 1};
      bar[random() % 3] = {0, size};
      REQUIRE(append_slice(bar, extents{size, size, size}, slices));
    }
    const stet_test::allocations before;
    CHECK_FALSE(sort_and_cover(extents{size, size, size}, slices));
    CHECK(before.bytes() < 64u << 20);
  }
}
