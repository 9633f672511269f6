// SPDX-License-Identifier: MIT
// Memory that the entries of an index are written to while their number is not known yet.
#ifndef STET_STORE_DETAIL_ENTRY_BUFFER_HPP
#define STET_STORE_DETAIL_ENTRY_BUFFER_HPP

#include "../../index/detail/builder.hpp"
#include "../../index/detail/check.hpp"
#include "../../source/source.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The entries of an index, contiguous as in the index. Room is kept in front of them for the beginning of an index, so that the
/// index can usually be made in place.
class entry_buffer {
public:
  /// The size of an entry of rank 2 with a name of usual length.
  static constexpr std::uint64_t usual_entry_size = 96;

  [[nodiscard]] bool has_room(std::uint64_t size_bytes) const noexcept {
    return size_bytes <= bytes_.size_bytes() - begin_ - size_;
  }
  /// Makes room for `size_bytes` more bytes of entries, and moves the present ones. Errors: those of `source::allocate`.
  result<void> grow(std::uint64_t size_bytes, memory_resource* memory) {
    const std::uint64_t doubled = (bytes_.size_bytes() - begin_) * 2;
    const std::uint64_t larger = size_bytes + size_ < doubled ? doubled : size_bytes + size_;
    // Room for the slots of small entries, and for a few parts.
    const std::uint64_t begin =
        slot_count_for(static_cast<std::uint32_t>(larger / 64)) * index_layout::slot_size + 1024;
    result<source> made = source::allocate(begin + larger, memory);
    if (!made) return made.error();
    if (size_ != 0) std::memcpy(made->writable_data() + begin, data(), size_);
    bytes_ = std::move(*made);
    begin_ = static_cast<std::size_t>(begin);
    return {};
  }
  [[nodiscard]] std::byte* end() noexcept { return bytes_.writable_data() + begin_ + size_; }
  /// Adds the entry that was written at `end()`. @return its place, in units of 8 bytes
  std::uint32_t take(std::uint64_t entry_size_bytes) noexcept {
    const std::uint32_t place = static_cast<std::uint32_t>(size_ / index_layout::unit);
    size_ += static_cast<std::size_t>(entry_size_bytes);
    return place;
  }
  [[nodiscard]] const std::byte* data() const noexcept { return bytes_.data() + begin_; }
  [[nodiscard]] const std::byte* at(std::uint32_t place) const noexcept { return data() + place * index_layout::unit; }
  [[nodiscard]] std::byte* writable_data() noexcept { return bytes_.writable_data() + begin_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_; }
  /// Keeps the first bytes of the entries only. @param size_bytes  at most `size_bytes()`, and the end of an entry
  void shrink(std::size_t size_bytes) noexcept { size_ = size_bytes; }

  /// Makes the index of the `count` entries, which are numbered in their order. The entries are then spent.
  /// @param index        set to a view of the memory that is returned
  /// @param parts        the files; empty: the one file is the store's own
  /// @param limits       of the place of tensors in that file, and whether names are checked; tensors may be in any order
  /// @param subject      of the error that there are too many entries
  /// @param has_aliases  some entries are copies of their original, whose number plus 1 is in their field `alias_of`
  /// Errors: those of `build_index` and `check_index`.
  result<source> finish(tensor_index& index, std::uint32_t count, std::span<const index_part> parts,
                        const block_types& blocks, index_limits limits, std::string_view subject,
                        memory_resource* memory, bool has_aliases = false) noexcept {
    index_layout layout;
    layout.tensor_count = count;
    layout.part_count = static_cast<std::uint32_t>(parts.size());
    layout.block_count = blocks.count();
    layout.slot_count = slot_count_for(count);
    layout.entries_size = size_;
    for (const index_part& each : parts) layout.names_size += each.path.size();
    for (std::uint32_t number = 0; number < blocks.count(); ++number) layout.names_size += blocks[number].name.size();
    if (!layout.place()) return error(errc::too_large, subject);
    result<source> table = release(layout, memory);
    if (!table) return table;
    std::byte* const base = table->writable_data();
    result<source> slots = source::allocate(has_aliases ? count * std::uint64_t{sizeof(std::uint32_t)} : 0, memory);
    if (!slots) return slots;
    const std::span<std::uint32_t> found(reinterpret_cast<std::uint32_t*>(slots->writable_data()),
                                         has_aliases ? count : 0);
    if (auto completed = complete_index(base, layout, parts, blocks, found); !completed) return completed.error();
    if (has_aliases) set_originals(base + layout.entries, found);
    limits.foreign = true;
    const result<tensor_index> checked = check_built_index({base, static_cast<std::size_t>(layout.size_bytes)}, limits);
    // The offset of the error is a place in the index in memory, which means nothing to the caller.
    if (!checked) return error(checked.error().code(), checked.error().subject());
    index = *checked;
    return table;
  }

private:
  /// Memory for an index of this layout with the entries in their place; its other bytes are unspecified. The entries are moved
  /// if the room around them is too small, or so large that most of the memory would be unused. The buffer is then empty.
  /// Errors: those of `source::allocate`.
  result<source> release(const index_layout& layout, memory_resource* memory) {
    const std::uint64_t capacity = bytes_.size_bytes();
    if (layout.entries <= begin_ && layout.size_bytes - layout.entries <= capacity - begin_ &&
        capacity / 2 <= layout.size_bytes) {
      return source::part_of(std::move(bytes_), {begin_ - layout.entries, layout.size_bytes}, memory);
    }
    result<source> made = source::allocate(layout.size_bytes, memory);
    if (made && size_ != 0) std::memcpy(made->writable_data() + layout.entries, data(), size_);
    return made;
  }

  static void set_originals(std::byte* entry, std::span<const std::uint32_t> slots) noexcept {
    for (std::size_t number = 0; number < slots.size(); ++number) {
      if (const std::uint32_t original = entry_field::alias_of.load(entry); original != 0)
        set_original(entry, slots[original - 1]);
      entry += index_layout::size_of_entry(entry_field::rank.load(entry), entry_field::name_size.load(entry));
    }
  }

  source bytes_;
  std::size_t begin_ = 0, size_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
