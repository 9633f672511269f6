// SPDX-License-Identifier: MIT
// The element types a tensor can have: their numbers, names and widths.
#ifndef STET_VOCABULARY_DTYPE_HPP
#define STET_VOCABULARY_DTYPE_HPP

#include "config.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// The element type of a tensor. The numbers stand in files and never change; `dtype_table` describes each.
enum class dtype : std::uint8_t {
  boolean = 1,
  int8 = 2,
  int16 = 3,
  int32 = 4,
  int64 = 5,
  uint8 = 6,
  uint16 = 7,
  uint32 = 8,
  uint64 = 9,
  float16 = 10,
  bfloat16 = 11,
  float32 = 12,
  float64 = 13,
  complex64 = 14,
  complex128 = 15,
  float8_e4m3fn = 16,
  float8_e5m2 = 17,
  float8_e4m3fnuz = 18,
  float8_e5m2fnuz = 19,
  float8_e4m3b11fnuz = 20,
  float8_e8m0fnu = 21,
  float6_e2m3fn = 22,
  float6_e3m2fn = 23,
  float4_e2m1fn = 24,
  int4 = 25,
  uint4 = 26,
  int2 = 27,
  uint2 = 28,
  qint8 = 29,
  quint8 = 30,
  qint16 = 31,
  quint16 = 32,
  qint32 = 33,
  /// Variable-length byte strings: element_count + 1 offsets (u64, little-endian, the first 0) into the bytes that
  /// follow them.
  string = 34,
  /// Opaque blocks of several elements each, for example GGUF's q4_k; `block_type` says how many and how large.
  block = 35,
};

/// What the values of a dtype are.
enum class dtype_kind : std::uint8_t { boolean, signed_integer, unsigned_integer, floating, complex, string, block };

/// One row of `dtype_table`.
struct dtype_description {
  /// The dtype that the row describes.
  stet::dtype dtype;
  /// The name in manifests: NumPy's and ml_dtypes' own.
  const char* name;
  /// The kind of its values.
  dtype_kind kind;
  /// Bits of an element as it is normally stored; 0 where elements have no width of their own (string, block).
  std::uint8_t bits;
  /// Bytes of the integer or float that a byte order applies to; 1 where none does.
  std::uint8_t word_size_bytes;
};

/// Every dtype; the row of a dtype `d` is number `d - 1`.
inline constexpr dtype_description dtype_table[] = {
    {dtype::boolean, "bool", dtype_kind::boolean, 8, 1},
    {dtype::int8, "int8", dtype_kind::signed_integer, 8, 1},
    {dtype::int16, "int16", dtype_kind::signed_integer, 16, 2},
    {dtype::int32, "int32", dtype_kind::signed_integer, 32, 4},
    {dtype::int64, "int64", dtype_kind::signed_integer, 64, 8},
    {dtype::uint8, "uint8", dtype_kind::unsigned_integer, 8, 1},
    {dtype::uint16, "uint16", dtype_kind::unsigned_integer, 16, 2},
    {dtype::uint32, "uint32", dtype_kind::unsigned_integer, 32, 4},
    {dtype::uint64, "uint64", dtype_kind::unsigned_integer, 64, 8},
    {dtype::float16, "float16", dtype_kind::floating, 16, 2},
    {dtype::bfloat16, "bfloat16", dtype_kind::floating, 16, 2},
    {dtype::float32, "float32", dtype_kind::floating, 32, 4},
    {dtype::float64, "float64", dtype_kind::floating, 64, 8},
    {dtype::complex64, "complex64", dtype_kind::complex, 64, 4},
    {dtype::complex128, "complex128", dtype_kind::complex, 128, 8},
    {dtype::float8_e4m3fn, "float8_e4m3fn", dtype_kind::floating, 8, 1},
    {dtype::float8_e5m2, "float8_e5m2", dtype_kind::floating, 8, 1},
    {dtype::float8_e4m3fnuz, "float8_e4m3fnuz", dtype_kind::floating, 8, 1},
    {dtype::float8_e5m2fnuz, "float8_e5m2fnuz", dtype_kind::floating, 8, 1},
    {dtype::float8_e4m3b11fnuz, "float8_e4m3b11fnuz", dtype_kind::floating, 8, 1},
    {dtype::float8_e8m0fnu, "float8_e8m0fnu", dtype_kind::floating, 8, 1},
    {dtype::float6_e2m3fn, "float6_e2m3fn", dtype_kind::floating, 6, 1},
    {dtype::float6_e3m2fn, "float6_e3m2fn", dtype_kind::floating, 6, 1},
    {dtype::float4_e2m1fn, "float4_e2m1fn", dtype_kind::floating, 4, 1},
    {dtype::int4, "int4", dtype_kind::signed_integer, 4, 1},
    {dtype::uint4, "uint4", dtype_kind::unsigned_integer, 4, 1},
    {dtype::int2, "int2", dtype_kind::signed_integer, 2, 1},
    {dtype::uint2, "uint2", dtype_kind::unsigned_integer, 2, 1},
    {dtype::qint8, "qint8", dtype_kind::signed_integer, 8, 1},
    {dtype::quint8, "quint8", dtype_kind::unsigned_integer, 8, 1},
    {dtype::qint16, "qint16", dtype_kind::signed_integer, 16, 2},
    {dtype::quint16, "quint16", dtype_kind::unsigned_integer, 16, 2},
    {dtype::qint32, "qint32", dtype_kind::signed_integer, 32, 4},
    {dtype::string, "string", dtype_kind::string, 0, 8},
    {dtype::block, "block", dtype_kind::block, 0, 1},
};

/// How many dtypes there are; their numbers are 1 … dtype_count.
inline constexpr std::size_t dtype_count = sizeof dtype_table / sizeof dtype_table[0];
static_assert(dtype_count == static_cast<std::size_t>(dtype::block));

/// Whether `d` is one of the enumerators, and not a number read from somewhere.
constexpr bool is_known(dtype d) noexcept {
  return static_cast<std::size_t>(d) - 1 < dtype_count; // 0 wraps around
}

/// The row of `dtype_table` for a known dtype.
constexpr const dtype_description& describe(dtype d) noexcept { return dtype_table[static_cast<std::size_t>(d) - 1]; }

/// The manifest name of a known dtype, for example "float32".
constexpr std::string_view name_of(dtype d) noexcept { return describe(d).name; }

/// The row of the dtype called `name`, or nullptr. Cost: a walk over the table.
constexpr const dtype_description* find_dtype(std::string_view name) noexcept {
  for (const dtype_description& row : dtype_table) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

/// The block of an opaque block-quantized type: `element_count` elements in `size_bytes` bytes, and the name its format
/// gives it, in lower case ("q4_k"). All zero and empty for other dtypes.
struct block_type {
  /// The name that the format gives the block: "q4_k".
  std::string_view name{};
  /// The number of elements of a block.
  std::uint32_t element_count = 0;
  /// The size of a block.
  std::uint32_t size_bytes = 0;
  friend constexpr bool operator==(const block_type&, const block_type&) noexcept = default;
};

} // namespace stet::inline STET_NAMESPACE

#endif
