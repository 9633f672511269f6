// SPDX-License-Identifier: MIT
// Aliases for the variables of an object-based checkpoint: their keys without the suffix, and their full names.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_SECOND_NAMES_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_SECOND_NAMES_HPP

#include "object_graph.hpp"

#include "../../common/store_builder.hpp"

#include "../../../index/detail/name_hash.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Finds aliases for the variables among the tensors of a store that is being built: each name that belongs to exactly one
/// variable, and to no tensor.
class second_names {
public:
  /// Enters the keys of the variables without the suffix.
  explicit second_names(const store_builder& tensors) {
    const std::uint32_t tensor_count = static_cast<std::uint32_t>(tensors.tensor_count());
    names_.reserve(std::size_t{2} * tensor_count);
    for (std::uint32_t number = 0; number < tensor_count; ++number) {
      const std::string_view key = tensors.name(number), path = without_variable_suffix(key);
      if (path.size() == key.size()) {
        others_.push_back(key);
      } else if (!path.empty() && !is_variable_key(path)) {
        names_.push_back({path, number, true, true});
      }
    }
    slots_.resize(static_cast<std::size_t>(slot_count_for(static_cast<std::uint32_t>(2 * names_.size()))));
    const std::size_t path_count = names_.size();
    for (std::size_t first = 0; first < path_count; first += slot_batch_size) {
      const std::span<second_name> batch =
          std::span(names_).subspan(first, (std::min)(path_count - first, std::size_t{slot_batch_size}));
      std::uint64_t hashes[slot_batch_size];
      for (std::size_t i = 0; i < batch.size(); ++i) load_ahead(&slot_around(hashes[i] = hash_name(batch[i].name, 0)));
      for (std::size_t i = 0; i < batch.size(); ++i) {
        slot* const at = search(batch[i].name, hashes[i]);
        batch[i].is_clear = at != nullptr;
        if (at != nullptr) *at = {tag_of(hashes[i]), static_cast<std::uint32_t>(first + i + 1)};
      }
    }
  }

  /// Enters the full names of the variables in `graph`, a TrackableObjectGraph, which must outlive this object. Reading stops
  /// where the message is malformed.
  void enter_full_names(std::span<const std::byte> graph) {
    full_name batch[slot_batch_size];
    std::size_t count = 0;
    const auto settle = [&] {
      for (const full_name& each : std::span(batch, count)) enter(each);
      count = 0;
    };
    for_each_object_attribute(graph, [&](const object_graph::attribute& attribute) {
      if (attribute.name != variable_attribute || !is_variable_key(attribute.key)) return;
      full_name& each = batch[count];
      each.path = without_variable_suffix(attribute.key);
      each.name = attribute.full_name;
      if (each.name == each.path || !is_valid_name(each.name) || is_variable_key(each.name)) return;
      load_ahead(&slot_around(each.path_hash = hash_name(each.path, 0)));
      load_ahead(&slot_around(each.name_hash = hash_name(each.name, 0)));
      if (++count == slot_batch_size) settle();
    });
    settle();
  }

  /// Adds the names to the store, except those that tensors have. A full name of two variables is recorded as omitted.
  void add_to(store_builder& into) {
    for (const std::string_view name : others_) {
      if (second_name* const taken = find(name, hash_name(name, 0))) taken->is_clear = false;
    }
    for (const second_name& each : names_) {
      if (!each.is_clear) {
        if (each.is_shared) into.omit(each.name, error(errc::duplicate_name, each.name));
        continue;
      }
      if (each.is_path) {
        into.add_alias(each.variable, each.name.size()); // the name itself may have moved
      } else {
        into.add_alias(each.variable, each.name);
      }
      into.note_second_name();
    }
  }

private:
  struct second_name {
    std::string_view name;
    std::uint32_t variable;
    /// True if the name belongs to this variable only.
    bool is_clear;
    /// True if the name is the variable's key without the suffix.
    bool is_path;
    /// True if the name is the full name of two variables.
    bool is_shared = false;
    /// True if the name is the full name of a copy by Keras.
    bool is_of_copy = false;
  };
  struct slot {
    std::uint32_t tag, number; // of a name, plus one
  };
  /// The full name of the variable with this path.
  struct full_name {
    std::string_view path, name;
    std::uint64_t path_hash, name_hash;
  };

  static std::uint32_t tag_of(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash >> 32); }
  [[nodiscard]] slot& slot_around(std::uint64_t number) {
    return slots_[static_cast<std::size_t>(number & (slots_.size() - 1))];
  }

  /// The slot of a name with this hash, or a free slot; nullptr if there is none near, since names can be made to collide.
  slot* search(std::string_view name, std::uint64_t hash) {
    for (std::uint64_t i = 0; i <= max_probe_count; ++i) {
      slot& at = slot_around(hash + i);
      if (at.number == 0 || (at.tag == tag_of(hash) && names_[at.number - 1].name == name)) return &at;
    }
    return nullptr;
  }
  second_name* find(std::string_view name, std::uint64_t hash) {
    const slot* const at = search(name, hash);
    return at == nullptr || at->number == 0 ? nullptr : &names_[at->number - 1];
  }
  /// Keras 3 exports each variable twice, under one full name: "variables/0" and, in another order, "_all_variables/3".
  static bool is_copy_by_keras(std::string_view path) noexcept { return path.starts_with("_all_variables/"); }

  /// Enters the full name of a variable. A name of two variables is an alias of neither, copies by Keras apart.
  void enter(const full_name& entered) {
    const second_name* const path = find(entered.path, entered.path_hash);
    if (path == nullptr || !path->is_path) return;
    if (names_.size() + names_.size() / 4 >= slots_.size()) return; // the graph has more names than variables
    slot* const at = search(entered.name, entered.name_hash);
    if (at == nullptr) return;
    if (at->number == 0) {
      names_.push_back({entered.name, path->variable, true, false, false, is_copy_by_keras(entered.path)});
      *at = {tag_of(entered.name_hash), static_cast<std::uint32_t>(names_.size())};
    } else {
      second_name& known = names_[at->number - 1];
      if (known.variable == path->variable) return;
      if (!known.is_path && known.is_of_copy != is_copy_by_keras(entered.path)) {
        if (known.is_of_copy) known.variable = path->variable;
        known.is_of_copy = false;
        return;
      }
      known.is_clear = false;
      known.is_shared = !known.is_path;
    }
  }

  std::vector<second_name> names_;
  std::vector<slot> slots_;
  std::vector<std::string_view> others_; // names of tensors that are not variables
};

/// Adds aliases of the variables among the tensors of `into`: from their keys, and from `graph`, a TrackableObjectGraph.
inline void add_second_names(store_builder& into, std::span<const std::byte> graph) {
  second_names names(into);
  names.enter_full_names(graph);
  names.add_to(into);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
