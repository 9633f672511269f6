// SPDX-License-Identifier: MIT
// The names that Keras knows variables by, beside the paths of their datasets.
#ifndef STET_FORMATS_KERAS_NAMES_HPP
#define STET_FORMATS_KERAS_NAMES_HPP

#include "../hdf5/import.hpp"
#include "../json_members.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Keras 3 and 2.15   /layers/dense_1/vars/0 is variable 0 of a layer. The group is called by the layer's
//                    class, numbered among those of its kind; the group vars has the layer's own name as its
//                    attribute `name`. Objects within a layer have such groups, too:
//                    /layers/lstm/cell/vars/0. Keras 2.15 wrote no such attributes; what the layers are
//                    called, config.json tells, which lists them in the same order. Which variable the
//                    number is, follows from the class and how many there are. Shards share groups; the
//                    first one has the name.
// Keras 1, 2, legacy files of 3   attribute layer_names of the root or of /model_weights; for each such group
//                    the attribute weight_names, which are the paths of datasets within it:
//                    /model_weights/dense/dense/kernel:0. Lists too long for one attribute go on in
//                    weight_names0, weight_names1 …
//
// The second name of either is LAYER/VARIABLE, dense_1/kernel, LAYER with the names of all objects around it
// but the model itself: encoder/dense/kernel, lstm/lstm_cell/kernel. What has no name keeps its number:
// dense_1/0.
//
// Source: keras-team/keras 3.15, src/saving/saving_lib.py and src/legacy/saving/legacy_h5_format.py.

namespace stet::inline v0_1::detail {

/// The variables of layers of some classes, of which as many as a layer has, and their ranks and dtypes, say
/// without doubt what they are. Both lists are separated by spaces.
struct keras_class_variables {
  std::string_view classes, names;
  bool is_quantized = false;
};
inline constexpr std::string_view keras_kernel_classes =
    "dense einsum_dense query_dense key_dense value_dense output_dense conv1d conv2d conv3d conv1d_transpose "
    "conv2d_transpose conv3d_transpose depthwise_conv1d depthwise_conv2d";
inline constexpr std::string_view keras_separable_classes = "separable_conv1d separable_conv2d";
inline constexpr std::string_view keras_cell_classes = "cell lstm_cell gru_cell simple_rnn_cell";
inline constexpr keras_class_variables keras_variable_table[] = {
    {keras_kernel_classes, "kernel"},
    {keras_kernel_classes, "kernel bias"},
    {keras_kernel_classes, "kernel inputs_scale inputs_amax_history kernel_scale kernel_amax_history "
                           "outputs_grad_scale outputs_grad_amax_history"},
    {keras_kernel_classes, "kernel bias inputs_scale inputs_amax_history kernel_scale kernel_amax_history "
                           "outputs_grad_scale outputs_grad_amax_history"},
    {keras_kernel_classes, "kernel kernel_scale", true},
    {keras_kernel_classes, "kernel bias kernel_scale", true},
    {keras_kernel_classes, "kernel kernel_scale kernel_zero g_idx", true},
    {keras_kernel_classes, "kernel bias kernel_scale kernel_zero g_idx", true},
    {keras_separable_classes, "depthwise_kernel pointwise_kernel"},
    {keras_separable_classes, "depthwise_kernel pointwise_kernel bias"},
    {keras_cell_classes, "kernel recurrent_kernel"},
    {keras_cell_classes, "kernel recurrent_kernel bias"},
    {"batch_normalization", "moving_mean moving_variance"},
    {"batch_normalization", "gamma beta moving_mean moving_variance"},
    {"layer_normalization group_normalization", "gamma beta"},
    {"embedding", "embeddings"},
    {"embedding", "embeddings embeddings_scale", true},
    {"embedding", "embeddings embeddings_scale embeddings_zero g_idx", true},
};

/// Takes the first word off a list.
inline std::string_view take_word(std::string_view& list) noexcept {
  const std::size_t end = list.find(' ');
  const std::string_view word = list.substr(0, end);
  list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
  return word;
}

/// The names of the variables of a layer of this class, as words; empty if they leave a doubt.
/// @param variables  of the layer, by number
inline std::string_view keras_variable_names(std::string_view class_group,
                                             const std::vector<const hdf5_tensor*>& variables) noexcept {
  const auto fits = [&](const keras_class_variables& row) {
    bool is_class = false;
    for (std::string_view classes = row.classes; !classes.empty() && !is_class;)
      is_class = take_word(classes) == class_group;
    if (!is_class || (variables[0]->row.layout.dtype == dtype::int8) != row.is_quantized)
      return false;
    std::string_view names = row.names;
    for (const hdf5_tensor* const each : variables) {
      const std::string_view name = take_word(names);
      const bool is_matrix = name.ends_with("kernel") || name == "embeddings";
      if (name.empty() || (is_matrix && each->shape.size() < 2))
        return false;
    }
    return names.empty();
  };
  for (const keras_class_variables& row : keras_variable_table) {
    if (fits(row))
      return row.names;
  }
  return {};
}

/// "dense" of "dense_12": Keras numbers the objects of one class. What is private begins with '_'.
inline std::string_view without_number(std::string_view group) noexcept {
  group.remove_prefix((std::min)(group.find_first_not_of('_'), group.size()));
  const std::size_t last = group.find_last_not_of("0123456789");
  return last != std::string_view::npos && last + 1 != group.size() && group[last] == '_'
             ? group.substr(0, last)
             : group;
}

/// What the group of an object of this class is called: "max_pooling2d" of "MaxPooling2D".
inline std::string keras_group_of_class(std::string_view class_name) {
  const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  std::string letters, made;
  for (const char each : class_name) {
    if (is_upper(each) || is_lower(each) || (each >= '0' && each <= '9') || each == '_')
      letters += each;
  }
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (i != 0 && is_upper(letters[i]) &&
        (is_lower(letters[i - 1]) || (i + 1 < letters.size() && is_lower(letters[i + 1])))) {
      made += '_';
    }
    made += is_upper(letters[i]) ? static_cast<char>(letters[i] - 'A' + 'a') : letters[i];
  }
  return made;
}

/// Collects what the files of one model call their variables, and then adds these names.
class keras_names {
 public:
  /// The names of layers in a configuration, by the paths of their groups; those in the files come before.
  void read_config(const json_value& config) { read_layers(config, "/layers", 0); }
  /// Whether the files that were read have variables of layers without names.
  [[nodiscard]] bool lack_layers() const noexcept {
    return std::any_of(objects_.begin(), objects_.end(),
                       [](const auto& each) { return each.second.empty(); });
  }

  /// Looks at the groups of a file.
  /// Errors: those of groups and attributes that cannot be read.
  result<void> read(hdf5_file& file) {
    budget_ += file.size_bytes() * 16 + 65536;
    groups_.clear();
    std::vector<std::string> path;
    return read_group(file, file.root(), path);
  }

  /// Adds second names of the tensors of all files.
  /// @retval errc::too_large  the names, the subject one of them, take far more memory than the files
  result<void> add(store_builder& into, const std::vector<hdf5_tensor>& tensors) {
    if (objects_.empty() && listed_.empty())
      return {};
    std::vector<const hdf5_tensor*> by_path;
    by_path.reserve(tensors.size());
    for (const hdf5_tensor& each : tensors)
      by_path.push_back(&each);
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
      if (!is_valid_name(name) || find(name) != nullptr)
        return true;
      if (!charge(name.size()))
        return false;
      const auto [place, is_new] = taken.insert(std::move(name));
      if (is_new)
        into.add(tensor.named(*place));
      return true;
    };
    for (auto& [dataset, name] : listed_) {
      const hdf5_tensor* const found = find(dataset);
      if (found != nullptr && !add_one(*found, std::move(name)))
        return error(errc::too_large, dataset);
    }
    for (const auto& [object, own_name] : objects_) {
      const std::string prefix = object + "/vars/";
      std::vector<const hdf5_tensor*> variables, numbered;
      for (auto at = from(prefix); at != by_path.end() && (*at)->path.starts_with(prefix); ++at)
        variables.push_back(*at);
      while (numbered.size() < variables.size()) {
        const hdf5_tensor* const next = find(prefix + std::to_string(numbered.size()));
        if (next == nullptr)
          break;
        numbered.push_back(next);
      }
      std::string_view names;
      if (!variables.empty() && numbered.size() == variables.size()) {
        variables = std::move(numbered);
        const std::string_view group = std::string_view(object).substr(object.rfind('/') + 1);
        names = keras_variable_names(without_number(group), variables);
        if (names.empty()) // where an object is called by its role, its name may be that of its class
          names = keras_variable_names(without_number(own_name), variables);
      }
      const std::string layer = variables.empty() ? std::string() : full_name(object);
      for (const hdf5_tensor* const each : variables) {
        const std::string_view number = std::string_view(each->path).substr(prefix.size());
        const std::string_view role = names.empty() ? number : take_word(names);
        if (!add_one(*each, std::string(layer).append("/").append(role)))
          return error(errc::too_large, each->path);
      }
    }
    return {};
  }

 private:
  static constexpr std::size_t max_depth = 64;

  bool charge(std::uint64_t size_bytes) noexcept {
    constexpr std::uint64_t trouble = 16;
    if (size_bytes > budget_ || budget_ - size_bytes < trouble)
      return false;
    budget_ -= size_bytes + trouble;
    return true;
  }

  void read_layers(const json_value& model, const std::string& path, std::size_t depth) {
    const json_value* const config = find_member(model, "config");
    const json_value::array_t* const layers =
        config == nullptr || depth > max_depth ? nullptr : elements_of(find_member(*config, "layers"));
    if (layers == nullptr)
      return;
    std::map<std::string, std::size_t> counts;
    for (const json_value& layer : *layers) {
      std::string group = keras_group_of_class(text_member(layer, "class_name"));
      if (const std::size_t number = counts[group]++; number != 0)
        group += "_" + std::to_string(number);
      const std::string place = path + "/" + group;
      const json_value* const inner = find_member(layer, "config");
      if (inner == nullptr)
        continue;
      if (const std::string_view name = text_member(*inner, "name"); !name.empty())
        configured_.emplace(place, name);
      read_layers(layer, place + "/layers", depth + 1);
    }
  }

  /// Goes through the groups: those with lists of weights, and those of objects, which have a group "vars".
  result<void> read_group(hdf5_file& file, std::uint64_t address, std::vector<std::string>& path) {
    if (path.size() > max_depth || !groups_.insert(address).second)
      return {};
    const auto group = hdf5_object::read(file, address);
    if (!group)
      return group.error();
    if (!is_hdf5_group(*group) || group->find(hdf5_is::layout) != nullptr)
      return {};
    const auto attributes = read_attributes(file, *group);
    if (!attributes)
      return attributes.error();
    const bool is_vars = !path.empty() && path.back() == "vars";
    const bool is_state = !path.empty() && (path.front() == "optimizer" ||
                                            path.front() == "optimizer_weights" || path.front() == "metrics");
    for (const hdf5_attribute& each : *attributes) {
      const bool is_list = each.name.starts_with("weight_names");
      if (is_state || (!is_list && !(is_vars && each.name == "name")))
        continue;
      const auto texts = read_strings(file, each);
      if (!texts)
        return texts.error();
      for (const std::string_view text : *texts) {
        if (!(is_list ? add_listed(path, text) : add_object(path, text)))
          return error(errc::too_large, joined(path, path.size()));
      }
    }
    if (is_vars) { // in it are datasets alone
      return is_state || add_object(path, {}) ? result<void>()
                                              : error(errc::too_large, joined(path, path.size()));
    }
    const auto links = read_links(file, *group);
    if (!links)
      return links.error();
    for (const hdf5_link& link : *links) {
      if (link.kind != hdf5_link_kind::hard)
        continue;
      path.emplace_back(link.name);
      if (auto read = read_group(file, link.address, path); !read)
        return read;
      path.pop_back();
    }
    return {};
  }

  static std::string joined(const std::vector<std::string>& path, std::size_t count) {
    std::string made;
    for (std::size_t i = 0; i < count; ++i)
      made.append("/").append(path[i]);
    return made;
  }

  /// Remembers the object that has this group "vars", and its name if it is the first. The model itself has
  /// one, but no place in names.
  bool add_object(const std::vector<std::string>& path, std::string_view name) {
    if (path.size() < 2)
      return true;
    std::string object = joined(path, path.size() - 1);
    if (!charge(object.size() + name.size()))
      return false;
    std::string& known = objects_.emplace(std::move(object), std::string()).first->second;
    if (known.empty())
      known = name;
    return true;
  }

  /// "dense/kernel:0", in Keras 3 "sequential/dense/kernel", of the group of a layer: from the layer's name
  /// on.
  bool add_listed(const std::vector<std::string>& path, std::string_view weight) {
    if (path.empty())
      return true;
    std::string dataset = joined(path, path.size()) + "/" + std::string(weight);
    if (!charge(2 * dataset.size()))
      return false;
    if (weight.ends_with(":0"))
      weight.remove_suffix(2);
    const std::string layer = path.back() + "/";
    if (const std::size_t at = weight.find("/" + layer);
        at != std::string_view::npos && !weight.starts_with(layer))
      weight.remove_prefix(at + 1);
    listed_.emplace_back(std::move(dataset),
                         weight.starts_with(layer) ? std::string(weight) : layer + std::string(weight));
    return true;
  }

  /// The name of an object with those of the objects around it. Containers, such as /layers, are none.
  [[nodiscard]] std::string full_name(const std::string& object) const {
    std::string made;
    for (std::size_t end = 1; end != std::string::npos && made.size() <= max_name_size_bytes;) {
      end = object.find('/', end + 1);
      const std::string around = object.substr(0, end);
      const auto found = objects_.find(around);
      if (found == objects_.end())
        continue;
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
  std::map<std::string, std::string> objects_;              // the name of each object, by its path
  std::map<std::string, std::string> configured_;           // by path, too
  std::vector<std::pair<std::string, std::string>> listed_; // datasets and their names
};

} // namespace stet::inline v0_1::detail

#endif
