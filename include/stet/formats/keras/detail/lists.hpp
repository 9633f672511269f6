// SPDX-License-Identifier: MIT
// The lists of layers and weights in a legacy Keras file, in the order of loading.
#ifndef STET_FORMATS_KERAS_DETAIL_LISTS_HPP
#define STET_FORMATS_KERAS_DETAIL_LISTS_HPP

#include "../../hdf5/open.hpp"
#include "../../common/json_members.hpp"

#include "../../../manifest/check.hpp"
#include "../../../manifest/graph_json.hpp"
#include "../../common/json_members.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads an attribute that is a list of texts: NAME, or in pieces NAME0, NAME1 …
/// Errors: those of reading strings.
inline result<std::vector<std::string>> read_keras_list(hdf5_file& file, const std::vector<hdf5_attribute>& attributes,
                                                        std::string_view name) {
  std::map<std::pair<std::size_t, std::string_view>, const hdf5_attribute*> pieces;
  for (const hdf5_attribute& each : attributes) {
    if (each.name.starts_with(name)) pieces.emplace(std::pair{each.name.size(), std::string_view(each.name)}, &each);
  }
  std::vector<std::string> made;
  for (const auto& [place, piece] : pieces) {
    const auto texts = read_strings(file, *piece);
    if (!texts) return texts.error();
    made.insert(made.end(), texts->begin(), texts->end());
  }
  return made;
}

/// Reads {"LAYER": ["WEIGHT", …], …} from a legacy file, in the order of the file.
class keras_list_reader {
public:
  explicit keras_list_reader(hdf5_file& file) : file_(file) {}

  /// @return  the lists; null if the file has none, or if they have a layer twice or a layer that does not exist
  /// Errors: those of reading groups and attributes.
  result<json_value> run() {
    result<hdf5_object> base = find_object(file_, {"model_weights"});
    if (!base && base.error().code() == errc::not_found) base = hdf5_object::read(file_, file_.root());
    if (!base) return base.error();
    const auto attributes = read_attributes(file_, *base);
    if (!attributes) return attributes.error();
    const auto layers = read_keras_list(file_, *attributes, "layer_names");
    if (!layers) return layers.error();
    if (layers->empty()) return json_value();
    if (auto read = read_groups(*base, {}, 0); !read) return read.error();
    json_value made = json_value::object();
    for (const std::string& layer : *layers) {
      const auto found = lists_.find(layer);
      if (found == lists_.end() || !is_utf8_without_nul(layer)) return json_value();
      append_member(made, layer, json_value(std::move(found->second)));
      lists_.erase(found);
    }
    // Weights of the model itself have a list of their own.
    if (const auto found = lists_.find("top_level_model_weights"); found != lists_.end())
      append_member(made, found->first, json_value(found->second));
    return made;
  }

private:
  static constexpr std::size_t max_depth = 64;

  result<void> read_groups(const hdf5_object& around, const std::string& path, std::size_t depth) {
    if (depth > max_depth) return {};
    const auto links = read_links(file_, around);
    if (!links) return links.error();
    for (const hdf5_link& link : *links) {
      const bool is_other = depth == 0 && link.name == "optimizer_weights";
      if (link.kind != hdf5_link_kind::hard || is_other || !seen_.insert(link.address).second) continue;
      const auto object = hdf5_object::read(file_, link.address);
      if (!object) return object.error();
      if (!is_hdf5_group(*object) || object->find(hdf5_message_type::layout) != nullptr) continue;
      // Paths repeat the names of groups; their total size is limited by the size of the file.
      const std::string name = path.empty() ? std::string(link.name) : path + "/" + std::string(link.name);
      if ((path_bytes_ += name.size()) > 16 * file_.size_bytes() + 65536) return error(errc::too_large, name);
      const auto attributes = read_attributes(file_, *object);
      if (!attributes) return attributes.error();
      bool has_list = false;
      for (const hdf5_attribute& each : *attributes) has_list = has_list || each.name.starts_with("weight_names");
      if (has_list) {
        const auto weights = read_keras_list(file_, *attributes, "weight_names");
        if (!weights) return weights.error();
        json_value::array_t list;
        for (const std::string& each : *weights) {
          if (is_utf8_without_nul(each)) list.emplace_back(each);
        }
        if (list.size() == weights->size()) lists_.emplace(name, std::move(list));
      }
      if (auto read = read_groups(*object, name, depth + 1); !read) return read;
    }
    return {};
  }

  hdf5_file& file_;
  std::uint64_t path_bytes_ = 0;
  std::set<std::uint64_t> seen_;
  std::map<std::string, json_value::array_t> lists_; // by layer
};

/// The key of these lists in the member "keras" of a description's metadata.
inline constexpr std::string_view keras_lists_field = "weight_names";

/// The position of each weight in such lists, by the path of its dataset.
/// @param group  the beginning of the paths: "/model_weights/" or "/"
inline std::map<std::string, std::size_t, std::less<>> keras_list_places(const json_value& lists,
                                                                         std::string_view group) {
  std::map<std::string, std::size_t, std::less<>> made;
  for (const auto& [layer, weights] : lists.items()) {
    for (const json_value& each : weights)
      made.emplace(std::string(group).append(layer).append("/").append(string_or_empty(&each)), made.size());
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
