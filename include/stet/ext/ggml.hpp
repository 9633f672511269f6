// SPDX-License-Identifier: MIT
// Makes tensors of ggml of tensors, where they are. Include it after <ggml.h>, <ggml-backend.h> and <ggml-cpu.h>.
//
//   add_subdirectory(ggml)
//   target_link_libraries(my_program PRIVATE stet::core ggml)
#ifndef STET_EXT_GGML_HPP
#define STET_EXT_GGML_HPP

#include "../store/store.hpp"
#include "detail/in_place.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Whether ggml's name of a type is `lower`, the name that stet has for it: "q4_K" is "q4_k".
constexpr bool is_ggml_name(const char* of, std::string_view lower) noexcept {
  if (of == nullptr) return false;
  const std::string_view name = of;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] - 'A' + 'a') : name[i];
    if (i == lower.size() || c != lower[i]) return false;
  }
  return name.size() == lower.size();
}

} // namespace detail

/// The type of ggml of the same elements or blocks, or GGML_TYPE_COUNT where it has none: unsigned integers, booleans, complex numbers,
/// strings, and narrow types that are not blocks. Blocks are found by their name, and have its sizes.
/// Cost: for blocks, a walk over ggml's types.
[[nodiscard]] inline ::ggml_type ggml_type_of(const element_layout& of) noexcept {
  switch (of.dtype) {
  case dtype::float32:
    return GGML_TYPE_F32;
  case dtype::float16:
    return GGML_TYPE_F16;
  case dtype::bfloat16:
    return GGML_TYPE_BF16;
  case dtype::float64:
    return GGML_TYPE_F64;
  case dtype::int8:
    return GGML_TYPE_I8;
  case dtype::int16:
    return GGML_TYPE_I16;
  case dtype::int32:
    return GGML_TYPE_I32;
  case dtype::int64:
    return GGML_TYPE_I64;
  case dtype::block:
    for (int code = 0; code < GGML_TYPE_COUNT; ++code) {
      const ::ggml_type type = static_cast<::ggml_type>(code);
      if (detail::is_ggml_name(ggml_type_name(type), of.block.name) && ggml_type_size(type) == of.block.size_bytes &&
          static_cast<std::uint64_t>(ggml_blck_size(type)) == of.block.element_count)
        return type;
    }
    return GGML_TYPE_COUNT;
  default:
    return GGML_TYPE_COUNT;
  }
}

/// A buffer of ggml's CPU backend over the bytes of a file, for weights: `make_ggml_buffer(store.data())`, or of each part of a store
/// that has parts. Nothing is copied. It begins at the first address that ggml takes, where it would end the program otherwise, so that
/// the bytes may stand anywhere: a file in a package, or in memory. For other devices, ggml_backend_dev_buffer_from_host_ptr makes it.
/// @retval errc::not_resident      the bytes are not in memory
/// @retval errc::buffer_too_small  they end before that address
/// @retval errc::out_of_memory     ggml has none left
/// Lifetime: the caller frees it by ggml_backend_buffer_free before the store is closed, and after the last use of its tensors. ggml
/// wants its bytes writable, and writes only where a graph does: tensors of a store that was not opened for writing are for reading.
[[nodiscard]] inline result<ggml_backend_buffer_t> make_ggml_buffer(const source& of) noexcept {
  if (of.data() == nullptr) return errc::not_resident;
  const std::uint64_t size = of.readable_size_bytes();
  const std::size_t alignment = ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type());
  const std::size_t skipped =
      static_cast<std::size_t>((alignment - reinterpret_cast<std::uintptr_t>(of.data()) % alignment) % alignment);
  if (size <= skipped) return errc::buffer_too_small;
  const ggml_backend_buffer_t made = ggml_backend_cpu_buffer_from_ptr(const_cast<std::byte*>(of.data()) + skipped,
                                                                      static_cast<std::size_t>(size) - skipped);
  if (made == nullptr) return errc::out_of_memory;
  ggml_backend_buffer_set_usage(made, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  return made;
}

/// A tensor of ggml whose elements are those of `of`, in a buffer over its file; it belongs to the context. Its extents are ggml's, the
/// innermost first: `ne[0]` of a tensor [64, 784] is 784. So a kernel that is [out, in], as PyTorch and GGUF have it, is what ggml_mul_mat
/// takes; one of Keras, [in, out], is copied once by `stet::permute({1, 0})`. Its name is that of `of`, shortened to GGML_MAX_NAME - 1.
/// @param in      a context with `no_alloc` and room for the tensor: ggml_tensor_overhead() for each
/// @param buffer  what `make_ggml_buffer` made of the source that `of` lies in, `store.part(of.entry().part())` of a store with parts
/// @retval errc::unsupported       ggml has no such type, more than GGML_MAX_DIMS dimensions, no elements, or rows that end within a block
/// @retval errc::not_resident      the bytes are not in memory
/// @retval errc::wrong_byte_order  this machine has the other byte order
/// @retval errc::misaligned        they are not at a multiple of the buffer's alignment, 32 on the CPU
/// @retval errc::invalid_argument  they are not in the buffer, or the context allocates
/// @retval errc::out_of_memory     the context has no room
/// @retval errc::unpadded          the buffer wants more bytes behind them than it has
/// For none of these ggml ends the program. Lifetime: that of the context, the buffer and the store, whichever ends first.
[[nodiscard]] inline result<::ggml_tensor*> make_ggml_tensor(ggml_context* in, ggml_backend_buffer_t buffer,
                                                             const tensor& of) noexcept {
  const ::ggml_type type = ggml_type_of(of.layout());
  const shape extents = of.shape();
  const std::size_t rank = extents.rank();
  if (type == GGML_TYPE_COUNT || rank > GGML_MAX_DIMS || of.element_count() == 0)
    return error(errc::unsupported, of.name());
  std::int64_t ne[GGML_MAX_DIMS] = {1};
  for (std::size_t axis = 0; axis < rank; ++axis) ne[rank - 1 - axis] = static_cast<std::int64_t>(extents[axis]);
  if (ne[0] % ggml_blck_size(type) != 0) return error(errc::unsupported, of.name());
  if (const auto data = detail::bytes_in_place(of); !data) return data.error();
  if (of.dtype() == dtype::block && of.entry().is_big_endian() == detail::host_is_little_endian)
    return error(errc::wrong_byte_order, of.name());

  // As numbers, which may be compared wherever they point.
  const auto at = reinterpret_cast<std::uintptr_t>(of.bytes().data());
  const auto base = reinterpret_cast<std::uintptr_t>(ggml_backend_buffer_get_base(buffer));
  const std::uint64_t size = ggml_backend_buffer_get_size(buffer);
  if (at % ggml_backend_buffer_get_alignment(buffer) != 0) return error(errc::misaligned, of.name());
  if (at < base || !detail::range_fits(at - base, of.size_bytes(), size) || !ggml_get_no_alloc(in))
    return error(errc::invalid_argument, of.name());
  const std::size_t used = ggml_used_mem(in), room = ggml_get_mem_size(in);
  if (used > room || room - used < ggml_tensor_overhead()) return error(errc::out_of_memory, of.name());

  ::ggml_tensor* const made = ggml_new_tensor(in, type, rank == 0 ? 1 : static_cast<int>(rank), ne);
  ggml_format_name(made, "%.*s", static_cast<int>(of.name().size()), of.name().data());
  if (!detail::range_fits(at - base, ggml_backend_buffer_get_alloc_size(buffer, made), size))
    return error(errc::unpadded, of.name());
  if (ggml_backend_tensor_alloc(buffer, made, const_cast<std::byte*>(of.bytes().data())) != GGML_STATUS_SUCCESS)
    return error(errc::out_of_memory, of.name());
  return made;
}
/// As above, of the tensor called `name`. @retval errc::not_found  no tensor has this name
[[nodiscard]] inline result<::ggml_tensor*> make_ggml_tensor(ggml_context* in, ggml_backend_buffer_t buffer,
                                                             const store& from, std::string_view name) noexcept {
  const result<tensor> found = from.find(name);
  if (!found) return found.error();
  return make_ggml_tensor(in, buffer, *found);
}

} // namespace stet::inline STET_NAMESPACE

#endif
