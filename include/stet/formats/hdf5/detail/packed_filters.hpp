// SPDX-License-Identifier: MIT
// Undoes the filters of HDF5 that pack numbers into few bits: szip and scale-offset.
#ifndef STET_FORMATS_HDF5_DETAIL_PACKED_FILTERS_HPP
#define STET_FORMATS_HDF5_DETAIL_PACKED_FILTERS_HPP

#include "../../../vocabulary/config.hpp"

#include "../../../wire/cursor.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads bits from bytes, the most significant bit of each byte first. Bits beyond the end are zeros and set a failure.
class msb_bit_reader {
public:
  explicit msb_bit_reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  [[nodiscard]] bool is_good() const noexcept { return is_good_; }

  /// Takes the next `count` ≤ 64 bits.
  std::uint64_t take(std::size_t count) noexcept {
    std::uint64_t value = 0;
    while (count != 0) {
      const std::uint64_t place = at_ / 8;
      if (place >= bytes_.size()) return is_good_ = false, std::uint64_t{0};
      const std::size_t left = 8 - static_cast<std::size_t>(at_ % 8), some = (std::min)(left, count);
      const std::uint64_t byte = static_cast<std::uint64_t>(bytes_[static_cast<std::size_t>(place)]);
      value = value << some | (byte >> (left - some) & ((std::uint64_t{1} << some) - 1));
      at_ += some, count -= some;
    }
    return value;
  }
  /// Counts the zeros before the next one bit, and passes over all of them and the one.
  std::uint64_t take_zeros() noexcept {
    std::uint64_t count = 0;
    while (is_good_ && take(1) == 0) ++count;
    return count;
  }

private:
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
  bool is_good_ = true;
};

/// Undoes the adaptive entropy coding of samples of 1 to 32 bits, as bytes, or as words of 2 or 4 bytes.
///
/// Samples are in blocks, and blocks are in runs. With a predictor, a run begins with an uncoded sample. A block begins with
/// an option:
///   all ones   uncoded samples
///   k + 1      the upper bits of each sample, as that number of zeros and a one; then the lower k bits of all samples
///   0, then 0  a number of blocks of zeros
///   0, then 1  pairs of samples
/// Source: CCSDS 121.0-B-3, 3 and 4.
class entropy_decoder {
public:
  struct options {
    std::size_t bits = 8, block = 8;
    bool is_predicted = false;
  };
  entropy_decoder(std::span<const std::byte> from, const options& how) noexcept : from_(from), how_(how) {
    id_bits_ = how.bits > 16 ? 5 : how.bits > 8 ? 4 : 3;
  }

  /// Decodes the next run, of `block_count` blocks, into the beginning of `run`. @return false if the bytes are invalid
  bool next(std::span<std::uint32_t> run, std::size_t block_count) noexcept {
    std::fill(run.begin(), run.end(), 0u);
    for (std::size_t block = 0; block < block_count;) {
      const std::size_t done = take_block(run.subspan(block * how_.block), block, block_count);
      if (done == 0 || !from_.is_good()) return false;
      block += done;
    }
    if (how_.is_predicted) add_up(run);
    return true;
  }

private:
  /// Decodes a block, or several blocks of zeros, from block `number` of `count` of a run on.
  /// @return the number of blocks; 0 if the bytes are invalid
  std::size_t take_block(std::span<std::uint32_t> into, std::size_t number, std::size_t count) noexcept {
    const std::size_t as_it_is = (std::size_t{1} << id_bits_) - 1;
    const std::size_t first = how_.is_predicted && number == 0 ? 1 : 0;
    const std::size_t option = static_cast<std::size_t>(from_.take(id_bits_));
    const bool is_by_twos = option == 0 && from_.take(1) == 1;
    if (option == as_it_is) {
      for (std::size_t i = 0; i < how_.block; ++i) into[i] = static_cast<std::uint32_t>(from_.take(how_.bits));
      return 1;
    }
    if (first != 0) into[0] = static_cast<std::uint32_t>(from_.take(how_.bits));
    if (is_by_twos) {
      for (std::size_t i = 0; i < how_.block; i += 2) {
        const std::uint64_t code = from_.take_zeros();
        std::uint64_t sum = 0; // the sum of a pair; its codes begin at sum (sum + 1) / 2
        while ((sum + 1) * (sum + 2) / 2 <= code && from_.is_good()) ++sum;
        const std::uint64_t second = code - sum * (sum + 1) / 2;
        if (i >= first) into[i] = static_cast<std::uint32_t>(sum - second);
        into[i + 1] = static_cast<std::uint32_t>(second);
      }
      return 1;
    }
    if (option == 0) {
      constexpr std::uint64_t to_the_end = 4, segment = 64;
      const std::uint64_t zeros = from_.take_zeros();
      const std::uint64_t rest = (std::min)(std::uint64_t{count - number}, segment - number % segment);
      const std::uint64_t blocks = zeros == to_the_end ? rest : zeros < to_the_end ? zeros + 1 : zeros;
      return blocks <= count - number ? static_cast<std::size_t>(blocks) : 0;
    }
    const std::size_t low_bits = option - 1;
    for (std::size_t i = first; i < how_.block; ++i)
      into[i] = static_cast<std::uint32_t>(from_.take_zeros() << low_bits);
    for (std::size_t i = first; i < how_.block; ++i) into[i] |= static_cast<std::uint32_t>(from_.take(low_bits));
    return 1;
  }

  /// Converts differences to samples. Differences are folded: even ones are added to the sample before, odd ones are
  /// subtracted. Differences beyond the range on one side all go to the other side.
  void add_up(std::span<std::uint32_t> run) const noexcept {
    const std::uint64_t most = (std::uint64_t{1} << how_.bits) - 1;
    std::uint64_t value = run[0] & most;
    for (std::size_t i = 1; i < run.size(); ++i) {
      const std::uint64_t folded = run[i] & most, half = folded / 2 + folded % 2;
      const std::uint64_t room = (std::min)(value, most - value);
      if (half <= room) {
        value = folded % 2 == 0 ? value + half : value - half;
      } else {
        value = value <= most / 2 ? folded : most - folded;
      }
      run[i] = static_cast<std::uint32_t>(value);
    }
  }

  msb_bit_reader from_;
  options how_;
  std::size_t id_bits_;
};

/// Decompresses the szip filter of HDF5: u32 size | coded samples. Samples of 32 and 64 bits are coded as bytes: all first
/// bytes of a chunk, then all second bytes …
/// @param values  the filter's parameters: options, samples in a block, bits of a sample, samples in a line
/// @return        false if the bytes are invalid, or samples do not have 8, 16, 32 or 64 bits
/// Source: CCSDS 121.0-B-3; HDF5 1.14, src/H5Zszip.c; libaec 1.1, README.SZIP.
inline bool decompress_szip(std::span<const std::byte> from, std::span<std::byte> into,
                            std::span<const std::byte> values) {
  constexpr std::uint32_t is_high_first = 16, is_predicted = 32;
  byte_cursor fields(values), size(from);
  const std::uint32_t options = fields.take_u32(), block = fields.take_u32(), bits = fields.take_u32(),
                      line = fields.take_u32();
  constexpr std::uint32_t most_blocks = 128; // blocks in a line
  const bool is_sound = fields.is_good() && block != 0 && block % 2 == 0 && block <= 32 && line >= block &&
                        line <= most_blocks * block && (bits == 8 || bits == 16 || bits == 32 || bits == 64);
  if (size.take_u32() != into.size() || !size.is_good() || !is_sound || into.size() % (bits / 8) != 0) return false;
  // The size of a coded sample, and the number of parts in which the bytes of a number are stored.
  const std::size_t sample_size = bits == 16 ? 2 : 1, apart = bits / 8 / sample_size;
  const std::size_t count = into.size() / sample_size, numbers = count / apart;
  // A line is a run. If it ends within a block, it is padded to the end of the block.
  std::vector<std::uint32_t> run((line + block - 1) / block * block);
  entropy_decoder decoder(size.rest(), {sample_size * 8, block, (options & is_predicted) != 0});
  for (std::size_t begin = 0; begin < count; begin += line) {
    const std::size_t some = (std::min)(std::size_t{line}, count - begin);
    if (!decoder.next(run, (some + block - 1) / block)) return false;
    for (std::size_t i = 0; i < some; ++i) {
      const std::size_t place = ((begin + i) % numbers * apart + (begin + i) / numbers) * sample_size;
      for (std::size_t byte = 0; byte < sample_size; ++byte) {
        const std::size_t shift = (options & is_high_first) != 0 ? sample_size - 1 - byte : byte;
        into[place + byte] = static_cast<std::byte>(run[i] >> 8 * shift & 0xFFu);
      }
    }
  }
  return true;
}

/// Undoes scale-offset: u32 bits of a number | u8 size of the minimum | the minimum, 8 bytes | 8 unused | numbers minus
/// the minimum, packed. Floats were multiplied by a power of ten and rounded. All ones are the fill value, if there is
/// one.
/// @param values  the filter's parameters: kind of scale, exponent of ten, count, class, size of a number, whether it is
///                signed, byte order, whether there is a fill value, and its bytes
/// @return        false if the bytes are invalid, or numbers are not integers or floats of 4 or 8 bytes
/// Source: HDF5 1.14, src/H5Zscaleoffset.c.
inline bool decompress_scale_offset(std::span<const std::byte> from, std::span<std::byte> into,
                                    std::span<const std::byte> values) noexcept {
  constexpr std::uint32_t decimal_floats = 0, integers = 2;
  constexpr std::size_t head = 21;
  byte_cursor fields(values), start(from);
  const std::uint32_t kind = fields.take_u32();
  const auto exponent = static_cast<std::int32_t>(fields.take_u32());
  fields.skip(8); // the count, which the chunk states, and the class
  const std::uint32_t size = fields.take_u32();
  fields.skip(4); // whether it is signed
  const bool is_big_endian = fields.take_u32() == 1, has_fill = fields.take_u32() == 1;
  const std::uint64_t fill = has_fill && size <= 8 ? fields.take_sized((std::min)(size, 8u)) : 0;
  const std::uint32_t bits = start.take_u32();
  const bool has_minimum = start.take_u8() == 8;
  const std::uint64_t minimum = start.take_u64();
  const bool is_float = kind == decimal_floats;
  const bool is_size = is_float ? size == 4 || size == 8 : size == 1 || size == 2 || size == 4 || size == 8;
  if (!fields.is_good() || !start.is_good() || !has_minimum || (!is_float && kind != integers) || !is_size ||
      bits > size * 8 || from.size() < head || into.size() % size != 0) {
    return false;
  }
  if (bits == size * 8) { // the numbers are not packed
    if (from.size() - head != into.size()) return false;
    std::copy(from.begin() + head, from.end(), into.begin());
    return true;
  }
  msb_bit_reader packed(from.subspan(head));
  const std::uint64_t all_ones = (std::uint64_t{1} << bits) - 1;
  const double scale = is_float ? std::pow(10.0, exponent) : 1;
  const auto scaled = [&](auto least, std::uint64_t number) { // in the float's own precision
    using value_type = decltype(least);
    std::memcpy(&least, &minimum, sizeof least);
    // x87 registers have more digits than the float; storing to memory rounds.
    const volatile value_type quotient =
        static_cast<value_type>(static_cast<std::int64_t>(number)) / static_cast<value_type>(scale);
    const value_type value = quotient + least;
    std::uint64_t made = 0;
    std::memcpy(&made, &value, sizeof value);
    return made;
  };
  for (std::size_t at = 0; at < into.size(); at += size) {
    std::uint64_t number = packed.take(bits);
    if (has_fill && number == all_ones && bits != 0) {
      number = fill;
    } else if (is_float) {
      number = size == 4 ? scaled(float(), number) : scaled(double(), number);
    } else {
      number += minimum;
    }
    for (std::size_t byte = 0; byte < size; ++byte)
      into[at + (is_big_endian ? size - 1 - byte : byte)] = static_cast<std::byte>(number >> 8 * byte & 0xFFu);
  }
  return packed.is_good();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
