// SPDX-License-Identifier: MIT
// Describes a model.json of TensorFlow.js: graphs, quantization, metadata.
#ifndef STET_FORMATS_TFJS_DESCRIBE_HPP
#define STET_FORMATS_TFJS_DESCRIBE_HPP

#include "open.hpp"

#include "../tensorflow/graph_def.hpp"
#include "../common/json_members.hpp"
#include "../description.hpp"
#include "../keras/config.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// A GraphDef with its signature, and the weights of its constants.
inline result<graph> tfjs_graph(json_value graph_def, json_value signature, const store& weights) {
  result<graph> made = graph_from_graph_def(std::move(graph_def));
  if (!made) return made;
  if (signature.is_object()) {
    result<graph_signature> read = signature_from_json(default_signature_name, std::move(signature));
    if (!read) return read.error();
    made->signatures.push_back(std::move(*read));
  }
  name_graph_def_variables(*made, weights);
  return made;
}

/// `format::describe` of tfjs_format.
inline result<model_description> describe_tfjs(const model& of) {
  const std::string path = tfjs_json_path(of.path, is_folder(of.path, of.options));
  result<tfjs_model_json> parsed = read_tfjs_model(format_probe(path, of.options));
  if (!parsed) return parsed.error();
  model_description made;
  for (const tfjs_group& group : parsed->groups) {
    for (const tfjs_weight& weight : group.weights) {
      json_value attributes;
      append_if_any(attributes, "quantization", weight.quantization_json());
      if (!weight.group.empty()) append_member(attributes, "group", weight.group);
      if (!attributes.is_null()) made.tensors.push_back({weight.name, std::move(attributes)});
    }
  }

  json_value topology = take_member(parsed->fields, "modelTopology");
  json_value signature = take_member(parsed->fields, "signature");
  const bool is_graph_model = find_member(topology, "node") != nullptr;
  if (is_graph_model) {
    result<graph> read = tfjs_graph(std::move(topology), std::move(signature), of.store);
    if (!read) return read.error();
    made.graphs.push_back(std::move(*read));
  } else if (topology.is_object()) {
    result<graph> read = graph_from_keras(std::move(topology));
    if (!read) return read.error();
    name_table optimizer;
    for (const tensor_note& note : made.tensors) {
      if (note.attributes.contains("group")) optimizer.add(note.name);
    }
    optimizer.sort();
    name_keras_variables(*read, of.store,
                         [&](std::string_view name) { return optimizer.number_of(name) == name_table::none; });
    made.graphs.push_back(std::move(*read));
  }
  // What fills tables and the like before the model is used: a graph of its own.
  json_value initializer = take_member(parsed->fields, "modelInitializer");
  json_value initializer_signature = take_member(parsed->fields, "initializerSignature");
  if (initializer.is_object()) {
    result<graph> read = tfjs_graph(std::move(initializer), std::move(initializer_signature), of.store);
    if (!read) return read.error();
    read->metadata["tags"] = {"initializer"};
    made.graphs.push_back(std::move(*read));
  }
  if (!parsed->fields.empty()) made.metadata = json_value{{"tfjs", std::move(parsed->fields)}};
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
