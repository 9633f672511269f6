// SPDX-License-Identifier: MIT
// A folder of stet's own checkpoints as a format: opens the newest complete one.
#ifndef STET_FORMATS_NATIVE_CHECKPOINT_FOLDER_HPP
#define STET_FORMATS_NATIVE_CHECKPOINT_FOLDER_HPP

#include "format.hpp"

#include "../../checkpoint/folder.hpp"
#include "../../source/detail/path.hpp"
#include "../../writer/detail/list_folder.hpp"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The prefix in "PREFIX-STEP.stet"; empty if the name is not that of a checkpoint.
inline std::string_view checkpoint_prefix_of(std::string_view name) noexcept {
  constexpr std::string_view extension = ".stet";
  if (!name.ends_with(extension)) return {};
  name.remove_suffix(extension.size());
  const std::size_t last = name.find_last_not_of("0123456789");
  if (last == std::string_view::npos || last == 0 || name[last] != '-' || last + 1 == name.size()) return {};
  const bool has_leading_zero = name[last + 1] == '0' && last + 2 < name.size();
  return has_leading_zero ? std::string_view() : name.substr(0, last);
}

} // namespace detail

/// The prefix of the checkpoints in a folder: that of the checkpoint which the state file calls the latest, if it is there; else
/// "ckpt", or the only one. Empty if there is no checkpoint, or if several prefixes are possible. Cost: lists the folder.
[[nodiscard]] inline std::string find_checkpoint_prefix(std::string_view folder_utf8) {
  std::string folder(folder_utf8);
  folder += detail::separator_after(folder);
  const auto names = detail::list_folder(system_file_operations(), folder, [](std::string_view name) {
    return !detail::checkpoint_prefix_of(name).empty();
  });
  if (!names || names->empty()) return {};
  std::set<std::string, std::less<>> prefixes;
  for (const std::string& name : *names) prefixes.emplace(detail::checkpoint_prefix_of(name));
  const std::string latest = detail::read_state_file(folder, true).latest;
  for (const std::string_view wanted : {detail::checkpoint_prefix_of(latest), std::string_view("ckpt")}) {
    if (prefixes.contains(wanted)) return std::string(wanted);
  }
  return prefixes.size() == 1 ? *prefixes.begin() : std::string();
}

namespace detail {

inline bool is_checkpoint_folder(format_probe& probe) {
  return probe.is_folder() && probe.options().files == nullptr && !find_checkpoint_prefix(probe.path()).empty();
}

inline result<model> open_checkpoint_folder(format_probe& probe) {
  const open_options& options = probe.options();
  const checkpoint_folder folder(probe.path(), find_checkpoint_prefix(probe.path()));
  std::vector<error> skipped;
  result<opened_checkpoint> newest = folder.open_latest(options, &skipped);
  if (!newest) return newest.error();
  result<model> made = model_of_checkpoint(std::move(newest->opened), options);
  if (!made) return made;
  for (const error& each : skipped) made->omitted.push_back({std::string(each.subject()), each});
  return made;
}

} // namespace detail

/// A folder of checkpoints (checkpoint/folder.hpp): the newest that is complete, with its base if it is a delta. Newer ones that
/// could not be opened are in `model::omitted`. Not recognised in a program's own file system, which cannot list folders.
/// Opening fails as `checkpoint_folder::open_latest` does.
inline constexpr format checkpoint_folder_format{
    "stet-checkpoints", "a folder of stet's checkpoints: the newest complete one", detail::is_checkpoint_folder,
    detail::open_checkpoint_folder, detail::describe_native};

/// Whether a model consists of native files, which have a manifest.
[[nodiscard]] inline bool is_native_model(const model& of) noexcept {
  return of.format == &native_format || of.format == &checkpoint_folder_format;
}

} // namespace stet::inline STET_NAMESPACE

#endif
