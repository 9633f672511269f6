// SPDX-License-Identifier: MIT
// Adds the tensors of a pickle to a store, by the names that their containers give them.
#ifndef STET_FORMATS_PYTORCH_DETAIL_IMPORTER_HPP
#define STET_FORMATS_PYTORCH_DETAIL_IMPORTER_HPP

#include "placer.hpp"
#include "script.hpp"

#include "../../../index/detail/name_hash.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The name of a tensor that is the whole object.
inline constexpr std::string_view pytorch_root_name = "<root>";
/// The most containers within each other that are walked through.
inline constexpr unsigned max_pytorch_depth = 200;

/// The value of a dict's pair with this key; `no_pickle_value`: there is none. The last one counts, as for Python.
inline pickle_ref find_in_dict(const pytorch_values& values, pickle_ref dict, std::string_view key) noexcept {
  pickle_ref found = no_pickle_value;
  if (dict == no_pickle_value) return found;
  const pickle& of = values.values();
  const pickle_value* value = &of[dict];
  if (value->kind == pickle_kind::object && of.object(*value).pairs != no_pickle_value)
    value = &of[of.object(*value).pairs];
  if (value->kind != pickle_kind::dict) return found;
  for (pickle::walk each(of, *value); each.next();) {
    if (values.is_text(each.key(), key)) found = each.value();
  }
  return found;
}

/// What a module is in a pickle: an object whose state has these three.
struct pytorch_module {
  pickle_ref parameters = no_pickle_value, buffers = no_pickle_value, modules = no_pickle_value,
             passing = no_pickle_value;

  /// Reads the module that `object` is. @return false if it is none
  bool read(const pytorch_values& values, const pickle_object& object) noexcept {
    if (object.state == no_pickle_value || values.values()[object.state].kind != pickle_kind::dict) return false;
    parameters = find_in_dict(values, object.state, "_parameters");
    buffers = find_in_dict(values, object.state, "_buffers");
    modules = find_in_dict(values, object.state, "_modules");
    passing = find_in_dict(values, object.state, "_non_persistent_buffers_set");
    return parameters != no_pickle_value && modules != no_pickle_value;
  }
  /// The keys of buffers that state_dict() leaves out, sorted.
  [[nodiscard]] std::vector<std::string_view> passing_buffers(const pytorch_values& values) const {
    std::vector<std::string_view> made;
    if (passing == no_pickle_value) return made;
    const pickle& of = values.values();
    const pickle_value* set = &of[passing];
    // Before protocol 4, set([…]).
    if (set->kind == pickle_kind::object) {
      const pickle_ref list = values.argument(of.object(*set).arguments, 0);
      if (list == no_pickle_value) return made;
      set = &of[list];
    }
    if (set->kind != pickle_kind::set && set->kind != pickle_kind::list) return made;
    for (pickle::walk each(of, *set); each.next();) {
      if (of[each.value()].kind == pickle_kind::text) made.push_back(of.text(each.value()));
    }
    std::sort(made.begin(), made.end());
    return made;
  }
};

/// Appends a key as its tensors' names have it: text as it is, other keys as Python shows them.
inline void append_pytorch_key(std::string& to, const pickle& of, pickle_ref number, std::size_t position,
                               bool is_within = false) {
  const pickle_value& value = of[number];
  switch (value.kind) {
  case pickle_kind::text:
    if (is_within) to += '\'';
    to += of.text(value);
    if (is_within) to += '\'';
    return;
  case pickle_kind::integer:
    to += std::to_string(value.integer);
    return;
  case pickle_kind::boolean:
    to += value.integer != 0 ? "True" : "False";
    return;
  case pickle_kind::none:
    to += "None";
    return;
  case pickle_kind::real: {
    char text[32];
    for (int digits = 1; digits <= 17; ++digits) { // as few as tell it from others
      std::snprintf(text, sizeof text, "%.*g", digits, value.real);
      if (std::strtod(text, nullptr) == value.real) break;
    }
    to += text;
    if (std::string_view(text).find_first_not_of("-0123456789") == std::string_view::npos) to += ".0";
    return;
  }
  case pickle_kind::tuple:
    if (!is_within) {
      to += '(';
      for (std::size_t i = 0; i < value.count; ++i) {
        if (i != 0) to += ", ";
        append_pytorch_key(to, of, of.element(value, i), i, true);
      }
      to += value.count == 1 ? ",)" : ")";
      return;
    }
    [[fallthrough]];
  default:
    to += '#';
    to += std::to_string(position);
  }
}

/// What is told of a tensor besides its elements.
struct pytorch_note {
  std::string name;
  /// Of a tensor that is not contiguous.
  std::vector<std::uint64_t> strides;
  bool is_conjugate, is_negative, is_trainable;
};
using pytorch_notes = std::vector<pytorch_note>;

/// Adds all tensors of a file.
class pytorch_importer {
public:
  /// @param notes  gets a note for each tensor; nullptr: none are wanted
  pytorch_importer(store_builder& into, pytorch_content& from, const open_options& options,
                   pytorch_notes* notes = nullptr)
      : pytorch_importer(into, from, options, notes, least_work + work_per_byte * from.object.size_bytes()) {}
  /// @param work  the most work that the names may cost
  pytorch_importer(store_builder& into, pytorch_content& from, const open_options& options, pytorch_notes* notes,
                   std::uint64_t work)
      : into_(into), values_(from.values()), of_(from.object), from_(from), placer_(into, from, options), notes_(notes),
        scripts_(from.archive, from.members, from.root, options), facts_(of_.value_count()), work_(work) {}

  /// The work that the names of a file may cost, and for each byte of its pickle more. Names and elements that are walked over may be
  /// more than the pickle has, since containers can be used more than once, but not by much.
  static constexpr std::uint64_t least_work = std::uint64_t{1} << 20, work_per_byte = 16;
  /// The work that was not needed.
  [[nodiscard]] std::uint64_t work_left() const noexcept { return work_; }

  /// Errors: as `open_pytorch` documents them.
  result<void> run() {
    add_checks();
    return add_object({});
  }
  /// Adds the tensors of the object. Errors: as `open_pytorch` documents them.
  /// @param name  that of the object, with which those of its tensors begin; empty: it is the whole of the file
  result<void> add_object(std::string_view name) {
    const result<bool> has_any = has_tensors(of_.root(), 0);
    if (!has_any) return has_any.error();
    if (!*has_any) return {};
    name_ = name;
    return walk(of_.root(), name.empty() ? 0 : 1);
  }

  /// Adds a tensor that is not in the pickle.
  result<void> add(std::string_view name, const pytorch_tensor& tensor) {
    name_ = name;
    tensor_ = tensor;
    return add_tensor(1);
  }

  /// Adds the checksums of the members of the archive. A writer that is told to leaves them out, as 0.
  void add_checks() {
    for (const zip_member& each : from_.members) {
      if (each.method != zip_member::is_stored || each.crc32 == 0 || each.size_bytes == 0) continue;
      into_.add_check({0, each.offset_bytes, each.size_bytes, each.crc32, std::string(each.name)});
    }
  }

private:
  enum class fact : std::uint8_t { unknown, in_progress, without_tensors, with_tensors };
  /// @retval errc::too_large  so much is not what a model has
  result<void> charge(std::uint64_t work) noexcept {
    if (work > work_) return error(errc::too_large, "the names of tensors");
    work_ -= work;
    return {};
  }

  // ---- which containers have tensors ----

  /// True if a tensor is in the value. Each value is looked into once.
  result<bool> has_tensors(pickle_ref number, unsigned depth) {
    if (number == no_pickle_value) return false;
    if (facts_[number] == fact::with_tensors) return true;
    if (facts_[number] != fact::unknown) return false; // without, or within itself
    if (depth > max_pytorch_depth) return error(errc::too_deep, "pickle");
    facts_[number] = fact::in_progress;
    bool found = values_.is_view(number);
    if (!found) {
      const result<pytorch_kind> kind = values_.read(number, tensor_);
      if (!kind) return kind.error();
      found = *kind != pytorch_kind::other;
    }
    const pickle_value& value = of_[number];
    if (!found && value.kind == pickle_kind::object) {
      const pickle_object object = of_.object(value);
      for (const pickle_ref each : {object.arguments, object.keywords, object.state, object.elements, object.pairs}) {
        const result<bool> within = has_tensors(each, depth + 1);
        if (!within) return within.error();
        found = found || *within;
      }
    } else if (!found && is_container(value.kind)) {
      for (pickle::walk each(of_, value); each.next();) {
        const result<bool> within = has_tensors(each.value(), depth + 1);
        if (!within) return within.error();
        found = found || *within;
      }
    }
    facts_[number] = found ? fact::with_tensors : fact::without_tensors;
    return found;
  }
  static bool is_container(pickle_kind kind) noexcept {
    return kind == pickle_kind::tuple || kind == pickle_kind::list || kind == pickle_kind::dict ||
           kind == pickle_kind::set || kind == pickle_kind::frozen_set;
  }

  // ---- the walk ----

  /// Adds what is in a value, whose name is `name_`.
  result<void> walk(pickle_ref number, unsigned depth) {
    if (number == no_pickle_value || facts_[number] != fact::with_tensors) return {};
    const result<pytorch_kind> kind = values_.read(number, tensor_);
    if (!kind) return kind.error();
    if (*kind == pytorch_kind::tensor) return add_tensor(depth);
    if (*kind == pytorch_kind::omitted) return omit(values_.reason(), depth);
    if (depth > max_pytorch_depth) return error(errc::too_deep, "pickle");
    // The tensors of a container within itself have their names already.
    facts_[number] = fact::in_progress;
    const auto walked =
        of_[number].kind == pickle_kind::object ? walk_object(number, depth) : walk_items(number, depth);
    facts_[number] = fact::with_tensors;
    return walked;
  }

  /// Walks over a tuple, list or set, or the pairs of a dict.
  result<void> walk_items(pickle_ref number, unsigned depth) {
    const pickle_value& value = of_[number];
    if (auto done = charge(value.count); !done) return done;
    std::size_t position = 0;
    for (pickle::walk each(of_, value); each.next(); ++position) {
      const auto walked = value.kind == pickle_kind::dict ? walk_pair(each.key(), each.value(), position, depth)
                                                          : walk_element(each.value(), position, depth);
      if (!walked) return walked;
    }
    return {};
  }
  result<void> walk_pair(pickle_ref key, pickle_ref value, std::size_t position, unsigned depth) {
    if (facts_[value] != fact::with_tensors) return {};
    return within(depth, [&] { append_pytorch_key(name_, of_, key, position); }, value);
  }
  result<void> walk_element(pickle_ref value, std::size_t position, unsigned depth) {
    if (facts_[value] != fact::with_tensors) return {};
    return within(depth, [&] { name_ += std::to_string(position); }, value);
  }
  /// Walks over a value whose name is that of the container, a dot, and what `append_name` appends.
  template <class Append> result<void> within(unsigned depth, Append append_name, pickle_ref value) {
    const std::size_t size = name_.size();
    if (depth != 0) name_ += '.';
    append_name();
    auto walked = charge(name_.size() + 1);
    if (walked) walked = walk(value, depth + 1);
    name_.resize(size);
    return walked;
  }

  result<void> walk_object(pickle_ref number, unsigned depth) {
    const pickle_object object = of_.object(of_[number]);
    if (object.state != no_pickle_value) { // it is looked through for each part of a module
      if (auto done = charge(4 * std::uint64_t{of_[object.state].count}); !done) return done;
    }
    pytorch_module module;
    if (module.read(values_, object)) return walk_module(module, depth);
    if (is_script_class(of_, object.callee)) return walk_script(object, depth);
    const pickle_value& callee = of_[object.callee];
    const bool is_ordered = callee.kind == pickle_kind::global && callee.id == pytorch_ordered_dict;
    if (is_ordered) { // Python 2 has the pairs in a list of lists
      const pickle_ref pairs = values_.argument(object.arguments, 0);
      if (auto walked = walk_list_of_pairs(pairs, depth); !walked) return walked;
    }
    bool is_known = is_ordered;
    for (const pickle_ref part : {object.elements, object.pairs}) {
      if (part == no_pickle_value || facts_[part] != fact::with_tensors) continue;
      is_known = true;
      if (auto walked = walk_items(part, depth); !walked) return walked;
    }
    if (is_known) return {};
    // Tensors in the arguments or the state of an object that only its own class understands.
    const bool is_named = callee.kind == pickle_kind::global;
    return omit(is_named ? error_about(errc::unsupported, of_.module_of(callee), of_.name_of(callee))
                         : error(errc::unsupported, "an object"),
                depth);
  }
  result<void> walk_list_of_pairs(pickle_ref list, unsigned depth) {
    if (list == no_pickle_value || of_[list].kind != pickle_kind::list) return {};
    if (auto done = charge(of_[list].count); !done) return done;
    std::size_t position = 0;
    for (pickle::walk each(of_, of_[list]); each.next(); ++position) {
      pickle_ref pair[2] = {no_pickle_value, no_pickle_value};
      std::size_t count = 0;
      for (pickle::walk part(of_, of_[each.value()]); is_container(of_[each.value()].kind) && part.next() && count < 2;)
        pair[count++] = part.value();
      if (count != 2) continue;
      if (auto walked = walk_pair(pair[0], pair[1], position, depth); !walked) return walked;
    }
    return {};
  }
  /// The tensors that state_dict() of a module gives, in its order.
  result<void> walk_module(const pytorch_module& module, unsigned depth) {
    const std::vector<std::string_view> passing = module.passing_buffers(values_);
    if (auto done = charge(passing.size()); !done) return done;
    if (auto walked = walk_dict(module.parameters, depth, {}); !walked) return walked;
    if (auto walked = walk_dict(module.buffers, depth, passing); !walked) return walked;
    return walk_dict(module.modules, depth, {});
  }
  result<void> walk_dict(pickle_ref number, unsigned depth, const std::vector<std::string_view>& left_out) {
    if (number == no_pickle_value) return {};
    const pickle_value* value = &of_[number];
    if (value->kind == pickle_kind::object && of_.object(*value).pairs != no_pickle_value)
      value = &of_[of_.object(*value).pairs];
    if (value->kind != pickle_kind::dict) return {};
    if (auto done = charge(value->count); !done) return done;
    std::size_t position = 0;
    for (pickle::walk each(of_, *value); each.next(); ++position) {
      if (!left_out.empty() && of_[each.key()].kind == pickle_kind::text &&
          std::binary_search(left_out.begin(), left_out.end(), of_.text(each.key())))
        continue;
      if (auto walked = walk_pair(each.key(), each.value(), position, depth); !walked) return walked;
    }
    return {};
  }
  /// The parameters and buffers of a module of TorchScript, then those of the modules in it.
  result<void> walk_script(const pickle_object& object, unsigned depth) {
    if (object.state == no_pickle_value || of_[object.state].kind != pickle_kind::dict) return {};
    const script_names* const found = scripts_.find(of_, object.callee);
    if (found == nullptr) return error(errc::too_large, "code");
    const script_names& names = *found;
    std::size_t position = 0;
    for (pickle::walk each(of_, of_[object.state]); each.next(); ++position) {
      if (of_[each.key()].kind != pickle_kind::text) continue;
      const pickle_value& value = of_[each.value()];
      const bool is_module = value.kind == pickle_kind::object && is_script_class(of_, of_.object(value).callee);
      if (!is_module && names.is_known && !names.has(of_.text(each.key()))) continue;
      if (auto walked = walk_pair(each.key(), each.value(), position, depth); !walked) return walked;
    }
    return {};
  }

  // ---- tensors ----

  [[nodiscard]] std::string_view own_name(unsigned depth) const noexcept {
    return depth == 0 ? pytorch_root_name : std::string_view(name_);
  }
  result<void> omit(const error& reason, unsigned depth) {
    into_.omit(own_name(depth), reason);
    return {};
  }

  /// Adds `tensor_`.
  result<void> add_tensor(unsigned depth) {
    const std::string_view name = own_name(depth);
    if (name.size() > max_name_size_bytes || !is_valid_name(name)) return omit(error(errc::bad_name, name), depth);
    if (notes_ != nullptr) {
      notes_->push_back({std::string(name), tensor_.is_contiguous() ? std::vector<std::uint64_t>() : tensor_.strides,
                         tensor_.is_conjugate, tensor_.is_negative, tensor_.is_trainable});
    }
    pytorch_storage* const storage = from_.storages.find(tensor_.key);
    if (storage != nullptr && storage->first_view != pytorch_storage::none) {
      const std::uint32_t original = find_view(*storage);
      if (original != pytorch_storage::none) {
        into_.add_alias(original, name);
        return {};
      }
    }
    index_row row;
    row.name = name;
    pytorch_storage* own = nullptr;
    if (auto placed = placer_.place(tensor_, row, own); !placed) return placed;
    const auto number = static_cast<std::uint32_t>(into_.tensor_count());
    into_.add(row);
    if (own != nullptr) keep_view(*own, number);
    return {};
  }

  /// A tensor that was added, to find others that are the same view of a storage.
  struct view {
    std::uint32_t number;
    const pytorch_type* type;
    std::uint64_t begin, rank;
    std::size_t sizes; // of its sizes and strides in `sizes_`
    const pytorch_storage* storage;
    bool is_conjugate, is_negative;
  };
  struct before {
    const pytorch_importer* self;
    bool operator()(std::size_t a, std::size_t b) const noexcept {
      const view& x = self->views_[a];
      const view& y = self->views_[b];
      if (x.storage != y.storage) return std::less<>()(x.storage, y.storage);
      if (x.begin != y.begin) return x.begin < y.begin;
      if (x.type != y.type) return std::less<>()(x.type, y.type);
      if (x.rank != y.rank) return x.rank < y.rank;
      if (x.is_conjugate != y.is_conjugate) return y.is_conjugate;
      if (x.is_negative != y.is_negative) return y.is_negative;
      for (std::size_t i = 0; i < 2 * x.rank; ++i) {
        const std::uint64_t one = self->sizes_[x.sizes + i], other = self->sizes_[y.sizes + i];
        if (one != other) return one < other;
      }
      return false;
    }
  };

  /// Adds `tensor_` to the views. @return its place among them
  std::size_t push_view(const pytorch_storage& of, std::uint32_t number) {
    views_.push_back({number, tensor_.type, tensor_.begin_bytes + tensor_.offset * tensor_.type->size_bytes,
                      tensor_.shape.size(), sizes_.size(), &of, tensor_.is_conjugate, tensor_.is_negative});
    sizes_.insert(sizes_.end(), tensor_.shape.begin(), tensor_.shape.end());
    sizes_.insert(sizes_.end(), tensor_.strides.begin(), tensor_.strides.end());
    return views_.size() - 1;
  }
  /// The number of the tensor that is the same view as `tensor_`; `none`: there is none.
  std::uint32_t find_view(const pytorch_storage& of) {
    const std::size_t wanted = push_view(of, 0);
    const auto found = shared_.find(wanted);
    const std::size_t first = of.first_view;
    std::uint32_t number = pytorch_storage::none;
    const before less{this};
    if (found != shared_.end()) {
      number = views_[*found].number;
    } else if (!less(wanted, first) && !less(first, wanted)) {
      number = views_[first].number;
    }
    sizes_.resize(views_.back().sizes);
    views_.pop_back();
    return number;
  }
  void keep_view(pytorch_storage& of, std::uint32_t number) {
    const std::size_t place = push_view(of, number);
    if (of.first_view == pytorch_storage::none) {
      of.first_view = static_cast<std::uint32_t>(place);
    } else {
      shared_.insert(place);
    }
  }

  store_builder& into_;
  pytorch_values values_;
  const pickle& of_;
  pytorch_content& from_;
  pytorch_placer placer_;
  pytorch_notes* notes_;
  script_classes scripts_;
  pytorch_tensor tensor_;
  std::vector<fact> facts_; // of each value
  std::string name_;        // of the value that is walked over
  std::uint64_t work_;
  std::vector<view> views_;
  std::vector<std::uint64_t> sizes_;
  std::set<std::size_t, before> shared_{before{this}}; // views of storages that have more than one
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
