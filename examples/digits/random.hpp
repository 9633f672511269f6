// SPDX-License-Identifier: MIT
// A random generator whose whole state is one number, so that a run can be saved and continued.
#ifndef DIGITS_RANDOM_HPP
#define DIGITS_RANDOM_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace digits {

/// SplitMix64: a counter advancing by a fixed odd step, its value scrambled. The same numbers on every
/// machine. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014,
/// section 5; the scrambler is David Stafford's variant 13, as in Vigna's splitmix64.
struct splitmix64 {
  std::uint64_t state = 0;

  /// The next 64 bits.
  std::uint64_t next() noexcept {
    state += 0x9E3779B97F4A7C15u;
    std::uint64_t bits = state;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
    return bits ^ (bits >> 31);
  }

  /// A number in [0, bound), uniform to within bound / 2^32; `bound` is at most 2^32.
  std::uint64_t below(std::uint64_t bound) noexcept { return ((next() >> 32) * bound) >> 32; }

  /// A number in [-1, 1): a multiple of 2^-23, so it is exact as a float.
  float symmetric() noexcept {
    const auto bits = static_cast<std::int32_t>(next() >> 40);
    return static_cast<float>(bits - (1 << 23)) / static_cast<float>(1 << 23);
  }
};

/// Puts `items` into random order, each order as likely as any other.
/// Source: Durstenfeld, "Algorithm 235: Random permutation", Communications of the ACM 7(7), 1964.
template <class Item> void shuffle(std::span<Item> items, splitmix64& random) noexcept {
  for (std::size_t left = items.size(); left > 1; --left)
    std::swap(items[left - 1], items[static_cast<std::size_t>(random.below(left))]);
}

} // namespace digits

#endif
