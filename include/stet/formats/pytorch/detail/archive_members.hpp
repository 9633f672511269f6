// SPDX-License-Identifier: MIT
// The members of an archive of PyTorch that have a meaning: the pickle of torch.save, and the weights of torch.export.
#ifndef STET_FORMATS_PYTORCH_DETAIL_ARCHIVE_MEMBERS_HPP
#define STET_FORMATS_PYTORCH_DETAIL_ARCHIVE_MEMBERS_HPP

#include "../../../wire/zip.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view pytorch_pickle_member = "data.pkl", pytorch_weights_folder = "data/weights/",
                                  pytorch_program_member = "serialized_exported_program.json";

/// The first folder of the archive with its '/'; empty: the first member is in none.
inline std::string_view root_of(const std::vector<zip_member>& members) noexcept {
  if (members.empty()) return {};
  const std::string_view first = members.front().name;
  return first.substr(0, first.find('/') + 1);
}

/// The member ROOT/`name`, where ROOT is the first folder of the archive; nullptr: there is none.
inline const zip_member* find_in_root(const std::vector<zip_member>& members, std::string_view name) noexcept {
  const std::string_view root = root_of(members);
  if (root.empty()) return nullptr;
  for (const zip_member& each : members) {
    if (each.name.size() == root.size() + name.size() && each.name.starts_with(root) && each.name.ends_with(name))
      return &each;
  }
  return nullptr;
}

/// The weights of a model that torch.export saved.
struct pytorch_exported {
  /// "model", unless the program chose another name.
  std::string_view model;
  const zip_member* member;
  /// The member is a file of torch.save, a state dict; else JSON that lists the members with the weights.
  bool is_pickled;
};

/// The weights of each model that torch.export saved, in the order of the directory; empty: the archive is of another kind.
/// Cost: two passes over the names.
inline std::vector<pytorch_exported> find_exported(const std::vector<zip_member>& members) {
  constexpr std::string_view of_models = "models/", json = ".json", pickle = ".pt", config = "_weights_config.json";
  std::vector<pytorch_exported> made;
  bool is_flat = false;
  std::vector<std::string_view> models;
  const std::string_view root = root_of(members);
  for (const zip_member& each : members) {
    is_flat = is_flat || each.name == pytorch_program_member;
    if (root.empty() || !each.name.starts_with(root)) continue;
    std::string_view name = each.name.substr(root.size());
    if (!name.starts_with(of_models) || !name.ends_with(json)) continue;
    name.remove_suffix(json.size());
    models.push_back(name.substr(of_models.size()));
  }
  std::sort(models.begin(), models.end());
  for (const zip_member& each : members) {
    const bool is_state = each.name == "serialized_state_dict.pt" || each.name == "serialized_state_dict.json";
    if (is_flat && is_state) made.push_back({"model", &each, true});
    if (root.empty() || !each.name.starts_with(root)) continue;
    std::string_view name = each.name.substr(root.size());
    if (!name.starts_with(pytorch_weights_folder)) continue;
    name.remove_prefix(pytorch_weights_folder.size());
    const bool is_config = name.ends_with(config);
    if (!is_config && !name.ends_with(pickle)) continue;
    name.remove_suffix(is_config ? config.size() : pickle.size());
    // Other archives have such a folder, too, but no graphs beside it.
    if (is_config || std::binary_search(models.begin(), models.end(), name)) made.push_back({name, &each, !is_config});
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
