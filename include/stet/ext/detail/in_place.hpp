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

} // namespace stet::inline STET_NAMESPACE::detail

#endif
