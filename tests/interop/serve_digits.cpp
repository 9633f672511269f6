// SPDX-License-Identifier: MIT
// Serves the digits network with weights from a file of any format, in place: serve_digits MODEL.stet WEIGHTS DATA.stet. What the
// network computes, the graph of MODEL.stet says. Prints how many of the held-out images are read right, and the bytes copied.
#include "../../examples/digits/model_file.hpp"
#include "../../examples/digits/training.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/format.hpp>

#include <cstdio>

namespace {

int fail(const stet::error& failure) {
  char text[256];
  const std::string_view line = failure.print(text, sizeof text);
  std::fprintf(stderr, "serve_digits: %.*s\n", static_cast<int>(line.size()), line.data());
  return 1;
}

/// Whether every weight lies in a mapped file of the model.
bool is_in_place(const digits::built_network& net, const stet::store& store) {
  for (const std::span<const float> values : net.weights()) {
    bool is_found = false;
    for (std::uint32_t part = 0; part < store.index().part_count(); ++part) {
      const stet::source& file = store.part(part);
      const auto* const first = reinterpret_cast<const std::byte*>(values.data());
      is_found |= first >= file.data() &&
                  values.size_bytes() <= file.size_bytes() - static_cast<std::uint64_t>(first - file.data());
    }
    if (!is_found) return false;
  }
  return true;
}

} // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const auto described = stet::open(arguments[1]);
  if (!described) return fail(described.error());
  const auto weights = stet::compiled::open_any(arguments[2]);
  if (!weights) return fail(weights.error());
  const auto images = digits::open_images(arguments[3]);
  if (!images) return fail(images.error());
  auto made = digits::build_described(described->manifest_text(), weights->store, digits::class_count);
  if (!made) return fail(made.error());

  std::size_t right = 0;
  digits::image pixels;
  for (std::size_t at = 0; at < images->test.size(); ++at) {
    digits::unpack(images->test, at, pixels);
    right += digits::answer(made->net.run(pixels)) == images->test.labels[at];
  }
  std::printf("%zu right, %s, format %.*s\n", right,
              is_in_place(made->net, weights->store) ? "0 bytes copied" : "NOT IN PLACE",
              static_cast<int>(weights->format->name.size()), weights->format->name.data());
  return 0;
}
