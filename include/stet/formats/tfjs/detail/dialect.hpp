// SPDX-License-Identifier: MIT
// Converts a graph of Keras layers to the form of TensorFlow.js, or finds the layer that it cannot express.
#ifndef STET_FORMATS_TFJS_DETAIL_DIALECT_HPP
#define STET_FORMATS_TFJS_DETAIL_DIALECT_HPP

#include "classes.hpp"

#include "../../common/inexpressible.hpp"
#include "../../keras/config.hpp"
#include "../../common/words.hpp"

#include "../../../json.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Brings a graph of Keras layers into the terms of TensorFlow.js: classes, fields, and the roles of variables, which
/// become the names of weights behind that of their node.
class tfjs_translator {
public:
  /// @param is_keras_3  whether Keras 3 wrote the configuration, in which some names mean something else
  tfjs_translator(const graph& whole, bool is_keras_3) : made_(whole), is_keras_3_(is_keras_3) {}

  /// @retval errc::not_expressible  TensorFlow.js does not have a layer, the subject, or not with these fields; or
  ///                                which tensors are its weights is not known
  result<graph> run() {
    // A reader puts models before those that they are in.
    for (graph_function& each : made_.functions) {
      bool makes_mask = false;
      if (auto done = translate(each, find_member(each.attributes, "keras"), makes_mask); !done) return done.error();
      if (!makes_mask) unmasked_.insert(each.name);
    }
    bool makes_mask = false;
    if (auto done = translate(made_, find_member(made_.metadata, "keras"), makes_mask); !done) return done.error();
    return std::move(made_);
  }

private:
  static constexpr std::string_view hint = "can be saved as tfjs-weights";

  /// A weight that a layer must have: the first step of its role in a half of Bidirectional, else empty; its name,
  /// and what it becomes.
  struct expected_weight {
    std::string_view half;
    std::string name, role;
  };

  static bool is_true(const json_value* value) { return value != nullptr && *value == true; }

  /// Whether a layer makes a mask. A model within the model does that is not known to make none.
  bool is_mask_maker(const graph_node& node) const {
    const std::string_view function = text_member(node.attributes, "function");
    return node.op == "Masking" || is_true(node.attribute("mask_zero")) ||
           (!function.empty() && unmasked_.find(function) == unmasked_.end());
  }

  /// The first node that would be called with a mask and computes something else then; nullptr if there is none. A
  /// model within the model is one of these.
  /// @param makes_mask  set if an output has a mask
  const graph_node* find_masked(const graph_body& body, bool& makes_mask) const {
    std::map<std::string_view, std::vector<const graph_node*>> users;
    std::vector<const graph_node*> masked;
    for (const graph_node& node : body.nodes) {
      for (const graph_endpoint& input : node.inputs) users[input.node].push_back(&node);
      if (is_mask_maker(node)) masked.push_back(&node);
    }
    std::set<std::string_view> outputs;
    for (const graph_port& port : body.outputs) outputs.insert(port.endpoint.node);
    std::set<const graph_node*> seen;
    while (!masked.empty()) {
      const graph_node& node = *masked.back();
      masked.pop_back();
      if (!seen.insert(&node).second) continue;
      if (is_recurrent_end(node)) continue;
      makes_mask = makes_mask || outputs.count(node.name) != 0;
      const auto found = users.find(node.name);
      for (std::size_t i = 0; found != users.end() && i < found->second.size(); ++i) {
        const graph_node& user = *found->second[i];
        const bool is_end = has_word(tfjs_mask_enders, user.op);
        const json_value* const inner = user.op == "Bidirectional" ? user.attribute("layer") : nullptr;
        const json_value* const config = inner == nullptr ? nullptr : find_member(*inner, "config");
        if ((!is_end && !has_word(tfjs_mask_keepers, user.op)) ||
            (config != nullptr && is_true(find_member(*config, "return_sequences"))))
          return &user;
        if (!is_end) masked.push_back(&user);
      }
    }
    return nullptr;
  }
  /// Whether a recurrent layer gives the last step alone, which has no mask.
  static bool is_recurrent_end(const graph_node& node) {
    return has_word("LSTM GRU SimpleRNN RNN", node.op) && !is_true(node.attribute("return_sequences"));
  }

  result<void> translate(graph_body& body, const json_value* model, bool& makes_mask) {
    const std::string_view class_name = model == nullptr ? std::string_view() : text_member(*model, "class_name");
    if (!class_name.empty() && !(has_word("Functional Model Sequential", class_name) && is_own_keras_class(*model)))
      return inexpressible("model of class " + std::string(class_name), hint);
    if (const graph_node* const masked = find_masked(body, makes_mask))
      return inexpressible(text_of_layer(masked->name, masked->op) + " behind a mask", hint);
    for (graph_node& node : body.nodes) {
      problem_.clear();
      if (auto done = translate(node); !done)
        return inexpressible(text_of_layer(node.name, node.op).append(problem_), hint);
    }
    return {};
  }

  /// @retval errc::not_expressible  without a subject; `problem_` states what of the node, or is empty
  result<void> translate(graph_node& node) {
    if (!has_plain_call(node)) return refuse(" and its arguments");
    if (!keras_layer_calls::first_call_name(node).empty()) return {};
    if (!text_member(node.attributes, "function").empty())
      return node.variables.empty() ? result<void>() : refuse(" and its weights");
    std::vector<expected_weight> weights;
    if (auto done = translate_config(node.op, node.extra, node.attributes, {}, {}, weights, 0); !done) return done;
    return name_weights(node, weights);
  }

  result<void> refuse(std::string problem) {
    problem_ = std::move(problem);
    return errc::not_expressible;
  }

  /// Whether a layer is called with one tensor, or one list of tensors, and nothing else that counts.
  static bool has_plain_call(const graph_node& node) {
    const json_value* const call = find_member(node.extra, "call");
    if (call == nullptr) return true;
    const json_value* const args = find_member(*call, "args");
    const json_value::array_t* const all = elements_of(args);
    const json_value* const kwargs = find_member(*call, "kwargs");
    if (all == nullptr || all->size() != 1) return false;
    const json_value::array_t* const list = elements_of(&all->front());
    const std::size_t count = list == nullptr ? 1 : list->size();
    for (std::size_t number = 0; number < count; ++number) {
      const json_value* const input = find_member(list == nullptr ? all->front() : (*list)[number], keras_input_key);
      if (input == nullptr || *input != number || count != node.inputs.size()) return false;
    }
    return kwargs == nullptr || std::all_of(kwargs->begin(), kwargs->end(),
                                            [](const json_value& each) { return each.is_null() || each == false; });
  }

  /// Translates the configuration of a layer or of one in it.
  /// @param object  has the further fields of the layer: module, build_config
  /// @param half    of Bidirectional that the layer is; else empty
  /// @param prefix  what its weights have in front of their names
  result<void> translate_config(std::string_view op, const json_value& object, json_value& config,
                                std::string_view half, const std::string& prefix, std::vector<expected_weight>& weights,
                                std::size_t depth) {
    const auto has_op = [op](const auto& row) { return has_word(row.classes, op); };
    const auto wrapper = std::find_if(std::begin(tfjs_wrappers), std::end(tfjs_wrappers),
                                      [op](const tfjs_wrapper& row) { return row.op == op; });
    const bool is_known = has_word(tfjs_plain_layers, op) || wrapper != std::end(tfjs_wrappers) ||
                          std::any_of(std::begin(tfjs_class_weights), std::end(tfjs_class_weights), has_op);
    const std::string_view module = text_member(object, "module");
    // Functions that a model calls are nodes, too, and some are called as layers are.
    const bool is_layer =
        module.empty() || module == "keras.layers" || module.find(".layers") != std::string_view::npos;
    if (!is_known || !is_layer || !is_own_keras_class(object, op) || depth > max_depth)
      return refuse(depth == 0 ? "" : " of " + std::string(op));
    if (!config.is_object() && !config.is_null()) return refuse(" and its config");
    for (const tfjs_field_values& row : tfjs_field_table) {
      if (!row.classes.empty() && !has_word(row.classes, op)) continue;
      const json_value* const value = find_member(config, row.field);
      const result<json_value> values = parse_json(row.values);
      if (value != nullptr && !value->is_null() && values &&
          std::find(values->begin(), values->end(), *value) == values->end())
        return refuse_field(row.field);
    }
    if (op == "BatchNormalization" && !has_last_axis(object, config)) return refuse_field("axis");
    if (op == "LeakyReLU") {
      if (json_value slope = take_member(config, "negative_slope"); !slope.is_null())
        append_member(config, "alpha", std::move(slope));
    }
    if (auto done = translate_fields(config); !done) return done;
    for (const tfjs_class_weight& row : tfjs_class_weights) {
      const json_value* const has = row.field.empty() ? nullptr : find_member(config, row.field);
      if (has_op(row) && (has == nullptr || *has != false))
        weights.push_back({half, std::string(row.name), prefix + std::string(row.tfjs_name)});
    }
    return wrapper == std::end(tfjs_wrappers) ? result<void>()
                                              : translate_inner(*wrapper, config, half, prefix, weights, depth + 1);
  }

  result<void> translate_inner(const tfjs_wrapper& wrapper, json_value& config, std::string_view half,
                               const std::string& prefix, std::vector<expected_weight>& weights, std::size_t depth) {
    json_value* const inner = find_member(config, wrapper.field);
    json_value* const inner_config = inner == nullptr ? nullptr : find_member(*inner, "config");
    const std::string op(inner == nullptr ? std::string_view() : text_member(*inner, "class_name"));
    if (inner_config == nullptr || (!wrapper.inner_classes.empty() && !has_word(wrapper.inner_classes, op)))
      return refuse(" of " + (op.empty() ? std::string("several cells") : op));
    if (wrapper.op != "Bidirectional") {
      auto done = translate_config(op, *inner, *inner_config, half, prefix, weights, depth);
      drop_class_fields(*inner);
      return done;
    }
    // TensorFlow.js makes the second half of the first.
    if (const json_value backward = take_member(config, "backward_layer"); !backward.is_null()) {
      if (!is_other_direction(*inner, backward)) return refuse_field("backward_layer");
    }
    // Keras 3 gives the inner layer the name of the first half, TensorFlow.js makes both of that of the inner layer.
    std::string name(text_member(*inner_config, "name"));
    if (name.starts_with("forward_")) name.erase(0, std::string_view("forward_").size());
    if (json_value* const written = find_member(*inner_config, "name"); written != nullptr) *written = name;
    for (const std::string_view each : {"forward", "backward"}) {
      json_value of_half = *inner_config;
      if (auto done = translate_config(op, *inner, of_half, each, prefix + std::string(each) + "_" + name + "/",
                                       weights, depth);
          !done)
        return done;
      if (each == "backward") *inner_config = std::move(of_half);
    }
    drop_class_fields(*inner);
    return {};
  }

  result<void> refuse_field(std::string_view field) { return refuse(" with this " + std::string(field)); }

  /// What Keras 3 says of an object beside its class: TensorFlow.js has no use for it.
  static void drop_class_fields(json_value& object) {
    for (const std::string_view field : {"module", "registered_name", "build_config"}) take_member(object, field);
  }

  /// Whether an inner layer is another, but for its direction and what does not count for that.
  static bool is_other_direction(const json_value& forward, const json_value& backward) {
    const json_value *const a = find_member(forward, "config"), *const b = find_member(backward, "config");
    if (text_member(forward, "class_name") != text_member(backward, "class_name") || a == nullptr || b == nullptr)
      return false;
    const auto is_same_in = [](const json_value& one, const json_value& other) {
      for (const auto& [key, value] : one.items()) {
        const json_value* const found = find_member(other, key);
        const bool counts = key != "name" && !key.ends_with("seed") && !key.ends_with("_initializer");
        if (counts &&
            (key == "go_backwards" ? found != nullptr && *found == value : found == nullptr || *found != value))
          return false;
      }
      return true;
    };
    return is_same_in(*a, *b) && is_same_in(*b, *a);
  }

  /// Whether the axis is the last one; TensorFlow.js computes something else for others, and nothing above rank 4.
  bool has_last_axis(const json_value& object, const json_value& config) const {
    const json_value* axis = find_member(config, "axis");
    if (axis != nullptr && axis->is_array() && axis->size() == 1) axis = &axis->front();
    const json_value* const build = find_member(object, "build_config");
    const json_value::array_t* const shape =
        elements_of(build == nullptr ? nullptr : find_member(*build, "input_shape"));
    if (shape != nullptr && shape->size() > 4) return false;
    if (axis == nullptr || axis->is_null() || *axis == -1) return true;
    // Keras 2 put the number of the last axis here.
    return shape != nullptr ? *axis == shape->size() - 1 : !is_keras_3_ && axis->is_number_integer();
  }

  /// Translates the fields that name an object of Keras: dtypes, activations, initializers, regularizers and
  /// constraints.
  result<void> translate_fields(json_value& config) {
    json_value kept = json_value::object();
    for (const auto& [key, given] : config.items()) {
      json_value value = given;
      const auto ends_with = [&name = key](std::string_view end) { return name.ends_with(end); };
      if (key == "dtype" && !translate_dtype(value)) return refuse_field(key);
      if (ends_with("activation") && !translate_activation(value)) return refuse_field(key);
      if (ends_with("_regularizer") && !translate_regularizer(value)) return refuse_field(key);
      if (ends_with("_constraint") && !is_of_class(value, "MaxNorm UnitNorm NonNeg MinMaxNorm"))
        return refuse_field(key);
      if (ends_with("_initializer")) translate_initializer(value);
      drop_class_fields(value);
      append_member(kept, key, std::move(value));
    }
    if (!kept.empty()) config = std::move(kept);
    return {};
  }

  /// TensorFlow.js computes with float32 and int32.
  static bool translate_dtype(json_value& value) {
    if (const json_value* const config = find_member(value, "config"); config != nullptr) {
      if (text_member(value, "class_name") != "DTypePolicy") return false; // quantized
      value = json_value(std::string(text_member(*config, "name")));
    }
    const std::string_view name = string_or_empty(&value);
    if (name.starts_with("int") || name.starts_with("uint"))
      value = "int32";
    else if (name.starts_with("mixed_") || name.starts_with("float") || name.starts_with("bfloat"))
      value = "float32";
    return true;
  }

  bool translate_activation(json_value& value) const {
    if (value.is_null()) return true;
    for (const tfjs_name& row : tfjs_activations) {
      if (string_or_empty(&value) != row.name) continue;
      value = std::string(row.tfjs_name);
      return !(is_keras_3_ && row.name == "hard_sigmoid"); // of another slope there
    }
    return false;
  }

  static bool is_of_class(const json_value& value, std::string_view classes) {
    return value.is_null() || has_word(classes, text_member(value, "class_name"));
  }

  static bool translate_regularizer(json_value& value) {
    if (!is_of_class(value, "L1 L2 L1L2")) return false;
    json_value* const name = find_member(value, "class_name");
    json_value* const config = find_member(value, "config");
    if (name == nullptr || config == nullptr) return value.is_null();
    *name = "L1L2";
    for (const std::string_view each : {"l1", "l2"}) { // which it takes for 0.01 where it is absent
      if (find_member(*config, each) == nullptr) append_member(*config, std::string(each), 0);
    }
    return true;
  }

  /// One that TensorFlow.js does not have is left out: the values of all weights are loaded.
  static void translate_initializer(json_value& value) {
    for (const tfjs_name& row : tfjs_initializers) {
      if (text_member(value, "class_name") == row.name) *find_member(value, "class_name") = std::string(row.tfjs_name);
    }
    const std::string_view name = value.is_string() ? string_or_empty(&value) : text_member(value, "class_name");
    if (!value.is_string() && !has_word(tfjs_own_initializers, name)) value = nullptr;
  }

  /// Gives the variables of a node the roles that weights have in TensorFlow.js.
  result<void> name_weights(graph_node& node, const std::vector<expected_weight>& weights) {
    std::vector<bool> is_given(weights.size());
    for (graph_variable& variable : node.variables) {
      const std::string_view role = variable.role, tail = role.substr(role.rfind('/') + 1);
      const std::string_view half = half_in(role);
      std::size_t number = 0, place = 0; // the place among those of this half
      for (; number < weights.size(); ++number) {
        const expected_weight& each = weights[number];
        if (each.half == half && (each.name == tail || each.role == tail || std::to_string(place++) == tail)) break;
      }
      if (number == weights.size() || is_given[number]) return refuse(" and weight " + variable.role);
      is_given[number] = true;
      variable.role = weights[number].role;
      const std::string name = node.name + "/" + variable.role;
      if (!has_valid_name(name) || !names_.insert(name).second) return refuse(", whose name is not valid or taken");
    }
    const auto missing = std::find(is_given.begin(), is_given.end(), false);
    if (missing == is_given.end()) return {};
    return refuse(" without " + weights[static_cast<std::size_t>(missing - is_given.begin())].name);
  }

  /// The half of Bidirectional that a role tells.
  static std::string_view half_in(std::string_view role) noexcept {
    for (std::size_t slash = role.find('/'); slash != std::string_view::npos; slash = role.find('/')) {
      for (const std::string_view each : {"forward", "backward"}) {
        if (role.starts_with(each)) return each;
      }
      role.remove_prefix(slash + 1);
    }
    return {};
  }

  /// Source: tensorflow/tfjs 4.22, tfjs-layers/src/common.ts, isValidTensorName.
  static bool has_valid_name(std::string_view name) noexcept {
    const auto is_letter = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
      return is_letter(c) || c == '-' || c == '.' || c == '_' || c == '/';
    });
  }

  static constexpr std::size_t max_depth = 8;

  graph made_;
  bool is_keras_3_;
  std::string problem_;
  std::set<std::string> names_;                 // of all weights
  std::set<std::string, std::less<>> unmasked_; // models within the model that make no mask
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
