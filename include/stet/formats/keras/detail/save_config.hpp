// SPDX-License-Identifier: MIT
// The configuration of a model in the form of a Keras file: with or without the modules of its classes.
#ifndef STET_FORMATS_KERAS_DETAIL_SAVE_CONFIG_HPP
#define STET_FORMATS_KERAS_DETAIL_SAVE_CONFIG_HPP

#include "../../common/inexpressible.hpp"
#include "../../common/json_members.hpp"
#include "../config.hpp"
#include "../../common/finish_model.hpp"
#include "../../description.hpp"
#include "../../model.hpp"

#include "../../../json.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Calls `change(object, is_model)` for a model and each layer below it, whose configurations are objects.
template <class Change> void for_each_keras_layer(json_value& model, Change change, std::size_t depth = 0) {
  json_value* const config = find_member(model, "config");
  json_value* const layers = config == nullptr ? nullptr : find_member(*config, "layers");
  if (layers != nullptr && layers->is_array() && depth <= max_manifest_depth) {
    for (json_value& each : *layers) for_each_keras_layer(each, change, depth + 1);
  }
  change(model, layers != nullptr); // which moves what is in it
}

/// Says where Keras 3 finds the classes, for config.json, where that is not said.
inline void name_keras_modules(json_value& model) {
  for_each_keras_layer(model, [](json_value& object, bool is_model) {
    if (!object.is_object() || find_member(object, "module") != nullptr) return;
    std::string class_name(text_member(object, "class_name"));
    if (is_model && class_name != "Sequential") {
      // Keras 2 called a model of layers Model.
      if (json_value* const name = find_member(object, "class_name"); name != nullptr && class_name == "Model")
        *name = class_name = "Functional";
      append_member(object, "module", "keras.src.models.functional");
      append_member(object, "registered_name", class_name);
      return;
    }
    if (const std::size_t package = class_name.find('>'); package != std::string::npos) {
      *find_member(object, "class_name") = class_name.substr(package + 1);
      append_member(object, "module", nullptr);
      append_member(object, "registered_name", class_name);
      return;
    }
    append_member(object, "module", is_model ? "keras" : "keras.layers");
    if (find_member(object, "registered_name") == nullptr) append_member(object, "registered_name", nullptr);
  });
}

/// Takes that out again, for `model_config`, which has classes by their names alone: those that a program
/// registered by the name that it gave them.
inline void drop_keras_modules(json_value& model) {
  for_each_keras_layer(model, [](json_value& object, bool) {
    const json_value module = take_member(object, "module"), registered = take_member(object, "registered_name");
    const std::string_view place = string_or_empty(&module);
    const bool is_own = place == "keras" || place.starts_with("keras.");
    const std::string_view name = string_or_empty(&registered);
    json_value* const class_name = find_member(object, "class_name");
    if (class_name != nullptr && !is_own && !name.empty()) *class_name = std::string(name);
    for (const std::string_view field : {"build_config", "compile_config"}) take_member(object, field);
  });
}

/// Checks the names of layers, of models, and of the layers in a layer: those of Keras 3 have no '/', and it does not
/// open a model of others.
/// @param depth  of the value; a configuration is no deeper than a text that parse_json accepts
/// @retval errc::not_expressible  the layer, the subject
inline result<void> check_keras_names(const json_value& value, std::size_t depth = 0) {
  if (!value.is_structured() || depth > max_manifest_depth) return {};
  const std::string_view class_name = text_member(value, "class_name");
  const json_value* const config = class_name.empty() ? nullptr : find_member(value, "config");
  const std::string_view name = config == nullptr ? std::string_view() : text_member(*config, "name");
  if (name.find('/') != std::string_view::npos)
    return inexpressible(text_of_layer(name, class_name), "can be saved as keras-legacy");
  for (const json_value& each : value) {
    if (auto checked = check_keras_names(each, depth + 1); !checked) return checked;
  }
  return {};
}

/// What the configuration of a model is made of: the first graph of its description, unless its nodes are
/// none of Keras.
inline const graph* keras_graph_of(const model_description& described) {
  const graph* const first = described.graphs.empty() ? nullptr : &described.graphs.front();
  return first == nullptr || first->nodes.empty() || find_member(first->metadata, "tensorflow") != nullptr ? nullptr
                                                                                                           : first;
}

/// The configuration of a graph; what another format had around it is left out.
inline result<json_value> make_keras_config(const graph& of, bool for_legacy) {
  result<json_value> made = graph_to_keras(of);
  if (!made) return made;
  if (json_value inner = take_member(*made, "model_config"); !inner.is_null()) *made = std::move(inner);
  for_legacy ? drop_keras_modules(*made) : name_keras_modules(*made);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
