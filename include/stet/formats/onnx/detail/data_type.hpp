// SPDX-License-Identifier: MIT
// The element types of ONNX and the field of a TensorProto that lists the values of each.
#ifndef STET_FORMATS_ONNX_DETAIL_DATA_TYPE_HPP
#define STET_FORMATS_ONNX_DETAIL_DATA_TYPE_HPP

#include "../../../vocabulary/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace stet::inline STET_NAMESPACE::detail {

/// The fields of a TensorProto with values, by their numbers.
enum class onnx_list : std::uint8_t {
  float_data = 4,
  int32_data = 5,
  string_data = 6,
  int64_data = 7,
  raw_data = 9,
  double_data = 10,
  uint64_data = 11,
};

/// An element type.
struct onnx_type {
  stet::dtype dtype;
  /// The field that has the values if they are not `raw_data`.
  onnx_list list;
};
/// Every element type by its number, from 1. Source: onnx/onnx.proto, TensorProto.DataType and the comments of the lists.
inline constexpr onnx_type onnx_types[] = {
    {dtype::float32, onnx_list::float_data},         // FLOAT
    {dtype::uint8, onnx_list::int32_data},           // UINT8
    {dtype::int8, onnx_list::int32_data},            // INT8
    {dtype::uint16, onnx_list::int32_data},          // UINT16
    {dtype::int16, onnx_list::int32_data},           // INT16
    {dtype::int32, onnx_list::int32_data},           // INT32
    {dtype::int64, onnx_list::int64_data},           // INT64
    {dtype::string, onnx_list::string_data},         // STRING
    {dtype::boolean, onnx_list::int32_data},         // BOOL
    {dtype::float16, onnx_list::int32_data},         // FLOAT16
    {dtype::float64, onnx_list::double_data},        // DOUBLE
    {dtype::uint32, onnx_list::uint64_data},         // UINT32
    {dtype::uint64, onnx_list::uint64_data},         // UINT64
    {dtype::complex64, onnx_list::float_data},       // COMPLEX64
    {dtype::complex128, onnx_list::double_data},     // COMPLEX128
    {dtype::bfloat16, onnx_list::int32_data},        // BFLOAT16
    {dtype::float8_e4m3fn, onnx_list::int32_data},   // FLOAT8E4M3FN
    {dtype::float8_e4m3fnuz, onnx_list::int32_data}, // FLOAT8E4M3FNUZ
    {dtype::float8_e5m2, onnx_list::int32_data},     // FLOAT8E5M2
    {dtype::float8_e5m2fnuz, onnx_list::int32_data}, // FLOAT8E5M2FNUZ
    {dtype::uint4, onnx_list::int32_data},           // UINT4
    {dtype::int4, onnx_list::int32_data},            // INT4
    {dtype::float4_e2m1fn, onnx_list::int32_data},   // FLOAT4E2M1
    {dtype::float8_e8m0fnu, onnx_list::int32_data},  // FLOAT8E8M0
    {dtype::uint2, onnx_list::int32_data},           // UINT2
    {dtype::int2, onnx_list::int32_data},            // INT2
    {dtype::float6_e2m3fn, onnx_list::int32_data},   // FLOAT6E2M3
    {dtype::float6_e3m2fn, onnx_list::int32_data},   // FLOAT6E3M2
};

/// The row of an element type; nullptr if stet does not have it.
constexpr const onnx_type* find_onnx_type(std::int64_t data_type) noexcept {
  const bool is_known = data_type >= 1 && data_type <= static_cast<std::int64_t>(std::size(onnx_types));
  return is_known ? &onnx_types[data_type - 1] : nullptr;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
