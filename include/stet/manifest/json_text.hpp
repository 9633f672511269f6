// SPDX-License-Identifier: MIT
// Free-form JSON as text: the fields of a manifest that belong to the program.
#ifndef STET_MANIFEST_JSON_TEXT_HPP
#define STET_MANIFEST_JSON_TEXT_HPP

#include "../vocabulary/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// How values of another library become JSON text: a specialization has `static json_text make(const Value&)`, and
/// `json_text` then converts from `Value`. stet/json.hpp has that for `json_value`.
template <class Value> struct json_text_from;

/// The text of a JSON value, or nothing. A plain value.
///
///     out.metadata = stet::json_text(R"({"author": "me", "epochs": 12})");
///     out.metadata = stet::json_value{{"author", "me"}, {"epochs", 12}}; // with stet/json.hpp
///
/// Text that a program gives is checked when it is saved. Text that `parse_manifest` gives is sound, without spaces, and no
/// key occurs twice in an object of it; numbers stand as they were written. stet/json.hpp makes values of it.
class json_text {
public:
  /// Nothing.
  json_text() noexcept = default;
  json_text(std::nullptr_t) noexcept {}
  /// JSON text, which is checked when it is saved.
  explicit json_text(std::string text) noexcept : text_(std::move(text)) {}
  /// JSON text, copied; checked when it is saved.
  explicit json_text(std::string_view text) : text_(text) {}
  /// JSON text, copied; checked when it is saved.
  explicit json_text(const char* text) : text_(text) {}
  /// The text of a value of a JSON library: `json_value` with stet/json.hpp.
  template <class Value>
    requires requires(const Value& value) { json_text_from<Value>::make(value); }
  json_text(const Value& value) : json_text(json_text_from<Value>::make(value)) {}

  /// The text of a value that JSON cannot hold, which no manifest can have: saving it is this error.
  [[nodiscard]] static json_text of_problem(errc problem) noexcept {
    json_text made;
    made.problem_ = problem;
    return made;
  }

  /// True if there is no text.
  [[nodiscard]] bool empty() const noexcept { return text_.empty() && problem_ == errc{}; }
  /// The text; empty if there is nothing.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  /// The reason for which a value has no text; `errc{}` if there is a text, or no value.
  [[nodiscard]] errc problem() const noexcept { return problem_; }

  /// True if the texts are equal byte for byte.
  friend bool operator==(const json_text&, const json_text&) = default;

private:
  std::string text_;
  errc problem_{};
};

} // namespace stet::inline STET_NAMESPACE

#endif
