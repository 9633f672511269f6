// SPDX-License-Identifier: MIT
// The digits network on a microcontroller: its weights stay in flash, and there is neither an operating system nor a heap.
#include "board.hpp"
#include "held_out.hpp"

#include <stet/store/open.hpp>

#include <cstring>

namespace {

using board::line;

int failed(const stet::error& error) {
  char text[256];
  line() << error.print(text, sizeof text);
  return 1;
}

/// Whether two spans of the same length hold the same bits.
bool same_bits(std::span<const float> left, std::span<const float> right) {
  return std::memcmp(left.data(), right.data(), left.size_bytes()) == 0;
}

} // namespace

int board::run() {
  const auto model = stet::open(board::store_in_flash());
  if (!model) return failed(model.error());
  if (const auto verified = model->verify_checksums(); !verified) return failed(verified.error());
  firmware::flash_contents flash;
  if (const auto bound = stet::bind_model(flash, *model); !bound) return failed(bound.error());
  if (flash.probabilities.extent(0) != flash.images.size() ||
      flash.images.pixels.element_count() != flash.images.size() * digits::pixel_count)
    return failed(stet::error(stet::errc::shape_mismatch, "held_out"));

  const std::size_t count = flash.images.size();
  std::size_t right = 0, same = 0;
  static digits::image pixels; // 3 KB: much for the stack of a microcontroller
  for (std::size_t at = 0; at < count; ++at) {
    digits::unpack(flash.images, at, pixels);
    const auto seen = digits::forward(flash.net, pixels);
    const std::uint8_t answer = digits::answer(seen.probabilities);
    const bool is_right = answer == flash.images.labels[at];
    line() << "a " << std::size_t{flash.images.labels[at]} << " is read as " << std::size_t{answer} << ", "
           << static_cast<std::size_t>(100 * seen.probabilities[answer]) << " % sure" << (is_right ? "" : "  <- wrong");
    right += is_right;
    same += same_bits(seen.probabilities, flash.probabilities[at].flat());
  }

  const auto memory = board::measure_memory();
  line() << right << " of " << count << " right; " << same << " of " << count
         << " answers the same bits as where the model was trained";
  line() << "flash: " << memory.code << " bytes of code and constants, " << memory.store
         << " bytes of store, read in place";
  line() << "RAM: " << memory.data << " bytes of variables, " << memory.stack << " bytes of stack";
  line() << "heap: none";
  return count != 0 && same == count ? 0 : 1;
}
