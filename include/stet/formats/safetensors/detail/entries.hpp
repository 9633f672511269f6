// SPDX-License-Identifier: MIT
// The index of safetensors files while it is made: entries whose names are strings of a JSON text.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_ENTRIES_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_ENTRIES_HPP

#include "../../../index/detail/builder.hpp"
#include "../../../source/source.hpp"
#include "../../../store/detail/entry_buffer.hpp"
#include "../../../wire/json_scalars.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The entries of an index on their way: those of one file after another.
class safetensors_entries {
public:
  /// @param memory  for the index; nullptr: the heap
  explicit safetensors_entries(memory_resource* memory) noexcept : memory_(memory) {}

  /// Makes room for the entries of a JSON text of this size. Errors: those of `source::allocate`.
  result<void> make_room(std::uint64_t text_size_bytes) noexcept {
    // The entry of a usual row is hardly larger than the row.
    const std::uint64_t room = text_size_bytes + text_size_bytes / 4 + entry_buffer::usual_entry_size;
    return entries_.has_room(room) ? result<void>() : entries_.grow(room, memory_);
  }
  /// Adds the entry of `row`, whose name is `name`.
  /// @return errc::bad_name, bad_shape: of this tensor; others: of memory
  errc add(index_row& row, const json_string& name) noexcept {
    if (name.raw().size() > max_name_size_bytes * std::size_t{6}) return errc::bad_name;
    const std::uint64_t most = index_layout::size_of_entry(row.shape.size(), name.raw().size());
    const std::uint64_t room = name.has_escapes() ? most + name.raw().size() : most;
    if (!entries_.has_room(room)) {
      if (auto there = entries_.grow(room, memory_); !there) return there.error().code();
    }
    row.name = name.raw();
    if (name.has_escapes()) {
      // The name is decoded behind the entry, which is then written with it.
      char* const decoded = reinterpret_cast<char*>(entries_.end() + most);
      row.name = text_at(decoded, name.decode(decoded));
    }
    if (row.name.size() > max_name_size_bytes) return errc::bad_name;
    if (const errc failure = write_entry(row, count_, 0, entries_.end()); failure != errc{}) return failure;
    (void)entries_.take(index_layout::size_of_entry(row.shape.size(), row.name.size()));
    ++count_;
    return {};
  }

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return entries_.size_bytes(); }
  /// The first entry. Valid until the next is added.
  [[nodiscard]] const std::byte* data() const noexcept { return entries_.data(); }
  /// The size of the entry at `entry`.
  [[nodiscard]] static std::size_t size_of(const std::byte* entry) noexcept {
    return static_cast<std::size_t>(
        index_layout::size_of_entry(entry_field::rank.load(entry), entry_field::name_size.load(entry)));
  }
  /// The name in the entry at `entry`.
  [[nodiscard]] static std::string_view name_of(const std::byte* entry) noexcept { return entry_name(entry, 0); }

  /// Removes from entry `first_count` on, which begins at `first_size_bytes`, those whose name is not wanted.
  template <class IsWanted> void keep_if(std::uint32_t first_count, std::size_t first_size_bytes, IsWanted is_wanted) {
    std::byte* const begin = entries_.writable_data();
    std::size_t kept = first_size_bytes;
    const std::size_t end = entries_.size_bytes();
    count_ = first_count;
    for (std::size_t at = first_size_bytes; at != end;) {
      const std::size_t size = size_of(begin + at);
      if (is_wanted(name_of(begin + at))) {
        if (kept != at) std::memmove(begin + kept, begin + at, size);
        entry_field::number.store(begin + kept, count_++);
        kept += size;
      }
      at += size;
    }
    entries_.shrink(kept);
  }

  /// Makes the index. The entries are then spent.
  /// @param index   set to a view of the memory that is returned
  /// @param limits  of the place of tensors in a file that has no parts
  /// Errors: those of `build_index` and `check_index`; `name` is the subject of those about all of it.
  result<source> finish(tensor_index& index, std::span<const index_part> parts, index_limits limits,
                        std::string_view name) noexcept {
    limits.has_any_names = true; // what JSON says is UTF-8
    return entries_.finish(index, count_, parts, block_types(), limits, name, memory_);
  }

private:
  memory_resource* memory_;
  entry_buffer entries_;
  std::uint32_t count_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
