// SPDX-License-Identifier: MIT
// Collects the tensors and aliases of a file one by one and makes the index of a store of them.
#ifndef STET_FORMATS_COMMON_INDEX_COLLECTOR_HPP
#define STET_FORMATS_COMMON_INDEX_COLLECTOR_HPP

#include "../../index/detail/builder.hpp"
#include "../../source/source.hpp"
#include "../../store/detail/entry_buffer.hpp"
#include "../../store/store.hpp"
#include "../../vocabulary/detail/heap_sort.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The index of a foreign file while it is made: without exceptions, and with memory from the program. Names must be UTF-8 without
/// NUL; the caller checks them. Block types are for `store_builder`. Used once.
class index_collector {
public:
  /// @param memory  for the index; nullptr: the heap
  explicit index_collector(memory_resource* memory) noexcept : memory_(memory) {}

  /// The number of tensors and aliases so far.
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  /// The size of the entries so far: the place of the next one.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return entries_.size_bytes(); }
  /// The name of the entry at `place`. Valid until the next is added.
  [[nodiscard]] std::string_view name_at(std::size_t place) const noexcept {
    return entry_name(entries_.data() + place, 0);
  }
  /// The size of the entry at `place`.
  [[nodiscard]] std::size_t size_at(std::size_t place) const noexcept {
    const std::byte* const entry = entries_.data() + place;
    return static_cast<std::size_t>(
        index_layout::size_of_entry(entry_field::rank.load(entry), entry_field::name_size.load(entry)));
  }

  /// Makes room for `size` more bytes of entries and names, so that adding them moves nothing.
  /// @retval errc::out_of_memory
  result<void> make_room(std::uint64_t size) noexcept {
    return entries_.has_room(size) ? result<void>() : entries_.grow(size + entry_buffer::usual_entry_size, memory_);
  }
  /// The room that a tensor or alias takes while it is added.
  static std::uint64_t room_for(std::size_t rank, std::size_t name_size) noexcept {
    return index_layout::size_of_entry(rank, name_size) + name_size;
  }

  /// Adds a tensor whose name is `pieces`, one after the other. `row.name` is not used.
  /// @retval errc::bad_name, bad_shape  the name is too long, the number of elements overflows, or the rank is above `max_rank`
  /// @retval errc::out_of_memory
  result<void> add(index_row row, std::span<const std::string_view> pieces) noexcept {
    const std::size_t name_size = size_of(pieces);
    if (name_size > max_name_size_bytes) return error(errc::bad_name, pieces.front());
    if (row.shape.size() > max_rank) return error(errc::bad_shape, pieces.front());
    if (auto there = make_room(room_for(row.shape.size(), name_size)); !there) return there;
    const std::uint64_t size = index_layout::size_of_entry(row.shape.size(), name_size);
    row.name = join(pieces, size, name_size);
    if (const errc failure = write_entry(row, count_, 0, entries_.end()); failure != errc{})
      return error(failure, row.name);
    (void)entries_.take(size);
    ++count_;
    return {};
  }
  /// Adds an alias of the tensor `number`, whose entry is at `place`, and whose name is `pieces`, one after the other. Room was made.
  void add_alias(std::uint32_t number, std::size_t place, std::span<const std::string_view> pieces) noexcept {
    const std::byte* const original = entries_.data() + place;
    const std::size_t name_size = size_of(pieces);
    const std::uint64_t size = index_layout::size_of_entry(entry_field::rank.load(original), name_size);
    write_alias(original, count_, join(pieces, size, name_size), entries_.end());
    entry_field::alias_of.store(entries_.end(), number + 1); // the number, until `finish` knows the slot
    (void)entries_.take(size);
    ++count_;
    has_aliases_ = true;
  }

  /// Makes the index. The entries are then spent.
  /// @param index            set to a view of the memory that is returned
  /// @param parts            the files; empty: the one file is the store's own
  /// @param data_size_bytes  the size of that file
  /// Errors: those of `build_index` and `check_index`.
  result<source> finish(tensor_index& index, std::span<const index_part> parts,
                        std::uint64_t data_size_bytes) noexcept {
    index_limits limits;
    limits.data_end_bytes = data_size_bytes;
    limits.has_any_names = true;
    return entries_.finish(index, count_, parts, block_types(), limits, "number of tensors", memory_, has_aliases_);
  }

private:
  static std::size_t size_of(std::span<const std::string_view> pieces) noexcept {
    std::size_t size = 0;
    for (const std::string_view each : pieces) size += each.size();
    return size;
  }
  /// Joins the pieces behind the next entry, from which they are copied when it is written.
  std::string_view join(std::span<const std::string_view> pieces, std::uint64_t entry_size,
                        std::size_t name_size) noexcept {
    char* const name = reinterpret_cast<char*>(entries_.end() + entry_size);
    char* at = name;
    for (const std::string_view each : pieces) {
      if (!each.empty()) std::memcpy(at, each.data(), each.size());
      at += each.size();
    }
    return text_at(name, name_size);
  }

  memory_resource* memory_;
  entry_buffer entries_;
  std::uint32_t count_ = 0;
  bool has_aliases_ = false;
};

/// True if tensors of `index` that are not aliases overlap in part `part`. Cost: sorts them; allocates 16 bytes for each.
inline result<bool> has_shared_bytes(const tensor_index& index, std::uint32_t part, memory_resource* memory) noexcept {
  struct range {
    std::uint64_t begin, end;
  };
  result<source> room = source::allocate(index.tensor_count() * std::uint64_t{sizeof(range)}, memory);
  if (!room) return room.error();
  range* const ranges = reinterpret_cast<range*>(room->writable_data());
  std::size_t count = 0;
  for (const index_entry each : index) {
    if (each.part() != part || each.size_bytes() == 0 || index.original_of(each)) continue;
    ranges[count++] = {each.offset_bytes(), each.offset_bytes() + each.size_bytes()};
  }
  heap_sort(ranges, count, [](const range& a, const range& b) { return a.begin < b.begin; });
  for (std::size_t number = 1; number < count; ++number) {
    if (ranges[number].begin < ranges[number - 1].end) return true;
  }
  return false;
}

/// The store of one foreign file while it is made, with memory from the program and without exceptions. Used once.
class store_collector {
public:
  /// @param memory  for the index; nullptr: the heap
  explicit store_collector(memory_resource* memory) noexcept : memory_(memory), rows_(memory) {}

  /// The tensors. Those of part 0 are in the file.
  [[nodiscard]] index_collector& rows() noexcept { return rows_; }
  /// Adds bytes that are not in the file as they are. @return their part
  /// @retval errc::out_of_memory
  result<std::uint32_t> add_decoded(source&& bytes) noexcept {
    if (decoded_count_ == decoded_.count()) {
      result<part_sources> larger = part_sources::allocate(decoded_count_ == 0 ? 4 : decoded_count_ * 2, memory_);
      if (!larger) return larger.error();
      for (std::uint32_t number = 0; number < decoded_count_; ++number) (*larger)[number] = std::move(decoded_[number]);
      decoded_ = std::move(*larger);
    }
    decoded_[decoded_count_++] = std::move(bytes);
    return decoded_count_;
  }

  /// Makes the store. If tensors share bytes of the file, it is read-only, so that writing to one cannot change another.
  /// @param file       where tensors of part 0 are
  /// @param name       of the file, for a store with parts
  /// @param has_parts  the file is a part of the store; it also is if bytes were decoded
  /// Errors: those of `build_index`; errc::out_of_memory.
  result<store> finish(source&& file, std::string_view name, bool has_parts = false) noexcept {
    store::contents made;
    result<source> rows = source::allocate((decoded_count_ + 1) * std::uint64_t{sizeof(index_part)}, memory_);
    if (!rows) return rows.error();
    index_part* const parts = reinterpret_cast<index_part*>(rows->writable_data());
    const std::uint32_t part_count = decoded_count_ == 0 && !has_parts ? 0 : decoded_count_ + 1;
    for (std::uint32_t number = 0; number < part_count; ++number) {
      const bool is_file = number == 0;
      ::new (static_cast<void*>(parts + number))
          index_part{is_file ? name : std::string_view("(decoded)"),
                     is_file ? file.size_bytes() : decoded_[number - 1].size_bytes(), 0, false};
    }
    result<source> table = rows_.finish(made.index, {parts, part_count}, file.size_bytes());
    if (!table) return table.error();
    if (file.is_writable()) {
      const result<bool> is_shared = has_shared_bytes(made.index, 0, memory_);
      if (!is_shared) return is_shared.error();
      if (*is_shared) file.make_read_only();
    }
    made.table = std::move(*table);
    if (part_count == 0) {
      made.data = std::move(file);
    } else {
      result<part_sources> all = part_sources::allocate(part_count, memory_);
      if (!all) return all.error();
      (*all)[0] = std::move(file);
      for (std::uint32_t number = 1; number < part_count; ++number) (*all)[number] = std::move(decoded_[number - 1]);
      made.parts = std::move(*all);
    }
    return store(std::move(made));
  }

private:
  memory_resource* memory_;
  index_collector rows_;
  part_sources decoded_;
  std::uint32_t decoded_count_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
