// SPDX-License-Identifier: MIT
// The links of huggingface_hub's cache, whose snapshots are folders of links to files called by the hash of their content.
#ifndef STET_SOURCE_DETAIL_BLOB_LINK_HPP
#define STET_SOURCE_DETAIL_BLOB_LINK_HPP

#include "../../vocabulary/config.hpp"

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

} // namespace stet::inline STET_NAMESPACE::detail

#endif
