// SPDX-License-Identifier: MIT
// Hands tensors to TensorFlow's C API, where they are. Include it after <tensorflow/c/c_api.h>.
//
// The wheel tensorflow-cpu has headers and libraries, in the folder FOLDER that python3 -c "import tensorflow as t; print(t.__path__[0])" prints:
//   c++ -std=c++20 -isystem FOLDER/include my_program.cpp FOLDER/libtensorflow_cc.so.2 FOLDER/libtensorflow_framework.so.2 -Wl,-rpath,FOLDER
#ifndef STET_EXT_TENSORFLOW_HPP
#define STET_EXT_TENSORFLOW_HPP

#include "../store/store.hpp"
#include "detail/in_place.hpp"

#include <cstddef>
#include <new>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// The type of TensorFlow of the same elements, or 0, which is none of them, where this release has none: strings, which are objects
/// there, blocks, float6 and float8_e8m0fnu. Its types that are narrower than a byte fill a byte each. The float8 types, int2, uint2 and
/// float4_e2m1fn are there where the headers have them.
template <class Type = TF_DataType> [[nodiscard]] constexpr Type tensorflow_type(dtype of) noexcept {
  switch (of) {
  case dtype::boolean:
    return Type::TF_BOOL;
  case dtype::int8:
    return Type::TF_INT8;
  case dtype::int16:
    return Type::TF_INT16;
  case dtype::int32:
    return Type::TF_INT32;
  case dtype::int64:
    return Type::TF_INT64;
  case dtype::uint8:
    return Type::TF_UINT8;
  case dtype::uint16:
    return Type::TF_UINT16;
  case dtype::uint32:
    return Type::TF_UINT32;
  case dtype::uint64:
    return Type::TF_UINT64;
  case dtype::float16:
    return Type::TF_HALF;
  case dtype::bfloat16:
    return Type::TF_BFLOAT16;
  case dtype::float32:
    return Type::TF_FLOAT;
  case dtype::float64:
    return Type::TF_DOUBLE;
  case dtype::complex64:
    return Type::TF_COMPLEX64;
  case dtype::complex128:
    return Type::TF_COMPLEX128;
  case dtype::qint8:
    return Type::TF_QINT8;
  case dtype::quint8:
    return Type::TF_QUINT8;
  case dtype::qint16:
    return Type::TF_QINT16;
  case dtype::quint16:
    return Type::TF_QUINT16;
  case dtype::qint32:
    return Type::TF_QINT32;
  case dtype::float8_e4m3fn:
    if constexpr (requires { Type::TF_FLOAT8_E4M3FN; }) return Type::TF_FLOAT8_E4M3FN;
    break;
  case dtype::float8_e5m2:
    if constexpr (requires { Type::TF_FLOAT8_E5M2; }) return Type::TF_FLOAT8_E5M2;
    break;
  case dtype::float8_e4m3fnuz:
    if constexpr (requires { Type::TF_FLOAT8_E4M3FNUZ; }) return Type::TF_FLOAT8_E4M3FNUZ;
    break;
  case dtype::float8_e5m2fnuz:
    if constexpr (requires { Type::TF_FLOAT8_E5M2FNUZ; }) return Type::TF_FLOAT8_E5M2FNUZ;
    break;
  case dtype::float8_e4m3b11fnuz:
    if constexpr (requires { Type::TF_FLOAT8_E4M3B11FNUZ; }) return Type::TF_FLOAT8_E4M3B11FNUZ;
    break;
  case dtype::float4_e2m1fn:
    if constexpr (requires { Type::TF_FLOAT4_E2M1FN; }) return Type::TF_FLOAT4_E2M1FN;
    break;
  case dtype::int4:
    if constexpr (requires { Type::TF_INT4; }) return Type::TF_INT4;
    break;
  case dtype::uint4:
    if constexpr (requires { Type::TF_UINT4; }) return Type::TF_UINT4;
    break;
  case dtype::int2:
    if constexpr (requires { Type::TF_INT2; }) return Type::TF_INT2;
    break;
  case dtype::uint2:
    if constexpr (requires { Type::TF_UINT2; }) return Type::TF_UINT2;
    break;
  default:
    break;
  }
  return Type{};
}

/// A tensor of TensorFlow whose elements are those of `of`; the caller deletes it by TF_DeleteTensor. Nothing is copied: what TF_NewTensor
/// would copy, because it lies less aligned than TensorFlow's own memory, is an error. A file of stet that is mapped or read has its
/// tensors at multiples of 64, which is enough, unless it was saved with another `store.alignment_bytes()`.
/// TensorFlow does not write into such a tensor, also where it computes in place.
/// @param owner  what keeps the bytes: a std::shared_ptr to the store, or to a loaded_tensor that has its store; moved from. It is kept
///               until TensorFlow has no more use for the bytes, which may be after TF_DeleteTensor
/// @retval errc::unsupported       this TensorFlow has no such type
/// @retval errc::not_resident      the bytes are not in memory
/// @retval errc::wrong_byte_order  this machine has the other byte order
/// @retval errc::misaligned        they are not at a multiple of TF_TensorDefaultAlignment(), 64 as a rule
/// @retval errc::packed            they are packed below a byte, which TensorFlow has unpacked
/// @retval errc::bad_value         a boolean is neither 0 nor 1
/// @retval errc::out_of_memory     for a copy of `owner`
/// Cost: some small allocations; for booleans, reads every byte.
///
///     auto opened = stet::open("model.stet");
///     const auto store = std::make_shared<const stet::store>(std::move(*opened));
///     const stet::result<TF_Tensor*> kernel = stet::tensorflow_tensor(store, "dense/kernel");
template <class Owner> [[nodiscard]] result<TF_Tensor*> tensorflow_tensor(Owner owner, const tensor& of) noexcept {
  const TF_DataType type = tensorflow_type(of.dtype());
  const std::size_t element_bytes = type == TF_DataType{} ? 0 : TF_DataTypeSize(type);
  if (element_bytes == 0) return error(errc::unsupported, of.name());
  const result<const std::byte*> data = detail::bytes_in_place(of, element_bytes * 8, TF_TensorDefaultAlignment());
  if (!data) return data.error();
  Owner* const held = new (std::nothrow) Owner(std::move(owner));
  if (held == nullptr) return error(errc::out_of_memory, of.name());
  const detail::signed_extents extents(of.shape());
  TF_Tensor* const made = TF_NewTensor(
      type, extents.values, static_cast<int>(extents.rank), const_cast<std::byte*>(*data), of.bytes().size(),
      [](void*, std::size_t, void* kept) noexcept { delete static_cast<Owner*>(kept); }, held);
  if (made == nullptr) return error(errc::unsupported, of.name()); // `held` is deleted
  return made;
}
/// As above, of the tensor called `name`. `from` is a std::shared_ptr to a store.
/// @retval errc::not_found  no tensor has this name
template <class Store> [[nodiscard]] result<TF_Tensor*> tensorflow_tensor(Store from, std::string_view name) noexcept {
  const result<tensor> found = from->find(name);
  if (!found) return found.error();
  return tensorflow_tensor(std::move(from), *found);
}

} // namespace stet::inline STET_NAMESPACE

#endif
