// SPDX-License-Identifier: MIT
// Checks an index completely, so that every later look-up is safe, even in hostile bytes.
#ifndef STET_INDEX_DETAIL_CHECK_HPP
#define STET_INDEX_DETAIL_CHECK_HPP

#include "../index.hpp"

namespace stet::inline STET_NAMESPACE {

/// The limits that an index is checked against, which come from the file around it.
struct index_limits {
  /// Tensors must lie at multiples of this power of two.
  std::uint32_t alignment_bytes = 1;
  /// The place of tensors in the file if the index lists no parts: [data_begin_bytes, data_end_bytes).
  std::uint64_t data_begin_bytes = 0;
  std::uint64_t data_end_bytes = 0;
  /// Accepts what only an index of another format may have, which is made in memory: tensors in any order, overlapping
  /// tensors, empty tensors with an offset, and big-endian tensors.
  bool foreign = false;
  /// True if the caller knows that all names are UTF-8. They may then be empty and hold NULs, as in some other formats.
  bool has_any_names = false;
};

namespace detail {

/// Walks over the arrays of an index in parallel. Each item is used once and in order, so that an offset is correct if and only
/// if it equals the running position.
class index_checker {
public:
  /// @param is_built  `complete_index` has just made the slots and aliases, so they need no check
  index_checker(const std::byte* base, std::size_t size_bytes, const index_limits& limits, bool is_built) noexcept
      : base_(base), size_bytes_(size_bytes), limits_(limits), is_built_(is_built) {}

  result<tensor_index> run() noexcept {
    if (!read_header()) return error(errc::bad_index, {}, 0);
    // First, because the entries refer to parts and block types.
    for (std::uint32_t number = 0; number < layout().part_count; ++number) {
      const std::byte* const part = base() + index_layout::header_size + number * index_layout::part_size;
      if (!take_name(part) || part_field::flags.load(part) > 1 || part_field::reserved.load(part) != 0) {
        return bad(errc::bad_index, part);
      }
    }
    for (std::uint32_t number = 0; number < layout().block_count; ++number) {
      const std::byte* const block = base() + layout().blocks + number * index_layout::block_size;
      if (!take_name(block) || block_field::element_count.load(block) == 0 || block_field::size.load(block) == 0) {
        return bad(errc::bad_index, block);
      }
    }
    if (running_name_ != layout().names_size) return error(errc::bad_index, "names");
    const std::byte* at = base() + layout().entries;
    for (std::uint32_t number = 0; number < layout().tensor_count;) {
      index_entry batch[slot_batch_size];
      std::uint64_t hashes[slot_batch_size];
      std::uint32_t count = 0;
      for (; count < slot_batch_size && number < layout().tensor_count; ++count, ++number) {
        const index_entry entry(at);
        // An entry is read only after it is known to be within the entries.
        const std::uint64_t left = layout().names - static_cast<std::uint64_t>(at - base());
        if (left < index_layout::entry_size || left < static_cast<std::uint64_t>(entry.next() - at))
          return bad(errc::bad_index, at);
        if (!limits_.has_any_names && !is_valid_name(entry.name())) return bad(errc::bad_name, at);
        const bool is_copy = is_built_ && entry.load(entry_field::alias_of) != 0;
        const errc failure = is_copy ? none : check_entry(number, entry);
        if (failure != none) return bad(failure, at).about(entry.name());
        at = entry.next();
        if (is_built_) continue;
        batch[count] = entry;
        hashes[count] = hash_of(entry);
        load_ahead(slot_around(hashes[count]));
      }
      for (std::uint32_t i = 0; i < count && !is_built_; ++i) {
        const errc failure = check_slot(batch[i], hashes[i]);
        if (failure != none) return bad(failure, batch[i].at_).about(batch[i].name());
      }
    }
    if (at != base() + layout().names) return bad(errc::bad_index, at);
    if (!is_zero(base() + layout().names + layout().names_size, base() + layout().size_bytes))
      return errc::nonzero_padding;
    if (!is_built_ && occupied_slots() != layout().tensor_count) return errc::bad_hash_table;
    return index_;
  }

private:
  static constexpr errc none{};
  [[nodiscard]] const std::byte* base() const noexcept { return base_; }
  [[nodiscard]] const index_layout& layout() const noexcept { return index_.layout_; }
  static bool is_zero(const std::byte* from, const std::byte* to) noexcept {
    while (from != to) {
      if (*from++ != std::byte{0}) return false;
    }
    return true;
  }

  /// An error with the offset of `at` in the index.
  [[nodiscard]] error bad(errc code, const std::byte* at) const noexcept {
    return error(code, {}, static_cast<std::uint64_t>(at - base()));
  }

  bool read_header() noexcept {
    if (size_bytes_ < index_layout::header_size) return false;
    index_layout& layout = index_.layout_;
    layout.tensor_count = index_field::tensor_count.load(base());
    layout.part_count = index_field::part_count.load(base());
    layout.block_count = index_field::block_count.load(base());
    layout.slot_count = index_field::slot_count.load(base());
    layout.entries_size = index_field::entries_size.load(base());
    layout.names_size = index_field::names_size.load(base());
    index_.base_ = base();
    return is_zero(base() + index_field::hash_seed.end(), base() + index_layout::header_size) &&
           layout.block_count <= max_block_types && layout.entries_size % 8 == 0 &&
           layout.slot_count == slot_count_for(layout.tensor_count) && layout.slot_count > layout.tensor_count &&
           layout.place() && layout.size_bytes == size_bytes_;
  }

  /// Checks that `reference` refers to the next name in the pool, and passes over that name.
  bool take_name(const std::byte* reference) noexcept {
    const std::uint32_t size = name_field::size.load(reference);
    if (name_field::offset.load(reference) != running_name_ || size > layout().names_size - running_name_) return false;
    running_name_ += size;
    return is_valid_name(index_.name_at(reference));
  }

  errc check_entry(std::uint32_t number, index_entry entry) noexcept {
    // Zeros follow a name that does not fill its last word. A shift by 8 bytes would be undefined.
    const std::size_t in_last_word = entry.name().size() % 8;
    const bool is_padded = in_last_word == 0 || load_little<std::uint64_t>(entry.next() - 8) >> (8 * in_last_word) == 0;
    if (entry.number() != number || !is_padded) return errc::bad_index;
    if (const errc failure = check_elements(entry); failure != none) return failure;
    return check_place(entry);
  }

  /// Checks the dtype, the shape, and the size that follows from them.
  [[nodiscard]] errc check_elements(index_entry entry) const noexcept {
    const shape extents = entry.shape();
    if (extents.rank() > max_rank) return errc::bad_shape;
    if (!is_known(entry.dtype())) return errc::unknown_dtype;
    const std::uint8_t own_bits = describe(entry.dtype()).bits;
    const bool is_unpacked = entry.bits() == 8 && own_bits < 8 && own_bits != 0;
    if (entry.bits() != own_bits && !is_unpacked) return errc::unknown_dtype;
    const std::uint16_t block = entry.load(entry_field::block);
    if (entry.dtype() == dtype::block ? block >= layout().block_count : block != 0) return errc::bad_index;

    element_counter counter;
    for (const std::uint64_t extent : extents) {
      if (!counter.multiply(extent)) return errc::bad_shape;
    }
    std::uint64_t size_bytes = 0;
    if (!checked_size_bytes(counter, index_.layout(entry), size_bytes)) return errc::bad_shape;
    const std::uint64_t stated = entry.size_bytes();
    const bool size_is_right =
        entry.dtype() == dtype::string ? stated >= size_bytes && stated <= max_tensor_size_bytes : stated == size_bytes;
    return size_is_right && entry.element_count() == counter.element_count() ? none : errc::bad_size;
  }

  /// Checks the place of the bytes: within the data, in order, and without overlap except for an alias.
  [[nodiscard]] errc check_place(index_entry entry) noexcept {
    const std::uint8_t allowed = index_layout::has_crc32c | (limits_.foreign ? index_layout::big_endian : 0);
    if ((entry.flags() & ~allowed) != 0 || (!entry.has_crc32c() && entry.crc32c() != 0)) return errc::bad_index;
    if (const std::uint32_t original = entry.load(entry_field::alias_of); original != 0) {
      return is_alias_of(entry, original) ? none : errc::bad_alias;
    }
    const std::uint32_t part = entry.part();
    const std::uint64_t offset = entry.offset_bytes(), size = entry.size_bytes();
    if (part != 0 && part >= layout().part_count) return errc::bad_index;
    if (size == 0) return offset == 0 || (limits_.foreign && in_part(part, offset, 0)) ? none : errc::bad_offset;
    if ((offset & (limits_.alignment_bytes - 1)) != 0 || !in_part(part, offset, size)) return errc::bad_offset;
    if (limits_.foreign) return none;
    if (part < running_part_ || (part == running_part_ && offset < running_offset_)) return errc::overlap;
    running_part_ = part;
    running_offset_ = offset + size;
    return none;
  }

  /// True if the range is within the data of its file.
  [[nodiscard]] bool in_part(std::uint32_t part, std::uint64_t offset, std::uint64_t size) const noexcept {
    std::uint64_t begin = limits_.data_begin_bytes, end = limits_.data_end_bytes;
    if (layout().part_count != 0) {
      const index_part file = index_.part(part);
      begin = file.has_header ? file_header::size_bytes : 0;
      end = file.size_bytes;
    }
    return offset >= begin && range_fits(offset, size, end);
  }

  /// True if `entry` equals, in everything but the name, the earlier entry of slot `number` (from 1), which is not itself an
  /// alias. That an entry begins there is certain once all slots are known to lead to entries. The name of the original is
  /// not searched for, because each of its aliases would pay for its length.
  [[nodiscard]] bool is_alias_of(index_entry entry, std::uint32_t number) const noexcept {
    if (number > layout().slot_count) return false;
    const std::byte* const slot = index_.slot_at(number - 1);
    const std::uint64_t offset = slot_field::place.load(slot) * index_layout::unit;
    if (offset < layout().entries || offset >= static_cast<std::uint64_t>(entry.at_ - base())) return false;
    const index_entry original(base() + offset);
    constexpr std::size_t alias_of = entry_field::alias_of.offset, block = entry_field::block.offset;
    return original.next() <= entry.at_ && original.load(entry_field::alias_of) == 0 &&
           std::memcmp(entry.at_, original.at_, alias_of) == 0 &&
           std::memcmp(entry.at_ + block, original.at_ + block, index_layout::entry_size - block) == 0 &&
           entry.shape() == original.shape();
  }

  [[nodiscard]] std::uint64_t hash_of(index_entry entry) const noexcept {
    return hash_name(entry.name(), index_field::hash_seed.load(base()));
  }
  /// The slot of this number, which wraps around at the end.
  [[nodiscard]] const std::byte* slot_around(std::uint64_t number) const noexcept {
    return index_.slot_at(static_cast<std::uint32_t>(number) & (layout().slot_count - 1));
  }

  /// Searches for the entry's name, which has the hash `hash`, as `find` does. The search must end at the entry itself.
  [[nodiscard]] errc check_slot(index_entry entry, std::uint64_t hash) const noexcept {
    const std::string_view name = entry.name();
    const std::uint32_t place =
        static_cast<std::uint32_t>(static_cast<std::uint64_t>(entry.at_ - base()) / index_layout::unit);
    const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::uint64_t probe = 0; probe <= max_probe_count; ++probe) {
      const std::byte* const at = slot_around(hash + probe);
      const std::uint32_t occupant = slot_field::place.load(at);
      if (occupant == place) return slot_field::tag.load(at) == tag ? none : errc::bad_hash_table;
      if (occupant == 0) return errc::bad_hash_table;
      if (slot_field::tag.load(at) == tag && is_named(occupant, name)) return errc::duplicate_name;
    }
    return errc::bad_hash_table;
  }

  /// True if the entry at `place` has this name. It may be unchecked, and `place` may be invalid.
  [[nodiscard]] bool is_named(std::uint32_t place, std::string_view name) const noexcept {
    const std::uint64_t offset = place * index_layout::unit;
    if (offset < layout().entries || !range_fits(offset, index_layout::entry_size, layout().names)) return false;
    const index_entry entry(base() + offset);
    return static_cast<std::uint64_t>(entry.next() - base()) <= layout().names && entry.name() == name;
  }

  /// The number of slots in use. Every tensor has its own slot, so no other slot is in use if the number is that of tensors.
  [[nodiscard]] std::uint64_t occupied_slots() const noexcept {
    std::uint64_t occupied = 0;
    const std::byte* slot = base() + layout().slots;
    for (std::uint64_t i = 0; i < layout().slot_count; ++i, slot += index_layout::slot_size) {
      occupied += load_little<std::uint64_t>(slot) != 0 ? 1u : 0u;
    }
    return occupied;
  }

  const std::byte* base_;
  std::size_t size_bytes_;
  index_limits limits_;
  tensor_index index_;
  std::uint64_t running_name_ = 0, running_offset_ = 0;
  std::uint32_t running_part_ = 0;
  bool is_built_;
};

/// Checks an index of unchecked entries whose slots `complete_index` has just filled, and whose aliases are copies of their
/// originals.
/// Errors: those of `check_index`.
inline result<tensor_index> check_built_index(std::span<const std::byte> bytes, const index_limits& limits) noexcept {
  return index_checker(bytes.data(), bytes.size(), limits, true).run();
}

} // namespace detail

/// Checks `bytes` completely: every count, offset, size, product, name, alias and hash slot.
/// @retval errc::bad_index       counts, sizes or reserved bytes contradict each other
/// @retval errc::bad_name        a name is empty, too long, not UTF-8, or holds a NUL
/// @retval errc::duplicate_name  two tensors have the same name
/// @retval errc::unknown_dtype   a dtype is not known, or the width of its elements is invalid
/// @retval errc::bad_shape       a rank is too large or a size overflows
/// @retval errc::bad_size        a size differs from that of the shape and dtype
/// @retval errc::bad_offset      an offset is misaligned or outside the data
/// @retval errc::overlap         tensors overlap or are out of order
/// @retval errc::bad_alias       an alias differs from its original
/// @retval errc::bad_hash_table  the hash table lacks a name, or has a slot that leads elsewhere
/// Cost: one pass over the bytes, tens of nanoseconds a tensor, no allocation.
/// Source: format.hpp, "Index".
inline result<tensor_index> check_index(std::span<const std::byte> bytes, const index_limits& limits) noexcept {
  return detail::index_checker(bytes.data(), bytes.size(), limits, false).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
