// SPDX-License-Identifier: MIT
// Where the values of a TensorProto stand, by dtype.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_TENSOR_PROTO_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_TENSOR_PROTO_HPP

#include "../../../vocabulary/dtype.hpp"

#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// How the elements of a dtype stand in a TensorProto.
struct tensor_proto_list {
  stet::dtype dtype;
  /// The number of the repeated field.
  std::uint32_t field;
  /// Bytes of each fixed word of the list; 0: varints, of which each gives the low bytes of an element; strings have neither.
  std::uint32_t word_size_bytes;
};

/// The dtypes of which a V1 checkpoint can hold values. Source: tensorflow/core/framework/tensor.proto.
inline constexpr tensor_proto_list tensor_proto_lists[] = {
    {dtype::float32, 5, 4},     {dtype::float64, 6, 8},   {dtype::int32, 7, 0},     {dtype::int16, 7, 0},
    {dtype::int8, 7, 0},        {dtype::uint16, 7, 0},    {dtype::uint8, 7, 0},     {dtype::qint32, 7, 0},
    {dtype::qint16, 7, 0},      {dtype::qint8, 7, 0},     {dtype::quint16, 7, 0},   {dtype::quint8, 7, 0},
    {dtype::string, 8, 0},      {dtype::complex64, 9, 4}, {dtype::int64, 10, 0},    {dtype::boolean, 11, 0},
    {dtype::complex128, 12, 8}, {dtype::float16, 13, 0},  {dtype::bfloat16, 13, 0}, {dtype::uint32, 16, 0},
    {dtype::uint64, 17, 0},
};

/// The list of a dtype; nullptr if a V1 checkpoint does not have the dtype.
constexpr const tensor_proto_list* find_tensor_proto_list(stet::dtype wanted) noexcept {
  for (const tensor_proto_list& each : tensor_proto_lists) {
    if (each.dtype == wanted) return &each;
  }
  return nullptr;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
