// SPDX-License-Identifier: MIT
// stet's own files as a format: single, in parts, loose, and sharded checkpoints; a delta with the files that it builds on.
#ifndef STET_FORMATS_NATIVE_FORMAT_HPP
#define STET_FORMATS_NATIVE_FORMAT_HPP

#include "../description.hpp"
#include "../format.hpp"
#include "../common/second_name.hpp"

#include "../../checkpoint/delta.hpp"
#include "../../manifest.hpp"
#include "../../manifest/graph_json.hpp"
#include "../../source/detail/borrow_source.hpp"
#include "../../writer/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// A loose manifest says near its beginning that it is one, by the key "stet"; only then is a JSON file taken for it.
inline bool is_native(format_probe& probe) {
  if (has_native_magic(probe.start())) return true;
  if (!probe.starts_like_json()) return false;
  constexpr std::string_view key = "\"stet\"";
  const std::string_view text(reinterpret_cast<const char*>(probe.start().data()), probe.start().size());
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    const std::size_t next = text.find_first_not_of(" \t\r\n", at + key.size());
    if (next != std::string_view::npos && text[next] == ':') return true;
  }
  return false;
}

/// A store that views another, which must stay open and in place.
inline result<store> borrow_store(const store& of, memory_resource* memory) {
  store::contents made;
  made.index = of.index();
  made.manifest = of.manifest_text();
  made.alignment_bytes = of.alignment_bytes();
  made.data = borrow_source(of.data());
  result<part_sources> parts = part_sources::allocate(of.index().part_count(), memory);
  if (!parts) return parts.error();
  for (std::uint32_t number = 0; number < parts->count(); ++number) (*parts)[number] = borrow_source(of.part(number));
  made.parts = std::move(*parts);
  return store(std::move(made));
}

void mark_second_names(model& native);

/// The number of files of an open native store.
inline std::uint32_t file_count_of(const store& of) noexcept {
  std::uint32_t count = 1;
  for (std::uint32_t part = 0; part < of.index().part_count(); ++part) {
    if (is_file_part(of.index().part(part).path)) ++count;
  }
  return count;
}

/// The model of an open checkpoint, with all files that it builds on.
inline result<model> model_of_checkpoint(checkpoint_store&& opened, const open_options& options) {
  auto files = kept<const checkpoint_store>::of(std::move(opened));
  result<store> all = borrow_store(**files, options.memory);
  if (!all) return all.error();
  std::uint32_t file_count = 0;
  for (std::size_t number = 0; number < files->file_count(); ++number) file_count += file_count_of(files->file(number));
  model made{std::move(*all), nullptr, file_count, options, {}, {}, {}, std::move(files)};
  mark_second_names(made);
  return made;
}

inline result<model> open_native(format_probe& probe) {
  const std::string_view path = probe.path();
  const open_options& options = probe.options();
  if (auto possible = check_writing(options); !possible) return possible.error().about(path);
  const bool is_all = options.range.offset_bytes == 0 && options.range.size_bytes == file_range::to_end;
  result<source> bytes = is_all ? probe.take() : open_source(path, options);
  if (!bytes) return bytes.error();
  result<store> opened = read_manifest(std::move(*bytes), parts_in_folder(path, options), options.memory);
  if (!opened) return opened.error().subject().empty() ? opened.error().about(path) : opened.error();
  const result<std::optional<delta_base>> base = base_of(*opened);
  if (!base) return base.error();
  if (*base) {
    result<checkpoint_store> all = open_checkpoint(path, options);
    return all ? model_of_checkpoint(std::move(*all), options) : all.error();
  }
  const std::uint32_t file_count = file_count_of(*opened);
  model made{std::move(*opened), nullptr, file_count, options};
  mark_second_names(made);
  return made;
}

} // namespace detail

/// The store of a native model's own file: of a delta, without those that it builds on. It has the manifest.
[[nodiscard]] inline const store& own_store_of(const model& of) noexcept {
  if (of.whole != nullptr) return own_store_of(*of.whole);
  return of.files != nullptr ? of.files->file(0) : of.store;
}

/// The name of the file that a delta builds on; empty if the model is no delta. Lives as long as the model.
[[nodiscard]] inline std::string_view base_name_of(const model& of) noexcept {
  if (of.whole != nullptr) return base_name_of(*of.whole);
  return of.files != nullptr && of.files->file_count() > 1 ? std::string_view(of.files->file_name(1))
                                                           : std::string_view();
}

namespace detail {

/// What the manifests of a native model say of all its tensors; `tensors` are those of which something is said, in the order of
/// the store. Of a delta, the field "base" is left out, and of a sharded checkpoint "shards".
inline result<manifest> merged_manifest(const model& of) {
  if (of.whole != nullptr) return merged_manifest(*of.whole);
  if (of.files == nullptr || of.files->file_count() == 1) return parse_with_shards(own_store_of(of));
  result<checkpoint_fields> fields = fields_of(*of.files);
  if (!fields) return fields.error();
  manifest made = std::move(fields->newest);
  made.extra = without_member(made.extra, "base");
  for (const tensor each : of.store) {
    const auto found = fields->attributes.find(each.name());
    made.tensors.emplace_back();
    made.tensors.back().name = each.name();
    if (found != fields->attributes.end()) made.tensors.back().attributes = std::move(found->second);
  }
  return made;
}

/// Finds the aliases that are second names by the manifests. If these cannot be read there are none: describing the model is the
/// error. Cost: a walk over the index; for a model with aliases, a search of the manifests; if one has the field, parses them.
inline void mark_second_names(model& native) {
  const auto is_alias = [&](const tensor& each) { return bool(native.store.index().original_of(each.entry())); };
  if (std::none_of(native.store.begin(), native.store.end(), is_alias)) return;
  const std::size_t file_count = native.files == nullptr ? 1 : native.files->file_count();
  bool is_any = false;
  for (std::size_t number = 0; number < file_count && !is_any; ++number) {
    const store& file = native.files == nullptr ? native.store : native.files->file(number);
    // The manifest of a head says nothing of tensors.
    is_any = is_without_index(file.data()) || file.manifest_text().find(second_name_field) != std::string_view::npos;
  }
  if (!is_any) return;
  const result<manifest> parsed = merged_manifest(native);
  if (!parsed) return;
  std::unordered_set<std::string_view> names;
  for (const manifest_tensor& each : parsed->tensors) {
    if (has_second_name_field(each.attributes)) names.insert(each.name);
  }
  for (const tensor each : native.store) {
    if (is_alias(each) && names.count(each.name()) != 0) native.second_names.push_back(each.entry().number());
  }
}

inline result<model_description> describe_native(const model& of) {
  result<manifest> parsed = merged_manifest(of);
  if (!parsed) return parsed.error();
  model_description made;
  if (!parsed->graph.empty()) {
    result<graph> read = graph_from_json(to_json_value(parsed->graph));
    if (!read) return read.error();
    made.graphs.push_back(std::move(*read));
  }
  made.state = to_json_value(parsed->state);
  made.metadata = to_json_value(parsed->metadata);
  for (manifest_tensor& each : parsed->tensors) {
    if (!each.attributes.empty()) made.tensors.push_back({std::move(each.name), to_json_value(each.attributes)});
  }
  return made;
}

inline result<saved_files> save_native(std::string_view path_utf8, const writer& from,
                                       const save_any_options& options) {
  save_options how;
  how.alignment_bytes = options.alignment_bytes;
  how.layout = options.layout;
  how.page_size_bytes = options.page_size_bytes;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  if (options.max_shard_size_bytes != 0) {
    how.form = store_form::sharded;
    how.max_part_size_bytes = options.max_shard_size_bytes;
  }
  const result<save_report> saved = from.save(path_utf8, how);
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, saved->part_count + std::uint64_t{1}, 0};
}

} // namespace detail

/// A native file, or the manifest of a loose store. A sharded checkpoint is opened as one store of its tensors. A delta is opened with its
/// base, which lies beside it, and has the tensors of both. Opening fails as `open` with `read_manifest` and `open_checkpoint` do:
/// @retval errc::missing_base   the file is a delta, and a file that it builds on, the subject, is missing
/// @retval errc::part_mismatch  that file is not the one that the delta was made from: its content digest is another
inline constexpr format native_format{"stet",
                                      "native files: single, sharded, loose; a delta together with its base",
                                      detail::is_native,
                                      detail::open_native,
                                      detail::describe_native,
                                      "stet",
                                      ".stet",
                                      detail::save_native,
                                      save_choice::shards | save_choice::ggml_blocks | save_choice::layout};

} // namespace stet::inline STET_NAMESPACE

#endif
