// SPDX-License-Identifier: MIT
// The names of variables in Keras, in addition to the paths of their datasets.
#ifndef STET_FORMATS_KERAS_DETAIL_NAMES_HPP
#define STET_FORMATS_KERAS_DETAIL_NAMES_HPP

#include "classes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Keras 3 and 2.15   /layers/dense_1/vars/0 is variable 0 of a layer. The group has the name of the layer's
//                    class and a number within the class; the attribute `name` of the group vars is the
//                    layer's own name. Objects within a layer also have such groups:
//                    /layers/lstm/cell/vars/0. Keras 2.15 wrote no such attributes; the names of layers are
//                    in config.json, which lists them in the same order. The class and the number of
//                    variables determine the meaning of a number. Shards share groups; the first shard has
//                    the name.
// Keras 1, 2, legacy files of 3   attribute layer_names of the root or of /model_weights; for each such group
//                    the attribute weight_names, a list of paths of datasets within the group:
//                    /model_weights/dense/dense/kernel:0. A list that is too long for one attribute is split
//                    into weight_names0, weight_names1 …
//
// The alias of both is LAYER/VARIABLE, such as dense_1/kernel. LAYER includes the names of all enclosing objects except
// the model itself: encoder/dense/kernel, lstm/lstm_cell/kernel. A variable without a name keeps its number: dense_1/0.
//
// Source: keras-team/keras 3.15, src/saving/saving_lib.py and src/legacy/saving/legacy_h5_format.py.

namespace stet::inline STET_NAMESPACE::detail {

/// Collects the names of variables in the files of one model, and adds them to the store.
class keras_names {
public:
  /// Reads the names and classes of layers from a configuration, by the paths of their groups. Names in the files take
  /// precedence.
  /// @param size_bytes  the size of the configuration's text
  void read_config(const json_value& config, std::uint64_t size_bytes) {
    budget_ += size_bytes * 16;
    read_layers(find_member(config, "config"), "/layers", 0);
  }
  /// True if the files that were read have variables of layers.
  [[nodiscard]] bool has_objects() const noexcept { return !objects_.empty(); }

  /// Reads the groups of a file.
  /// Errors: those of groups and attributes that cannot be read.
  result<void> read(hdf5_file& file) {
    budget_ += file.size_bytes() * 16 + 65536;
    groups_.clear();
    std::vector<std::string> path;
    return read_group(file, file.root(), path);
  }

  /// Adds aliases of the tensors of all files.
  /// @retval errc::too_large  the names (the subject is one) take far more memory than the files
  result<void> add(store_builder& into, const std::vector<hdf5_tensor>& tensors) {
    if (objects_.empty() && listed_.empty()) return {};
    std::vector<const hdf5_tensor*> by_path;
    by_path.reserve(tensors.size());
    for (const hdf5_tensor& each : tensors) by_path.push_back(&each);
    std::stable_sort(by_path.begin(), by_path.end(),
                     [](const hdf5_tensor* a, const hdf5_tensor* b) { return a->path < b->path; });
    const auto from = [&by_path](std::string_view path) {
      return std::lower_bound(by_path.begin(), by_path.end(), path,
                              [](const hdf5_tensor* each, std::string_view wanted) { return each->path < wanted; });
    };
    const auto find = [&](std::string_view path) -> const hdf5_tensor* {
      const auto at = from(path);
      return at != by_path.end() && (*at)->path == path ? *at : nullptr;
    };
    std::set<std::string> taken;
    const auto add_one = [&](const hdf5_tensor& tensor, std::string name) {
      if (!is_valid_name(name) || find(name) != nullptr) return true;
      if (!charge(name.size())) return false;
      const auto [place, is_new] = taken.insert(std::move(name));
      if (!is_new) return true;
      into.add(tensor.named(*place));
      into.note_second_name();
      return true;
    };
    for (auto& [dataset, name] : listed_) {
      const hdf5_tensor* const found = find(dataset);
      if (found != nullptr && !add_one(*found, std::move(name))) return error(errc::too_large, dataset);
    }
    for (const auto& each_object : objects_) {
      const std::string& object = each_object.first;
      const std::string prefix = object + "/vars/";
      std::vector<const hdf5_tensor*> variables, numbered;
      for (auto at = from(prefix); at != by_path.end() && (*at)->path.starts_with(prefix); ++at) {
        if ((*at)->path.find('/', prefix.size()) ==
            std::string::npos) // else it belongs to an object with the name vars
          variables.push_back(*at);
      }
      while (numbered.size() < variables.size()) {
        const hdf5_tensor* const next = find(prefix + std::to_string(numbered.size()));
        if (next == nullptr) break;
        numbered.push_back(next);
      }
      std::string_view names;
      if (!variables.empty() && numbered.size() == variables.size()) {
        variables = std::move(numbered);
        names = keras_variable_names(class_of(object), variables);
      }
      const std::string layer = variables.empty() ? std::string() : full_name(object);
      for (const hdf5_tensor* const each : variables) {
        const std::string_view number = std::string_view(each->path).substr(prefix.size());
        const std::string_view role = names.empty() ? number : take_word(names);
        if (!add_one(*each, std::string(layer).append("/").append(role))) return error(errc::too_large, each->path);
      }
    }
    return {};
  }

private:
  static constexpr std::size_t max_depth = 64;

  bool charge(std::uint64_t size_bytes) noexcept {
    constexpr std::uint64_t trouble = 16;
    if (size_bytes > budget_ || budget_ - size_bytes < trouble) return false;
    budget_ -= size_bytes + trouble;
    return true;
  }

  /// Reads the list of layers of a model's configuration.
  void read_layers(const json_value* config, const std::string& path, std::size_t depth) {
    const json_value::array_t* const layers =
        config == nullptr || depth > max_depth ? nullptr : elements_of(find_member(*config, "layers"));
    if (layers != nullptr) read_container(*layers, path, depth);
  }
  /// Reads the objects in a container, which have the names of their classes and numbers.
  void read_container(const json_value::array_t& all, const std::string& path, std::size_t depth) {
    std::map<std::string, std::size_t> counts;
    for (const json_value& each : all) {
      std::string group = keras_group_of_class(text_member(each, "class_name"));
      const std::size_t number = counts[group]++;
      std::string place = path + "/" + group;
      if (number != 0) place.append("_").append(std::to_string(number));
      if (!read_object(each, std::move(place), std::move(group), depth, path.ends_with("/layers"))) return;
    }
  }
  /// Reads the configuration of one object, and of the objects in its known attributes.
  /// @param is_in_list  true for a layer of a model, false for an object in an attribute of a layer
  /// @return  false if the names take far more memory than the configuration
  bool read_object(const json_value& object, std::string place, std::string group, std::size_t depth, bool is_in_list) {
    const json_value* const config = find_member(object, "config");
    const bool is_own = is_own_keras_class(object);
    const std::string_view name = config == nullptr ? std::string_view() : text_member(*config, "name");
    if (depth > max_depth || !charge(2 * place.size() + group.size() + name.size())) return false;
    // The layers of a wrapper get their names from one configured layer, so two of them would have the same name.
    if (!name.empty() && is_in_list) configured_.emplace(place, name);
    classes_.emplace(place, is_own ? std::move(group) : std::string());
    if (config == nullptr) return true;
    const auto read_inner = [&](const json_value* inner, std::string_view attribute) {
      if (inner != nullptr && inner->is_object())
        read_object(*inner, place + "/" + std::string(attribute),
                    keras_group_of_class(text_member(*inner, "class_name")), depth + 1, false);
    };
    if (is_own) {
      const json_value* const layer = find_member(*config, "layer");
      const json_value* const backward = find_member(*config, "backward_layer");
      if (text_member(object, "class_name") == "Bidirectional") {
        read_inner(layer, "forward_layer");
        read_inner(backward != nullptr && backward->is_object() ? backward : layer, "backward_layer");
      } else {
        read_inner(layer, "layer");
        read_inner(find_member(*config, "cell"), "cell");
      }
      if (const json_value::array_t* const cells = elements_of(find_member(*config, "cells")))
        read_container(*cells, place + "/cells", depth + 1);
    }
    read_layers(config, place + "/layers", depth + 1);
    return true;
  }

  /// The class of an object: from the configuration; else from the class of the object whose attribute it is; else, in a
  /// container, from its group. Empty if it is unknown; the name of an attribute is not a class.
  [[nodiscard]] std::string_view class_of(std::string_view object) const {
    if (const auto configured = classes_.find(object); configured != classes_.end()) return configured->second;
    const std::size_t slash = object.rfind('/');
    if (slash == std::string_view::npos || slash == 0) return {};
    const std::string_view around = object.substr(0, slash), group = object.substr(slash + 1);
    return objects_.find(around) != objects_.end() ? keras_inner_class_of(class_of(around), group)
                                                   : without_number(group);
  }

  /// Reads a group and its groups: those with lists of weights, and those of objects, which have a group "vars".
  /// @param is_listed  true if an enclosing group has a list of weights
  result<void> read_group(hdf5_file& file, std::uint64_t address, std::vector<std::string>& path,
                          bool is_listed = false) {
    if (path.size() > max_depth || !groups_.insert(address).second) return {};
    const auto group = hdf5_object::read(file, address);
    if (!group) return group.error();
    if (!is_hdf5_group(*group) || group->find(hdf5_message_type::layout) != nullptr) return {};
    const auto attributes = read_attributes(file, *group);
    if (!attributes) return attributes.error();
    is_listed = is_listed || std::any_of(attributes->begin(), attributes->end(), [](const hdf5_attribute& each) {
                  return each.name.starts_with("weight_names");
                });
    // A layer of a legacy file may also have the name "vars"; but it has a list.
    const bool is_vars = !path.empty() && path.back() == "vars" && !is_listed;
    const bool is_state = !path.empty() && (path.front() == "optimizer" || path.front() == "optimizer_weights" ||
                                            path.front() == "metrics");
    for (const hdf5_attribute& each : *attributes) {
      const bool is_list = each.name.starts_with("weight_names");
      if (is_state || (!is_list && !(is_vars && each.name == "name"))) continue;
      const auto texts = read_strings(file, each);
      if (!texts) return texts.error();
      for (const std::string_view text : *texts) {
        if (!(is_list ? add_listed(path, text) : add_object(path, text)))
          return error(errc::too_large, joined(path, path.size()));
      }
    }
    if (is_vars && !is_state && !add_object(path, {})) return error(errc::too_large, joined(path, path.size()));
    const auto links = read_links(file, *group);
    if (!links) return links.error();
    for (const hdf5_link& link : *links) {
      if (link.kind != hdf5_link_kind::hard) continue;
      path.emplace_back(link.name);
      if (auto read = read_group(file, link.address, path, is_listed); !read) return read;
      path.pop_back();
    }
    return {};
  }

  static std::string joined(const std::vector<std::string>& path, std::size_t count) {
    std::string made;
    for (std::size_t i = 0; i < count; ++i) made.append("/").append(path[i]);
    return made;
  }

  /// Records the object that has this group "vars"; the first name of an object is kept. The model itself has such a
  /// group, but is not part of names.
  bool add_object(const std::vector<std::string>& path, std::string_view name) {
    if (path.size() < 2) return true;
    std::string object = joined(path, path.size() - 1);
    if (!charge(object.size() + name.size())) return false;
    std::string& known = objects_.emplace(std::move(object), std::string()).first->second;
    if (known.empty()) known = name;
    return true;
  }

  /// Records a name from a list in the group of a layer: "dense/kernel:0", in Keras 3 "sequential/dense/kernel". The name
  /// begins at the layer's name.
  bool add_listed(const std::vector<std::string>& path, std::string_view weight) {
    if (path.empty()) return true;
    std::string dataset = joined(path, path.size()) + "/" + std::string(weight);
    if (!charge(2 * dataset.size())) return false;
    if (weight.ends_with(":0")) weight.remove_suffix(2);
    const std::size_t around = path.size() > 1 && path.front() == "model_weights" ? 1 : 0;
    std::string layer;
    for (std::size_t i = around; i < path.size(); ++i) // a layer's name may contain slashes
      layer.append(path[i]).append("/");
    if (const std::size_t at = weight.find("/" + layer); at != std::string_view::npos && !weight.starts_with(layer))
      weight.remove_prefix(at + 1);
    listed_.emplace_back(std::move(dataset),
                         weight.starts_with(layer) ? std::string(weight) : layer + std::string(weight));
    return true;
  }

  /// The name of an object after the names of its enclosing objects. Containers, such as /layers, are not objects.
  [[nodiscard]] std::string full_name(const std::string& object) const {
    std::string made;
    for (std::size_t end = 1; end != std::string::npos && made.size() <= max_name_size_bytes;) {
      end = object.find('/', end + 1);
      const std::string around = object.substr(0, end);
      const auto found = objects_.find(around);
      if (found == objects_.end()) continue;
      const auto configured = configured_.find(around);
      const std::string_view name = !found->second.empty() ? std::string_view(found->second)
                                    : configured != configured_.end()
                                        ? std::string_view(configured->second)
                                        : std::string_view(around).substr(around.rfind('/') + 1);
      made.append(made.empty() ? "" : "/").append(name);
    }
    return made;
  }

  std::uint64_t budget_ = 0; // bytes of names, in proportion to the files
  std::set<std::uint64_t> groups_;
  std::map<std::string, std::string, std::less<>> objects_; // the name of each object, by its path
  std::map<std::string, std::string> configured_;           // by path
  std::map<std::string, std::string, std::less<>> classes_; // by path; empty: a class of the program
  std::vector<std::pair<std::string, std::string>> listed_; // datasets and their names
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
