// SPDX-License-Identifier: MIT
// Describes safetensors models: their metadata.
#ifndef STET_FORMATS_SAFETENSORS_DESCRIBE_HPP
#define STET_FORMATS_SAFETENSORS_DESCRIBE_HPP

#include "detail/blocks.hpp"
#include "detail/folder.hpp"
#include "detail/metadata.hpp"
#include "detail/save_plan.hpp"
#include "open.hpp"

#include "../common/json_members.hpp"
#include "../description.hpp"

#include "../../json.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The metadata in the header of the safetensors file that `file` holds; null if it has none.
inline result<json_value> safetensors_metadata_of(const source& file, memory_resource* memory) {
  const error changed(errc::malformed, "safetensors: header");
  source copy;
  const result<std::string_view> header = read_safetensors_header(file, copy, memory);
  if (!header) return header.error().category() > error_category::system ? changed : header.error();
  const result<std::string_view> text = safetensors_member(*header, safetensors_metadata_key);
  if (!text) return changed;
  if (text->empty()) return json_value();
  json_value made = to_json_value(json_text(*text));
  // What `save_safetensors` stored as the text of an object. Other text stays as it is.
  const json_value* const kept = find_member(made, safetensors_json_key);
  if (kept == nullptr) return made;
  result<json_value> members = parse_json(string_or_empty(kept));
  if (!members || !members->is_object()) return made;
  (void)take_member(made, safetensors_json_key);
  for (auto& [key, value] : members->items()) made[key] = value;
  return made;
}

/// The index at `path_utf8`, in memory: for reading alone, whatever the tensors are opened for. Errors: those of open_resident.
inline result<source> open_safetensors_map(std::string_view path_utf8, const open_options& options) {
  open_options only_read = options;
  only_read.access = access::read_only;
  return open_resident(path_utf8, only_read);
}

/// The object "metadata" of the index at `path_utf8`; null if it has none.
inline result<json_value> safetensors_metadata_of_index(std::string_view path_utf8, const open_options& options) {
  const error changed(errc::malformed, "safetensors: index");
  const result<source> index = open_safetensors_map(path_utf8, options);
  if (!index) return index.error();
  const result<std::string_view> text =
      safetensors_member(text_at(index->data(), static_cast<std::size_t>(index->size_bytes())), "metadata");
  if (!text) return changed;
  return text->empty() ? json_value() : to_json_value(json_text(*text));
}

/// Adds to `into` the members of `from`, if it is an object, that are not there.
inline void add_missing_members(json_value& into, json_value&& from) {
  json_value::object_t* const members = from.get_ptr<json_value::object_t*>();
  if (members == nullptr) return;
  if (into.is_null()) into = json_value::object();
  for (auto& [key, value] : *members) {
    if (!into.contains(key)) into[key] = std::move(value);
  }
}

/// `format::describe` of safetensors formats. `__metadata__`, an object of strings, is the metadata. That of shards is merged, the
/// first file that has a key wins; before them comes "metadata" of the index. What describes blocks of a distributed checkpoint
/// is left out, since the store has the whole tensors. The files were checked when they were opened; what another program wrote there
/// since is errc::malformed. Cost: reads the headers.
inline result<model_description> describe_safetensors(const model& of) {
  model_description made;
  open_options on_demand = of.options;
  on_demand.backing = backing::stream;
  on_demand.range = {};
  const std::uint32_t part_count = of.store.index().part_count();
  if (part_count == 0 && of.store.data().size_bytes() != 0) {
    const result<source> file = open_source(of.path, on_demand);
    if (!file) return file.error();
    result<json_value> metadata = safetensors_metadata_of(*file, of.options.memory);
    if (!metadata) return metadata.error();
    made.metadata = std::move(*metadata);
    return made;
  }
  std::string index(of.path);
  if (is_folder(of.path, of.options)) {
    result<std::string> found = safetensors_folder::list(of.path, of.options).index();
    if (!found) return found.error();
    index = found->empty() ? std::string() : index.append(separator_after(of.path)).append(*found);
  }
  if (!index.empty()) {
    result<json_value> metadata = safetensors_metadata_of_index(index, of.options);
    if (!metadata) return metadata.error();
    add_missing_members(made.metadata, std::move(*metadata));
  }
  for (std::uint32_t part = 0; part < of.file_count && part < part_count; ++part) {
    result<json_value> metadata = safetensors_metadata_of(of.store.part(part), of.options.memory);
    if (!metadata) return metadata.error();
    for (const std::string_view key : {dcp_sharding_key, dcp_version_key}) (void)take_member(*metadata, key);
    add_missing_members(made.metadata, std::move(*metadata));
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
