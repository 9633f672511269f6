// SPDX-License-Identifier: MIT
// What an index calls bytes that are gathered from slices, which is no file.
#ifndef STET_MANIFEST_DETAIL_GATHERED_PATH_HPP
#define STET_MANIFEST_DETAIL_GATHERED_PATH_HPP

#include "../../vocabulary/config.hpp"

#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view gathered_path = "(gathered)";

/// Whether a part of a native store is a file, also in a layer of others, whose label is in front.
constexpr bool is_file_part(std::string_view path) noexcept { return !path.ends_with(gathered_path); }

} // namespace stet::inline STET_NAMESPACE::detail

#endif
