// SPDX-License-Identifier: MIT
// What became of each variable and each tensor of a restore.
#ifndef STET_RESTORE_REPORT_HPP
#define STET_RESTORE_REPORT_HPP

#include "../index/detail/name_hash.hpp"
#include "../vocabulary/error.hpp"
#include "../vocabulary/detail/json_string.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE {

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
  failed,         ///< the tensor's bytes could not be had, or the variable cannot take them
};

namespace detail {

inline constexpr const char* restore_outcome_names[] = {"copied",         "converted",      "overlapped", "reshaped",
                                                        "bound",          "excluded",       "missing",    "unexpected",
                                                        "shape_mismatch", "dtype_mismatch", "failed"};
static_assert(std::size(restore_outcome_names) == static_cast<std::size_t>(restore_outcome::failed) + 1);

} // namespace detail

/// The name of an outcome, for people and machines: "copied".
constexpr std::string_view name_of(restore_outcome outcome) noexcept {
  return detail::restore_outcome_names[static_cast<std::size_t>(outcome)];
}

/// One line of a report.
struct restore_entry {
  /// The variable; empty for an unexpected tensor.
  std::string variable;
  /// The tensor it was looked for as.
  std::string tensor;
  /// The outcome for this variable or tensor.
  restore_outcome outcome = restore_outcome::copied;
  /// Whether the rules make this an error.
  bool is_error = false;
  /// Why, for a person: "float32 [784, 20] in the store, float32 [784, 10] in the program". Empty where there is nothing to say.
  std::string reason;
  /// Bytes of the variable that were written; 0 for a bound one.
  std::uint64_t copied_bytes = 0;
};

/// What a restore did, or a dry run would do: variables in their order, then unexpected tensors in manifest order. Where
/// something is an error nothing was done, and the other entries say what would have been.
struct restore_report {
  /// A row for each variable, then for each tensor that no variable took.
  std::vector<restore_entry> entries;
  /// The number of bytes that were written to variables.
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

  /// The report as text for a person: a line for each entry, errors marked by '!', and a line of totals.
  [[nodiscard]] std::string to_text() const {
    std::size_t width = 0;
    for (const restore_entry& each : entries)
      width = name_of(each.outcome).size() < width ? width : name_of(each.outcome).size();
    std::string text;
    for (const restore_entry& each : entries) {
      const std::string_view outcome = name_of(each.outcome);
      text += each.is_error ? "! " : "  ";
      text += outcome;
      text.append(width - outcome.size() + 2, ' ');
      append_escaped(text, each.variable.empty() ? each.tensor : each.variable);
      if (!each.variable.empty() && each.variable != each.tensor) append_escaped(text += " <- ", each.tensor);
      if (!each.reason.empty()) append_escaped(text += ": ", each.reason);
      text += '\n';
    }
    for_each_count([&](std::string_view outcome, std::size_t found) {
      text.append(std::to_string(found)).append(" ").append(outcome).append(", ");
    });
    text += std::to_string(copied_bytes) + " bytes to copy";
    return text + (is_good() ? "\n" : "; there are errors, so nothing is restored\n");
  }

  /// The report as a JSON object (RFC 8259), one entry a line:
  ///
  ///     {"is_good":true,"copied_bytes":40,"counts":{"copied":1},"entries":[
  ///     {"outcome":"copied","is_error":false,"variable":"a","tensor":"b","copied_bytes":40,"reason":"…"}]}
  ///
  /// An entry has no "variable" if the tensor is unexpected, and no "reason" if there is nothing to say. Bytes of a name that
  /// a program's own rule made and that are not UTF-8 become '?'.
  [[nodiscard]] std::string to_json() const {
    std::string text = is_good() ? "{\"is_good\":true" : "{\"is_good\":false";
    text += ",\"copied_bytes\":" + std::to_string(copied_bytes) + ",\"counts\":{";
    const char* separator = "";
    for_each_count([&](std::string_view outcome, std::size_t found) {
      text.append(separator).append("\"").append(outcome).append("\":").append(std::to_string(found));
      separator = ",";
    });
    text += "},\"entries\":[";
    separator = "\n";
    for (const restore_entry& each : entries) {
      text.append(separator).append("{\"outcome\":\"").append(name_of(each.outcome)).append("\",\"is_error\":");
      text += each.is_error ? "true" : "false";
      if (!each.variable.empty()) append_json(text += ",\"variable\":", each.variable);
      append_json(text += ",\"tensor\":", each.tensor);
      text += ",\"copied_bytes\":" + std::to_string(each.copied_bytes);
      if (!each.reason.empty()) append_json(text += ",\"reason\":", each.reason);
      text += '}';
      separator = ",\n";
    }
    return text + "]}\n";
  }

private:
  /// Calls `visit(name, count)` for each outcome that occurs.
  template <class Visit> void for_each_count(Visit&& visit) const {
    for (std::size_t i = 0; i < std::size(detail::restore_outcome_names); ++i) {
      if (const std::size_t found = count(static_cast<restore_outcome>(i)); found != 0)
        visit(detail::restore_outcome_names[i], found);
    }
  }
  static void append_json(std::string& text, std::string_view value) {
    std::string plain;
    if (!detail::is_utf8_without_nul(value)) {
      plain = value;
      for (char& c : plain) c = static_cast<unsigned char>(c) < 0x80u ? c : '?';
      value = plain;
    }
    detail::emit_json_string(value, [&text](std::string_view piece) { text += piece; });
  }
  static void append_escaped(std::string& text, std::string_view name) {
    std::string buffer(name.size() * 4, '\0');
    text_writer out(buffer.data(), buffer.size());
    text += out.append_escaped(name).text();
  }
};

} // namespace stet::inline STET_NAMESPACE

#endif
