// SPDX-License-Identifier: MIT
// Hands tensors to OpenVINO as constants and tensors, where they are. Include it after <openvino/openvino.hpp> and
// <openvino/op/constant.hpp>.
#ifndef STET_EXT_OPENVINO_HPP
#define STET_EXT_OPENVINO_HPP

#include "../store/store.hpp"
#include "detail/in_place.hpp"

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// The element type of OpenVINO that has the same bytes, `ov::element::dynamic` where it has none: complex numbers, strings (which are
/// objects there), blocks, and some narrow types. The codes of quantized types are its integers.
[[nodiscard]] constexpr ov::element::Type openvino_type(dtype of) noexcept {
  switch (of) {
  case dtype::boolean:
    return ov::element::Type_t::boolean;
  case dtype::int8:
  case dtype::qint8:
    return ov::element::Type_t::i8;
  case dtype::int16:
  case dtype::qint16:
    return ov::element::Type_t::i16;
  case dtype::int32:
  case dtype::qint32:
    return ov::element::Type_t::i32;
  case dtype::int64:
    return ov::element::Type_t::i64;
  case dtype::uint8:
  case dtype::quint8:
    return ov::element::Type_t::u8;
  case dtype::uint16:
  case dtype::quint16:
    return ov::element::Type_t::u16;
  case dtype::uint32:
    return ov::element::Type_t::u32;
  case dtype::uint64:
    return ov::element::Type_t::u64;
  case dtype::float16:
    return ov::element::Type_t::f16;
  case dtype::bfloat16:
    return ov::element::Type_t::bf16;
  case dtype::float32:
    return ov::element::Type_t::f32;
  case dtype::float64:
    return ov::element::Type_t::f64;
  case dtype::float8_e4m3fn:
    return ov::element::Type_t::f8e4m3;
  case dtype::float8_e5m2:
    return ov::element::Type_t::f8e5m2;
  case dtype::float8_e8m0fnu:
    return ov::element::Type_t::f8e8m0;
  case dtype::float4_e2m1fn:
    return ov::element::Type_t::f4e2m1;
  case dtype::int4:
    return ov::element::Type_t::i4;
  case dtype::uint4:
    return ov::element::Type_t::u4;
  case dtype::uint2:
    return ov::element::Type_t::u2;
  default:
    return ov::element::Type_t::dynamic;
  }
}

namespace detail {

/// A tensor as OpenVINO takes it.
struct openvino_bytes {
  ov::element::Type type;
  ov::Shape shape;
  const void* data;
};

inline result<openvino_bytes> check_for_openvino(const tensor& of) {
  const ov::element::Type type = openvino_type(of.dtype());
  if (type == ov::element::dynamic) return error(errc::unsupported, of.name());
  const result<const std::byte*> data = bytes_in_place(of, describe(of.dtype()).bits, 1);
  if (!data) return data.error();
  const shape extents = of.shape();
  ov::Shape dims;
  for (std::size_t axis = 0; axis < extents.rank(); ++axis) dims.push_back(static_cast<std::size_t>(extents[axis]));
  return openvino_bytes{type, std::move(dims), *data};
}

/// OpenVINO asks for an owner of something that may change, and changes nothing.
template <class Owner> std::shared_ptr<void> openvino_owner(const std::shared_ptr<Owner>& owner) noexcept {
  return std::const_pointer_cast<std::remove_const_t<Owner>>(owner);
}

} // namespace detail

/// A constant of OpenVINO whose bytes are those of a tensor. Nothing is copied here; a device may make a copy of its own when a model is
/// compiled, in the order that it computes in.
/// @param owner  what keeps the bytes: the store, or a loaded_tensor with its store. The constant, and whatever OpenVINO makes of it,
///               holds it as long as it needs the bytes
/// @retval errc::unsupported       OpenVINO has no such element type
/// @retval errc::packed            elements narrower than a byte have one each, where OpenVINO has them packed
/// @retval errc::not_resident      the bytes are not in memory
/// @retval errc::wrong_byte_order  this machine has the other byte order
/// @retval errc::misaligned        they are not aligned for their type
/// @retval errc::bad_value         a boolean is neither 0 nor 1
/// Exceptions: those of OpenVINO and of allocations, as all its calls.
///
///     auto opened = stet::open("model.stet");
///     const auto store = std::make_shared<const stet::store>(std::move(*opened));
///     const auto kernel = stet::openvino_constant(store, "dense/kernel");
///     auto scores = std::make_shared<ov::op::v0::MatMul>(pixels, *kernel);
template <class Owner>
[[nodiscard]] result<std::shared_ptr<ov::op::v0::Constant>> openvino_constant(const std::shared_ptr<Owner>& owner,
                                                                              const tensor& of) {
  const result<detail::openvino_bytes> made = detail::check_for_openvino(of);
  if (!made) return made.error();
  return std::make_shared<ov::op::v0::Constant>(made->type, made->shape, made->data, detail::openvino_owner(owner));
}
/// As above, of the tensor called `name`. @retval errc::not_found  no tensor has this name
[[nodiscard]] inline result<std::shared_ptr<ov::op::v0::Constant>>
openvino_constant(const std::shared_ptr<const store>& from, std::string_view name) {
  const result<tensor> found = from->find(name);
  if (!found) return found.error();
  return openvino_constant(from, *found);
}

/// A tensor of OpenVINO, for reading only, whose bytes are those of a tensor: an input of a model, or the weights that
/// `core.read_model(xml, weights)` takes. Owner, errors and exceptions: those of `openvino_constant`.
template <class Owner>
[[nodiscard]] result<ov::Tensor> openvino_tensor(const std::shared_ptr<Owner>& owner, const tensor& of) {
  const result<detail::openvino_bytes> made = detail::check_for_openvino(of);
  if (!made) return made.error();
  return ov::Tensor(ov::Tensor(made->type, made->shape, made->data), detail::openvino_owner(owner));
}
/// As above, of the tensor called `name`. @retval errc::not_found  no tensor has this name
[[nodiscard]] inline result<ov::Tensor> openvino_tensor(const std::shared_ptr<const store>& from,
                                                        std::string_view name) {
  const result<tensor> found = from->find(name);
  if (!found) return found.error();
  return openvino_tensor(from, *found);
}

} // namespace stet::inline STET_NAMESPACE

#endif
