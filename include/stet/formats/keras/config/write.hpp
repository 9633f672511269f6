// SPDX-License-Identifier: MIT
// Makes the configuration of a Keras model from a graph (config.hpp).
#ifndef STET_FORMATS_KERAS_CONFIG_WRITE_HPP
#define STET_FORMATS_KERAS_CONFIG_WRITE_HPP

#include "read.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The program that a configuration is written for.
enum class keras_dialect : std::uint8_t {
  /// Keras itself: the configuration as it was read.
  keras,
  /// TensorFlow.js, which reads configurations of Keras 2: shapes of inputs, names of dtypes and calls of layers are
  /// written as Keras 2 does, and fields that TensorFlow.js does not use are left out.
  tfjs,
};

namespace detail {

/// The nodes of a graph as calls of layers.
struct keras_layer_calls {
  explicit keras_layer_calls(const graph_body& body) {
    for (const graph_node& node : body.nodes) names.add(node.name);
    names.sort();
    place_of.resize(body.nodes.size());
    std::vector<std::uint32_t> layer_of(body.nodes.size());
    for (std::uint32_t number = 0; number < body.nodes.size(); ++number) {
      const std::size_t first = first_call(body.nodes[number]);
      const bool is_further = first < number && !layers[layer_of[first]].empty();
      if (!is_further) layers.emplace_back();
      layer_of[number] = is_further ? layer_of[first] : static_cast<std::uint32_t>(layers.size() - 1);
      std::vector<std::uint32_t>& of_layer = layers[layer_of[number]];
      place_of[number] = {of_layer.empty() ? number : of_layer.front(), static_cast<std::uint32_t>(of_layer.size())};
      of_layer.push_back(number);
    }
  }
  /// The number of the node that is the first call of the layer of `node`; `name_table::none` if it is `node` itself. A
  /// wrapper also has a field "layer", but it has other fields and its value is an object.
  [[nodiscard]] std::size_t first_call(const graph_node& node) const {
    const std::string_view layer = first_call_name(node);
    return layer.empty() ? name_table::none : names.number_of(layer);
  }
  static std::string_view first_call_name(const graph_node& node) {
    return node.attributes.size() == 1 ? string_or_empty(node.attribute("layer")) : std::string_view();
  }
  /// [layer, call, output]; nothing if there is no such node. For TensorFlow.js, calls of a model within the model are
  /// counted from 1.
  [[nodiscard]] json_value history_of(const graph_body& body, const graph_endpoint& endpoint,
                                      keras_dialect dialect) const {
    const std::size_t number = names.number_of(endpoint.node);
    if (number == name_table::none) return nullptr;
    const auto& [first_number, call] = place_of[number];
    const graph_node& first = body.nodes[first_number];
    const json_value* const said = find_member(first.extra, "first_call");
    const bool counts_from_1 =
        dialect == keras_dialect::tfjs ? first.attribute("function") != nullptr : said != nullptr && *said == 1;
    return json_value::array_t{first.name, call + (counts_from_1 ? 1u : 0u), endpoint.output};
  }

  /// The numbers of the nodes of each layer, in the order of the calls.
  std::vector<std::vector<std::uint32_t>> layers;
  /// For each node: the number of the first node of its layer, and the number of the call.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> place_of;
  name_table names;
};

/// Writes one graph and its functions.
class keras_writer {
public:
  keras_writer(const graph& whole, keras_dialect dialect) : whole_(whole), dialect_(dialect) {}

  result<json_value> run() {
    const json_value* const rest = find_member(whole_.metadata, "keras");
    result<json_value> model = write_model(whole_, rest == nullptr ? json_value::object() : *rest, "model", 0);
    const json_value* const around = find_member(whole_.metadata, "keras_file");
    if (!model || around == nullptr) return model;
    json_value made = json_value::object();
    for (const auto& [key, value] : around->items()) {
      if (is_written(key) && key != "model_config") append_member(made, key, value);
    }
    append_member(made, "model_config", std::move(*model));
    return made;
  }

private:
  /// True if a field of the description of a model is written.
  [[nodiscard]] bool is_written(std::string_view key) const {
    return dialect_ == keras_dialect::keras || key == "keras_version" || key == "backend";
  }

  /// @param rest  the fields of the model besides its layers
  result<json_value> write_model(const graph_body& body, json_value rest, const std::string& name, std::size_t depth) {
    if (depth > max_manifest_depth / 3) return error(errc::too_deep, name);
    if (body.nodes.empty() || body.inputs.empty() || body.outputs.empty()) return error(errc::bad_graph, name);
    const bool is_chain = is_sequential(body);
    const std::string_view said = text_member(rest, "class_name");
    const bool as_chain = is_chain && (said.empty() || said == "Sequential");
    std::string class_name(said);
    if (said.empty() || (said == "Sequential" && !is_chain))
      class_name = as_chain ? "Sequential" : dialect_ == keras_dialect::tfjs ? "Model" : "Functional";

    const keras_layer_calls calls(body);
    json_value::array_t layers;
    for (const std::vector<std::uint32_t>& of_layer : calls.layers) {
      if (as_chain && find_member(body.nodes[of_layer.front()].extra, "implicit") != nullptr) continue;
      result<json_value> layer = write_layer(body, calls, of_layer, !as_chain, depth);
      if (!layer) return layer;
      layers.push_back(std::move(*layer));
    }

    json_value config = take_member(rest, "config");
    if (!config.is_object()) config = json_value{{"name", name}};
    json_value written_config = json_value::object();
    for (auto& [key, value] : *config.get_ptr<json_value::object_t*>()) {
      if (key != "input_layers" && key != "output_layers") append_member(written_config, key, value);
    }
    append_member(written_config, "layers", std::move(layers));
    if (!as_chain) {
      const struct {
        const char* field;
        const std::vector<graph_port>& ports;
      } both[] = {{"input_layers", body.inputs}, {"output_layers", body.outputs}};
      for (const auto& [field, ports] : both) {
        const json_value* const kept = find_member(config, field);
        if (kept != nullptr && dialect_ == keras_dialect::keras) {
          append_member(written_config, field, *kept);
          continue;
        }
        json_value::array_t histories;
        for (const graph_port& port : ports) histories.push_back(calls.history_of(body, port.endpoint, dialect_));
        append_member(written_config, field, std::move(histories));
      }
    }
    json_value made{{"class_name", class_name}};
    append_member(made, "config", cleaned(std::move(written_config), 0));
    // The description states the module of its own class only.
    const bool is_other_class = !said.empty() && class_name != said;
    for (const auto& [key, value] : rest.items()) {
      if (key != "class_name" && is_written(key) && !(is_other_class && (key == "module" || key == "registered_name")))
        append_member(made, key, value);
    }
    return made;
  }

  /// True if each node takes only the node before it, once, and the last node is the only output.
  static bool is_sequential(const graph_body& body) {
    for (std::size_t number = 0; number < body.nodes.size(); ++number) {
      const graph_node& node = body.nodes[number];
      const std::size_t expected = number == 0 ? 0 : 1;
      if (node.inputs.size() != expected || !keras_layer_calls::first_call_name(node).empty() ||
          find_member(node.extra, "call") != nullptr)
        return false;
      if (expected == 1 && (node.inputs[0].node != body.nodes[number - 1].name || node.inputs[0].output != 0))
        return false;
    }
    return body.inputs.size() == 1 && body.outputs.size() == 1 &&
           body.inputs[0].endpoint.node == body.nodes.front().name &&
           body.outputs[0].endpoint.node == body.nodes.back().name && body.outputs[0].endpoint.output == 0;
  }

  result<json_value> write_layer(const graph_body& body, const keras_layer_calls& calls,
                                 const std::vector<std::uint32_t>& of_layer, bool with_calls, std::size_t depth) {
    const graph_node& first = body.nodes[of_layer.front()];
    json_value made = json_value::object();
    const bool is_input = first.op == "InputLayer" || first.op == "Placeholder";
    json_value config = first.attributes.is_null() ? json_value::object() : first.attributes;
    if (const std::string_view function = text_member(config, "function"); !function.empty()) {
      const graph_function* const called = find_function(function);
      if (called == nullptr) return graph_problem("function", function, first.name);
      const json_value* const rest = find_member(called->attributes, "keras");
      result<json_value> inner =
          write_model(*called, rest == nullptr ? json_value::object() : *rest, first.name, depth + 1);
      if (!inner) return inner;
      append_member(made, "class_name", take_member(*inner, "class_name"));
      config = take_member(*inner, "config");
    } else {
      append_member(made, "class_name", is_input ? "InputLayer" : first.op);
    }
    const bool is_unnamed = find_member(first.extra, "unnamed") != nullptr;
    if (text_member(config, "name").empty() && !is_unnamed) append_member(config, "name", first.name);
    if (is_input) describe_input(body, first, config);
    append_member(made, "config", std::move(config));
    for (const auto& [key, value] : first.extra.items()) {
      if (dialect_ == keras_dialect::keras && key != "call" && key != "implicit" && key != "first_call" &&
          key != "unnamed")
        append_member(made, key, value);
    }
    if (!is_unnamed || with_calls) append_member(made, "name", first.name);
    if (!with_calls) return made;
    json_value::array_t inbound;
    for (const std::uint32_t call : of_layer) {
      const graph_node& node = body.nodes[call];
      if (of_layer.size() > 1 || !node.inputs.empty() || find_member(node.extra, "call") != nullptr)
        inbound.push_back(write_call(body, calls, body.nodes[call]));
    }
    append_member(made, "inbound_nodes", std::move(inbound));
    return made;
  }

  [[nodiscard]] const graph_function* find_function(std::string_view name) const {
    for (const graph_function& each : whole_.functions) {
      if (each.name == name) return &each;
    }
    return nullptr;
  }

  /// Writes the shape and dtype of an input, if the layer lacks them.
  void describe_input(const graph_body& body, const graph_node& node, json_value& config) const {
    json_value shape;
    const bool is_for_tfjs = dialect_ == keras_dialect::tfjs;
    const bool has_shape = find_member(config, "batch_shape") != nullptr ||
                           (!is_for_tfjs && find_member(config, "batch_input_shape") != nullptr);
    if (is_for_tfjs) // Keras 3 has another name for it
      shape = take_member(config, has_shape ? "batch_shape" : "batch_input_shape");
    for (const graph_port& port : body.inputs) {
      if (port.endpoint.node != node.name) continue;
      if (!has_shape && shape.is_null() && port.shape) {
        shape = json_value::array();
        // A program's graph may lack the batch axis, which every layer has.
        if (port.shape->empty() || port.shape->front() != unknown_extent) shape.push_back(nullptr);
        for (const std::int64_t extent : *port.shape)
          shape.push_back(extent == unknown_extent ? json_value() : json_value(extent));
      }
      if (port.dtype && find_member(config, "dtype") == nullptr) append_member(config, "dtype", name_of(*port.dtype));
    }
    if (!shape.is_null()) append_member(config, is_for_tfjs ? "batch_input_shape" : "batch_shape", std::move(shape));
  }

  /// Writes one element of `inbound_nodes`.
  json_value write_call(const graph_body& body, const keras_layer_calls& calls, const graph_node& node) const {
    const json_value* const call = find_member(node.extra, "call");
    bool has_shapes = true; // Keras 3 requires them
    for (const graph_endpoint& input : node.inputs)
      has_shapes = has_shapes && find_member(input.extra, "shape") != nullptr;
    const bool is_new = dialect_ == keras_dialect::keras && has_shapes;
    const auto tensor_of = [&](const graph_endpoint& input) {
      json_value history = calls.history_of(body, input, dialect_);
      if (!is_new) {
        if (history.is_array()) history.push_back(json_value::object());
        return history;
      }
      json_value config = input.extra;
      append_member(config, "keras_history", std::move(history));
      return json_value{{"class_name", "__keras_tensor__"}, {"config", std::move(config)}};
    };
    json_value args;
    if (call != nullptr && find_member(*call, "args") != nullptr) {
      args = *find_member(*call, "args");
      put_tensors(args, node, tensor_of);
    } else {
      json_value::array_t all;
      for (const graph_endpoint& input : node.inputs) all.push_back(tensor_of(input));
      args = all.size() == 1 ? std::move(all) : json_value::array_t{std::move(all)};
    }
    json_value kwargs = json_value::object();
    if (call != nullptr && find_member(*call, "kwargs") != nullptr) {
      kwargs = *find_member(*call, "kwargs");
      put_tensors(kwargs, node, tensor_of);
    }
    if (is_new) return json_value{{"args", std::move(args)}, {"kwargs", std::move(kwargs)}};
    // Keras 2: the tensors, and the keyword arguments after the first of them.
    json_value tensors = args.is_array() && args.size() == 1 ? json_value(args.front()) : std::move(args);
    if (is_tensor(tensors)) tensors = json_value::array_t{std::move(tensors)};
    for (json_value& each : tensors) {
      if (!is_tensor(each)) continue;
      each[3] = std::move(kwargs);
      break;
    }
    return tensors;
  }

  static bool is_tensor(const json_value& value) {
    return value.is_array() && value.size() == 4 && value[0].is_string() && value[3].is_object();
  }

  /// Replaces each {"$input": N} by the input.
  template <class TensorOf>
  static void put_tensors(json_value& value, const graph_node& node, const TensorOf& tensor_of) {
    const json_value* const number = find_member(value, keras_input_key);
    std::uint32_t input = 0;
    if (number != nullptr && value.size() == 1 && !read_unsigned(*number, input) && input < node.inputs.size()) {
      value = tensor_of(node.inputs[input]);
    } else if (value.is_structured()) {
      for (json_value& each : value) put_tensors(each, node, tensor_of);
    }
  }

  /// Replaces what TensorFlow.js cannot use: the dtype policy of Keras 3 by the name of its dtype.
  json_value cleaned(json_value value, std::size_t depth) const {
    if (dialect_ == keras_dialect::keras || !value.is_structured() || depth > 2 * max_manifest_depth) return value;
    if (text_member(value, "class_name") == "DTypePolicy") {
      const json_value* const config = find_member(value, "config");
      return config == nullptr ? json_value() : json_value(std::string(text_member(*config, "name")));
    }
    for (json_value& each : value) each = cleaned(std::move(each), depth + 1);
    return value;
  }

  const graph& whole_;
  keras_dialect dialect_;
};

} // namespace detail

/// Makes the configuration of a Keras model from a graph. graph_from_keras made the graph, or a program did, with layers as
/// nodes and Placeholders as inputs. The names and arguments of layers are not checked.
/// @retval errc::bad_graph  the graph (the subject: "model", or a function) has no nodes, inputs or outputs, or a
///                          node calls a function that does not exist
/// @retval errc::too_deep   models are nested too deeply
/// Cost: copies what it writes.
/// Source: as graph_from_keras.
inline result<json_value> graph_to_keras(const graph& from, keras_dialect dialect = keras_dialect::keras) {
  return detail::keras_writer(from, dialect).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
