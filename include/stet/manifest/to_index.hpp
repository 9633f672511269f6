// SPDX-License-Identifier: MIT
// Makes the index, the table of tensors, from a manifest.
#ifndef STET_MANIFEST_TO_INDEX_HPP
#define STET_MANIFEST_TO_INDEX_HPP

#include "check.hpp"
#include "detail/rows.hpp"

#include "../index/detail/check.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Checks that no tensors of a manifest overlap, in any order. Aliases and tensors without bytes are ignored.
inline result<void> check_no_overlap(const manifest& m) {
  std::vector<const manifest_tensor*> placed;
  placed.reserve(m.tensors.size());
  for (const manifest_tensor& tensor : m.tensors) {
    if (tensor.size_bytes != 0 && !tensor.alias_of) placed.push_back(&tensor);
  }
  std::sort(placed.begin(), placed.end(), [](const manifest_tensor* a, const manifest_tensor* b) {
    if (a->part != b->part) return a->part < b->part;
    if (a->offset_bytes != b->offset_bytes) return a->offset_bytes < b->offset_bytes;
    return a < b; // so that the error is about the later one
  });
  for (std::size_t i = 1; i < placed.size(); ++i) {
    const manifest_tensor &before = *placed[i - 1], &tensor = *placed[i];
    // Sorted, so the difference is not negative; a sum could overflow.
    if (before.part == tensor.part && tensor.offset_bytes - before.offset_bytes < before.size_bytes) {
      return error(errc::overlap, tensor.name);
    }
  }
  return {};
}

/// `make_index` in the memory that `make_room(size_bytes)` returns, a result<std::span<std::byte>>.
template <class MakeRoom> result<void> make_index_in(const manifest& m, index_limits limits, MakeRoom make_room) {
  if (!is_valid_alignment(m.alignment_bytes)) return error(errc::bad_alignment, "alignment_bytes");
  limits.alignment_bytes = m.alignment_bytes;
  if (const result<void> paths = check_parts(m); !paths) return paths.error();

  for (const manifest_part& part : m.parts) {
    if (!part.size_bytes) return error(errc::missing_field, part.path);
  }
  for (const manifest_tensor& tensor : m.tensors) {
    if (tensor.part != 0 && tensor.part >= m.parts.size()) return error(errc::missing_part, tensor.name);
    if (tensor.size_bytes == 0 && tensor.offset_bytes != 0) return error(errc::bad_offset, tensor.name);
  }
  const std::vector<index_part> parts = part_rows_of(m);
  const std::vector<index_row> rows = rows_of(m);

  const result<std::uint64_t> size_bytes = index_size_bytes(rows, parts);
  if (!size_bytes) return size_bytes.error();
  if (*size_bytes > (std::numeric_limits<std::size_t>::max)() / 2) return errc::too_large;
  const result<std::span<std::byte>> index = make_room(static_cast<std::size_t>(*size_bytes));
  if (!index) return index.error();
  if (const result<void> built = build_index(rows, parts, *index); !built) return built.error();
  // The offset of the error is a place in the index in memory, which means nothing to the caller.
  if (const auto checked = check_index(*index, limits); !checked)
    return error(checked.error().code(), checked.error().subject());
  if (limits.foreign) {
    if (const result<void> apart = check_no_overlap(m); !apart) return apart.error();
  }
  return {};
}

} // namespace detail

/// Makes the index of a manifest and checks it; the same manifest gives the same bytes everywhere.
///
/// `limits` give the place of data in the manifest's own file. Their alignment is ignored; that of the manifest is used. With
/// `limits.foreign`, as for the loose form, tensors may be in any order, but must not overlap, and empty tensors must have
/// the offset 0. Every part must have a size, which the caller sets from the file if the text has none.
/// @retval errc::bad_shape       a size overflows, or there are too many dimensions
/// @retval errc::bad_size        a size differs from that of the shape and dtype
/// @retval errc::bad_offset      an offset is misaligned or outside the data
/// @retval errc::overlap         tensors overlap or, without `limits.foreign`, are out of order
/// @retval errc::bad_alias       an alias differs from its original
/// @retval errc::duplicate_name  two tensors have the same name
/// @retval errc::bad_name        the name of a tensor is invalid
/// @retval errc::unknown_dtype   a dtype is not known, or the width of its elements is invalid
/// @retval errc::bad_path        the path of a part is not a plain file name
/// @retval errc::duplicate_part  two parts are the same file
/// @retval errc::missing_part    the part of a tensor is not listed
/// @retval errc::missing_field   a part has no size
/// @retval errc::bad_hash_table  the names were made to collide
/// @retval errc::too_large       too many tensors or names for one index, or more than 65536 block types
/// Cost: allocates the index and about as much again; some hundred nanoseconds a tensor.
/// Source: index/format.hpp, "Index".
inline result<std::vector<std::byte>> make_index(const manifest& m, index_limits limits = {}) {
  std::vector<std::byte> index;
  const auto make_room = [&index](std::size_t size_bytes) -> result<std::span<std::byte>> {
    index.resize(size_bytes);
    return std::span(index);
  };
  if (const result<void> made = detail::make_index_in(m, limits, make_room); !made) return made.error();
  return index;
}

} // namespace stet::inline STET_NAMESPACE

#endif
