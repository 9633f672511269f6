// SPDX-License-Identifier: MIT
// The images of handwritten digits as the data store holds them: packed four-bit pixels and labels.
#ifndef DIGITS_IMAGES_HPP
#define DIGITS_IMAGES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace digits {

inline constexpr std::size_t image_side = 28;
inline constexpr std::size_t pixel_count = image_side * image_side;
inline constexpr std::size_t packed_size_bytes = pixel_count / 2;
inline constexpr std::size_t class_count = 10;

/// One image unpacked: row-major, 0 is paper, 1 is ink.
using image = std::array<float, pixel_count>;

/// A labelled set of images, viewed where the store's mapping has them.
struct image_set {
  /// `packed_size_bytes` for each image: two pixels in a byte, the earlier one in the low four bits.
  std::span<const std::uint8_t> packed;
  /// The digit 0 ... 9 on each image.
  std::span<const std::uint8_t> labels;

  std::size_t size() const noexcept { return labels.size(); }
};

/// Unpacks image `at` (below `set.size()`) into `pixels`.
inline void unpack(const image_set& set, std::size_t at, image& pixels) noexcept {
  const auto bytes = set.packed.subspan(at * packed_size_bytes, packed_size_bytes);
  for (std::size_t pair = 0; pair < packed_size_bytes; ++pair) {
    pixels[2 * pair] = static_cast<float>(bytes[pair] & 15u) / 15.0f;
    pixels[2 * pair + 1] = static_cast<float>(bytes[pair] >> 4) / 15.0f;
  }
}

} // namespace digits

#endif
