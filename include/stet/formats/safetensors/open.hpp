// SPDX-License-Identifier: MIT
// Opens safetensors files in place. Needs the standard library only, and neither exceptions nor an operating system.
#ifndef STET_FORMATS_SAFETENSORS_OPEN_HPP
#define STET_FORMATS_SAFETENSORS_OPEN_HPP

#include "detail/shards.hpp"

#include "../common/model_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// True if the file that `data` holds is JSON rather than a safetensors file. JSON has no NUL, so that its first 8 bytes are no
/// size of a header that is allowed.
inline bool is_safetensors_map(const source& data) noexcept {
  constexpr std::uint64_t most_space = 64;
  std::byte start[most_space];
  const std::size_t size =
      data.size_bytes() < most_space ? static_cast<std::size_t>(data.size_bytes()) : std::size_t{most_space};
  if (size < safetensors_length_size_bytes || !data.read_at(0, writable_bytes_at(start, size))) return false;
  if (load_little<std::uint64_t>(start) <= max_safetensors_header_size_bytes) return false;
  std::size_t at = 0;
  while (at < size && (start[at] == std::byte{' '} || start[at] == std::byte{'\n'} || start[at] == std::byte{'\r'} ||
                       start[at] == std::byte{'\t'})) {
    ++at;
  }
  return at < size && start[at] == std::byte{'{'};
}

/// Reads the index of a sharded model from the file that `data` holds.
/// Errors: those of `safetensors_weight_map::read`; errc::too_large. Cost: reads the file.
inline result<void> read_safetensors_map(const source& data, safetensors_weight_map& into,
                                         memory_resource* memory) noexcept {
  if (data.size_bytes() > max_safetensors_map_size_bytes) return error(errc::too_large, "index");
  const auto size = static_cast<std::size_t>(data.size_bytes());
  if (data.data() != nullptr) return into.read(text_at(data.data(), size));
  const result<source> copy = source::read(*data.fetcher(), {}, 1, memory);
  return copy ? into.read(text_at(copy->data(), size)) : copy.error();
}

/// Opens what `data` holds: a safetensors file, or the index of a sharded model whose files `opener` has.
inline result<store> open_safetensors_at(source&& data, const part_opener& opener, memory_resource* memory) noexcept {
  if (!is_safetensors_map(data)) return open_safetensors_source(std::move(data), memory);
  safetensors_weight_map map(memory);
  if (auto read = read_safetensors_map(data, map, memory); !read) return read.error();
  return safetensors_shards(memory).open(map, opener);
}

} // namespace detail

/// Opens the safetensors file at `path_utf8`, or the sharded model whose index, `*.safetensors.index.json`, is there. Its tensors
/// are in place, in the order of the header, by the names of the header; an older file may have them at addresses that are not
/// aligned for their type, where `get` says errc::misaligned and `copy_to` works. The file has no checksums.
///
/// The index assigns each tensor to one of the files beside it. Tensors that it does not assign to the file that holds them are not
/// of the model. A tensor whose file or self is missing is not in the store; `open_any` (formats/any.hpp) lists it with the reason.
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
/// @retval errc::bad_path        the index names a file, the subject, that is not a plain name of a file beside it
/// @retval errc::missing_part    none of the files that the index names exists; the subject lists them
/// Of a shard, the file is the first part of the subject. Those of the header count for the index, too.
/// Cost: one pass over the header; allocates the index, about as large as the header, from `options.memory`; tensors that are not
/// in the order of their bytes are sorted, which allocates 24 bytes for each. Reads no tensor.
/// Source: github.com/huggingface/safetensors, README, "Format".
[[nodiscard]] inline result<store> open_safetensors(std::string_view path_utf8,
                                                    const open_options& options = {}) noexcept {
  return detail::open_file(path_utf8, options, [&](source&& bytes) noexcept {
    return detail::open_safetensors_at(std::move(bytes), detail::model_folder(path_utf8, options), options.memory);
  });
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
