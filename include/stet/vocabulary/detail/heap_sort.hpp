// SPDX-License-Identifier: MIT
// Sorts: <algorithm> costs more than the headers that sort here.
#ifndef STET_VOCABULARY_DETAIL_HEAP_SORT_HPP
#define STET_VOCABULARY_DETAIL_HEAP_SORT_HPP

#include "../config.hpp"

#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// Sorts `count` values. Cost: n log n comparisons, whatever the values are; allocates nothing.
/// Source: J. W. J. Williams, "Algorithm 232: Heapsort", 1964.
template <class T, class Before> void heap_sort(T* values, std::size_t count, Before is_before) noexcept {
  const auto sink = [&](std::size_t at, std::size_t end) {
    const T sunk = values[at];
    for (std::size_t child; (child = 2 * at + 1) < end; at = child) {
      if (child + 1 < end && is_before(values[child], values[child + 1])) ++child;
      if (!is_before(sunk, values[child])) break;
      values[at] = values[child];
    }
    values[at] = sunk;
  };
  for (std::size_t at = count / 2; at-- > 0;) sink(at, count);
  for (std::size_t end = count; end-- > 1;) {
    const T largest = values[0];
    values[0] = values[end];
    values[end] = largest;
    sink(0, end);
  }
}

/// Sorts `count` values by a field `hash` of 64 bits, and those of one hash by `is_before`, which compares the hashes first.
/// @param into  gets the sorted values
/// @param ends  room for `count` numbers
/// Cost: three passes, and `heap_sort` of values whose hashes are nearly the same; allocates nothing.
template <class T, class Before>
void sort_by_hash(const T* values, std::uint32_t count, T* into, std::uint32_t* ends, Before is_before) noexcept {
  const auto bucket_of = [count](const T& value) {
    return static_cast<std::uint32_t>(((value.hash >> 32) * count) >> 32);
  };
  for (std::uint32_t bucket = 0; bucket < count; ++bucket) ends[bucket] = 0;
  for (std::uint32_t i = 0; i < count; ++i) ++ends[bucket_of(values[i])];
  std::uint32_t begin = 0;
  for (std::uint32_t bucket = 0; bucket < count; ++bucket) {
    const std::uint32_t size = ends[bucket];
    ends[bucket] = begin; // which moves to the bucket's end
    begin += size;
  }
  for (std::uint32_t i = 0; i < count; ++i) into[ends[bucket_of(values[i])]++] = values[i];
  begin = 0;
  for (std::uint32_t bucket = 0; bucket < count; ++bucket) {
    if (ends[bucket] - begin > 1) heap_sort(into + begin, ends[bucket] - begin, is_before);
    begin = ends[bucket];
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
