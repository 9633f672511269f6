// SPDX-License-Identifier: MIT
// Splits a path into its folder and its file name, and joins the two; all of stet does it here.
#ifndef STET_SOURCE_DETAIL_PATH_HPP
#define STET_SOURCE_DETAIL_PATH_HPP

#include "../../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The rules of a system for paths. On Windows '\\' is a separator like '/', and a drive ("C:") is a folder; elsewhere both are
/// ordinary characters of a name.
enum class path_rules : std::uint8_t { posix, windows };

#if defined(_WIN32)
inline constexpr path_rules system_path_rules = path_rules::windows;
#else
inline constexpr path_rules system_path_rules = path_rules::posix;
#endif

constexpr bool is_separator(char c, path_rules rules = system_path_rules) noexcept {
  return c == '/' || (c == '\\' && rules == path_rules::windows);
}

/// The size in bytes of a drive at the beginning of `path`: 0 or 2.
constexpr std::size_t drive_size(std::string_view path, path_rules rules = system_path_rules) noexcept {
  return rules == path_rules::windows && path.size() >= 2 && path[1] == ':' ? 2 : 0;
}

/// The size in bytes of the folder at the beginning of `path`, separators included; 0 if the path is only a name.
constexpr std::size_t folder_size(std::string_view path, path_rules rules = system_path_rules) noexcept {
  const std::size_t least = drive_size(path, rules);
  std::size_t size = path.size();
  while (size > least && !is_separator(path[size - 1], rules)) --size;
  return size;
}

/// The folder of `path` with its separator; empty: the current folder. `folder_in(p)` and `file_name_in(p)` together are `p`.
constexpr std::string_view folder_in(std::string_view path, path_rules rules = system_path_rules) noexcept {
  return {path.data(), folder_size(path, rules)};
}

/// The file name of `path`; empty if the path ends in a separator.
constexpr std::string_view file_name_in(std::string_view path, path_rules rules = system_path_rules) noexcept {
  const std::size_t size = folder_size(path, rules);
  return {path.data() + size, path.size() - size}; // substr could throw, which firmware has no room for
}

/// The text between a folder and the name of a file in it: "/", or "" where `folder` is empty or ends in a separator.
constexpr std::string_view separator_after(std::string_view folder, path_rules rules = system_path_rules) noexcept {
  const bool is_complete =
      folder.empty() || is_separator(folder.back(), rules) || drive_size(folder, rules) == folder.size();
  return is_complete ? std::string_view() : std::string_view("/");
}

/// A path without the separators at its end, as the system expects the name of a folder. "/" and "C:/" keep theirs.
constexpr std::string_view without_last_separators(std::string_view path,
                                                   path_rules rules = system_path_rules) noexcept {
  const std::size_t least = drive_size(path, rules) + 1;
  while (path.size() > least && is_separator(path.back(), rules)) path.remove_suffix(1);
  return path;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
