// SPDX-License-Identifier: MIT
// The order of the weights of a layer, and the objects within the layer that own them.
#ifndef STET_FORMATS_KERAS_DETAIL_ORDER_HPP
#define STET_FORMATS_KERAS_DETAIL_ORDER_HPP

#include "classes.hpp"

#include "../../common/inexpressible.hpp"
#include "../../common/json_members.hpp"
#include "../../common/words.hpp"

#include "../../../store/tensor.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A weight of a layer.
struct keras_weight {
  /// The role in the graph: "kernel", "forward_lstm/lstm_cell/bias".
  std::string role;
  tensor value;
  /// The object within the layer that owns the weight, followed by "/": "forward_layer/cell/"; empty: the layer.
  std::string_view part;
  bool is_trainable = true;
};

/// A layer of a model, or of a model within it.
struct keras_layer {
  /// The group: "/layers/functional/layers/dense_1".
  std::string path;
  /// The name after the names of enclosing models, "block/dense", as in the names of its weights.
  std::string full_name, name, op;
  /// The configuration; nullptr if it is not known.
  const json_value* config = nullptr;
  /// True if the class is Keras' own; true if the layer belongs to a model within the model.
  bool is_own = true, is_inner = false;
  /// The number of this layer, or of the layer that contains it, in the outermost model.
  std::size_t top = 0;
  /// The weights in the order of Keras.
  std::vector<keras_weight> weights;
};

/// An object within the layers of a class. It owns the weights whose role begins with `role`, if `role` is not empty.
struct keras_part {
  std::string_view op, role, path;
  /// The largest number of steps of a role before the variable's own name.
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
    {"RNN", "", "cell/", 1},
};

/// The classes that a wrapper may contain, in this member of its configuration, for the table above to be valid.
struct keras_wrapped {
  std::string_view op, member, classes;
};
inline constexpr std::string_view keras_recurrent_layers = "simple_rnn lstm gru conv_lstm1d conv_lstm2d conv_lstm3d";
inline constexpr std::string_view keras_flat_classes =
    "dense einsum_dense conv1d conv2d conv3d conv1d_transpose conv2d_transpose conv3d_transpose depthwise_conv1d "
    "depthwise_conv2d separable_conv1d separable_conv2d batch_normalization layer_normalization group_normalization "
    "embedding p_re_lu";
inline constexpr keras_wrapped keras_wrapped_classes[] = {
    {"TimeDistributed", "layer", keras_flat_classes},
    {"Bidirectional", "layer", keras_recurrent_layers},
    {"RNN", "cell", keras_cell_classes},
};
/// The change of the variables of a layer after it was built: none, quantization to int8, or another one.
enum class keras_change : std::uint8_t { none, int8, other };
inline keras_change keras_change_of(const json_value* config, std::size_t depth = 0) {
  if (config == nullptr || depth > max_manifest_depth) return keras_change::none;
  if (const json_value* const rank = find_member(*config, "lora_rank"); rank != nullptr && !rank->is_null())
    return keras_change::other;
  const json_value* const policy = find_member(*config, "dtype");
  const std::string_view policy_class = policy == nullptr ? std::string_view() : text_member(*policy, "class_name");
  if (!policy_class.empty() && policy_class != "DTypePolicy") {
    const json_value* const how = find_member(*policy, "config");
    const bool is_int8 = policy_class == "QuantizedDTypePolicy" && how != nullptr &&
                         text_member(*how, "mode").starts_with("int8") && depth == 0;
    return is_int8 ? keras_change::int8 : keras_change::other;
  }
  for (const std::string_view inner : {"layer", "backward_layer", "cell"}) {
    const json_value* const object = find_member(*config, inner);
    if (object != nullptr && keras_change_of(find_member(*object, "config"), depth + 1) != keras_change::none)
      return keras_change::other;
  }
  return keras_change::none;
}

/// The names of variables in an order that is consistent with the order of every layer.
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
                                                        "moving_variance",
                                                        "kernel_scale",
                                                        "embeddings_scale"};

/// The position of a role in that order, or of a number; `unknown_keras_rank` if it is neither.
inline constexpr std::size_t unknown_keras_rank = ~std::size_t{0};
inline std::size_t keras_rank(std::string_view role) noexcept {
  const auto found = std::find(std::begin(keras_role_order), std::end(keras_role_order), role);
  if (found != std::end(keras_role_order)) return static_cast<std::size_t>(found - std::begin(keras_role_order));
  std::size_t number = 0;
  for (const char each : role) {
    if (each < '0' || each > '9' || number > 100000) return unknown_keras_rank;
    number = number * 10 + static_cast<std::size_t>(each - '0');
  }
  return role.empty() ? unknown_keras_rank : number;
}

/// Sorts the weights of one layer by their parts, and within a part by their roles, and sets the part of each. The order is
/// kept if a role has no position, or if the class is the program's own.
/// @param hint  a form that the model can be saved in
/// @retval errc::not_expressible  the name of an object of the layer in Keras, or the order of its weights, is unknown
inline result<void> order_keras_weights(keras_layer& layer, std::string_view hint) {
  std::vector<keras_weight>& weights = layer.weights;
  if (weights.empty()) return {};
  const error refused = inexpressible(text_of_layer(layer.name, layer.op), hint);
  const std::string_view op = layer.op;
  const keras_change change = keras_change_of(layer.config);
  const bool is_flat = layer.is_own && has_word(keras_flat_classes, keras_group_of_class(op));
  if (change == keras_change::other || (change == keras_change::int8 && !is_flat)) return refused;
  for (const keras_wrapped& row : keras_wrapped_classes) {
    const json_value* const inner =
        row.op != op || layer.config == nullptr ? nullptr : find_member(*layer.config, row.member);
    if (inner != nullptr && (!is_own_keras_class(*inner) ||
                             !has_word(row.classes, keras_group_of_class(text_member(*inner, "class_name")))))
      return refused;
  }
  std::vector<std::pair<std::size_t, std::size_t>> places;
  bool is_known = layer.is_own;
  for (keras_weight& each : weights) {
    const auto steps = static_cast<std::size_t>(std::count(each.role.begin(), each.role.end(), '/'));
    std::size_t row = layer.is_own ? 0 : std::size(keras_parts);
    while (row < std::size(keras_parts) && (keras_parts[row].op != op || !each.role.starts_with(keras_parts[row].role)))
      ++row;
    const bool has_part = row != std::size(keras_parts);
    if (is_flat) // the steps before the name are a scope
      each.role.erase(0, each.role.rfind('/') + 1);
    else if (steps > (has_part ? keras_parts[row].max_steps : 0))
      return refused;
    if (has_part) each.part = keras_parts[row].path;
    const std::string_view role = std::string_view(each.role).substr(each.role.rfind('/') + 1);
    places.emplace_back(row, keras_rank(role));
    is_known = is_known && places.back().second != unknown_keras_rank;
    if (change == keras_change::int8) {
      if (!is_known) return refused;
      each.is_trainable = each.is_trainable && role == "bias";
    }
  }
  if (!is_known) return {};
  std::vector<std::size_t> order(weights.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return places[a] < places[b]; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (places[order[i]] == places[order[i - 1]]) return refused;
  }
  std::vector<keras_weight> ordered;
  for (const std::size_t number : order) ordered.push_back(std::move(weights[number]));
  weights = std::move(ordered);
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
