// SPDX-License-Identifier: MIT
// Which dataset of a Keras file becomes of which tensor, and what the groups around them say.
#ifndef STET_FORMATS_KERAS_SAVE_WEIGHTS_HPP
#define STET_FORMATS_KERAS_SAVE_WEIGHTS_HPP

#include "describe.hpp"
#include "layers.hpp"

#include "../hdf5/save_tensor.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// A tensor and the dataset that it becomes.
struct keras_dataset {
  hdf5_saved_tensor tensor;
  hdf5_writer::object object;
};

/// Plans the HDF5 file of a model.
class keras_weights_plan {
 public:
  /// @param of  outlives the plan
  keras_weights_plan(const model& of, const model_description& described, const graph* layers,
                     bool with_optimizer)
      : model_(of), graph_(layers), with_optimizer_(with_optimizer) {
    for (const tensor_note& note : described.tensors) {
      if (find_member(note.attributes, "slot_of") != nullptr)
        slots_.insert(note.name);
    }
    const json_value* const optimizer = find_member(described.state, "optimizer");
    const json_value* const variables = optimizer == nullptr ? nullptr : find_member(*optimizer, "variables");
    if (const json_value::array_t* const names = elements_of(variables)) {
      for (const json_value& each : *names)
        listed_.emplace_back(text_of_string(&each));
    }
  }

  /// By objects, as Keras 3 has them: /layers/dense/vars/0.
  result<void> plan_objects(const std::string& model_name) {
    bfloat16_ = hdf5_bfloat16::opaque;
    if (auto found = find_layers("/layers/"); !found)
      return found;
    if (graph_ != nullptr) {
      if (auto named = name_group("vars", model_name); !named)
        return named;
    }
    for (const keras_layer& layer : layers_) {
      if (auto named = name_group(layer.path.substr(1) + "/vars", layer.name); !named)
        return named;
      std::map<std::string_view, std::size_t> counts;
      for (const keras_weight& each : layer.weights) {
        const std::string number = std::to_string(counts[each.part]++);
        const std::string_view name = each.value.name();
        const bool is_path = name.starts_with("/layers/") && !is_saved(name);
        const std::string path =
            is_path ? std::string(name)
                    : std::string(layer.path).append("/").append(each.part).append("vars/").append(number);
        if (auto added = add(each.value, std::string_view(path).substr(1)); !added)
          return added;
      }
    }
    return add_rest("/optimizer/", "/model_weights/");
  }

  /// By layers, as Keras had them before: lists of layers, and in each a list of weights.
  /// @param group  "model_weights", or empty for weights alone
  result<void> plan_legacy(std::string_view group, const std::string& backend,
                           const std::string& keras_version) {
    bfloat16_ = hdf5_bfloat16::floating;
    if (auto found = find_layers("/model_weights/"); !found)
      return found;
    const auto weights = file_.group(file_.root, group);
    if (!weights)
      return weights.error();
    std::vector<std::string> layer_names;
    for (std::size_t first = 0, end = 0; first < layers_.size(); first = end) {
      std::vector<std::pair<const keras_layer*, const keras_weight*>> all;
      for (; end < layers_.size() && layers_[end].top == layers_[first].top; ++end) {
        for (const keras_weight& each : layers_[end].weights)
          all.emplace_back(&layers_[end], &each);
      }
      std::stable_partition(all.begin(), all.end(),
                            [](const auto& each) { return each.second->is_trainable; });
      const std::string& layer = layer_names.emplace_back(layers_[first].full_name);
      const auto object = file_.group(*weights, layer);
      if (!object)
        return object.error();
      const std::string original = "/model_weights/" + layer + "/";
      std::vector<std::string> names;
      for (const auto& [owner, weight] : all) {
        const std::string_view name = weight->value.name();
        names.push_back(name.starts_with(original) && !is_saved(name)
                            ? std::string(name.substr(original.size()))
                            : owner->full_name + "/" + weight->role);
        if (auto added = add(weight->value, std::string(group)
                                                .append(group.empty() ? "" : "/")
                                                .append(layer)
                                                .append("/")
                                                .append(names.back()));
            !added) {
          return added;
        }
      }
      if (auto listed = list_names(*object, "weight_names", std::move(names)); !listed)
        return listed;
    }
    if (!layers_.empty() || graph_ != nullptr) {
      if (auto listed = list_names(*weights, "layer_names", std::move(layer_names)); !listed)
        return listed;
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
    result<std::vector<keras_layer>> found = graph_ != nullptr
                                                 ? keras_layer_lister(*graph_, model_.store, own_prefix).run()
                                                 : infer_keras_layers(model_.store, [&](const tensor& each) {
                                                     return !is_of_optimizer(each.name());
                                                   });
    if (!found)
      return found.error();
    layers_ = std::move(*found);
    return {};
  }

  [[nodiscard]] bool is_of_optimizer(std::string_view name) const {
    return is_optimizer_variable(name) || slots_.count(name) != 0;
  }
  [[nodiscard]] bool is_saved(std::string_view name) const { return saved_.count(name) != 0; }

  result<void> name_group(std::string_view path, const std::string& name) {
    const auto group = file_.group(file_.root, path);
    if (!group)
      return group.error();
    file_.attribute(*group, "name", name);
    return {};
  }

  /// An attribute that is a list, in as many pieces as it takes: NAME, or NAME0, NAME1 …
  result<void> list_names(hdf5_writer::object of, const std::string& attribute,
                          std::vector<std::string> names) {
    constexpr std::size_t most = hdf5_writer::max_attribute_bytes / hdf5_reference_size;
    if (names.size() <= most)
      return file_.attribute(of, attribute, std::move(names));
    for (std::size_t first = 0, number = 0; first < names.size(); first += most, ++number) {
      const auto begin = names.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = names.begin() + static_cast<std::ptrdiff_t>((std::min)(first + most, names.size()));
      if (auto listed =
              file_.attribute(of, attribute + std::to_string(number), std::vector<std::string>(begin, end));
          !listed)
        return listed;
    }
    return {};
  }

  result<void> add(const tensor& from, std::string_view path) {
    result<hdf5_saved_tensor> planned = plan_hdf5_tensor(from, bfloat16_);
    if (!planned)
      return planned.error();
    const std::vector<std::uint64_t> shape(from.shape().begin(), from.shape().end());
    const auto object =
        file_.dataset(file_.root, path, planned->type, shape, planned->size_bytes, planned->room_bytes);
    if (!object)
      return object.error().about(from.name());
    if (!planned->noted_dtype.empty())
      file_.attribute(*object, "dtype", std::string(planned->noted_dtype));
    saved_.insert(from.name());
    datasets_.push_back({std::move(*planned), *object});
    return {};
  }

  /// Adds the tensors that are no weights of layers.
  /// @param optimizer  what the names of its variables begin with in this form
  /// @param foreign    what those of weights begin with in the other form
  result<void> add_rest(std::string_view optimizer, std::string_view foreign) {
    for (const tensor each : model_.store) {
      const std::string_view name = each.name();
      const bool is_second_name = !is_native_model(model_) && model_.store.original_of(each);
      if (is_saved(name) || is_second_name)
        continue;
      if (is_of_optimizer(name)) {
        optimizer_.push_back(each);
      } else if (name.starts_with(foreign)) {
        return error(errc::not_convertible, name);
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
      if (each.name().starts_with("/optimizer_weights/"))
        return error(errc::not_convertible, each.name());
      if (auto added = add(each, each.name().substr(each.name().front() == '/' ? 1 : 0)); !added)
        return added;
    }
    return {};
  }
  result<void> add_optimizer_list() {
    constexpr std::string_view listed = "/optimizer_weights/", numbered = "/optimizer/vars/";
    std::map<std::string_view, std::size_t> places;
    for (std::size_t i = 0; i < listed_.size(); ++i)
      places.emplace(listed_[i], i);
    std::vector<std::pair<std::size_t, tensor>> ordered;
    for (const tensor& each : optimizer_) {
      const std::string_view name = each.name();
      if (name.starts_with(listed)) {
        const auto place = places.find(name);
        if (place == places.end())
          return error(errc::not_convertible, name);
        ordered.emplace_back(place->second, each);
      } else if (name.starts_with(numbered)) {
        ordered.emplace_back(keras_rank(name.substr(numbered.size())), each);
      } else if (name.starts_with("/optimizer/")) { // an optimizer in an optimizer
        return error(errc::not_convertible, name);
      } else if (auto added = add(each, name); !added) {
        return added;
      }
    }
    std::stable_sort(ordered.begin(), ordered.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> names;
    for (const auto& [place, each] : ordered) {
      const bool is_listed = each.name().starts_with(listed);
      names.emplace_back(
          each.name().substr(is_listed ? listed.size() : std::string_view("/optimizer/").size()));
      if (auto added = add(each, "optimizer_weights/" + names.back()); !added)
        return added;
    }
    if (names.empty())
      return {};
    const auto group = file_.group(file_.root, "optimizer_weights");
    return group ? list_names(*group, "weight_names", std::move(names)) : result<void>(group.error());
  }

  const model& model_;
  const graph* graph_;
  bool with_optimizer_;
  hdf5_bfloat16 bfloat16_ = hdf5_bfloat16::opaque;
  std::set<std::string, std::less<>> slots_;
  std::vector<std::string> listed_; // the optimizer's variables, in its order
  std::vector<keras_layer> layers_;
  hdf5_writer file_;
  std::vector<keras_dataset> datasets_;
  std::set<std::string_view> saved_;
  std::vector<tensor> optimizer_;
  std::size_t left_out_count_ = 0;
};

} // namespace stet::inline v0_1::detail

#endif
