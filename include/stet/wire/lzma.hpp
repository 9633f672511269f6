// SPDX-License-Identifier: MIT
// Decompresses LZMA, a method of members of zip archives.
#ifndef STET_WIRE_LZMA_HPP
#define STET_WIRE_LZMA_HPP

#include "cursor.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// A member of this method begins with 2 bytes of version, u16 5, and 5 bytes of properties: (pb * 5 + lp) * 9 + lc, and u32 the
// size of the dictionary. The stream of the range coder follows: a byte 0, 4 bytes of code (big-endian), bits.
//
// Source: the LZMA specification (LZMA SDK, lzma-specification.txt); PKWARE, APPNOTE.TXT 6.3.10, 5.8.8.

namespace stet::inline STET_NAMESPACE::detail {

/// Decompresses one stream. What was written so far is the dictionary. Used once.
class lzma_reader {
public:
  lzma_reader(std::span<const std::byte> from, std::span<std::byte> into) noexcept : in_(from), into_(into) {}

  /// Fills `into` exactly. @return false if the stream is damaged, is shorter, or lc + lp is above 4, which needs more memory
  bool run() {
    in_.skip(2);
    const bool is_known = in_.take_u16() == 5;
    const unsigned properties = in_.take_u8();
    const std::uint32_t dictionary = in_.take_u32();
    constexpr unsigned max_literal_bits = 4;
    lc_ = properties % 9, lp_ = properties / 9 % 5;
    const unsigned pb = properties / 45;
    if (!is_known || pb > 4 || lc_ + lp_ > max_literal_bits || in_.take_u8() != 0) return false;
    for (int i = 0; i < 4; ++i) code_ = code_ << 8 | in_.take_u8();
    position_mask_ = (1u << pb) - 1;
    literals_.assign(std::size_t{0x300} << (lc_ + lp_), half);
    return in_.is_good() && decode((std::max)(dictionary, std::uint32_t{4096}));
  }

private:
  using probability = std::uint16_t;
  static constexpr probability half = 1024;
  /// Probabilities that begin at one half.
  template <std::size_t Count> struct probabilities {
    probabilities() noexcept { std::fill_n(values, Count, half); }
    probability& operator[](std::size_t i) noexcept { return values[i]; }
    probability values[Count];
  };
  struct length_model {
    probabilities<2> choices;
    probabilities<16 * 8> low, middle;
    probabilities<256> high;
  };

  unsigned bit(probability& of) noexcept {
    normalize();
    const std::uint32_t bound = (range_ >> 11) * of;
    if (code_ < bound) {
      range_ = bound;
      of = static_cast<probability>(of + ((2048 - of) >> 5));
      return 0;
    }
    range_ -= bound;
    code_ -= bound;
    of = static_cast<probability>(of - (of >> 5));
    return 1;
  }
  void normalize() noexcept {
    if (range_ >= 1u << 24) return;
    range_ <<= 8;
    code_ = code_ << 8 | in_.take_u8(); // 0 behind the end, and a failure
  }
  std::uint32_t equal_bits(unsigned count) noexcept {
    std::uint32_t value = 0;
    while (count-- != 0) {
      normalize();
      range_ >>= 1;
      const bool is_set = code_ >= range_;
      if (is_set) code_ -= range_;
      value = value << 1 | (is_set ? 1u : 0u);
    }
    return value;
  }
  unsigned tree(probability* nodes, unsigned count) noexcept {
    unsigned node = 1;
    for (unsigned i = 0; i < count; ++i) node = node << 1 | bit(nodes[node]);
    return node - (1u << count);
  }
  unsigned reverse_tree(probability* nodes, unsigned count) noexcept {
    unsigned node = 1, value = 0;
    for (unsigned i = 0; i < count; ++i) {
      const unsigned taken = bit(nodes[node]);
      node = node << 1 | taken;
      value |= taken << i;
    }
    return value;
  }
  unsigned length(length_model& of, unsigned position) noexcept {
    if (bit(of.choices[0]) == 0) return tree(&of.low[position * 8], 3);
    if (bit(of.choices[1]) == 0) return 8 + tree(&of.middle[position * 8], 3);
    return 16 + tree(&of.high[0], 8);
  }
  std::uint32_t distance(unsigned of_length) noexcept {
    const unsigned slot = tree(&slots_[(std::min)(of_length, 3u) * 64], 6);
    if (slot < 4) return slot;
    const unsigned count = (slot >> 1) - 1;
    const std::uint32_t begin = (2u | (slot & 1u)) << count;
    if (slot < 14) return begin + reverse_tree(&places_[begin - slot], count);
    const std::uint32_t high = equal_bits(count - 4) << 4;
    return begin + high + reverse_tree(&aligned_[0], 4);
  }
  void literal() noexcept {
    const unsigned before = written_ == 0 ? 0u : static_cast<unsigned>(into_[written_ - 1]);
    const std::size_t context = ((written_ & ((1u << lp_) - 1)) << lc_) + (before >> (8 - lc_));
    probability* const nodes = &literals_[0x300 * context];
    unsigned node = 1;
    if (state_ >= 7) {
      unsigned match = static_cast<unsigned>(into_[written_ - last_[0] - 1]);
      while (node < 0x100) {
        const unsigned expected = match >> 7 & 1u;
        match <<= 1;
        const unsigned taken = bit(nodes[((1 + expected) << 8) + node]);
        node = node << 1 | taken;
        if (taken != expected) break;
      }
    }
    while (node < 0x100) node = node << 1 | bit(nodes[node]);
    into_[written_++] = static_cast<std::byte>(node & 0xFFu);
    state_ = state_ < 4 ? 0 : state_ < 10 ? state_ - 3 : state_ - 6;
  }
  /// Decodes a match with one of the last distances. @return its length less 2, or nothing to copy more
  unsigned repeated(unsigned position, bool& is_short) noexcept {
    is_short = false;
    if (bit(is_first_[state_]) == 0) {
      is_short = bit(is_long_[state_ * 16 + position]) == 0;
      if (is_short) return state_ = state_ < 7 ? 9 : 11, 0u;
    } else {
      const std::size_t which = bit(is_second_[state_]) == 0 ? 1 : bit(is_third_[state_]) == 0 ? 2 : 3;
      std::rotate(last_, last_ + which, last_ + which + 1);
    }
    const unsigned made = length(repeated_lengths_, position);
    state_ = state_ < 7 ? 8 : 11;
    return made;
  }

  bool decode(std::uint32_t dictionary) noexcept {
    while (written_ != into_.size()) {
      if (!in_.is_good()) return false;
      const unsigned position = static_cast<unsigned>(written_) & position_mask_;
      if (bit(is_match_[state_ * 16 + position]) == 0) {
        literal();
        continue;
      }
      std::size_t size = 0;
      if (bit(is_repeated_[state_]) != 0) {
        bool is_short = false;
        size = repeated(position, is_short) + (is_short ? 1u : 2u);
      } else {
        std::rotate(last_, last_ + 3, last_ + 4);
        const unsigned made = length(lengths_, position);
        state_ = state_ < 7 ? 7 : 10;
        last_[0] = distance(made);
        size = made + std::size_t{2};
      }
      // The distance that marks the end of the stream is one of them.
      if (last_[0] >= written_ || last_[0] >= dictionary || size > into_.size() - written_) return false;
      for (; size != 0; --size, ++written_) into_[written_] = into_[written_ - last_[0] - 1];
    }
    return in_.is_good();
  }

  byte_cursor in_;
  std::span<std::byte> into_;
  std::size_t written_ = 0;
  std::uint32_t range_ = 0xFFFFFFFFu, code_ = 0, last_[4] = {};
  unsigned lc_ = 0, lp_ = 0, position_mask_ = 0, state_ = 0;
  std::vector<probability> literals_;
  probabilities<12 * 16> is_match_, is_long_;
  probabilities<12> is_repeated_, is_first_, is_second_, is_third_;
  probabilities<4 * 64> slots_;
  probabilities<115> places_;
  probabilities<16> aligned_;
  length_model lengths_, repeated_lengths_;
};

/// Decompresses the bytes of a member to exactly the size of `into`; what follows them is not looked at.
/// @return false if they are damaged, too short, or of properties that need more than 24 KiB of memory
inline bool decompress_lzma(std::span<const std::byte> from, std::span<std::byte> into) {
  return lzma_reader(from, into).run();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
