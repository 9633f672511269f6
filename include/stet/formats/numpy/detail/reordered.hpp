// SPDX-License-Identifier: MIT
// Reads an array in Fortran order, whose first axis runs fastest, as row-major bytes.
#ifndef STET_FORMATS_NUMPY_DETAIL_REORDERED_HPP
#define STET_FORMATS_NUMPY_DETAIL_REORDERED_HPP

#include "header.hpp"

#include "../../../store/detail/strided_bytes.hpp"

#include "../../../source/source.hpp"

#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// The elements of an array in Fortran order.
/// @param from          holds the array; its bytes must outlive the reader, as those of a part of a store do
/// @param offset_bytes  the offset of the elements, which lie within `from`
/// @param of            reordered, and not empty
inline strided_bytes npy_reordered(const source& from, std::uint64_t offset_bytes, const npy_header& of) noexcept {
  strided_bytes made(from, offset_bytes, of.type.size_bytes);
  std::uint64_t step = 1;
  for (const std::uint64_t extent : of.extents()) {
    made.add_axis(extent, step);
    step *= extent; // the number of elements, which fits
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
