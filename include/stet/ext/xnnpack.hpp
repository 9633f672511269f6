// SPDX-License-Identifier: MIT
// Hands tensors to XNNPACK as static data, where they are. Include it after <xnnpack.h>.
#ifndef STET_EXT_XNNPACK_HPP
#define STET_EXT_XNNPACK_HPP

#include "../store/store.hpp"
#include "detail/in_place.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The tensor's bytes, if XNNPACK may use them with `readable_bytes_behind` them.
inline result<const void*> check_for_xnnpack(const tensor& of, std::uint64_t readable_bytes_behind) noexcept {
  const result<const std::byte*> data = bytes_in_place(of);
  if (!data) return data.error();
  if (readable_bytes_behind < XNN_EXTRA_BYTES) return error(errc::unpadded, of.name());
  return static_cast<const void*>(*data);
}

inline result<std::uint32_t> define_for_xnnpack(xnn_subgraph_t subgraph, const tensor& of,
                                                std::uint64_t readable_bytes_behind) noexcept {
  const xnn_datatype datatype = of.dtype() == dtype::float32   ? xnn_datatype_fp32
                                : of.dtype() == dtype::float16 ? xnn_datatype_fp16
                                                               : xnn_datatype_invalid;
  const shape extents = of.shape();
  if (datatype == xnn_datatype_invalid || extents.rank() > XNN_MAX_TENSOR_DIMS)
    return error(errc::unsupported, of.name());
  const result<const void*> data = check_for_xnnpack(of, readable_bytes_behind);
  if (!data) return data.error();
  std::size_t dims[XNN_MAX_TENSOR_DIMS] = {};
  for (std::size_t axis = 0; axis < extents.rank(); ++axis) dims[axis] = static_cast<std::size_t>(extents[axis]);
  std::uint32_t id = XNN_INVALID_VALUE_ID;
  switch (xnn_define_tensor_value(subgraph, datatype, extents.rank(), dims, *data, XNN_INVALID_VALUE_ID, 0, &id)) {
  case xnn_status_success:
    return id;
  case xnn_status_out_of_memory:
    return error(errc::out_of_memory, of.name());
  case xnn_status_unsupported_parameter:
  case xnn_status_unsupported_hardware:
    return error(errc::unsupported, of.name());
  default:
    return error(errc::invalid_argument, of.name());
  }
}

} // namespace detail

/// The bytes of a tensor for the functions of XNNPACK that take static data, `xnn_define_quantized_tensor_value` among them. XNNPACK
/// reads up to XNN_EXTRA_BYTES beyond them, for which a tensor of a file that stet saved has room; a file of another format may end
/// with its last tensor. `from.load(name, memory, XNN_EXTRA_BYTES)` copies a tensor where that is so.
/// @retval errc::not_resident      they are not in memory
/// @retval errc::wrong_byte_order  this machine has the other byte order
/// @retval errc::misaligned        they are not aligned for their type
/// @retval errc::unpadded          too few bytes behind them may be read
/// Lifetime: subgraphs and all runtimes made of them read the bytes as long as they live; the store must outlive them.
[[nodiscard]] inline result<const void*> xnnpack_data(const store& from, const tensor& of) noexcept {
  return detail::check_for_xnnpack(of, from.readable_bytes_behind(of));
}
/// As above, of a tensor that was loaded with XNN_EXTRA_BYTES behind it, and must outlive subgraphs and runtimes itself.
[[nodiscard]] inline result<const void*> xnnpack_data(const loaded_tensor& of) noexcept {
  return detail::check_for_xnnpack(*of, of.readable_bytes_behind());
}

/// Defines the tensor called `name`, of float32 or float16, as static value of a subgraph, with its extents. Nothing is copied here;
/// operators that pack their weights copy them when a runtime is made.
/// @return the number of the value
/// @retval errc::not_found         no tensor has this name
/// @retval errc::unsupported       another dtype, more than XNN_MAX_TENSOR_DIMS dimensions, or XNNPACK refuses it
/// @retval errc::out_of_memory, invalid_argument  XNNPACK has no memory left, or is not initialized
/// or an error of `xnnpack_data`. Lifetime: that of `xnnpack_data`.
[[nodiscard]] inline result<std::uint32_t> define_xnnpack_value(xnn_subgraph_t subgraph, const store& from,
                                                                std::string_view name) noexcept {
  const result<tensor> found = from.find(name);
  if (!found) return found.error();
  return detail::define_for_xnnpack(subgraph, *found, from.readable_bytes_behind(*found));
}
/// As above, of a tensor that was loaded with XNN_EXTRA_BYTES behind it, and must outlive subgraph and runtimes itself.
[[nodiscard]] inline result<std::uint32_t> define_xnnpack_value(xnn_subgraph_t subgraph,
                                                                const loaded_tensor& of) noexcept {
  return detail::define_for_xnnpack(subgraph, *of, of.readable_bytes_behind());
}

} // namespace stet::inline STET_NAMESPACE

#endif
