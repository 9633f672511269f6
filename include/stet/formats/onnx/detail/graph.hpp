// SPDX-License-Identifier: MIT
// Makes a graph of the messages of an ONNX model.
#ifndef STET_FORMATS_ONNX_DETAIL_GRAPH_HPP
#define STET_FORMATS_ONNX_DETAIL_GRAPH_HPP

#include "graph_parts.hpp"
#include "names.hpp"

#include "../../common/float_json.hpp"
#include "../../common/json_members.hpp"

#include "../../../manifest/graph_json.hpp"
#include "../../../store/store.hpp"
#include "../../../vocabulary/detail/bit_cast.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// An ONNX model as a graph
// ========================
//
//   node         a NodeProto; its name, or where it has none or a taken one, that of its first output
//     attributes floats, integers, strings (bytes that are not UTF-8: {"base64": TEXT}) and lists of them; {"function": NAME}
//                of a graph; {"ref": NAME} of an attribute of the function around the node; {"type": …} of a type
//     variables  tensors, by the name of the attribute
//     outputs    additional field: the names of the outputs, unless it is one, called as the node
//     domain, overload  additional fields, unless they are empty
//   Further nodes hold the values that no NodeProto makes:
//     op Input        an input of the graph, or of a function
//     op Initializer  an initializer; its variable is "value", of a sparse one "values" and "indices"
//     op Outer        a value of a graph around this one, or of none
//     op Omitted      an optional input that is absent
//   functions    functions, subgraphs and training graphs; the tensors in one have its name and '/' in front of theirs
//   metadata     {"onnx": {"ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string",
//                          "opset_import": {DOMAIN: VERSION}, "metadata_props": {KEY: VALUE}, "graph": {"name", "doc_string"}}}
//   A port has the additional fields `type` where it is no tensor, and `dim_params`, the names of its open extents.
//
// Source: onnx/onnx.proto.

namespace stet::inline STET_NAMESPACE::detail {

/// Reads a model. Used once; failures are those of the input.
class onnx_graph_reader : private onnx_part_reader {
public:
  /// @param where  the store with the tensors
  onnx_graph_reader(onnx_input& in, const store& where)
      : onnx_part_reader(in), store_(where), names_left_((std::uint64_t{1} << 16) + 16 * in.size_bytes()) {}

  graph read() {
    json_value facts = json_value::object(), opsets = json_value::object(), properties = json_value::object(),
               of_graph = json_value::object();
    onnx_fields fields(in_, {0, in_.size_bytes()});
    while (fields.next()) {
      switch (fields.tag()) {
      case varint_field(1):
      case varint_field(5):
        set(facts, fields.number() == 1 ? "ir_version" : "model_version", static_cast<std::int64_t>(fields.value()));
        break;
      case bytes_field(2):
      case bytes_field(3):
      case bytes_field(4):
      case bytes_field(6): {
        static constexpr const char* keys[] = {"producer_name", "producer_version", "domain", nullptr, "doc_string"};
        set(facts, keys[fields.number() - 2], text(fields));
        break;
      }
      case bytes_field(7):
        read_body(fields.payload(), made_, "", 1);
        read_facts(fields.payload(), of_graph);
        break;
      case bytes_field(8):
        read_opset(fields.payload(), opsets);
        break;
      case bytes_field(14):
        read_property(fields.payload(), properties);
        break;
      case bytes_field(20):
        read_training(fields.payload());
        break;
      case bytes_field(25):
        read_function(fields.payload());
        break;
      default:
        break;
      }
    }
    for (auto& [key, value] :
         {std::pair{"opset_import", &opsets}, {"metadata_props", &properties}, {"graph", &of_graph}}) {
      if (!value->empty()) set(facts, key, std::move(*value));
    }
    made_.metadata = json_value{{"onnx", std::move(facts)}};
    return std::move(made_);
  }

private:
  /// What a body holds so far.
  struct body_facts {
    /// The outputs of nodes by the names of their values.
    std::map<std::string, graph_endpoint> values;
    distinct_names names;
    std::string omitted;
  };

  /// The name of a graph within others, which many can share as a prefix.
  std::string nested_name(const std::string& prefix, std::string_view name) {
    const std::uint64_t size = prefix.size() + name.size();
    if (size > names_left_) {
      in_.fail(error(errc::too_large, "names of graphs"));
      return {};
    }
    names_left_ -= size;
    return prefix + std::string(name);
  }

  void read_training(const onnx_range& training) {
    onnx_fields fields(in_, training);
    while (fields.next()) {
      const bool is_first = fields.tag() == bytes_field(1);
      if (!is_first && fields.tag() != bytes_field(2)) continue;
      graph_function made;
      made.name = function_names_.unique_name(is_first ? "training:initialization" : "training:algorithm");
      read_body(fields.payload(), made, made.name + "/", 2);
      made_.functions.push_back(std::move(made));
    }
  }

  void read_function(const onnx_range& function) {
    graph_function made;
    json_value opsets = json_value::object(), properties = json_value::object();
    std::string name;
    std::vector<std::string> inputs, outputs, attributes;
    onnx_fields facts(in_, function);
    while (facts.next()) {
      switch (facts.tag()) {
      case bytes_field(1):
        name = text(facts);
        break;
      case bytes_field(4):
        inputs.push_back(text(facts));
        break;
      case bytes_field(5):
        outputs.push_back(text(facts));
        break;
      case bytes_field(6):
        attributes.push_back(text(facts));
        break;
      case bytes_field(8):
        set(made.extra, "doc_string", text(facts));
        break;
      case bytes_field(9):
        read_opset(facts.payload(), opsets);
        break;
      case bytes_field(10):
        set(made.extra, "domain", text(facts));
        break;
      case bytes_field(13):
        set(made.extra, "overload", text(facts));
        break;
      case bytes_field(14):
        read_property(facts.payload(), properties);
        break;
      default:
        break;
      }
    }
    made.name = function_names_.unique_name("function:" + name);
    set(made.extra, "op", name);
    if (!opsets.empty()) set(made.extra, "opset_import", std::move(opsets));
    if (!properties.empty()) set(made.extra, "metadata_props", std::move(properties));
    body_facts body;
    for (const std::string& input : inputs) add_input(input, made, body).name = input;
    json_value defaults = json_value::object();
    onnx_fields fields(in_, function);
    while (fields.next()) {
      if (fields.tag() != bytes_field(11)) continue;
      graph_node holder;
      read_attribute(fields.payload(), holder, {}, {}, made.name + "/", 2);
      if (holder.attributes.is_object()) {
        for (auto& [key, value] : holder.attributes.items()) set(defaults, key, std::move(value));
      }
    }
    for (const std::string& each : attributes) set(made.attributes, each, nullptr);
    if (!defaults.empty()) {
      for (auto& [key, value] : defaults.items()) set(made.attributes, key, std::move(value));
    }
    read_nodes(function, 7, made, body, made.name + "/", 2);
    for (const std::string& output : outputs) {
      graph_port& port = made.outputs.emplace_back();
      port.name = output;
      port.endpoint = value_of(output, made, body);
    }
    made_.functions.push_back(std::move(made));
  }

  /// Reads a GraphProto.
  void read_body(const onnx_range& graph, graph_body& into, const std::string& prefix, std::uint32_t depth) {
    if (depth + 3 >= max_protobuf_depth) return in_.fail(error(errc::too_deep, {}, graph.begin));
    body_facts body;
    onnx_fields fields(in_, graph);
    while (fields.next()) {
      if (fields.tag() == bytes_field(5)) add_initializer(name_of_tensor(fields.payload()), prefix, into, body);
      if (fields.tag() == bytes_field(15)) add_sparse_initializer(fields.payload(), prefix, into, body);
    }
    onnx_fields inputs(in_, graph);
    while (inputs.next()) {
      if (inputs.tag() != bytes_field(11)) continue;
      graph_port described = read_port(inputs.payload());
      graph_port& port = add_input(described.name, into, body);
      described.endpoint.node = port.endpoint.node;
      described.endpoint.output = port.endpoint.output;
      port = std::move(described);
    }
    read_nodes(graph, 1, into, body, prefix, depth);
    onnx_fields outputs(in_, graph);
    while (outputs.next()) {
      if (outputs.tag() != bytes_field(12)) continue;
      graph_port port = read_port(outputs.payload());
      graph_endpoint from = value_of(port.name, into, body);
      from.extra = std::move(port.endpoint.extra);
      port.endpoint = std::move(from);
      into.outputs.push_back(std::move(port));
    }
  }

  void add_variable(graph_node& node, std::string role, const std::string& tensor) {
    if (store_.contains(tensor)) node.variables.push_back({std::move(role), tensor});
  }
  void add_initializer(const std::string& name, const std::string& prefix, graph_body& into, body_facts& body) {
    graph_node& node = add_value(name, "Initializer", into, body);
    add_variable(node, "value", nested_name(prefix, name));
  }
  void add_sparse_initializer(const onnx_range& sparse, const std::string& prefix, graph_body& into, body_facts& body) {
    const std::string name = name_of_sparse(sparse);
    graph_node& node = add_value(name, "Initializer", into, body);
    for (const char* const part : {"values", "indices"})
      add_variable(node, part, nested_name(prefix, "sparse:" + name + ":" + part));
  }

  /// Adds a node that holds the value `name`.
  graph_node& add_value(const std::string& name, const char* op, graph_body& into, body_facts& body) {
    graph_node& node = into.add(body.names.unique_name(name.empty() ? "unnamed" : name), op);
    body.values[name] = graph_endpoint(node.name);
    return node;
  }
  /// Adds an input. One that is an initializer, too, has a value that the caller may replace.
  graph_port& add_input(const std::string& name, graph_body& into, body_facts& body) {
    const auto found = body.values.find(name);
    graph_endpoint from =
        found != body.values.end() ? found->second : graph_endpoint(add_value(name, "Input", into, body).name);
    graph_port& port = into.inputs.emplace_back();
    port.endpoint = std::move(from);
    return port;
  }
  /// Where the value `name` comes from.
  graph_endpoint value_of(const std::string& name, graph_body& into, body_facts& body) {
    if (name.empty()) {
      if (body.omitted.empty()) {
        body.omitted = body.names.unique_name("omitted");
        into.add(body.omitted, "Omitted");
      }
      return graph_endpoint(body.omitted);
    }
    const auto found = body.values.find(name);
    return found != body.values.end() ? found->second : graph_endpoint(add_value(name, "Outer", into, body).name);
  }

  /// Reads the nodes of a graph or function, which are its fields of this number.
  void read_nodes(const onnx_range& body_range, std::uint32_t field_number, graph_body& into, body_facts& body,
                  const std::string& prefix, std::uint32_t depth) {
    struct node_inputs {
      std::size_t node;
      std::vector<std::string> values;
    };
    std::vector<node_inputs> all;
    std::uint64_t number = 0;
    onnx_fields fields(in_, body_range);
    while (fields.next()) {
      if (fields.tag() != bytes_field(field_number)) continue;
      all.push_back({into.nodes.size(), {}});
      read_node(fields.payload(), number++, into, body, all.back().values, prefix, depth + 1);
    }
    // Values may be used in front of the node that makes them.
    for (const node_inputs& each : all) {
      std::vector<graph_endpoint> inputs;
      for (const std::string& value : each.values) inputs.push_back(value_of(value, into, body));
      into.nodes[each.node].inputs = std::move(inputs);
    }
  }

  void read_node(const onnx_range& range, std::uint64_t number, graph_body& into, body_facts& body,
                 std::vector<std::string>& inputs, const std::string& prefix, std::uint32_t depth) {
    graph_node node;
    std::vector<std::string> outputs;
    json_value properties = json_value::object();
    onnx_fields fields(in_, range);
    while (fields.next()) {
      switch (fields.tag()) {
      case bytes_field(1):
        inputs.push_back(text(fields));
        break;
      case bytes_field(2):
        outputs.push_back(text(fields));
        break;
      case bytes_field(3):
        node.name = text(fields);
        break;
      case bytes_field(4):
        node.op = text(fields);
        break;
      case bytes_field(6):
        set(node.extra, "doc_string", text(fields));
        break;
      case bytes_field(7):
        if (std::string domain = text(fields); !domain.empty()) set(node.extra, "domain", std::move(domain));
        break;
      case bytes_field(8):
        if (std::string overload = text(fields); !overload.empty()) set(node.extra, "overload", std::move(overload));
        break;
      case bytes_field(9):
        read_property(fields.payload(), properties);
        break;
      default:
        break;
      }
    }
    const std::string label = onnx_node_label(outputs.empty() ? std::string() : outputs.front(), node.name, number);
    onnx_fields attributes(in_, range);
    while (attributes.next()) {
      if (attributes.tag() == bytes_field(5))
        read_attribute(attributes.payload(), node, node.op, label, prefix, depth + 1);
    }
    node.name = body.names.unique_name(node.name.empty() ? label : node.name);
    if (!properties.empty()) set(node.extra, "metadata_props", std::move(properties));
    if (outputs.size() != 1 || outputs.front() != node.name) set(node.extra, "outputs", outputs);
    for (std::size_t output = 0; output < outputs.size() && output < max_output_count; ++output) {
      if (!outputs[output].empty())
        body.values[outputs[output]] = graph_endpoint(node.name, static_cast<std::uint32_t>(output));
    }
    into.nodes.push_back(std::move(node));
  }

  /// Adds an attribute to the attributes of a node, or to its variables.
  void read_attribute(const onnx_range& attribute, graph_node& node, std::string_view op, std::string_view label,
                      const std::string& prefix, std::uint32_t depth) {
    std::string name;
    onnx_fields facts(in_, attribute);
    while (facts.next()) {
      if (facts.tag() == bytes_field(1)) name = text(facts);
    }
    json_value value;
    std::uint64_t type = 0, number = 0;
    onnx_fields fields(in_, attribute);
    const auto add = [&](json_value each) {
      if (!value.is_array()) value = json_value::array();
      value.push_back(std::move(each));
    };
    while (fields.next()) {
      switch (fields.tag()) {
      case fixed32_field(2):
        value = float_json(bit_cast<float>(static_cast<std::uint32_t>(fields.value())));
        break;
      case varint_field(3):
        value = static_cast<std::int64_t>(fields.value());
        break;
      case bytes_field(4):
        value = bytes_json(fields.text());
        break;
      case bytes_field(5):
        add_variable(node, name, nested_name(prefix, onnx_node_name(op, label, name)));
        break;
      case bytes_field(6):
        value = read_subgraph(fields.payload(), label, name, prefix, depth + 1);
        break;
      case fixed32_field(7):
        add(float_json(bit_cast<float>(static_cast<std::uint32_t>(fields.value()))));
        break;
      case bytes_field(7):
        for_each_packed_float(fields.payload(), [&](float each) { add(float_json(each)); });
        break;
      case varint_field(8):
        add(static_cast<std::int64_t>(fields.value()));
        break;
      case bytes_field(8):
        for_each_packed_varint(in_, fields.payload(),
                               [&](std::uint64_t each) { add(static_cast<std::int64_t>(each)); });
        break;
      case bytes_field(9):
        add(bytes_json(fields.text()));
        break;
      case bytes_field(10): {
        const std::string own = name + ":" + std::to_string(number++);
        add_variable(node, own, nested_name(prefix, onnx_node_name(op, label, own)));
        break;
      }
      case bytes_field(11):
        add(read_subgraph(fields.payload(), label, name + ":" + std::to_string(number++), prefix, depth + 1));
        break;
      case bytes_field(14):
        value = json_value{{"type", type_json(fields.payload())}};
        break;
      case bytes_field(15):
        add(json_value{{"type", type_json(fields.payload())}});
        break;
      case varint_field(20):
        type = fields.value();
        break;
      case bytes_field(21):
        if (std::string ref = text(fields); !ref.empty()) value = json_value{{"ref", std::move(ref)}};
        break;
      case bytes_field(22):
      case bytes_field(23): {
        const std::string own = fields.number() == 22 ? name : name + ":" + std::to_string(number++);
        const std::string sparse = onnx_node_name(op, label, own) + ":sparse:" + name_of_sparse(fields.payload()) + ":";
        for (const char* const part : {"values", "indices"})
          add_variable(node, own + ":" + part, nested_name(prefix, sparse + part));
        break;
      }
      default:
        break;
      }
    }
    if (value.is_null()) value = default_of(type);
    if (value.is_null()) return;
    if (find_member(node.attributes, name) != nullptr) return in_.fail(error_about({errc::duplicate_key, name}, label));
    append_member(node.attributes, std::move(name), std::move(value));
  }
  json_value read_subgraph(const onnx_range& graph, std::string_view label, std::string_view name,
                           const std::string& prefix, std::uint32_t depth) {
    graph_function made;
    made.name = nested_name(prefix, onnx_subgraph_name(label, name));
    read_body(graph, made, made.name + "/", depth);
    read_facts(graph, made.attributes);
    json_value reference{{"function", made.name}};
    made_.functions.push_back(std::move(made));
    return reference;
  }

  const store& store_;
  graph made_;
  distinct_names function_names_;
  std::uint64_t names_left_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
