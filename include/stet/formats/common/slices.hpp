// SPDX-License-Identifier: MIT
// Tensors that another format saved in slices, placed in the store that is built.
#ifndef STET_FORMATS_COMMON_SLICES_HPP
#define STET_FORMATS_COMMON_SLICES_HPP

#include "store_builder.hpp"

#include "../../manifest/detail/slices.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// `place_slices` where a store is built: gathered bytes become a part of it.
inline errc place_slices(store_builder& into, index_row& row, std::uint64_t element_size_bytes,
                         std::vector<tensor_slice>&& slices) {
  return place_slices(row, element_size_bytes, std::move(slices), into.memory(),
                      [&into](source&& gathered) { return into.add_decoded(std::move(gathered)); });
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
