// SPDX-License-Identifier: MIT
// Builds an index from rows that give the place of each tensor. The same rows give the same bytes everywhere.
#ifndef STET_INDEX_DETAIL_BUILDER_HPP
#define STET_INDEX_DETAIL_BUILDER_HPP

#include "layout.hpp"

#include "../index.hpp"

#include "../../vocabulary/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// The properties of one tensor, from which its entry is made.
struct index_row {
  /// `alias_of` of a tensor that is not an alias.
  static constexpr std::uint32_t not_an_alias = ~std::uint32_t{0};

  std::string_view name;
  element_layout layout;
  std::span<const std::uint64_t> shape;
  /// Number of the file that holds the tensor: 0, or a row of the parts.
  std::uint32_t part = 0;
  /// Counted from the beginning of that file.
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
  bool has_crc32c = false;
  /// The bytes of each word are in big-endian order: only for foreign files, never in a native one.
  bool big_endian = false;
  /// The number of the earlier row whose bytes this tensor shares.
  std::uint32_t alias_of = not_an_alias;
};

namespace detail {

/// The row of a tensor of another index, in the same place and no alias.
/// @param extents  its shape, which must outlive the row
inline index_row row_of(const index_entry& entry, const element_layout& layout,
                        std::span<const std::uint64_t> extents) noexcept {
  return {entry.name(),
          layout,
          extents,
          entry.part(),
          entry.offset_bytes(),
          entry.size_bytes(),
          entry.crc32c(),
          entry.has_crc32c(),
          entry.is_big_endian()};
}

/// The distinct block types of the rows, in order of first use. A few are stored in this object; more are in a hash table on the
/// heap.
class block_types {
public:
  /// The number of types that are stored in this object. GGUF has about forty.
  static constexpr std::uint32_t usual_count = 64;

  block_types() noexcept = default;
  block_types(const block_types&) = delete;
  block_types& operator=(const block_types&) = delete;
  ~block_types() noexcept { ::operator delete(more_); }

  /// The number of `type`, which is added if it is new; its name must then outlive this object.
  /// @retval errc::too_large       there are `max_block_types` others
  /// @retval errc::bad_hash_table  the types were made to collide
  /// @retval errc::out_of_memory   there is no memory for a larger table
  result<std::uint32_t> number_of(const block_type& type) noexcept {
    if (result<std::uint32_t> found = find(type); !found || *found != count_) return found;
    if (count_ == max_block_types) return errc::too_large;
    if (count_ == capacity_) {
      if (const errc failure = grow(); failure != errc{}) return failure;
    }
    types()[count_] = &type;
    if (more_ != nullptr && !enter(count_)) return errc::bad_hash_table;
    return count_++;
  }
  /// The number of `type`, or `count()` if it is new.
  /// @retval errc::bad_hash_table  the types were made to collide
  [[nodiscard]] result<std::uint32_t> find(const block_type& type) const noexcept {
    if (more_ == nullptr) {
      std::uint32_t number = 0;
      while (number < count_ && !((*this)[number] == type)) ++number;
      return number;
    }
    const std::uint32_t* const slot = slot_of(type);
    if (slot == nullptr) return errc::bad_hash_table;
    return *slot == 0 ? count_ : *slot - 1;
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] const block_type& operator[](std::uint32_t number) const noexcept { return *types()[number]; }

private:
  [[nodiscard]] const block_type* const* types() const noexcept { return more_ == nullptr ? few_ : more_; }
  [[nodiscard]] const block_type** types() noexcept { return more_ == nullptr ? few_ : more_; }
  /// The slots, twice as many as there is room for types: numbers of types, counted from 1, or 0. They follow the types.
  [[nodiscard]] std::uint32_t* slots() const noexcept { return reinterpret_cast<std::uint32_t*>(more_ + capacity_); }

  /// Makes the table four times as large.
  errc grow() noexcept {
    const std::uint32_t capacity = capacity_ * 4;
    constexpr std::size_t each = sizeof(const block_type*) + 2 * sizeof(std::uint32_t);
    void* const made = ::operator new(capacity * each, std::nothrow);
    if (made == nullptr) return errc::out_of_memory;
    const block_type** const larger = static_cast<const block_type**>(made);
    std::memcpy(larger, types(), count_ * sizeof *larger);
    ::operator delete(more_);
    more_ = larger;
    capacity_ = capacity;
    std::memset(slots(), 0, std::size_t{capacity} * 2 * sizeof(std::uint32_t));
    for (std::uint32_t number = 0; number < count_; ++number) {
      if (!enter(number)) return errc::bad_hash_table;
    }
    return {};
  }
  bool enter(std::uint32_t number) noexcept {
    std::uint32_t* const slot = slot_of((*this)[number]);
    if (slot == nullptr) return false;
    *slot = number + 1;
    return true;
  }
  /// The slot of `type`, or the free slot for it; nullptr if it is too far from the slot where the search begins.
  [[nodiscard]] std::uint32_t* slot_of(const block_type& type) const noexcept {
    const std::uint64_t mask = std::uint64_t{capacity_} * 2 - 1;
    const std::uint64_t first = hash_name(type.name, std::uint64_t{type.element_count} << 32 | type.size_bytes);
    for (std::uint64_t probe = 0; probe <= max_probe_count; ++probe) {
      std::uint32_t* const slot = slots() + ((first + probe) & mask);
      if (*slot == 0 || (*this)[*slot - 1] == type) return slot;
    }
    return nullptr;
  }

  const block_type* few_[usual_count] = {};
  const block_type** more_ = nullptr;
  std::uint32_t count_ = 0, capacity_ = usual_count;
};

/// Writes the name of an entry, and pads its last word with zeros.
inline void write_name(std::string_view name, std::byte* at) noexcept {
  if (name.empty()) return;
  store_little(at + (name.size() - 1) / 8 * 8, std::uint64_t{0});
  std::memcpy(at, name.data(), name.size());
}

/// Writes the entry of a row at `entry`: `index_layout::size_of_entry` bytes. The entry of an alias still lacks its original,
/// which `set_original` adds.
/// @param block  the number of the row's block type, for blocks
/// @return  errc{}, or errc::bad_shape when the number of elements overflows
inline errc write_entry(const index_row& row, std::uint32_t number, std::uint32_t block, std::byte* entry) noexcept {
  element_counter counter;
  std::byte* at = entry + index_layout::entry_size;
  for (const std::uint64_t extent : row.shape) {
    if (!counter.multiply(extent)) return errc::bad_shape;
    store_little(at, extent);
    at += sizeof extent;
  }
  write_name(row.name, at);
  entry_field::offset.store(entry, row.offset_bytes);
  entry_field::size.store(entry, row.size_bytes);
  entry_field::element_count.store(entry, counter.element_count());
  entry_field::crc32c.store(entry, row.has_crc32c ? row.crc32c : 0u);
  entry_field::part.store(entry, row.part);
  entry_field::alias_of.store(entry, std::uint32_t{0});
  entry_field::number.store(entry, number);
  entry_field::name_size.store(entry, static_cast<std::uint16_t>(row.name.size()));
  entry_field::block.store(entry, static_cast<std::uint16_t>(row.layout.dtype == dtype::block ? block : 0u));
  entry_field::rank.store(entry, static_cast<std::uint8_t>(row.shape.size()));
  entry_field::dtype.store(entry, static_cast<std::uint8_t>(row.layout.dtype));
  entry_field::bits.store(entry, row.layout.bits);
  entry_field::flags.store(entry, static_cast<std::uint8_t>((row.has_crc32c ? index_layout::has_crc32c : 0) |
                                                            (row.big_endian ? index_layout::big_endian : 0)));
  return errc{};
}

/// Writes at `entry` a copy of the entry `original` under another name; `set_original` must follow.
inline void write_alias(const std::byte* original, std::uint32_t number, std::string_view name,
                        std::byte* entry) noexcept {
  std::memcpy(entry, original, index_layout::entry_size);
  entry_field::number.store(entry, number);
  entry_field::name_size.store(entry, static_cast<std::uint16_t>(name.size()));
  std::byte* at = entry + index_layout::entry_size;
  for (std::size_t rank = entry_field::rank.load(original); rank != 0; --rank, at += 8) {
    std::memcpy(at, original + (at - entry), 8);
  }
  write_name(name, at);
}

/// Fills the slots of the index at `index`, which are zero, with all of its entries.
/// @param found_at  empty, or one number for each tensor, which is set to its slot
/// @return  errc{}; errc::bad_hash_table if a name is too far from its first slot (the slots must then be cleared); or
///          errc::duplicate_name, and `name` is the name that occurs twice
inline errc fill_hash_table(std::byte* index, const index_layout& layout, std::uint64_t seed, std::string_view& name,
                            std::span<std::uint32_t> found_at) noexcept {
  std::byte* const slots = index + layout.slots;
  const std::uint64_t mask = layout.slot_count - 1;
  std::uint64_t next = layout.entries / index_layout::unit;
  for (std::uint32_t number = 0; number < layout.tensor_count;) {
    std::uint64_t hashes[slot_batch_size];
    std::uint32_t places[slot_batch_size], count = 0;
    for (; count < slot_batch_size && number + count < layout.tensor_count; ++count) {
      places[count] = static_cast<std::uint32_t>(next);
      name = entry_name(index, places[count]);
      hashes[count] = hash_name(name, seed);
      load_ahead(slots + (hashes[count] & mask) * index_layout::slot_size);
      const std::uint64_t rank = entry_field::rank.load(index + next * index_layout::unit);
      next += index_layout::size_of_entry(rank, name.size()) / index_layout::unit;
    }
    for (std::uint32_t i = 0; i < count; ++i, ++number) {
      const std::uint32_t tag = static_cast<std::uint32_t>(hashes[i] >> 32);
      std::uint64_t slot = hashes[i] & mask;
      for (const std::uint64_t last = slot + max_probe_count;; ++slot) {
        if (slot > last) return errc::bad_hash_table;
        std::byte* const at = slots + (slot & mask) * index_layout::slot_size;
        const std::uint32_t occupant = slot_field::place.load(at);
        if (occupant == 0) {
          slot_field::tag.store(at, tag);
          slot_field::place.store(at, places[i]);
          break;
        }
        if (slot_field::tag.load(at) != tag) continue;
        name = entry_name(index, places[i]);
        if (entry_name(index, occupant) == name) return errc::duplicate_name;
      }
      if (!found_at.empty()) found_at[number] = static_cast<std::uint32_t>(slot & mask);
    }
  }
  return errc{};
}

/// Sets the original of the alias at `entry`, by the number of the slot of the original.
inline void set_original(std::byte* entry, std::uint32_t slot) noexcept {
  entry_field::alias_of.store(entry, slot + 1);
}

/// The layout of an index of these rows.
inline result<index_layout> lay_out_index(std::span<const index_row> rows, std::span<const index_part> parts,
                                          block_types& blocks) noexcept {
  constexpr std::size_t limit = 0x40000000u;
  if (rows.size() > limit || parts.size() > limit) return errc::too_large;
  index_layout layout;
  layout.tensor_count = static_cast<std::uint32_t>(rows.size());
  layout.part_count = static_cast<std::uint32_t>(parts.size());
  layout.slot_count = slot_count_for(layout.tensor_count);
  for (const index_row& row : rows) {
    if (row.name.size() > max_name_size_bytes) return error(errc::bad_name, row.name);
    if (row.shape.size() > max_rank) return error(errc::bad_shape, row.name);
    layout.entries_size += index_layout::size_of_entry(row.shape.size(), row.name.size());
    if (row.layout.dtype != dtype::block) continue;
    if (const auto number = blocks.number_of(row.layout.block); !number) return error(number.error().code(), row.name);
  }
  for (const index_part& part : parts) layout.names_size += part.path.size();
  layout.block_count = blocks.count();
  for (std::uint32_t i = 0; i < blocks.count(); ++i) layout.names_size += blocks[i].name.size();
  if (!layout.place() || layout.names_size > limit) return errc::too_large;
  return layout;
}

/// Appends names to the pool of an index, and writes references to them.
class name_pool {
public:
  explicit name_pool(std::byte* pool) noexcept : pool_(pool) {}
  /// Appends `name`, and writes its offset and size to `reference`, 4 bytes each.
  void append(std::string_view name, std::byte* reference) noexcept {
    name_field::offset.store(reference, size_);
    name_field::size.store(reference, static_cast<std::uint32_t>(name.size()));
    if (!name.empty()) std::memcpy(pool_ + size_, name.data(), name.size());
    size_ += static_cast<std::uint32_t>(name.size());
  }

private:
  std::byte* pool_;
  std::uint32_t size_ = 0;
};

/// Writes the rest of an index whose entries are already written: header, parts, block types, slots and names.
/// @param found_at  as for `fill_hash_table`
/// Errors: those of `build_index` that concern names.
inline result<void> complete_index(std::byte* index, const index_layout& layout, std::span<const index_part> parts,
                                   const block_types& blocks, std::span<std::uint32_t> found_at = {}) noexcept {
  std::memset(index, 0, static_cast<std::size_t>(layout.entries));
  index_field::tensor_count.store(index, layout.tensor_count);
  index_field::part_count.store(index, layout.part_count);
  index_field::block_count.store(index, layout.block_count);
  index_field::slot_count.store(index, layout.slot_count);
  index_field::entries_size.store(index, layout.entries_size);
  index_field::names_size.store(index, layout.names_size);

  std::memset(index + layout.names, 0, static_cast<std::size_t>(layout.size_bytes - layout.names));
  name_pool names(index + layout.names);
  std::byte* at = index + index_layout::header_size;
  for (const index_part& part : parts) {
    names.append(part.path, at);
    part_field::file_size.store(at, part.size_bytes);
    part_field::content_id.store(at, part.content_id);
    part_field::flags.store(at, part.has_header ? 1u : 0u);
    at += index_layout::part_size;
  }
  for (std::uint32_t number = 0; number < blocks.count(); ++number, at += index_layout::block_size) {
    names.append(blocks[number].name, at);
    block_field::element_count.store(at, blocks[number].element_count);
    block_field::size.store(at, blocks[number].size_bytes);
  }

  constexpr std::uint64_t seed_limit = 64;
  for (std::uint64_t seed = 0; seed < seed_limit; ++seed) {
    std::string_view name;
    const errc failure = fill_hash_table(index, layout, seed, name, found_at);
    if (failure == errc::duplicate_name) return error(failure, name);
    index_field::hash_seed.store(index, seed);
    if (failure == errc{}) return {};
    std::memset(index + layout.slots, 0, layout.slot_count * std::size_t{index_layout::slot_size});
  }
  return errc::bad_hash_table;
}

} // namespace detail

/// The bytes that `build_index` needs for these rows.
/// @retval errc::bad_shape  a tensor has more than `max_rank` dimensions
/// @retval errc::too_large  too many rows or names for one index, or more than 65536 block types
/// @retval errc::bad_hash_table, out_of_memory  of more than 64 block types: they were made to collide, or there is no memory
/// Cost: reads every row. Allocates only for more than 64 block types, 16 bytes for each.
inline result<std::uint64_t> index_size_bytes(std::span<const index_row> rows,
                                              std::span<const index_part> parts) noexcept {
  detail::block_types blocks;
  const result<detail::index_layout> layout = detail::lay_out_index(rows, parts, blocks);
  if (!layout) return layout.error();
  return layout->size_bytes;
}

/// Writes the index of `rows` and `parts` to `into`, whose size is `index_size_bytes`. The rows are not checked: call
/// `check_index` on the result.
/// @retval errc::duplicate_name  two rows have the same name (the subject)
/// @retval errc::bad_hash_table  no seed keeps every name near its first slot: the names were made to collide
/// @retval errc::size_mismatch   `into` has another size
/// Cost: a few passes over the rows; allocates as `index_size_bytes` does. Deterministic.
/// Source: format.hpp, "Index".
inline result<void> build_index(std::span<const index_row> rows, std::span<const index_part> parts,
                                std::span<std::byte> into) noexcept {
  using detail::index_layout;
  using detail::store_little;
  detail::block_types blocks;
  const result<index_layout> laid_out = detail::lay_out_index(rows, parts, blocks);
  if (!laid_out) return laid_out.error();
  const index_layout& layout = *laid_out;
  if (into.size() != layout.size_bytes) return errc::size_mismatch;
  std::byte* const base = into.data();
  std::byte* entry = base + layout.entries;
  for (std::uint32_t number = 0; number < layout.tensor_count; ++number) {
    const index_row& row = rows[number];
    // Every type was added before, so `find` succeeds.
    const std::uint32_t block = row.layout.dtype == dtype::block ? *blocks.find(row.layout.block) : 0;
    if (const errc failure = detail::write_entry(row, number, block, entry); failure != errc{})
      return error(failure, row.name);
    entry += index_layout::size_of_entry(row.shape.size(), row.name.size());
  }
  if (auto completed = detail::complete_index(base, layout, parts, blocks); !completed) return completed;

  // A row refers to its original by row; the entry refers to it by slot, which is known by now.
  entry = base + layout.entries;
  for (const index_row& row : rows) {
    if (row.alias_of != index_row::not_an_alias) {
      if (row.alias_of >= rows.size()) return error(errc::bad_alias, row.name);
      const std::byte* const slot = detail::find_slot(base, layout, rows[row.alias_of].name);
      const std::uint64_t offset = static_cast<std::uint64_t>(slot - base) - layout.slots;
      detail::set_original(entry, static_cast<std::uint32_t>(offset / index_layout::slot_size));
    }
    entry += index_layout::size_of_entry(row.shape.size(), row.name.size());
  }
  return {};
}

/// Sets the checksums in an index that `build_index` made from the same rows before their checksums were known.
/// Cost: one pass over the entries.
inline void set_checksums(std::span<std::byte> index, std::span<const index_row> rows) noexcept {
  using detail::index_layout;
  std::uint64_t at = detail::index_field::entries_size.load(index.data());
  at = index.size() - at - (detail::index_field::names_size.load(index.data()) + 7) / 8 * 8;
  for (const index_row& row : rows) {
    std::byte* const entry = index.data() + static_cast<std::size_t>(at);
    detail::entry_field::crc32c.store(entry, row.has_crc32c ? row.crc32c : 0u);
    at += index_layout::size_of_entry(row.shape.size(), row.name.size());
  }
}

} // namespace stet::inline STET_NAMESPACE

#endif
