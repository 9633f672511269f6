// SPDX-License-Identifier: MIT
// The store of the checks on the target: a tensor of each dtype, and what the host's conversion to float64 makes of it.
#ifndef STET_TESTS_FIRMWARE_EVERY_DTYPE_HPP
#define STET_TESTS_FIRMWARE_EVERY_DTYPE_HPP

#include <cstddef>
#include <string_view>

namespace stet_test {

/// A tensor has the name of its dtype and so many elements, of any bits (bools are 0 or 1). Strings are `every_string`;
/// blocks are q8_0.
inline constexpr std::size_t every_count = 32;
inline constexpr std::string_view every_string[] = {"let", "", "it", "stand"};
/// Appended to a name: the tensor as float64; complex numbers, strings and blocks have none.
inline constexpr std::string_view as_float64 = "/float64";

/// Byte `at` of the tensor of the dtype with this number.
constexpr unsigned char every_byte(std::size_t dtype, std::size_t at) noexcept {
  return static_cast<unsigned char>((dtype * 1021 + at + 1) * 2654435761u >> 13);
}

} // namespace stet_test

#endif
