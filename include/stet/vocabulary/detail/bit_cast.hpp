// SPDX-License-Identifier: MIT
// The bits of a number seen as another number of the same size, on every standard library that stet supports.
#ifndef STET_VOCABULARY_DETAIL_BIT_CAST_HPP
#define STET_VOCABULARY_DETAIL_BIT_CAST_HPP

#include "../config.hpp"

namespace stet::inline STET_NAMESPACE::detail {

/// Returns the object of type `To` whose bytes are those of `from`. Both must be trivially copyable and of
/// one size. Stands in for `std::bit_cast`, which older libc++ lacks although every compiler has the builtin
/// beneath it; and <bit> need not be included for it.
template <class To, class From> [[nodiscard]] constexpr To bit_cast(const From& from) noexcept {
  static_assert(sizeof(To) == sizeof(From), "bit_cast: both types must have the same size");
  return __builtin_bit_cast(To, from);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif // STET_VOCABULARY_DETAIL_BIT_CAST_HPP
