// SPDX-License-Identifier: MIT
// GGUF files as a format.
#ifndef STET_FORMATS_GGUF_FORMAT_HPP
#define STET_FORMATS_GGUF_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"
#include "save.hpp"

#include "../format.hpp"

#include "../../writer/detail/list_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The split models in a folder: the first part that is there of the first of them, and how many there are.
struct gguf_models_in_folder {
  std::string first;
  std::size_t count = 0;
};

/// Looks for the parts of split models in a folder; there are none where it cannot be listed. Cost: lists the folder.
inline gguf_models_in_folder find_gguf_models(std::string_view path, const open_options& options) {
  const std::string folder = std::string(path).append(separator_after(path));
  gguf_part_name parsed;
  const auto names = list_folder(options.files, folder, [&parsed](std::string_view name) {
    return name.ends_with(gguf_ending) && gguf_part_name::parse(name, parsed);
  });
  if (!names || names->empty()) return {};
  std::set<std::string> models; // a name without its number, which the parts of one model have in common
  for (const std::string& name : *names) {
    (void)gguf_part_name::parse(name, parsed);
    models.insert(std::string(parsed.before) + "/" + name.substr(parsed.before.size() + parsed.number_digits));
  }
  return {folder + *std::min_element(names->begin(), names->end()), models.size()};
}

/// A file that begins with the magic, or a folder with the parts of a split model.
inline bool is_gguf(format_probe& probe) {
  if (probe.is_folder()) return find_gguf_models(probe.path(), probe.options()).count != 0;
  return probe.starts_with(gguf_magic);
}

/// `format::open` of gguf_format.
inline result<model> open_gguf_model(format_probe& probe) {
  result<store> opened = store();
  if (probe.is_folder()) {
    const gguf_models_in_folder found = find_gguf_models(probe.path(), probe.options());
    if (found.count == 0) return error(errc::file_not_found, probe.path());
    if (found.count > 1)
      return error(errc::invalid_argument, std::string("several GGUF models; open one, such as ").append(found.first));
    result<source> file = open_source(found.first, probe.options());
    if (!file) return file.error();
    opened = open_gguf_source(std::move(*file), found.first, probe.options(), true);
  } else {
    result<source> file = probe.take();
    if (!file) return file.error();
    opened = open_gguf_source(std::move(*file), probe.path(), probe.options());
  }
  if (!opened) return opened.error().subject().empty() ? opened.error().about(probe.path()) : opened.error();
  const std::uint32_t file_count = opened->index().part_count() == 0 ? 1 : opened->index().part_count();
  return model{std::move(*opened), nullptr, file_count, probe.options()};
}

/// `format::save` of gguf_format.
inline result<saved_files> save_as_gguf(std::string_view path_utf8, const writer& from,
                                        const save_any_options& options) {
  gguf_save_options how;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  how.part_size_bytes = options.max_shard_size_bytes;
  how.drops_aliases = options.drops_aliases;
  const result<gguf_save_report> saved = save_gguf(path_utf8, from, how);
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, saved->part_count, 0, saved->dropped_count};
}

} // namespace detail

/// A GGUF file, a part of a split model, or the folder of one. `open_gguf` (open.hpp) opens it without the JSON library, and says
/// what is taken. The keys are the metadata: detail/metadata_types.hpp says how.
inline constexpr format gguf_format{"gguf",
                                    "GGUF files of llama.cpp and ggml",
                                    detail::is_gguf,
                                    detail::open_gguf_model,
                                    detail::describe_gguf,
                                    "gguf",
                                    ".gguf",
                                    detail::save_as_gguf,
                                    save_choice::shards | save_choice::aliases | save_choice::ggml_blocks,
                                    weight_replacement::in_place};

} // namespace stet::inline STET_NAMESPACE

#endif
