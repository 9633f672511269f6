// SPDX-License-Identifier: MIT
// Further names for the variables of an object-based checkpoint: what their keys are without the suffix, and their full names.
#ifndef STET_FORMATS_TENSORFLOW_SECOND_NAMES_HPP
#define STET_FORMATS_TENSORFLOW_SECOND_NAMES_HPP

#include "object_graph.hpp"

#include "../store_builder.hpp"

#include "../../index/name_hash.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline v0_1::detail {

/// Collects the variables of a checkpoint as they are added to a store, and adds their further names at the end: each that means
/// one variable, and no tensor.
///
///     names.note(row, into), into.add(row);   // for each tensor
///     names.collect(graph);
///     names.exclude(key);                     // for each tensor
///     names.add_to(into);
class second_names {
public:
  /// Keeps what is needed of a tensor that is the next to be added to `into`.
  void note(const index_row& row, const store_builder& into) {
    if (!row.name.ends_with(variable_suffix)) return;
    const std::string_view name = without_variable_suffix(row.name);
    variables_.push_back({row, text_.size(), name.size(), extents_.size()});
    variables_.back().row.alias_of = static_cast<std::uint32_t>(into.tensor_count());
    text_ += name;
    extents_.insert(extents_.end(), row.shape.begin(), row.shape.end());
  }

  /// Enters the names of the variables noted. `graph`, a TrackableObjectGraph, must outlive this object; where it is malformed it
  /// names nothing more.
  void collect(std::span<const std::byte> graph) {
    slots_.assign(static_cast<std::size_t>(slot_count_for(static_cast<std::uint32_t>(2 * variables_.size()))), 0);
    names_.reserve(2 * variables_.size());
    for (std::uint32_t number = 0; number < variables_.size(); ++number) {
      enter(std::string_view(text_).substr(variables_[number].text, variables_[number].text_size), number, true);
    }
    for_each_object_attribute(graph, [&](const object_graph::attribute& attribute) {
      if (attribute.name != variable_attribute || !attribute.key.ends_with(variable_suffix)) return;
      const second_name* const path = find(without_variable_suffix(attribute.key));
      if (path != nullptr && path->is_path) enter(attribute.full_name, path->variable, false);
    });
  }

  /// Takes note that a tensor is called `name`.
  void exclude(std::string_view name) {
    if (name.ends_with(variable_suffix)) return; // no further name does
    if (second_name* const taken = find(name)) taken->is_clear = false;
  }

  /// Adds the names that are left.
  void add_to(store_builder& into) const {
    for (const second_name& each : names_) {
      if (!each.is_clear) continue;
      const variable& of = variables_[each.variable];
      index_row row = of.row;
      row.name = each.name;
      row.shape = std::span(extents_).subspan(of.extents, row.shape.size());
      into.add(row);
    }
  }

private:
  /// A variable: the row that was added for it, of which name and shape are kept here.
  struct variable {
    index_row row;
    std::size_t text, text_size, extents;
  };
  struct second_name {
    std::string_view name;
    std::uint32_t variable;
    /// Whether it means this variable only.
    bool is_clear;
    /// Whether it is the variable's key without the suffix.
    bool is_path;
  };

  /// Calls `visit` with the slots in which `name` may stand, until it says so or they are too many: names can be made to collide.
  template <class Visit> void probe(std::string_view name, Visit&& visit) {
    const std::size_t mask = slots_.size() - 1;
    const std::size_t first = static_cast<std::size_t>(hash_name(name, 0));
    for (std::size_t i = 0; i <= max_probe_count; ++i) {
      if (visit(slots_[(first + i) & mask])) return;
    }
  }
  second_name* find(std::string_view name) {
    second_name* found = nullptr;
    probe(name, [&](std::uint32_t slot) {
      if (slot != 0 && names_[slot - 1].name == name) found = &names_[slot - 1];
      return slot == 0 || found != nullptr;
    });
    return found;
  }
  /// Enters a name of variable `number`. One that is known of another means neither.
  void enter(std::string_view name, std::uint32_t number, bool is_path) {
    if (!is_valid_name(name) || name.ends_with(variable_suffix)) return;
    if (names_.size() + names_.size() / 4 >= slots_.size()) return; // a graph that names more than there is
    probe(name, [&](std::uint32_t& slot) {
      if (slot == 0) {
        names_.push_back({name, number, true, is_path});
        slot = static_cast<std::uint32_t>(names_.size());
        return true;
      }
      second_name& known = names_[slot - 1];
      if (known.name != name) return false;
      known.is_clear = known.is_clear && known.variable == number;
      return true;
    });
  }

  std::vector<variable> variables_;
  std::string text_; // their keys without the suffix
  std::vector<std::uint64_t> extents_;
  std::vector<second_name> names_;
  std::vector<std::uint32_t> slots_; // number of a name plus one
};

} // namespace stet::inline v0_1::detail

#endif
