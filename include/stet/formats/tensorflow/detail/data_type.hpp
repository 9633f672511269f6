// SPDX-License-Identifier: MIT
// TensorFlow's numbers of element types, and the dtypes for them.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_DATA_TYPE_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_DATA_TYPE_HPP

#include "../../../vocabulary/config.hpp"

#include "../../../vocabulary/error.hpp"
#include "../../../vocabulary/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace stet::inline STET_NAMESPACE::detail {

/// The dtype for numbers that are not types of TensorFlow, or whose tensors are not stored (references, resources).
inline constexpr dtype no_dtype{};

/// The dtype of each DataType, by its number. Variants and resources have none: only TensorFlow's own code can read them.
/// Source: tensorflow/core/framework/types.proto, enum DataType.
inline constexpr dtype tensorflow_dtypes[] = {
    no_dtype,
    dtype::float32,
    dtype::float64,
    dtype::int32,
    dtype::uint8,
    dtype::int16,
    dtype::int8,
    dtype::string,
    dtype::complex64,
    dtype::int64,
    dtype::boolean,
    dtype::qint8,
    dtype::quint8,
    dtype::qint32,
    dtype::bfloat16,
    dtype::qint16,
    dtype::quint16,
    dtype::uint16,
    dtype::complex128,
    dtype::float16,
    no_dtype /*resource*/,
    no_dtype /*variant*/,
    dtype::uint32,
    dtype::uint64,
    dtype::float8_e5m2,
    dtype::float8_e4m3fn,
    dtype::float8_e4m3fnuz,
    dtype::float8_e4m3b11fnuz,
    dtype::float8_e5m2fnuz,
    dtype::int4,
    dtype::uint4,
    dtype::int2,
    dtype::uint2,
    dtype::float4_e2m1fn,
};

/// The dtype of TensorFlow's DataType `number`; `no_dtype` if stet has none for it.
constexpr dtype dtype_of_tensorflow(std::int32_t number) noexcept {
  const std::size_t row = static_cast<std::uint32_t>(number);
  return row < sizeof tensorflow_dtypes / sizeof *tensorflow_dtypes ? tensorflow_dtypes[row] : no_dtype;
}

/// The number of TensorFlow's DataType for `d`; 0 if it has none.
constexpr std::int32_t tensorflow_of_dtype(dtype d) noexcept {
  for (std::size_t row = 1; row < sizeof tensorflow_dtypes / sizeof *tensorflow_dtypes; ++row) {
    if (tensorflow_dtypes[row] == d && d != no_dtype) return static_cast<std::int32_t>(row);
  }
  return 0;
}

/// The DataType of TensorFlow's own objects, such as the state of an iterator.
inline constexpr std::int32_t tensorflow_variant = 21;

/// The reason to omit a tensor of a DataType that is `no_dtype`. The subject is the type: "dtype variant", "dtype 34".
inline error omitted_data_type(std::int32_t number) noexcept {
  constexpr std::int32_t resource = 20;
  if (number == resource) return error(errc::unsupported, "dtype resource");
  if (number == tensorflow_variant) return error(errc::unsupported, "dtype variant");
  char text[32];
  std::snprintf(text, sizeof text, "dtype %ld", static_cast<long>(number));
  return error(errc::unknown_dtype, text);
}

/// TensorFlow's layout of elements of `d`, which is not a string or block: at least a byte each; narrower ones use its low bits.
constexpr element_layout tensorflow_layout(dtype d) noexcept {
  element_layout layout = element_layout::of(d);
  if (layout.bits < 8) layout.bits = 8;
  return layout;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
