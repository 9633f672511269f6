// SPDX-License-Identifier: MIT
// The images of handwritten digits as the data store holds them: packed four-bit pixels and labels.
#ifndef DIGITS_IMAGES_HPP
#define DIGITS_IMAGES_HPP

#include <stet/vocabulary/view.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace digits {

inline constexpr std::size_t image_side = 28;
inline constexpr std::size_t pixel_count = image_side * image_side;
inline constexpr std::size_t class_count = 10;

/// One image unpacked: row-major, 0 is paper, 1 is ink.
using image = std::array<float, pixel_count>;

/// A labelled set of images, viewed where the store's mapping has them.
struct image_set {
  /// `pixel_count` for each image, row-major: 0 is paper, 15 is ink.
  stet::packed_span<stet::uint4> pixels;
  /// The digit 0 ... 9 on each image.
  std::span<const std::uint8_t> labels;

  std::size_t size() const noexcept { return labels.size(); }

  /// The names of the tensors, for stet::bind_model.
  void bind(auto& field) noexcept {
    field("images", pixels);
    field("labels", labels);
  }
};

/// Unpacks image `at` (below `set.size()`) into `pixels`.
inline void unpack(const image_set& set, std::size_t at, image& pixels) noexcept {
  for (std::size_t pixel = 0; pixel < pixel_count; ++pixel)
    pixels[pixel] = static_cast<float>(set.pixels[at * pixel_count + pixel]) / 15.0f;
}

} // namespace digits

#endif
