// SPDX-License-Identifier: MIT
// stet's own files as one of the formats: single, sharded and loose.
#ifndef STET_FORMATS_NATIVE_HPP
#define STET_FORMATS_NATIVE_HPP

#include "model.hpp"

#include "../manifest.hpp"

#include <string_view>
#include <utility>

namespace stet::inline v0_1 {

namespace detail {

/// A loose manifest says near its beginning that it is one, by the key "stet"; only then is a JSON file taken for it.
inline bool is_native(const format_probe& probe) {
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

inline result<model> open_native(std::string_view path_utf8, const open_options& options) {
  result<store> opened = open_manifest(path_utf8, options);
  if (!opened) return opened.error();
  const std::uint32_t file_count = 1 + opened->index().part_count();
  return model{std::move(*opened), nullptr, file_count, options};
}

inline result<model_description> describe_native(std::string_view, const model& of) {
  result<manifest> parsed = parse_manifest(of.store.manifest_text());
  if (!parsed) return parsed.error();
  model_description made;
  if (!parsed->graph.is_null()) {
    result<graph> read = graph_from_json(parsed->graph);
    if (!read) return read.error();
    made.graphs.push_back(std::move(*read));
  }
  made.state = std::move(parsed->state);
  made.metadata = std::move(parsed->metadata);
  for (manifest_tensor& each : parsed->tensors) {
    if (!each.attributes.is_null()) made.tensors.push_back({std::move(each.name), std::move(each.attributes)});
  }
  return made;
}

} // namespace detail

/// A native file, or the manifest of a loose store.
inline constexpr format native_format{"stet", detail::is_native, detail::open_native, detail::describe_native};

} // namespace stet::inline v0_1

#endif
