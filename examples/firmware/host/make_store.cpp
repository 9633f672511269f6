// SPDX-License-Identifier: MIT
// Makes the store that goes into flash, on the machine where the network was trained:
//   make_store digits.stet digits_data.stet firmware.stet
#include "../../digits/model_file.hpp"
#include "../held_out.hpp"

#include <cstdio>
#include <vector>

namespace {

constexpr std::size_t image_count = 20;

/// The weights without the optimizer's slots, the first held-out images, and what the network makes of them here.
stet::result<stet::save_report> make_store(const char* model_path, const char* data_path, const char* store_path) {
  const auto model = stet::open(model_path);
  if (!model) return model.error();
  digits::network net;
  if (const auto bound = stet::bind_model(net, *model); !bound) return bound.error();
  const auto images = digits::open_images(data_path);
  if (!images) return images.error();
  if (images->test.size() < image_count) return stet::error(stet::errc::shape_mismatch, data_path);

  std::vector<float> probabilities;
  for (std::size_t at = 0; at < image_count; ++at) {
    digits::image image;
    digits::unpack(images->test, at, image);
    const auto seen = digits::forward(net, image);
    probabilities.insert(probabilities.end(), seen.probabilities.begin(), seen.probabilities.end());
  }
  const auto pixels = images->store.find("test/images");
  if (!pixels) return pixels.error();
  constexpr std::size_t pixels_size_bytes = image_count * digits::pixel_count / 2; // two in a byte

  stet::writer out; // an `add` that fails makes `save` fail
  for (const char* weights : {"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"})
    out.add(weights, *model->find(weights)); // they are there, since the network is bound to them
  out.add_bytes("held_out/images", pixels->layout(), {image_count, digits::image_side, digits::image_side},
                pixels->bytes().first(pixels_size_bytes));
  out.add("held_out/labels", images->test.labels.first(image_count), {image_count});
  out.add("held_out/probabilities", probabilities, {image_count, digits::class_count});
  return out.save(store_path);
}

} // namespace

int main(int count, char** words) {
  if (count != 4) {
    std::fputs("usage: make_store MODEL DATA STORE\n", stderr);
    return 2;
  }
  const auto saved = make_store(words[1], words[2], words[3]);
  if (!saved) {
    char text[256];
    const std::string_view message = saved.error().print(text, sizeof text);
    std::fprintf(stderr, "make_store: %.*s\n", static_cast<int>(message.size()), message.data());
    return 1;
  }
  return 0;
}
