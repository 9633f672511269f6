// SPDX-License-Identifier: MIT
// Opens files with one wrong bit. What still opens is read at its ends, where a wrong size or offset leads out of the file.
#ifndef STET_TESTS_SUPPORT_FLIPPED_BITS_HPP
#define STET_TESTS_SUPPORT_FLIPPED_BITS_HPP

#include "exact_text.hpp"

#include <stet/store/store.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace stet_test {

/// Flips a bit of `file` in turn, `step` bits apart. `open(bytes)` gives a result of a model, whose tensors' last bytes are read.
template <class Open> void open_with_flipped_bits(std::string file, std::size_t step, const Open& open) {
  for (std::size_t bit = 0; bit < file.size() * 8; bit += step) {
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
    const exact_text block(file);
    if (const auto opened = open(block.bytes())) {
      for (const stet::tensor each : opened->store) {
        std::byte end[16];
        const std::uint64_t size = each.size_bytes() < sizeof end ? each.size_bytes() : sizeof end;
        (void)each.read(each.size_bytes() - size, std::span(end, static_cast<std::size_t>(size)));
      }
    }
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
  }
}

} // namespace stet_test

#endif
