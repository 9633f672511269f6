// SPDX-License-Identifier: MIT
// The layers of a model with their weights, as Keras numbers the ones and orders the others.
#ifndef STET_FORMATS_KERAS_LAYERS_HPP
#define STET_FORMATS_KERAS_LAYERS_HPP

#include "names.hpp"

#include "../json_members.hpp"
#include "../keras_config.hpp"

#include "../../store/store.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// A weight of a layer.
struct keras_weight {
  /// What the graph calls it: "kernel", "forward_lstm/lstm_cell/bias".
  std::string role;
  tensor value;
  /// The object within the layer that has it, with a "/" behind it: "forward_layer/cell/"; empty: the layer.
  std::string_view part;
  bool is_trainable = true;
};

/// A layer of a model, or of a model within it.
struct keras_layer {
  /// Its group: "/layers/functional/layers/dense_1".
  std::string path;
  /// Its name with those of the models around it, "block/dense", as Keras calls its weights.
  std::string full_name, name, op;
  /// The number of the layer of the outermost model that it is, or is in.
  std::size_t top = 0;
  /// In the order of Keras.
  std::vector<keras_weight> weights;
};

/// An object within the layers of a class: that of the weights whose role begins with `role`, if it names one
/// at all.
struct keras_part {
  std::string_view op, role, path;
  /// How many steps a role may have in front of the variable's own name.
  std::size_t max_steps;
};
inline constexpr keras_part keras_parts[] = {
    {"SimpleRNN", "", "cell/", 1},
    {"LSTM", "", "cell/", 1},
    {"GRU", "", "cell/", 1},
    {"ConvLSTM1D", "", "cell/", 1},
    {"ConvLSTM2D", "", "cell/", 1},
    {"ConvLSTM3D", "", "cell/", 1},
    {"Bidirectional", "forward", "forward_layer/cell/", 2},
    {"Bidirectional", "backward", "backward_layer/cell/", 2},
    {"MultiHeadAttention", "query", "query_dense/", 1},
    {"MultiHeadAttention", "key", "key_dense/", 1},
    {"MultiHeadAttention", "value", "value_dense/", 1},
    {"MultiHeadAttention", "attention_output", "output_dense/", 1},
    {"MultiHeadAttention", "output", "output_dense/", 1},
    {"TimeDistributed", "", "layer/", 1},
};

/// The names of variables in an order that every layer's own agrees with.
inline constexpr std::string_view keras_role_order[] = {"depthwise_kernel",
                                                        "pointwise_kernel",
                                                        "kernel",
                                                        "recurrent_kernel",
                                                        "embeddings",
                                                        "alpha",
                                                        "gamma",
                                                        "beta",
                                                        "bias",
                                                        "moving_mean",
                                                        "moving_variance"};

/// Where a role stands in that order, or among numbers; `unknown_keras_rank` if it is neither.
inline constexpr std::size_t unknown_keras_rank = ~std::size_t{0};
inline std::size_t keras_rank(std::string_view role) noexcept {
  const auto found = std::find(std::begin(keras_role_order), std::end(keras_role_order), role);
  if (found != std::end(keras_role_order))
    return static_cast<std::size_t>(found - std::begin(keras_role_order));
  std::size_t number = 0;
  for (const char each : role) {
    if (each < '0' || each > '9' || number > 100000)
      return unknown_keras_rank;
    number = number * 10 + static_cast<std::size_t>(each - '0');
  }
  return role.empty() ? unknown_keras_rank : number;
}

/// Puts the weights of one layer in order, by their parts and within them by their roles; as they are where a
/// role has no place. Decides the part of each.
/// @retval errc::not_convertible  what Keras would call an object of the layer is not known here
inline result<void> order_keras_weights(std::string_view op, std::vector<keras_weight>& weights) {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  bool is_known = true;
  for (keras_weight& each : weights) {
    const auto steps = static_cast<std::size_t>(std::count(each.role.begin(), each.role.end(), '/'));
    std::size_t row = 0;
    while (row < std::size(keras_parts) &&
           (keras_parts[row].op != op || !each.role.starts_with(keras_parts[row].role)))
      ++row;
    if (steps > (row == std::size(keras_parts) ? 0 : keras_parts[row].max_steps))
      return error(errc::not_convertible, each.value.name());
    if (row != std::size(keras_parts))
      each.part = keras_parts[row].path;
    places.emplace_back(row, keras_rank(std::string_view(each.role).substr(each.role.rfind('/') + 1)));
    is_known = is_known && places.back().second != unknown_keras_rank;
  }
  if (!is_known)
    return {};
  std::vector<std::size_t> order(weights.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return places[a] < places[b]; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (places[order[i]] == places[order[i - 1]])
      return error(errc::not_convertible, weights[order[i]].value.name());
  }
  std::vector<keras_weight> ordered;
  for (const std::size_t number : order)
    ordered.push_back(std::move(weights[number]));
  weights = std::move(ordered);
  return {};
}

/// Lists the layers of a graph.
class keras_layer_lister {
 public:
  /// @param own_prefix  what the names of tensors begin with that are saved where they are, wherever that is
  keras_layer_lister(const graph& whole, const store& where, std::string_view own_prefix)
      : whole_(whole), where_(where), own_prefix_(own_prefix) {}

  /// The layers in Keras' order, those of a model within the model behind it.
  /// @retval errc::not_found        a tensor that the graph names, the subject, is not there
  /// @retval errc::not_convertible  as order_keras_weights: of the tensor that is the subject
  /// @retval errc::too_deep         models within models beyond any sense
  result<std::vector<keras_layer>> run() {
    if (auto listed = list(whole_, {}, {}, {}, true, 0); !listed)
      return listed.error();
    return std::move(layers_);
  }

 private:
  /// @param path, names  of the model around, empty for the outermost
  /// @param given        the weights that the graph gives to the call of this model, not to a layer in it
  result<void> list(const graph_body& body, const std::string& path, const std::string& names,
                    const std::vector<graph_variable>& given, bool is_trainable, std::size_t depth) {
    if (depth > max_manifest_depth / 3)
      return error(errc::too_deep, path);
    const keras_layer_calls calls(body);
    std::map<std::string, std::size_t> counts;
    for (const std::size_t number : keras_order(body, calls)) {
      const graph_node& node = body.nodes[number];
      if (find_member(node.extra, "implicit") != nullptr)
        continue;
      const graph_function* const model = function_of(node);
      // What Keras 2 called Model is Functional now. Of a registered class, PACKAGE>NAME, the name counts.
      const std::string_view class_name =
          std::string_view(node.op).substr(node.op.find('>') + 1); // npos + 1 is 0
      std::string group =
          keras_group_of_class(model != nullptr && class_name == "Model" ? "Functional" : class_name);
      if (node.op == "Placeholder")
        group = "input_layer";
      if (const std::size_t same = counts[group]++; same != 0)
        group += "_" + std::to_string(same);
      if (depth == 0)
        ++top_count_;
      keras_layer made{path + "/layers/" + group, names + node.name, node.name, node.op, top_count_ - 1, {}};
      std::vector<graph_variable> variables = node.variables;
      const std::string prefix = node.name + "/";
      for (const graph_variable& each : given) {
        if (each.role.starts_with(prefix))
          variables.push_back({each.role.substr(prefix.size()), each.tensor});
      }
      const json_value* const said = node.attribute("trainable");
      const bool is_layer_trainable =
          is_trainable && (said == nullptr || !said->is_boolean() || said->get<bool>());
      const std::string inner_path = made.path, inner_names = made.full_name + "/";
      if (model == nullptr) {
        if (auto added = add_weights(variables, is_layer_trainable, made); !added)
          return added;
      }
      layers_.push_back(std::move(made));
      if (model == nullptr)
        continue;
      const json_value* const rest = find_member(model->attributes, "keras");
      const json_value* const config = rest == nullptr ? nullptr : find_member(*rest, "config");
      const json_value* const of_model = config == nullptr ? nullptr : find_member(*config, "trainable");
      const bool is_model_trainable = of_model == nullptr || !of_model->is_boolean() || of_model->get<bool>();
      if (auto listed = list(*model, inner_path, inner_names, variables,
                             is_layer_trainable && is_model_trainable, depth + 1);
          !listed)
        return listed;
    }
    return {};
  }

  result<void> add_weights(const std::vector<graph_variable>& variables, bool is_trainable,
                           keras_layer& into) {
    std::set<std::string_view> tensors;
    for (const graph_variable& each : variables) {
      if (!tensors.insert(each.tensor).second)
        continue;
      const result<tensor> found = where_.find(each.tensor);
      if (!found)
        return found.error();
      const std::string_view role = std::string_view(each.role).substr(each.role.rfind('/') + 1);
      const bool is_statistic = role == "moving_mean" || role == "moving_variance";
      into.weights.push_back({each.role, *found, {}, is_trainable && !is_statistic});
    }
    const bool are_in_place =
        std::all_of(into.weights.begin(), into.weights.end(),
                    [&](const keras_weight& each) { return each.value.name().starts_with(own_prefix_); });
    if (auto ordered = order_keras_weights(into.op, into.weights); !ordered && !are_in_place)
      return ordered;
    // Where there is only a scale or only an offset, the statistics have numbers.
    const std::size_t count = into.weights.size();
    for (std::size_t i = 0; into.op == "BatchNormalization" && count >= 2 && i < count; ++i)
      into.weights[i].is_trainable = is_trainable && i + 2 < count;
    return {};
  }

  [[nodiscard]] const graph_function* function_of(const graph_node& node) const {
    const std::string_view name = text_member(node.attributes, "function");
    for (const graph_function& each : whole_.functions) {
      if (!name.empty() && each.name == name)
        return &each;
    }
    return nullptr;
  }

  /// The first calls of the layers of a model, in the order that Keras gives them when it opens the model:
  /// the farthest from the outputs first, then as they are met on the way back from them. What no output
  /// needs comes last. Source: keras-team/keras 3.15, src/ops/function.py, map_graph.
  static std::vector<std::size_t> keras_order(const graph_body& body, const keras_layer_calls& calls) {
    constexpr std::size_t unseen = ~std::size_t{0};
    const std::size_t count = body.nodes.size();
    std::vector<std::size_t> met(count, unseen), next_input(count), finished, path; // `met` is of layers
    std::vector<bool> is_entered(count);
    std::size_t met_count = 0;
    const auto enter = [&](std::string_view name) {
      const std::size_t node = calls.names.number_of(name);
      if (node == name_table::none || is_entered[node])
        return;
      is_entered[node] = true;
      std::size_t& place = met[calls.place_of[node].first];
      if (place == unseen)
        place = met_count++;
      path.push_back(node);
    };
    for (const graph_port& output : body.outputs) {
      for (enter(output.endpoint.node); !path.empty();) {
        const std::size_t node = path.back();
        if (next_input[node] < body.nodes[node].inputs.size()) {
          enter(body.nodes[node].inputs[next_input[node]++].node);
        } else {
          path.pop_back();
          finished.push_back(node);
        }
      }
    }
    std::vector<std::size_t> depth_of_node(count), depth_of_layer(count);
    for (std::size_t i = finished.size(); i-- > 0;) {
      const std::size_t node = finished[i];
      std::size_t& depth = depth_of_layer[calls.place_of[node].first];
      depth = (std::max)(depth, depth_of_node[node]);
      for (const graph_endpoint& input : body.nodes[node].inputs) {
        const std::size_t before = calls.names.number_of(input.node);
        if (before != name_table::none)
          depth_of_node[before] = (std::max)(depth_of_node[before], depth + 1);
      }
    }
    std::vector<std::size_t> order;
    for (const std::vector<std::uint32_t>& layer : calls.layers)
      order.push_back(layer.front());
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const bool has_a = met[a] != unseen, has_b = met[b] != unseen;
      if (has_a != has_b || !has_a)
        return has_a && !has_b;
      return depth_of_layer[a] != depth_of_layer[b] ? depth_of_layer[a] > depth_of_layer[b] : met[a] < met[b];
    });
    return order;
  }

  const graph& whole_;
  const store& where_;
  std::string_view own_prefix_;
  std::vector<keras_layer> layers_;
  std::size_t top_count_ = 0;
};

/// The layers that the names of tensors tell, where there is no graph: LAYER/ROLE, in the order of the store.
/// They are called by their names, not by their classes, which are the same where the names are those that
/// Keras gives by itself. A name that begins with '/' is that of a dataset, and tells nothing.
/// @param is_weight  asked for each tensor
/// @retval errc::not_convertible  two tensors, the subject one of them, would be one weight
template <class IsWeight>
result<std::vector<keras_layer>> infer_keras_layers(const store& from, IsWeight is_weight) {
  std::vector<keras_layer> layers;
  std::map<std::string_view, std::size_t> numbers;
  for (const tensor each : from) {
    const std::string_view name = each.name();
    const std::size_t slash = name.rfind('/');
    if (slash == std::string_view::npos || slash == 0 || name.front() == '/' || !is_weight(each))
      continue;
    const std::string_view layer = name.substr(0, slash);
    const auto [found, is_new] = numbers.try_emplace(layer, layers.size());
    if (is_new) {
      std::string path = "/layers/" + std::string(layer);
      if (path.ends_with("_cell")) // Keras has it in an attribute of its layer
        path.replace(path.rfind('/') + 1, std::string::npos, "cell");
      layers.push_back({std::move(path), std::string(layer), std::string(layer), {}, layers.size(), {}});
    }
    layers[found->second].weights.push_back({std::string(name.substr(slash + 1)), each, {}, true});
  }
  for (keras_layer& each : layers) {
    if (auto ordered = order_keras_weights(each.op, each.weights); !ordered)
      return ordered.error();
    for (keras_weight& weight : each.weights)
      weight.is_trainable = !weight.role.starts_with("moving_");
  }
  return layers;
}

} // namespace stet::inline v0_1::detail

#endif
