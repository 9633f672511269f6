// SPDX-License-Identifier: MIT
// Opens TFLite (LiteRT) models in place. Needs the standard library only, and neither exceptions nor an operating system.
#ifndef STET_FORMATS_TFLITE_OPEN_HPP
#define STET_FORMATS_TFLITE_OPEN_HPP

#include "detail/table.hpp"

#include "../../store/open.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// Opens the TFLite model at `path_utf8`: a FlatBuffer that begins with the identifier "TFL3" at byte 4.
///
/// Tensors are the constants: the tensors of all subgraphs whose buffer has bytes, in the FlatBuffer or behind it (`Buffer.offset`).
/// Their name is "SUBGRAPH:NUMBER:NAME", as in "0:4:dense/kernel", since a file may use one name several times. A name that one tensor
/// has finds it without the numbers, too: "dense/kernel" is an alias. Tensors are in place, row-major and at any address; quantized
/// ones are their codes. Several tensors may share a buffer, and the store is read-only then. Strings are decoded. Of a sparse tensor
/// there are the parts: "0:4:NAME.values", and for each sparse dimension "0:4:NAME.dim1.segments" and "….indices".
///
/// Tensors of an unknown type, or whose bytes are in another file, are not in the store; `open_any` (formats/any.hpp) lists them with
/// the reason. The format has no checksums. Errors: those of `stet::open` for paths and options, and
/// @retval errc::malformed         the file does not begin as a TFLite file, or is no valid FlatBuffer; or the version is below 3
/// @retval errc::newer_format      a version above 3
/// @retval errc::truncated         a part of the FlatBuffer, or the bytes of a tensor (the subject), are past the end of the file
/// @retval errc::too_large         tables are shared so often that reading them takes more steps than the file has bytes
/// @retval errc::bad_name          the name of a constant is not UTF-8 without NUL, or longer than `max_name_size_bytes`
/// @retval errc::bad_offset        a tensor has a buffer that does not exist
/// @retval errc::bad_shape         an extent of a constant is negative, its size overflows, or its rank is above `max_rank`
/// @retval errc::bad_size          the buffer of a constant does not have as many bytes as its type and shape make
/// @retval errc::bad_string_table  the offsets of a string tensor are invalid
/// Cost: a walk over the tensors of all subgraphs; operators are not read. Allocates the index from `options.memory`, for strings their
/// bytes and 8 more for each, and 25 bytes for each tensor while it looks for names that occur once. Streamed, the whole file is
/// read.
/// Source: tensorflow/compiler/mlir/lite/schema/schema.fbs.
[[nodiscard]] inline result<store> open_tflite(std::string_view path_utf8, const open_options& options = {}) noexcept {
  return detail::open_file(path_utf8, options, [&](source&& bytes) noexcept -> result<store> {
    result<source> all = source::resident(std::move(bytes), options.memory);
    if (!all) return all.error();
    return detail::open_tflite_source(std::move(*all), detail::file_name_in(path_utf8), options.memory,
                                      [](const detail::tflite_constant&, const error&) noexcept {});
  });
}
/// The same for a string literal.
[[nodiscard]] inline result<store> open_tflite(const char* path_utf8, const open_options& options = {}) noexcept {
  return open_tflite(std::string_view(path_utf8), options);
}
/// Opens a TFLite model in memory, such as flash, which must outlive the store. Tensors are in place.
/// Errors: those of the file's content. Cost: as of a path.
[[nodiscard]] inline result<store> open_tflite(std::span<const std::byte> bytes,
                                               const open_options& options = {}) noexcept {
  return detail::open_tflite_source(source::borrow(bytes), "(memory)", options.memory,
                                    [](const detail::tflite_constant&, const error&) noexcept {});
}

} // namespace stet::inline STET_NAMESPACE

#endif
