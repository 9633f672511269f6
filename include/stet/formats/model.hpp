// SPDX-License-Identifier: MIT
// What opening a file of any format gives, and how a format is told apart from the others.
#ifndef STET_FORMATS_MODEL_HPP
#define STET_FORMATS_MODEL_HPP

#include "common/store_builder.hpp"

#include "../manifest/graph.hpp"
#include "../store/open.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// What is said of one tensor beside its dtype, shape and place.
struct tensor_note {
  std::string name;
  /// An object as `manifest_tensor::attributes`: trainable, quantization, anything.
  json_value attributes;
  friend bool operator==(const tensor_note&, const tensor_note&) = default;
};

/// What a file says of a model beside its tensors, in the terms of a manifest (manifest/manifest.hpp). A plain value.
struct model_description {
  /// The graphs; more than one where a file holds the model for several uses (the `tags` of their metadata tell them apart).
  std::vector<stet::graph> graphs;
  /// Objects; null: none.
  json_value state, metadata;
  /// For the tensors of which something is said, in the order of the store.
  std::vector<tensor_note> tensors;
  friend bool operator==(const model_description&, const model_description&) = default;
};

struct format;
class checkpoint_store;

/// An open model of any format.
struct model {
  using owns_views = void; // see `result`
  stet::store store;
  /// The row of the table of formats by which it was opened.
  const stet::format* format = nullptr;
  /// How many files it consists of: the store's own one, if it has one, and parts. Further parts hold decoded bytes.
  std::uint32_t file_count = 0;
  /// What it was opened with, for what `describe` reads.
  open_options options = {};
  /// What the files contain and the store cannot give, with the reason of each.
  std::vector<omitted_item> omitted = {};
  /// The checksums of ranges of its parts. `check_ranges` (check_model.hpp) compares them; opening does not.
  std::vector<range_check> checks = {};
  /// The names in the store that the files have as links by a path (HDF5's soft links), in the order of bytes.
  std::vector<std::string> links = {};
  /// For a native delta: its own file, then each that it builds on. The store views them. nullptr for a model of one file.
  std::shared_ptr<const checkpoint_store> files = nullptr;
  /// For a selection of the tensors of another model (select.hpp): that model, which the store views. Else nullptr.
  std::shared_ptr<const model> whole = nullptr;

  /// Whether the bytes of a tensor of the store are in one of its files, not decoded or gathered.
  [[nodiscard]] bool is_in_file(const tensor& of) const noexcept {
    return store.index().part_count() == 0 || of.entry().part() < file_count;
  }
};

/// The model of all that was added to `from`, which is spent. Errors and cost: those of `store_builder::finish`.
[[nodiscard]] inline result<model> finish_model(store_builder& from, const open_options& options = {}) {
  const std::uint32_t file_count = from.file_count();
  std::vector<omitted_item> omitted = from.take_omitted();
  std::vector<range_check> checks = from.take_checks();
  std::vector<std::string> links = from.take_links();
  std::sort(links.begin(), links.end());
  result<store> made = from.finish();
  if (!made) return made.error();
  return model{std::move(*made), nullptr, file_count, options, std::move(omitted), std::move(checks), std::move(links)};
}

namespace detail {

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

/// Why there is no file at `path_utf8`; nothing if there is one. Cost: opens it.
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
/// Whether there is a folder at `path_utf8`.
inline bool is_folder(std::string_view path_utf8, const open_options& options) noexcept {
  const std::optional<error> failure = failure_to_open(path_utf8, options);
  return failure && failure->code() == errc::not_a_regular_file;
}

} // namespace detail

/// A file, or folder, or prefix of file names, that is looked at to find its format. Reads its first and last bytes once.
class format_probe {
public:
  static constexpr std::size_t sample_size_bytes = 4096;

  /// Looks at `path_utf8`, which must outlive the probe. That it cannot be opened is an answer, too: `failure`.
  explicit format_probe(std::string_view path_utf8, const open_options& options = {}) noexcept
      : path_(path_utf8), options_(options) {
    options_.backing = backing::stream;
    options_.range = {};
    const result<source> bytes = detail::open_source(path_utf8, options_);
    if (!bytes) {
      failure_ = bytes.error();
      return;
    }
    size_bytes_ = bytes->size_bytes();
    sampled_ = size_bytes_ < sample_size_bytes ? static_cast<std::size_t>(size_bytes_) : sample_size_bytes;
    auto read = bytes->read_at(0, std::span(start_, sampled_));
    if (read) read = bytes->read_at(size_bytes_ - sampled_, std::span(end_, sampled_));
    if (!read) {
      failure_ = read.error();
      size_bytes_ = sampled_ = 0;
    }
  }

  [[nodiscard]] std::string_view path() const noexcept { return path_; }
  /// How to open what else is to be looked at.
  [[nodiscard]] const open_options& options() const noexcept { return options_; }
  /// Why the path cannot be read as a file: errc::not_a_regular_file for folders. Nothing for a file.
  [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }
  /// The size of the file.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// The first and the last bytes of the file, `sample_size_bytes` at most.
  [[nodiscard]] std::span<const std::byte> start() const noexcept { return {start_, sampled_}; }
  [[nodiscard]] std::span<const std::byte> end() const noexcept { return {end_, sampled_}; }

  /// Whether the file begins with `magic`.
  [[nodiscard]] bool starts_with(std::string_view magic) const noexcept {
    return sampled_ >= magic.size() && std::memcmp(start_, magic.data(), magic.size()) == 0;
  }
  /// Whether the file could be JSON with an object or array in it: by its first character that is no space.
  [[nodiscard]] bool starts_like_json() const noexcept {
    const std::string_view text(reinterpret_cast<const char*>(start_), sampled_);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  }
  /// Whether there is a file at the path followed by `suffix`: ".index", "/saved_model.pb". Cost: opens it.
  [[nodiscard]] bool has_file(std::string_view suffix) const {
    std::string path(path_);
    return detail::is_file(path.append(suffix), options_);
  }

private:
  std::string_view path_;
  open_options options_;
  std::optional<error> failure_;
  std::uint64_t size_bytes_ = 0;
  std::size_t sampled_ = 0;
  std::byte start_[sample_size_bytes];
  std::byte end_[sample_size_bytes];
};

/// A format that models are opened from: a row of the table in any.hpp.
struct format {
  /// "stet", "tensorflow" …
  std::string_view name;
  /// Whether the content is of this format; what it accepts may still turn out to be damaged.
  bool (*recognises)(const format_probe& probe);
  /// Opens the tensors.
  result<model> (*open)(std::string_view path_utf8, const open_options& options);
  /// Reads what is said beside them, which may take longer: `of` was opened from `path_utf8` by `open`.
  result<model_description> (*describe)(std::string_view path_utf8, const model& of);
};

} // namespace stet::inline STET_NAMESPACE

#endif
