// SPDX-License-Identifier: MIT
// Makes tensors of LibTorch whose elements are those of a store, where they are. Include it after <torch/torch.h> or <ATen/ATen.h>.
//
//   find_package(Torch REQUIRED)
//   target_link_libraries(my_program PRIVATE stet::core ${TORCH_LIBRARIES})
//
// With Debian's libtorch-dev, without CMake: c++ -std=c++20 -isystem /usr/include/torch/csrc/api/include my_program.cpp -ltorch -ltorch_cpu -lc10
#ifndef STET_EXT_TORCH_HPP
#define STET_EXT_TORCH_HPP

#include "../store/store.hpp"
#include "detail/in_place.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// The type of LibTorch whose elements have the same bytes, `Undefined` where this release of it has none: strings, blocks, and types
/// narrower than a byte. The codes of quantized types are its integers: its own quantized types want scales, which the caller has.
/// Types that came after 1.13 (uint16 to uint64, the float8 types) are there where the headers of LibTorch have them.
template <class Type = at::ScalarType> [[nodiscard]] constexpr Type torch_type(dtype of) noexcept {
  switch (of) {
  case dtype::boolean:
    return Type::Bool;
  case dtype::int8:
  case dtype::qint8:
    return Type::Char;
  case dtype::int16:
  case dtype::qint16:
    return Type::Short;
  case dtype::int32:
  case dtype::qint32:
    return Type::Int;
  case dtype::int64:
    return Type::Long;
  case dtype::uint8:
  case dtype::quint8:
    return Type::Byte;
  case dtype::float16:
    return Type::Half;
  case dtype::bfloat16:
    return Type::BFloat16;
  case dtype::float32:
    return Type::Float;
  case dtype::float64:
    return Type::Double;
  case dtype::complex64:
    return Type::ComplexFloat;
  case dtype::complex128:
    return Type::ComplexDouble;
  case dtype::uint16:
  case dtype::quint16:
    if constexpr (requires { Type::UInt16; }) return Type::UInt16;
    break;
  case dtype::uint32:
    if constexpr (requires { Type::UInt32; }) return Type::UInt32;
    break;
  case dtype::uint64:
    if constexpr (requires { Type::UInt64; }) return Type::UInt64;
    break;
  case dtype::float8_e4m3fn:
    if constexpr (requires { Type::Float8_e4m3fn; }) return Type::Float8_e4m3fn;
    break;
  case dtype::float8_e5m2:
    if constexpr (requires { Type::Float8_e5m2; }) return Type::Float8_e5m2;
    break;
  case dtype::float8_e4m3fnuz:
    if constexpr (requires { Type::Float8_e4m3fnuz; }) return Type::Float8_e4m3fnuz;
    break;
  case dtype::float8_e5m2fnuz:
    if constexpr (requires { Type::Float8_e5m2fnuz; }) return Type::Float8_e5m2fnuz;
    break;
  case dtype::float8_e8m0fnu:
    if constexpr (requires { Type::Float8_e8m0fnu; }) return Type::Float8_e8m0fnu;
    break;
  default:
    break;
  }
  return Type::Undefined;
}

/// A tensor of LibTorch on the CPU whose elements are those of `of`, contiguous. Nothing is copied.
/// @param owner  what keeps the bytes: a std::shared_ptr to the store, or to a loaded_tensor that has its store. A copy of it lives until
///               the last tensor of LibTorch that uses the bytes is gone, views of it among them
/// LibTorch knows no tensor for reading only. One whose store was not opened for writing may be read, by threads at once, too; an operation
/// that writes into it (`add_`, a step of an optimizer) ends the program. For training, open with `access::copy_on_write`.
/// @retval errc::unsupported       this LibTorch has no such type
/// @retval errc::not_resident      the bytes are not in memory
/// @retval errc::wrong_byte_order  this machine has the other byte order
/// @retval errc::misaligned        they are not at a multiple of the size of an element
/// @retval errc::packed            they are packed below a byte
/// @retval errc::bad_value         a boolean is neither 0 nor 1
/// Exceptions: those of LibTorch and of allocations. Cost: two small allocations; for booleans, reads every byte.
///
///     auto opened = stet::open("model.stet");
///     const auto store = std::make_shared<const stet::store>(std::move(*opened));
///     const auto kernel = stet::torch_tensor(store, "dense/kernel");
///     const torch::Tensor scores = torch::matmul(pixels, *kernel);
template <class Owner> [[nodiscard]] result<at::Tensor> torch_tensor(Owner owner, const tensor& of) {
  const at::ScalarType type = torch_type(of.dtype());
  if (type == at::ScalarType::Undefined) return error(errc::unsupported, of.name());
  const std::size_t size = describe(of.dtype()).bits / 8u;
  const result<const std::byte*> data = detail::bytes_in_place(of, size * 8, size);
  if (!data) return data.error();
  const detail::signed_extents extents(of.shape());
  return at::from_blob(
      const_cast<std::byte*>(*data), at::IntArrayRef(extents.values, extents.rank),
      [held = std::move(owner)](void*) noexcept { static_cast<void>(held); }, at::TensorOptions().dtype(type));
}
/// As above, of the tensor called `name`. `from` is a std::shared_ptr to a store.
/// @retval errc::not_found  no tensor has this name
template <class Store> [[nodiscard]] result<at::Tensor> torch_tensor(Store from, std::string_view name) {
  const result<tensor> found = from->find(name);
  if (!found) return found.error();
  return torch_tensor(std::move(from), *found);
}

} // namespace stet::inline STET_NAMESPACE

#endif
