// SPDX-License-Identifier: MIT
// An open model of any format, and its description.
#ifndef STET_FORMATS_MODEL_HPP
#define STET_FORMATS_MODEL_HPP

#include "common/store_builder.hpp"

#include "../manifest/graph.hpp"
#include "../store/bind.hpp"
#include "../store/open.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The attributes of a tensor.
struct tensor_note {
  /// The name of the tensor in the store.
  std::string name;
  /// An object as `manifest_tensor::attributes`: trainable, quantization, anything.
  json_value attributes;
  friend bool operator==(const tensor_note&, const tensor_note&) = default;
};

/// The description of a model in the terms of a manifest (manifest/manifest.hpp): everything but the tensors. A plain value.
struct model_description {
  /// The graphs; more than one where a file holds the model for several uses (the `tags` of their metadata tell them apart).
  std::vector<stet::graph> graphs;
  /// The state of the session, an object; null, as in `metadata`: none.
  json_value state;
  /// Free-form fields of the model.
  json_value metadata;
  /// The tensors that have attributes, in the order of the store.
  std::vector<tensor_note> tensors;
  friend bool operator==(const model_description&, const model_description&) = default;
};

struct format;
class checkpoint_store;

/// An open model of any format.
struct model {
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// The tensors.
  stet::store store;
  /// The row of the table of formats by which it was opened.
  const stet::format* format = nullptr;
  /// The number of its files: the store's own file, if it has one, and parts. Further parts hold decoded bytes.
  std::uint32_t file_count = 0;
  /// The options that it was opened with, which `describe` uses.
  open_options options = {};
  /// Items of the files that the store cannot give, with the reason of each.
  std::vector<omitted_item> omitted = {};
  /// The checksums of ranges of its parts. `check_ranges` (check_model.hpp) compares them; opening does not.
  std::vector<range_check> checks = {};
  /// The numbers of the second names among the tensors of the store, ascending.
  std::vector<std::uint32_t> second_names = {};
  /// For a native delta: its own file, then each that it builds on. The store views them. nullptr for a model of one file.
  std::shared_ptr<const checkpoint_store> files = nullptr;
  /// For a selection of the tensors of another model (select.hpp): that model, which the store views. Else nullptr.
  std::shared_ptr<const model> whole = nullptr;
  /// Where it was opened: the path that `open_any` was given.
  std::string path = {};

  /// True if the bytes of a tensor of the store are in one of its files; false if they were decoded or gathered.
  [[nodiscard]] bool is_in_file(const tensor& of) const noexcept {
    return store.index().part_count() == 0 || of.entry().part() < file_count;
  }

  /// True for an alias that only gives a tensor a further name to be found by: "hidden/kernel" of "/layers/dense/vars/0". The
  /// readers of foreign formats make them; in a native file they have the field `second_name` (manifest/manifest.hpp). Other
  /// aliases are of the file itself: tied weights, hard links of HDF5. Cost: a binary search.
  [[nodiscard]] bool is_second_name(const tensor& of) const noexcept {
    return std::binary_search(second_names.begin(), second_names.end(), of.entry().number());
  }
};

/// The model of all that was added to `from`, which is spent. Errors and cost: those of `store_builder::finish`.
[[nodiscard]] inline result<model> finish_model(store_builder& from, const open_options& options = {}) {
  const std::uint32_t file_count = from.file_count();
  std::vector<omitted_item> omitted = from.take_omitted();
  std::vector<range_check> checks = from.take_checks();
  std::vector<std::uint32_t> second_names = from.take_second_names();
  result<store> made = from.finish();
  if (!made) return made.error();
  return model{std::move(*made),       nullptr, file_count, options, std::move(omitted), std::move(checks),
               std::move(second_names)};
}

namespace detail {

/// All bytes of a resident source.
inline std::span<const std::byte> bytes_in(const source& from) noexcept {
  return {from.data(), static_cast<std::size_t>(from.size_bytes())};
}

/// All of the file at `path_utf8` in memory: mapped, or as the program's file system has it, unless it is no larger than
/// `small_size_bytes` or `options` ask for reading; else read.
/// Errors: those of `open_source`.
inline result<source> open_resident(std::string_view path_utf8, open_options options,
                                    std::uint64_t small_size_bytes = 0) noexcept {
  options.range = {};
  if (small_size_bytes != 0 && options.files == nullptr) {
    const result<file> opened = file::open(path_utf8);
    if (!opened) return opened.error();
    if (opened->size_bytes() <= small_size_bytes) {
      result<source> read = source::read(*opened, {}, alignof(std::max_align_t), options.memory);
      return read ? std::move(read) : result<source>(read.error().about(path_utf8));
    }
  }
  if (options.backing == backing::stream) options.backing = backing::read;
  result<source> made = open_source(path_utf8, options);
  if (!made || made->data() != nullptr) return made;
  result<source> read = source::read(*made->fetcher(), {}, max_alignment_bytes, options.memory);
  return read ? std::move(read) : result<source>(read.error().about(path_utf8));
}

/// The error of opening the file at `path_utf8`; nothing if it can be opened. Cost: opens it.
inline std::optional<error> failure_to_open(std::string_view path_utf8, const open_options& options) noexcept {
  open_options only_open;
  only_open.backing = backing::stream;
  only_open.files = options.files;
  only_open.memory = options.memory;
  const result<source> opened = open_source(path_utf8, only_open);
  return opened ? std::nullopt : std::optional(opened.error());
}
inline bool is_file(std::string_view path_utf8, const open_options& options) noexcept {
  return !failure_to_open(path_utf8, options);
}
/// True if there is a folder at `path_utf8`.
inline bool is_folder(std::string_view path_utf8, const open_options& options) noexcept {
  const std::optional<error> failure = failure_to_open(path_utf8, options);
  return failure && failure->code() == errc::not_a_regular_file;
}

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
