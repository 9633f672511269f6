// SPDX-License-Identifier: MIT
// Compares what a library makes of the held-out images with what the demo's own network makes of them.
#ifndef RUNTIMES_SERVE_HPP
#define RUNTIMES_SERVE_HPP

#include "fail.hpp"

#include "../digits/model_file.hpp"

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string_view>
#include <vector>

namespace runtimes {

/// The files of the demo, and the held-out images as numbers.
struct task {
  digits::model_file model;
  digits::images_file images;
  std::vector<float> pixels; ///< `pixel_count` for each image

  std::size_t image_count() const noexcept { return images.test.size(); }
};

/// Opens MODEL.stet and the images of DATA.stet.
inline stet::result<task> open_task(const char* model_path, const char* data_path) {
  auto model = digits::open_model(model_path);
  if (!model) return model.error();
  auto images = digits::open_images(data_path);
  if (!images) return images.error();
  task made{std::move(*model), std::move(*images), {}};
  digits::image unpacked;
  for (std::size_t at = 0; at < made.image_count(); ++at) {
    digits::unpack(made.images.test, at, unpacked);
    made.pixels.insert(made.pixels.end(), unpacked.begin(), unpacked.end());
  }
  return made;
}

/// Compares the library's probabilities, `class_count` for each image, with the network's own. @return the exit status
inline int compare(task& of, std::string_view library, std::span<const float> probabilities) {
  std::size_t right = 0;
  for (std::size_t at = 0; at < of.image_count(); ++at) {
    const auto answers = probabilities.subspan(at * digits::class_count, digits::class_count);
    const auto own = of.model.net.run(std::span(of.pixels).subspan(at * digits::pixel_count, digits::pixel_count));
    for (std::size_t c = 0; c < digits::class_count; ++c) {
      if (!(std::abs(answers[c] - own[c]) < 1e-4f)) return fail("another probability than the network's own");
    }
    if (digits::answer(answers) != digits::answer(own)) return fail("another answer than the network's own");
    right += digits::answer(answers) == of.images.test.labels[at];
  }
  std::printf("%.*s: %zu of %zu images read right, the same answers as the network's own; weights in the mapped file\n",
              static_cast<int>(library.size()), library.data(), right, of.image_count());
  return 0;
}

} // namespace runtimes

#endif
