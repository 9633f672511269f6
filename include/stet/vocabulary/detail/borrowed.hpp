// SPDX-License-Identifier: MIT
// The ranges of elements that a function may borrow: they lie in a row in memory, and outlive the call.
#ifndef STET_VOCABULARY_DETAIL_BORROWED_HPP
#define STET_VOCABULARY_DETAIL_BORROWED_HPP

#include "../config.hpp"

#include "../element.hpp"
#include "../extents.hpp"

#include <span>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

/// A range whose elements lie in a row in memory: a vector, an array, a span, a view.
template <class Range>
concept contiguous = requires(std::remove_reference_t<Range>& range) { std::span(range); };

/// The type of its elements, const where they may only be read.
template <class Range>
using element_type_of = typename decltype(std::span(std::declval<std::remove_reference_t<Range>&>()))::element_type;

template <class Range, bool = contiguous<Range>> inline constexpr bool has_elements = false;
template <class Range> inline constexpr bool has_elements<Range, true> = element<element_type_of<Range>>;

/// The range, or what it views, outlives the call: an lvalue, or an object such as std::span that owns nothing.
template <class Range>
concept outlives_call =
    std::is_lvalue_reference_v<Range> || std::ranges::enable_borrowed_range<std::remove_cvref_t<Range>>;

/// Elements in a row, which the caller keeps.
template <class Range>
concept borrowed_elements = has_elements<Range> && outlives_call<Range>;

/// Elements in a row, in a container that ends with the call.
template <class Range>
concept temporary_elements = has_elements<Range> && !outlives_call<Range>;

/// The extents of a range of `element_count`: its own if it has several dimensions, as `view` has.
template <class Range> extents own_extents(const Range& range, std::size_t element_count) noexcept {
  if constexpr (requires { extents(range.extents()); }) {
    return extents(range.extents());
  } else {
    return {element_count};
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
