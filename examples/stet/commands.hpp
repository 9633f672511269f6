// SPDX-License-Identifier: MIT
// The commands of the program, and what the command line gives them.
#ifndef STET_COMMAND_COMMANDS_HPP
#define STET_COMMAND_COMMANDS_HPP

#include "console.hpp"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace command {

/// The arguments after the command's name.
struct arguments {
  std::vector<std::string_view> operands;
  /// Options in the order given; the value is empty for those that take none.
  std::vector<std::pair<std::string_view, std::string_view>> options;

  [[nodiscard]] bool has(std::string_view option) const { return find(option) != nullptr; }
  /// The value of an option; empty if it was not given.
  [[nodiscard]] std::string_view value_of(std::string_view option) const {
    const auto* const found = find(option);
    return found == nullptr ? std::string_view() : found->second;
  }
  /// The values of an option that may be given several times.
  [[nodiscard]] std::vector<std::string_view> values_of(std::string_view option) const {
    std::vector<std::string_view> values;
    for (const auto& each : options) {
      if (each.first == option) values.push_back(each.second);
    }
    return values;
  }

private:
  [[nodiscard]] const std::pair<std::string_view, std::string_view>* find(std::string_view option) const {
    for (const auto& each : options) {
      if (each.first == option) return &each;
    }
    return nullptr;
  }
};

status list(const arguments& given, console& out);
status cat(const arguments& given, console& out);
status verify(const arguments& given, console& out);
status print_manifest(const arguments& given, console& out);
status print_graph(const arguments& given, console& out);
status convert(const arguments& given, console& out);
/// A line for each format that `convert` saves in.
std::string formats_to_save();
status patch(const arguments& given, console& out);
status pack(const arguments& given, console& out);
status unpack(const arguments& given, console& out);
status compact(const arguments& given, console& out);
status diff(const arguments& given, console& out);
status doctor(const arguments& given, console& out);

} // namespace command

#endif
