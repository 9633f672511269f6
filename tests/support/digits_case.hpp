// SPDX-License-Identifier: MIT
// The digits network as a case for libraries that compute: a saved model with random weights, images, and the answers of its own code.
// Include doctest first.
#ifndef STET_TESTS_SUPPORT_DIGITS_CASE_HPP
#define STET_TESTS_SUPPORT_DIGITS_CASE_HPP

#include "../../examples/digits/network.hpp"
#include "temp_folder.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace stet_test {

/// A model file that lasts as long as this object.
class digits_case {
public:
  static constexpr std::size_t image_count = 100;
  /// The weights.
  digits::parameters numbers;
  /// `pixel_count` numbers for each image.
  std::vector<float> images = std::vector<float>(image_count * digits::pixel_count);

  digits_case() {
    digits::splitmix64 random{3};
    numbers = digits::glorot_uniform(random);
    for (float& each : numbers.hidden_bias) each = random.symmetric();
    for (float& each : numbers.answer_bias) each = random.symmetric();
    for (float& each : images) each = random.below(4) == 0 ? std::abs(random.symmetric()) : 0.0f;
    REQUIRE(writer().save(path()));
  }

  /// A writer of the model, which ends before this object.
  [[nodiscard]] stet::writer writer() const {
    stet::writer out;
    for (const auto& each : digits::tensors(numbers)) out.add(each.name, each.values, stet::extents(each.shape()));
    return out;
  }

  /// Where the model is.
  [[nodiscard]] std::string path() const { return folder_.path("digits.stet"); }

  /// Compares a library's probabilities, `class_count` for each image, with those of the network's own code.
  void check(std::span<const float> answers) const {
    REQUIRE(answers.size() == image_count * digits::class_count);
    for (std::size_t i = 0; i < image_count; ++i) {
      digits::image pixels;
      std::copy_n(images.data() + i * digits::pixel_count, digits::pixel_count, pixels.begin());
      const digits::activations expected = digits::forward(numbers.view(), pixels);
      const std::span<const float> got = answers.subspan(i * digits::class_count, digits::class_count);
      CHECK(digits::answer(got) == digits::answer(expected.probabilities));
      for (std::size_t c = 0; c < digits::class_count; ++c) CHECK(std::abs(got[c] - expected.probabilities[c]) < 1e-5f);
    }
  }

private:
  temp_folder folder_;
};

} // namespace stet_test

#endif
