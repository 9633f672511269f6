// SPDX-License-Identifier: MIT
// Inflates what files of other formats hold deflated: RFC 1951, with zlib's frame (RFC 1950) or without.
#ifndef STET_WEB_INFLATE_HPP
#define STET_WEB_INFLATE_HPP

#include <cstddef>
#include <cstdint>

namespace web {

/// A Huffman code with at most 288 symbols, decoded a bit at a time by how many codes there are of each length.
class huffman_code {
public:
  static constexpr int max_length = 15;

  /// @return false if there are more codes than lengths allow
  bool assign(const std::uint8_t* lengths, int symbol_count) noexcept {
    for (std::uint16_t& each : counts_) each = 0;
    for (int symbol = 0; symbol < symbol_count; ++symbol) ++counts_[lengths[symbol]];
    counts_[0] = 0;
    int left = 1;
    std::uint16_t starts[max_length + 2] = {};
    for (int length = 1; length <= max_length; ++length) {
      left = left * 2 - counts_[length];
      if (left < 0) return false;
      starts[length + 1] = static_cast<std::uint16_t>(starts[length] + counts_[length]);
    }
    for (int symbol = 0; symbol < symbol_count; ++symbol) {
      if (lengths[symbol] != 0) symbols_[starts[lengths[symbol]]++] = static_cast<std::uint16_t>(symbol);
    }
    return true;
  }

  /// The next symbol, whose bits `next_bit` gives; below 0 if there is none.
  template <class NextBit> int decode(NextBit next_bit) const noexcept {
    int code = 0, first = 0, index = 0;
    for (int length = 1; length <= max_length; ++length) {
      const int bit = next_bit();
      if (bit < 0) return -1;
      code |= bit;
      const int count = counts_[length];
      if (code - count < first) return symbols_[index + (code - first)];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return -1;
  }

private:
  std::uint16_t counts_[max_length + 1] = {};
  std::uint16_t symbols_[288] = {};
};

/// One run of inflating. Every read and write is within the two blocks of memory, whatever the bytes say.
class inflater {
public:
  inflater(const std::byte* from, std::size_t size_bytes, std::byte* into, std::size_t into_size_bytes) noexcept
      : from_(from), from_end_(from + size_bytes), begin_(into), into_(into), into_end_(into + into_size_bytes) {}

  /// @return whether the blocks are valid and make exactly as many bytes as there is room for
  bool run() noexcept {
    for (;;) {
      const int is_last = bits(1), kind = bits(2);
      if (is_last < 0 || kind < 0) return false;
      const bool is_sound = kind == 0 ? stored() : kind == 1 ? fixed() : kind == 2 ? dynamic() : false;
      if (!is_sound) return false;
      if (is_last == 1) return into_ == into_end_;
    }
  }
  /// Where the first byte after the blocks is.
  [[nodiscard]] const std::byte* end() const noexcept { return from_; }

private:
  /// The next `count` ≤ 13 bits, the least significant first; below 0 at the end.
  int bits(int count) noexcept {
    while (kept_ < count) {
      if (from_ == from_end_) return -1;
      hold_ |= static_cast<std::uint32_t>(*from_++) << kept_;
      kept_ += 8;
    }
    const std::uint32_t value = hold_ & ((1u << count) - 1u);
    hold_ >>= count;
    kept_ -= count;
    return static_cast<int>(value);
  }

  bool stored() noexcept {
    hold_ = 0;
    kept_ = 0;
    if (from_end_ - from_ < 4) return false;
    const auto byte = [&](int at) { return static_cast<unsigned>(from_[at]); };
    const unsigned size = byte(0) | byte(1) << 8, complement = byte(2) | byte(3) << 8;
    from_ += 4;
    if (size != (complement ^ 0xFFFFu) || static_cast<std::size_t>(from_end_ - from_) < size ||
        static_cast<std::size_t>(into_end_ - into_) < size)
      return false;
    for (unsigned i = 0; i < size; ++i) *into_++ = *from_++;
    return true;
  }

  bool fixed() noexcept {
    std::uint8_t lengths[288];
    for (int symbol = 0; symbol < 288; ++symbol)
      lengths[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
    literals_.assign(lengths, 288);
    for (std::uint8_t& each : lengths) each = 5;
    distances_.assign(lengths, 30);
    return coded();
  }

  bool dynamic() noexcept {
    const int literal_bits = bits(5), distance_bits = bits(5), length_bits = bits(4);
    if (literal_bits < 0 || distance_bits < 0 || length_bits < 0) return false;
    const int literal_count = literal_bits + 257, distance_count = distance_bits + 1;
    if (literal_count > 286 || distance_count > 30) return false;
    constexpr std::uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    std::uint8_t lengths[286 + 30] = {};
    for (int i = 0; i < length_bits + 4; ++i) {
      const int length = bits(3);
      if (length < 0) return false;
      lengths[order[i]] = static_cast<std::uint8_t>(length);
    }
    huffman_code of_lengths;
    if (!of_lengths.assign(lengths, 19)) return false;
    for (int at = 0; at < literal_count + distance_count;) {
      const int symbol = of_lengths.decode([&] { return bits(1); });
      if (symbol < 0) return false;
      if (symbol < 16) {
        lengths[at++] = static_cast<std::uint8_t>(symbol);
        continue;
      }
      if (symbol == 16 && at == 0) return false;
      const std::uint8_t repeated = symbol == 16 ? lengths[at - 1] : std::uint8_t{0};
      const int more = symbol == 16 ? bits(2) : symbol == 17 ? bits(3) : bits(7);
      const int times = more + (symbol == 18 ? 11 : 3);
      if (more < 0 || times > literal_count + distance_count - at) return false;
      for (int i = 0; i < times; ++i) lengths[at++] = repeated;
    }
    return literals_.assign(lengths, literal_count) && distances_.assign(lengths + literal_count, distance_count) &&
           coded();
  }

  bool coded() noexcept {
    constexpr std::uint16_t length_bases[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                              31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    constexpr std::uint8_t length_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                            2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    constexpr std::uint16_t distance_bases[] = {1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                                33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                                1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    constexpr std::uint8_t distance_bits[] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                              6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
    const auto next_bit = [&] { return bits(1); };
    for (;;) {
      const int symbol = literals_.decode(next_bit);
      if (symbol < 0) return false;
      if (symbol < 256) {
        if (into_ == into_end_) return false;
        *into_++ = static_cast<std::byte>(symbol);
        continue;
      }
      if (symbol == 256) return true;
      if (symbol > 285) return false;
      const int longer = bits(length_bits[symbol - 257]);
      const int row = distances_.decode(next_bit);
      if (longer < 0 || row < 0 || row > 29) return false;
      const int farther = bits(distance_bits[row]);
      if (farther < 0) return false;
      const int length = length_bases[symbol - 257] + longer, distance = distance_bases[row] + farther;
      if (distance > into_ - begin_ || length > into_end_ - into_) return false;
      for (int i = 0; i < length; ++i, ++into_) *into_ = into_[-distance];
    }
  }

  const std::byte* from_;
  const std::byte* from_end_;
  std::byte* begin_;
  std::byte* into_;
  std::byte* into_end_;
  std::uint32_t hold_ = 0;
  int kept_ = 0;
  huffman_code literals_, distances_;
};

/// A `stet::inflate_function`.
inline bool inflate(const std::byte* from, std::size_t size_bytes, std::byte* into, std::size_t into_size_bytes,
                    bool has_frame) noexcept {
  if (!has_frame) return inflater(from, size_bytes, into, into_size_bytes).run();
  if (size_bytes < 6) return false;
  const unsigned method = static_cast<unsigned>(from[0]), flags = static_cast<unsigned>(from[1]);
  if ((method & 15u) != 8 || (method << 8 | flags) % 31 != 0 || (flags & 32u) != 0) return false;
  inflater body(from + 2, size_bytes - 6, into, into_size_bytes);
  if (!body.run()) return false;
  std::uint32_t low = 1, high = 0;
  for (std::size_t i = 0; i < into_size_bytes; ++i) {
    low = (low + static_cast<std::uint32_t>(into[i])) % 65521;
    high = (high + low) % 65521;
  }
  std::uint32_t expected = 0;
  for (std::size_t i = 0; i < 4; ++i) expected = expected << 8 | static_cast<std::uint32_t>(body.end()[i]);
  return expected == (high << 16 | low);
}

} // namespace web

#endif
