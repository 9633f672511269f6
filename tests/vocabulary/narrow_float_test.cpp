// SPDX-License-Identifier: MIT
// Tests of narrow_float.hpp: every code widened; every boundary between codes narrowed, from float and from
// double.
#include <stet/vocabulary/narrow_float.hpp>

#include "narrow_float_golden.hpp"

#include <doctest/doctest.h>

#include <cfenv>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double quiet_nan = std::numeric_limits<double>::quiet_NaN();

enum class top { infinity_and_nans, nan_at_all_ones, nan_at_negative_zero, ordinary };

/// One format written down a second time, in the words of its specification, and computed with `ldexp`.
struct reference {
  const char* name;
  bool has_sign;
  int exponent_bits;
  int mantissa_bits;
  int bias;
  top coding;

  [[nodiscard]] bool is_scale() const { return !has_sign; }
  [[nodiscard]] int width() const { return (has_sign ? 1 : 0) + exponent_bits + mantissa_bits; }
  [[nodiscard]] unsigned sign_bit() const { return has_sign ? 1U << (width() - 1) : 0; }
  [[nodiscard]] unsigned magnitude_mask() const { return (1U << (exponent_bits + mantissa_bits)) - 1; }

  [[nodiscard]] double value(unsigned code) const {
    const unsigned magnitude = code & magnitude_mask();
    const int exponent = static_cast<int>(magnitude >> mantissa_bits);
    const int mantissa = static_cast<int>(magnitude & ((1U << mantissa_bits) - 1));
    const double sign = (code & sign_bit()) != 0 ? -1 : 1;
    if (coding == top::infinity_and_nans && exponent == (1 << exponent_bits) - 1)
      return mantissa == 0 ? sign * infinity : quiet_nan;
    if (coding == top::nan_at_all_ones && magnitude == magnitude_mask()) return quiet_nan;
    if (coding == top::nan_at_negative_zero && code == sign_bit()) return quiet_nan;
    if (exponent == 0 && !is_scale()) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
  }

  /// Finite values >= 0 in rising order (the index is the code), then the one that would follow if the
  /// exponent had no end.
  [[nodiscard]] std::vector<double> ladder() const {
    std::vector<double> values;
    for (unsigned code = 0; code <= magnitude_mask() && std::isfinite(value(code)); ++code)
      values.push_back(value(code));
    const double last = values.back();
    values.push_back(is_scale() ? 2 * last : last + (last - values[values.size() - 2]));
    return values;
  }

  /// The code nearest to `x` by search among all values; no arithmetic on bits.
  [[nodiscard]] unsigned nearest(double x, const std::vector<double>& values) const {
    const unsigned sign = std::signbit(x) ? sign_bit() : 0;
    const unsigned largest = static_cast<unsigned>(values.size() - 2);
    const unsigned nan_code = coding == top::infinity_and_nans      ? sign | (largest + 1) | 1U << (mantissa_bits - 1)
                              : coding == top::nan_at_all_ones      ? sign | magnitude_mask()
                              : coding == top::nan_at_negative_zero ? sign_bit()
                                                                    : sign ^ sign_bit();
    if (std::isnan(x) || (is_scale() && (std::signbit(x) || x == 0))) return nan_code;
    const double size = std::fabs(x);
    unsigned below = 0; // the last value <= size, but at least the first
    for (unsigned step = 1U << 16; step > 0; step /= 2)
      if (below + step <= largest && values[below + step] <= size) below += step;
    const double midpoint = (values[below] + values[below + 1]) / 2;
    const bool up = size > midpoint || (size == midpoint && (is_scale() || below % 2 == 1));
    const unsigned magnitude = below + (up ? 1 : 0);
    if (magnitude > largest)
      return coding == top::infinity_and_nans ? sign | (largest + 1)
             : coding == top::ordinary        ? sign | largest
                                              : nan_code;
    return coding == top::nan_at_negative_zero && magnitude == 0 ? 0 : sign | magnitude;
  }
};

constexpr reference references[] = {
    {"float16", true, 5, 10, 15, top::infinity_and_nans},
    {"bfloat16", true, 8, 7, 127, top::infinity_and_nans},
    {"float8_e4m3fn", true, 4, 3, 7, top::nan_at_all_ones},
    {"float8_e5m2", true, 5, 2, 15, top::infinity_and_nans},
    {"float8_e4m3fnuz", true, 4, 3, 8, top::nan_at_negative_zero},
    {"float8_e5m2fnuz", true, 5, 2, 16, top::nan_at_negative_zero},
    {"float8_e4m3b11fnuz", true, 4, 3, 11, top::nan_at_negative_zero},
    {"float8_e8m0fnu", false, 8, 0, 127, top::nan_at_all_ones},
    {"float6_e2m3fn", true, 2, 3, 1, top::ordinary},
    {"float6_e3m2fn", true, 3, 2, 3, top::ordinary},
    {"float4_e2m1fn", true, 2, 1, 1, top::ordinary},
};

/// Calls `test(T{}, reference, golden)` for each format.
template <class Test> void for_each_format(Test test) {
  std::size_t row = 0;
  const auto run = [&](auto number) {
    INFO(doctest::String(references[row].name));
    test(number, references[row], narrow_float_goldens[row]);
    ++row;
  };
  run(stet::float16{});
  run(stet::bfloat16{});
  run(stet::float8_e4m3fn{});
  run(stet::float8_e5m2{});
  run(stet::float8_e4m3fnuz{});
  run(stet::float8_e5m2fnuz{});
  run(stet::float8_e4m3b11fnuz{});
  run(stet::float8_e8m0fnu{});
  run(stet::float6_e2m3fn{});
  run(stet::float6_e3m2fn{});
  run(stet::float4_e2m1fn{});
  REQUIRE(row == std::size(references));
  REQUIRE(row == std::size(narrow_float_goldens));
}

std::uint32_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// FNV-1a over little-endian bytes.
class digest {
public:
  void add(std::uint32_t value, int size_bytes) {
    for (int byte = 0; byte < size_bytes; ++byte) value_ = (value_ ^ (value >> 8 * byte & 0xff)) * 0x100000001b3;
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

/// The list that narrow_float_golden.py describes. `ladder` as above.
std::vector<float> boundary_floats(const std::vector<double>& ladder) {
  std::vector<float> floats;
  const auto add = [&](std::uint32_t bits) {
    floats.push_back(float_of(bits));
    floats.push_back(float_of(bits | 0x80000000));
  };
  for (std::size_t i = 0; i + 1 < ladder.size(); ++i)
    for (const double centre : {ladder[i], (ladder[i] + ladder[i + 1]) / 2}) {
      const std::uint32_t bits = bits_of(static_cast<float>(centre));
      add(bits);
      add(bits > 0 ? bits - 1 : 0);
      add(bits + 1);
    }
  for (const std::uint32_t bits : {0x7f800000U, 0x7fc00000U, 0x7f7fffffU, 0x00000001U, 0x00800000U}) add(bits);
  return floats;
}

/// Counts numbers whose code is not the nearest one and remembers the first.
template <class T> struct narrowing_check {
  const reference& definition;
  std::vector<double> ladder = definition.ladder();
  std::size_t mismatches = 0;
  double first = 0;

  template <class Number> void operator()(Number x) {
    auto wide = static_cast<double>(x);
    if (x != x) wide = std::copysign(wide, std::signbit(x) ? -1.0 : 1.0); // a machine may have but one NaN
    if (T(x).bits() != definition.nearest(wide, ladder) && mismatches++ == 0) first = wide;
  }
  void report() const {
    CAPTURE(first);
    CHECK(mismatches == 0);
  }
};

} // namespace

TEST_SUITE("narrow_float") {
  TEST_CASE("is laid out as its storage integer") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden&) {
      using T = decltype(number);
      using storage = typename T::storage_type;
      static_assert(sizeof(T) == sizeof(storage) && alignof(T) == alignof(storage));
      static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);
      static_assert(std::is_trivially_default_constructible_v<T>);
      static_assert(std::is_convertible_v<T, float> && !std::is_convertible_v<float, T>);
      static_assert(std::is_nothrow_constructible_v<T, float> && std::is_nothrow_constructible_v<T, double>);
      CHECK(T::width_bits == definition.width());
      CHECK(sizeof(T) == (definition.width() == 16 ? 2 : 1));
      CHECK(T{}.bits() == 0);
    });
  }

  TEST_CASE("works in constant expressions") {
    static_assert(stet::float16(1.0F).bits() == 0x3c00);
    static_assert(stet::float16(-2.0).bits() == 0xc000);
    static_assert(stet::bfloat16::from_bits(0x3f80) == 1.0F);
    static_assert(stet::float8_e4m3fn(464.0F) == 448.0F, "the tie goes to the even code, which is finite");
    static_assert(stet::float8_e8m0fnu(1.5F) == 2.0F);
    static_assert(stet::float4_e2m1fn(100) == 6.0F);
  }

  TEST_CASE("every code widens to its value") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden& golden) {
      using T = decltype(number);
      digest all;
      std::size_t mismatches = 0;
      for (unsigned code = 0; code < 1U << definition.width(); ++code) {
        const auto narrow = T::from_bits(static_cast<typename T::storage_type>(code));
        const float actual = narrow;
        const double value = definition.value(code);
        const bool same = std::isnan(value)
                              ? std::isnan(actual)
                              : static_cast<double>(actual) == value && std::signbit(actual) == std::signbit(value);
        mismatches += same && narrow.bits() == code ? 0U : 1U;
        all.add(std::isnan(actual) ? 0x7fc00000 : bits_of(actual), 4);
      }
      CHECK(mismatches == 0);
      CHECK(all.value() == golden.widened);
    });
  }

  TEST_CASE("every code that is not NaN survives float, double and back") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden&) {
      using T = decltype(number);
      std::size_t mismatches = 0;
      for (unsigned code = 0; code < 1U << definition.width(); ++code) {
        const float value = T::from_bits(static_cast<typename T::storage_type>(code));
        if (!std::isnan(value))
          mismatches += T(value).bits() == code && T(static_cast<double>(value)).bits() == code ? 0U : 1U;
      }
      CHECK(mismatches == 0);
    });
  }

  TEST_CASE("floats on and beside every boundary narrow as other libraries narrow them") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden& golden) {
      using T = decltype(number);
      digest all;
      std::size_t count = 0;
      for (const float x : boundary_floats(definition.ladder())) {
        // ml_dtypes takes the larger of the two smallest powers for all between them; the nearest is tested
        // below.
        if (definition.is_scale() && std::fabs(x) > 0x1p-127F && std::fabs(x) < 0x1.8p-127F && !std::signbit(x))
          continue;
        ++count;
        all.add(T(x).bits(), 2);
      }
      CHECK(count == golden.input_count);
      CHECK(all.value() == golden.narrowed);
    });
  }

  TEST_CASE("floats on and beside every boundary narrow to the nearest code") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden&) {
      narrowing_check<decltype(number)> check{definition};
      for (const float x : boundary_floats(check.ladder)) {
        check(x);
        check(static_cast<double>(x));
      }
      check.report();
    });
  }

  TEST_CASE("doubles beside every boundary are rounded once") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden&) {
      narrowing_check<decltype(number)> check{definition};
      for (const float x : boundary_floats(check.ladder)) {
        const auto centre = static_cast<double>(x);
        check(std::nextafter(centre, infinity));
        check(std::nextafter(centre, -infinity));
      }
      for (const double x : {infinity, quiet_nan, std::numeric_limits<double>::denorm_min(), 0x1p-1022, 0x1p-200, 1e300,
                             (std::numeric_limits<double>::max)()}) {
        check(x);
        check(-x);
      }
      check.report();
    });
  }

  TEST_CASE("random doubles and floats narrow to the nearest code") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden&) {
      narrowing_check<decltype(number)> check{definition};
      std::uint64_t state = 0x9e3779b97f4a7c15; // xorshift64
      for (int i = 0; i < 50000; ++i) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        const double mantissa = std::ldexp(static_cast<double>(state >> 11), -52);
        const int exponent = static_cast<int>(state % 300) - 150;
        const double x = std::ldexp((state & 0x400) != 0 ? -mantissa : mantissa, exponent);
        check(x);
        const float y = float_of(static_cast<std::uint32_t>(state >> 32));
        if (!std::isnan(y)) // Payloads have a test of their own.
          check(y);
      }
      check.report();
    });
  }

  TEST_CASE("integers of 64 bits are rounded once") {
    constexpr std::int64_t tie = (std::int64_t{1} << 62) + (std::int64_t{1} << 54);
    CHECK(stet::bfloat16(tie) == 0x1p62F);
    CHECK(stet::bfloat16(tie + 1) == 0x1.02p62F); // as a double it would be the tie itself
    CHECK(stet::bfloat16(tie - 1) == 0x1p62F);
    CHECK(stet::bfloat16(-tie - 1) == -0x1.02p62F);
    CHECK(stet::bfloat16((std::numeric_limits<std::int64_t>::min)()) == -0x1p63F);
    CHECK(stet::bfloat16((std::numeric_limits<std::uint64_t>::max)()) == 0x1p64F);
    CHECK(stet::float16(std::uint64_t{65519}) == 65504.0F);
    CHECK(stet::float16(65520) == std::numeric_limits<float>::infinity());
    CHECK(stet::float16(true) == 1.0F);
    CHECK(stet::float8_e4m3fn(-17) == -16.0F);
  }

  TEST_CASE("the rounding mode of the processor changes nothing") {
#if defined(FE_UPWARD) && defined(FE_DOWNWARD) && defined(FE_TOWARDZERO)
    for_each_format([](auto number, const reference& definition, const narrow_float_golden& golden) {
      using T = decltype(number);
      const std::vector<float> inputs = boundary_floats(definition.ladder());
      for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
        const int before = std::fegetround();
        if (std::fesetround(mode) != 0) continue; // Emulators without rounding modes have nothing to test here.
        digest widened;
        for (unsigned code = 0; code < 1U << definition.width(); ++code) {
          const float x = T::from_bits(static_cast<typename T::storage_type>(code));
          widened.add(std::isnan(x) ? 0x7fc00000 : bits_of(x), 4);
        }
        std::vector<unsigned> codes;
        for (const float x : inputs) codes.push_back(T(x).bits());
        std::fesetround(before);
        CHECK(widened.value() == golden.widened);
        std::size_t mismatches = 0;
        for (std::size_t i = 0; i < inputs.size(); ++i) mismatches += T(inputs[i]).bits() == codes[i] ? 0U : 1U;
        CHECK(mismatches == 0);
      }
    });
#else
    MESSAGE("no rounding modes on this platform");
#endif
  }

  TEST_CASE("NaN keeps its sign and the head of its payload where the format has room") {
    CHECK(stet::float16(float_of(0x7fc00000)).bits() == 0x7e00);
    CHECK(stet::float16(float_of(0xffc02000)).bits() == 0xfe01);
    CHECK(stet::bfloat16(float_of(0xffc10000)).bits() == 0xffc1);
    CHECK(stet::bfloat16(float_of(0x7f800001)).bits() == 0x7fc0); // a payload cut to zero must not become infinity
    CHECK(stet::float8_e5m2(-quiet_nan).bits() == 0xfe);
    CHECK(stet::float8_e4m3fn(-quiet_nan).bits() == 0xff);
    CHECK(stet::float8_e4m3fnuz(-quiet_nan).bits() == 0x80);
    CHECK(stet::float8_e8m0fnu(-quiet_nan).bits() == 0xff);
    CHECK(stet::float6_e3m2fn(quiet_nan).bits() == 0x20);
    CHECK(stet::float4_e2m1fn(-quiet_nan).bits() == 0x00);
  }

  TEST_CASE("compares as IEEE 754 asks") {
    const stet::float16 one(1);
    const stet::float16 two(2);
    const stet::float16 quiet = stet::float16::quiet_nan();
    CHECK(one < two);
    CHECK(one != two);
    CHECK(one == stet::bfloat16(1));
    CHECK(stet::float16(-0.0F) == stet::float16(0.0F));
    CHECK(stet::float16(-0.0F).bits() == 0x8000);
    CHECK_FALSE(quiet == quiet);
    CHECK(quiet != quiet);
    CHECK((one <=> two) == std::partial_ordering::less);
    CHECK((one <=> quiet) == std::partial_ordering::unordered);
  }

  TEST_CASE("names its limits") {
    for_each_format([](auto number, const reference& definition, const narrow_float_golden&) {
      using T = decltype(number);
      const std::vector<double> ladder = definition.ladder();
      const double largest = ladder[ladder.size() - 2];
      CHECK(static_cast<double>(T::largest_finite()) == largest);
      CHECK(static_cast<double>(T::lowest_finite()) == (definition.has_sign ? -largest : ladder[0]));
      CHECK(static_cast<double>(T::smallest_positive()) == (definition.is_scale() ? ladder[0] : ladder[1]));
      CHECK(static_cast<double>(T::smallest_normal()) ==
            std::ldexp(1, definition.is_scale() ? -definition.bias : 1 - definition.bias));
      CHECK(T::is_signed == definition.has_sign);
      CHECK(T::has_zero == !definition.is_scale());
      CHECK(T::has_negative_zero == (definition.has_sign && definition.coding != top::nan_at_negative_zero));
      CHECK(T::has_infinity == (definition.coding == top::infinity_and_nans));
      CHECK(T::has_quiet_nan == (definition.coding != top::ordinary));
      if constexpr (T::has_infinity) CHECK(static_cast<double>(T::infinity()) == infinity);
      if constexpr (T::has_quiet_nan) CHECK(std::isnan(static_cast<float>(T::quiet_nan())));
    });
  }

  TEST_CASE("bits above a narrow code are ignored") {
    const std::uint8_t bytes[] = {0xfa, 0xda};
    stet::float4_e2m1fn four_bits;
    stet::float6_e2m3fn six_bits;
    std::memcpy(&four_bits, &bytes[0], 1);
    std::memcpy(&six_bits, &bytes[1], 1);
    CHECK(four_bits.bits() == 0x0a);
    CHECK(four_bits == -1.0F);
    CHECK(six_bits.bits() == 0x1a);
    CHECK(six_bits == stet::float6_e2m3fn::from_bits(0xda));
    CHECK(stet::float4_e2m1fn::from_bits(0xff).bits() == 0x0f);
  }
}
