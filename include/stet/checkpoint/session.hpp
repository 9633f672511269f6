// SPDX-License-Identifier: MIT
// The state of a program without its variables: the JSON object `state` of a manifest.
#ifndef STET_CHECKPOINT_SESSION_HPP
#define STET_CHECKPOINT_SESSION_HPP

#include "../manifest/check.hpp"
#include "../manifest/detail/json_output.hpp"
#include "../manifest/manifest.hpp"

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// The state that a program needs, besides its variables, to continue exactly where it stopped. JSON keeps all bits of 64-bit
/// integers and of finite floating-point numbers.
struct session_state {
  /// The number of training steps.
  std::uint64_t global_step = 0;
  /// The quality of the program at this step, by which `retention_rules::keep_best` selects. A number that is not finite,
  /// which JSON cannot hold, is not saved.
  std::optional<double> metric = std::nullopt;
  /// The state of the random number generators; or nothing, as in the next two. Text, or a `json_value` with stet/json.hpp.
  json_text random = {};
  /// The optimizer's hyper-parameters.
  json_text optimizer = {};
  /// Anything else that the program saves.
  json_text user = {};
};

namespace detail {

/// The fields of a session that are free-form JSON, by their names in `state`.
struct session_field {
  const char* name;
  json_text session_state::* member;
};
inline constexpr session_field session_fields[] = {
    {"random", &session_state::random}, {"optimizer", &session_state::optimizer}, {"user", &session_state::user}};

/// Checks that a manifest can hold this session and graph.
/// @retval errc::wrong_type, duplicate_key, bad_json, bad_number, too_deep  "graph" or the field of the session is the subject
inline result<void> check_saved(const session_state& session, const json_text& graph) {
  std::string text;
  if (const errc problem = append_free_form(text, graph, 2); problem != errc{}) return error(problem, "graph");
  for (const auto& [name, member] : session_fields) {
    text.clear();
    if (const errc problem = append_free_form(text, session.*member, 3); problem != errc{}) return error(problem, name);
  }
  return {};
}

} // namespace detail

/// The session as the JSON object `state`: {"global_step": 1200, "metric": 0.93, "random": …, "optimizer": …, "user": …};
/// empty fields are left out. If a manifest cannot hold a field, the object has no text, and saving it returns the field's error.
inline json_text to_json(const session_state& of) {
  std::string made;
  detail::append_json_key(made, std::string_view("global_step"));
  detail::append_json_number(made, of.global_step);
  if (of.metric && std::isfinite(*of.metric)) {
    detail::append_json_key(made, std::string_view("metric"));
    detail::append_json_number(made, *of.metric);
  }
  for (const auto& [name, member] : detail::session_fields) {
    if ((of.*member).empty()) continue;
    detail::append_json_key(made, std::string_view(name));
    if (const errc problem = detail::append_free_form(made, of.*member, 3); problem != errc{})
      return json_text::of_problem(problem);
  }
  return json_text(made += '}');
}

/// The session of the JSON object `state`. Further fields are passed over.
/// @retval errc::missing_field  there is no `global_step`
/// @retval errc::bad_number     `global_step` is not an unsigned integer
/// @retval errc::wrong_type     `state` is no object, or `metric` no number
/// @retval errc::bad_json, too_deep, duplicate_key  `state` is text of the program, and is not valid
inline result<session_state> to_session(const json_text& state) {
  if (state.problem() != errc{}) return error(state.problem(), "state");
  if (state.empty()) return error(errc::missing_field, "state");
  detail::json_input whole(state.text());
  if (whole.next() != detail::json_token::begin_object && !whole.failure()) return error(errc::wrong_type, "state");
  if (!whole.skip() || whole.next() != detail::json_token::end) return whole.failure()->about("state");
  const auto token_of = [](std::string_view value) {
    detail::json_reader in(value);
    in.next();
    return in;
  };
  session_state made;
  const std::string_view step = detail::member_of(state.text(), "global_step");
  if (step.empty()) return error(errc::missing_field, "state.global_step");
  const detail::json_reader number = token_of(step);
  if (number.token() != detail::json_token::number || !number.number().is_unsigned())
    return error(errc::bad_number, "state.global_step");
  made.global_step = number.number().magnitude;
  if (const std::string_view metric = detail::member_of(state.text(), "metric"); !metric.empty()) {
    const detail::json_reader value = token_of(metric);
    if (value.token() != detail::json_token::number) return error(errc::wrong_type, "state.metric");
    made.metric = value.number().to_double();
  }
  for (const auto& [name, member] : detail::session_fields) {
    const std::string_view value = detail::member_of(state.text(), name);
    if (!value.empty() && value != "null") made.*member = json_text(value);
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE

#endif
