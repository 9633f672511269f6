// SPDX-License-Identifier: MIT
// Opens npy files in place. Needs the standard library only, and neither exceptions nor an operating system.
#ifndef STET_FORMATS_NUMPY_OPEN_HPP
#define STET_FORMATS_NUMPY_OPEN_HPP

#include "detail/arrays.hpp"

#include "../../source/detail/path.hpp"
#include "../../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// Opens the npy file at `path_utf8`, of version 1.0, 2.0 or 3.0. Its tensor is called "0"; where a program saved several arrays
/// to one file, they are "0", "1", … Other bytes behind an array are ignored, as NumPy does.
///
/// Tensors are in place, also big-endian ones, which `copy_to` swaps. Those in Fortran order are not: `copy_to` gives their
/// elements row-major, and `get` says errc::not_resident; one axis that is longer than 1 has no order, and is in place. Old files
/// have their elements at multiples of 16 only, others anywhere: `get` then says errc::misaligned.
///
/// Types without a dtype are blocks, whose bytes are those of the file:
///   S5           "bytes5"            padded with NUL
///   U5           "unicode5"          5 characters of UTF-32 each
///   V5           "void5"             `types` may say what "void1" and "void2" are
///   [('a', …)]   "struct24"          24 bytes each; `describe` (formats/description.hpp) lists the fields
///   M8[ns], m8   "datetime64[ns]", "timedelta64"
///   f16, c32     "longdouble16", "clongdouble32", whose meaning depends on the machine
/// Big-endian U, M, m, f and c end in "_be".
///
/// The header is read strictly, never evaluated. What NumPy takes is taken, but for a key that occurs twice, strings in several
/// pieces, escapes other than of quotes, backslashes and the numbers of characters, an array type that is no field, and shapes
/// that only a zero among their extents keeps from overflowing. The names of fields are not compared with one another. Errors:
/// those of `stet::open` for paths and options, and
/// @retval errc::unknown_format  the file does not begin as npy files do
/// @retval errc::unsupported     another version; or the array, the subject, is of Python objects, which are stored as a pickle
/// @retval errc::truncated       the file is shorter than the header, or than the elements
/// @retval errc::too_large       the header of version 1.0 is longer than the 10,000 bytes that NumPy takes, of another than 1 MiB;
///                               or an element has more than 2^31 bytes
/// @retval errc::malformed       the header is no dict of Python literals, or has another key, the subject; the offset is where
/// @retval errc::duplicate_key, missing_field  a key, the subject, occurs twice or not at all
/// @retval errc::wrong_type      descr is no string or list, fortran_order no bool, or shape no tuple of integers
/// @retval errc::unknown_dtype   descr, the subject, is no type of NumPy; '<f1', which ml_dtypes writes for float8_e5m2 and NumPy
///                               does not read, is none, nor are types without bytes
/// @retval errc::too_deep        structured types are nested more than 16 times
/// @retval errc::bad_shape       an extent is negative, the shape overflows, or there are more than `max_rank` extents
/// @retval errc::invalid_argument  a dtype in `types` does not have the size of its void type
/// Cost: two passes over the headers; allocates the index from `options.memory`, and for a tensor in Fortran order about 1 KiB.
/// Reads no elements. Source: numpy/lib/format.py, "NPY format".
[[nodiscard]] inline result<store> open_npy(std::string_view path_utf8, const open_options& options = {},
                                            const numpy_types& types = {}) noexcept {
  return detail::open_file(path_utf8, options, [&](source&& bytes) noexcept {
    return detail::npy_store_maker(types, options.memory)
        .run(std::move(bytes), detail::file_name_in(path_utf8), nullptr);
  });
}
/// The same for a string literal.
[[nodiscard]] inline result<store> open_npy(const char* path_utf8, const open_options& options = {},
                                            const numpy_types& types = {}) noexcept {
  return open_npy(std::string_view(path_utf8), options, types);
}
/// Opens an npy file in memory, such as flash, which must outlive the store. Errors: those of the file's content. Cost: as of a
/// path.
[[nodiscard]] inline result<store> open_npy(std::span<const std::byte> bytes, const open_options& options = {},
                                            const numpy_types& types = {}) noexcept {
  return detail::npy_store_maker(types, options.memory).run(source::borrow(bytes), "npy", nullptr);
}

} // namespace stet::inline STET_NAMESPACE

#endif
