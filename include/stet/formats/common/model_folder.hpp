// SPDX-License-Identifier: MIT
// The files of a model, which may be links of huggingface_hub's cache: its snapshots are folders of links to files that are called by
// the hash of their content.
#ifndef STET_FORMATS_COMMON_MODEL_FOLDER_HPP
#define STET_FORMATS_COMMON_MODEL_FOLDER_HPP

#include "../../store/open.hpp"

#include <cstddef>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// True if a symbolic link leads to "../../blobs/HASH": 40 or 64 lower-case hexadecimal digits and nothing else. Such a link reaches
/// only files that are called by a hash, so that no name that matters can be given by who made the link.
/// Source: github.com/huggingface/huggingface_hub, docs/source/en/guides/manage-cache.md.
constexpr bool is_blob_link(std::string_view target) noexcept {
  constexpr std::string_view folder = "../../blobs/";
  constexpr std::size_t sha1_digits = 40, sha256_digits = 64;
  if (!target.starts_with(folder)) return false;
  target.remove_prefix(folder.size());
  return (target.size() == sha1_digits || target.size() == sha256_digits) &&
         target.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Opens the files of a model of another format, in its folder, and the blobs that links there lead to. A blob is a file: a link or a
/// hard link in its place is refused as any other link is.
class model_folder final : public parts_in_folder {
public:
  using parts_in_folder::parts_in_folder;

#if STET_FILES
private:
  [[nodiscard]] result<source> open_refused(std::string_view path_utf8, const error& refused) const noexcept override {
    os::native_path path;
    char target[128];
    if (options().files != nullptr || !path.assign(path_utf8)) return refused;
    const result<std::size_t> size = os::read_link(path, target);
    if (!size || !is_blob_link({target, *size})) return refused;
    char buffer[max_path_size];
    if (folder().size() + *size > sizeof buffer) return refused;
    text_writer text(buffer, sizeof buffer);
    text.append(folder()).append(std::string_view(target, *size));
    result<source> blob = open_source(text.text(), options(), true);
    return blob ? std::move(blob) : result<source>(blob.error().about(path_utf8));
  }
#endif
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
