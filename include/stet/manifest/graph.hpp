// SPDX-License-Identifier: MIT
// The graph of a store describes what a network computes: the specification in prose, and its fields as plain
// structs.
#ifndef STET_MANIFEST_GRAPH_HPP
#define STET_MANIFEST_GRAPH_HPP

#include "../json.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The graph, field `graph` of the manifest
// ========================================
//
// The graph says what a network computes from its inputs and the store's tensors: enough to build the network
// again without having been compiled for it. It is data. What an op does, and which attributes it takes, is
// between the program that writes the graph and the one that reads it: Keras layers, TensorFlow ops or a
// program's own.
//
//   {"nodes": [
//      {"name": "pixels", "op": "Placeholder"},
//      {"name": "dense", "op": "Dense", "inputs": ["pixels"],
//       "attributes": {"units": 10, "activation": "softmax"},
//       "variables": {"kernel": "dense/kernel", "bias": "dense/bias"}},
//      {"name": "best", "op": "TopK", "inputs": ["dense"], "attributes": {"k": 3}}],
//    "inputs": {"pixels": {"node": "pixels", "dtype": "float32", "shape": [null, 784]}},
//    "outputs": {"probabilities": "dense", "digits": {"node": "best", "output": 1}},
//    "signatures": {"serving_default": {"inputs": {"image": "pixels"}, "outputs": {"scores": "dense"}}},
//    "functions": {"cond_true": {"nodes": [{"name": "x", "op": "Argument"}], "outputs": {"y": "x"}}},
//    "metadata": {"producer": "digits"}}
//
// Of the graph
//   nodes        required: an array. They may stand in any order
//   inputs       an object of ports by name: what a caller feeds
//   outputs      an object of ports by name: what a caller fetches
//   signatures   an object of signatures by name: further ways to call the graph
//     inputs, outputs   as those of the graph
//   functions    an object of functions by name: graphs that nodes of any graph here may call. How a node
//                names the function it calls is the op's to say
//     nodes, inputs, outputs   as those of the graph
//     attributes        an object: anything
//   metadata     an object: anything
//
// Of a node
//   name         required: 1 … 65535 bytes without NUL, of its own within its graph or function. It may hold
//                ':', '^' or anything else
//   op           required: what the node computes; 1 … 65535 bytes without NUL
//   inputs       an array of endpoints, in the order in which the op takes them
//   attributes   an object: anything the op needs to know
//   variables    an object: what a tensor is to the node → the name of the tensor in the store. Several nodes
//                may name one tensor
//
// An endpoint is the output of a node: its name as a string, which means its output number 0, or an object:
//   node         required: the name of a node of the same graph or function
//   output       the number of the output, below 65536; default 0
//   output_name  the output's name, where the op gives its outputs names; `output` then counts from there
//   control      true: the node only has to have run. Such an input has no output and no output_name
//
// A port is an endpoint with a name of its own, never a control input, and may say what lies there:
//   dtype        a name from dtype_table (vocabulary/dtype.hpp). What is no tensor has none
//   shape        an array of at most 254 extents, outermost first; null for one that is not known. Without
//                `shape`, the rank is not known either
//
// No node's inputs, control inputs included, lead back to it, except through ops that the reading program
// knows to hand values from one round of a loop to the next (TensorFlow's NextIteration).
//
// How the graph grows. Fields that a reader does not know are kept as they are and in their order, behind the
// others, in each of the objects above.
//
// As written by this library: keys in the order above, absent where there is nothing to say, an endpoint as
// a string where its name is all there is to it. The same graph gives the same JSON everywhere.

namespace stet::inline STET_NAMESPACE {

/// An output of a node has a number below this.
inline constexpr std::uint32_t max_output_count = 65536;

/// An extent that a graph leaves open.
inline constexpr std::int64_t unknown_extent = -1;

/// An output of a node, named where it is used: as another node's input, or behind a port.
struct graph_endpoint {
  /// The name of the node.
  std::string node;
  /// The number of the output.
  std::uint32_t output = 0;
  /// Empty: the output is known by its number alone.
  std::string output_name;
  /// True for a control input: the node must run first, and none of its outputs is used.
  bool is_control = false;
  /// An object: every field that this library does not know, in order. Null: none.
  json_value extra;

  graph_endpoint() = default;
  /// Output number `output_number` of the node called `node_name`.
  graph_endpoint(std::string node_name, std::uint32_t output_number = 0)
      : node(std::move(node_name)), output(output_number) {}
  /// The same, for a string literal.
  graph_endpoint(const char* node_name, std::uint32_t output_number = 0) : node(node_name), output(output_number) {}
  /// An input that waits for the node called `node_name` and takes nothing from it.
  [[nodiscard]] static graph_endpoint control(std::string node_name) {
    graph_endpoint made(std::move(node_name));
    made.is_control = true;
    return made;
  }
  friend bool operator==(const graph_endpoint&, const graph_endpoint&) = default;
};

/// A named input or output of a graph, function or signature.
struct graph_port {
  /// The name of the port.
  std::string name;
  /// The output that the port names.
  graph_endpoint endpoint;
  /// The dtype of the elements; absent: not known.
  std::optional<stet::dtype> dtype;
  /// Extents, `unknown_extent` for those left open. Absent: the rank is not known.
  std::optional<std::vector<std::int64_t>> shape;
  friend bool operator==(const graph_port&, const graph_port&) = default;
};

/// A tensor of the store that a node uses.
struct graph_variable {
  /// The role of the tensor in the node: "kernel".
  std::string role;
  /// Its name in the store: "dense/kernel".
  std::string tensor;
  friend bool operator==(const graph_variable&, const graph_variable&) = default;
};

/// One operation.
struct graph_node {
  /// The name of the node.
  std::string name;
  /// The operation of the node.
  std::string op;
  /// The outputs of other nodes that this node reads or waits for.
  std::vector<graph_endpoint> inputs;
  /// An object, in order; null: none.
  json_value attributes;
  /// The tensors of the store that this node uses.
  std::vector<graph_variable> variables;
  /// An object: every field that this library does not know, in order. Null: none.
  json_value extra;

  /// The attribute called `key`, or nullptr. Cost: a walk over the attributes.
  [[nodiscard]] const json_value* attribute(std::string_view key) const {
    const json_value::object_t* const members = attributes.get_ptr<const json_value::object_t*>();
    if (members == nullptr) return nullptr;
    for (const auto& [name_of_it, value] : *members) {
      if (name_of_it == key) return &value;
    }
    return nullptr;
  }
  /// The name of the tensor that is `role` to this node, or nullptr. Cost: a walk over the variables.
  [[nodiscard]] const std::string* variable(std::string_view role) const noexcept {
    for (const graph_variable& each : variables) {
      if (each.role == role) return &each.tensor;
    }
    return nullptr;
  }
  friend bool operator==(const graph_node&, const graph_node&) = default;
};

/// The nodes and ports of a graph or of a function.
struct graph_body {
  /// The nodes, in any order.
  std::vector<graph_node> nodes;
  /// The ports that values enter by.
  std::vector<graph_port> inputs;
  /// The ports that values leave by.
  std::vector<graph_port> outputs;

  /// Adds a node and returns it, so that its other fields can be set. The reference is valid until the next node is added.
  ///
  ///     graph.add("pixels", "Placeholder");
  ///     graph.add("dense", "Dense", {"pixels"}, {{"units", 10}, {"activation", "relu"}},
  ///               {{"kernel", "dense/kernel"}, {"bias", "dense/bias"}});
  ///     graph.add("best", "TopK", {"dense", {"settings", 1}, graph_endpoint::control("ready")});
  ///
  /// check_graph checks the result.
  graph_node& add(std::string name, std::string op, std::vector<graph_endpoint> node_inputs = {},
                  json_value attributes = nullptr, std::vector<graph_variable> variables = {}) {
    return nodes.emplace_back(graph_node{std::move(name), std::move(op), std::move(node_inputs), std::move(attributes),
                                         std::move(variables), nullptr});
  }
  friend bool operator==(const graph_body&, const graph_body&) = default;
};

/// A graph that nodes can call by its name.
struct graph_function : graph_body {
  /// The name by which nodes call the function.
  std::string name;
  /// An object; null: none.
  json_value attributes;
  /// An object: every field that this library does not know, in order. Null: none.
  json_value extra;
  friend bool operator==(const graph_function&, const graph_function&) = default;
};

/// A way to call a graph: names for some of its endpoints.
struct graph_signature {
  /// The name of the signature.
  std::string name;
  /// The names of inputs.
  std::vector<graph_port> inputs;
  /// The names of outputs.
  std::vector<graph_port> outputs;
  /// An object: every field that this library does not know, in order. Null: none.
  json_value extra;
  friend bool operator==(const graph_signature&, const graph_signature&) = default;
};

/// A graph; the fields are those of the specification above. A plain value: add() builds it, or
/// graph_from_json reads it; check_graph says whether it is one, link_graph resolves its names, graph_to_json
/// makes what a manifest holds.
struct graph : graph_body {
  /// The ways to call the graph.
  std::vector<graph_signature> signatures;
  /// The graphs that nodes call.
  std::vector<graph_function> functions;
  /// An object; null: none.
  json_value metadata;
  /// An object: every field that this library does not know, in order. Null: none.
  json_value extra;
  friend bool operator==(const graph&, const graph&) = default;
};

} // namespace stet::inline STET_NAMESPACE

#endif
