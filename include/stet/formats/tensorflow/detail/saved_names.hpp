// SPDX-License-Identifier: MIT
// Aliases for the variables of a SavedModel: their names in its graph.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_SAVED_NAMES_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_SAVED_NAMES_HPP

#include "build_object_graph.hpp"
#include "object_graph.hpp"

#include "../../common/store_builder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Keras 3 exports variables without full names in the checkpoint's object graph. The MetaGraphDef has the objects again, and
// the names of variables:
//
//   MetaGraphDef      7 object_graph_def: SavedObjectGraph
//   SavedObjectGraph  1 nodes (repeated): SavedObject; node 0 is the root
//   SavedObject       1 children (repeated) {1 node_id | 2 local_name} | 7 variable: SavedVariable
//   SavedVariable     6 name
//
// Source: tensorflow/core/protobuf/saved_object_graph.proto.

namespace stet::inline STET_NAMESPACE::detail {

/// The names of the variables in a SavedObjectGraph, by the number of the node; empty for other nodes.
inline std::vector<std::string_view> names_of_saved_variables(std::span<const std::byte> graph) {
  std::vector<std::string_view> names;
  protobuf_message nodes(graph);
  while (nodes.next()) {
    if (nodes.tag() != bytes_field(1)) continue;
    std::string_view& name = names.emplace_back();
    protobuf_message node(nodes.bytes());
    while (node.next()) {
      protobuf_message variable(node.tag() == bytes_field(7) ? node.bytes() : std::span<const std::byte>());
      while (variable.next()) {
        if (variable.tag() == bytes_field(6)) name = variable.text();
      }
    }
  }
  return names;
}

/// Adds an alias for each variable among the tensors of `into` that `meta_graph`, a MetaGraphDef, has a name for: one that no
/// tensor and no other variable has. Call it after all tensors were added. A malformed message gives no names.
/// Cost: memory in proportion to the message; a binary search for each step of a variable's path.
inline void add_names_of_saved_variables(store_builder& into, std::span<const std::byte> meta_graph) {
  std::span<const std::byte> message;
  protobuf_message fields(meta_graph);
  while (fields.next()) {
    if (fields.tag() == bytes_field(7)) message = fields.bytes();
  }
  result<object_graph> graph = parse_object_graph(message);
  if (!graph || graph->nodes.empty()) return;
  const auto is_before = [](const object_graph::child& a, const object_graph::child& b) { return a.name < b.name; };
  for (object_graph::node& node : graph->nodes) std::sort(node.children.begin(), node.children.end(), is_before);
  const std::vector<std::string_view> names = names_of_saved_variables(message);

  const auto name_at = [&](std::string_view path) -> std::string_view {
    std::size_t at = 0;
    for (bool is_last = false; !is_last;) {
      const std::size_t slash = path.find('/');
      is_last = slash == std::string_view::npos;
      const std::string edge = unescape_edge(path.substr(0, slash));
      path.remove_prefix(is_last ? path.size() : slash + 1);
      const std::vector<object_graph::child>& children = graph->nodes[at].children;
      const auto found = std::lower_bound(children.begin(), children.end(), object_graph::child{0, edge}, is_before);
      if (found == children.end() || found->name != edge) return {};
      at = static_cast<std::size_t>(found->node);
    }
    return names[at];
  };
  std::vector<std::string_view> taken;
  std::vector<std::pair<std::string_view, std::uint32_t>> found;
  const auto tensor_count = static_cast<std::uint32_t>(into.tensor_count());
  for (std::uint32_t number = 0; number < tensor_count; ++number) {
    const std::string_view key = into.name(number), path = without_variable_suffix(key);
    taken.push_back(key);
    if (path.size() == key.size()) continue;
    const std::string_view name = name_at(path);
    if (is_valid_name(name)) found.emplace_back(name, number);
  }
  std::sort(taken.begin(), taken.end());
  std::sort(found.begin(), found.end());
  const auto is_unclear = [&](const auto& each) {
    const auto [first, last] = std::equal_range(found.begin(), found.end(), each,
                                                [](const auto& a, const auto& b) { return a.first < b.first; });
    return last - first > 1 || std::binary_search(taken.begin(), taken.end(), each.first);
  };
  std::vector<std::pair<std::string_view, std::uint32_t>> clear;
  std::remove_copy_if(found.begin(), found.end(), std::back_inserter(clear), is_unclear);
  for (const auto& [name, number] : clear) {
    into.add_alias(number, name);
    into.note_second_name();
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
