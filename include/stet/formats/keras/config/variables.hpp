// SPDX-License-Identifier: MIT
// Maps the tensors of a store to the weights of layers, by their names.
#ifndef STET_FORMATS_KERAS_CONFIG_VARIABLES_HPP
#define STET_FORMATS_KERAS_CONFIG_VARIABLES_HPP

#include "../../common/json_members.hpp"
#include "../../common/original_name.hpp"

#include "../../../manifest/graph_link.hpp"
#include "../../../store/store.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The nodes of a graph, and of each of its functions, by name.
class nodes_by_name {
public:
  explicit nodes_by_name(graph& whole) {
    add(whole);
    for (graph_function& function : whole.functions) {
      add(function);
      functions_.add(function.name);
    }
    functions_.sort();
    names_.sort();
  }
  /// The node called `name`, first in the graph, then in its functions; nullptr if there is none.
  [[nodiscard]] graph_node* find(std::string_view name) const {
    const std::size_t number = names_.number_of(name);
    return number == name_table::none ? nullptr : nodes_[number];
  }

  /// The node that owns the variable of this full name: for A/B/ROLE, layer B of the model that node A calls, or A itself if
  /// there is no such layer. Reduces `name` to the role.
  [[nodiscard]] graph_node* find_owner(std::string_view& name) const {
    graph_node* owner = nullptr;
    for (const name_table* body = &bodies_.front(); body != nullptr;) {
      graph_node* found = nullptr;
      for (std::size_t slash = name.rfind('/'); slash != std::string_view::npos && slash != 0 && found == nullptr;
           slash = name.rfind('/', slash - 1)) {
        const std::size_t number = body->number_of(name.substr(0, slash));
        if (number == name_table::none) continue;
        found = nodes_[first_nodes_[static_cast<std::size_t>(body - bodies_.data())] + number];
        name.remove_prefix(slash + 1);
        break;
      }
      if (found == nullptr) break;
      owner = found;
      const std::size_t function = functions_.number_of(text_member(found->attributes, "function"));
      body = function == name_table::none ? nullptr : &bodies_[function + 1];
    }
    return owner;
  }

private:
  void add(graph_body& body) {
    first_nodes_.push_back(nodes_.size());
    name_table& own = bodies_.emplace_back();
    for (graph_node& node : body.nodes) {
      names_.add(node.name);
      own.add(node.name);
      nodes_.push_back(&node);
    }
    own.sort();
  }
  std::vector<graph_node*> nodes_;
  name_table names_, functions_;
  std::vector<name_table> bodies_;       // the graph, then each function
  std::vector<std::size_t> first_nodes_; // the first node of each
};

/// Sorts the variables of each node by `place_of(tensor's name)`; the sort is stable.
template <class PlaceOf> void order_keras_variables(graph& whole, PlaceOf place_of) {
  const auto order = [&](graph_body& body) {
    for (graph_node& node : body.nodes) {
      std::stable_sort(node.variables.begin(), node.variables.end(),
                       [&](const graph_variable& a, const graph_variable& b) {
                         return place_of(std::string_view(a.tensor)) < place_of(std::string_view(b.tensor));
                       });
    }
  };
  order(whole);
  for (graph_function& each : whole.functions) order(each);
}

} // namespace detail

/// Sets the variables of layers. A tensor LAYER/ROLE belongs to the node called LAYER, and MODEL/LAYER/ROLE to a layer of the
/// model that the node called MODEL calls. Any other ANYTHING/LAYER/ROLE belongs to any node called LAYER, unless another
/// tensor has that role. A role may contain slashes ("lstm_cell/kernel"), and ":0" at its end is not part of it.
///
///     stet::name_keras_variables(*graph, store);  // dense: {"kernel": "dense/kernel", "bias": "dense/bias"}
///
/// @param is_weight  called with the name of each tensor; false for tensors that are not weights, such as an optimizer's
/// Cost: a few look-ups a tensor.
template <class IsWeight> void name_keras_variables(graph& whole, const store& where, IsWeight is_weight) {
  const detail::nodes_by_name nodes(whole);
  std::set<std::pair<const graph_node*, std::string>> taken; // roles of nodes
  const auto take_all = [&taken](const graph_body& body) {
    for (const graph_node& node : body.nodes) {
      for (const graph_variable& each : node.variables) taken.emplace(&node, each.role);
    }
  };
  take_all(whole);
  for (const graph_function& each : whole.functions) take_all(each);
  const auto give = [&](graph_node& node, std::string_view role, const tensor& given) {
    if (role.ends_with(":0")) role.remove_suffix(2);
    if (!role.empty() && taken.emplace(&node, std::string(role)).second)
      node.variables.push_back({std::string(role), std::string(detail::original_name(where, given))});
  };
  // First the tensors whose names have the full path of their layer.
  std::vector<tensor> others;
  for (const tensor each : where) {
    std::string_view role = each.name();
    if (!is_weight(role)) continue;
    if (graph_node* const owner = nodes.find_owner(role))
      give(*owner, role, each);
    else
      others.push_back(each);
  }
  for (const tensor& each : others) {
    const std::string_view name = each.name();
    for (std::size_t slash = name.rfind('/'); slash != std::string_view::npos && slash != 0;
         slash = name.rfind('/', slash - 1)) {
      std::string_view layer = name.substr(0, slash);
      layer.remove_prefix(layer.rfind('/') + 1); // npos + 1 is 0
      if (graph_node* const node = nodes.find(layer)) {
        give(*node, name.substr(slash + 1), each);
        break;
      }
    }
  }
}
/// The same, for every tensor of the store.
inline void name_keras_variables(graph& whole, const store& where) {
  name_keras_variables(whole, where, [](std::string_view) { return true; });
}

} // namespace stet::inline STET_NAMESPACE

#endif
