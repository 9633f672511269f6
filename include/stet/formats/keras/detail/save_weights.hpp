// SPDX-License-Identifier: MIT
// Maps tensors to the datasets of a Keras file, and writes the attributes of their groups.
#ifndef STET_FORMATS_KERAS_DETAIL_SAVE_WEIGHTS_HPP
#define STET_FORMATS_KERAS_DETAIL_SAVE_WEIGHTS_HPP

#include "../describe.hpp"
#include "layers.hpp"
#include "lists.hpp"

#include "../../hdf5/detail/save_tensor.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A tensor and the dataset that it becomes.
struct keras_dataset {
  hdf5_saved_tensor tensor;
  hdf5_writer::object object;
};

/// Plans the HDF5 file of a model.
class keras_weights_plan {
public:
  /// @param of  outlives the plan
  keras_weights_plan(const writer_model& of, const graph* layers, bool with_optimizer)
      : model_(of), graph_(layers), with_optimizer_(with_optimizer) {
    const model_description& described = of.described;
    for (const tensor_note& note : described.tensors) {
      if (find_member(note.attributes, "slot_of") != nullptr) slots_.insert(note.name);
    }
    const json_value* const optimizer = find_member(described.state, "optimizer");
    const json_value* const variables = optimizer == nullptr ? nullptr : find_member(*optimizer, "variables");
    if (const json_value::array_t* const names = elements_of(variables)) {
      for (const json_value& each : *names) listed_.emplace_back(string_or_empty(&each));
    }
    if (const json_value* const keras = find_member(described.metadata, "keras"))
      lists_ = find_member(*keras, keras_lists_field);
    for (const tensor each : of.store) is_legacy_ = is_legacy_ || each.name().starts_with("/model_weights/");
    is_legacy_ = is_legacy_ || (lists_ != nullptr && lists_->is_object());
  }

  /// By objects, as Keras 3 has them: /layers/dense/vars/0.
  result<void> plan_objects(const std::string& model_name) {
    bfloat16_ = hdf5_bfloat16::opaque;
    hint_ = is_legacy_ ? "can be saved as keras-legacy" : "can be saved as stet";
    if (auto found = find_layers("/layers/"); !found) return found;
    if (graph_ == nullptr) {
      if (auto known = check_inferred_classes(); !known) return known;
    } else {
      if (auto named = name_group("vars", model_name); !named) return named;
    }
    for (const keras_layer& layer : layers_) {
      if (auto named = name_group(layer.path.substr(1) + "/vars", layer.name); !named) return named;
      std::map<std::string_view, std::size_t> counts;
      for (const keras_weight& each : layer.weights) {
        const std::string number = std::to_string(counts[each.part]++);
        const std::string_view name = original_name(model_.store, each.value);
        const bool is_path = is_object_variable(name) && !is_saved(name);
        const std::string path =
            is_path ? std::string(name)
                    : std::string(layer.path).append("/").append(each.part).append("vars/").append(number);
        if (auto added = add(each.value, std::string_view(path).substr(1)); !added) return added;
      }
    }
    if (auto named = name_objects(); !named) return named;
    return add_rest("/optimizer/", "/model_weights/");
  }

  /// By layers, as Keras had them before: lists of layers, and in each a list of weights.
  /// @param group  "model_weights", or empty for weights alone
  result<void> plan_legacy(std::string_view group, const std::string& backend, const std::string& keras_version) {
    bfloat16_ = hdf5_bfloat16::floating;
    hint_ = is_legacy_ ? "can be saved as stet" : "can be saved as keras or keras-weights";
    const auto weights = file_.group(file_.root, group);
    if (!weights) return weights.error();
    if (const std::string_view own_prefix = listed_prefix(); !own_prefix.empty()) {
      if (auto added = add_listed(*weights, group, own_prefix); !added) return added;
      file_.attribute(*weights, "backend", backend);
      file_.attribute(*weights, "keras_version", keras_version);
      return add_rest("/optimizer_weights/", "/layers/");
    }
    if (auto found = find_layers("/model_weights/"); !found) return found;
    if (auto known = check_order(); !known) return known;
    std::vector<std::string> layer_names;
    for (std::size_t first = 0, end = 0; first < layers_.size(); first = end) {
      std::vector<std::pair<const keras_layer*, const keras_weight*>> all;
      for (; end < layers_.size() && layers_[end].top == layers_[first].top; ++end) {
        for (const keras_weight& each : layers_[end].weights) all.emplace_back(&layers_[end], &each);
      }
      std::stable_partition(all.begin(), all.end(), [](const auto& each) { return each.second->is_trainable; });
      const std::string& layer = layer_names.emplace_back(layers_[first].full_name);
      const auto object = file_.group(*weights, layer);
      if (!object) return object.error();
      const std::string original = "/model_weights/" + layer + "/";
      std::vector<std::string> names;
      for (const auto& [owner, weight] : all) {
        const std::string_view name = original_name(model_.store, weight->value);
        names.push_back(name.starts_with(original) && !is_saved(name) ? std::string(name.substr(original.size()))
                                                                      : owner->full_name + "/" + weight->role);
        if (auto added =
                add(weight->value,
                    std::string(group).append(group.empty() ? "" : "/").append(layer).append("/").append(names.back()));
            !added) {
          return added;
        }
      }
      if (auto listed = list_names(*object, "weight_names", std::move(names)); !listed) return listed;
    }
    if (!layers_.empty() || graph_ != nullptr) {
      if (auto listed = list_names(*weights, "layer_names", std::move(layer_names)); !listed) return listed;
      file_.attribute(*weights, "backend", backend);
      file_.attribute(*weights, "keras_version", keras_version);
    }
    return add_rest("/optimizer_weights/", "/layers/");
  }

  [[nodiscard]] hdf5_writer& file() noexcept { return file_; }
  [[nodiscard]] const std::vector<keras_dataset>& datasets() const noexcept { return datasets_; }
  /// The variables of the optimizer that are not saved.
  [[nodiscard]] std::size_t left_out_count() const noexcept { return left_out_count_; }

private:
  result<void> find_layers(std::string_view own_prefix) {
    const bool is_for_objects = own_prefix == "/layers/";
    result<std::vector<keras_layer>> found =
        graph_ != nullptr ? keras_layer_lister(*graph_, model_.store, own_prefix, hint_).run()
                          : infer_keras_layers(
                                model_,
                                [&](std::string_view name, const tensor& each) {
                                  return !is_of_optimizer(name) && !is_of_optimizer(each.name()) &&
                                         !(is_for_objects && is_object_variable(each.name()));
                                },
                                hint_);
    if (!found) return found.error();
    layers_ = std::move(*found);
    return {};
  }

  [[nodiscard]] bool is_of_optimizer(std::string_view name) const {
    return is_optimizer_variable(name) || slots_.count(name) != 0;
  }
  [[nodiscard]] bool is_saved(std::string_view name) const { return saved_.count(name) != 0; }
  /// Whether a name is the path of a variable of an object: /layers/lstm/cell/vars/0.
  static bool is_object_variable(std::string_view name) noexcept {
    const std::size_t slash = name.rfind('/');
    return name.starts_with('/') && !name.starts_with("/model_weights/") && slash != 0 &&
           name.substr(0, slash).ends_with("/vars");
  }

  /// Without a graph, layers are found by their classes' groups: their names have to be those that Keras gives.
  result<void> check_inferred_classes() const {
    constexpr std::string_view others =
        "simple_rnn lstm gru rnn conv_lstm1d conv_lstm2d conv_lstm3d bidirectional time_distributed "
        "multi_head_attention grouped_query_attention spectral_normalization rms_normalization";
    for (const keras_layer& each : layers_) {
      const std::string_view name = each.name, top = name.substr(0, name.find('/'));
      const bool is_cell = each.path.ends_with("/cell") && name.find('/') == name.rfind('/');
      const std::string_view group = without_number(top);
      if ((top.size() != name.size() && !is_cell) || !(has_word(keras_flat_classes, group) || has_word(others, group)))
        return inexpressible("class of layer " + each.name, hint_);
    }
    return {};
  }
  /// Keras goes by the order of layers and weights in a legacy file; where it is not known, they would be
  /// swapped.
  result<void> check_order() const {
    for (const keras_layer& each : layers_) {
      const bool is_unsure =
          graph_ != nullptr ? each.is_inner && !each.is_own && !each.weights.empty() : !is_order_known(each);
      if (is_unsure) return inexpressible("order of layer " + each.full_name, hint_);
    }
    return {};
  }
  [[nodiscard]] bool is_order_known(const keras_layer& layer) const {
    return model_.is_order_known &&
           std::all_of(layer.weights.begin(), layer.weights.end(), [&](const keras_weight& each) {
             return !is_path_of_variable(original_name(model_.store, each.value));
           });
  }

  static constexpr std::string_view top_weights = "top_level_model_weights";

  /// What the names of tensors begin with that the lists of a legacy file name; empty if there are no lists, or
  /// they are not of all these tensors.
  [[nodiscard]] std::string_view listed_prefix() const {
    if (lists_ == nullptr || !lists_->is_object()) return {};
    for (const std::string_view prefix : {"/model_weights/", "/"}) {
      const auto places = keras_list_places(*lists_, prefix);
      bool are_all = !places.empty();
      for (const auto& [path, place] : places) are_all = are_all && model_.store.find(path);
      for (const tensor each : model_.store)
        are_all = are_all && (prefix == "/" || !each.name().starts_with(prefix) || places.count(each.name()) != 0);
      if (are_all) return prefix;
    }
    return {};
  }
  /// Adds groups, lists and datasets as a legacy file had them.
  result<void> add_listed(hdf5_writer::object base, std::string_view group, std::string_view own_prefix) {
    std::vector<std::string> layer_names;
    for (const auto& [layer, weights] : lists_->items()) {
      if (layer != top_weights) layer_names.push_back(layer);
      const auto object = file_.group(base, layer);
      if (!object) return object.error();
      std::vector<std::string> names;
      for (const json_value& each : weights) {
        const std::string& name = names.emplace_back(string_or_empty(&each));
        const std::string own = layer + "/" + name;
        const result<tensor> found = model_.store.find(std::string(own_prefix) + own);
        if (!found) return found.error();
        const std::string path = group.empty() ? own : std::string(group) + "/" + own;
        if (auto added = add(*found, path); !added) return added;
      }
      if (auto listed = list_names(*object, "weight_names", std::move(names)); !listed) return listed;
    }
    return list_names(base, "layer_names", std::move(layer_names));
  }

  /// Objects whose variables stay where they are keep their names, too.
  result<void> name_objects() {
    for (const tensor each : model_.store) {
      const std::string_view name = each.name(), original = original_name(model_.store, each);
      const std::string_view object = name.substr(0, name.rfind('/'));
      if (!model_.is_second_name(each) || !is_object_variable(original) || name.find('/') == std::string_view::npos)
        continue;
      if (auto named = name_group(original.substr(1, original.rfind('/') - 1),
                                  std::string(object.substr(object.rfind('/') + 1)));
          !named)
        return named;
    }
    return {};
  }

  result<void> name_group(std::string_view path, const std::string& name) {
    if (!named_.emplace(path).second) return {};
    const auto group = file_.group(file_.root, path);
    if (!group) return group.error();
    file_.attribute(*group, "name", name);
    return {};
  }

  /// An attribute that is a list, in as many pieces as it takes: NAME, or NAME0, NAME1 …
  result<void> list_names(hdf5_writer::object of, const std::string& attribute, std::vector<std::string> names) {
    constexpr std::size_t most = hdf5_writer::max_attribute_bytes / hdf5_reference_size;
    if (names.size() <= most) return file_.attribute(of, attribute, std::move(names));
    for (std::size_t first = 0, number = 0; first < names.size(); first += most, ++number) {
      const auto begin = names.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = names.begin() + static_cast<std::ptrdiff_t>((std::min)(first + most, names.size()));
      if (auto listed = file_.attribute(of, attribute + std::to_string(number), std::vector<std::string>(begin, end));
          !listed)
        return listed;
    }
    return {};
  }

  result<void> add(const tensor& from, std::string_view path) {
    // A long name of a layer comes again for each of its weights.
    if ((path_bytes_ += path.size()) > max_path_bytes) return error(errc::too_large, from.name());
    result<hdf5_saved_tensor> planned = plan_hdf5_tensor(from, bfloat16_);
    if (!planned) return planned.error();
    const std::vector<std::uint64_t> shape(from.shape().begin(), from.shape().end());
    const auto object = file_.dataset(file_.root, path, planned->type, shape, planned->size_bytes, planned->room_bytes);
    if (!object) return object.error().about(from.name());
    if (!planned->noted_dtype.empty()) file_.attribute(*object, "dtype", std::string(planned->noted_dtype));
    saved_.insert(original_name(model_.store, from));
    datasets_.push_back({std::move(*planned), *object});
    return {};
  }

  /// Adds the tensors that are no weights of layers.
  /// @param optimizer  what the names of its variables begin with in this form
  /// @param foreign    what those of weights begin with in the other form
  /// @retval errc::not_expressible  a tensor, the subject, is of the other form, or a variable of a TensorFlow object
  ///                                whose layer no name tells
  result<void> add_rest(std::string_view optimizer, std::string_view foreign) {
    const bool has_layers = graph_ != nullptr || !layers_.empty();
    for (const tensor each : model_.store) {
      const std::string_view name = each.name();
      if (is_saved(original_name(model_.store, each)) || model_.is_second_name(each)) continue;
      if (is_of_optimizer(name)) {
        optimizer_.push_back(each);
      } else if (name.starts_with(foreign)) {
        return inexpressible(std::string(name), hint_);
      } else if (!has_layers && name.find("/.ATTRIBUTES/") != std::string_view::npos) {
        return inexpressible(std::string(name), "can be saved as tensorflow-objects");
      } else if (auto added = add(each, name.substr(name.front() == '/' ? 1 : 0)); !added) {
        return added;
      }
    }
    if (!with_optimizer_) {
      left_out_count_ = optimizer_.size();
      return {};
    }
    return optimizer == "/optimizer/" ? add_optimizer_objects() : add_optimizer_list();
  }

  /// Numbered variables stay what they are called; the order of listed ones is all that Keras goes by.
  result<void> add_optimizer_objects() {
    for (const tensor& each : optimizer_) {
      if (each.name().starts_with("/optimizer_weights/")) return error(errc::not_convertible, each.name());
      if (auto added = add(each, each.name().substr(each.name().front() == '/' ? 1 : 0)); !added) return added;
    }
    return {};
  }
  result<void> add_optimizer_list() {
    constexpr std::string_view listed = "/optimizer_weights/", numbered = "/optimizer/vars/";
    std::map<std::string_view, std::size_t> places;
    for (std::size_t i = 0; i < listed_.size(); ++i) places.emplace(listed_[i], i);
    std::vector<std::pair<std::size_t, tensor>> ordered;
    for (const tensor& each : optimizer_) {
      const std::string_view name = each.name();
      if (name.starts_with(listed)) {
        const auto place = places.find(name);
        if (place == places.end()) return error(errc::not_convertible, name);
        ordered.emplace_back(place->second, each);
      } else if (name.starts_with(numbered)) {
        ordered.emplace_back(keras_rank(name.substr(numbered.size())), each);
      } else if (name.starts_with("/optimizer/")) { // an optimizer in an optimizer
        return error(errc::not_convertible, name);
      } else if (auto added = add(each, name); !added) {
        return added;
      }
    }
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> names;
    for (const auto& [place, each] : ordered) {
      const bool is_listed = each.name().starts_with(listed);
      names.emplace_back(each.name().substr(is_listed ? listed.size() : std::string_view("/optimizer/").size()));
      if (auto added = add(each, "optimizer_weights/" + names.back()); !added) return added;
    }
    if (names.empty()) return {};
    const auto group = file_.group(file_.root, "optimizer_weights");
    return group ? list_names(*group, "weight_names", std::move(names)) : result<void>(group.error());
  }

  static constexpr std::uint64_t max_path_bytes = std::uint64_t{64} << 20;
  std::uint64_t path_bytes_ = 0;
  const writer_model& model_;
  const graph* graph_;
  bool with_optimizer_;
  hdf5_bfloat16 bfloat16_ = hdf5_bfloat16::opaque;
  std::set<std::string, std::less<>> slots_;
  std::vector<std::string> listed_;   // the optimizer's variables, in its order
  const json_value* lists_ = nullptr; // of a legacy file
  bool is_legacy_ = false;
  std::string_view hint_;
  std::set<std::string, std::less<>> named_;
  std::vector<keras_layer> layers_;
  hdf5_writer file_;
  std::vector<keras_dataset> datasets_;
  std::set<std::string_view> saved_;
  std::vector<tensor> optimizer_;
  std::size_t left_out_count_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
