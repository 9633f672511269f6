// SPDX-License-Identifier: MIT
// safetensors files as a format.
#ifndef STET_FORMATS_SAFETENSORS_FORMAT_HPP
#define STET_FORMATS_SAFETENSORS_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"
#include "save.hpp"

#include "detail/blocks.hpp"
#include "detail/folder.hpp"

#include "../common/model_folder.hpp"
#include "../format.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// True if JSON looks like the index of a sharded model: a weight map, and the name of a file.
inline bool is_safetensors_index(const format_probe& probe) noexcept {
  if (!probe.starts_like_json()) return false;
  if (is_safetensors_index_name(file_name_in(probe.path()))) return true;
  bool has_map = false, has_file = false;
  for (const std::span<const std::byte> sample : {probe.start(), probe.end()}) {
    const std::string_view text = text_at(sample.data(), sample.size());
    has_map = has_map || text.find("\"weight_map\"") != std::string_view::npos;
    has_file = has_file || text.find(".safetensors\"") != std::string_view::npos;
  }
  return has_map && has_file;
}

/// The size of a header that the format allows, and the beginning of a JSON object; or an index.
inline bool is_safetensors(format_probe& probe) noexcept {
  const std::span<const std::byte> start = probe.start();
  if (start.size() <= safetensors_length_size_bytes) return false;
  if (load_little<std::uint64_t>(start.data()) > max_safetensors_header_size_bytes) return is_safetensors_index(probe);
  const std::string_view text = text_at(start.data() + safetensors_length_size_bytes,
                                        start.size() - static_cast<std::size_t>(safetensors_length_size_bytes));
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

/// True for a folder with such files.
inline bool is_safetensors_folder(format_probe& probe) {
  if (!probe.is_folder()) return false;
  const safetensors_folder found = safetensors_folder::list(probe.path(), probe.options());
  return !found.files.empty() || !found.indexes.empty();
}

/// Opens the sharded model whose index the file at `path_utf8` holds.
inline result<model> open_safetensors_index(const source& index, std::string_view path_utf8,
                                            const open_options& options) {
  safetensors_weight_map map(options.memory);
  if (auto read = read_safetensors_map(index, map, options.memory); !read) return read.error();
  safetensors_shards shards(options.memory);
  result<store> opened = shards.open(map, model_folder(path_utf8, options));
  if (!opened) return opened.error();
  const std::uint32_t file_count = opened->index().part_count();
  model made{std::move(*opened), nullptr, file_count, options};
  for (const index_entry entry : map.index()) {
    if (shards.is_found(entry.number())) continue;
    const std::string_view name = entry.name(), file = map.index().part(entry.part()).path;
    made.omitted.push_back({std::string(name), shards.is_file_found(entry.part())
                                                   ? error_about(errc::not_found, file, name)
                                                   : error(errc::missing_part, file)});
  }
  return made;
}

/// Opens files beside each other, which no index lists.
inline result<model> open_safetensors_files(const std::vector<std::string>& names, std::string_view folder,
                                            const open_options& options) {
  const model_folder beside(folder, options);
  std::vector<source> files;
  std::vector<std::string> sharding;
  bool has_blocks = false;
  for (const std::string& name : names) {
    result<source> opened = beside.open_part(name);
    if (!opened) return opened.error().about(name);
    result<std::string> text = dcp_sharding_text(*opened, options.memory);
    if (!text) return text.error().about(name);
    has_blocks = has_blocks || !text->empty();
    sharding.push_back(std::move(*text));
    files.push_back(std::move(*opened));
  }
  if (has_blocks) {
    store_builder into(options.memory);
    dcp_blocks blocks(into);
    for (std::size_t number = 0; number < names.size(); ++number) {
      if (auto added = blocks.add_file(names[number], std::move(files[number]), sharding[number]); !added)
        return added.error();
    }
    blocks.add_tensors();
    return finish_model(into, options);
  }
  safetensors_shards shards(options.memory);
  if (auto begun = shards.begin(static_cast<std::uint32_t>(names.size())); !begun) return begun.error();
  for (std::size_t number = 0; number < names.size(); ++number) {
    if (auto added = shards.add(names[number], std::move(files[number])); !added) return added.error();
  }
  result<store> opened = shards.finish();
  if (!opened) return opened.error();
  return model{std::move(*opened), nullptr, static_cast<std::uint32_t>(names.size()), options};
}

/// `format::open` of safetensors_format.
inline result<model> open_safetensors_model(format_probe& probe) {
  const auto about_file = [&](const error& why) { return why.subject().empty() ? why.about(probe.path()) : why; };
  if (is_safetensors_index(probe)) {
    const auto bytes = probe.bytes();
    if (!bytes) return bytes.error();
    result<model> opened = open_safetensors_index(source::borrow(*bytes), probe.path(), probe.options());
    return opened ? std::move(opened) : result<model>(about_file(opened.error()));
  }
  result<source> file = probe.take();
  if (!file) return file.error();
  result<store> opened = open_safetensors_source(std::move(*file), probe.options().memory);
  if (!opened) return about_file(opened.error());
  return model{std::move(*opened), nullptr, 1, probe.options()};
}

/// `format::open` of safetensors_folder_format.
inline result<model> open_safetensors_folder(format_probe& probe) {
  const open_options& options = probe.options();
  const safetensors_folder found = safetensors_folder::list(probe.path(), options);
  std::string path(probe.path());
  path += separator_after(path);
  const result<std::string> index = found.index();
  if (!index) return index.error();
  if (!index->empty()) {
    path += *index;
    const result<source> text = open_safetensors_map(path, options);
    if (!text) return text.error();
    result<model> opened = open_safetensors_index(*text, path, options);
    return opened || !opened.error().subject().empty() ? std::move(opened) : opened.error().about(path);
  }
  if (found.files.empty()) return error(errc::file_not_found, path);
  if (auto checked = found.check_shards(); !checked) return checked.error();
  return open_safetensors_files(found.files, path, options);
}

/// `format::save` of both rows.
template <bool IsSharded>
result<saved_files> save_as_safetensors(std::string_view path_utf8, const writer& from,
                                        const save_any_options& options) {
  safetensors_save_options how;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  how.notes_dropped_names = options.drops_aliases;
  if (options.max_shard_size_bytes != 0)
    how.max_shard_size_bytes = options.max_shard_size_bytes;
  else if (IsSharded)
    how.max_shard_size_bytes = default_safetensors_shard_size_bytes;
  const result<safetensors_save_report> saved = save_safetensors(path_utf8, from, how);
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, saved->shard_count + std::uint64_t{saved->has_index ? 1u : 0u}, 0,
                     saved->dropped_count};
}

} // namespace detail

/// A safetensors file, or the index of a sharded model (`*.safetensors.index.json`). `open_safetensors` (open.hpp) opens both
/// without the JSON library, and documents what is accepted. A tensor that the index lists and whose file or self is missing is in
/// `model::omitted`, with errc::missing_part or errc::not_found. A shard that is opened by its own name is a model of its own.
inline constexpr format safetensors_format{"safetensors",
                                           "safetensors files, and indexes of their shards",
                                           detail::is_safetensors,
                                           detail::open_safetensors_model,
                                           detail::describe_safetensors,
                                           "safetensors",
                                           detail::safetensors_ending,
                                           detail::save_as_safetensors<false>,
                                           save_choice::shards | save_choice::aliases,
                                           weight_replacement::in_place};

/// A folder with a safetensors model: one index, the shards of one model, one file, or a distributed checkpoint of PyTorch
/// (`HuggingFaceStorageWriter`), whose tensors are gathered from their blocks. A tensor that is one block is in place; reading one
/// whose blocks leave gaps or overlap is errc::bad_slice. The last format that is tried. Opening fails with the errors of
/// `safetensors_format`, and
/// @retval errc::invalid_argument  the folder has several indexes or models; the subject names one, to be given with the folder
/// @retval errc::missing_part      a shard of several, the subject, does not exist
/// @retval errc::duplicate_name    two shards have a tensor of the same name, the subject, and there is no index
inline constexpr format safetensors_folder_format{"safetensors",
                                                  "folders with a safetensors model; saved in shards with their index",
                                                  detail::is_safetensors_folder,
                                                  detail::open_safetensors_folder,
                                                  detail::describe_safetensors,
                                                  "safetensors-shards",
                                                  detail::safetensors_index_ending,
                                                  detail::save_as_safetensors<true>,
                                                  save_choice::shards | save_choice::aliases};

} // namespace stet::inline STET_NAMESPACE

#endif
