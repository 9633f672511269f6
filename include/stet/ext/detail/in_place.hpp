// SPDX-License-Identifier: MIT
// The bytes of a tensor for a library that computes with them where they are.
#ifndef STET_EXT_DETAIL_IN_PLACE_HPP
#define STET_EXT_DETAIL_IN_PLACE_HPP

#include "../../store/tensor.hpp"

namespace stet::inline STET_NAMESPACE::detail {

/// The bytes of a tensor, for whoever takes its elements from them as this machine has them.
/// @retval errc::not_resident      they are not in memory
/// @retval errc::wrong_byte_order  this machine has the other byte order
/// @retval errc::misaligned        they are not aligned for their type
inline result<const std::byte*> bytes_in_place(const tensor& of) noexcept {
  const std::byte* const data = of.bytes().data();
  if (data == nullptr) return error(errc::not_resident, of.name());
  if (!of.is_in_place()) return error(errc::wrong_byte_order, of.name());
  const std::size_t word_size = describe(of.dtype()).word_size_bytes;
  if (word_size > 1 && !is_aligned(data, word_size)) return error(errc::misaligned, of.name());
  return data;
}

/// As above, for a library whose elements have `bits` each and stand at multiples of `alignment_bytes`.
/// @retval errc::packed     the tensor's elements are narrower or wider than that
/// @retval errc::bad_value  a boolean is neither 0 nor 1
/// Cost: for booleans, reads every byte.
inline result<const std::byte*> bytes_in_place(const tensor& of, std::size_t bits,
                                               std::size_t alignment_bytes) noexcept {
  if (of.layout().bits != bits) return error(errc::packed, of.name());
  const result<const std::byte*> data = bytes_in_place(of);
  if (!data) return data.error();
  if (of.size_bytes() != 0 && !is_aligned(*data, alignment_bytes)) return error(errc::misaligned, of.name());
  if (of.dtype() == dtype::boolean && !are_booleans(*data, of.bytes().size())) return error(errc::bad_value, of.name());
  return *data;
}

/// The extents of a tensor as signed numbers. They fit, and so does their product, zeros taken as ones, if an element has a byte or more:
/// a tensor has less than 2^63 bytes. Of narrower elements, a tensor without any may have an extent that becomes negative.
struct signed_extents {
  std::int64_t values[max_rank] = {};
  std::size_t rank = 0;

  explicit signed_extents(const shape& of) noexcept : rank(of.rank()) {
    for (std::size_t axis = 0; axis < rank; ++axis) values[axis] = static_cast<std::int64_t>(of[axis]);
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
