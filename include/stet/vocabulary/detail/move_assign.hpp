// SPDX-License-Identifier: MIT
// Move assignment made of destruction and move construction.
#ifndef STET_VOCABULARY_DETAIL_MOVE_ASSIGN_HPP
#define STET_VOCABULARY_DETAIL_MOVE_ASSIGN_HPP

#include "../config.hpp"

#include <new>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Destroys `to` and constructs it again from `from`, unless they are one object. For types whose move construction cannot fail.
template <class T> constexpr T& move_assign(T& to, T& from) noexcept {
  if (&to != &from) {
    to.~T();
    ::new (static_cast<void*>(&to)) T(std::move(from));
  }
  return to;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
