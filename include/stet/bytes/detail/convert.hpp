// SPDX-License-Identifier: MIT
// Converts stored elements to any C++ type: at any address, packed or not, in either byte order.
//
// The result of converting a value of type From (stored) to type To (wanted):
//
//   From            To       result
//   the same as To           the same bits, NaN payloads included
//   integer         integer  the nearest integer of To (saturates; NumPy wraps)
//   float           integer  the fraction dropped, then as above; 0 for NaN (NumPy: undefined beyond To)
//   anything        bool     true if it differs from zero, so true for NaN (as NumPy)
//   integer, float  float    rounded once, to nearest, ties to even (IEEE 754-2008, 4.3.1; as NumPy);
//                            out of range of To: as To defines (narrow_float.hpp), infinity, NaN
//                            or its largest number
//   real            complex  the real part by the rules above, the imaginary part 0 (as NumPy)
//   complex         complex  both parts by the rules above (as NumPy)
//   complex         real     refused: not_convertible (NumPy drops the imaginary part)
//   string, block   any      refused: not_convertible
//
// A bool is the integer 0 or 1; any other stored byte is refused: bad_value. A quantized integer is converted as
// the integer that is stored; the caller applies scale and zero point.
#ifndef STET_BYTES_DETAIL_CONVERT_HPP
#define STET_BYTES_DETAIL_CONVERT_HPP

#include "convert_kernels.hpp"

#include "../../vocabulary/detail/bit_cast.hpp"
#include "../../vocabulary/config.hpp"
#include "../../vocabulary/element.hpp"
#include "../../vocabulary/detail/endian.hpp"
#include "../../vocabulary/error.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

/// Elements as a store holds them, at any address.
struct stored_elements {
  const std::byte* bytes;
  stet::dtype dtype;
  /// Stored bits of one element. The dtype's own number: fewer than 8 are packed from the least significant bit
  /// of each byte. Or 8 for a narrower dtype: each element is in the low bits of its own byte.
  std::uint8_t bits;
  /// True if each word (`dtype_description::word_size_bytes`) is in the other byte order than this machine's.
  bool is_swapped;
};

// One value

/// The range of integers of a type. Written out, because `<limits>` costs a tenth of what the span header does.
template <class T> struct integer_range {
  static constexpr bool is_signed = static_cast<T>(-1) < static_cast<T>(1);
  static constexpr std::uint64_t largest =
      is_signed ? (std::uint64_t{1} << (sizeof(T) * 8 - 1)) - 1 : static_cast<std::uint64_t>(static_cast<T>(-1));
  static constexpr std::int64_t lowest = is_signed ? -static_cast<std::int64_t>(largest) - 1 : 0;
};
template <int Bits, bool Signed> struct integer_range<small_int<Bits, Signed>> {
  static constexpr std::int64_t lowest = small_int<Bits, Signed>::lowest_value;
  static constexpr std::uint64_t largest = static_cast<std::uint64_t>(small_int<Bits, Signed>::largest_value);
};

/// The value in a built-in type of the same width.
template <class T> constexpr T number_of(T value) noexcept { return value; }
template <class Format> constexpr float number_of(narrow_float<Format> value) noexcept { return value; }
template <int Bits, bool Signed> constexpr int number_of(small_int<Bits, Signed> value) noexcept { return value; }

/// The integer of `To` that is nearest to `value`.
template <class To, class From> constexpr To saturated(From value) noexcept {
  using to = integer_range<To>;
  using from = integer_range<From>;
  constexpr From lowest = static_cast<From>(to::lowest > from::lowest ? to::lowest : from::lowest);
  constexpr From largest = static_cast<From>(to::largest < from::largest ? to::largest : from::largest);
  const From above = value > lowest ? value : lowest;
  return static_cast<To>(above < largest ? above : largest);
}

/// `value` without its fraction, saturated to the range of `To`; 0 for NaN.
template <class To, class Float> constexpr To truncated(Float value) noexcept {
  using range = integer_range<To>;
  // Both are zero or, up to sign, a power of two, and therefore exact.
  constexpr Float lowest = static_cast<Float>(range::lowest);
  constexpr Float beyond = static_cast<Float>(range::largest / 2 + 1) * 2;
  // Selects instead of branches, so that loops vectorise. Only values in range are cast: other casts are undefined.
  const Float fitting = value >= lowest && value < beyond ? value : Float{0};
  using integer = std::conditional_t<std::is_integral_v<To>, To, int>;
  const To inside = static_cast<To>(static_cast<integer>(fitting));
  const To above = value >= beyond ? static_cast<To>(range::largest) : inside;
  return value < lowest ? static_cast<To>(range::lowest) : above;
}

template <class T> inline constexpr dtype_kind kind_of = describe(dtype_of<T>::value).kind;

/// True if there is a rule for these types.
template <class To, class From>
inline constexpr bool is_convertible =
    kind_of<From> != dtype_kind::complex || kind_of<To> == dtype_kind::complex || kind_of<To> == dtype_kind::boolean;

/// `value` as `To`, rounded to nearest; NaN keeps its sign and the leading bits of its payload and becomes quiet.
template <class To, class From> constexpr To floating(From value) noexcept {
#if defined(__riscv)
  // RISC-V converts every NaN to the same NaN ("The RISC-V Instruction Set Manual", Volume I, "NaN Generation and Propagation").
  if constexpr (std::is_same_v<From, float> && std::is_same_v<To, double>) {
    if (value != value) {
      const std::uint64_t bits = bit_cast<std::uint32_t>(value);
      return bit_cast<double>((bits & 0x8000'0000) << 32 | 0x7ff8'0000'0000'0000 | (bits & 0x003f'ffff) << 29);
    }
  } else if constexpr (std::is_same_v<From, double> && std::is_same_v<To, float>) {
    if (value != value) {
      const auto bits = bit_cast<std::uint64_t>(value);
      return bit_cast<float>(
          static_cast<std::uint32_t>((bits >> 32 & 0x8000'0000) | 0x7fc0'0000 | (bits >> 29 & 0x003f'ffff)));
    }
  }
#endif
  return static_cast<To>(value);
}

/// Converts one value by the rules at the top of this file. Neither type is quantized.
template <class To, class From> constexpr To convert_value(From value) noexcept {
  if constexpr (kind_of<From> == dtype_kind::complex) {
    if constexpr (kind_of<To> == dtype_kind::boolean) {
      return value.real != 0 || value.imag != 0;
    } else {
      using part = decltype(To::real);
      return {convert_value<part>(value.real), convert_value<part>(value.imag)};
    }
  } else if constexpr (kind_of<To> == dtype_kind::complex) {
    return {convert_value<decltype(To::real)>(value), 0};
  } else if constexpr (kind_of<To> == dtype_kind::boolean) {
    return number_of(value) != 0;
  } else if constexpr (kind_of<To> == dtype_kind::floating) {
    return floating<To>(number_of(value));
  } else if constexpr (kind_of<From> == dtype_kind::floating) {
    return truncated<To>(number_of(value));
  } else {
    return saturated<To>(number_of(value));
  }
}

// Many values: block by block. Blocks that are packed or in the other byte order are first unpacked or swapped.
// Blocks have a fixed length and their pointers do not alias, so that compilers vectorise the loops.

/// The widest element, in bytes.
inline constexpr std::size_t max_element_bytes = 16;

/// The number of bytes that are unpacked or swapped before they are converted: a block of the widest elements, or several.
inline constexpr std::size_t native_size_bytes = block_elements * max_element_bytes * (STET_SMALL_CODE ? 1 : 4);

/// Unpacks a block of codes of `Bits` bits to one code a byte.
template <int Bits> void unpack_block(const std::byte* __restrict packed, std::byte* __restrict codes) noexcept {
  // A group is the smallest number of bytes that holds whole codes.
  constexpr std::size_t group_bytes = Bits == 6 ? 3 : 1, group_elements = group_bytes * 8 / Bits;
  for (std::size_t group = 0; group < block_elements / group_elements; ++group) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < group_bytes; ++i) {
      bits |= static_cast<std::uint32_t>(packed[group * group_bytes + i]) << (8 * i);
    }
    for (std::size_t i = 0; i < group_elements; ++i) {
      codes[group * group_elements + i] = static_cast<std::byte>((bits >> (i * Bits)) & ((1u << Bits) - 1));
    }
  }
}
template <int Bits>
void unpack_blocks(const std::byte* packed, std::byte* codes, [[maybe_unused]] std::size_t block_count) noexcept {
#if STET_SMALL_CODE
  unpack_block<Bits>(packed, codes);
#else
  for (std::size_t i = 0; i < block_count; ++i)
    unpack_block<Bits>(packed + i * (block_elements * Bits / 8), codes + i * block_elements);
#endif
}

/// Copies `size_bytes` bytes of words and reverses the bytes of each.
template <class Word>
void swap_words(const std::byte* __restrict swapped, std::byte* __restrict words, std::size_t size_bytes) noexcept {
  std::size_t at = 0;
#if STET_CONVERT_KERNELS
  if (has_convert_kernels()) at = swap_words_fast<Word>(swapped, words, size_bytes);
#endif
  for (; at < size_bytes; at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, swapped + at, sizeof word);
    word = byte_swapped(word);
    std::memcpy(words + at, &word, sizeof word);
  }
}

/// Unpacks or swaps blocks of elements of `size_bytes` bytes each at `stored`, if it has to be. @return where they are then: at
/// `stored`, or at `native`, which has room for them
inline const std::byte* to_native_blocks(const stored_elements& from, std::size_t size_bytes, const std::byte* stored,
                                         std::byte* native, std::size_t block_count) noexcept {
  const std::size_t word_size_bytes = from.is_swapped ? describe(from.dtype).word_size_bytes : 1;
  const std::size_t all_size_bytes = (STET_SMALL_CODE ? 1 : block_count) * block_elements * size_bytes;
  if (from.bits == 6) {
    unpack_blocks<6>(stored, native, block_count);
  } else if (from.bits == 4) {
    unpack_blocks<4>(stored, native, block_count);
  } else if (from.bits == 2) {
    unpack_blocks<2>(stored, native, block_count);
  } else if (word_size_bytes == 2) {
    swap_words<std::uint16_t>(stored, native, all_size_bytes);
  } else if (word_size_bytes == 4) {
    swap_words<std::uint32_t>(stored, native, all_size_bytes);
  } else if (word_size_bytes == 8) {
    swap_words<std::uint64_t>(stored, native, all_size_bytes);
  } else {
    return stored;
  }
  return native;
}

/// Converts a block of `From` to a block of `To`: the rule that kernels are compared with.
template <class To, class From>
void convert_block(const std::byte* __restrict from, std::byte* __restrict into) noexcept {
  for (std::size_t i = 0; i < block_elements; ++i) {
    From value;
    std::memcpy(&value, from + i * sizeof value, sizeof value);
    const To converted = convert_value<To>(value);
    std::memcpy(into + i * sizeof converted, &converted, sizeof converted);
  }
}

#if STET_CONVERT_KERNELS
/// True if there are kernels by way of float with the same result: each number of one of both types is a float, so that it is rounded
/// once at most.
template <class To, class From>
inline constexpr bool has_kernels_by_float =
    convert_kernel<float, From>::exists && convert_kernel<To, float>::exists &&
    (kind_of<From> == dtype_kind::floating || kind_of<To> == dtype_kind::floating);

/// Converts blocks by way of float, in steps that stay in the first-level cache.
template <class To, class From>
void convert_by_float(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
  constexpr std::size_t step = 8;
  alignas(32) std::byte floats[step * block_elements * sizeof(float)];
  while (block_count != 0) {
    const std::size_t some = block_count < step ? block_count : step;
    convert_kernel<float, From>::run(from, floats, some);
    convert_kernel<To, float>::run(floats, into, some);
    from += some * block_elements * sizeof(From);
    into += some * block_elements * sizeof(To);
    block_count -= some;
  }
}
#endif

#if STET_SMALL_CODE
/// Converts a block.
using convert_function = void (*)(const std::byte* from, std::byte* into) noexcept;
template <class To, class From> inline constexpr convert_function convert_function_of = convert_block<To, From>;
#else
/// Converts `block_count` blocks.
using convert_function = void (*)(const std::byte* from, std::byte* into, std::size_t block_count) noexcept;

/// Converts blocks of `From` to blocks of `To`, by a kernel where this processor has one.
template <class To, class From>
void convert_all(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
#if STET_CONVERT_KERNELS
  if constexpr (convert_kernel<To, From>::exists) {
    if (has_convert_kernels()) return convert_kernel<To, From>::run(from, into, block_count);
  } else if constexpr (has_kernels_by_float<To, From>) {
    if (has_convert_kernels()) return convert_by_float<To, From>(from, into, block_count);
  }
#endif
  for (std::size_t i = 0; i < block_count; ++i)
    convert_block<To, From>(from + i * (block_elements * sizeof(From)), into + i * (block_elements * sizeof(To)));
}
template <class To, class From> inline constexpr convert_function convert_function_of = convert_all<To, From>;
#endif

/// A conversion of blocks, and the sizes of an element before and after it; without a function, the elements stay as they are.
struct block_conversion {
  convert_function convert;
  std::size_t from_size_bytes, to_size_bytes;
};
template <class To, class From>
inline constexpr block_conversion conversion_of{std::is_same_v<To, From> ? nullptr : convert_function_of<To, From>,
                                                sizeof(From), sizeof(To)};

/// Converts `count` elements to elements at `into`. Written once for all types: only the loop over blocks is compiled for each.
inline void convert_blocks(const block_conversion& by, const stored_elements& from, std::byte* into,
                           std::size_t count) noexcept {
  STET_ASSERT(from.bits == describe(from.dtype).bits || (from.bits == 8 && describe(from.dtype).bits < 8));
  const std::size_t from_size = by.from_size_bytes, to_size = by.to_size_bytes;
  const bool is_native = from.bits == 8 * from_size && !from.is_swapped;
  if (by.convert == nullptr && is_native) {
    if (count != 0) std::memcpy(into, from.bytes, count * from_size); // not from nullptr
    return;
  }
  // A last block that is not full is converted as a whole block: from a padded copy, into a buffer of which only the
  // elements that exist are kept.
  constexpr std::size_t room = block_elements * max_element_bytes;
  std::byte last_stored[room], last_converted[room], native[native_size_bytes];
  const bool is_direct = !STET_SMALL_CODE && by.convert == nullptr; // unpacked or swapped to where they belong
  for (std::size_t first = 0, blocks = 1; first < count; first += blocks * block_elements) {
    const std::size_t left = count - first;
    const std::byte* source = from.bytes + first / 8 * from.bits;
    std::byte* target = into + first * to_size;
    if (left < block_elements) {
      if (!STET_SMALL_CODE) blocks = 1;
      std::memset(last_stored, 0, block_elements * from_size);
      std::memcpy(last_stored, source, (left * from.bits + 7) / 8);
      source = last_stored;
      target = last_converted;
    } else if (!STET_SMALL_CODE) {
      const std::size_t most = is_native || is_direct ? left : native_size_bytes / from_size;
      blocks = (left < most ? left : most) / block_elements;
    }
    source = to_native_blocks(from, from_size, source, is_direct ? target : native, blocks);
    if (by.convert != nullptr)
#if STET_SMALL_CODE
      by.convert(source, target);
#else
      by.convert(source, target, blocks);
#endif
    else if (STET_SMALL_CODE || source != target)
      std::memcpy(target, source, blocks * block_elements * from_size); // as bytes: a float register may change a NaN
    if (left < block_elements) std::memcpy(into + first * to_size, last_converted, left * to_size);
  }
}

/// True if each of `count` stored bytes is 0 or 1, and so may be read as bool.
inline bool are_booleans(const std::byte* bytes, std::size_t count) noexcept {
  std::byte seen{0};
  for (std::size_t i = 0; i < count; ++i) seen |= bytes[i];
  return seen <= std::byte{1};
}

/// The type of the values of a stored type: the integer of a quantized integer, else the type itself.
template <class T> struct value_of : std::type_identity<T> {};
template <class Integer> struct value_of<quantized_int<Integer>> : std::type_identity<Integer> {};

/// Copies `count` elements of type `Stored`, a type of stet: unpacked, in this machine's byte order, with the same bits.
/// Takes no span: one of each type would cost the compiler more than all that is done with them.
/// @retval errc::bad_value  bool elements, and a byte is neither 0 nor 1; nothing was written
template <class Stored> errc copy_stored(const stored_elements& from, std::byte* into, std::size_t count) noexcept {
  using word = std::conditional_t<std::is_same_v<Stored, bool>, std::uint8_t, typename value_of<Stored>::type>;
  if (std::is_same_v<Stored, bool> && !are_booleans(from.bytes, count)) return errc::bad_value;
  convert_blocks(conversion_of<word, word>, from, into, count);
  return errc{};
}

/// Copies `into.size()` elements whose dtype is that of `To`: unpacked, in this machine's byte order, with the same bits.
/// @retval errc::bad_value  To is bool and a byte is neither 0 nor 1; nothing was written
/// Cost: reads every byte once (bool: twice), allocates nothing. Instantiates this one copy only.
template <element To> errc copy_elements(const stored_elements& from, std::span<To> into) noexcept {
  using stored = typename element_of<dtype_of<To>::value>::type;
  static_assert(sizeof(To) == sizeof(stored), "dtype_of names a dtype of another size");
  return copy_stored<stored>(from, reinterpret_cast<std::byte*>(into.data()), into.size());
}

/// Converts `into.size()` elements of any dtype to `To`, by the rules at the top of this file.
/// @param from  as many elements as `into` has
/// @retval errc::not_convertible  strings, blocks, or complex numbers to real ones
/// @retval errc::bad_value        bool elements, and a byte is neither 0 nor 1; nothing was written
/// Cost: reads every byte once (bool: twice), allocates nothing. Instantiates a loop for each dtype.
template <element To> errc convert_elements(const stored_elements& from, std::span<To> into) noexcept {
  if (from.dtype == dtype_of<To>::value) return copy_elements(from, into);
  // `To` may be a type of the program, with operations that stet does not know; a type of stet is used instead.
  using target = typename value_of<typename element_of<dtype_of<To>::value>::type>::type;
  static_assert(sizeof(To) == sizeof(target), "dtype_of names a dtype of another size");
  errc outcome = errc::not_convertible;
  visit_dtype(from.dtype, [&]<class Stored>(std::type_identity<Stored>) {
    using source = std::conditional_t<std::is_same_v<Stored, bool>, std::uint8_t, typename value_of<Stored>::type>;
    if constexpr (is_convertible<target, source>) {
      if (std::is_same_v<Stored, bool> && !are_booleans(from.bytes, into.size())) {
        outcome = errc::bad_value;
      } else {
        convert_blocks(conversion_of<target, source>, from, reinterpret_cast<std::byte*>(into.data()), into.size());
        outcome = errc{};
      }
    }
  });
  return outcome;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
