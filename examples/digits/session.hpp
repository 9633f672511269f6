// SPDX-License-Identifier: MIT
// What a training run saves, in its checkpoints and in the model file alike: its variables, and where it
// stands.
#ifndef DIGITS_SESSION_HPP
#define DIGITS_SESSION_HPP

#include "training.hpp"

#include <stet/checkpoint.hpp>
#include <stet/json.hpp>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace digits {

/// Every variable of a run: the weights, and Adam's two slots of each. They stay where they are in `state`,
/// which may be const if they are only to be saved.
template <class State> stet::result<stet::variable_list> list_variables(State& state) {
  stet::variable_list variables;
  for (const auto& tensor : tensors(state.weights)) {
    if (auto added = variables.add(tensor.name, tensor.values, tensor.shape()); !added) return added.error();
  }
  const std::pair<const char*, decltype(tensors(state.weights))> slots[] = {{"adam/m", tensors(state.first_moment)},
                                                                            {"adam/v", tensors(state.second_moment)}};
  for (const auto& [slot, owner] : slots) {
    for (const auto& tensor : owner) {
      if (auto added = variables.add_slot(tensor.name, slot, tensor.values); !added) return added.error();
    }
  }
  return variables;
}

/// The shortest decimal that reads as `value`: 0.003, where the double nearest to the float has 17 digits.
inline double shortest(float value) noexcept {
  char digits[32] = {};
  std::to_chars(digits, digits + sizeof digits - 1, value);
  return std::strtod(digits, nullptr);
}

/// What a run needs besides its variables to go on where it stopped.
inline stet::session_state describe_session(const training_plan& plan, const training_state& state) {
  stet::session_state session;
  session.global_step = state.step;
  session.optimizer = stet::json_value{{"name", "AdamW"},
                                       {"batch_size", plan.batch_size},
                                       {"learning_rate", shortest(plan.learning_rate)},
                                       {"learning_rate_decay", shortest(plan.learning_rate_decay)},
                                       {"weight_decay", shortest(plan.weight_decay)},
                                       {"beta_1", shortest(plan.beta_1)},
                                       {"beta_2", shortest(plan.beta_2)},
                                       {"epsilon", shortest(plan.epsilon)},
                                       {"beta_1_power", shortest(state.beta_1_power)},
                                       {"beta_2_power", shortest(state.beta_2_power)}};
  session.random = stet::json_value{{"algorithm", "splitmix64"}, {"seed", plan.seed}, {"state", state.random.state}};
  return session;
}

/// The number called `name` in a JSON object; 0 where there is none.
template <class Number> Number number_in(const stet::json_text& text, const char* name) {
  const stet::json_value object = stet::to_json_value(text);
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->template get<Number>() : Number{};
}

/// Brings a run back to where it stood, its variables being restored already.
/// @retval stet::errc::bad_value  what was saved is not of a run with this plan
inline stet::result<void> resume(const stet::session_state& saved, const training_plan& plan, training_state& state) {
  state.step = saved.global_step;
  state.beta_1_power = number_in<float>(saved.optimizer, "beta_1_power");
  state.beta_2_power = number_in<float>(saved.optimizer, "beta_2_power");
  state.random.state = number_in<std::uint64_t>(saved.random, "state");
  const stet::session_state now = describe_session(plan, state);
  if (now.optimizer != saved.optimizer || now.random != saved.random)
    return stet::error(stet::errc::bad_value, "state");
  return {};
}

} // namespace digits

#endif
