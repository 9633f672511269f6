// SPDX-License-Identifier: MIT
// The table of a store whose index is made in memory, and the sources it speaks of.
#ifndef STET_MANIFEST_DETAIL_TABLE_HPP
#define STET_MANIFEST_DETAIL_TABLE_HPP

#include "../../index/detail/builder.hpp"
#include "../../index/detail/check.hpp"
#include "../../store/store.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Makes the table of a store: room for an index, which is returned, and behind it a copy of the manifest unless that is in the
/// store's own file, in memory.
/// @param text  the manifest, which becomes that of the store; or nothing
inline result<std::span<std::byte>> make_table(store::contents& made, std::uint64_t index_size_bytes,
                                               std::string_view text, memory_resource* memory) {
  const bool keeps_text = made.data.data() == nullptr && !text.empty();
  result<source> table = source::allocate(index_size_bytes + (keeps_text ? text.size() : 0), memory);
  if (!table) return table.error();
  made.table = std::move(*table);
  const std::span<std::byte> index(made.table.writable_data(), static_cast<std::size_t>(index_size_bytes));
  if (keeps_text) std::memcpy(index.data() + index.size(), text.data(), text.size());
  made.manifest =
      keeps_text ? std::string_view(reinterpret_cast<const char*>(index.data()) + index.size(), text.size()) : text;
  return index;
}

/// Makes and checks the index of a store whose tensors may be in any order and overlap.
/// Errors: those of `build_index` and `check_index`.
inline result<void> index_rows(store::contents& made, std::span<const index_row> rows,
                               std::span<const index_part> parts, std::string_view text, memory_resource* memory) {
  const result<std::uint64_t> size = index_size_bytes(rows, parts);
  if (!size) return size.error();
  const result<std::span<std::byte>> index = make_table(made, *size, text, memory);
  if (!index) return index.error();
  if (auto built = build_index(rows, parts, *index); !built) return built;
  index_limits limits;
  limits.foreign = true;
  const result<tensor_index> checked = check_index(*index, limits);
  // The offset of the error is a place in the index in memory, which means nothing to the caller.
  if (!checked) return error(checked.error().code(), checked.error().subject());
  made.index = *checked;
  return {};
}

/// Makes the parts read only in which tensors overlap, so that writing to one cannot change another. Aliases do not count as
/// tensors. Cost: sorts the tensors of writable parts.
inline void protect_shared_bytes(const tensor_index& index, part_sources& sources) {
  bool is_any_writable = false;
  for (std::uint32_t number = 0; number < sources.count(); ++number) is_any_writable |= sources[number].is_writable();
  if (!is_any_writable) return;
  std::vector<index_entry> entries;
  for (const index_entry entry : index) {
    if (entry.size_bytes() != 0 && sources[entry.part()].is_writable() && !index.original_of(entry))
      entries.push_back(entry);
  }
  std::sort(entries.begin(), entries.end(), [](index_entry a, index_entry b) {
    return a.part() != b.part() ? a.part() < b.part() : a.offset_bytes() < b.offset_bytes();
  });
  std::uint64_t end = 0; // the end of the part's tensors so far
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const index_entry entry = entries[i];
    if (i == 0 || entries[i - 1].part() != entry.part()) end = 0;
    if (entry.offset_bytes() < end) sources[entry.part()].make_read_only();
    end = (std::max)(end, entry.offset_bytes() + entry.size_bytes()); // within the part, and so no overflow
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
