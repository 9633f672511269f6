// SPDX-License-Identifier: MIT
// The images as a stet store.
#ifndef DIGITS_IMAGES_FILE_HPP
#define DIGITS_IMAGES_FILE_HPP

#include "images.hpp"

#include <stet/stet.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace digits {

/// The open data store with both sets of images, viewed in place.
struct images_file {
  stet::store store;
  image_set train, test;

  void bind(auto& field) noexcept {
    field("train", train);
    field("test", test);
  }
};

/// Opens the images. Labels are numbers to count with, so they are checked here, once.
/// @retval stet::errc::binding_failed  a tensor is missing or has another dtype
/// @retval stet::errc::shape_mismatch  a set is empty, or has not 28 × 28 pixels for each label
/// @retval stet::errc::bad_value       a label is not a digit; or an error of stet::open
inline stet::result<images_file> open_images(const char* path) {
  auto opened = stet::open(path);
  if (!opened) return opened.error();
  images_file images;
  images.store = std::move(*opened);
  if (const auto bound = stet::bind_model(images, images.store); !bound) return bound.error();
  for (const image_set* set : {&images.train, &images.test}) {
    if (set->size() == 0 || set->pixels.element_count() != std::uint64_t{set->size()} * pixel_count)
      return stet::error(stet::errc::shape_mismatch, path);
    if (*std::max_element(set->labels.begin(), set->labels.end()) >= class_count)
      return stet::error(stet::errc::bad_value, path);
  }
  return images;
}

} // namespace digits

#endif
