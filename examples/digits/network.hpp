// SPDX-License-Identifier: MIT
// The network: 784 pixels, ten hidden units, ten answers; what it holds, how it answers, and how it is wrong.
#ifndef DIGITS_NETWORK_HPP
#define DIGITS_NETWORK_HPP

#include "exponential.hpp"
#include "images.hpp"
#include "random.hpp"

#include <stet/vocabulary/view.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace digits {

inline constexpr std::size_t hidden_count = 10;

// ---- what it holds ----

/// One fully connected layer, viewed wherever its numbers are: in memory while training, in the mapped file
/// after. Its extents may be `stet::dynamic`.
template <std::size_t Inputs, std::size_t Outputs, class Float = const float> struct dense_layer {
  stet::view<Float, Inputs, Outputs> kernel; ///< row-major, as Keras keeps it
  stet::view<Float, Outputs> bias;

  /// The names of the tensors, for stet::bind_model.
  void bind(auto& field) noexcept {
    field("kernel", kernel);
    field("bias", bias);
  }
};

inline constexpr std::size_t tensor_count = 4;

/// The network as inference sees it: two layers, nothing owned.
struct network {
  dense_layer<pixel_count, hidden_count> hidden;
  dense_layer<hidden_count, class_count> answer;

  void bind(auto& field) noexcept {
    field("dense", hidden);
    field("dense_1", answer);
  }
  /// The numbers of every tensor, in the order of `tensors(parameters)`.
  std::array<std::span<const float>, tensor_count> values() const noexcept {
    return {hidden.kernel.flat(), hidden.bias.flat(), answer.kernel.flat(), answer.bias.flat()};
  }
};

/// The network's numbers, owned. Gradients and optimizer slots have the same form.
struct parameters {
  std::array<float, pixel_count * hidden_count> hidden_kernel{};
  std::array<float, hidden_count> hidden_bias{};
  std::array<float, hidden_count * class_count> answer_kernel{};
  std::array<float, class_count> answer_bias{};

  network view() const noexcept {
    network net;
    point(net.hidden, hidden_kernel, hidden_bias);
    point(net.answer, answer_kernel, answer_bias);
    return net;
  }

private:
  template <std::size_t Inputs, std::size_t Outputs>
  static void point(dense_layer<Inputs, Outputs>& layer, const std::array<float, Inputs * Outputs>& kernel,
                    const std::array<float, Outputs>& bias) noexcept {
    layer.kernel = {kernel.data(), layer.kernel.static_extents};
    layer.bias = {bias.data(), layer.bias.static_extents};
  }
};

/// A tensor of `parameters` with the name and shape that the model file gives it.
template <class Float> struct named_tensor {
  std::string_view name;
  std::array<std::uint64_t, 2> extents; ///< the first `rank` count
  std::size_t rank;
  std::span<Float> values;

  std::span<const std::uint64_t> shape() const noexcept { return {extents.data(), rank}; }
};

/// The tensors of `owner`, always in this order and under the names that `network::bind` gives them. `Float`
/// is const with `owner`.
template <class Float, class Parameters>
std::array<named_tensor<Float>, tensor_count> list_tensors(Parameters& owner) noexcept {
  return {{{"dense/kernel", {pixel_count, hidden_count}, 2, owner.hidden_kernel},
           {"dense/bias", {hidden_count, 0}, 1, owner.hidden_bias},
           {"dense_1/kernel", {hidden_count, class_count}, 2, owner.answer_kernel},
           {"dense_1/bias", {class_count, 0}, 1, owner.answer_bias}}};
}
inline auto tensors(parameters& owner) noexcept { return list_tensors<float>(owner); }
inline auto tensors(const parameters& owner) noexcept { return list_tensors<const float>(owner); }

/// Kernels uniform in ±sqrt(6 / (inputs + outputs)), biases zero: the start that Keras gives a dense layer.
/// Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
/// (16).
template <class Parameters = parameters> Parameters glorot_uniform(splitmix64& random) noexcept {
  Parameters start;
  for (const auto& tensor : tensors(start)) {
    if (tensor.rank != 2) continue;
    const float limit = std::sqrt(6.0f / static_cast<float>(tensor.extents[0] + tensor.extents[1]));
    for (float& value : tensor.values) value = limit * random.symmetric();
  }
  return start;
}

// ---- how it answers ----

/// What the layers made of one image.
struct activations {
  std::array<float, hidden_count> hidden;
  std::array<float, class_count> probabilities;
};

/// The digit that a network takes an image for, by the probability it gives each.
inline std::uint8_t answer(std::span<const float> probabilities) noexcept {
  return static_cast<std::uint8_t>(std::max_element(probabilities.begin(), probabilities.end()) -
                                   probabilities.begin());
}

/// outputs = bias + inputs × kernel. Sums run over the inputs in order, so the result is the same every time.
/// `inputs` and `outputs` have as many numbers as the kernel has rows and columns.
template <std::size_t Inputs, std::size_t Outputs, class Float>
void apply(const dense_layer<Inputs, Outputs, Float>& layer, std::span<const float> inputs,
           std::span<float> outputs) noexcept {
  std::copy(layer.bias.begin(), layer.bias.end(), outputs.begin());
  for (std::size_t i = 0; i < layer.kernel.extent(0); ++i) {
    // Four pixels of five are paper.
    if (inputs[i] == 0.0f) continue;
    const auto row = layer.kernel[i];
    for (std::size_t o = 0; o < layer.kernel.extent(1); ++o) outputs[o] += inputs[i] * row[o];
  }
}

inline void relu(std::span<float> values) noexcept {
  for (float& value : values) value = value > 0.0f ? value : 0.0f;
}

/// Turns scores into probabilities. The largest score is taken off first, so that nothing can overflow.
inline void softmax(std::span<float> values) noexcept {
  const float largest = *std::max_element(values.begin(), values.end());
  float sum = 0.0f;
  for (float& value : values) sum += value = exponential(value - largest);
  for (float& value : values) value /= sum;
}

/// Shows the network one image.
inline activations forward(const network& net, const image& pixels) noexcept {
  activations result;
  apply(net.hidden, pixels, result.hidden);
  relu(result.hidden);
  apply(net.answer, result.hidden, result.probabilities);
  softmax(result.probabilities);
  return result;
}

// ---- how it is wrong ----

/// Cross-entropy: 0 when the network is sure of the right digit, and larger the less it expected that digit.
inline float loss(std::span<const float> probabilities, std::uint8_t label) noexcept {
  // The smallest normal float stands in for a probability that underflowed.
  return -std::log((std::max)(probabilities[label], 1.17549435e-38f));
}

/// Adds the gradient of one layer's kernel and bias, `inputs` and the gradient of its outputs being known.
inline void add_layer_gradient(std::span<const float> inputs, std::span<const float> outputs_gradient,
                               std::span<float> kernel_gradient, std::span<float> bias_gradient) noexcept {
  const std::size_t outputs = outputs_gradient.size();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == 0.0f) continue;
    const auto row = kernel_gradient.subspan(i * outputs, outputs);
    for (std::size_t o = 0; o < outputs; ++o) row[o] += inputs[i] * outputs_gradient[o];
  }
  for (std::size_t o = 0; o < outputs; ++o) bias_gradient[o] += outputs_gradient[o];
}

/// Back-propagation: adds to `gradient` what the loss on one image, already `seen`, says about each
/// parameter.
inline void add_gradient(const network& net, const image& pixels, std::uint8_t label, const activations& seen,
                         parameters& gradient) noexcept {
  // Softmax followed by cross-entropy has this gradient at the scores: what it said minus what was right.
  auto scores = seen.probabilities;
  scores[label] -= 1.0f;
  add_layer_gradient(seen.hidden, scores, gradient.answer_kernel, gradient.answer_bias);

  std::array<float, hidden_count> hidden{};
  for (std::size_t h = 0; h < hidden_count; ++h) {
    if (seen.hidden[h] == 0.0f) continue; // relu was flat here
    for (std::size_t c = 0; c < class_count; ++c) hidden[h] += net.answer.kernel(h, c) * scores[c];
  }
  add_layer_gradient(pixels, hidden, gradient.hidden_kernel, gradient.hidden_bias);
}

} // namespace digits

#endif
