// SPDX-License-Identifier: MIT
// The layout of an index: offsets and sizes of its arrays.
#ifndef STET_INDEX_DETAIL_LAYOUT_HPP
#define STET_INDEX_DETAIL_LAYOUT_HPP

#include "name_hash.hpp"

#include "../../vocabulary/detail/endian.hpp"
#include "../../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// A file that holds tensors, as the index lists it.
struct index_part {
  /// The path, relative to the folder of the manifest, separated by '/'.
  std::string_view path;
  std::uint64_t size_bytes = 0;
  std::uint64_t content_id = 0;
  /// True if the file begins with a header of kind part, which `content_id` must match.
  bool has_header = false;
};

namespace detail {

/// The sizes and offsets of the arrays of an index, computed from the counts in its first 64 bytes.
struct index_layout {
  static constexpr std::uint64_t header_size = 64, part_size = part_field::reserved.end(),
                                 block_size = block_field::size.end(), slot_size = slot_field::place.end(), unit = 8;
  /// The size of the fixed part of an entry; extents and name follow.
  static constexpr std::uint64_t entry_size = entry_field::flags.end();
  enum entry_flags : std::uint8_t { has_crc32c = 1, big_endian = 2 };

  std::uint32_t tensor_count = 0, part_count = 0, block_count = 0, slot_count = 0;
  std::uint64_t entries_size = 0, names_size = 0;
  std::uint64_t blocks = 0, slots = 0, entries = 0, names = 0, size_bytes = 0;

  /// The size of an entry with this rank and this size of name.
  static constexpr std::uint64_t size_of_entry(std::uint64_t rank, std::uint64_t name_size) noexcept {
    return entry_size + rank * 8 + (name_size + 7) / 8 * 8;
  }

  /// Computes the offsets; false if a place does not fit in 32 bits.
  constexpr bool place() noexcept {
    constexpr std::uint64_t limit = std::uint64_t{0xFFFFFFFFu} * unit;
    if (entries_size > limit || names_size > limit) return false;
    blocks = header_size + part_count * part_size;
    slots = blocks + block_count * block_size;
    entries = slots + slot_count * slot_size;
    names = entries + entries_size;
    size_bytes = names + (names_size + 7) / 8 * 8;
    return size_bytes <= limit;
  }
};

/// The largest number of block types in one index: an entry refers to its own with 16 bits.
inline constexpr std::uint32_t max_block_types = 65536;

/// The number of slots that are prefetched together. Adjacent entries have slots anywhere in a table that may exceed the caches,
/// so the processor waits for memory once for a batch instead of once for each.
inline constexpr std::uint32_t slot_batch_size = 16;

/// Prefetches memory into the processor's cache; does not access it.
inline void load_ahead([[maybe_unused]] const void* at) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(at);
#endif
}

/// The name in the entry at `place` of the index at `index`.
inline std::string_view entry_name(const std::byte* index, std::uint32_t place) noexcept {
  const std::byte* const entry = index + place * index_layout::unit;
  const std::size_t rank = entry_field::rank.load(entry);
  return text_at(entry + index_layout::entry_size + rank * 8, entry_field::name_size.load(entry));
}

/// The slot of the entry called `name` in the index at `index`, which is checked or just built; nullptr if there is none.
inline const std::byte* find_slot(const std::byte* index, const index_layout& layout, std::string_view name) noexcept {
  const std::uint64_t hash = hash_name(name, index_field::hash_seed.load(index));
  const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 32);
  const std::uint64_t mask = layout.slot_count - 1;
  const std::byte* const slots = index + layout.slots;
  for (std::uint64_t slot = hash & mask, last = slot + max_probe_count; slot <= last; ++slot) {
    const std::byte* const at = slots + (slot & mask) * index_layout::slot_size;
    const std::uint32_t place = slot_field::place.load(at);
    if (place == 0) return nullptr;
    if (slot_field::tag.load(at) == tag && entry_name(index, place) == name) return at;
  }
  return nullptr;
}

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
