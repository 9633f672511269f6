// SPDX-License-Identifier: MIT
// Tests of detail/heap_sort.hpp: both sorts against the standard library's, whatever the hashes are.
#include <stet/vocabulary/detail/heap_sort.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

struct hashed_number {
  std::uint64_t hash;
  std::uint32_t number;
  bool operator==(const hashed_number&) const = default;
};
bool is_hashed_before(const hashed_number& a, const hashed_number& b) noexcept {
  return a.hash != b.hash ? a.hash < b.hash : a.number < b.number;
}

/// Numbers that look random, the same in each run.
class scrambler {
public:
  std::uint64_t next() noexcept {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return state_ ^ (state_ >> 29);
  }

private:
  std::uint64_t state_ = 7;
};

void check_sorted(const std::vector<hashed_number>& values) {
  std::vector<hashed_number> expected = values;
  std::sort(expected.begin(), expected.end(), is_hashed_before);
  std::vector<hashed_number> heaped = values;
  stet::detail::heap_sort(heaped.data(), heaped.size(), is_hashed_before);
  CHECK(heaped == expected);
  std::vector<hashed_number> sorted(values.size());
  std::vector<std::uint32_t> ends(values.size(), 99);
  stet::detail::sort_by_hash(values.data(), static_cast<std::uint32_t>(values.size()), sorted.data(), ends.data(),
                             is_hashed_before);
  CHECK(sorted == expected);
}

} // namespace

TEST_SUITE("vocabulary/heap_sort") {
  TEST_CASE("values are sorted as the standard library sorts them") {
    scrambler random;
    for (const std::size_t count : {0u, 1u, 2u, 3u, 10u, 1000u}) {
      CAPTURE(count);
      for (const std::uint64_t mask : {std::numeric_limits<std::uint64_t>::max(), std::uint64_t{0xFFFFFFFF},
                                       std::uint64_t{3} << 62, std::uint64_t{0xFFFFFFFF} << 32, std::uint64_t{0}}) {
        CAPTURE(mask);
        std::vector<hashed_number> values(count);
        for (hashed_number& each : values)
          each = {random.next() & mask, static_cast<std::uint32_t>(random.next() % 100)};
        check_sorted(values);
      }
    }
    constexpr std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
    check_sorted({{last, 1}, {0, 2}, {last, 0}, {last - 1, 5}, {0, 1}});
  }
}
