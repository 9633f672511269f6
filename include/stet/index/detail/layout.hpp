// SPDX-License-Identifier: MIT
// Where everything lies in an index.
#ifndef STET_INDEX_DETAIL_LAYOUT_HPP
#define STET_INDEX_DETAIL_LAYOUT_HPP

#include "name_hash.hpp"

#include "../../vocabulary/detail/endian.hpp"
#include "../../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// What an index says of one file that holds tensors.
struct index_part {
  /// Relative to the folder of the manifest, '/'-separated.
  std::string_view path;
  std::uint64_t size_bytes = 0;
  std::uint64_t content_id = 0;
  /// True if the file begins with a header of kind part, which `content_id` must match.
  bool has_header = false;
};

namespace detail {

/// The sizes and places of what an index is made of, from the counts in its first 64 bytes.
struct index_layout {
  static constexpr std::uint64_t header_size = 64, part_size = 32, block_size = 16, slot_size = 8, unit = 8;
  /// The fixed part of an entry; extents and name follow.
  static constexpr std::uint64_t entry_size = 48;
  enum entry_flags : std::uint8_t { has_crc32c = 1, big_endian = 2 };

  std::uint32_t tensor_count = 0, part_count = 0, block_count = 0, slot_count = 0;
  std::uint64_t entries_size = 0, names_size = 0;
  std::uint64_t blocks = 0, slots = 0, entries = 0, names = 0, size_bytes = 0;

  /// The bytes of an entry with this rank and size of name.
  static constexpr std::uint64_t size_of_entry(std::uint64_t rank, std::uint64_t name_size) noexcept {
    return entry_size + rank * 8 + (name_size + 7) / 8 * 8;
  }

  /// Computes where everything begins; false if a place would not fit in 32 bits.
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

/// More different block types than this in one index are refused: an entry names its own with 16 bits.
inline constexpr std::uint32_t max_block_types = 65536;

/// Slots of entries beside each other lie anywhere in a table that may exceed the caches. So many of them are asked for before
/// the first is needed, so that the memory is waited for once and not for each.
inline constexpr std::uint32_t slot_batch_size = 16;

/// Asks the processor to bring memory near; no access.
inline void load_ahead([[maybe_unused]] const void* at) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(at);
#endif
}

/// The name in the entry at `place` of the index at `index`.
inline std::string_view entry_name(const std::byte* index, std::uint32_t place) noexcept {
  const std::byte* const entry = index + place * index_layout::unit;
  const std::size_t rank = static_cast<std::size_t>(entry[44]);
  return text_at(entry + index_layout::entry_size + rank * 8, load_little<std::uint16_t>(entry + 40));
}

/// The slot that leads to the entry called `name` in the checked or just built index at `index`; nullptr if none does.
inline const std::byte* find_slot(const std::byte* index, const index_layout& layout, std::string_view name) noexcept {
  const std::uint64_t hash = hash_name(name, load_little<std::uint64_t>(index + 32));
  const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 32);
  const std::uint64_t mask = layout.slot_count - 1;
  const std::byte* const slots = index + layout.slots;
  for (std::uint64_t slot = hash & mask, last = slot + max_probe_count; slot <= last; ++slot) {
    const std::byte* const at = slots + (slot & mask) * index_layout::slot_size;
    const std::uint32_t place = load_little<std::uint32_t>(at + 4);
    if (place == 0) return nullptr;
    if (load_little<std::uint32_t>(at) == tag && entry_name(index, place) == name) return at;
  }
  return nullptr;
}

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
