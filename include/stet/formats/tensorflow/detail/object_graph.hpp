// SPDX-License-Identifier: MIT
// The object graph that TensorFlow 2 saves with variables: the names of objects, and the slots of variables.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_OBJECT_GRAPH_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_OBJECT_GRAPH_HPP

#include "../../../vocabulary/result.hpp"
#include "../../../wire/protobuf.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// An object-based checkpoint has a scalar string, with its own key, that is a
//
//   TrackableObjectGraph  1 TrackableObject nodes (repeated); node 0 is the root
//   TrackableObject       1 children (repeated) {1 node_id | 2 local_name}
//                         2 attributes (repeated) {1 name | 2 full_name | 3 checkpoint_key}
//                         3 slot_variables (repeated) {1 original_variable_node_id | 2 slot_name | 3 slot_variable_node_id}
//                         4 registered_saver | 5 has_checkpoint_values
//
// The key of a variable is its path from the root, and "/.ATTRIBUTES/VARIABLE_VALUE". Its full name is the name for a Saver,
// which uses names only. Children may form cycles.
// Source: tensorflow/core/protobuf/trackable_object_graph.proto, tensorflow/python/trackable/trackable_utils.py.

namespace stet::inline STET_NAMESPACE::detail {

/// The key of the graph.
inline constexpr std::string_view object_graph_key = "_CHECKPOINTABLE_OBJECT_GRAPH";
/// The name of the attribute that is the value of a variable, and the suffix of the keys of such attributes.
inline constexpr std::string_view variable_attribute = "VARIABLE_VALUE",
                                  variable_suffix = "/.ATTRIBUTES/VARIABLE_VALUE";

/// True if a key is that of a variable.
constexpr bool is_variable_key(std::string_view key) noexcept {
  // Unlike `ends_with`, this compares a constant number of bytes.
  constexpr std::size_t size = variable_suffix.size();
  return key.size() >= size &&
         std::char_traits<char>::compare(key.data() + key.size() - size, variable_suffix.data(), size) == 0;
}
/// The key of a variable without its suffix; the key itself if it has another suffix.
constexpr std::string_view without_variable_suffix(std::string_view key) noexcept {
  return is_variable_key(key) ? key.substr(0, key.size() - variable_suffix.size()) : key;
}

/// The graph; its text views the message.
struct object_graph {
  struct child {
    std::int32_t node = 0;
    std::string_view name;
  };
  struct attribute {
    std::string_view name, full_name, key;
  };
  struct slot {
    std::int32_t variable = 0;
    std::string_view name;
    std::int32_t node = 0;
  };
  struct node {
    std::vector<child> children;
    std::vector<attribute> attributes;
    std::vector<slot> slots;
  };
  std::vector<node> nodes;
};

/// Reads one attribute of a node. @return false if it is malformed
inline bool parse_object_attribute(std::span<const std::byte> bytes, object_graph::attribute& into) noexcept {
  protobuf_message message(bytes);
  while (message.next()) {
    switch (message.tag()) {
    case bytes_field(1):
      into.name = message.text();
      break;
    case bytes_field(2):
      into.full_name = message.text();
      break;
    case bytes_field(3):
      into.key = message.text();
      break;
    default:
      break;
    }
  }
  return message.is_whole();
}

/// Calls `visit(attribute)` for each attribute in the TrackableObjectGraph `bytes`. @return false if it is malformed
/// Cost: one pass, no allocation.
template <class Visit> bool for_each_object_attribute(std::span<const std::byte> bytes, Visit&& visit) {
  protobuf_message graph(bytes);
  while (graph.next()) {
    if (graph.tag() != bytes_field(1)) continue;
    protobuf_message node(graph.bytes());
    while (node.next()) {
      if (node.tag() != bytes_field(2)) continue;
      object_graph::attribute attribute;
      if (!parse_object_attribute(node.bytes(), attribute)) return false;
      visit(attribute);
    }
    if (!node.is_whole()) return false;
  }
  return graph.is_whole();
}

/// Reads a node. Its numbers are checked later.
inline bool parse_object_node(std::span<const std::byte> bytes, object_graph::node& into) {
  protobuf_message message(bytes);
  while (message.next()) {
    if (message.tag() == bytes_field(2)) {
      if (!parse_object_attribute(message.bytes(), into.attributes.emplace_back())) return false;
      continue;
    }
    const bool is_child = message.tag() == bytes_field(1);
    if (!is_child && message.tag() != bytes_field(3)) continue;
    object_graph::slot read;
    protobuf_message inner(message.bytes());
    while (inner.next()) {
      switch (inner.tag()) {
      case varint_field(1):
        read.variable = inner.int32();
        break;
      case bytes_field(2):
        read.name = inner.text();
        break;
      case varint_field(3):
        read.node = inner.int32();
        break;
      default:
        break;
      }
    }
    if (!inner.is_whole()) return false;
    if (is_child) {
      into.children.push_back({read.variable, read.name});
    } else {
      into.slots.push_back(read);
    }
  }
  return message.is_whole();
}

/// Reads a TrackableObjectGraph, whose bytes must outlive the result.
/// @retval errc::bad_protobuf  the message is malformed
/// @retval errc::bad_graph     a child or a slot refers to a node that does not exist
inline result<object_graph> parse_object_graph(std::span<const std::byte> bytes) {
  object_graph graph;
  protobuf_message message(bytes);
  while (message.next()) {
    if (message.tag() != bytes_field(1)) continue;
    if (!parse_object_node(message.bytes(), graph.nodes.emplace_back())) {
      return error(errc::bad_protobuf, object_graph_key, message.offset_bytes());
    }
  }
  if (!message.is_whole()) return error(errc::bad_protobuf, object_graph_key, message.offset_bytes());
  const auto exists = [&](std::int32_t node) {
    return node >= 0 && static_cast<std::size_t>(node) < graph.nodes.size();
  };
  for (const object_graph::node& node : graph.nodes) {
    for (const object_graph::child& child : node.children) {
      if (!exists(child.node)) return error(errc::bad_graph, child.name);
    }
    for (const object_graph::slot& slot : node.slots) {
      if (!exists(slot.variable) || !exists(slot.node)) return error(errc::bad_graph, slot.name);
    }
  }
  return graph;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
