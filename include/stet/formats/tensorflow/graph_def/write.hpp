// SPDX-License-Identifier: MIT
// Makes TensorFlow's messages in JSON from graphs and signatures (graph_def.hpp).
#ifndef STET_FORMATS_TENSORFLOW_GRAPH_DEF_WRITE_HPP
#define STET_FORMATS_TENSORFLOW_GRAPH_DEF_WRITE_HPP

#include "read.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The text of an endpoint: "NAME", "NAME:1", "NAME:out:0" or "^NAME".
inline std::string text_of_endpoint(const graph_endpoint& endpoint) {
  if (endpoint.is_control) return std::string("^").append(endpoint.node);
  std::string text = endpoint.node;
  if (!endpoint.output_name.empty()) text.append(":").append(endpoint.output_name);
  if (!endpoint.output_name.empty() || endpoint.output != 0) text.append(":").append(std::to_string(endpoint.output));
  return text;
}

/// True if a node's attribute is an AttrValue: an object with one of its fields.
inline bool is_attr_value(const json_value& value) {
  if (!value.is_object()) return false;
  for (const auto& [name, member] : value.items()) {
    bool is_known = false;
    for (const proto_field& row : fields_of(proto_id::attr_value)) is_known = is_known || name == row.name;
    if (!is_known) return false;
  }
  return true;
}

inline json_value shape_to_json(const std::vector<std::int64_t>& shape) {
  json_value made = json_value::object();
  for (const std::int64_t extent : shape) made["dim"].push_back(json_value{{"size", std::to_string(extent)}});
  return made;
}

/// The name of the element type at a port.
inline json_value data_type_of_port(const graph_port& port) {
  if (port.dtype) return data_type_json(tensorflow_of_dtype(*port.dtype));
  const json_value* const other = find_member(port.endpoint.extra, "data_type");
  return other == nullptr ? json_value() : *other;
}

inline json_value signature_ports_to_json(const std::vector<graph_port>& ports) {
  json_value made = json_value::object();
  for (const graph_port& port : ports) {
    json_value info = json_value::object();
    const bool is_one = find_member(port.endpoint.extra, "cooSparse") == nullptr &&
                        find_member(port.endpoint.extra, "compositeTensor") == nullptr;
    if (is_one) // in signatures, the number of the output is required
      append_member(info, "name", text_of_endpoint(port.endpoint) + (port.endpoint.output == 0 ? ":0" : ""));
    append_if_any(info, "dtype", data_type_of_port(port));
    if (port.shape) append_member(info, "tensorShape", shape_to_json(*port.shape));
    for (const auto& [key, value] : port.endpoint.extra.items()) {
      if (key != "data_type") append_member(info, key, value);
    }
    append_member(made, port.name, std::move(info));
  }
  return made;
}

/// Makes NodeDefs from the nodes that are not arguments.
/// @retval errc::not_convertible  an attribute, "NAME of NODE", does not exist in TensorFlow
inline result<json_value> nodes_to_node_defs(const std::vector<graph_node>& nodes) {
  json_value::array_t made;
  for (const graph_node& node : nodes) {
    if (node.op == "Argument") continue;
    json_value each{{"name", node.name}, {"op", node.op}};
    for (const graph_endpoint& input : node.inputs) each["input"].push_back(text_of_endpoint(input));
    for (const auto& [name, value] : node.attributes.items()) {
      if (!is_attr_value(value)) return error_about({errc::not_convertible, name}, node.name);
    }
    append_if_any(each, "attr", node.attributes);
    append_members(each, node.extra);
    made.push_back(std::move(each));
  }
  return json_value(std::move(made));
}

inline result<json_value> function_to_function_def(const graph_function& function) {
  json_value signature{{"name", function.name}};
  for (const graph_node& node : function.nodes) {
    if (node.op != "Argument") continue;
    json_value argument{{"name", node.name}};
    append_members(argument, node.attributes);
    signature["inputArg"].push_back(std::move(argument));
  }
  json_value made = json_value::object(), returned = json_value::object();
  for (const graph_port& port : function.outputs) {
    json_value each{{"name", port.name}};
    append_if_any(each, "type", data_type_of_port(port));
    for (const auto& [key, value] : port.endpoint.extra.items()) {
      if (key != "data_type") append_member(each, key, value);
    }
    signature["outputArg"].push_back(std::move(each));
    append_member(returned, port.name, text_of_endpoint(port.endpoint));
  }
  if (const json_value* const rest = find_member(function.extra, "signature")) append_members(signature, *rest);
  append_member(made, "signature", std::move(signature));
  append_if_any(made, "attr", function.attributes);
  result<json_value> nodes = nodes_to_node_defs(function.nodes);
  if (!nodes) return nodes;
  if (!nodes->empty()) append_member(made, "nodeDef", std::move(*nodes));
  if (!returned.empty()) append_member(made, "ret", std::move(returned));
  for (const auto& [key, value] : function.extra.items()) {
    if (key != "signature") append_member(made, key, value);
  }
  return made;
}

} // namespace detail

/// Makes a SignatureDef in JSON from a signature. Cost: copies what it writes.
inline json_value signature_to_signature_def(const graph_signature& from) {
  json_value made = json_value::object();
  detail::append_member(made, "inputs", detail::signature_ports_to_json(from.inputs));
  detail::append_member(made, "outputs", detail::signature_ports_to_json(from.outputs));
  detail::append_members(made, from.extra);
  return made;
}

/// Makes a GraphDef in JSON from a graph whose nodes have TensorFlow's ops and attributes. Constants have only dtype and
/// shape, as TensorFlow.js requires.
/// @retval errc::not_convertible  an attribute, "NAME of NODE", does not exist in TensorFlow: the graph is of another kind
/// Cost: copies what it writes.
/// Source: graph_def.hpp, "A GraphDef as a graph".
inline result<json_value> graph_to_graph_def(const graph& from) {
  result<json_value> nodes = detail::nodes_to_node_defs(from.nodes);
  if (!nodes) return nodes;
  json_value made = json_value::object(), library = json_value::object();
  detail::append_member(made, "node", std::move(*nodes));
  for (const graph_function& function : from.functions) {
    result<json_value> each = detail::function_to_function_def(function);
    if (!each) return detail::error_in_function(each.error(), function.name);
    library["function"].push_back(std::move(*each));
  }
  const json_value* const rest = detail::find_member(from.metadata, "tensorflow");
  if (const json_value* const more = rest == nullptr ? nullptr : detail::find_member(*rest, "library"))
    detail::append_members(library, *more);
  if (!library.empty()) detail::append_member(made, "library", std::move(library));
  if (rest != nullptr) {
    for (const char* const key : {"version", "versions"}) {
      if (const json_value* const value = detail::find_member(*rest, key)) detail::append_member(made, key, *value);
    }
  }
  if (detail::find_member(made, "versions") == nullptr)
    detail::append_member(made, "versions", json_value{{"producer", 1}});
  return made;
}

} // namespace stet::inline STET_NAMESPACE

#endif
