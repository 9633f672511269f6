// SPDX-License-Identifier: MIT
// Opens safetensors files in place. Needs the standard library only, and neither exceptions nor an operating system.
#ifndef STET_FORMATS_SAFETENSORS_OPEN_HPP
#define STET_FORMATS_SAFETENSORS_OPEN_HPP

#include "detail/header.hpp"

#include "../../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Reads the header of the safetensors file that `data` holds. The text lies in `data`, or else in `copy`.
/// @retval errc::truncated, too_large  the size of the header
/// or an error of the reader. Cost: reads the header, where it is not in memory.
inline result<std::string_view> read_safetensors_header(const source& data, source& copy,
                                                        memory_resource* memory) noexcept {
  std::byte length_bytes[safetensors_length_size_bytes];
  if (data.size_bytes() < sizeof length_bytes) return error(errc::truncated, "header", data.size_bytes());
  if (auto read = data.read_at(0, writable_bytes_at(length_bytes, sizeof length_bytes)); !read) return read.error();
  const auto length = load_little<std::uint64_t>(length_bytes);
  if (length > max_safetensors_header_size_bytes) return error(errc::too_large, "header");
  if (length > data.size_bytes() - sizeof length_bytes) return error(errc::truncated, "header", data.size_bytes());
  if (data.data() != nullptr) return text_at(data.data() + sizeof length_bytes, static_cast<std::size_t>(length));
  result<source> read = source::read(*data.fetcher(), {sizeof length_bytes, length}, 1, memory);
  if (!read) return read.error();
  copy = std::move(*read);
  return text_at(copy.data(), static_cast<std::size_t>(length));
}

/// Opens the safetensors file that `data` holds. Errors: those of `open_safetensors` but for the operating system's.
inline result<store> open_safetensors_source(source&& data, memory_resource* memory) noexcept {
  source copy;
  const result<std::string_view> text = read_safetensors_header(data, copy, memory);
  if (!text) return text.error();
  store::contents made;
  safetensors_header_reader header(*text, data.size_bytes() - safetensors_length_size_bytes - text->size(), memory);
  result<source> table = header.read(made.index);
  if (!table) return table.error();
  made.table = std::move(*table);
  made.data = std::move(data);
  return store(std::move(made));
}

} // namespace detail

/// Opens the safetensors file at `path_utf8`: one file, not an index of shards. Its tensors are in place, in the order of the
/// header, by the names of the header; an older file may have them at addresses that are not aligned for their type, where
/// `get` says errc::misaligned and `copy_to` works. The file has no checksums.
///
/// What is taken is what the reference reader takes (crate 0.8), but for names and fields that occur twice, tensors as arrays
/// instead of objects, and shapes that only a zero among their extents keeps from overflowing. Errors: those of `stet::open` for paths and options, and
/// @retval errc::truncated       the file is shorter than the header, or than a tensor, the subject, says
/// @retval errc::too_large       the header is larger than the 100,000,000 bytes of the specification
/// @retval errc::bad_json, too_deep, bad_number  the header is no JSON in UTF-8; the offset is where
/// @retval errc::wrong_type      the header is no object, a tensor is no object with a dtype (a string), a shape and two
///                               data_offsets (arrays of plain integers), or the metadata is no object of strings
/// @retval errc::missing_field   a tensor has no dtype, shape or data_offsets
/// @retval errc::duplicate_key   a tensor has one of them twice, or the file its metadata
/// @retval errc::duplicate_name  two tensors have the same name
/// @retval errc::unknown_dtype   the dtype of a tensor is none of the format's
/// @retval errc::bad_shape       the shape of a tensor overflows, or it has more than `max_rank` extents
/// @retval errc::bad_name        a name is longer than `max_name_size_bytes`; it may be empty, and hold NULs
/// @retval errc::bad_size        the bytes of a tensor are not as many as dtype and shape make
/// @retval errc::bad_offset      the offsets of a tensor are not in order, or there is a gap in front of it
/// @retval errc::overlap         a tensor begins within another
/// @retval errc::trailing_bytes  bytes follow the last tensor
/// Cost: one pass over the header; allocates the index, about as large as the header, from `options.memory`; tensors that are not
/// in the order of their bytes are sorted, which allocates 24 bytes for each. Reads no tensor.
/// Source: github.com/huggingface/safetensors, README, "Format".
[[nodiscard]] inline result<store> open_safetensors(std::string_view path_utf8,
                                                    const open_options& options = {}) noexcept {
  if (auto possible = detail::check_writing(options); !possible) return possible.error().about(path_utf8);
  result<source> bytes = detail::open_source(path_utf8, options);
  if (!bytes) return bytes.error();
  result<store> made = detail::open_safetensors_source(std::move(*bytes), options.memory);
  if (!made && made.error().subject().empty()) return made.error().about(path_utf8);
  return made;
}
/// The same for a string literal.
[[nodiscard]] inline result<store> open_safetensors(const char* path_utf8, const open_options& options = {}) noexcept {
  return open_safetensors(std::string_view(path_utf8), options);
}
/// Opens a safetensors file in memory, such as flash, which must outlive the store. Tensors are in place.
/// Errors: those of the file's content. Cost: as of a path.
[[nodiscard]] inline result<store> open_safetensors(std::span<const std::byte> bytes,
                                                    const open_options& options = {}) noexcept {
  return detail::open_safetensors_source(source::borrow(bytes), options.memory);
}

} // namespace stet::inline STET_NAMESPACE

#endif
