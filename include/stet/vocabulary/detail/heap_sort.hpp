// SPDX-License-Identifier: MIT
// A heap sort: <algorithm> costs more than the headers that sort here.
#ifndef STET_VOCABULARY_DETAIL_HEAP_SORT_HPP
#define STET_VOCABULARY_DETAIL_HEAP_SORT_HPP

#include "../config.hpp"

#include <cstddef>

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

} // namespace stet::inline STET_NAMESPACE::detail

#endif
