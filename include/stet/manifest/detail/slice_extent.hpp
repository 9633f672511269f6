// SPDX-License-Identifier: MIT
// One dimension of a slice of a tensor.
#ifndef STET_MANIFEST_DETAIL_SLICE_EXTENT_HPP
#define STET_MANIFEST_DETAIL_SLICE_EXTENT_HPP

#include "../../vocabulary/config.hpp"

#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// One dimension of a slice, as stored: start and length; -1 is the whole dimension.
struct slice_extent {
  static constexpr std::int64_t all = -1;
  std::int64_t start = 0, length = all;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
