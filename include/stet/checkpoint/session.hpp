// SPDX-License-Identifier: MIT
// The state of a program besides its variables, as the JSON object `state` of a manifest.
#ifndef STET_CHECKPOINT_SESSION_HPP
#define STET_CHECKPOINT_SESSION_HPP

#include "../manifest/check.hpp"
#include "../manifest/manifest.hpp"

#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// What a program needs besides its variables to go on exactly where it stopped. Integers of JSON keep all 64 bits, and
/// finite floating-point numbers all theirs; whatever has to come back bit by bit can stand here.
struct session_state {
  /// How many steps of training were made.
  std::uint64_t global_step = 0;
  /// How good the program was at this step, for those who keep the best checkpoints. A number that is not finite, which
  /// JSON cannot hold, is saved as none.
  std::optional<double> metric = std::nullopt;
  /// The state of the random number generators; null, as in the next two: none.
  json_value random = nullptr;
  /// The optimizer's hyper-parameters.
  json_value optimizer = nullptr;
  /// Anything else that the program saves.
  json_value user = nullptr;
};

namespace detail {

/// The fields of a session that are free-form JSON, by their names in `state`.
struct session_field {
  const char* name;
  json_value session_state::* member;
};
inline constexpr session_field session_fields[] = {
    {"random", &session_state::random}, {"optimizer", &session_state::optimizer}, {"user", &session_state::user}};

/// Whether a manifest can have this session and graph. To be asked before they are copied: JSON is copied by recursion, which
/// ends the program where it nests without end.
/// @retval errc::wrong_type, duplicate_key, bad_json, bad_number, too_deep  "graph" or the field of the session is the subject
inline result<void> check_saved(const session_state& session, const json_value& graph) {
  if (const errc problem = check_free_form(graph, 2); problem != errc{}) return error(problem, "graph");
  for (const auto& [name, member] : session_fields) {
    if (const errc problem = check_free_form(session.*member, 3); problem != errc{}) return error(problem, name);
  }
  return {};
}

/// The member of a JSON object called `name`, or nullptr.
inline const json_value* member_of(const json_value& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

} // namespace detail

/// The session as the JSON object `state`: {"global_step": 1200, "metric": 0.93, "random": …, "optimizer": …, "user": …};
/// what is none is left out.
inline json_value to_json(const session_state& of) {
  json_value made = {{"global_step", of.global_step}};
  if (of.metric && std::isfinite(*of.metric)) made["metric"] = *of.metric;
  for (const auto& [name, member] : detail::session_fields) {
    if (!(of.*member).is_null()) made[name] = of.*member;
  }
  return made;
}

/// The session of the JSON object `state`. Further fields are passed over.
/// @retval errc::missing_field  there is no `global_step`
/// @retval errc::bad_number     `global_step` is not an unsigned integer
/// @retval errc::wrong_type     `state` is no object, or `metric` no number
inline result<session_state> to_session(const json_value& state) {
  if (!state.is_object()) return error(state.is_null() ? errc::missing_field : errc::wrong_type, "state");
  session_state made;
  const json_value* const step = detail::member_of(state, "global_step");
  if (step == nullptr) return error(errc::missing_field, "state.global_step");
  const auto* const number = step->get_ptr<const json_value::number_unsigned_t*>();
  if (number == nullptr) return error(errc::bad_number, "state.global_step");
  made.global_step = *number;
  if (const json_value* const metric = detail::member_of(state, "metric")) {
    if (!metric->is_number()) return error(errc::wrong_type, "state.metric");
    made.metric = metric->get<double>();
  }
  for (const auto& [name, member] : detail::session_fields) {
    if (const json_value* const value = detail::member_of(state, name)) made.*member = *value;
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE

#endif
