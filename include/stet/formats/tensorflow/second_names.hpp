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
#include <string_view>
#include <vector>

namespace stet::inline v0_1::detail {

/// Finds further names for the variables among the tensors of a store that is being built: each that means one variable, and no
/// tensor.
class second_names {
public:
  explicit second_names(const store_builder& tensors)
      : tensors_(tensors), tensor_count_(static_cast<std::uint32_t>(tensors.tensor_count())) {
    std::uint32_t variable_count = 0;
    for (std::uint32_t number = 0; number < tensor_count_; ++number) variable_count += is_variable(tensors_.name(number)) ? 1u : 0u;
    slots_.resize(static_cast<std::size_t>(slot_count_for(2 * variable_count)));
    names_.reserve(std::size_t{2} * variable_count);
  }

  /// Enters what the keys of the variables are without the suffix.
  void enter_paths() {
    for (std::uint32_t number = 0; number < tensor_count_; ++number) {
      const std::string_view key = tensors_.name(number), path = without_variable_suffix(key);
      const bool has_path = path.size() != key.size() && !path.empty() && !is_variable(path);
      if (has_path) request(path, {}, number, true);
    }
    settle();
  }

  /// Enters the full names that `graph`, a TrackableObjectGraph, gives to variables, of which the paths are entered. It must
  /// outlive this object; where it is malformed it names nothing more.
  void enter_full_names(std::span<const std::byte> graph) {
    for_each_object_attribute(graph, [&](const object_graph::attribute& attribute) {
      if (attribute.name != variable_attribute || !is_variable(attribute.key)) return;
      const std::string_view path = without_variable_suffix(attribute.key);
      if (attribute.full_name == path || !is_valid_name(attribute.full_name) || is_variable(attribute.full_name)) return;
      request(attribute.full_name, path, 0, false);
    });
    settle();
  }

  /// Takes back the names that tensors have.
  void exclude_tensors() {
    for (std::uint32_t number = 0; number < tensor_count_; ++number) {
      const std::string_view name = tensors_.name(number);
      if (is_variable(name)) continue; // no further name is like that
      if (second_name* const taken = find(name, hash_name(name, 0))) taken->is_clear = false;
    }
  }

  /// Adds the names that are left to the store.
  void add_to(store_builder& into) const {
    for (const second_name& each : names_) {
      if (!each.is_clear) continue;
      if (each.is_path) {
        into.add_alias(each.variable, each.name.size()); // where the name is may have moved
      } else {
        into.add_alias(each.variable, each.name);
      }
    }
  }

private:
  struct second_name {
    std::string_view name;
    std::uint32_t variable;
    /// Whether it means this variable only.
    bool is_clear;
    /// Whether it is the variable's key without the suffix.
    bool is_path;
  };
  struct slot {
    std::uint32_t tag, number; // of a name, plus one
  };
  /// A name to be entered: the path of a variable, or the name of the one that has the path `of`.
  struct name_request {
    std::string_view name, of;
    std::uint32_t variable;
    bool is_path;
    std::uint64_t name_hash, hash_of;
  };

  static bool is_variable(std::string_view key) noexcept { return key.ends_with(variable_suffix); }

  /// Enters the name soon, so that memory is waited for once for many.
  void request(std::string_view name, std::string_view of, std::uint32_t variable, bool is_path) {
    name_request& made = requests_[request_count_++];
    made = {name, of, variable, is_path, hash_name(name, 0), is_path ? 0 : hash_name(of, 0)};
    load_ahead(&slot_around(made.name_hash));
    if (!is_path) load_ahead(&slot_around(made.hash_of));
    if (request_count_ == slot_batch_size) settle();
  }
  /// Enters the names requested.
  void settle() {
    for (const name_request& each : std::span(requests_, request_count_)) {
      if (each.is_path) {
        enter(each.name, each.name_hash, each.variable, true);
      } else if (const second_name* const path = find(each.of, each.hash_of); path != nullptr && path->is_path) {
        enter(each.name, each.name_hash, path->variable, false);
      }
    }
    request_count_ = 0;
  }

  [[nodiscard]] slot& slot_around(std::uint64_t number) { return slots_[static_cast<std::size_t>(number & (slots_.size() - 1))]; }

  /// Calls `visit` with the slots in which a name with this hash may stand, until it is found, or there is a free one, or they are
  /// too many: names can be made to collide.
  /// @return  the slot that holds the name or is free
  slot* search(std::string_view name, std::uint64_t hash) {
    const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::uint64_t i = 0; i <= max_probe_count; ++i) {
      slot& at = slot_around(hash + i);
      if (at.number == 0 || (at.tag == tag && names_[at.number - 1].name == name)) return &at;
    }
    return nullptr;
  }
  second_name* find(std::string_view name, std::uint64_t hash) {
    const slot* const at = search(name, hash);
    return at == nullptr || at->number == 0 ? nullptr : &names_[at->number - 1];
  }
  /// Enters a name of a variable. One that is known of another means neither.
  void enter(std::string_view name, std::uint64_t hash, std::uint32_t variable, bool is_path) {
    if (names_.size() + names_.size() / 4 >= slots_.size()) return; // a graph that names more than there is
    slot* const at = search(name, hash);
    if (at == nullptr) return;
    if (at->number == 0) {
      names_.push_back({name, variable, true, is_path});
      *at = {static_cast<std::uint32_t>(hash >> 32), static_cast<std::uint32_t>(names_.size())};
    } else {
      second_name& known = names_[at->number - 1];
      known.is_clear = known.is_clear && known.variable == variable;
    }
  }

  const store_builder& tensors_;
  std::uint32_t tensor_count_;
  std::vector<second_name> names_;
  std::vector<slot> slots_;
  name_request requests_[slot_batch_size];
  std::size_t request_count_ = 0;
};

/// Gives the variables among the tensors of `into` the further names that they have by their keys and by `graph`, a
/// TrackableObjectGraph.
inline void add_second_names(store_builder& into, std::span<const std::byte> graph) {
  second_names names(into);
  names.enter_paths();
  names.enter_full_names(graph);
  names.exclude_tensors();
  names.add_to(into);
}

} // namespace stet::inline v0_1::detail

#endif
