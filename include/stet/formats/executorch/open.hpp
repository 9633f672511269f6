// SPDX-License-Identifier: MIT
// Opens the tensors of ExecuTorch programs, .ptd files, in place. Needs the standard library only, and no exceptions.
#ifndef STET_FORMATS_EXECUTORCH_OPEN_HPP
#define STET_FORMATS_EXECUTORCH_OPEN_HPP

#include "detail/table.hpp"

#include "../../store/open.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// Opens the .ptd file at `path_utf8`: named data beside an ExecuTorch program, a FlatBuffer that begins with "FT01" at byte 4.
///
/// Tensors are in place, by their keys, in the order of the file. One whose axes are in another order in memory (`dim_order`, as for
/// channels last) has its logical shape, and `copy_to` gives its elements row-major. Data without a layout is a tensor of bytes. Two
/// keys may share a segment; the store is read-only then. Tensors of an unknown type are left out; `open_any` (formats/any.hpp) lists
/// them. Errors: those of `stet::open` for paths and options, and
/// @retval errc::malformed       the file does not begin as a .ptd file, has no extended header, or is no valid FlatBuffer
/// @retval errc::truncated       the header, the segments, or the segment of a tensor, the subject, are past the end of the file
/// @retval errc::too_large       tables are shared so often that reading them takes more steps than the file has bytes
/// @retval errc::bad_name        a key is empty, not UTF-8 without NUL, or longer than `max_name_size_bytes`
/// @retval errc::duplicate_name  a key, the subject, occurs twice
/// @retval errc::bad_offset      a key has a segment that does not exist
/// @retval errc::bad_shape       an extent is negative, a size overflows, the rank is above `max_rank`, or the order of the axes is none
/// @retval errc::bad_size        a segment does not have as many bytes as type and shape make; or, in a file of the first schema, a
///                               tensor leaves its segment
/// Cost: a walk over the keys; allocates the index from `options.memory`. Streamed, the whole file is read.
/// Source: pytorch/executorch, extension/flat_tensor.
[[nodiscard]] inline result<store> open_executorch(std::string_view path_utf8,
                                                   const open_options& options = {}) noexcept {
  return detail::open_file(path_utf8, options, [&](source&& bytes) noexcept -> result<store> {
    result<source> all = source::resident(std::move(bytes), options.memory);
    if (!all) return all.error();
    return detail::open_ptd_source(std::move(*all), detail::file_name_in(path_utf8), options.memory,
                                   [](const detail::ptd_item&) noexcept {});
  });
}
/// The same for a string literal.
[[nodiscard]] inline result<store> open_executorch(const char* path_utf8, const open_options& options = {}) noexcept {
  return open_executorch(std::string_view(path_utf8), options);
}
/// Opens a .ptd file in memory, such as flash, which must outlive the store. Tensors are in place.
/// Errors: those of the file's content. Cost: as of a path.
[[nodiscard]] inline result<store> open_executorch(std::span<const std::byte> bytes,
                                                   const open_options& options = {}) noexcept {
  return detail::open_ptd_source(source::borrow(bytes), "(memory)", options.memory,
                                 [](const detail::ptd_item&) noexcept {});
}

} // namespace stet::inline STET_NAMESPACE

#endif
