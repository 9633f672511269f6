// SPDX-License-Identifier: MIT
// Replaces the names of tensors in the JSON of a manifest.
#ifndef STET_FORMATS_COMMON_RENAME_TENSORS_HPP
#define STET_FORMATS_COMMON_RENAME_TENSORS_HPP

#include "json_members.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// New names of tensors, and the places of a manifest that name tensors.
class tensor_renaming {
public:
  void add(std::string_view from, std::string_view to) { names_.emplace(from, to); }
  [[nodiscard]] bool empty() const noexcept { return names_.empty(); }
  /// The new name of a tensor; its own name if it has none.
  [[nodiscard]] std::string_view operator()(std::string_view name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? name : std::string_view(found->second);
  }

  /// The variables of the nodes of a graph and its functions.
  [[nodiscard]] json_text in_graph(json_text graph) const {
    return changed(std::move(graph), [this](json_value& value) {
      rename_nodes(value);
      for_each(find_member(value, "functions"), [this](json_value& function) { rename_nodes(function); });
    });
  }
  /// The variables of the optimizer in the state of a session.
  [[nodiscard]] json_text in_state(json_text state) const {
    return changed(std::move(state), [this](json_value& value) {
      if (json_value* const optimizer = find_member(value, "optimizer"))
        rename_all(find_member(*optimizer, "variables"));
    });
  }
  /// The tensors that the attributes of a tensor name: tables of its quantization, slots of an optimizer.
  [[nodiscard]] json_text in_attributes(json_text attributes) const {
    return changed(std::move(attributes), [this](json_value& value) {
      rename(find_member(value, "slot_of"));
      if (json_value* const how = find_member(value, "quantization")) {
        rename(find_member(*how, "scales"));
        rename(find_member(*how, "zero_points"));
      }
      if (json_value* const note = find_member(value, "tensorflow")) rename_all(find_member(*note, "slots"));
    });
  }

private:
  /// The text after `change`. Text that cannot be read stays as it is: saving it is the error.
  json_text changed(json_text text, auto change) const {
    if (empty() || text.empty()) return text;
    result<json_value> value = parse_json(text.text());
    if (!value) return text;
    change(*value);
    return *value;
  }
  static void for_each(json_value* of, auto visit) {
    if (of == nullptr || !of->is_structured()) return;
    for (json_value& each : *of) visit(each);
  }
  void rename(json_value* value) const {
    std::string* const name = value == nullptr ? nullptr : value->get_ptr<json_value::string_t*>();
    if (name != nullptr) *name = std::string((*this)(*name));
  }
  void rename_all(json_value* values) const {
    for_each(values, [this](json_value& each) { rename(&each); });
  }
  void rename_nodes(json_value& body) const {
    for_each(find_member(body, "nodes"), [this](json_value& node) { rename_all(find_member(node, "variables")); });
  }

  std::map<std::string, std::string, std::less<>> names_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
