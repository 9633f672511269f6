// SPDX-License-Identifier: MIT
// Reinterprets the bits of a number, with every standard library that stet supports.
#ifndef STET_VOCABULARY_DETAIL_BIT_CAST_HPP
#define STET_VOCABULARY_DETAIL_BIT_CAST_HPP

#include "../config.hpp"

namespace stet::inline STET_NAMESPACE::detail {

/// Returns the object of type `To` with the bytes of `from`. Both types must be trivially copyable and have the same size.
/// Replaces `std::bit_cast`, which older versions of libc++ lack although every compiler has the builtin, and avoids <bit>.
template <class To, class From> [[nodiscard]] constexpr To bit_cast(const From& from) noexcept {
  static_assert(sizeof(To) == sizeof(From), "bit_cast: both types must have the same size");
  return __builtin_bit_cast(To, from);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif // STET_VOCABULARY_DETAIL_BIT_CAST_HPP
