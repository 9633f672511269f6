// SPDX-License-Identifier: MIT
// Makes names distinct by numbers.
#ifndef STET_FORMATS_COMMON_DISTINCT_NAMES_HPP
#define STET_FORMATS_COMMON_DISTINCT_NAMES_HPP

#include "../../vocabulary/config.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Gives out names, each once. Cost: log n; nothing is hashed, so that names made to collide are no harm.
class distinct_names {
public:
  /// `name`, or if that was given out, the same with the first number behind it that was not: "name_1".
  [[nodiscard]] std::string unique_name(std::string name) {
    const auto [found, is_new] = next_numbers_.try_emplace(name, 1);
    if (is_new) return name;
    for (;;) {
      std::string made = name + "_" + std::to_string(found->second++);
      if (next_numbers_.try_emplace(made, 1).second) return made;
    }
  }

private:
  std::map<std::string, std::size_t> next_numbers_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
