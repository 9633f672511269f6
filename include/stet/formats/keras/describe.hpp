// SPDX-License-Identifier: MIT
// Describes Keras files: the graph, the state of the optimizer, versions.
#ifndef STET_FORMATS_KERAS_DESCRIBE_HPP
#define STET_FORMATS_KERAS_DESCRIBE_HPP

#include "detail/lists.hpp"
#include "open.hpp"

#include "config.hpp"
#include "../description.hpp"

#include "../../store/copy_elements.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Whether a tensor is a variable of the optimizer.
inline bool is_optimizer_variable(std::string_view name) noexcept {
  return name.starts_with("/optimizer/") || name.starts_with("/optimizer_weights/");
}

/// {"global_step": 12, "optimizer": {"learning_rate": 0.001, "variables": [names of tensors]}}; null without
/// an optimizer. In the files of Keras 3 variable 0 is the iteration and 1 the learning rate; before, their
/// names tell. One that scales losses for another has both, too, but counts nothing: the inner one's hold.
inline json_value keras_state(const store& from) {
  json_value state, optimizer;
  json_value::array_t variables;
  std::optional<tensor> step, rate;
  const auto put = [&](std::optional<tensor>& place, const tensor& found, bool is_inner) {
    if (!place || is_inner) place = found;
  };
  for (const tensor each : from) {
    const std::string_view name = each.name();
    if (!is_optimizer_variable(name)) continue;
    variables.emplace_back(std::string(name));
    const std::string_view group = name.substr(0, name.rfind('/')), role = name.substr(group.size() + 1);
    const bool is_inner = group == "/optimizer/inner_optimizer/vars" ||
                          (!group.starts_with("/optimizer/") && group.find("loss_scale") == std::string_view::npos);
    const bool is_numbered = group.ends_with("/vars");
    const dtype_kind kind = stet::describe(each.dtype()).kind;
    if (each.shape().rank() != 0) continue;
    if (kind != dtype_kind::floating &&
        (role == (is_numbered ? "0" : "iteration") || role == "iteration:0" || role == "iter:0")) {
      put(step, each, is_inner);
    } else if (kind == dtype_kind::floating &&
               (role == (is_numbered ? "1" : "learning_rate") || role == "learning_rate:0")) {
      put(rate, each, is_inner);
    }
  }
  std::int64_t count = 0;
  double value = 0;
  if (step && step->copy_to(std::span(&count, 1), convert)) append_member(state, "global_step", count);
  if (rate && rate->copy_to(std::span(&value, 1), convert)) append_member(optimizer, "learning_rate", value);
  if (variables.empty()) return state;
  append_member(optimizer, "variables", json_value(std::move(variables)));
  append_member(state, "optimizer", std::move(optimizer));
  return state;
}

/// Whether a configuration lists layers. That of a class of the user's own need not, and then makes no graph.
inline bool lists_layers(const json_value& config) {
  const json_value* const inner = find_member(config, "config");
  return inner != nullptr && (inner->is_array() || is_keras_model(config));
}

/// The place of a variable among those of its layer: the number of a dataset that is called so.
inline std::size_t keras_variable_number(std::string_view path) noexcept {
  std::size_t number = 0;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (const char each : name) {
    if (each < '0' || each > '9' || name.size() > 9) return ~std::size_t{0};
    number = number * 10 + static_cast<std::size_t>(each - '0');
  }
  return number;
}

/// Adds the graph of a configuration, the variables of its layers named; in `said`, as "config", a
/// configuration that makes none, and as "config_problem" the reason if it should make one. It does not stop
/// the tensors from being converted.
/// @param name  what the configuration is called in its file
inline result<void> add_keras_config(json_value config, std::string_view name, const store& weights,
                                     model_description& into, json_value& said) {
  if (config.is_null()) return {};
  if (!config.is_object()) return error(errc::wrong_type, name);
  const auto keep = [&said](json_value kept) -> result<void> {
    if (find_member(said, "config") != nullptr) return error(errc::duplicate_key, "config");
    append_member(said, "config", std::move(kept));
    return {};
  };
  if (!lists_layers(config)) return keep(std::move(config));
  result<graph> made = graph_from_keras(json_value(config));
  if (!made) {
    append_member(said, "config_problem",
                  std::string(made.error().subject()).append(": ").append(made.error().message()));
    return keep(std::move(config));
  }
  // Groups are called by classes, so that their paths may name other layers.
  name_keras_variables(*made, weights, [](std::string_view each) { return !each.starts_with('/'); });
  order_keras_variables(*made, [](std::string_view each) {
    return std::pair(each.substr(0, each.rfind('/')), keras_variable_number(each));
  });
  into.graphs.push_back(std::move(*made));
  return {};
}

/// Adds the lists of a legacy file to what it states, and puts the variables of the graph's nodes in their
/// order.
/// Errors: those of groups and attributes.
inline result<void> add_keras_lists(hdf5_file& file, model_description& into, json_value& said) {
  result<json_value> lists = keras_list_reader(file).run();
  if (!lists) return lists.error();
  if (lists->is_null()) return {};
  const auto places = keras_list_places(*lists, into.graphs.empty() ? "/" : "/model_weights/");
  for (graph& each : into.graphs) {
    order_keras_variables(each, [&](std::string_view name) {
      const auto found = places.find(name);
      return found == places.end() ? places.size() : found->second;
    });
  }
  append_member(said, std::string(keras_lists_field), std::move(*lists));
  return {};
}

/// Text of an attribute that is JSON; as text if it is not.
inline json_value json_of_attribute(std::string_view text) {
  result<json_value> parsed = parse_json(text);
  return parsed ? std::move(*parsed) : json_value(std::string(text));
}

/// Puts the variables of the optimizer, which a legacy file lists, in the order of that list: it is all that
/// tells which variable is which. A list of others changes nothing.
/// Errors: those of groups and attributes.
inline result<void> order_listed_optimizer(hdf5_file& file, json_value& state) {
  constexpr std::string_view group_name = "optimizer_weights", list_name = "weight_names";
  json_value* const optimizer = find_member(state, "optimizer");
  json_value* const variables = optimizer == nullptr ? nullptr : find_member(*optimizer, "variables");
  if (variables == nullptr) return {};
  const auto group = find_object(file, {group_name});
  if (!group) return group.error().code() == errc::not_found ? result<void>() : group.error();
  const auto attributes = read_attributes(file, *group);
  if (!attributes) return attributes.error();
  const auto texts = read_keras_list(file, *attributes, list_name);
  if (!texts) return texts.error();
  std::set<std::string_view> left;
  for (const json_value& each : *variables) left.insert(string_or_empty(&each));
  json_value::array_t listed;
  for (const std::string& text : *texts) {
    const std::string path = std::string("/").append(group_name).append("/").append(text);
    if (left.erase(path) == 0) return {};
    listed.emplace_back(path);
  }
  if (left.empty()) *variables = json_value(std::move(listed));
  return {};
}

/// `format::describe` of keras_h5_format.
/// Errors: those of attributes and of graph_from_keras.
inline result<model_description> describe_keras_h5(const model& of) {
  model_description made;
  const source& bytes = of.store.part(0);
  if (bytes.data() == nullptr) return made;
  result<hdf5_file> file = open_hdf5_file(bytes_in(bytes), of.options.inflate);
  if (!file) return file.error();
  made.state = keras_state(of.store);
  if (auto ordered = order_listed_optimizer(*file, made.state); !ordered) return ordered.error();
  const auto root = hdf5_object::read(*file, file->root());
  if (!root) return root.error();
  const auto attributes = read_attributes(*file, *root);
  if (!attributes) return attributes.error();
  json_value said;
  std::set<std::string_view> seen;
  for (const hdf5_attribute& each : *attributes) {
    const bool is_json = each.name == "model_config" || each.name == "training_config";
    if (!is_json && each.name != "keras_version" && each.name != "backend") continue;
    const auto texts = read_strings(*file, each);
    if (!texts) return texts.error();
    if (texts->size() != 1 || !is_utf8_without_nul(texts->front()) || !seen.insert(each.name).second)
      return error(errc::wrong_type, each.name);
    if (each.name == "model_config") {
      result<json_value> config = parse_json(texts->front());
      if (!config) return config.error().about(each.name);
      if (auto added = add_keras_config(std::move(*config), each.name, of.store, made, said); !added)
        return added.error();
    } else {
      append_member(said, std::string(each.name),
                    is_json ? json_of_attribute(texts->front()) : json_value(std::string(texts->front())));
    }
  }
  if (auto added = add_keras_lists(*file, made, said); !added) return added.error();
  if (!said.is_null()) made.metadata = json_value{{"keras", std::move(said)}};
  return made;
}

/// `format::describe` of keras_format.
/// Errors: those of its JSON members and of graph_from_keras.
inline result<model_description> describe_keras(const model& of) {
  model_description made;
  made.state = keras_state(of.store);
  if (of.store.index().part_count() == 0 || !is_zip(bytes_in(of.store.part(0)))) {
    const result<source> file = open_resident(of.path, of.options);
    if (!file) return file.error();
    auto index = parse_keras_index(bytes_in(*file), of.path);
    if (!index) return index.error();
    append_member(made.metadata, "keras", take_member(*index, "metadata"));
    return made;
  }
  const std::span<const std::byte> archive = bytes_in(of.store.part(0));
  const auto members = read_zip(archive);
  if (!members) return members.error();
  auto said = read_json_member(archive, *members, keras_metadata_member, of.options.inflate, of.options.memory);
  if (!said) return said.error();
  if (!said->is_null() && !said->is_object()) return error(errc::wrong_type, keras_metadata_member);
  auto config = read_json_member(archive, *members, keras_config_member, of.options.inflate, of.options.memory);
  if (!config) return config.error();
  if (auto added = add_keras_config(std::move(*config), keras_config_member, of.store, made, *said); !added)
    return added.error();
  if (!said->is_null()) append_member(made.metadata, "keras", std::move(*said));
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
