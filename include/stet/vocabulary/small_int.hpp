// SPDX-License-Identifier: MIT
// Integer elements without a built-in type: int4, uint4, int2, uint2, and TensorFlow's quantized integers.
#ifndef STET_VOCABULARY_SMALL_INT_HPP
#define STET_VOCABULARY_SMALL_INT_HPP

#include "config.hpp"

#include "dtype.hpp" // before the classes: GCC warns if an enumerator follows a class of the same name

#include <compare>
#include <cstdint>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

/// An integer of fewer than 8 bits in the low bits of its own byte (two's complement if signed), the same layout as in
/// ml_dtypes. Files pack several into one byte; unpacking gives this type.
///
/// Trivially copyable, one byte. The bits above are written as zero and ignored when read. Widening to `int`
/// is implicit, so that comparison and arithmetic happen in `int`; narrowing is explicit and wraps, as
/// `static_cast` between integers does.
template <int Bits, bool Signed> class small_int {
  static_assert(Bits >= 1 && Bits < 8);

public:
  /// True if there are negative values.
  static constexpr bool is_signed = Signed;
  /// The number of significant bits of a code.
  static constexpr int width_bits = Bits;
  /// The lowest value.
  static constexpr int lowest_value = Signed ? -(1 << (Bits - 1)) : 0;
  /// The largest value.
  static constexpr int largest_value = Signed ? (1 << (Bits - 1)) - 1 : (1 << Bits) - 1;

  /// Leaves the value undetermined; `small_int{}` is 0.
  small_int() = default;

  /// Holds `value` modulo 2^Bits.
  template <class Integer>
    requires std::is_integral_v<Integer>
  explicit constexpr small_int(Integer value) noexcept
      : code_(static_cast<std::uint8_t>(static_cast<std::uint8_t>(value) & code_mask)) {}

  /// The integer with this code; bits of `code` above `width_bits` are ignored.
  [[nodiscard]] static constexpr small_int from_bits(std::uint8_t code) noexcept { return small_int(code); }
  /// The code, in the low `width_bits` bits.
  [[nodiscard]] constexpr std::uint8_t bits() const noexcept { return static_cast<std::uint8_t>(code_ & code_mask); }

  /// The value.
  [[nodiscard]] constexpr operator int() const noexcept { // NOLINT(google-explicit-constructor): loses nothing
    const int code = bits();
    return Signed ? (code ^ sign_code) - sign_code : code;
  }

private:
  static constexpr int code_mask = (1 << Bits) - 1;
  static constexpr int sign_code = 1 << (Bits - 1);

  std::uint8_t code_;
};

/// -8 … 7.
using int4 = small_int<4, true>;
/// 0 … 15.
using uint4 = small_int<4, false>;
/// -2 … 1.
using int2 = small_int<2, true>;
/// 0 … 3.
using uint2 = small_int<2, false>;

/// The stored integer of a quantized number: a separate type, so that it is not used as an ordinary integer. Its value depends
/// on the scale and zero point of the tensor, so it has no arithmetic. Trivially copyable, with the size and alignment of
/// `Integer`.
template <class Integer> struct quantized_int {
  static_assert(std::is_integral_v<Integer>);

  using value_type = Integer;

  /// The code.
  Integer value;

  [[nodiscard]] friend constexpr bool operator==(quantized_int, quantized_int) noexcept = default;
  [[nodiscard]] friend constexpr std::strong_ordering operator<=>(quantized_int, quantized_int) noexcept = default;
};

// Source: tensorflow/core/framework/types.proto, DT_QINT8 … DT_QINT32.
/// TensorFlow's quantized integer of 8 bits, signed.
using qint8 = quantized_int<std::int8_t>;
/// TensorFlow's quantized integer of 8 bits, unsigned.
using quint8 = quantized_int<std::uint8_t>;
/// TensorFlow's quantized integer of 16 bits, signed.
using qint16 = quantized_int<std::int16_t>;
/// TensorFlow's quantized integer of 16 bits, unsigned.
using quint16 = quantized_int<std::uint16_t>;
/// TensorFlow's quantized integer of 32 bits, signed.
using qint32 = quantized_int<std::int32_t>;

} // namespace stet::inline STET_NAMESPACE

#endif // STET_VOCABULARY_SMALL_INT_HPP
