// SPDX-License-Identifier: MIT
// Adds everything that an open model of any format holds to a writer.
#ifndef STET_FORMATS_ADD_MODEL_HPP
#define STET_FORMATS_ADD_MODEL_HPP

#include "check_model.hpp"
#include "common/write_elements.hpp"
#include "description.hpp"
#include "common/rename_tensors.hpp"
#include "common/second_name.hpp"
#include "native/checkpoint_folder.hpp"

#include "../manifest/graph_json.hpp"
#include "../restore/detail/matching.hpp"
#include "../restore/rules.hpp"
#include "../writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The manifest of a model, without the places of tensors. Of several graphs it has the first; the others go to `further`.
inline result<manifest> manifest_beside(const model& of, std::vector<json_text>& further) {
  if (is_native_model(of)) {
    result<manifest> parsed = merged_manifest(of);
    if (!parsed) return parsed;
    // Opening through an index does not read the manifest, which may speak of other tensors.
    auto named = parsed->tensors.begin();
    const model* all = &of;
    while (all->whole != nullptr) all = all->whole.get();
    for (const tensor each : all->store) {
      if (named == parsed->tensors.end() || named++->name != each.name())
        return error(errc::manifest_mismatch, each.name());
    }
    if (named != parsed->tensors.end()) return error(errc::manifest_mismatch, named->name);
    return parsed;
  }
  result<model_description> described = describe(of);
  if (!described) return described.error();
  manifest made;
  for (std::size_t number = 0; number < described->graphs.size(); ++number) {
    json_value json = graph_to_json(described->graphs[number]);
    if (number == 0) {
      made.graph = std::move(json);
    } else {
      further.push_back(std::move(json));
    }
  }
  made.state = std::move(described->state);
  made.metadata = std::move(described->metadata);
  for (tensor_note& each : described->tensors) {
    made.tensors.emplace_back();
    made.tensors.back().name = std::move(each.name);
    made.tensors.back().attributes = std::move(each.attributes);
  }
  return made;
}

} // namespace detail

/// Adds all that the model `from` holds: tensors with their attributes, graph, state and metadata; for savers of other formats,
/// further graphs (`writer::foreign`). The aliases of a native file are kept. The second names and other aliases of a foreign
/// format become aliases with the field `second_name` (manifest/manifest.hpp): a native file has them, savers of other formats do
/// not write them as tensors. A second name that a tensor of `to` already has is left out.
/// Saving compares each tensor with its checksum, if the file has one; checksums of ranges of the file are compared here. The
/// model must stay open until `to` has been saved.
/// @param renames  the first that knows the name that a tensor would have gives it another. Second names and aliases are asked for,
///                 too; the graph, the state and attributes name tensors by the new names
/// Errors: those of `check_ranges`, `describe` and `writer::add`, and
/// @retval errc::manifest_mismatch  the manifest of a native file lists other tensors than its index
inline result<void> add_model(writer& to, const model& from, tensor_names names = tensor_names::both,
                              std::span<const rename_rule> renames = {}) {
  if (auto checked = check_ranges(from); !checked) return checked;
  std::vector<json_text> further_graphs;
  result<manifest> beside = detail::manifest_beside(from, further_graphs);
  if (!beside) return beside.error();
  std::unordered_map<std::string_view, json_text*> attributes;
  for (manifest_tensor& each : beside->tensors) {
    if (!each.attributes.empty()) attributes.emplace(each.name, &each.attributes);
  }
  std::set<std::string, std::less<>> taken;
  if (const result<writer::contents> there = to.added()) {
    for (std::size_t number = 0; number < there->tensors.size(); ++number) taken.emplace(there->tensors.name(number));
  }
  const bool is_native = is_native_model(from);
  const auto is_wanted = [&](const tensor& alias) {
    const bool is_second = from.is_second_name(alias);
    return (is_native && !is_second) || (names != tensor_names::of_file && taken.count(alias.name()) == 0);
  };
  std::vector<std::string_view> new_names(from.store.tensor_count()); // by the number of the tensor; empty: its own
  detail::tensor_renaming renamed;
  if (names == tensor_names::of_layers) {
    for (const tensor each : from.store) {
      if (from.is_second_name(each) && is_wanted(each))
        new_names[from.store.index().original_of(each.entry()).number()] = each.name();
    }
  }
  for (const tensor each : from.store) {
    std::string_view name = new_names[each.entry().number()];
    if (name.empty()) name = each.name();
    const std::optional<std::string> other = detail::renamed(renames, name);
    if (other) name = *other;
    if (name != each.name()) renamed.add(each.name(), name);
  }
  for (const tensor each : from.store) {
    const auto found = attributes.find(each.name());
    json_text fields = found == attributes.end() ? json_text() : renamed.in_attributes(std::move(*found->second));
    if (const auto original = from.store.original_of(each)) {
      const std::string_view name = new_names[original->entry().number()];
      const bool is_name_of_file = !is_native && !name.empty() && !from.is_second_name(each);
      if (each.name() == name || is_name_of_file || !is_wanted(each)) continue;
      if (!is_native) fields = detail::with_second_name_field(fields);
      to.add_alias(renamed(each.name()), renamed(original->name()), std::move(fields));
    } else {
      to.add_opened(
          renamed(each.name()), each, [each](piece_sink& sink) { return detail::write_checked(each, sink); },
          std::move(fields));
    }
    if (auto added = to.added(); !added) return added.error();
  }
  for (json_text& each : further_graphs) each = renamed.in_graph(std::move(each));
  to.foreign.further_graphs = std::move(further_graphs);
  // The tables of TensorFlow are sorted by name; a native file that was made of one says so.
  const bool is_sorted = is_native ? detail::member_of(beside->extra.text(), "tensor_order") == "\"name\""
                                   : from.format != nullptr && from.format->name.starts_with("tf-");
  if (is_sorted && !is_native) beside->extra = json_text(R"({"tensor_order":"name"})");
  to.foreign.is_order_known = !is_sorted;
  to.graph = renamed.in_graph(std::move(beside->graph));
  to.state = renamed.in_state(std::move(beside->state));
  to.metadata = std::move(beside->metadata);
  to.set_extra(std::move(beside->extra));
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
