// SPDX-License-Identifier: MIT
// Converts views to std::mdspan. Include it after <mdspan>; it is empty if the standard library lacks that header.
#ifndef STET_EXT_MDSPAN_HPP
#define STET_EXT_MDSPAN_HPP

#include "../vocabulary/view.hpp"

#if defined(__cpp_lib_mdspan)

namespace stet::inline STET_NAMESPACE {

/// The elements of a view as a std::mdspan with the same fixed and dynamic extents, row-major. Copies nothing; valid as long as
/// the bytes.
template <class T, std::size_t... Extents>
[[nodiscard]] constexpr std::mdspan<T, std::extents<std::size_t, Extents...>>
to_mdspan(const view<T, Extents...>& from) noexcept {
  static_assert(dynamic == std::dynamic_extent);
  std::array<std::size_t, sizeof...(Extents)> extents{};
  for (std::size_t axis = 0; axis < sizeof...(Extents); ++axis) extents[axis] = from.extent(axis);
  return {from.data(), std::extents<std::size_t, Extents...>(extents)};
}

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
