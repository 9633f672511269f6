// SPDX-License-Identifier: MIT
// Makes a graph from the configuration of a Keras model (config.hpp).
#ifndef STET_FORMATS_KERAS_CONFIG_READ_HPP
#define STET_FORMATS_KERAS_CONFIG_READ_HPP

#include "class_group.hpp"

#include "../../common/reserved_fields.hpp"
#include "../../common/json_members.hpp"

#include "../../../manifest/graph_link.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The key of the object that represents input number N in the arguments of a call: {"$input": N}.
inline constexpr std::string_view keras_input_key = "$input";

/// The name of the node that is call number `call` of a layer.
inline std::string keras_node_name(std::string_view layer, std::size_t call) {
  return call == 0 ? std::string(layer) : std::string(layer).append(":").append(std::to_string(call));
}

/// True if the configuration of a layer is that of a model.
inline bool is_keras_model(const json_value& layer) {
  const json_value* const config = find_member(layer, "config");
  const json_value* const layers = config == nullptr ? nullptr : find_member(*config, "layers");
  return layers != nullptr && layers->is_array();
}

/// The size of the texts in a value, plus a few bytes for each element.
inline std::uint64_t size_of_texts(const json_value& value, std::size_t depth = 0) {
  std::uint64_t size = 16 + string_or_empty(&value).size();
  if (value.is_structured() && depth <= 2 * max_manifest_depth) {
    for (const auto& [key, each] : value.items())
      size += (value.is_object() ? key.size() : 0) + size_of_texts(each, depth + 1);
  }
  return size;
}

/// Reads one model, and the models within it, into a graph.
class keras_reader {
public:
  result<graph> run(json_value config) {
    budget_ = 16 * size_of_texts(config) + 65536;
    json_value around;
    if (json_value inner = take_member(config, "model_config"); !inner.is_null()) {
      around = std::move(config);
      config = std::move(inner);
    }
    json_value rest;
    if (auto read = read_model(config, made_, rest, 0); !read) return read.error();
    made_.metadata = json_value{{"keras", std::move(rest)}};
    if (!around.empty()) append_member(made_.metadata, "keras_file", std::move(around));
    return std::move(made_);
  }

private:
  /// The layers of the model that is being read, and their calls as nodes.
  struct layer_list {
    std::vector<std::string> names;
    std::vector<std::size_t> call_counts;
    /// The number of the first call: 1 for a model that counts its building as a call.
    std::vector<std::uint32_t> first_calls;
    /// The number of the node of the first call of each layer.
    std::vector<std::size_t> node_numbers;
    name_table numbers;
  };

  /// Reads a model into `body`. Fields without a place in the graph go to `rest`.
  result<void> read_model(json_value& model, graph_body& body, json_value& rest, std::size_t depth) {
    if (!model.is_object()) return errc::wrong_type;
    if (depth > max_manifest_depth) return errc::too_deep;
    json_value config = take_member(model, "config");
    json_value layers = config.is_array() ? std::exchange(config, json_value::object()) // Keras 1
                                          : take_member(config, "layers");
    json_value::array_t* const array = layers.get_ptr<json_value::array_t*>();
    if (array == nullptr) return error(layers.is_null() ? errc::missing_field : errc::wrong_type, "layers");

    layer_list list;
    bool is_functional =
        find_member(config, "input_layers") != nullptr || find_member(config, "output_layers") != nullptr;
    for (json_value& layer : *array) {
      if (!layer.is_object()) return error(errc::wrong_type, "layer " + std::to_string(list.names.size()));
      const std::string_view name = name_of_layer(layer);
      const json_value::array_t* const calls = elements_of(find_member(layer, "inbound_nodes"));
      is_functional = is_functional || (calls != nullptr && !calls->empty());
      list.names.emplace_back(name);
      list.call_counts.push_back(calls == nullptr || calls->empty() ? 1 : calls->size());
    }
    name_unnamed(*array, list);
    for (const std::string& name : list.names) list.numbers.add(name);
    list.numbers.sort();
    list.first_calls.resize(list.names.size());
    for (const json_value& layer : *array) {
      if (const json_value* const calls = find_member(layer, "inbound_nodes")) find_first_calls(*calls, list, 0);
    }
    for (const char* const field : {"input_layers", "output_layers"}) {
      if (const json_value* const layers_there = find_member(config, field)) find_first_calls(*layers_there, list, 0);
    }

    for (std::size_t number = 0; number < array->size(); ++number) {
      if (auto read = read_layer((*array)[number], list, number, is_functional, body, depth); !read) return read;
    }
    auto ports = is_functional ? read_ports(config, list, body) : end_chain(body);
    if (!ports) return ports;
    append_member(model, "config", std::move(config));
    rest = std::move(model);
    return {};
  }

  /// Names layers without a name as Keras does: by class, and numbered. The configuration of a program's class may lack
  /// the name.
  static void name_unnamed(const json_value::array_t& layers, layer_list& list) {
    distinct_names taken;
    bool are_all_named = true;
    for (const std::string& name : list.names) {
      are_all_named = are_all_named && !name.empty();
      if (!name.empty()) (void)taken.unique_name(name);
    }
    for (std::size_t number = 0; number < layers.size() && !are_all_named; ++number) {
      if (!list.names[number].empty()) continue;
      std::string name = keras_group_of_class(text_member(layers[number], "class_name"));
      list.names[number] = taken.unique_name(name.empty() ? "layer" : std::move(name));
    }
  }

  /// Finds layers whose calls must be counted from 1 for their tensors to exist.
  static void find_first_calls(const json_value& value, layer_list& list, std::size_t depth) {
    if (!value.is_structured() || depth > max_manifest_depth) return;
    if (call_reader::is_history(list, value)) {
      const std::size_t number = list.numbers.number_of(string_or_empty(&value[0]));
      if (value[1] == list.call_counts[number]) list.first_calls[number] = 1;
      if (value.size() == 3) return;
    }
    for (const json_value& each : value) find_first_calls(each, list, depth + 1);
  }

  static std::string_view name_of_layer(const json_value& layer) {
    const std::string_view name = text_member(layer, "name");
    const json_value* const config = find_member(layer, "config");
    return name.empty() && config != nullptr ? text_member(*config, "name") : name;
  }

  result<void> read_layer(json_value& layer, layer_list& list, std::size_t number, bool is_functional, graph_body& body,
                          std::size_t depth) {
    const std::string& name = list.names[number];
    const bool is_named = !name_of_layer(layer).empty();
    const std::string op(text_member(layer, "class_name"));
    if (op.empty()) return error_about({errc::missing_field, "class_name"}, name);
    json_value attributes;
    if (is_keras_model(layer)) {
      graph_function function;
      json_value inner{{"class_name", op}};
      append_member(inner, "config", take_member(layer, "config"));
      json_value rest;
      if (auto read = read_model(inner, function, rest, depth + 3); !read)
        return read.error().subject().empty() ? read.error().about(name) : read;
      function.name = function_names_.unique_name(name);
      function.attributes = json_value{{"keras", std::move(rest)}};
      attributes = json_value{{"function", function.name}};
      made_.functions.push_back(std::move(function));
    } else {
      attributes = take_member(layer, "config");
      if (!is_object_or_null(attributes)) return error_about({errc::wrong_type, "config"}, name);
    }
    const json_value inbound = take_member(layer, "inbound_nodes");
    take_member(layer, "name");
    take_member(layer, "class_name");
    if (auto checked = check_reserved_fields<graph_node>(layer, node_fields, name); !checked) return checked;
    for (const std::string_view own : {"call", "first_call", "implicit", "unnamed"}) {
      if (find_member(layer, own) != nullptr) return error_about({errc::duplicate_key, own}, name);
    }

    if (!is_functional && body.nodes.empty() && op != "InputLayer") add_implicit_input(name, attributes, body);
    list.node_numbers.push_back(body.nodes.size());
    for (std::size_t call = 0; call < list.call_counts[number]; ++call) {
      // Each further call repeats the names.
      const std::uint64_t size = 2 * name.size() + op.size();
      if (call != 0 && budget_ < size) return error(errc::too_large, name);
      budget_ -= call == 0 ? 0 : size;
      graph_node& node = body.add(keras_node_name(name, call), op);
      if (call == 0) {
        node.attributes = std::move(attributes);
        node.extra = layer.empty() ? json_value() : std::move(layer);
        if (!is_named) append_member(node.extra, "unnamed", true);
        if (list.first_calls[number] != 0) append_member(node.extra, "first_call", list.first_calls[number]);
      } else {
        node.attributes = json_value{{"layer", name}};
      }
      if (!is_functional) {
        if (body.nodes.size() > 1) node.inputs.emplace_back(body.nodes[body.nodes.size() - 2].name);
      } else if (const json_value::array_t* const calls = elements_of(&inbound); calls != nullptr && !calls->empty()) {
        if (auto read = call_reader(list, node).run((*calls)[call]); !read) return read;
      }
    }
    return {};
  }

  /// Adds the input of a Sequential model that has no layer for it.
  static void add_implicit_input(const std::string& first_layer, const json_value& config, graph_body& body) {
    graph_node& node = body.add(first_layer + "_input", "InputLayer");
    for (const std::string_view field : {"batch_input_shape", "dtype"}) {
      if (const json_value* const value = find_member(config, field))
        append_member(node.attributes, std::string(field), *value);
    }
    node.extra = json_value{{"implicit", true}};
  }

  /// Reads one call of a layer: its tensors and their arrangement.
  class call_reader {
  public:
    call_reader(const layer_list& list, graph_node& node) : list_(list), node_(node) {}

    result<void> run(json_value call) {
      json_value args, kwargs;
      if (find_member(call, "args") != nullptr) { // Keras 3
        args = take_member(call, "args");
        kwargs = take_member(call, "kwargs");
        replace_tensors(args, 0);
        replace_tensors(kwargs, 0);
      } else {
        replace_tensors(call, 0);
        if (call.is_array() && call.size() == 1) call = json_value(std::move(call.front()));
        args = json_value::array_t{std::move(call)};
        kwargs = std::move(kwargs_);
      }
      if (problem_) return *problem_;
      if (!is_plain(args) || !kwargs.empty()) {
        json_value kept{{"args", std::move(args)}};
        append_member(kept, "kwargs", kwargs.is_null() ? json_value::object() : std::move(kwargs));
        append_member(node_.extra, "call", std::move(kept));
      }
      return {};
    }

    /// The endpoint for [layer, call, output].
    /// @retval errc::bad_graph  there is no such layer or call
    static result<graph_endpoint> endpoint_of(const layer_list& list, const json_value& history,
                                              std::string_view user) {
      const json_value::array_t* const fields = elements_of(&history);
      const std::string_view layer =
          fields == nullptr || fields->size() < 3 ? std::string_view() : string_or_empty(&fields->front());
      const std::size_t number = list.numbers.number_of(layer);
      std::uint32_t call = 0;
      graph_endpoint made;
      if (number == name_table::none || read_unsigned((*fields)[1], call) || read_unsigned((*fields)[2], made.output)) {
        return graph_problem("input", layer, user);
      }
      const std::uint32_t first = list.first_calls[number];
      if (call < first || call - first >= list.call_counts[number] || made.output >= max_output_count)
        return graph_problem("input", layer, user);
      call -= first;
      made.node = keras_node_name(layer, call);
      return made;
    }
    /// True if `value` is [layer, call, output], or the same followed by keyword arguments.
    static bool is_history(const layer_list& list, const json_value& value) {
      const json_value::array_t* const fields = elements_of(&value);
      return fields != nullptr && (fields->size() == 3 || (fields->size() == 4 && (*fields)[3].is_object())) &&
             (*fields)[1].is_number_unsigned() && (*fields)[2].is_number_unsigned() && (*fields)[0].is_string() &&
             list.numbers.number_of(string_or_empty(&(*fields)[0])) != name_table::none;
    }

  private:
    /// Replaces each tensor by {"$input": N}, and adds the tensor to the node's inputs.
    void replace_tensors(json_value& value, std::size_t depth) {
      if (problem_ || !value.is_structured()) return;
      if (depth > max_manifest_depth) {
        problem_ = error(errc::too_deep, node_.name);
      } else if (is_history(list_, value)) {
        json_value kwargs = value.size() == 4 ? std::move(value[3]) : json_value();
        add_input(value, nullptr);
        value = json_value{{std::string(keras_input_key), node_.inputs.size() - 1}};
        replace_tensors(kwargs, depth + 1);
        if (kwargs_.is_null() && !kwargs.empty()) kwargs_ = std::move(kwargs);
      } else if (text_member(value, "class_name") == "__keras_tensor__") {
        json_value config = take_member(value, "config");
        const json_value history = take_member(config, "keras_history");
        add_input(history, std::move(config));
        value = json_value{{std::string(keras_input_key), node_.inputs.size() - 1}};
      } else {
        for (json_value& each : value) replace_tensors(each, depth + 1);
      }
    }
    void add_input(const json_value& history, json_value extra) {
      result<graph_endpoint> made = endpoint_of(list_, history, node_.name);
      if (!made) {
        problem_ = made.error();
        made = graph_endpoint();
      }
      if (auto checked = check_reserved_fields<graph_endpoint>(extra, endpoint_fields, node_.name); !checked)
        problem_ = checked.error();
      made->extra = extra.empty() ? json_value() : std::move(extra);
      node_.inputs.push_back(std::move(*made));
    }
    /// True if the arguments are the one input, or one list of all inputs in order.
    [[nodiscard]] bool is_plain(const json_value& args) const {
      if (!args.is_array() || args.size() != 1) return false;
      const std::size_t count = node_.inputs.size();
      const auto is_input = [](const json_value& value, std::size_t number) {
        const json_value* const found = find_member(value, keras_input_key);
        return found != nullptr && *found == number;
      };
      if (count == 1) return is_input(args.front(), 0);
      const json_value::array_t* const all = elements_of(&args.front());
      if (all == nullptr || all->size() != count || count == 0) return false;
      for (std::size_t number = 0; number < count; ++number) {
        if (!is_input((*all)[number], number)) return false;
      }
      return true;
    }

    const layer_list& list_;
    graph_node& node_;
    json_value kwargs_;
    std::optional<error> problem_;
  };

  // ---- the model's own inputs and outputs ----

  /// The port that a layer for an input describes.
  static graph_port input_port(const graph_node& node, std::string name) {
    graph_port port{std::move(name), node.name, std::nullopt, std::nullopt};
    const json_value* dtype = node.attribute("dtype");
    if (dtype != nullptr && dtype->is_object()) { // the policy of Keras 3
      const json_value* const config = find_member(*dtype, "config");
      dtype = config == nullptr ? nullptr : find_member(*config, "name");
    }
    if (const dtype_description* const row = find_dtype(string_or_empty(dtype))) port.dtype = row->dtype;
    const json_value* shape = node.attribute("batch_input_shape");
    if (shape == nullptr) shape = node.attribute("batch_shape");
    json_value extents = shape == nullptr ? json_value() : *shape;
    if (extents.is_array() && read_port_shape(extents, port))
      port.shape.reset(); // not a shape; the attribute is kept unchanged
    return port;
  }

  /// Adds the tensors in `value`, in any arrangement, as ports.
  /// @return true if they are a list of tensors, which the ports alone can restore
  static result<bool> add_ports(const json_value& value, const layer_list& list, const graph_body& body,
                                bool are_inputs, std::string_view key, distinct_names& names,
                                std::vector<graph_port>& into, std::size_t depth = 0) {
    if (call_reader::is_history(list, value)) {
      result<graph_endpoint> endpoint = call_reader::endpoint_of(list, value, key);
      if (!endpoint) return endpoint.error();
      std::string name = key.empty() ? keras_node_name(endpoint->node, endpoint->output) : std::string(key);
      name = names.unique_name(std::move(name));
      const std::size_t layer = list.numbers.number_of(endpoint->node);
      graph_port port{name, *endpoint, std::nullopt, std::nullopt};
      if (are_inputs && layer != name_table::none && endpoint->output == 0)
        port = input_port(body.nodes[list.node_numbers[layer]], std::move(name));
      into.push_back(std::move(port));
      return depth == 1 && key.empty();
    }
    if (!value.is_structured() || depth > max_manifest_depth)
      return error(errc::bad_graph, are_inputs ? "input_layers" : "output_layers");
    bool is_list = value.is_array();
    for (const auto& [name, each] : value.items()) {
      const result<bool> added =
          add_ports(each, list, body, are_inputs, value.is_object() ? std::string_view(name) : std::string_view(),
                    names, into, depth + 1);
      if (!added) return added.error();
      is_list = is_list && *added;
    }
    return is_list;
  }

  static result<void> read_ports(json_value& config, const layer_list& list, graph_body& body) {
    const struct {
      const char* field;
      std::vector<graph_port>& ports;
      bool are_inputs;
    } both[] = {{"input_layers", body.inputs, true}, {"output_layers", body.outputs, false}};
    for (const auto& [field, ports, are_inputs] : both) {
      json_value layers = take_member(config, field);
      if (layers.is_null()) return error(errc::missing_field, field);
      distinct_names names;
      const result<bool> added = add_ports(layers, list, body, are_inputs, {}, names, ports);
      if (!added) return added.error();
      if (!*added) // the ports lose their arrangement
        append_member(config, field, std::move(layers));
    }
    return {};
  }

  /// Connects the ports of a Sequential model: from the first layer to the last.
  static result<void> end_chain(graph_body& body) {
    if (body.nodes.empty()) return {};
    body.inputs.push_back(input_port(body.nodes.front(), body.nodes.front().name));
    body.outputs.push_back({body.nodes.back().name, body.nodes.back().name, std::nullopt, std::nullopt});
    return {};
  }

  graph made_;
  distinct_names function_names_;
  std::uint64_t budget_ = 0; // the bytes that names of further calls may use
};

} // namespace detail

/// Makes a graph from the configuration of a Keras 1, 2 or 3 model: the topology of a TensorFlow.js layers model,
/// `model_config` of an HDF5 file, or config.json of a .keras file.
///
/// Nothing is lost: graph_to_keras makes the same configuration again, except for the syntax of Keras 1.
/// @retval errc::wrong_type, missing_field  a field, "FIELD of LAYER" or "layer NUMBER", is not as Keras writes it
/// @retval errc::too_large      the names of many calls (the subject is one) take far more memory than the configuration
/// @retval errc::duplicate_key  a layer has a field, "FIELD of LAYER", that graphs have but Keras does not write
/// @retval errc::bad_graph      a layer is called with a tensor that no layer makes: "input NAME of NODE"
/// @retval errc::too_deep       models are nested too deeply
/// The graph is not checked (layers with the same name, cycles); call check_graph.
/// Cost: moves the parts that it keeps; n log n in the number of layers of a model.
/// Source: config.hpp; keras-team/keras, src/models/functional.py and sequential.py (get_config,
/// from_config); tensorflow/tfjs, tfjs-layers/src/engine/container.ts.
inline result<graph> graph_from_keras(json_value config) { return detail::keras_reader().run(std::move(config)); }

} // namespace stet::inline STET_NAMESPACE

#endif
