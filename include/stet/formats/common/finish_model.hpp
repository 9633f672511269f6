// SPDX-License-Identifier: MIT
// Makes a model of what was added to a store builder, and opens the files that it consists of.
#ifndef STET_FORMATS_COMMON_FINISH_MODEL_HPP
#define STET_FORMATS_COMMON_FINISH_MODEL_HPP

#include "store_builder.hpp"

#include "../model.hpp"

#include "../../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

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
  if (!made) return made;
  result<source> read = source::resident(std::move(*made), options.memory);
  return read ? std::move(read) : result<source>(read.error().about(path_utf8));
}

/// All bytes of a file that was opened on demand, in memory: mapped, that is, where it is a file of the system.
/// Errors and cost: those of `source::load`.
inline result<source> map_on_demand(const source& file, const open_options& options) noexcept {
  result<source> mapped = file.load({}, options.memory);
  // A hint: where the system does not take it, more is read than needed.
  if (mapped && !options.reads_ahead) (void)mapped->stop_read_ahead(0, mapped->size_bytes());
  return mapped;
}

/// A file in memory.
struct resident_file {
  /// All of its bytes.
  source bytes;
  /// The file that the bytes were mapped from; no bytes if they were read.
  source file;

  /// Reads the file without touching the pages of `bytes`; nullptr if it was not mapped.
  [[nodiscard]] const byte_reader* reader() const noexcept { return file.fetcher(); }
};
/// As `open_resident`, and keeps a file that is mapped for reading open, for parsers of a few bytes here and there.
inline result<resident_file> open_resident_file(std::string_view path_utf8, const open_options& options) noexcept {
  resident_file made;
  if (options.backing == backing::map && options.access == access::read_only && options.files == nullptr) {
    open_options on_demand = options;
    on_demand.backing = backing::stream;
    on_demand.range = {};
    result<source> file = open_source(path_utf8, on_demand);
    if (!file) return file.error();
    result<source> mapped = map_on_demand(*file, options);
    if (!mapped) return mapped.error().about(path_utf8);
    made.bytes = std::move(*mapped), made.file = std::move(*file);
    return made;
  }
  result<source> bytes = open_resident(path_utf8, options);
  if (!bytes) return bytes.error();
  made.bytes = std::move(*bytes);
  return made;
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
