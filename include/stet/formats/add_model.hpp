// SPDX-License-Identifier: MIT
// Adds everything that an open model of any format holds to a writer.
#ifndef STET_FORMATS_ADD_MODEL_HPP
#define STET_FORMATS_ADD_MODEL_HPP

#include "any.hpp"
#include "check_model.hpp"

#include "../manifest/graph_json.hpp"
#include "../writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// What a manifest would say beside the tensors of a model. Of several graphs it is the first; the others go to `further`.
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

/// Adds all that the model `from` holds: tensors with their attributes, graph, state, metadata; for savers of other formats, the
/// second names that a foreign format gives its tensors, and further graphs (`writer::foreign`). A store is saved without these;
/// the aliases of a native file are kept. Saving compares each tensor with its checksum, if the file has one; checksums of ranges
/// of the file are compared here. The model must stay open until `to` has been saved.
/// Errors: those of `check_ranges`, `describe` and `writer::add`, and
/// @retval errc::manifest_mismatch  the manifest of a native file lists other tensors than its index
inline result<void> add_model(writer& to, const model& from) {
  if (auto checked = check_ranges(from); !checked) return checked;
  std::vector<json_text> further_graphs;
  result<manifest> beside = detail::manifest_beside(from, further_graphs);
  if (!beside) return beside.error();
  std::unordered_map<std::string_view, json_text*> attributes;
  for (manifest_tensor& each : beside->tensors) {
    if (!each.attributes.empty()) attributes.emplace(each.name, &each.attributes);
  }
  const bool is_native = is_native_model(from);
  std::vector<std::uint32_t> numbers(from.store.tensor_count()); // in the writer
  for (const tensor each : from.store) {
    const auto original = from.store.original_of(each);
    if (original && !is_native) continue;
    const auto found = attributes.find(each.name());
    json_text fields = found == attributes.end() ? json_text() : std::move(*found->second);
    numbers[each.entry().number()] = static_cast<std::uint32_t>(to.tensor_count());
    if (original) {
      to.add_alias(each.name(), original->name(), std::move(fields));
    } else {
      to.add_opened(
          each.name(), each, [each](piece_sink& sink) { return detail::write_checked(each, sink); }, std::move(fields));
    }
    if (auto added = to.added(); !added) return added.error();
  }
  for (const tensor each : from.store) {
    const auto original = from.store.original_of(each);
    if (original && !is_native)
      to.foreign.second_names.push_back({std::string(each.name()), numbers[original->entry().number()]});
  }
  to.foreign.further_graphs = std::move(further_graphs);
  // The tables of TensorFlow are sorted by name.
  to.foreign.is_order_known = from.format == nullptr || !from.format->name.starts_with("tf-");
  to.graph = std::move(beside->graph);
  to.state = std::move(beside->state);
  to.metadata = std::move(beside->metadata);
  to.set_extra(std::move(beside->extra));
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
