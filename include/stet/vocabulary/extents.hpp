// SPDX-License-Identifier: MIT
// The shape of a tensor as an argument.
#ifndef STET_VOCABULARY_EXTENTS_HPP
#define STET_VOCABULARY_EXTENTS_HPP

#include "config.hpp"

#include "shape.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// The extents of a tensor as an argument, outermost first: `{784, 10}`, with integers of any types, or any range of any integer
/// type, such as a `std::vector<std::int64_t>` or the `shape` of a tensor. `{}` is the shape of a scalar. Owns its numbers. Every
/// function that takes one reports a negative extent, or more than `max_rank` of them, as errc::bad_shape.
class extents {
public:
  /// The shape of a scalar (rank 0).
  extents() noexcept {}
  /// Extents in braces.
  extents(std::initializer_list<detail::extent> values) noexcept { assign(values.begin(), values.end()); }
  /// The extents in a range of integers.
  template <class Range>
    requires detail::extent_range<Range>
  extents(const Range& values) noexcept {
    assign(std::begin(values), std::end(values));
  }
  /// Copies the extents that there are, not the room for more.
  extents(const extents& other) noexcept { assign(other.values_, other.values_ + other.rank_); }
  /// As the constructor.
  extents& operator=(const extents& other) noexcept {
    assign(other.values_, other.values_ + other.rank_);
    return *this;
  }

  /// The extents. Of invalid ones it is a shape that has too many elements for any tensor.
  operator std::span<const std::uint64_t>() const noexcept { return {values_, rank_}; }

private:
  template <class Iterator> void assign(Iterator from, Iterator end) noexcept {
    for (rank_ = 0; from != end; ++from) {
      const detail::extent each = *from;
      if (each.is_negative || rank_ == max_rank) {
        // A product that overflows, so that a check which multiplies extents cannot miss it.
        values_[0] = values_[1] = ~std::uint64_t{0};
        rank_ = 2;
        return;
      }
      values_[rank_++] = each.value;
    }
  }

  std::uint64_t values_[max_rank]; // the first `rank_`
  std::size_t rank_ = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
