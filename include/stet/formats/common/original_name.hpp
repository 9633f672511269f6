// SPDX-License-Identifier: MIT
// The first name of a tensor that has several.
#ifndef STET_FORMATS_COMMON_ORIGINAL_NAME_HPP
#define STET_FORMATS_COMMON_ORIGINAL_NAME_HPP

#include "../../store/store.hpp"

#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The name of a tensor; for an alias, the name of its original. Lives as long as the store.
inline std::string_view original_name(const store& where, const tensor& of) noexcept {
  const result<tensor> original = where.original_of(of);
  return original ? original->name() : of.name();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
