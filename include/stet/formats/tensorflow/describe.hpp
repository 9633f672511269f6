// SPDX-License-Identifier: MIT
// Describes the variables of a TensorFlow checkpoint from its object graph.
#ifndef STET_FORMATS_TENSORFLOW_DESCRIBE_HPP
#define STET_FORMATS_TENSORFLOW_DESCRIBE_HPP

#include "detail/object_graph.hpp"

#include "../common/finish_model.hpp"
#include "../description.hpp"
#include "../model.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The notes of the variables in an object graph: {"tensorflow": {"full_name": "dense/kernel", "slots": {"m": KEY}}}, where KEY is
/// the name of the tensor that is the slot. Variables of which there is neither have none. Of several nodes for one variable, the
/// slots of all count.
/// Errors: those of `parse_object_graph`, and
/// @retval errc::too_large  the keys of slots, which many can share, have more bytes than 64 KiB and 16 times the graph
inline result<std::vector<tensor_note>> notes_of_object_graph(std::span<const std::byte> bytes) {
  const result<object_graph> graph = parse_object_graph(bytes);
  if (!graph) return graph.error();
  // Any number of slots can name one node, so its attributes are searched once.
  std::vector<std::string_view> keys;
  keys.reserve(graph->nodes.size());
  for (const object_graph::node& node : graph->nodes) {
    std::string_view& key = keys.emplace_back();
    for (const object_graph::attribute& attribute : node.attributes) {
      if (key.data() == nullptr && attribute.name == variable_attribute) key = attribute.key;
    }
    if (!is_valid_name(key)) key = {};
  }
  struct variable {
    std::string_view full_name;
    std::map<std::string_view, std::string_view> slots;
  };
  std::map<std::string_view, variable> variables;
  std::uint64_t left = (std::uint64_t{1} << 16) + 16 * std::uint64_t{bytes.size()};
  for (const object_graph::node& node : graph->nodes) {
    for (const object_graph::attribute& attribute : node.attributes) {
      const bool is_named = attribute.name == variable_attribute && is_valid_name(attribute.full_name);
      if (is_named && is_valid_name(attribute.key)) variables[attribute.key].full_name = attribute.full_name;
    }
    for (const object_graph::slot& slot : node.slots) {
      const std::string_view of = keys[static_cast<std::size_t>(slot.variable)],
                             value = keys[static_cast<std::size_t>(slot.node)];
      if (of.empty() || value.empty() || !is_valid_name(slot.name)) continue;
      // To look a variable up compares its key, and its slots are copied with theirs.
      const std::uint64_t size = std::uint64_t{of.size()} + value.size();
      if (size > left) return error(errc::too_large, object_graph_key);
      left -= size;
      variables[of].slots[slot.name] = value;
    }
  }
  std::vector<tensor_note> made;
  for (const auto& [key, variable] : variables) {
    json_value note = json_value::object();
    if (!variable.full_name.empty()) note["full_name"] = variable.full_name;
    json_value::object_t slots; // filled without the search for a member that its operator[] would make
    for (const auto& [name, value] : variable.slots) slots.emplace_back(std::string(name), json_value(value));
    if (!slots.empty()) note["slots"] = std::move(slots);
    made.push_back({std::string(key), json_value{{"tensorflow", std::move(note)}}});
  }
  return made;
}

/// Adds to `metadata` that something beside the tensors could not be read, and why: the last problem counts.
inline void note_unread(json_value& metadata, const error& problem) {
  char text[512];
  metadata["tensorflow"]["unread"] = std::string(problem.print(text, sizeof text));
}

/// The description of a checkpoint: the notes of its variables. Where the object graph cannot be read there are none, and the
/// metadata say so: {"tensorflow": {"unread": "SUBJECT: PROBLEM"}}. The tensors can be used and converted all the same.
inline result<model_description> describe_tensorflow_checkpoint(const model& of) {
  model_description made;
  const result<tensor> graph = of.store.find(object_graph_key);
  if (!graph || graph->dtype() != dtype::string || graph->element_count() != 1) return made;
  const result<string_span> text = graph->as_strings();
  if (!text) {
    note_unread(made.metadata, text.error());
    return made;
  }
  result<std::vector<tensor_note>> notes = notes_of_object_graph(std::as_bytes(std::span((*text)[0])));
  if (!notes) {
    note_unread(made.metadata, notes.error());
    return made;
  }
  for (tensor_note& note : *notes) {
    if (of.store.contains(note.name)) made.tensors.push_back(std::move(note));
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
