// SPDX-License-Identifier: MIT
// Typed windows onto tensors: rank- and extent-checked, indexed row-major, without copies.
#ifndef STET_VOCABULARY_VIEW_HPP
#define STET_VOCABULARY_VIEW_HPP

#include "config.hpp"
#include "element.hpp"
#include "detail/endian.hpp"
#include "result.hpp"
#include "shape.hpp"
#include "detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

/// As an extent of a `view`: known when the store is open, not before.
inline constexpr std::size_t dynamic = ~std::size_t{0};
/// As the only extent of a `view`: the number of dimensions, too, is known when the store is open, not before.
inline constexpr std::size_t dynamic_rank = dynamic - 1;

/// A row-major array of `T` with as many dimensions as extents, each fixed (784) or `dynamic`. A pointer and its
/// extents: copied freely, valid while the bytes are. Indices are checked by STET_ASSERT only.
///
///     view<const float, dynamic, 10> kernel;
///     float w = kernel(783, 9);
///     view<const float, 10> row = kernel[783];
template <class T, std::size_t... Extents> class view {
  static_assert(((Extents != dynamic_rank) && ...), "stet::dynamic_rank is the only extent of a view, or none of them");

public:
  using element_type = T;
  /// The number of dimensions.
  static constexpr std::size_t rank = sizeof...(Extents);
  /// The extents as the type states them; `dynamic` where it states none.
  static constexpr std::size_t static_extents[rank + 1] = {Extents..., 0};

  /// Views nothing: `data()` is nullptr and every dynamic extent 0.
  constexpr view() noexcept : data_(nullptr), extents_{(Extents == dynamic ? 0 : Extents)..., 0} {}

  /// Views the elements at `data`, all extents being fixed.
  explicit constexpr view(T* data) noexcept
    requires((Extents != dynamic) && ...)
      : view(data, static_extents) {}

  /// Views the elements at `data`; `extents` holds `rank` numbers, equal to the fixed ones.
  constexpr view(T* data, const std::size_t* extents) noexcept : data_(data), extents_{} {
    for (std::size_t axis = 0; axis < rank; ++axis) {
      STET_ASSERT(static_extents[axis] == dynamic || static_extents[axis] == extents[axis]);
      extents_[axis] = extents[axis];
    }
  }

  /// The first element; nullptr if nothing is viewed.
  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  /// The extent of dimension `axis` < rank, in elements.
  [[nodiscard]] constexpr std::size_t extent(std::size_t axis) const noexcept {
    return static_extents[axis] == dynamic ? extents_[axis] : static_extents[axis];
  }
  /// All extents, outermost first.
  [[nodiscard]] constexpr std::span<const std::size_t> extents() const noexcept { return {extents_, rank}; }
  /// The product of the extents.
  [[nodiscard]] constexpr std::size_t element_count() const noexcept {
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < rank; ++axis) count *= extent(axis);
    return count;
  }
  /// All elements in a row.
  [[nodiscard]] constexpr std::span<T> flat() const noexcept { return {data_, data_ == nullptr ? 0 : element_count()}; }
  /// The first element.
  [[nodiscard]] constexpr T* begin() const noexcept { return data_; }
  /// The end of the elements.
  [[nodiscard]] constexpr T* end() const noexcept { return data_ == nullptr ? nullptr : data_ + element_count(); }

  /// The element at these indices, one a dimension.
  template <class... Indices>
    requires(sizeof...(Indices) == rank)
  [[nodiscard]] constexpr T& operator()(Indices... indices) const noexcept {
    std::size_t position = 0;
    [[maybe_unused]] std::size_t axis = 0;
    ((STET_ASSERT(static_cast<std::size_t>(indices) < extent(axis)),
      position = position * extent(axis) + static_cast<std::size_t>(indices), ++axis),
     ...);
    return data_[position];
  }

  /// The element (rank 1) or the view of one dimension less (above) at `index` of the outermost dimension.
  [[nodiscard]] constexpr decltype(auto) operator[](std::size_t index) const noexcept
    requires(rank >= 1)
  {
    STET_ASSERT(index < extent(0));
    if constexpr (rank == 1) {
      return static_cast<T&>(data_[index]);
    } else {
      std::size_t stride = 1;
      for (std::size_t axis = 1; axis < rank; ++axis) stride *= extent(axis);
      return inner(static_cast<view*>(nullptr), data_ + index * stride, extents_ + 1);
    }
  }

private:
  template <std::size_t First, std::size_t... Rest>
  static constexpr view<T, Rest...> inner(view<T, First, Rest...>*, T* data, const std::size_t* extents) noexcept {
    return {data, extents};
  }

  T* data_;
  std::size_t extents_[rank + 1];
};

/// A row-major array of `T` with any number of dimensions. A pointer and the tensor's shape: copied freely, valid while the store
/// is open. Indices are checked by STET_ASSERT only.
///
///     view<const float, dynamic_rank> weights;
///     if (weights.rank() == 2) w = weights(783, 9);
template <class T> class view<T, dynamic_rank> {
public:
  using element_type = T;

  /// Views nothing: `data()` is nullptr, and the shape that of a scalar.
  constexpr view() noexcept = default;
  /// Views the elements at `data`, of shape `extents`.
  constexpr view(T* data, stet::shape extents) noexcept : data_(data), extents_(extents) {}

  /// The first element; nullptr if nothing is viewed.
  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  /// The number of dimensions.
  [[nodiscard]] constexpr std::size_t rank() const noexcept { return extents_.rank(); }
  /// The extent of dimension `axis` < rank(), in elements.
  [[nodiscard]] std::size_t extent(std::size_t axis) const noexcept { return static_cast<std::size_t>(extents_[axis]); }
  /// All extents, outermost first.
  [[nodiscard]] constexpr stet::shape extents() const noexcept { return extents_; }
  /// The product of the extents.
  [[nodiscard]] std::size_t element_count() const noexcept {
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < rank(); ++axis) count *= extent(axis);
    return count;
  }
  /// All elements in a row.
  [[nodiscard]] std::span<T> flat() const noexcept { return {data_, data_ == nullptr ? 0 : element_count()}; }
  /// The first element.
  [[nodiscard]] constexpr T* begin() const noexcept { return data_; }
  /// The end of the elements.
  [[nodiscard]] T* end() const noexcept { return data_ == nullptr ? nullptr : data_ + element_count(); }

  /// The element at these indices, one a dimension.
  template <class... Indices> [[nodiscard]] T& operator()(Indices... indices) const noexcept {
    STET_ASSERT(sizeof...(indices) == rank());
    std::size_t position = 0;
    [[maybe_unused]] std::size_t axis = 0;
    ((STET_ASSERT(static_cast<std::size_t>(indices) < extent(axis)),
      position = position * extent(axis) + static_cast<std::size_t>(indices), ++axis),
     ...);
    return data_[position];
  }

private:
  T* data_ = nullptr;
  stet::shape extents_;
};

} // namespace stet::inline STET_NAMESPACE

/// @cond
template <class T, std::size_t... Extents>
inline constexpr bool std::ranges::enable_borrowed_range<stet::view<T, Extents...>> = true;
/// @endcond

namespace stet::inline STET_NAMESPACE {

/// Elements narrower than a byte, or elements of any type at any address, read one at a time by value. Element i of b bits
/// begins at bit i × b, counted from the least significant bit of the first byte.
template <class T> class packed_span {
public:
  /// Views nothing.
  constexpr packed_span() noexcept = default;
  /// Views `element_count` elements of `bits` ≤ 8 bits each, packed at `bytes`.
  constexpr packed_span(const std::byte* bytes, std::uint64_t element_count, std::uint8_t bits) noexcept
      : bytes_(bytes), element_count_(element_count), bits_(bits) {}

  /// The number of elements.
  [[nodiscard]] constexpr std::uint64_t element_count() const noexcept { return element_count_; }
  /// Element `index` < element_count().
  [[nodiscard]] constexpr T operator[](std::uint64_t index) const noexcept {
    STET_ASSERT(index < element_count_);
    // The bits before whole groups of 8 elements are whole bytes; so no product can overflow.
    const std::uint64_t bit = index % 8 * bits_;
    const std::byte* const at = bytes_ + static_cast<std::size_t>(index / 8 * bits_ + bit / 8);
    const std::uint32_t shift = static_cast<std::uint32_t>(bit % 8);
    std::uint32_t code = static_cast<std::uint32_t>(*at) >> shift;
    if (shift + bits_ > 8) code |= static_cast<std::uint32_t>(at[1]) << (8 - shift);
    return T::from_bits(static_cast<std::uint8_t>(code & ((1u << bits_) - 1u)));
  }

private:
  const std::byte* bytes_ = nullptr;
  std::uint64_t element_count_ = 0;
  std::uint8_t bits_ = 8;
};

/// The strings of a string tensor, checked once, then viewed in place.
class string_span {
public:
  /// Views no strings.
  constexpr string_span() noexcept = default;

  /// Checks the bytes of a string tensor: element_count + 1 offsets, then the strings (index/format.hpp, "Data").
  /// @retval errc::bad_string_table  the offsets decrease, or do not begin and end with the strings
  /// Lifetime: while the bytes live, at any address. Cost: reads every offset, allocates nothing.
  static result<string_span> validate(std::span<const std::byte> bytes, std::uint64_t element_count) noexcept {
    if (element_count >= bytes.size() / 8) return errc::bad_string_table;
    const string_span strings(bytes.data(), static_cast<std::size_t>(element_count));
    std::uint64_t before = 0;
    for (std::size_t i = 0; i <= strings.count_; ++i) {
      const std::uint64_t offset = strings.offset(i);
      if (offset < before || (i == 0 && offset != 0)) return error(errc::bad_string_table, {}, i * 8);
      before = offset;
    }
    if (before != bytes.size() - (strings.count_ + 1) * 8) return error(errc::bad_string_table, {}, strings.count_ * 8);
    return strings;
  }

  /// How many strings there are.
  [[nodiscard]] constexpr std::size_t size() const noexcept { return count_; }
  /// String `index` < size(): any bytes, NUL included.
  [[nodiscard]] std::string_view operator[](std::size_t index) const noexcept {
    STET_ASSERT(index < count_);
    const std::byte* const text = offsets_ + (count_ + 1) * 8;
    const std::size_t begin = static_cast<std::size_t>(offset(index)),
                      end = static_cast<std::size_t>(offset(index + 1));
    return detail::text_at(text + begin, end - begin);
  }

private:
  constexpr string_span(const std::byte* offsets, std::size_t count) noexcept : offsets_(offsets), count_(count) {}
  [[nodiscard]] std::uint64_t offset(std::size_t i) const noexcept {
    return detail::load_little<std::uint64_t>(offsets_ + i * 8);
  }

  const std::byte* offsets_ = nullptr;
  std::size_t count_ = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
