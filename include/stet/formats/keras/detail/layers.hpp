// SPDX-License-Identifier: MIT
// The layers of a model with their weights, numbered and ordered as Keras does.
#ifndef STET_FORMATS_KERAS_DETAIL_LAYERS_HPP
#define STET_FORMATS_KERAS_DETAIL_LAYERS_HPP

#include "order.hpp"

#include "../../common/json_members.hpp"
#include "../config.hpp"
#include "../../common/finish_model.hpp"
#include "../../description.hpp"
#include "../../model.hpp"
#include "../../common/original_name.hpp"
#include "../../common/writer_model.hpp"

#include "../../../store/store.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Lists the layers of a graph.
class keras_layer_lister {
public:
  /// @param own_prefix  what the names of tensors begin with that are saved where they are, wherever that is
  /// @param hint        a form that the model can be saved in
  keras_layer_lister(const graph& whole, const store& where, std::string_view own_prefix, std::string_view hint)
      : whole_(whole), where_(where), own_prefix_(own_prefix), hint_(hint) {
    for (const graph_function& each : whole.functions) functions_.emplace(each.name, &each);
  }

  /// The layers in Keras' order, those of a model within the model behind it.
  /// @retval errc::not_found        a tensor that the graph names, the subject, is not there
  /// @retval errc::not_expressible  as order_keras_weights
  /// @retval errc::too_deep         models are nested too deeply
  /// @retval errc::too_large        names of layers, the subject one of them, take far more memory than the graph
  result<std::vector<keras_layer>> run() {
    if (auto listed = list(whole_, {}, {}, {}, true, 0); !listed) return listed.error();
    return std::move(layers_);
  }

private:
  /// @param path, names  of the model around, empty for the outermost
  /// @param given        the weights that the graph gives to the call of this model, not to a layer in it
  result<void> list(const graph_body& body, const std::string& path, const std::string& names,
                    const std::vector<graph_variable>& given, bool is_trainable, std::size_t depth) {
    if (depth > max_manifest_depth / 3) return error(errc::too_deep, path);
    const keras_layer_calls calls(body);
    std::map<std::string, std::size_t> counts;
    std::map<std::string_view, std::vector<graph_variable>> given_to; // by the node
    std::vector<graph_variable> unclaimed;
    for (const graph_variable& each : given) {
      std::size_t end = each.role.rfind('/'); // names of layers may have slashes in them
      while (end != std::string::npos && end != 0 &&
             calls.names.number_of(std::string_view(each.role).substr(0, end)) == name_table::none)
        end = each.role.rfind('/', end - 1);
      if (end == std::string::npos || end == 0)
        unclaimed.push_back(each);
      else
        given_to[std::string_view(each.role).substr(0, end)].push_back({each.role.substr(end + 1), each.tensor});
    }
    for (const std::size_t number : keras_order(body, calls)) {
      const graph_node& node = body.nodes[number];
      if (find_member(node.extra, "implicit") != nullptr) continue;
      const graph_function* const model = function_of(node);
      // What Keras 2 called Model is Functional now. Of a registered class, PACKAGE>NAME, the name counts.
      const std::string_view class_name = std::string_view(node.op).substr(node.op.find('>') + 1); // npos + 1 is 0
      std::string group = keras_group_of_class(model != nullptr && class_name == "Model" ? "Functional" : class_name);
      if (node.op == "Placeholder") group = "input_layer";
      if (const std::size_t same = counts[group]++; same != 0) group += "_" + std::to_string(same);
      if (depth == 0) ++top_count_;
      if ((size_bytes_ += path.size() + names.size()) > max_size_bytes) return error(errc::too_large, node.name);
      keras_layer made;
      made.path = path + "/layers/" + group;
      made.full_name = names + node.name;
      made.name = node.name;
      made.op = node.op;
      made.config = &node.attributes;
      made.is_own = is_own_keras_class(node.extra, node.op);
      made.is_inner = depth != 0;
      made.top = top_count_ - 1;
      std::vector<graph_variable> variables = node.variables;
      if (const auto own = given_to.find(node.name); own != given_to.end())
        variables.insert(variables.end(), own->second.begin(), own->second.end());
      if (model != nullptr) // of a model that was built by itself, the layers alone are in the names
        variables.insert(variables.end(), unclaimed.begin(), unclaimed.end());
      const json_value* const said = node.attribute("trainable");
      const bool is_layer_trainable = is_trainable && (said == nullptr || !said->is_boolean() || said->get<bool>());
      const std::string inner_path = made.path, inner_names = made.full_name + "/";
      if (model == nullptr) {
        if (auto added = add_weights(variables, is_layer_trainable, made); !added) return added;
      }
      layers_.push_back(std::move(made));
      if (model == nullptr) continue;
      const json_value* const rest = find_member(model->attributes, "keras");
      const json_value* const config = rest == nullptr ? nullptr : find_member(*rest, "config");
      const json_value* const of_model = config == nullptr ? nullptr : find_member(*config, "trainable");
      const bool is_model_trainable = of_model == nullptr || !of_model->is_boolean() || of_model->get<bool>();
      if (auto listed =
              list(*model, inner_path, inner_names, variables, is_layer_trainable && is_model_trainable, depth + 1);
          !listed)
        return listed;
    }
    return {};
  }

  result<void> add_weights(const std::vector<graph_variable>& variables, bool is_trainable, keras_layer& into) {
    std::set<std::string_view> tensors;
    for (const graph_variable& each : variables) {
      const result<tensor> found = where_.find(each.tensor);
      if (!found) return found.error();
      if (!tensors.insert(original_name(where_, *found)).second) continue;
      const std::string_view role = std::string_view(each.role).substr(each.role.rfind('/') + 1);
      const bool is_statistic = role == "moving_mean" || role == "moving_variance";
      into.weights.push_back({each.role, *found, {}, is_trainable && !is_statistic});
    }
    const bool are_in_place = std::all_of(into.weights.begin(), into.weights.end(), [&](const keras_weight& each) {
      return original_name(where_, each.value).starts_with(own_prefix_);
    });
    if (auto ordered = order_keras_weights(into, hint_); !ordered && !are_in_place) return ordered;
    // Where there is only a scale or only an offset, the statistics have numbers.
    const std::size_t count = into.weights.size();
    for (std::size_t i = 0; into.op == "BatchNormalization" && count >= 2 && i < count; ++i)
      into.weights[i].is_trainable = is_trainable && i + 2 < count;
    return {};
  }

  [[nodiscard]] const graph_function* function_of(const graph_node& node) const {
    const auto found = functions_.find(text_member(node.attributes, "function"));
    return found == functions_.end() ? nullptr : found->second;
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
      if (node == name_table::none || is_entered[node]) return;
      is_entered[node] = true;
      std::size_t& place = met[calls.place_of[node].first];
      if (place == unseen) place = met_count++;
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
        if (before != name_table::none) depth_of_node[before] = (std::max)(depth_of_node[before], depth + 1);
      }
    }
    std::vector<std::size_t> order;
    for (const std::vector<std::uint32_t>& layer : calls.layers) order.push_back(layer.front());
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const bool has_a = met[a] != unseen, has_b = met[b] != unseen;
      if (has_a != has_b || !has_a) return has_a && !has_b;
      return depth_of_layer[a] != depth_of_layer[b] ? depth_of_layer[a] > depth_of_layer[b] : met[a] < met[b];
    });
    return order;
  }

  const graph& whole_;
  const store& where_;
  std::string_view own_prefix_, hint_;
  std::map<std::string_view, const graph_function*> functions_;
  std::vector<keras_layer> layers_;
  static constexpr std::uint64_t max_size_bytes = std::uint64_t{64} << 20;
  std::uint64_t size_bytes_ = 0; // of the names around layers, which come again for each
  std::size_t top_count_ = 0;
};

/// True for the path of a dataset, or of a variable of TensorFlow's objects: their order tells nothing of the model's.
inline bool is_path_of_variable(std::string_view name) noexcept {
  return name.starts_with('/') || name.find("/.ATTRIBUTES/") != std::string_view::npos;
}

/// The names LAYER/ROLE of the tensors of a model, where there is no graph: each tensor once, but for the
/// aliases. A foreign format's second names count where its own are paths of datasets or of objects.
inline std::vector<std::pair<std::string_view, tensor>> names_of_layers(const writer_model& of) {
  std::map<std::string_view, std::string_view> second_names;
  std::vector<std::pair<std::string_view, tensor>> made;
  for (const tensor each : of.store) {
    if (of.is_second_name(each) && !is_path_of_variable(each.name()))
      second_names.emplace(original_name(of.store, each), each.name());
  }
  for (const tensor each : of.store) {
    if (each.name().empty() || of.is_second_name(each)) continue;
    std::string_view name = each.name();
    if (is_path_of_variable(name)) {
      const auto found = second_names.find(name);
      if (found == second_names.end()) continue;
      name = found->second;
    }
    made.emplace_back(name, each);
  }
  return made;
}

/// The layers that the names of tensors tell, where there is no graph: LAYER/ROLE, in the order of the store.
/// They are called by their names, not by their classes, which are the same where the names are those that
/// Keras gives by itself. A name that begins with '/' is that of a dataset, and tells nothing.
/// @param is_weight  asked for each tensor, with its name
/// @param hint       a form that the model can be saved in
/// @retval errc::not_expressible  two tensors would be one weight of a layer, the subject
template <class IsWeight>
result<std::vector<keras_layer>> infer_keras_layers(const writer_model& from, IsWeight is_weight,
                                                    std::string_view hint) {
  std::vector<keras_layer> layers;
  std::map<std::string_view, std::size_t> numbers;
  for (const auto& [name, each] : names_of_layers(from)) {
    const std::size_t slash = name.rfind('/');
    if (slash == std::string_view::npos || slash == 0 || !is_weight(name, each)) continue;
    const std::string_view layer = name.substr(0, slash);
    const auto [found, is_new] = numbers.try_emplace(layer, layers.size());
    if (is_new) {
      keras_layer made;
      made.path = "/layers/" + std::string(layer);
      if (made.path.ends_with("_cell")) // Keras has it in an attribute of its layer
        made.path.replace(made.path.rfind('/') + 1, std::string::npos, "cell");
      made.full_name = made.name = layer;
      made.top = layers.size();
      layers.push_back(std::move(made));
    }
    layers[found->second].weights.push_back({std::string(name.substr(slash + 1)), each, {}, true});
  }
  for (keras_layer& each : layers) {
    if (auto ordered = order_keras_weights(each, hint); !ordered) return ordered.error();
    for (keras_weight& weight : each.weights) weight.is_trainable = !weight.role.starts_with("moving_");
  }
  return layers;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
