// SPDX-License-Identifier: MIT
// What became of each variable and each tensor of a restore.
#ifndef STET_RESTORE_REPORT_HPP
#define STET_RESTORE_REPORT_HPP

#include "../vocabulary/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline v0_1 {

/// What happened, or in a dry run would happen, to a variable or a tensor.
enum class restore_outcome : std::uint8_t {
  copied,         ///< the elements were copied
  converted,      ///< the elements were converted to the variable's dtype and copied
  overlapped,     ///< what both shapes have was copied
  reshaped,       ///< the program's own function filled the variable
  bound,          ///< the program's view points at the store's bytes
  excluded,       ///< the rules leave the variable out
  missing,        ///< the store has no such tensor
  unexpected,     ///< no variable takes the tensor
  shape_mismatch, ///< the shapes differ
  dtype_mismatch, ///< the dtypes differ
  failed,         ///< the tensor's bytes could not be had
};

/// The name of an outcome, for people and machines: "copied".
constexpr std::string_view name_of(restore_outcome outcome) noexcept {
  constexpr std::string_view names[] = {"copied",   "converted", "overlapped", "reshaped",       "bound", "excluded",
                                        "missing",  "unexpected", "shape_mismatch", "dtype_mismatch", "failed"};
  return names[static_cast<std::size_t>(outcome)];
}

/// One line of a report.
struct restore_entry {
  /// The variable; empty for an unexpected tensor.
  std::string variable;
  /// The tensor it was looked for as.
  std::string tensor;
  restore_outcome outcome = restore_outcome::copied;
  /// Whether the rules make this an error.
  bool is_error = false;
  /// Why, for a person: "float32 [784, 20] in the store, float32 [784, 10] in the program". Empty where there is nothing to say.
  std::string reason;
  /// Bytes that were copied; 0 for a bound variable.
  std::uint64_t copied_bytes = 0;
};

/// What a restore did, or a dry run would do: variables in their order, then unexpected tensors in manifest order.
struct restore_report {
  std::vector<restore_entry> entries;
  std::uint64_t copied_bytes = 0;

  /// How many entries have this outcome.
  [[nodiscard]] std::size_t count(restore_outcome outcome) const noexcept {
    std::size_t found = 0;
    for (const restore_entry& each : entries) found += each.outcome == outcome ? 1u : 0u;
    return found;
  }
  /// Whether nothing is an error: every variable was, or would be, restored as the rules ask.
  [[nodiscard]] bool is_good() const noexcept {
    for (const restore_entry& each : entries) {
      if (each.is_error) return false;
    }
    return true;
  }

  /// The report as text, one line for each entry, errors marked, and a line of totals.
  [[nodiscard]] std::string to_text() const {
    std::string text;
    std::size_t width = 0;
    for (const restore_entry& each : entries) width = each.outcome > restore_outcome{} && name_of(each.outcome).size() > width ? name_of(each.outcome).size() : width;
    width = width < 6 ? 6 : width;
    for (const restore_entry& each : entries) {
      const std::string_view outcome = name_of(each.outcome);
      text += each.is_error ? "! " : "  ";
      text += outcome;
      text.append(width - outcome.size() + 2, ' ');
      append_escaped(text, each.variable.empty() ? each.tensor : each.variable);
      if (!each.variable.empty() && each.variable != each.tensor && !each.tensor.empty()) append_escaped(text += " <- ", each.tensor);
      if (!each.reason.empty()) append_escaped(text += ": ", each.reason);
      text += '\n';
    }
    const char* separator = "";
    for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(restore_outcome::failed); ++i) {
      const restore_outcome outcome{i};
      if (const std::size_t found = count(outcome); found != 0) {
        text += separator + std::to_string(found) + " " + std::string(name_of(outcome));
        separator = ", ";
      }
    }
    return text + "; " + std::to_string(copied_bytes) + " bytes copied\n";
  }

private:
  static void append_escaped(std::string& text, std::string_view name) {
    std::string buffer(name.size() * 4, '\0');
    text_writer out(buffer.data(), buffer.size());
    text += out.append_escaped(name).text();
  }
};

} // namespace stet::inline v0_1

#endif
