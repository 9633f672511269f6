// SPDX-License-Identifier: MIT
// The tables of a TFLite file that are read: their fields by number, and the types of tensors.
#ifndef STET_FORMATS_TFLITE_DETAIL_SCHEMA_HPP
#define STET_FORMATS_TFLITE_DETAIL_SCHEMA_HPP

#include "../../../vocabulary/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

// Source: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3d.

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view tflite_identifier = "TFL3";
/// The version of the schema in every file.
inline constexpr std::uint32_t tflite_version = 3;
/// An offset of a Buffer up to here means that the buffer has no bytes outside the FlatBuffer.
inline constexpr std::uint64_t tflite_placeholder_offset = 1;

struct tflite_field {
  enum model : std::uint32_t {
    version,
    operator_codes,
    subgraphs,
    description,
    buffers,
    metadata_buffer,
    metadata,
    signatures,
    external_buffer_groups,
    external_buffers
  };
  enum subgraph : std::uint32_t { tensors, inputs, outputs, operators, subgraph_name };
  enum tensor : std::uint32_t {
    shape,
    type,
    buffer,
    tensor_name,
    quantization,
    is_variable,
    sparsity,
    shape_signature,
    has_rank,
    variant_tensors,
    external_buffer
  };
  enum quantization : std::uint32_t { min, max, scale, zero_point, details_type, details, quantized_dimension };
  enum blockwise : std::uint32_t { block_scales, block_zero_points, block_size };
  enum buffer : std::uint32_t { data, offset, size };
  enum sparsity : std::uint32_t { traversal_order, block_map, dim_metadata };
  enum dimension : std::uint32_t { dim_format, dense_size, segments_type, segments, indices_type, indices };
  enum operator_code : std::uint32_t { deprecated_code, custom_code, op_version, builtin_code };
  enum operation : std::uint32_t {
    opcode_index,
    op_inputs,
    op_outputs,
    options_type,
    options,
    custom_options,
    custom_options_format,
    mutating_inputs,
    intermediates,
    large_custom_options_offset,
    large_custom_options_size,
    options_2_type,
    options_2
  };
  enum signature : std::uint32_t { signature_inputs, signature_outputs, signature_key, deprecated_tag, subgraph_index };
  enum tensor_map : std::uint32_t { map_name, map_tensor };
  enum named_buffer : std::uint32_t { metadata_name, metadata_buffer_number };
};

/// One row of `tflite_types`.
struct tflite_type {
  /// The name in the schema.
  std::string_view name;
  /// False: the elements have no bytes of their own (handles of resources and variants).
  bool has_bytes;
  stet::dtype dtype;
};
/// Every type of a tensor, in the order of the codes.
inline constexpr tflite_type tflite_types[] = {
    {"FLOAT32", true, dtype::float32},
    {"FLOAT16", true, dtype::float16},
    {"INT32", true, dtype::int32},
    {"UINT8", true, dtype::uint8},
    {"INT64", true, dtype::int64},
    {"STRING", true, dtype::string},
    {"BOOL", true, dtype::boolean},
    {"INT16", true, dtype::int16},
    {"COMPLEX64", true, dtype::complex64},
    {"INT8", true, dtype::int8},
    {"FLOAT64", true, dtype::float64},
    {"COMPLEX128", true, dtype::complex128},
    {"UINT64", true, dtype::uint64},
    {"RESOURCE", false, dtype::uint8},
    {"VARIANT", false, dtype::uint8},
    {"UINT32", true, dtype::uint32},
    {"UINT16", true, dtype::uint16},
    {"INT4", true, dtype::int4},
    {"BFLOAT16", true, dtype::bfloat16},
    {"INT2", true, dtype::int2},
    {"UINT4", true, dtype::uint4},
    {"FLOAT8_E4M3FN", true, dtype::float8_e4m3fn},
    {"FLOAT8_E5M2", true, dtype::float8_e5m2},
};
inline constexpr std::size_t tflite_type_count = sizeof tflite_types / sizeof tflite_types[0];

/// The row of a type with this code whose elements have bytes; nullptr if there is none.
constexpr const tflite_type* find_tflite_type(std::int8_t code) noexcept {
  if (code < 0 || static_cast<std::size_t>(code) >= tflite_type_count) return nullptr;
  return tflite_types[static_cast<std::size_t>(code)].has_bytes ? &tflite_types[static_cast<std::size_t>(code)]
                                                                : nullptr;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
