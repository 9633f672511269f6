// SPDX-License-Identifier: MIT
// Names and reasons as a restore and a replacement of weights decide and report them.
#ifndef STET_RESTORE_DETAIL_MATCHING_HPP
#define STET_RESTORE_DETAIL_MATCHING_HPP

#include "../report.hpp"
#include "../rules.hpp"

#include "../../store/store.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

inline bool any_matches(const std::vector<glob>& globs, std::string_view name) {
  for (const glob& each : globs) {
    if (each.matches(name)) return true;
  }
  return false;
}

/// The new name that the first rule gives which fits; nothing if none fits.
inline std::optional<std::string> renamed(std::span<const rename_rule> rules, std::string_view name) {
  for (const rename_rule& each : rules) {
    if (auto made = each.tensor_for(name)) return made;
  }
  return std::nullopt;
}

/// The number of the tensor, or of the one that it shares its bytes with: who has taken one has taken all.
inline std::uint32_t original_number(const store& in, const tensor& of) noexcept {
  const index_entry original = in.index().original_of(of.entry());
  return original ? original.number() : of.entry().number();
}

/// Elements in words: "float32 [784, 10]".
inline std::string describe_elements(std::string_view type_name, const auto& extents) {
  std::string text(type_name);
  const char* separator = " [";
  for (const std::uint64_t extent : extents) {
    text += separator + std::to_string(extent);
    separator = ", ";
  }
  return text + (*separator == ' ' ? " []" : "]");
}

/// The error of a report with entries that are errors, whose names are the subject.
inline error binding_failure(const restore_report& report) noexcept {
  char buffer[error::max_subject_bytes];
  text_writer names(buffer, sizeof buffer);
  const char* separator = "";
  for (const restore_entry& each : report.entries) {
    if (!each.is_error) continue;
    names.append(separator).append(each.variable.empty() ? each.tensor : each.variable);
    separator = ", ";
  }
  return error(errc::binding_failed, names.text());
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
