// SPDX-License-Identifier: MIT
// What the object graph of a TensorFlow checkpoint says of its variables, as notes of a model.
#ifndef STET_FORMATS_TENSORFLOW_DESCRIBE_HPP
#define STET_FORMATS_TENSORFLOW_DESCRIBE_HPP

#include "object_graph.hpp"

#include "../model.hpp"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// The notes of the variables in an object graph: {"tensorflow": {"full_name": "dense/kernel", "slots": {"m": KEY}}}, where KEY is
/// the name of the tensor that is the slot. Variables of which there is neither have none. Of several nodes for one variable, the
/// slots of all count.
/// Errors: those of `parse_object_graph`.
inline result<std::vector<tensor_note>> notes_of_object_graph(std::span<const std::byte> bytes) {
  const result<object_graph> graph = parse_object_graph(bytes);
  if (!graph) return graph.error();
  const auto key_of = [&](std::int32_t number) -> std::string_view {
    for (const object_graph::attribute& attribute : graph->nodes[static_cast<std::size_t>(number)].attributes) {
      if (attribute.name == variable_attribute) return attribute.key;
    }
    return {};
  };
  struct variable {
    std::string_view full_name;
    std::map<std::string_view, std::string_view> slots;
  };
  std::map<std::string_view, variable> variables;
  for (const object_graph::node& node : graph->nodes) {
    for (const object_graph::attribute& attribute : node.attributes) {
      const bool is_named = attribute.name == variable_attribute && is_valid_name(attribute.full_name);
      if (is_named && is_valid_name(attribute.key)) variables[attribute.key].full_name = attribute.full_name;
    }
    for (const object_graph::slot& slot : node.slots) {
      const std::string_view of = key_of(slot.variable), value = key_of(slot.node);
      if (is_valid_name(of) && is_valid_name(value) && is_valid_name(slot.name)) variables[of].slots[slot.name] = value;
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

/// Errors: those of `notes_of_object_graph`.
inline result<model_description> describe_tensorflow_checkpoint(std::string_view, const model& of) {
  model_description made;
  const result<tensor> graph = of.store.find(object_graph_key);
  if (!graph || graph->dtype() != dtype::string || graph->element_count() != 1) return made;
  const result<string_span> text = graph->as_strings();
  if (!text) return text.error();
  result<std::vector<tensor_note>> notes = notes_of_object_graph(std::as_bytes(std::span((*text)[0])));
  if (!notes) return notes.error();
  for (tensor_note& note : *notes) {
    if (of.store.contains(note.name)) made.tensors.push_back(std::move(note));
  }
  return made;
}

} // namespace stet::inline v0_1::detail

#endif
