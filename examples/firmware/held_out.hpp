// SPDX-License-Identifier: MIT
// What the firmware's store holds: the digits network, some images that it has never seen, and what the host made of them.
#ifndef FIRMWARE_HELD_OUT_HPP
#define FIRMWARE_HELD_OUT_HPP

#include "../digits/network.hpp"

#include <stet/store/bind.hpp>

namespace firmware {

/// Views the store; nothing is copied.
struct flash_contents {
  digits::network net;
  digits::image_set images;
  /// What the network answered to each image where the store was made.
  stet::view<const float, stet::dynamic, digits::class_count> probabilities;

  /// The names of the tensors, for stet::bind_model.
  void bind(auto& field) noexcept {
    net.bind(field);
    field("held_out", images);
    field("held_out/probabilities", probabilities);
  }
};

} // namespace firmware

#endif
