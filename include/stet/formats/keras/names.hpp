// SPDX-License-Identifier: MIT
// The names that Keras knows variables by, beside the paths of their datasets.
#ifndef STET_FORMATS_KERAS_NAMES_HPP
#define STET_FORMATS_KERAS_NAMES_HPP

#include "../hdf5/import.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline v0_1::detail {

// Keras 3 (and 2.15): /layers/dense/vars/0 is variable 0 of a layer; the group vars has the layer's name as
// its attribute `name`, and the group above is called by the layer's class, "dense_1". Variables have no
// names in the file, so these follow from class and count.
//
// Before: attribute layer_names of the root or of /model_weights; for each such group the attribute
// weight_names, which are the paths of datasets within it: /model_weights/dense/dense/kernel:0. Lists too
// long for one attribute go on in layer_names0, layer_names1 …

/// The variables of a class of layer, of which as many as a layer has say their names without doubt.
struct keras_class_variables {
  std::string_view group;
  std::size_t least, most;
  std::string_view names[4];
};
inline constexpr keras_class_variables keras_variable_table[] = {
    {"dense", 1, 2, {"kernel", "bias"}},
    {"conv1d", 1, 2, {"kernel", "bias"}},
    {"conv2d", 1, 2, {"kernel", "bias"}},
    {"conv3d", 1, 2, {"kernel", "bias"}},
    {"conv1d_transpose", 1, 2, {"kernel", "bias"}},
    {"conv2d_transpose", 1, 2, {"kernel", "bias"}},
    {"conv3d_transpose", 1, 2, {"kernel", "bias"}},
    {"depthwise_conv1d", 1, 2, {"kernel", "bias"}},
    {"depthwise_conv2d", 1, 2, {"kernel", "bias"}},
    {"einsum_dense", 1, 2, {"kernel", "bias"}},
    {"separable_conv1d", 2, 3, {"depthwise_kernel", "pointwise_kernel", "bias"}},
    {"separable_conv2d", 2, 3, {"depthwise_kernel", "pointwise_kernel", "bias"}},
    {"batch_normalization", 4, 4, {"gamma", "beta", "moving_mean", "moving_variance"}},
    {"layer_normalization", 2, 2, {"gamma", "beta"}},
    {"embedding", 1, 1, {"embeddings"}},
    {"cell", 2, 3, {"kernel", "recurrent_kernel", "bias"}},
};

/// "dense" of "dense_12"; Keras numbers the objects of one class.
inline std::string_view without_number(std::string_view group) noexcept {
  const std::size_t last = group.find_last_not_of("0123456789");
  return last != std::string_view::npos && last + 1 != group.size() && group[last] == '_'
             ? group.substr(0, last)
             : group;
}

/// Finds second names of the tensors of one file and adds them.
class keras_names {
 public:
  keras_names(store_builder& into, hdf5_file& file, const std::vector<hdf5_tensor>& tensors,
              std::set<std::string>& taken)
      : into_(into), file_(file), tensors_(tensors), taken_(taken) {}

  /// Errors: those of attributes that cannot be read.
  result<void> run() {
    std::vector<std::string> path;
    return add_below(file_.root(), path);
  }

 private:
  static constexpr std::size_t max_depth = 64;

  /// Goes through the groups: those of layers, before Keras 3, and those called "vars".
  result<void> add_below(std::uint64_t address, std::vector<std::string>& path) {
    if (path.size() > max_depth || !groups_.insert(address).second)
      return {};
    const auto object = hdf5_object::read(file_, address);
    if (!object)
      return object.error();
    if (!is_hdf5_group(*object) || object->find(hdf5_is::layout) != nullptr)
      return {};
    const auto attributes = read_attributes(file_, *object);
    if (!attributes)
      return attributes.error();
    const auto links = read_links(file_, *object);
    if (!links)
      return links.error();
    std::string name;
    for (const hdf5_attribute& each : *attributes) {
      const bool is_list = each.name.substr(0, 12) == "weight_names";
      if (!is_list && each.name != "name")
        continue;
      const auto texts = read_strings(file_, each);
      if (!texts)
        return texts.error();
      for (const std::string_view text : *texts) {
        if (is_list) {
          add_legacy(path, text);
        } else {
          name = text;
        }
      }
    }
    if (!path.empty() && path.back() == "vars" && path.size() > 1)
      add_variables(path, name, links->size());
    for (const hdf5_link& link : *links) {
      if (link.kind != hdf5_link_kind::hard)
        continue;
      path.emplace_back(link.name);
      if (auto added = add_below(link.address, path); !added)
        return added;
      path.pop_back();
    }
    return {};
  }

  static std::string joined(const std::vector<std::string>& path) {
    std::string made;
    for (const std::string& each : path)
      made.append("/").append(each);
    return made;
  }

  void add_variables(const std::vector<std::string>& path, const std::string& name, std::size_t count) {
    const std::string& group = path[path.size() - 2];
    if (path.front() == "optimizer")
      return;
    // A cell is part of its layer, and both have a name.
    std::string layer = name.empty() ? group : name;
    const std::string parent = joined({path.begin(), path.end() - 2});
    if (const auto found = names_.find(parent); group == "cell" && found != names_.end())
      layer = found->second + "/" + layer;
    names_[joined({path.begin(), path.end() - 1})] = layer;
    const std::string prefix = joined(path) + "/";
    for (const keras_class_variables& row : keras_variable_table) {
      if (row.group != without_number(group) || count < row.least || count > row.most)
        continue;
      for (std::size_t i = 0; i < count; ++i)
        add(prefix + std::to_string(i), layer + "/" + std::string(row.names[i]));
      return;
    }
    for (std::size_t i = 0; i < count; ++i)
      add(prefix + std::to_string(i), layer + "/" + std::to_string(i));
  }

  /// "dense/kernel:0", in Keras 3 "sequential/dense/kernel", of the group of a layer: from the layer's name
  /// on.
  void add_legacy(const std::vector<std::string>& path, std::string_view weight) {
    if (path.empty() || path.front() == "optimizer_weights" || weight.find("..") != std::string_view::npos)
      return;
    const std::string dataset = joined(path) + "/" + std::string(weight);
    if (weight.ends_with(":0"))
      weight.remove_suffix(2);
    const std::string layer = path.back() + "/";
    if (const std::size_t at = weight.rfind("/" + layer);
        at != std::string_view::npos && !weight.starts_with(layer))
      weight.remove_prefix(at + 1);
    add(dataset, weight.starts_with(layer) ? std::string(weight) : layer + std::string(weight));
  }

  /// Adds one name, unless a tensor has it already or there is no such dataset.
  void add(const std::string& dataset, const std::string& name) {
    if (by_path_.empty()) {
      for (const hdf5_tensor& each : tensors_)
        by_path_.emplace(each.path, &each);
    }
    const auto found = by_path_.find(dataset);
    if (found == by_path_.end() || !is_valid_name(name) || !taken_.insert(name).second)
      return;
    into_.add(found->second->named(name));
  }

  store_builder& into_;
  hdf5_file& file_;
  const std::vector<hdf5_tensor>& tensors_;
  std::set<std::string>& taken_;
  std::set<std::uint64_t> groups_;
  std::map<std::string, std::string> names_;               // of layers, by the path of their group
  std::map<std::string_view, const hdf5_tensor*> by_path_; // by path
};

} // namespace stet::inline v0_1::detail

#endif
