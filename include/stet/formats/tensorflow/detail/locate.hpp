// SPDX-License-Identifier: MIT
// Finds the TensorFlow checkpoint at a path: a prefix, one of its files, or a folder with a state file.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_LOCATE_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_LOCATE_HPP

#include "../state_file.hpp"

#include "../../format.hpp"

#include "../../../source/file_operations.hpp"
#include "../../../source/detail/path.hpp"
#include "../../../wire/sorted_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Version 1: tables that hold the tensors. Version 2: an index and shards.
enum class checkpoint_version : std::uint8_t { v1 = 1, v2 = 2 };

/// A checkpoint that is there.
struct located_checkpoint {
  checkpoint_version version = checkpoint_version::v2;
  /// Of version 2: the prefix.
  std::string prefix;
  /// Of version 1: its files. One may be missing.
  std::vector<std::string> files;
  /// Where these are within the folder of the model: "", or a path that ends in '/'.
  std::string subfolder;
};

/// The version of the checkpoint whose table is the file at `path`; nothing if it is no table. One that is damaged from the
/// start on is told by its name.
/// @param probe  if given: what looks at one of the files already, and has its bytes
inline std::optional<checkpoint_version> version_of_table(const std::string& path, const open_options& options,
                                                          format_probe* probe) {
  open_options only_read = options;
  only_read.backing = backing::map;
  only_read.access = access::read_only;
  const result<source> bytes = resident_bytes(path, only_read, probe);
  if (!bytes) return std::nullopt;
  const std::span<const std::byte> file(bytes->data(), static_cast<std::size_t>(bytes->size_bytes()));
  if (!is_sorted_table(file)) return std::nullopt;
  sorted_table table;
  if (table.open(file) && table.next()) {
    if (!table.key().empty()) return std::nullopt;
    // The first value is a message: of version 2 its first field is a number, of version 1 a message.
    const std::span<const std::byte> value = table.value();
    if (!value.empty() && value[0] == std::byte{0x08}) return checkpoint_version::v2;
    if (!value.empty() && value[0] == std::byte{0x0A}) return checkpoint_version::v1;
  }
  return path.ends_with(".index") ? checkpoint_version::v2 : checkpoint_version::v1;
}

/// The end of a name that says which of how many files it is: "-00001-of-00004", or "-?????-of-00004" for all of them.
struct shard_name {
  std::string_view base;
  std::uint32_t count = 0;

  static std::optional<shard_name> parse(std::string_view name) noexcept {
    constexpr std::string_view pattern = "-nnnnn-of-ccccc";
    if (name.size() < pattern.size()) return std::nullopt;
    const std::string_view end = name.substr(name.size() - pattern.size());
    shard_name parsed{name.substr(0, name.size() - pattern.size()), 0};
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      const bool is_digit = end[i] >= '0' && end[i] <= '9';
      switch (pattern[i]) {
      case 'n':
        if (!is_digit && end[i] != '?') return std::nullopt;
        break;
      case 'c':
        if (!is_digit) return std::nullopt;
        parsed.count = parsed.count * 10 + static_cast<std::uint32_t>(end[i] - '0');
        break;
      default:
        if (end[i] != pattern[i]) return std::nullopt;
      }
    }
    return parsed.count == 0 ? std::nullopt : std::optional(parsed);
  }
  [[nodiscard]] std::vector<std::string> all() const {
    std::vector<std::string> names;
    for (std::uint32_t number = 0; number < count; ++number) {
      char end[48];
      std::snprintf(end, sizeof end, "-%05u-of-%05u", static_cast<unsigned>(number), static_cast<unsigned>(count));
      names.push_back(std::string(base) + end);
    }
    return names;
  }
};

/// The prefix of the checkpoint of version 2 whose shard is called `path`; nothing if that is not the name of one.
inline std::optional<std::string> prefix_of_data_file(std::string_view path) {
  constexpr std::string_view end = ".data";
  const std::optional<shard_name> shard = shard_name::parse(path);
  if (!shard || !shard->base.ends_with(end)) return std::nullopt;
  return std::string(shard->base.substr(0, shard->base.size() - end.size()));
}

/// The names of the checkpoints of version 2 in a folder, by the names of their indexes: the first of them, and the number.
struct checkpoints_in_folder {
  std::string first;
  std::size_t count = 0;
};

/// Looks for checkpoints of version 2 in a folder that has no state file. Cost: lists the folder.
inline checkpoints_in_folder list_checkpoints(std::string_view folder, const open_options& options) {
  checkpoints_in_folder found;
  const auto visit = [](void* context, std::string_view name) noexcept {
    constexpr std::string_view end = ".index";
    checkpoints_in_folder& seen = *static_cast<checkpoints_in_folder*>(context);
    if (name.size() <= end.size() || !name.ends_with(end)) return true;
    name.remove_suffix(end.size());
    if (seen.count++ == 0 || name < seen.first) seen.first = name;
    return true;
  };
  const auto listed = options.files != nullptr ? options.files->list_folder(folder, visit, &found)
                                               : system_file_operations().list_folder(nullptr, folder, visit, &found);
  return listed ? found : checkpoints_in_folder{};
}

/// The checkpoint that `path` names without any state file; nothing if there is none.
inline std::optional<located_checkpoint> find_checkpoint(const std::string& path, const open_options& options,
                                                         format_probe* probe) {
  if (is_file(path + ".index", options)) return located_checkpoint{checkpoint_version::v2, path, {}, {}};
  if (const auto prefix = prefix_of_data_file(path); prefix && is_file(*prefix + ".index", options)) {
    return located_checkpoint{checkpoint_version::v2, *prefix, {}, {}};
  }
  const std::optional<shard_name> shard = shard_name::parse(path);
  if (const auto version = version_of_table(path, options, probe)) {
    if (*version == checkpoint_version::v1) {
      return located_checkpoint{*version, {}, shard ? shard->all() : std::vector<std::string>{path}, {}};
    }
    if (!path.ends_with(".index")) return std::nullopt; // its shards could not be found
    return located_checkpoint{*version, path.substr(0, path.size() - std::string_view(".index").size()), {}, {}};
  }
  if (shard && version_of_table(shard->all().front(), options, probe) == checkpoint_version::v1) {
    return located_checkpoint{checkpoint_version::v1, {}, shard->all(), {}};
  }
  // The prefix of files of version 1: one of them says how many there are. Of several saves, that of the most files.
  struct search {
    std::string wanted, found;
  };
  const std::size_t folder = folder_size(path);
  search seen{path.substr(folder) + "-00000-of-", {}};
  if (folder == path.size()) return std::nullopt;
  const auto visit = [](void* context, std::string_view name) noexcept {
    search& state = *static_cast<search*>(context);
    if (name.starts_with(state.wanted) && shard_name::parse(name) && name > state.found) state.found = name;
    return true;
  };
  const std::string_view in = std::string_view(path).substr(0, folder);
  const auto listed = options.files != nullptr ? options.files->list_folder(in, visit, &seen)
                                               : system_file_operations().list_folder(nullptr, in, visit, &seen);
  const std::string first = path.substr(0, folder) + seen.found;
  if (!listed || seen.found.empty() || version_of_table(first, options, probe) != checkpoint_version::v1)
    return std::nullopt;
  return located_checkpoint{checkpoint_version::v1, {}, shard_name::parse(first)->all(), {}};
}

/// What the state file of a folder says; nothing if it has none that could be one of TensorFlow's.
inline std::optional<std::string> read_tensorflow_state(std::string_view folder, const open_options& options = {}) {
  std::string path(folder);
  open_options on_demand = options;
  on_demand.backing = backing::stream;
  on_demand.range = {};
  const result<source> opened = open_source(path.append(separator_after(path)).append("checkpoint"), on_demand);
  if (!opened || opened->size_bytes() > max_tensorflow_state_size_bytes) return std::nullopt;
  std::string text(static_cast<std::size_t>(opened->size_bytes()), '\0');
  if (!opened->read_at(0, std::as_writable_bytes(std::span(text)))) return std::nullopt;
  if (text.find("model_checkpoint_path") == std::string::npos) return std::nullopt;
  return text;
}

/// The name that a state file gives: of an absolute path, or one that leads out of the folder, its file name.
inline std::string_view name_within_folder(std::string_view name, path_rules rules) {
  const bool is_absolute = name.starts_with('/') || drive_size(name, path_rules::windows) != 0;
  const bool has_backslash = rules == path_rules::windows && name.find('\\') != std::string_view::npos;
  const bool leads_up = std::string("/").append(name).append("/").find("/../") != std::string::npos;
  return is_absolute || has_backslash || leads_up ? file_name_in(name, rules) : name;
}

/// Finds the checkpoint that `path_utf8` means: a prefix, one of its files, or a folder. A folder without a state file means the
/// one checkpoint in it. What a state file says is not trusted to lead out of its folder: of an absolute path, or one through
/// "..", the name in the folder counts. So does that of a relative path which leads to nothing: the folder was renamed.
/// @retval errc::bad_state_file    the state file of the folder is not valid
/// @retval errc::invalid_argument  the folder has several checkpoints and no state file; the subject names one, to be given with
///                                 the folder
/// @retval errc::file_not_found    there is no checkpoint of this name (the subject)
inline result<located_checkpoint> locate_tensorflow_checkpoint(std::string_view path_utf8,
                                                               const open_options& options = {},
                                                               format_probe* probe = nullptr) {
  std::string path(path_utf8);
  if (auto found = find_checkpoint(path, options, probe)) return std::move(*found);
  if (const auto prefix = prefix_of_data_file(path)) return error(errc::file_not_found, *prefix + ".index");
  const std::optional<std::string> text = read_tensorflow_state(path, options);
  if (!text) {
    if (!is_folder(path, options)) return error(errc::file_not_found, path);
    const checkpoints_in_folder in_folder = list_checkpoints(path, options);
    if (in_folder.count == 0) return error(errc::file_not_found, path);
    if (in_folder.count > 1) {
      return error(errc::invalid_argument, std::to_string(in_folder.count) +
                                               " checkpoints and no state file; add a name, such as /" +
                                               in_folder.first);
    }
    path += separator_after(path);
    return located_checkpoint{checkpoint_version::v2, path + in_folder.first, {}, {}};
  }
  const result<tensorflow_state> state = parse_tensorflow_state(*text);
  if (!state) return state.error();
  path += separator_after(path);
  // The state file may come from Windows: a name that is not found is read by that system's rules, too.
  std::string_view name, tried;
  for (const path_rules rules : {system_path_rules, path_rules::windows}) {
    name = name_within_folder(state->model_checkpoint_path, rules);
    for (const std::string_view candidate : {name, file_name_in(name, rules)}) {
      if (candidate.empty() || candidate == tried) continue;
      tried = candidate;
      auto found = find_checkpoint(path + std::string(candidate), options, probe);
      if (!found) continue;
      found->subfolder = folder_in(candidate, rules);
      return std::move(*found);
    }
  }
  return error(errc::file_not_found, path.append(name));
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
