// SPDX-License-Identifier: MIT
// The extents of a tensor, and the number of its elements and bytes.
#ifndef STET_VOCABULARY_SHAPE_HPP
#define STET_VOCABULARY_SHAPE_HPP

#include "config.hpp"

#include "detail/checked.hpp"
#include "dtype.hpp"
#include "detail/endian.hpp"
#include "detail/integer.hpp"
#include "error.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// The largest number of dimensions (TensorFlow's own limit).
inline constexpr std::size_t max_rank = 254;
/// The largest size of a tensor.
inline constexpr std::uint64_t max_tensor_size_bytes = ~std::uint64_t{0} >> 1;

namespace detail {

/// An integer of any type as an extent.
struct extent {
  template <integer Integer> constexpr extent(Integer from) noexcept : value(static_cast<std::uint64_t>(from)) {
    if constexpr (std::is_signed_v<Integer>) is_negative = from < 0;
  }
  std::uint64_t value;
  bool is_negative = false;
};

template <class Range>
concept extent_range = requires(const Range& range) {
  extent(*std::begin(range));
  std::begin(range) != std::end(range);
};

} // namespace detail

/// The extents of a tensor, outermost first, row-major; rank 0 is a scalar. A view of little-endian 64-bit integers in the
/// store's index, valid while that store is open. Two words, cheap to copy.
class shape {
public:
  /// The shape of a scalar (rank 0).
  constexpr shape() noexcept = default;
  /// Views `rank` little-endian 64-bit integers at `extents`, at any alignment.
  constexpr shape(const std::byte* extents, std::size_t rank) noexcept : extents_(extents), rank_(rank) {}

  /// The number of dimensions.
  [[nodiscard]] constexpr std::size_t rank() const noexcept { return rank_; }
  /// The extent of dimension `axis` < rank().
  [[nodiscard]] std::uint64_t operator[](std::size_t axis) const noexcept {
    return detail::load_little<std::uint64_t>(extents_ + axis * sizeof(std::uint64_t));
  }

  /// Iterates over the extents, outermost first.
  class iterator {
  public:
    using value_type = std::uint64_t;
    using difference_type = std::ptrdiff_t;
    constexpr iterator() noexcept = default;
    std::uint64_t operator*() const noexcept { return detail::load_little<std::uint64_t>(at_); }
    constexpr iterator& operator++() noexcept { return at_ += sizeof(std::uint64_t), *this; }
    constexpr iterator operator++(int) noexcept {
      iterator before = *this;
      ++*this;
      return before;
    }
    friend constexpr bool operator==(iterator, iterator) noexcept = default;

  private:
    friend class shape;
    constexpr explicit iterator(const std::byte* at) noexcept : at_(at) {}
    const std::byte* at_ = nullptr;
  };
  /// The outermost extent.
  [[nodiscard]] constexpr iterator begin() const noexcept { return iterator(extents_); }
  /// The end of the extents.
  [[nodiscard]] constexpr iterator end() const noexcept { return iterator(extents_ + rank_ * sizeof(std::uint64_t)); }

  /// True if rank and extents equal those in a range of integers of any type.
  template <class Range>
    requires detail::extent_range<Range>
  [[nodiscard]] bool equals(const Range& extents) const noexcept {
    return equals(std::begin(extents), std::end(extents));
  }
  /// The same, for extents in braces.
  [[nodiscard]] bool equals(std::initializer_list<detail::extent> extents) const noexcept {
    return equals(extents.begin(), extents.end());
  }
  /// True if both have the same rank and extents.
  friend bool operator==(const shape& a, const shape& b) noexcept {
    if (a.rank_ != b.rank_) return false;
    for (std::size_t axis = 0; axis < a.rank_; ++axis) {
      if (a[axis] != b[axis]) return false;
    }
    return true;
  }

  /// Writes the shape as text, for example "[784, 10]".
  void print(text_writer& out) const noexcept {
    out.append("[");
    for (std::size_t axis = 0; axis < rank_; ++axis) out.append(axis == 0 ? "" : ", ").append((*this)[axis]);
    out.append("]");
  }

private:
  template <class Iterator> bool equals(Iterator from, Iterator end) const noexcept {
    std::size_t axis = 0;
    for (; from != end; ++from, ++axis) {
      const detail::extent each = *from;
      if (axis == rank_ || each.is_negative || each.value != (*this)[axis]) return false;
    }
    return axis == rank_;
  }

  const std::byte* extents_ = nullptr;
  std::size_t rank_ = 0;
};

namespace detail {

/// Accumulates extents into an element count. The product of all extents, with zeros taken as ones, must fit, so that a zero
/// extent cannot hide an overflow.
class element_counter {
public:
  /// Multiplies by the next extent; false if the product does not fit.
  constexpr bool multiply(std::uint64_t extent) noexcept {
    zero_ |= extent == 0;
    return checked_multiply(product_, extent == 0 ? 1 : extent, product_);
  }
  /// The product of the extents.
  [[nodiscard]] constexpr std::uint64_t element_count() const noexcept { return zero_ ? 0 : product_; }
  /// The product with zeros taken as ones, which must also fit when multiplied by the element's width.
  [[nodiscard]] constexpr std::uint64_t nonzero_product() const noexcept { return product_; }

private:
  std::uint64_t product_ = 1;
  bool zero_ = false;
};

/// Sets `size_bytes` to the size of `count` packed elements of `bits` bits, whose last byte is padded with zero bits; false if
/// it exceeds `max_tensor_size_bytes`.
constexpr bool packed_size(std::uint64_t count, std::uint32_t bits, std::uint64_t& size_bytes) noexcept {
  // Whole bytes first: the number of bits of a valid tensor may not fit in 64 bits.
  std::uint64_t whole = 0;
  if (!checked_multiply(count / 8, bits, whole)) return false;
  size_bytes = whole + (count % 8 * bits + 7) / 8;
  return size_bytes >= whole && size_bytes <= max_tensor_size_bytes;
}

} // namespace detail

/// The layout of elements: `bits` for each, or blocks. The same dtype may be stored with two widths: TensorFlow stores an int4
/// in its own byte.
struct element_layout {
  /// The dtype of the elements.
  stet::dtype dtype = dtype::float32;
  /// Stored bits of one element; 0 for strings and blocks.
  std::uint8_t bits = 32;
  /// The block of the dtype `block`; else empty.
  block_type block{};

  /// The normal layout of a dtype: its own width.
  static constexpr element_layout of(stet::dtype d) noexcept { return {d, describe(d).bits, {}}; }
};

/// The name of the dtype; of blocks, the name of the block: "q4_k". Valid as long as that.
constexpr std::string_view name_of(const element_layout& of) noexcept {
  return of.dtype == dtype::block ? of.block.name : name_of(of.dtype);
}

/// Sets `size_bytes` to the size of `counter.element_count()` elements. For strings it is the least size: that of the offsets
/// alone.
/// @return false if a size overflows (even with zero extents) or exceeds `max_tensor_size_bytes`, or if the elements do not
///         fill whole blocks
constexpr bool checked_size_bytes(const detail::element_counter& counter, const element_layout& layout,
                                  std::uint64_t& size_bytes) noexcept {
  std::uint64_t upper_bound = 0;
  if (layout.dtype == dtype::block) {
    const std::uint64_t elements = layout.block.element_count;
    if (elements == 0 || counter.element_count() % elements != 0) return false;
    // Rounded up; the product is at least 1, so nothing wraps.
    const std::uint64_t blocks = (counter.nonzero_product() - 1) / elements + 1;
    const bool fits = detail::checked_multiply(blocks, layout.block.size_bytes, upper_bound);
    size_bytes = counter.element_count() / elements * layout.block.size_bytes;
    return fits && upper_bound <= max_tensor_size_bytes;
  }
  if (layout.dtype == dtype::string) {
    std::uint64_t offsets = 0;
    if (!detail::checked_add(counter.nonzero_product(), 1, offsets) ||
        !detail::checked_multiply(offsets, 8, upper_bound)) {
      return false;
    }
    size_bytes = (counter.element_count() + 1) * 8;
    return upper_bound <= max_tensor_size_bytes;
  }
  const bool fits = detail::packed_size(counter.nonzero_product(), layout.bits, upper_bound);
  size_bytes = counter.element_count() == 0 ? 0 : upper_bound;
  return fits;
}

} // namespace stet::inline STET_NAMESPACE

#endif
