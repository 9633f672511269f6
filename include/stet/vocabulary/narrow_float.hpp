// SPDX-License-Identifier: MIT
// Floating-point elements narrower than float: float16, bfloat16 and the float8, float6 and float4 families.
#ifndef STET_VOCABULARY_NARROW_FLOAT_HPP
#define STET_VOCABULARY_NARROW_FLOAT_HPP

#include "config.hpp"

#include "detail/bit_cast.hpp"
#include "dtype.hpp" // before the classes: GCC warns if an enumerator follows a class of the same name

#include <cstdint>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

/// The special values of a format, and its result for values beyond the largest finite one. "Overflow" below means: beyond the
/// largest finite value after rounding, infinities included.
enum class float_coding : std::uint8_t {
  /// IEEE 754: the top exponent holds infinity and the NaNs. Overflow gives infinity.
  ieee,
  /// No infinity; the two codes with all exponent and mantissa bits set are NaN. Overflow gives NaN.
  finite_nan,
  /// No infinity, no negative zero: its code is the only NaN. Overflow gives NaN.
  finite_nan_unsigned_zero,
  /// Neither infinity nor NaN. Overflow gives the largest finite value of that sign, NaN a zero.
  finite,
  /// Powers of two: no sign, no mantissa, no zero; the code with all bits set is NaN. Overflow, zero and
  /// negative numbers give NaN; positive numbers below the smallest power give that power.
  power_of_two,
};

/// A floating-point format. With `m` mantissa bits, a code with exponent field `e` and mantissa field `f` is
/// worth `2^(e - Bias) * (1 + f / 2^m)`, or for `e == 0` (except in `power_of_two`) `2^(1 - Bias) * f / 2^m`.
/// Fields lie as in IEEE 754: sign, exponent, mantissa, from the highest bit down.
template <int ExponentBits, int MantissaBits, int Bias, float_coding Coding> struct float_format {
  /// Bits of the exponent.
  static constexpr int exponent_bits = ExponentBits;
  /// Bits of the fraction.
  static constexpr int mantissa_bits = MantissaBits;
  /// What is subtracted from a stored exponent.
  static constexpr int bias = Bias;
  /// The meaning of the highest codes.
  static constexpr float_coding coding = Coding;
};

// Sources: IEEE 754-2008 clause 3.6 (float16); OCP 8-bit Floating Point Specification 1.0 (e4m3fn, e5m2);
// OCP Microscaling Formats Specification 1.0, clause 5 (e8m0fnu, e2m3fn, e3m2fn, e2m1fn);
// arXiv:2206.02915 (fnuz); ml_dtypes (e4m3b11fnuz).
struct float16_format : float_format<5, 10, 15, float_coding::ieee> {};
struct bfloat16_format : float_format<8, 7, 127, float_coding::ieee> {};
struct float8_e4m3fn_format : float_format<4, 3, 7, float_coding::finite_nan> {};
struct float8_e5m2_format : float_format<5, 2, 15, float_coding::ieee> {};
struct float8_e4m3fnuz_format : float_format<4, 3, 8, float_coding::finite_nan_unsigned_zero> {};
struct float8_e5m2fnuz_format : float_format<5, 2, 16, float_coding::finite_nan_unsigned_zero> {};
struct float8_e4m3b11fnuz_format : float_format<4, 3, 11, float_coding::finite_nan_unsigned_zero> {};
struct float8_e8m0fnu_format : float_format<8, 0, 127, float_coding::power_of_two> {};
struct float6_e2m3fn_format : float_format<2, 3, 1, float_coding::finite> {};
struct float6_e3m2fn_format : float_format<3, 2, 3, float_coding::finite> {};
struct float4_e2m1fn_format : float_format<2, 1, 1, float_coding::finite> {};

/// One number in a format narrower than `float`, stored as its code.
///
/// Trivially copyable, of the size and alignment of `storage_type`, so that the bytes of a file can be viewed
/// as `span<const float16>`. Formats of fewer than 8 bits use the low bits of a byte; the bits above are
/// written as zero and ignored when read.
///
/// Widening to `float` is exact and implicit, so comparison (IEEE: NaN is unequal to everything, -0 equals
/// +0) and arithmetic happen in `float`. Narrowing is explicit and rounds once, to nearest, ties to the even
/// code (`power_of_two`: ties upwards), whatever the rounding mode of the processor.
///
/// NaN keeps its sign where the format codes one. In `ieee` formats it also keeps the leading bits of its
/// payload and becomes quiet. A `finite` format makes it the zero of the opposite sign, as ml_dtypes does.
///
/// For every `float` but NaNs with a payload the codes are those of NumPy (float16) and ml_dtypes 0.6.0 (the
/// others), with one exception: between its two smallest numbers float8_e8m0fnu rounds to the nearer, where
/// ml_dtypes takes the larger. From `double` ml_dtypes rounds twice, by way of `float`; this class does not.
///
/// Nothing here allocates, throws or touches shared state.
template <class Format> class narrow_float {
  static constexpr int mantissa_bits = Format::mantissa_bits;
  static constexpr float_coding coding = Format::coding;

public:
  /// The widths and the coding of the type.
  using format = Format;

  /// True if there are negative values.
  static constexpr bool is_signed = coding != float_coding::power_of_two;
  /// True if there are infinities.
  static constexpr bool has_infinity = coding == float_coding::ieee;
  /// True if there is a NaN.
  static constexpr bool has_quiet_nan = coding != float_coding::finite;
  /// True if there is a zero.
  static constexpr bool has_zero = coding != float_coding::power_of_two;
  /// True if zero has a sign.
  static constexpr bool has_negative_zero = is_signed && coding != float_coding::finite_nan_unsigned_zero;
  /// The number of significant bits of a code.
  static constexpr int width_bits = int{is_signed} + Format::exponent_bits + mantissa_bits;

  /// The integer that holds a code.
  using storage_type = std::conditional_t<(width_bits > 8), std::uint16_t, std::uint8_t>;

  /// Leaves the value undetermined; `narrow_float{}` holds code 0.
  narrow_float() = default;

  /// Rounds `value`; see the class for rounding, overflow and NaN.
  explicit constexpr narrow_float(float value) noexcept : code_(encode<float, std::uint32_t, 23>(value)) {}
  /// Rounds `value` once, not by way of `float`.
  explicit constexpr narrow_float(double value) noexcept : code_(encode<double, std::uint64_t, 52>(value)) {}
  /// Rounds `value` once, also where it has more bits than a `double`.
  template <class Integer>
    requires std::is_integral_v<Integer>
  explicit constexpr narrow_float(Integer value) noexcept : narrow_float(to_double(value)) {}

  /// Makes the number with this code; bits of `code` above `width_bits` are ignored.
  [[nodiscard]] static constexpr narrow_float from_bits(storage_type code) noexcept {
    narrow_float result{};
    result.code_ = static_cast<storage_type>(code & code_mask);
    return result;
  }
  /// The code, in the low `width_bits` bits.
  [[nodiscard]] constexpr storage_type bits() const noexcept { return static_cast<storage_type>(code_ & code_mask); }

  /// The same number as `float`, exactly. Free of branches, so that loops over it vectorise.
  [[nodiscard]] constexpr operator float() const noexcept { // NOLINT(google-explicit-constructor): loses nothing
    return detail::bit_cast<float>(decode());
  }

  /// The largest finite value.
  [[nodiscard]] static constexpr narrow_float largest_finite() noexcept { return from_code(largest_finite_code); }
  /// The lowest finite value.
  [[nodiscard]] static constexpr narrow_float lowest_finite() noexcept {
    return from_code(is_signed ? sign_code | largest_finite_code : 0);
  }
  /// The smallest positive number that has the format's full precision.
  [[nodiscard]] static constexpr narrow_float smallest_normal() noexcept {
    return from_code(has_zero ? implicit_bit : 0);
  }
  /// The smallest positive number.
  [[nodiscard]] static constexpr narrow_float smallest_positive() noexcept { return from_code(has_zero ? 1 : 0); }
  /// Positive infinity, where the type has one.
  [[nodiscard]] static constexpr narrow_float infinity() noexcept
    requires(has_infinity)
  {
    return from_code(infinity_code);
  }
  /// A NaN, where the type has one.
  [[nodiscard]] static constexpr narrow_float quiet_nan() noexcept
    requires(has_quiet_nan)
  {
    return from_code(nan_code);
  }

private:
  // A magnitude is a code without its sign bit. Magnitudes are in the order of their numbers.
  static constexpr std::uint32_t code_mask = (1U << width_bits) - 1;
  static constexpr std::uint32_t sign_code = is_signed ? 1U << (width_bits - 1) : 0;
  static constexpr std::uint32_t magnitude_mask = code_mask & ~sign_code;
  static constexpr std::uint32_t implicit_bit = 1U << mantissa_bits;
  static constexpr std::uint32_t infinity_code = magnitude_mask & ~(implicit_bit - 1); // only in `ieee`
  static constexpr std::uint32_t largest_finite_code = [] {
    switch (coding) {
    case float_coding::ieee:
      return infinity_code - 1;
    case float_coding::finite_nan:
    case float_coding::power_of_two:
      return magnitude_mask - 1;
    default:
      return magnitude_mask;
    }
  }();
  static constexpr std::uint32_t nan_code = [] {
    switch (coding) {
    case float_coding::ieee:
      return infinity_code | implicit_bit >> 1;
    case float_coding::finite_nan:
    case float_coding::power_of_two:
      return magnitude_mask;
    default:
      return sign_code; // `finite` has no NaN and takes its place from negative zero
    }
  }();
  static constexpr std::uint32_t overflow_code = coding == float_coding::ieee     ? infinity_code
                                                 : coding == float_coding::finite ? largest_finite_code
                                                                                  : nan_code;

  static constexpr std::uint32_t float_exponent_mask = 0x7f800000;
  static constexpr std::uint32_t float_quiet_nan = 0x7fc00000;

  static constexpr narrow_float from_code(std::uint32_t code) noexcept {
    return from_bits(static_cast<storage_type>(code));
  }

  /// The bits of the `float` that equals this number.
  constexpr std::uint32_t decode() const noexcept {
    const std::uint32_t code = code_;
    const std::uint32_t magnitude = code & magnitude_mask;
    const std::uint32_t sign = is_signed ? (code & sign_code) << (32 - width_bits) : 0;

    // Fields shifted to their places in a float, the exponent still counted from this format's bias.
    const std::uint32_t aligned = magnitude << (23 - mantissa_bits);

    if constexpr (coding == float_coding::power_of_two) {
      // Same bias as float; only the lowest power is one of float's subnormals.
      return magnitude == nan_code ? float_quiet_nan : magnitude == 0 ? 0x00400000 : aligned;
    } else if constexpr (coding == float_coding::ieee && Format::bias == 127) {
      return sign | aligned;
    } else {
      // Every subnormal of these formats is a normal float: an integer times a power of two, an exact
      // product.
      constexpr auto unit = detail::bit_cast<float>(std::uint32_t{127 + 1 - Format::bias - mantissa_bits} << 23);
      const float subnormal = static_cast<float>(static_cast<std::int32_t>(magnitude)) * unit;
      const std::uint32_t normal = aligned + (std::uint32_t{127 - Format::bias} << 23);

      // Masks rather than conditional results: compilers would branch around the multiplication, and loops
      // over this function would not vectorise.
      const std::uint32_t is_normal = 0 - std::uint32_t{magnitude >= implicit_bit};
      const std::uint32_t finite = (normal & is_normal) | (detail::bit_cast<std::uint32_t>(subnormal) & ~is_normal);
      std::uint32_t special = 0;
      if constexpr (coding == float_coding::ieee)
        special = magnitude >= infinity_code ? float_exponent_mask : 0;
      else if constexpr (has_quiet_nan)
        special = code == nan_code || code == (sign_code | nan_code) ? float_quiet_nan : 0;
      return sign | finite | special;
    }
  }

  /// The code nearest to `value`, a `Source` with `SourceMantissaBits` mantissa bits whose bits fit `Bits`.
  template <class Source, class Bits, int SourceMantissaBits>
  static constexpr storage_type encode(Source value) noexcept {
    constexpr int total_bits = static_cast<int>(8 * sizeof(Bits));
    constexpr Bits one = 1;
    constexpr Bits source_sign = one << (total_bits - 1);
    constexpr Bits source_implicit = one << SourceMantissaBits;
    constexpr Bits source_infinity = source_sign - source_implicit;
    constexpr int source_bias = (1 << (total_bits - 2 - SourceMantissaBits)) - 1;
    constexpr int bias_gap = source_bias - Format::bias;
    constexpr int mantissa_gap = SourceMantissaBits - mantissa_bits;

    const Bits source = detail::bit_cast<Bits>(value);
    const Bits source_magnitude = source & ~source_sign;
    const bool negative = (source & source_sign) != 0;

    // The number is significand * 2^(exponent - source_bias - SourceMantissaBits). Exponent field 0 means
    // exponent 1 without the implicit bit, here as in the target.
    const int exponent_field = static_cast<int>(source_magnitude >> SourceMantissaBits);
    const int exponent = exponent_field > 0 ? exponent_field : 1;
    const Bits significand = (source_magnitude & (source_implicit - 1)) | (exponent_field > 0 ? source_implicit : 0);

    // Below the target's normal numbers each step down in exponent costs one more bit. Past mantissa + 2
    // dropped bits the result is zero however many more are dropped, and the shift stays defined.
    const int below_normal = exponent > bias_gap ? 0 : bias_gap + 1 - exponent;
    const int wanted_drop = mantissa_gap + below_normal;
    const int drop = wanted_drop < SourceMantissaBits + 2 ? wanted_drop : SourceMantissaBits + 2;
    const Bits half = one << (drop - 1);
    const Bits rounded = (significand + (half - 1) + ((significand >> drop) & 1)) >> drop;

    // Added, not or-ed: the implicit bit and a carry out of rounding both raise the exponent by one.
    const int exponent_above = exponent > bias_gap ? exponent - bias_gap - 1 : 0;
    std::uint32_t magnitude =
        (static_cast<std::uint32_t>(exponent_above) << mantissa_bits) + static_cast<std::uint32_t>(rounded);

    if constexpr (coding == float_coding::power_of_two) {
      // Code 0 is a power of two and not zero, so the tie above it lies at 1.5 of it.
      constexpr Bits tie = detail::bit_cast<Bits>(static_cast<Source>(1.5) * static_cast<Source>(from_bits(0)));
      magnitude = source_magnitude < tie ? 0 : magnitude;
    }
    magnitude = magnitude > largest_finite_code ? overflow_code : magnitude;

    if constexpr (coding == float_coding::power_of_two) {
      const bool nan = negative || source_magnitude == 0 || source_magnitude > source_infinity;
      return static_cast<storage_type>(nan ? nan_code : magnitude);
    } else if constexpr (coding == float_coding::finite_nan_unsigned_zero) {
      const bool nan = magnitude == nan_code || source_magnitude > source_infinity;
      const std::uint32_t sign = negative && magnitude != 0 ? sign_code : 0;
      return static_cast<storage_type>(nan ? nan_code : sign | magnitude);
    } else {
      std::uint32_t nan = nan_code;
      if constexpr (coding == float_coding::ieee)
        nan |= static_cast<std::uint32_t>((source_magnitude & (source_implicit - 1)) >> mantissa_gap);
      magnitude = source_magnitude > source_infinity ? nan : magnitude;
      // Exclusive or, since the "NaN" of a `finite` format is its negative zero.
      return static_cast<storage_type>((negative ? sign_code : 0) ^ magnitude);
    }
  }

  /// `value` as a `double` that rounds to the same code. Bits that a `double` cannot hold only matter as "not
  /// zero"; one of the lowest bits that it can hold says so (rounding to odd).
  template <class Integer> static constexpr double to_double(Integer value) noexcept {
    if constexpr (sizeof(Integer) <= 4) {
      return static_cast<double>(value);
    } else {
      const bool negative = value < 0;
      auto magnitude = static_cast<std::uint64_t>(value);
      magnitude = negative ? 0 - magnitude : magnitude;
      constexpr std::uint64_t low = 0x7ff;
      if ((magnitude >> 53) != 0) magnitude = (magnitude & ~low) | ((magnitude & low) != 0 ? low + 1 : 0);
      const auto result = static_cast<double>(magnitude);
      return negative ? -result : result;
    }
  }

  storage_type code_;
};

/// IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits; ±65504, infinities, NaNs.
using float16 = narrow_float<float16_format>;
/// The upper half of a `float`: 8 exponent, 7 mantissa bits; the range of `float`.
using bfloat16 = narrow_float<bfloat16_format>;
/// ±448, NaN, no infinity.
using float8_e4m3fn = narrow_float<float8_e4m3fn_format>;
/// The upper half of a `float16`: ±57344, infinities, NaNs.
using float8_e5m2 = narrow_float<float8_e5m2_format>;
/// ±240, one NaN, no infinity, no negative zero.
using float8_e4m3fnuz = narrow_float<float8_e4m3fnuz_format>;
/// ±57344, one NaN, no infinity, no negative zero.
using float8_e5m2fnuz = narrow_float<float8_e5m2fnuz_format>;
/// ±30, one NaN, no infinity, no negative zero.
using float8_e4m3b11fnuz = narrow_float<float8_e4m3b11fnuz_format>;
/// The powers of two from 2^-127 to 2^127, one NaN: the scale type of the OCP microscaling formats.
using float8_e8m0fnu = narrow_float<float8_e8m0fnu_format>;
/// ±7.5 in steps from 0.125, no infinity, no NaN.
using float6_e2m3fn = narrow_float<float6_e2m3fn_format>;
/// ±28 in steps from 0.0625, no infinity, no NaN.
using float6_e3m2fn = narrow_float<float6_e3m2fn_format>;
/// 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
using float4_e2m1fn = narrow_float<float4_e2m1fn_format>;

} // namespace stet::inline STET_NAMESPACE

#endif // STET_VOCABULARY_NARROW_FLOAT_HPP
