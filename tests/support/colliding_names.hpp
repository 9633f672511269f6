// SPDX-License-Identifier: MIT
// Names whose search in the hash table begins at one and the same slot: what a flood attack would send.
#ifndef STET_TESTS_SUPPORT_COLLIDING_NAMES_HPP
#define STET_TESTS_SUPPORT_COLLIDING_NAMES_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stet_test {

/// `count` different names of 8 ASCII bytes whose hash with seed 0 has `slot` in the bits of `mask`. The hash
/// of one word can be run backwards: every step of it is one to one.
inline std::vector<std::string> colliding_names(std::size_t count, std::uint64_t mask, std::uint64_t slot) {
  constexpr std::uint64_t k1 = 0x9E3779B97F4A7C15u, k2 = 0xD6E8FEB86659FD93u;
  const auto inverse = [](std::uint64_t odd) {
    std::uint64_t x = odd; // right in 3 bits; each step doubles them
    for (int i = 0; i < 5; ++i) x *= 2 - odd * x;
    return x;
  };
  const std::uint64_t k1_inverse = inverse(k1), k2_inverse = inverse(k2);
  std::vector<std::string> names;
  for (std::uint64_t other = 0; names.size() < count; ++other) {
    std::uint64_t hash = (other * k2 & ~mask) | slot;
    hash ^= hash >> 29 ^ hash >> 58;
    hash *= k2_inverse;
    hash ^= hash >> 32;
    const std::uint64_t word = hash * k1_inverse ^ 8 * k1;
    std::string name;
    for (int i = 0; i < 8; ++i) name += static_cast<char>(word >> (8 * i));
    bool is_ascii = true;
    for (const char c : name) is_ascii = is_ascii && c > 0x20 && c < 0x7F;
    if (is_ascii) names.push_back(name);
  }
  return names;
}

} // namespace stet_test

#endif
