// SPDX-License-Identifier: MIT
// Training: mini-batches, the Adam optimizer, and a state that is all a run needs to continue where it
// stopped.
#ifndef DIGITS_TRAINING_HPP
#define DIGITS_TRAINING_HPP

#include "images.hpp"
#include "network.hpp"
#include "random.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace digits {

/// What the user decides.
struct training_plan {
  std::uint64_t seed = 1998;
  std::uint64_t epochs = 40;
  std::size_t batch_size = 32;
  float learning_rate = 0.003f;      ///< of the first epoch
  float learning_rate_decay = 0.95f; ///< factor from one epoch to the next
  float weight_decay = 0.3f;         ///< times the learning rate: the part of a kernel forgotten at each step
  float beta_1 = 0.9f;
  float beta_2 = 0.999f;
  float epsilon = 1e-7f;
};

/// Everything that decides the next step. Two runs with the same plan and state go on bit for bit alike.
template <class Parameters> struct state_of {
  Parameters weights;
  Parameters first_moment;   ///< Adam's slot m: the running mean of the gradient
  Parameters second_moment;  ///< Adam's slot v: the running mean of its square
  float beta_1_power = 1.0f; ///< beta_1 to the power of `step`
  float beta_2_power = 1.0f; ///< beta_2 to the power of `step`
  splitmix64 random;         ///< as it was when the current epoch began: the epoch's order follows from it
  std::uint64_t step = 0;    ///< mini-batches seen
};

using training_state = state_of<parameters>;

/// The state before the first step.
template <class Parameters = parameters> state_of<Parameters> start(const training_plan& plan) noexcept {
  state_of<Parameters> state;
  state.random.state = plan.seed;
  state.weights = glorot_uniform<Parameters>(state.random);
  return state;
}

/// One step of Adam along `gradient`, the kernels (not the biases) decaying towards zero.
/// Source: Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1, in the form with
/// one corrected step size (end of section 2); Loshchilov, Hutter, "Decoupled Weight Decay Regularization",
/// ICLR 2019.
template <class Parameters>
void adam_step(const training_plan& plan, float learning_rate, const Parameters& gradient,
               state_of<Parameters>& state) noexcept {
  ++state.step;
  state.beta_1_power *= plan.beta_1;
  state.beta_2_power *= plan.beta_2;
  const float step_size = learning_rate * std::sqrt(1.0f - state.beta_2_power) / (1.0f - state.beta_1_power);

  const auto weights = tensors(state.weights);
  const auto slopes = tensors(gradient);
  const auto means = tensors(state.first_moment);
  const auto squares = tensors(state.second_moment);
  for (std::size_t tensor = 0; tensor < weights.size(); ++tensor) {
    const float kept = weights[tensor].rank == 2 ? 1.0f - learning_rate * plan.weight_decay : 1.0f;
    for (std::size_t i = 0; i < weights[tensor].values.size(); ++i) {
      const float slope = slopes[tensor].values[i];
      float& mean = means[tensor].values[i];
      float& square = squares[tensor].values[i];
      mean += (1.0f - plan.beta_1) * (slope - mean);
      square += (1.0f - plan.beta_2) * (slope * slope - square);
      float& weight = weights[tensor].values[i];
      weight = kept * weight - step_size * mean / (std::sqrt(square) + plan.epsilon);
    }
  }
}

/// How a network does on a set of images.
struct score {
  std::size_t right = 0;
  std::size_t total = 0;
  double loss_sum = 0.0;

  void count(std::span<const float> probabilities, std::uint8_t label) noexcept {
    right += answer(probabilities) == label;
    ++total;
    loss_sum += static_cast<double>(loss(probabilities, label));
  }
  double accuracy() const noexcept { return static_cast<double>(right) / static_cast<double>(total); }
  double mean_loss() const noexcept { return loss_sum / static_cast<double>(total); }
};

/// Shows `net` every image of `set`.
inline score evaluate(const network& net, const image_set& set) noexcept {
  score result;
  image pixels;
  for (std::size_t at = 0; at < set.size(); ++at) {
    unpack(set, at, pixels);
    result.count(forward(net, pixels).probabilities, set.labels[at]);
  }
  return result;
}

/// Shows the network image `at` of `set`: counts its answer, and adds to `gradient` what the loss says.
inline void learn(const image_set& set, std::size_t at, const parameters& weights, parameters& gradient,
                  score& result) noexcept {
  image pixels;
  unpack(set, at, pixels);
  const network net = weights.view();
  const activations seen = forward(net, pixels);
  add_gradient(net, pixels, set.labels[at], seen, gradient);
  result.count(seen.probabilities, set.labels[at]);
}

/// Mini-batches in one pass over `set`; the last one may be short.
template <class Set> std::uint64_t steps_per_epoch(const training_plan& plan, const Set& set) noexcept {
  return (set.size() + plan.batch_size - 1) / plan.batch_size;
}

/// One step: learns from the examples of `set` that `batch` lists, and adds them to `result` as they were
/// seen before.
template <class Set, class Parameters>
void train_batch(const training_plan& plan, float learning_rate, const Set& set, std::span<const std::uint32_t> batch,
                 state_of<Parameters>& state, score& result) noexcept {
  Parameters gradient;
  for (const std::uint32_t at : batch) learn(set, at, state.weights, gradient, result);
  for (const auto& tensor : tensors(gradient))
    for (float& slope : tensor.values) slope /= static_cast<float>(batch.size());
  adam_step(plan, learning_rate, gradient, state);
}

/// Trains until `state.step` is `until_step`, from wherever it is: every epoch visits all of `set` once in an
/// order of its own, and one that was interrupted goes on in the same order. Returns the score on the
/// examples as they came. `set` is anything that has a size and a function `learn`.
template <class Set, class Parameters>
score train(const training_plan& plan, const Set& set, std::uint64_t until_step, state_of<Parameters>& state) {
  const std::uint64_t steps = steps_per_epoch(plan, set);
  std::vector<std::uint32_t> order(set.size());
  score result;
  while (state.step < until_step) {
    splitmix64 random = state.random;
    std::iota(order.begin(), order.end(), 0u);
    shuffle(std::span(order), random);

    const std::uint64_t epoch = state.step / steps;
    float learning_rate = plan.learning_rate;
    for (std::uint64_t past = 0; past < epoch; ++past) learning_rate *= plan.learning_rate_decay;

    const std::uint64_t epoch_end = (epoch + 1) * steps;
    while (state.step < (std::min)(until_step, epoch_end)) {
      const auto first = static_cast<std::size_t>(state.step % steps) * plan.batch_size;
      const auto count = (std::min)(plan.batch_size, order.size() - first);
      train_batch(plan, learning_rate, set, std::span(order).subspan(first, count), state, result);
    }
    if (state.step == epoch_end) state.random = random;
  }
  return result;
}

} // namespace digits

#endif
