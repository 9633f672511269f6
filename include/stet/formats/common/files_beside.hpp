// SPDX-License-Identifier: MIT
// Opens files that a model names by paths relative to its folder, and no others.
#ifndef STET_FORMATS_COMMON_FILES_BESIDE_HPP
#define STET_FORMATS_COMMON_FILES_BESIDE_HPP

#include "../../index/detail/name_hash.hpp"
#include "../../source/file.hpp"
#include "../../store/open.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// True if a model may name a file by this path: names of folders and a file, relative to the folder of the model, none of
/// which leads elsewhere.
inline bool is_path_beside(std::string_view path) noexcept {
  for (;;) {
    const std::size_t slash = path.find('/');
    if (!is_part_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

/// Opens the file at `path`, for which `is_path_beside` holds, in the folder of a model. Folders on the way must be folders, not
/// links to some.
/// @retval errc::missing_part  there is no such file; the subject is `path`, as of
/// @retval errc::bad_path      it is the model's own file, or a link, or a folder on the way is one
/// or another error of opening it
inline result<source> open_file_beside(const parts_in_folder& beside, const std::string& path,
                                       const open_options& options) {
  const bool are_links_ours = options.files == nullptr && !options.follow_links;
  for (std::size_t slash = path.find('/'); slash != std::string::npos && are_links_ours;
       slash = path.find('/', slash + 1)) {
    const result<file> way =
        file::open(std::string(beside.folder()) + path.substr(0, slash), open_for::read, links::no_follow);
    if (way || way.error().code() != errc::not_a_regular_file)
      return error(!way && way.error().code() == errc::file_not_found ? errc::missing_part : errc::bad_path, path);
  }
  result<source> opened = beside.open_part(path);
  if (opened) return opened;
  return opened.error().code() == errc::file_not_found ? error(errc::missing_part, path) : opened.error().about(path);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
