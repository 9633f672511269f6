// SPDX-License-Identifier: MIT
// Makes a store of the tensors that a reader of another format finds.
#ifndef STET_FORMATS_STORE_BUILDER_HPP
#define STET_FORMATS_STORE_BUILDER_HPP

#include "../index/check.hpp"
#include "../store/store.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline v0_1 {

/// Collects files and tensors of another format, and makes the store of them: an index in memory over the bytes where they
/// lie. Used once; not by several threads.
///
/// First come the files of the model, then, as need be, bytes that lie in none of them as they are: decoded, gathered,
/// unpacked. Names and shapes are copied, so a row may view anything.
class store_builder {
public:
  /// A store of about `tensor_count` tensors, which saves memory from growing in steps.
  explicit store_builder(std::size_t tensor_count = 0) { tensors_.reserve(tensor_count); }

  /// Adds a file.
  /// @param path  relative to the folder of the model, '/'-separated
  /// @return the number by which rows name it
  std::uint32_t add_file(std::string_view path, source&& bytes) {
    file_count_ = static_cast<std::uint32_t>(parts_.size() + 1);
    return add_part(path, std::move(bytes));
  }

  /// Adds bytes that lie in no file as they are. Comes after every `add_file`.
  /// @return the number by which rows name them
  std::uint32_t add_decoded(source&& bytes) { return add_part("(decoded)", std::move(bytes)); }

  /// How many files were added; parts from this number on are no files.
  [[nodiscard]] std::uint32_t file_count() const noexcept { return file_count_; }

  /// The bytes of a part: they, and their `data()` and `fetcher()`, stay where they are when the store is made and moved.
  /// The reference lasts until the next part is added.
  [[nodiscard]] const source& part(std::uint32_t number) const noexcept { return parts_[number].bytes; }

  /// Adds a tensor, or a second name of one that was added before (`alias_of`). `finish` checks it.
  void add(const index_row& row) {
    tensors_.push_back({row, names_.size(), extents_.size()});
    names_.insert(names_.end(), row.name.begin(), row.name.end());
    extents_.insert(extents_.end(), row.shape.begin(), row.shape.end());
  }
  /// How many tensors, second names counted, were added.
  [[nodiscard]] std::size_t tensor_count() const noexcept { return tensors_.size(); }

  /// Makes the store, in which tensors may stand in any order, overlap, and be big-endian. The builder is spent.
  /// Errors: those of `build_index` and `check_index`, the tensor's name the subject; errc::out_of_memory.
  /// Cost: a few passes over the rows; allocates the index.
  [[nodiscard]] result<store> finish() {
    std::vector<index_part> parts(parts_.size());
    for (std::size_t number = 0; number < parts.size(); ++number) {
      parts[number].path = text(parts_[number].name, parts_[number].name_size);
      parts[number].size_bytes = parts_[number].bytes.size_bytes();
    }
    std::vector<index_row> rows(tensors_.size());
    for (std::size_t number = 0; number < rows.size(); ++number) {
      const tensor_row& from = tensors_[number];
      rows[number] = from.row;
      rows[number].name = text(from.name, from.row.name.size());
      rows[number].shape = std::span(extents_).subspan(from.extents, from.row.shape.size());
    }
    const result<std::uint64_t> size_bytes = index_size_bytes(rows, parts);
    if (!size_bytes) return size_bytes.error();
    result<source> table = source::allocate(*size_bytes);
    if (!table) return table.error();
    const std::span<std::byte> index(table->writable_data(), static_cast<std::size_t>(*size_bytes));
    if (auto built = build_index(rows, parts, index); !built) return built.error();
    index_limits limits;
    limits.foreign = true;
    const result<tensor_index> checked = check_index(index, limits);
    // The checker names places in the index, which nobody has seen.
    if (!checked) return error(checked.error().code(), checked.error().subject());

    store::contents made;
    made.table = std::move(*table);
    made.index = *checked;
    result<part_sources> sources = part_sources::allocate(static_cast<std::uint32_t>(parts_.size()));
    if (!sources) return sources.error();
    for (std::uint32_t number = 0; number < sources->count(); ++number) {
      (*sources)[number] = std::move(parts_[number].bytes);
    }
    made.parts = std::move(*sources);
    return store(std::move(made));
  }

private:
  struct part_row {
    std::size_t name, name_size;
    source bytes;
  };
  /// Name and shape of `row` stand in the pools from `name` and `extents` on.
  struct tensor_row {
    index_row row;
    std::size_t name, extents;
  };

  std::uint32_t add_part(std::string_view name, source&& bytes) {
    parts_.push_back({names_.size(), name.size(), std::move(bytes)});
    names_.insert(names_.end(), name.begin(), name.end());
    return static_cast<std::uint32_t>(parts_.size() - 1);
  }
  [[nodiscard]] std::string_view text(std::size_t at, std::size_t size) const noexcept { return {names_.data() + at, size}; }

  std::vector<part_row> parts_;
  std::vector<tensor_row> tensors_;
  std::vector<char> names_;
  std::vector<std::uint64_t> extents_;
  std::uint32_t file_count_ = 0;
};

} // namespace stet::inline v0_1

#endif
