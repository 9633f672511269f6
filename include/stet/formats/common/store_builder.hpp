// SPDX-License-Identifier: MIT
// Builds a store from the tensors that the reader of another format finds.
#ifndef STET_FORMATS_COMMON_STORE_BUILDER_HPP
#define STET_FORMATS_COMMON_STORE_BUILDER_HPP

#include "../model.hpp"

#include "../../index/detail/builder.hpp"
#include "../../manifest/detail/table.hpp"
#include "../../source/memory.hpp"
#include "../../store/detail/entry_buffer.hpp"
#include "../../store/store.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// Collects the files and tensors of another format, and makes a store from them: an index in memory over the bytes in
/// place. Used once. Not safe from several threads.
///
/// Add the files of the model first, then bytes that are not contiguous in any of them: decoded, gathered, unpacked. Names
/// and shapes are copied, so a row may view temporary memory.
class store_builder {
public:
  /// @param memory  the memory for the table of the store and for decoded bytes; nullptr: the heap
  explicit store_builder(memory_resource* memory = nullptr) noexcept : memory_(memory) {}
  /// Reserves memory for about `tensor_count` tensors, so that it does not grow in steps.
  explicit store_builder(std::size_t tensor_count, memory_resource* memory = nullptr) : memory_(memory) {
    places_.reserve(tensor_count);
    (void)make_room(tensor_count * detail::entry_buffer::usual_entry_size);
  }

  /// Adds a file.
  /// @param path  relative to the folder of the model, '/'-separated
  /// @return the number of the file, which rows use
  std::uint32_t add_file(std::string_view path, source&& bytes) {
    file_count_ = static_cast<std::uint32_t>(parts_.size() + 1);
    return add_part(path, std::move(bytes));
  }

  /// Adds bytes that are not contiguous in any file. Call it after every `add_file`.
  /// @return the number of these bytes, which rows use
  std::uint32_t add_decoded(source&& bytes) { return add_part("(decoded)", std::move(bytes)); }

  /// The memory for decoded bytes.
  [[nodiscard]] memory_resource* memory() const noexcept { return memory_; }

  /// The number of files that were added. Parts from this number on are not files.
  [[nodiscard]] std::uint32_t file_count() const noexcept { return file_count_; }

  /// The bytes of a part. They, and their `data()` and `fetcher()`, do not move when the store is made or moved. The reference
  /// is valid until the next part is added.
  [[nodiscard]] const source& part(std::uint32_t number) const noexcept { return parts_[number].bytes; }

  /// Adds a tensor, or an alias of a tensor that was added before (`alias_of`; the rest of the row is that of the original).
  /// `finish` checks it.
  void add(const index_row& row) {
    using detail::index_layout;
    if (failure_) return;
    if (row.alias_of != index_row::not_an_alias) return add_alias(row.alias_of, row.name);
    if (row.name.size() > max_name_size_bytes) return fail(error(errc::bad_name, row.name));
    if (row.shape.size() > max_rank) return fail(error(errc::bad_shape, row.name));
    const std::uint64_t size = index_layout::size_of_entry(row.shape.size(), row.name.size());
    if (!make_room(size)) return;
    const std::uint32_t block = row.layout.dtype == dtype::block ? number_of(row.layout.block) : 0;
    const errc failure = detail::write_entry(row, static_cast<std::uint32_t>(places_.size()), block, entries_.end());
    if (failure != errc{}) return fail(error(failure, row.name));
    places_.push_back(entries_.take(size));
  }
  /// Adds an alias of the tensor `original`, which was added before and is not an alias.
  /// @param name  must not view this builder
  void add_alias(std::uint32_t original, std::string_view name) {
    if (failure_) return;
    if (name.size() > max_name_size_bytes) return fail(error(errc::bad_name, name));
    if (original >= places_.size() || original_in(original) != 0) return fail(error(errc::bad_alias, name));
    const std::uint64_t size = size_of_alias(original, name.size());
    if (!make_room(size)) return;
    const std::uint32_t number = static_cast<std::uint32_t>(places_.size());
    detail::write_alias(entries_.at(places_[original]), number, name, entries_.end());
    // The number of the original, until `finish` knows its slot.
    detail::entry_field::alias_of.store(entries_.end(), original + 1);
    has_aliases_ = true;
    places_.push_back(entries_.take(size));
  }
  /// The same for an alias whose name is the first bytes of the name of the original.
  void add_alias(std::uint32_t original, std::size_t name_size_bytes) {
    // Making room moves names, so it must happen before the name is viewed.
    if (!failure_ && make_room(size_of_alias(original, name_size_bytes)))
      add_alias(original, name(original).substr(0, name_size_bytes));
  }
  /// Records an item of the file that cannot be a tensor of the store. If dtype and shape are known, use `add` with a reader
  /// that fails instead.
  void omit(std::string_view name, const error& reason) { omitted_.push_back({std::string(name), reason}); }
  /// Returns the omitted items, in the order of the calls, and removes them from the builder.
  [[nodiscard]] std::vector<omitted_item> take_omitted() noexcept { return std::move(omitted_); }
  /// Records that the alias added last is a second name (`model::is_second_name`).
  void note_second_name() {
    if (!failure_) second_names_.push_back(static_cast<std::uint32_t>(places_.size() - 1));
  }
  /// Returns the numbers of second names, ascending, and removes them from the builder.
  [[nodiscard]] std::vector<std::uint32_t> take_second_names() noexcept { return std::move(second_names_); }
  /// Records a checksum that the file states for a range of its bytes. Opening does not compare it.
  void add_check(range_check&& check) { checks_.push_back(std::move(check)); }
  /// Returns the checks, in the order of the calls, and removes them from the builder.
  [[nodiscard]] std::vector<range_check> take_checks() noexcept { return std::move(checks_); }
  /// The name of tensor `number`; valid until the next one is added.
  [[nodiscard]] std::string_view name(std::uint32_t number) const noexcept {
    return detail::entry_name(entries_.data(), places_[number]);
  }
  /// The number of tensors that were added, aliases included.
  [[nodiscard]] std::size_t tensor_count() const noexcept { return places_.size(); }

  /// Makes the store. Tensors may be in any order, overlap, and be big-endian. If tensors of a part overlap, that part is read
  /// only, so that writing to one tensor cannot change another. The builder is then empty.
  /// Errors: those of `build_index` and `check_index`, the tensor's name the subject; errc::out_of_memory.
  /// Cost: a few passes over the tensors, and sorts those of writable parts; allocates the index.
  [[nodiscard]] result<store> finish() {
    if (failure_) return *failure_;
    std::vector<index_part> parts(parts_.size());
    for (std::size_t number = 0; number < parts.size(); ++number) {
      parts[number].path = {names_.data() + parts_[number].name, parts_[number].name_size};
      parts[number].size_bytes = parts_[number].bytes.size_bytes();
    }
    store::contents made;
    result<source> table = entries_.finish(made.index, static_cast<std::uint32_t>(places_.size()), parts, blocks_, {},
                                           {}, memory_, has_aliases_);
    if (!table) return table.error();
    made.table = std::move(*table);
    result<part_sources> sources = part_sources::allocate(static_cast<std::uint32_t>(parts.size()), memory_);
    if (!sources) return sources.error();
    for (std::uint32_t number = 0; number < sources->count(); ++number)
      (*sources)[number] = std::move(parts_[number].bytes);
    detail::protect_shared_bytes(made.index, *sources);
    made.parts = std::move(*sources);
    return store(std::move(made));
  }

private:
  struct part_row {
    std::size_t name, name_size;
    source bytes;
  };
  struct own_block {
    std::string name;
    block_type type;
  };

  std::uint32_t add_part(std::string_view name, source&& bytes) {
    parts_.push_back({names_.size(), name.size(), std::move(bytes)});
    names_.insert(names_.end(), name.begin(), name.end());
    return static_cast<std::uint32_t>(parts_.size() - 1);
  }

  void fail(const error& failure) { failure_ = failure; }

  /// Makes room for `size_bytes` more bytes of entries.
  bool make_room(std::uint64_t size_bytes) {
    if (entries_.has_room(size_bytes)) return true;
    const auto made = entries_.grow(size_bytes, memory_);
    if (!made) fail(made.error());
    return bool(made);
  }
  /// The size of the entry of an alias.
  [[nodiscard]] std::uint64_t size_of_alias(std::uint32_t original, std::size_t name_size_bytes) const noexcept {
    const std::uint64_t rank = detail::entry_field::rank.load(entries_.at(places_[original]));
    return detail::index_layout::size_of_entry(rank, name_size_bytes);
  }
  /// The number of the original of the alias `number`, plus one; 0 if `number` is not an alias.
  [[nodiscard]] std::uint32_t original_in(std::uint32_t number) const noexcept {
    return detail::entry_field::alias_of.load(entries_.at(places_[number]));
  }

  /// The number of a block type. A new type is copied, since the row may be temporary.
  std::uint32_t number_of(const block_type& type) {
    result<std::uint32_t> number = blocks_.find(type);
    if (number && *number == blocks_.count()) {
      own_block& kept = own_blocks_.emplace_back(own_block{std::string(type.name), type});
      kept.type.name = kept.name;
      number = blocks_.number_of(kept.type);
    }
    if (number) return *number;
    fail(error(number.error().code(), type.name));
    return 0;
  }

  memory_resource* memory_;
  std::vector<part_row> parts_;
  std::vector<char> names_;
  detail::entry_buffer entries_;
  std::vector<std::uint32_t> places_; // where each entry begins, in units
  bool has_aliases_ = false;
  std::vector<omitted_item> omitted_;
  std::vector<std::uint32_t> second_names_; // their numbers
  std::vector<range_check> checks_;
  std::deque<own_block> own_blocks_; // never moved: `blocks_` points at them
  detail::block_types blocks_;
  std::optional<error> failure_;
  std::uint32_t file_count_ = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
