// SPDX-License-Identifier: MIT
// Makes graphs and signatures from TensorFlow's messages in JSON (graph_def.hpp).
#ifndef STET_FORMATS_TENSORFLOW_GRAPH_DEF_READ_HPP
#define STET_FORMATS_TENSORFLOW_GRAPH_DEF_READ_HPP

#include "../../common/reserved_fields.hpp"
#include "../../common/json_members.hpp"
#include "../../common/original_name.hpp"
#include "../detail/data_type.hpp"

#include "proto_json.hpp"

#include "../../../manifest/graph_link.hpp"
#include "../../../store/store.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The number of an element type, which is given by name or by number; 0 if it is invalid.
inline std::int32_t data_type_of_json(const json_value* value) {
  if (value == nullptr) return 0;
  if (const auto* const number = value->get_ptr<const json_value::number_integer_t*>())
    return *number > 0 && *number < 256 ? static_cast<std::int32_t>(*number) : 0;
  const std::string_view name = string_or_empty(value);
  for (std::size_t row = 0; row < std::size(data_type_names); ++row) {
    if (data_type_names[row] == name) return static_cast<std::int32_t>(row);
  }
  return 0;
}

/// A decimal integer of up to 64 bits, as a string or as a number.
template <class Integer> std::optional<Integer> integer_of_json(const json_value* value) {
  if (value == nullptr) return std::nullopt;
  if (const auto* const number = value->get_ptr<const json_value::number_integer_t*>())
    return static_cast<Integer>(*number);
  const std::string_view text = string_or_empty(value);
  Integer made = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), made);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return made;
}

/// The endpoint for "NAME", "NAME:2" or, in a function, "NAME:out:0"; "^NAME" is a control input.
inline graph_endpoint endpoint_of_text(std::string_view text, bool in_function) {
  if (text.starts_with('^')) return graph_endpoint::control(std::string(text.substr(1)));
  graph_endpoint made;
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), made.output);
    if (!digits.empty() && problem == std::errc() && end == digits.data() + digits.size())
      text = text.substr(0, colon);
    else
      made.output = 0;
  }
  if (const std::size_t name = text.rfind(':'); in_function && name != std::string_view::npos) {
    made.output_name = text.substr(name + 1);
    text = text.substr(0, name);
  }
  made.node = text;
  return made;
}

/// The extents of a TensorShapeProto; nothing if the rank is unknown or the value is invalid.
inline std::optional<std::vector<std::int64_t>> shape_of_json(const json_value* shape) {
  if (shape == nullptr || !shape->is_object() || find_member(*shape, "unknownRank") != nullptr) return std::nullopt;
  std::vector<std::int64_t> made;
  if (const json_value::array_t* const dims = elements_of(find_member(*shape, "dim"))) {
    if (dims->size() > max_rank) return std::nullopt;
    for (const json_value& dim : *dims) {
      const auto size = integer_of_json<std::int64_t>(find_member(dim, "size"));
      made.push_back(size && *size >= 0 ? *size : size ? unknown_extent : 0);
    }
  }
  return made;
}

/// Sets the dtype and the shape of a port.
inline void describe_port(graph_port& port, const json_value* data_type, const json_value* shape) {
  const dtype known = dtype_of_tensorflow(data_type_of_json(data_type));
  if (known != no_dtype && known != dtype::block)
    port.dtype = known;
  else if (data_type != nullptr)
    append_member(port.endpoint.extra, "data_type", *data_type);
  port.shape = shape_of_json(shape);
}

/// The first tensor name in a TensorInfo: its own, or that of a component.
inline std::string_view tensor_name_of_info(const json_value& info) {
  if (const std::string_view name = text_member(info, "name"); !name.empty()) return name;
  if (const json_value* const sparse = find_member(info, "cooSparse")) return text_member(*sparse, "valuesTensorName");
  const json_value* const composite = find_member(info, "compositeTensor");
  const json_value::array_t* const components =
      composite == nullptr ? nullptr : elements_of(find_member(*composite, "components"));
  return components == nullptr || components->empty() ? std::string_view() : text_member(components->front(), "name");
}

/// Reads the inputs or outputs of a SignatureDef.
inline result<void> read_signature_ports(json_value ports, std::vector<graph_port>& into) {
  json_value::object_t* const members = ports.get_ptr<json_value::object_t*>();
  if (members == nullptr) return ports.is_null() ? result<void>() : error(errc::wrong_type);
  for (auto& [name, info] : *members) {
    graph_port& port = into.emplace_back();
    port.name = name;
    port.endpoint = endpoint_of_text(tensor_name_of_info(info), false);
    const json_value data_type = take_member(info, "dtype"), shape = take_member(info, "tensorShape");
    describe_port(port, data_type.is_null() ? nullptr : &data_type, shape.is_null() ? nullptr : &shape);
    if (json_value::object_t* const fields = info.get_ptr<json_value::object_t*>()) {
      for (auto& [key, value] : *fields) {
        if (key != "name") append_member(port.endpoint.extra, key, std::move(value));
      }
    }
    if (auto checked = check_reserved_fields<graph_port>(port.endpoint.extra, port_fields, name); !checked)
      return checked;
  }
  return {};
}

/// Reads the nodes of a graph or function.
inline result<void> read_node_defs(json_value nodes, bool in_function, std::vector<graph_node>& into) {
  json_value::array_t* const array = nodes.get_ptr<json_value::array_t*>();
  if (array == nullptr) return nodes.is_null() ? result<void>() : error(errc::wrong_type, "node");
  into.reserve(into.size() + array->size());
  for (json_value& each : *array) {
    if (!each.is_object()) return error(errc::wrong_type, "node " + std::to_string(into.size()));
    graph_node& node = into.emplace_back();
    node.name = text_member(each, "name");
    node.op = text_member(each, "op");
    node.attributes = take_member(each, "attr");
    if (!is_object_or_null(node.attributes)) return error_about({errc::wrong_type, "attr"}, node.name);
    if (node.attributes.empty()) node.attributes = nullptr;
    const json_value inputs = take_member(each, "input");
    if (const json_value::array_t* const texts = elements_of(&inputs)) {
      for (const json_value& text : *texts)
        node.inputs.push_back(endpoint_of_text(string_or_empty(&text), in_function));
    } else if (!inputs.is_null()) {
      return error_about({errc::wrong_type, "input"}, node.name);
    }
    for (auto& [key, value] : *each.get_ptr<json_value::object_t*>()) {
      if (key != "name" && key != "op") append_member(node.extra, key, std::move(value));
    }
    if (auto checked = check_reserved_fields<graph_node>(node.extra, node_fields, node.name); !checked) return checked;
  }
  return {};
}

/// Reads a FunctionDef: its arguments are nodes of op Argument, and its results ports.
inline result<graph_function> read_function_def(json_value json) {
  if (!json.is_object()) return error(errc::wrong_type, "function");
  graph_function made;
  json_value signature = take_member(json, "signature");
  made.name = text_member(signature, "name");
  take_member(signature, "name");
  const json_value arguments = take_member(signature, "inputArg"), results = take_member(signature, "outputArg");
  if (const json_value::array_t* const all = elements_of(&arguments)) {
    for (const json_value& argument : *all) {
      graph_node& node = made.add(std::string(text_member(argument, "name")), "Argument");
      for (const auto& [key, value] : argument.items()) {
        if (key != "name") append_member(node.attributes, key, value);
      }
      graph_port& port = made.inputs.emplace_back();
      port.name = node.name;
      port.endpoint = graph_endpoint(node.name);
      describe_port(port, find_member(argument, "type"), nullptr);
    }
  }
  if (auto read = read_node_defs(take_member(json, "nodeDef"), true, made.nodes); !read) return read.error();
  const json_value returned = take_member(json, "ret");
  if (const json_value::array_t* const all = elements_of(&results)) {
    for (const json_value& each : *all) {
      graph_port& port = made.outputs.emplace_back();
      port.name = text_member(each, "name");
      port.endpoint = endpoint_of_text(text_member(returned, port.name), true);
      describe_port(port, find_member(each, "type"), nullptr);
      for (const auto& [key, value] : each.items()) {
        if (key != "name" && key != "type") append_member(port.endpoint.extra, key, value);
      }
      if (auto checked = check_reserved_fields<graph_port>(port.endpoint.extra, port_fields, made.name); !checked)
        return checked.error();
    }
  }
  made.attributes = take_member(json, "attr");
  if (made.attributes.empty()) made.attributes = nullptr;
  if (!signature.empty()) append_member(made.extra, "signature", std::move(signature));
  append_members(made.extra, json);
  using function_read = graph_read<graph_function>;
  if (auto checked = check_reserved_fields<function_read>(made.extra, function_fields, made.name); !checked)
    return checked.error();
  return made;
}

/// The text of an attribute of kind `s`; empty for any other attribute.
inline std::string text_attribute(const graph_node& node, std::string_view name) {
  const json_value* const value = node.attribute(name);
  const std::string_view text = value == nullptr ? std::string_view() : text_member(*value, "s");
  return from_base64(text).value_or(std::string());
}

/// True if a node is a constant with a value.
inline bool has_constant(const graph_node& node) {
  const json_value* const value = node.attribute("value");
  return node.op == "Const" && value != nullptr && find_member(*value, "tensor") != nullptr;
}

/// The names that the tensor of a node may have in a store, most likely first.
inline std::vector<std::string> tensor_names_of_node(const graph_node& node, std::string_view function,
                                                     std::string_view prefix) {
  if (has_constant(node)) {
    const std::string name = std::string(prefix) + node.name;
    if (function.empty()) return {name};
    // In TensorFlow.js, all tensors have the names of their nodes.
    return {std::string(prefix).append(function).append("/").append(node.name), name};
  }
  if (node.op == "VarHandleOp" || node.op == "VariableV2" || node.op == "Variable")
    return {text_attribute(node, "shared_name"), node.name};
  return {};
}

inline void name_body_variables(graph_body& body, std::string_view function, const store& where,
                                std::string_view prefix) {
  for (graph_node& node : body.nodes) {
    for (const std::string& name : tensor_names_of_node(node, function, prefix)) {
      const result<tensor> found = name.empty() ? result<tensor>(errc::not_found) : where.find(name);
      if (!found || node.variable("value") != nullptr) continue;
      node.variables.push_back({"value", std::string(original_name(where, *found))});
    }
  }
}

} // namespace detail

/// The name of the signature of a file that can have only one.
inline constexpr std::string_view default_signature_name = "serving_default";

/// Makes a signature from a SignatureDef in JSON.
/// @retval errc::wrong_type  inputs or outputs are not an object
inline result<graph_signature> signature_from_json(std::string_view name, json_value json) {
  graph_signature made;
  made.name = name;
  for (const auto& [field, ports] : {std::pair{"inputs", &made.inputs}, std::pair{"outputs", &made.outputs}}) {
    if (auto read = detail::read_signature_ports(detail::take_member(json, field), *ports); !read)
      return read.error().subject().empty() ? detail::error_about({errc::wrong_type, field}, name) : read.error();
  }
  detail::append_members(made.extra, json);
  return made;
}

/// Makes a graph from a GraphDef in JSON, the form of TensorFlow.js.
/// @retval errc::wrong_type     a field, "FIELD of NODE" or "node NUMBER", has another JSON type
/// @retval errc::duplicate_key  a node, port or function has a field, "FIELD of NAME", that graphs have but
///                              TensorFlow does not write
/// The graph is not checked; call check_graph with `tensorflow_graph_rules`.
/// Cost: moves the parts that it keeps.
/// Source: graph_def.hpp, "A GraphDef as a graph".
inline result<graph> graph_from_graph_def(json_value json) {
  if (!json.is_object()) return errc::wrong_type;
  graph made;
  if (auto read = detail::read_node_defs(detail::take_member(json, "node"), false, made.nodes); !read)
    return read.error();
  json_value library = detail::take_member(json, "library");
  json_value functions = detail::take_member(library, "function");
  if (json_value::array_t* const all = functions.get_ptr<json_value::array_t*>()) {
    for (json_value& each : *all) {
      result<graph_function> function = detail::read_function_def(std::move(each));
      if (!function) return function.error();
      made.functions.push_back(std::move(*function));
    }
  } else if (!functions.is_null()) {
    return error(errc::wrong_type, "function");
  }
  // Versions, and gradients of functions.
  json_value rest = json_value::object();
  detail::append_members(rest, json);
  if (!library.empty()) detail::append_member(rest, "library", std::move(library));
  made.metadata = json_value{{"tensorflow", std::move(rest)}};
  return made;
}

/// Makes a graph from a binary GraphDef. Values of constants are not read.
/// Errors: those of the overload above, and
/// @retval errc::bad_protobuf   the message is malformed, at the offset of the error
/// @retval errc::too_deep       messages are nested deeper than Protocol Buffers allow
/// @retval errc::duplicate_key  an attribute (the subject) occurs twice
inline result<graph> graph_from_graph_def(std::span<const std::byte> bytes) {
  result<json_value> json = detail::proto_to_json::run(detail::proto_id::graph_def, bytes);
  if (!json) return json.error();
  return graph_from_graph_def(std::move(*json));
}

/// Sets the variables of nodes: the value of a constant or a variable is the tensor of that name in the store.
/// @param prefix  the prefix of the names of constants
/// Cost: one or two look-ups for each such node.
inline void name_graph_def_variables(graph& whole, const store& where, std::string_view prefix = {}) {
  detail::name_body_variables(whole, {}, where, prefix);
  for (graph_function& function : whole.functions) detail::name_body_variables(function, function.name, where, prefix);
}

/// The rules for TensorFlow's graphs: NextIteration closes loops.
inline graph_rules tensorflow_graph_rules() {
  graph_rules rules;
  rules.may_close_cycle = [](std::string_view op) { return op == "NextIteration" || op == "RefNextIteration"; };
  return rules;
}

} // namespace stet::inline STET_NAMESPACE

#endif
