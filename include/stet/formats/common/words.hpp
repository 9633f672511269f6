// SPDX-License-Identifier: MIT
// Lists of words, separated by spaces, for tables.
#ifndef STET_FORMATS_COMMON_WORDS_HPP
#define STET_FORMATS_COMMON_WORDS_HPP

#include "../../vocabulary/config.hpp"

#include <cstddef>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// Removes the first word of a list and returns it.
inline std::string_view take_word(std::string_view& list) noexcept {
  const std::size_t end = list.find(' ');
  const std::string_view word = list.substr(0, end);
  list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
  return word;
}
/// True if a list has this word.
inline bool has_word(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    if (take_word(list) == word) return true;
  }
  return false;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
