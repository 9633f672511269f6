// SPDX-License-Identifier: MIT
// Makes values of ONNX Runtime of tensors, where they are. Include it after <onnxruntime_c_api.h> or <onnxruntime_cxx_api.h>.
//
// With the archive of a release, unpacked in FOLDER:
//   c++ -std=c++20 -isystem FOLDER/include my_program.cpp -LFOLDER/lib -lonnxruntime
#ifndef STET_EXT_ONNXRUNTIME_HPP
#define STET_EXT_ONNXRUNTIME_HPP

#include "../store/store.hpp"
#include "detail/in_place.hpp"

#include <cstddef>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// The type of ONNX of the same elements, or ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED where these headers have none: strings, which are
/// objects there, blocks, float6 and float8_e4m3b11fnuz. Types narrower than a byte are packed there, too. The codes of quantized types are
/// its integers. Types that came after float8_e5m2fnuz are there where the headers have them.
template <class Type = ONNXTensorElementDataType> [[nodiscard]] constexpr Type onnxruntime_type(dtype of) noexcept {
  switch (of) {
  case dtype::boolean:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
  case dtype::int8:
  case dtype::qint8:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
  case dtype::int16:
  case dtype::qint16:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16;
  case dtype::int32:
  case dtype::qint32:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
  case dtype::int64:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  case dtype::uint8:
  case dtype::quint8:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
  case dtype::uint16:
  case dtype::quint16:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16;
  case dtype::uint32:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32;
  case dtype::uint64:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64;
  case dtype::float16:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
  case dtype::bfloat16:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
  case dtype::float32:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  case dtype::float64:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
  case dtype::complex64:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64;
  case dtype::complex128:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128;
  case dtype::float8_e4m3fn:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN;
  case dtype::float8_e4m3fnuz:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ;
  case dtype::float8_e5m2:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2;
  case dtype::float8_e5m2fnuz:
    return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ;
  case dtype::int4:
    if constexpr (requires { Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4; })
      return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4;
    break;
  case dtype::uint4:
    if constexpr (requires { Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4; })
      return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4;
    break;
  case dtype::float4_e2m1fn:
    if constexpr (requires { Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT4E2M1; })
      return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT4E2M1;
    break;
  case dtype::int2:
    if constexpr (requires { Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT2; })
      return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT2;
    break;
  case dtype::uint2:
    if constexpr (requires { Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT2; })
      return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT2;
    break;
  case dtype::float8_e8m0fnu:
    if constexpr (requires { Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0; })
      return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0;
    break;
  default:
    break;
  }
  return Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

namespace detail {

/// Releases `failure`. @return what it says; errc{} of nullptr
inline errc onnxruntime_failure(const OrtApi& api, OrtStatus* failure) noexcept {
  if (failure == nullptr) return errc{};
  const OrtErrorCode code = api.GetErrorCode(failure);
  api.ReleaseStatus(failure);
  return code == ORT_INVALID_ARGUMENT ? errc::invalid_argument : errc::unsupported;
}

} // namespace detail

/// A value of ONNX Runtime on the CPU whose elements are those of `of`; the caller releases it: `api.ReleaseValue`, or Ort::Value(value).
/// Nothing is copied. It is an input, or the value of an initializer, which `api.AddInitializer(options, name, value)` puts in the place of
/// one of the model's, and which the same call shares with the options of another session. Of that initializer the model
/// itself needs name, type and shape; its bytes may be external data in a file that is empty. Only optimizers, which fold constants, compute
/// with the model's bytes: ORT_DISABLE_ALL, or the same bytes in both. Kernels that pack their weights copy them, unless
/// `session.disable_prepacking` is 1.
/// @param api  OrtGetApiBase()->GetApi(ORT_API_VERSION), or Ort::GetApi()
/// @retval errc::unsupported       ONNX has no such type, or ONNX Runtime cannot make the value: it has no memory, say
/// @retval errc::not_resident      the bytes are not in memory
/// @retval errc::wrong_byte_order  this machine has the other byte order
/// @retval errc::misaligned        they are not at a multiple of the size of an element
/// @retval errc::packed            they are packed otherwise: an int4 in a byte of its own
/// @retval errc::bad_value         a boolean is neither 0 nor 1
/// @retval errc::invalid_argument  ONNX Runtime refuses it
/// Lifetime: the value and every session that has it as initializer read the bytes as long as they live. Release sessions first, values
/// next; the store must outlive both. ONNX Runtime takes no owner for the bytes of an initializer.
/// Cost: some small allocations; for booleans, reads every byte.
///
///     const stet::result<OrtValue*> made = stet::onnxruntime_value(Ort::GetApi(), *store, "dense/kernel");
///     const Ort::Value kernel(*made);
///     for (Ort::SessionOptions* each : {&first, &second}) each->AddInitializer("dense/kernel", kernel);
[[nodiscard]] inline result<OrtValue*> onnxruntime_value(const OrtApi& api, const tensor& of) noexcept {
  const ONNXTensorElementDataType type = onnxruntime_type(of.dtype());
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED) return error(errc::unsupported, of.name());
  const std::size_t bits = describe(of.dtype()).bits;
  const result<const std::byte*> data = detail::bytes_in_place(of, bits, bits < 8 ? 1 : bits / 8);
  if (!data) return data.error();
  const detail::signed_extents extents(of.shape());
  OrtMemoryInfo* memory = nullptr;
  errc failure =
      detail::onnxruntime_failure(api, api.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  if (failure != errc{}) return error(failure, of.name());
  OrtValue* made = nullptr;
  failure = detail::onnxruntime_failure(api, api.CreateTensorWithDataAsOrtValue(memory, const_cast<std::byte*>(*data),
                                                                                of.bytes().size(), extents.values,
                                                                                extents.rank, type, &made));
  api.ReleaseMemoryInfo(memory);
  if (failure != errc{}) return error(failure, of.name());
  return made;
}
/// As above, of the tensor called `name`. @retval errc::not_found  no tensor has this name
[[nodiscard]] inline result<OrtValue*> onnxruntime_value(const OrtApi& api, const store& from,
                                                         std::string_view name) noexcept {
  const result<tensor> found = from.find(name);
  if (!found) return found.error();
  return onnxruntime_value(api, *found);
}

} // namespace stet::inline STET_NAMESPACE

#endif
