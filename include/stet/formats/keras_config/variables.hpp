// SPDX-License-Identifier: MIT
// Which tensors of a store are the weights of which layers, by their names.
#ifndef STET_FORMATS_KERAS_CONFIG_VARIABLES_HPP
#define STET_FORMATS_KERAS_CONFIG_VARIABLES_HPP

#include "../original_name.hpp"

#include "../../manifest/graph_link.hpp"
#include "../../store/store.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline v0_1 {

namespace detail {

/// The nodes of a graph and its functions by name.
class nodes_by_name {
 public:
  explicit nodes_by_name(graph& whole) {
    add(whole);
    for (graph_function& function : whole.functions)
      add(function);
    names_.sort();
  }
  /// The node called `name`: the graph's own before a function's; nullptr if there is none.
  [[nodiscard]] graph_node* find(std::string_view name) const {
    const std::size_t number = names_.number_of(name);
    return number == name_table::none ? nullptr : nodes_[number];
  }

 private:
  void add(graph_body& body) {
    for (graph_node& node : body.nodes) {
      names_.add(node.name);
      nodes_.push_back(&node);
    }
  }
  std::vector<graph_node*> nodes_;
  name_table names_;
};

} // namespace detail

/// Fills in the variables of layers: a tensor LAYER/ROLE belongs to the node called LAYER; so does one called
/// ANYTHING/LAYER/ROLE, of a layer within a model, if nothing else has that role. A role may have slashes in
/// it
/// ("lstm_cell/kernel"), and ":0" at its end is not part of it.
///
///     stet::name_keras_variables(*graph, store);  // dense: {"kernel": "dense/kernel", "bias": "dense/bias"}
///
/// @param is_weight  asked for each tensor by name; those of an optimizer, say, are none
/// Cost: a few look-ups a tensor.
template <class IsWeight> void name_keras_variables(graph& whole, const store& where, IsWeight is_weight) {
  const detail::nodes_by_name nodes(whole);
  // First those that say their layer in full.
  for (const bool is_full : {true, false}) {
    for (const tensor each : where) {
      const std::string_view name = each.name();
      if (!is_weight(name))
        continue;
      for (std::size_t slash = name.rfind('/'); slash != std::string_view::npos && slash != 0;
           slash = name.rfind('/', slash - 1)) {
        std::string_view layer = name.substr(0, slash);
        if (!is_full)
          layer.remove_prefix(layer.rfind('/') + 1); // npos + 1 is 0
        graph_node* const node = nodes.find(layer);
        if (node == nullptr)
          continue;
        std::string_view role = name.substr(slash + 1);
        if (role.ends_with(":0"))
          role.remove_suffix(2);
        if (!role.empty() && node->variable(role) == nullptr)
          node->variables.push_back({std::string(role), std::string(detail::original_name(where, each))});
        break;
      }
    }
  }
}
inline void name_keras_variables(graph& whole, const store& where) {
  name_keras_variables(whole, where, [](std::string_view) { return true; });
}

} // namespace stet::inline v0_1

#endif
