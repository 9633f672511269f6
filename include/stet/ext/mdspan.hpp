// SPDX-License-Identifier: MIT
// Hands views to code that takes std::mdspan. Include it after <mdspan>; it is empty where the standard library has none.
#ifndef STET_EXT_MDSPAN_HPP
#define STET_EXT_MDSPAN_HPP

#include "../vocabulary/view.hpp"

#if defined(__cpp_lib_mdspan)

namespace stet::inline STET_NAMESPACE {

/// The same elements as a std::mdspan with the same fixed and dynamic extents, row-major. Valid while the bytes are; copies
/// nothing.
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
