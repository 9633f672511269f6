// SPDX-License-Identifier: MIT
// The element types of tensors in GGUF files: their codes, names, blocks and dtypes.
#ifndef STET_FORMATS_GGUF_GGML_TYPE_HPP
#define STET_FORMATS_GGUF_GGML_TYPE_HPP

#include "../../vocabulary/config.hpp"

#include "../../vocabulary/dtype.hpp"

#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// One row of `ggml_types`: an element type as ggml and GGUF files number it.
struct ggml_type {
  /// The code of the type in GGUF files (`enum ggml_type`).
  std::uint32_t code;
  /// The name of the type, in lower case: "f32", "q4_k".
  std::string_view name;
  /// The number of elements of a block; 1 for plain types.
  std::uint32_t element_count;
  /// The size of a block; of an element for plain types.
  std::uint32_t size_bytes;
  /// The dtype of a plain type; dtype::block for quantized types.
  stet::dtype dtype;

  /// True if the elements are stored one by one, not in blocks.
  [[nodiscard]] constexpr bool is_plain() const noexcept { return dtype != stet::dtype::block; }
  /// The type as a block type; empty for plain types.
  [[nodiscard]] constexpr block_type block() const noexcept {
    return is_plain() ? block_type{} : block_type{name, element_count, size_bytes};
  }
};

/// Every element type that GGUF files may have, in the order of their codes. The codes between them belonged to types that ggml
/// has removed. Source: github.com/ggml-org/ggml, include/ggml.h and src/ggml-common.h.
inline constexpr ggml_type ggml_types[] = {
    {0, "f32", 1, 4, dtype::float32},       {1, "f16", 1, 2, dtype::float16},
    {2, "q4_0", 32, 18, dtype::block},      {3, "q4_1", 32, 20, dtype::block},
    {6, "q5_0", 32, 22, dtype::block},      {7, "q5_1", 32, 24, dtype::block},
    {8, "q8_0", 32, 34, dtype::block},      {9, "q8_1", 32, 36, dtype::block},
    {10, "q2_k", 256, 84, dtype::block},    {11, "q3_k", 256, 110, dtype::block},
    {12, "q4_k", 256, 144, dtype::block},   {13, "q5_k", 256, 176, dtype::block},
    {14, "q6_k", 256, 210, dtype::block},   {15, "q8_k", 256, 292, dtype::block},
    {16, "iq2_xxs", 256, 66, dtype::block}, {17, "iq2_xs", 256, 74, dtype::block},
    {18, "iq3_xxs", 256, 98, dtype::block}, {19, "iq1_s", 256, 50, dtype::block},
    {20, "iq4_nl", 32, 18, dtype::block},   {21, "iq3_s", 256, 110, dtype::block},
    {22, "iq2_s", 256, 82, dtype::block},   {23, "iq4_xs", 256, 136, dtype::block},
    {24, "i8", 1, 1, dtype::int8},          {25, "i16", 1, 2, dtype::int16},
    {26, "i32", 1, 4, dtype::int32},        {27, "i64", 1, 8, dtype::int64},
    {28, "f64", 1, 8, dtype::float64},      {29, "iq1_m", 256, 56, dtype::block},
    {30, "bf16", 1, 2, dtype::bfloat16},    {34, "tq1_0", 256, 54, dtype::block},
    {35, "tq2_0", 256, 66, dtype::block},   {39, "mxfp4", 32, 17, dtype::block},
    {40, "nvfp4", 64, 36, dtype::block},    {41, "q1_0", 128, 18, dtype::block},
    {42, "q2_0", 64, 18, dtype::block},
};

/// The row of `ggml_types` with this code, or nullptr. Cost: a walk over the table.
constexpr const ggml_type* find_ggml_type(std::uint32_t code) noexcept {
  for (const ggml_type& each : ggml_types) {
    if (each.code == code) return &each;
  }
  return nullptr;
}
/// The row of the plain dtype, or of the block type of that name, or nullptr. A block type has its sizes, too.
/// @param block  empty for plain dtypes
constexpr const ggml_type* find_ggml_type(dtype of, const block_type& block = {}) noexcept {
  for (const ggml_type& each : ggml_types) {
    if (each.dtype == of && each.block() == block) return &each;
  }
  return nullptr;
}

} // namespace stet::inline STET_NAMESPACE

#endif
