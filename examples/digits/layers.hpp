// SPDX-License-Identifier: MIT
// A network built from the graph in its file: which layers there are, how large and how joined, only the file
// says.
#ifndef DIGITS_LAYERS_HPP
#define DIGITS_LAYERS_HPP

#include "network.hpp"

#include <stet/manifest/graph_link.hpp>
#include <stet/stet.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace digits {

/// An activation by the name that Keras gives it.
struct activation {
  std::string_view name;
  void (*apply)(std::span<float> values) noexcept;
};
inline constexpr activation activations_known[] = {
    {"linear", [](std::span<float>) noexcept {}}, {"relu", relu}, {"softmax", softmax}};

/// The layer that a node of op Dense describes, its numbers viewed in the file.
struct built_layer {
  static constexpr std::size_t network_input = ~std::size_t{0};

  dense_layer<stet::dynamic, stet::dynamic> numbers;
  const activation* activates;
  std::size_t source; ///< the number of the layer that feeds it, or `network_input`

  std::size_t input_count() const noexcept { return numbers.kernel.extent(0); }
  std::size_t output_count() const noexcept { return numbers.kernel.extent(1); }
};

/// A network as its graph describes it: any number of dense layers, each fed by the input or by an earlier
/// one. Views the store it was built from.
struct built_network {
  std::size_t input_count = 0;
  std::vector<built_layer> layers;        ///< in an order in which they can be computed
  std::size_t answer = 0;                 ///< the number of the layer whose outputs are the network's
  std::vector<std::vector<float>> values; ///< what each layer made of the last input

  /// Shows the network one input of `input_count` numbers.
  /// @return what it makes of it; valid until the next call
  std::span<const float> run(std::span<const float> input) noexcept {
    for (std::size_t at = 0; at < layers.size(); ++at) {
      const built_layer& layer = layers[at];
      const std::span<const float> source = layer.source == built_layer::network_input ? input : values[layer.source];
      apply(layer.numbers, source, std::span(values[at]));
      layer.activates->apply(values[at]);
    }
    return values[answer];
  }

  std::size_t output_count() const noexcept { return layers[answer].output_count(); }

  /// The numbers of every layer, kernel before bias.
  std::vector<std::span<const float>> weights() const {
    std::vector<std::span<const float>> all;
    for (const built_layer& layer : layers) {
      all.push_back(layer.numbers.kernel.flat());
      all.push_back(layer.numbers.bias.flat());
    }
    return all;
  }

  /// For a person: "784 > Dense 10 relu > Dense 10 softmax".
  std::string description() const {
    std::string text = std::to_string(input_count);
    for (const built_layer& layer : layers)
      text.append(" > Dense ").append(std::to_string(layer.output_count())).append(" ").append(layer.activates->name);
    return text;
  }
};

namespace detail {

/// The layer of a Dense node that takes `input_count` numbers.
inline stet::result<built_layer> build_dense(const stet::graph_node& node, const stet::store& store, std::size_t source,
                                             std::size_t input_count) {
  built_layer layer{{}, nullptr, source};
  const stet::json_value* const activation_name = node.attribute("activation");
  for (const activation& each : activations_known) {
    if (activation_name != nullptr && *activation_name == each.name) layer.activates = &each;
  }
  const std::string *const kernel_name = node.variable("kernel"), *const bias_name = node.variable("bias");
  if (layer.activates == nullptr || kernel_name == nullptr || bias_name == nullptr)
    return stet::error(stet::errc::unsupported, node.name);
  const auto kernel = store.view<float, stet::dynamic, stet::dynamic>(*kernel_name);
  if (!kernel) return kernel.error();
  const auto bias = store.view<float, stet::dynamic>(*bias_name);
  if (!bias) return bias.error();
  layer.numbers = {*kernel, *bias};
  const stet::json_value* const units = node.attribute("units");
  // Neither is 0, so that every number of the layer lies in the file.
  if (layer.input_count() != input_count || layer.output_count() == 0 || bias->extent(0) != layer.output_count() ||
      units == nullptr || *units != layer.output_count())
    return stet::error(stet::errc::shape_mismatch, node.name);
  return layer;
}

/// How many numbers go into the network, as the graph's only input says.
inline stet::result<std::size_t> count_inputs(const stet::graph_port& input) {
  std::uint64_t count = 1;
  for (const std::int64_t extent : input.shape.value_or(std::vector<std::int64_t>{0})) {
    constexpr std::uint64_t limit = std::uint64_t{1} << 31;
    if (extent <= 0 || static_cast<std::uint64_t>(extent) > limit / count)
      return stet::error(stet::errc::bad_shape, input.name);
    count *= static_cast<std::uint64_t>(extent);
  }
  return static_cast<std::size_t>(count);
}

} // namespace detail

/// Builds the network that `graph` describes, its numbers viewed where `store` has them.
/// @retval stet::errc::unsupported     the graph has not one input and one output, or a node is neither a
///                                     Placeholder nor a Dense layer with kernel, bias and a known activation
/// @retval stet::errc::bad_graph       the graph is not sound: see stet::link_graph
/// @retval stet::errc::not_found       a layer's variable is not in the store; or it has another dtype or
/// rank
/// @retval stet::errc::shape_mismatch  a layer does not fit the one before it, or is not as wide as it says
/// @retval stet::errc::too_large       the layers together have more than 2^24 outputs
inline stet::result<built_network> build_network(const stet::graph& graph, const stet::store& store) {
  stet::graph_rules rules;
  rules.has_variable = [&](std::string_view name) { return store.contains(name); };
  rules.output_count = [](const stet::graph_node&) { return 1u; };
  const auto linked = stet::link_graph(graph, rules);
  if (!linked) return linked.error();
  if (graph.inputs.size() != 1 || graph.outputs.size() != 1) return stet::error(stet::errc::unsupported, "graph");
  const auto input_count = detail::count_inputs(graph.inputs[0]);
  if (!input_count) return input_count.error();

  built_network net;
  net.input_count = *input_count;
  const std::uint32_t input_node = linked->number_of(graph.inputs[0].endpoint.node);
  std::vector<std::size_t> layer_of(graph.nodes.size(), built_layer::network_input);
  constexpr std::size_t most_values = std::size_t{1} << 24; // layers may share their numbers, not their values
  std::size_t value_count = 0;
  for (const std::uint32_t number : linked->order()) {
    const stet::graph_node& node = graph.nodes[number];
    const auto inputs = linked->inputs(number);
    if (number == input_node && node.op == "Placeholder") continue;
    if (node.op != "Dense" || inputs.size() != 1 || node.inputs[0].is_control)
      return stet::error(stet::errc::unsupported, node.name);
    const std::size_t source = layer_of[inputs[0].node];
    const bool is_first = source == built_layer::network_input;
    auto layer =
        detail::build_dense(node, store, source, is_first ? net.input_count : net.layers[source].output_count());
    if (!layer) return layer.error();
    layer_of[number] = net.layers.size();
    if (layer->output_count() > most_values - value_count) return stet::error(stet::errc::too_large, node.name);
    value_count += layer->output_count();
    net.layers.push_back(*layer);
    net.values.emplace_back(layer->output_count());
  }
  net.answer = layer_of[linked->number_of(graph.outputs[0].endpoint.node)];
  if (net.answer == built_layer::network_input) return stet::error(stet::errc::unsupported, graph.outputs[0].name);
  return net;
}

} // namespace digits

#endif
