// SPDX-License-Identifier: MIT
// Tests of convert.hpp: every pair of dtypes over boundary values against exact integer arithmetic; packing,
// byte order, addresses; what is refused.
#include <stet/bytes/detail/convert.hpp>

#include "support/thinned.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

/// A program's own type, of which stet knows the dtype and nothing else.
struct foreign_half {
  std::uint16_t bits;
};
template <> struct stet::dtype_of<foreign_half> : std::integral_constant<stet::dtype, stet::dtype::float16> {};

namespace {

using stet::dtype;
using stet::errc;
using stet::float_coding;
using stet::detail::convert_elements;
using stet::detail::copy_elements;
using stet::detail::stored_elements;

// The reference: codes and exact numbers, in integer arithmetic, sharing nothing with the library but dtype
// numbers.

/// A code is the bits of one element; the imaginary part, if any, stands beside it.
struct code {
  std::uint64_t real = 0, imag = 0;
};

/// `significand` × 2^`exponent`, an infinity or a NaN, with a sign.
struct number {
  enum { finite, infinite, nan } kind = finite;
  bool is_negative = false;
  std::uint64_t significand = 0;
  int exponent = 0;
};

struct format {
  dtype type;
  enum { boolean, integer, floating, complex } kind;
  int bits;       // of a code; of a part where complex
  bool is_signed; // integers
  int mantissa_bits = 0, bias = 0;
  float_coding coding = float_coding::ieee;
};

constexpr auto nan_only = float_coding::finite_nan;
constexpr auto unsigned_zero = float_coding::finite_nan_unsigned_zero;

const format formats[] = {
    {dtype::boolean, format::boolean, 8, false},
    {dtype::int8, format::integer, 8, true},
    {dtype::int16, format::integer, 16, true},
    {dtype::int32, format::integer, 32, true},
    {dtype::int64, format::integer, 64, true},
    {dtype::uint8, format::integer, 8, false},
    {dtype::uint16, format::integer, 16, false},
    {dtype::uint32, format::integer, 32, false},
    {dtype::uint64, format::integer, 64, false},
    {dtype::float16, format::floating, 16, true, 10, 15},
    {dtype::bfloat16, format::floating, 16, true, 7, 127},
    {dtype::float32, format::floating, 32, true, 23, 127},
    {dtype::float64, format::floating, 64, true, 52, 1023},
    {dtype::complex64, format::complex, 32, true, 23, 127},
    {dtype::complex128, format::complex, 64, true, 52, 1023},
    {dtype::float8_e4m3fn, format::floating, 8, true, 3, 7, nan_only},
    {dtype::float8_e5m2, format::floating, 8, true, 2, 15},
    {dtype::float8_e4m3fnuz, format::floating, 8, true, 3, 8, unsigned_zero},
    {dtype::float8_e5m2fnuz, format::floating, 8, true, 2, 16, unsigned_zero},
    {dtype::float8_e4m3b11fnuz, format::floating, 8, true, 3, 11, unsigned_zero},
    {dtype::float8_e8m0fnu, format::floating, 8, false, 0, 127, float_coding::power_of_two},
    {dtype::float6_e2m3fn, format::floating, 6, true, 3, 1, float_coding::finite},
    {dtype::float6_e3m2fn, format::floating, 6, true, 2, 3, float_coding::finite},
    {dtype::float4_e2m1fn, format::floating, 4, true, 1, 1, float_coding::finite},
    {dtype::int4, format::integer, 4, true},
    {dtype::uint4, format::integer, 4, false},
    {dtype::int2, format::integer, 2, true},
    {dtype::uint2, format::integer, 2, false},
    {dtype::qint8, format::integer, 8, true},
    {dtype::quint8, format::integer, 8, false},
    {dtype::qint16, format::integer, 16, true},
    {dtype::quint16, format::integer, 16, false},
    {dtype::qint32, format::integer, 32, true},
};

const format& format_of(dtype type) {
  for (const format& row : formats) {
    if (row.type == type) return row;
  }
  return formats[0];
}

std::uint64_t low_bits(int count) { return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1; }

/// The number that a code of `from` stands for.
number decode(const format& from, std::uint64_t bits) {
  number result;
  if (from.kind == format::boolean || from.kind == format::integer) {
    result.is_negative = from.is_signed && (bits >> (from.bits - 1)) != 0;
    result.significand = result.is_negative ? (~bits + 1) & low_bits(from.bits) : bits;
    return result;
  }
  const std::uint64_t magnitude = from.is_signed ? bits & low_bits(from.bits - 1) : bits;
  result.is_negative = magnitude != bits;
  const std::uint64_t fraction = magnitude & low_bits(from.mantissa_bits);
  const std::uint64_t exponent = magnitude >> from.mantissa_bits;
  const int magnitude_bits = from.is_signed ? from.bits - 1 : from.bits;
  switch (from.coding) {
  case float_coding::ieee:
    if (exponent == low_bits(magnitude_bits - from.mantissa_bits)) {
      result.kind = fraction == 0 ? number::infinite : number::nan;
      return result;
    }
    break;
  case float_coding::finite_nan:
  case float_coding::power_of_two:
    if (magnitude == low_bits(magnitude_bits)) result.kind = number::nan;
    break;
  case float_coding::finite_nan_unsigned_zero:
    if (result.is_negative && magnitude == 0) result.kind = number::nan;
    break;
  case float_coding::finite:
    break;
  }
  if (from.coding == float_coding::power_of_two || exponent != 0) {
    result.significand = (std::uint64_t{1} << from.mantissa_bits) | fraction;
    result.exponent = static_cast<int>(exponent) - from.bias - from.mantissa_bits;
  } else {
    result.significand = fraction;
    result.exponent = 1 - from.bias - from.mantissa_bits;
  }
  return result;
}

/// `significand` × 2^`shift` as an integer, fractions dropped; the largest uint64 if that is not enough.
std::uint64_t whole(const number& value) {
  if (value.significand == 0 || value.exponent <= -64) return 0;
  if (value.exponent <= 0) return value.significand >> -value.exponent;
  if (value.exponent >= 64 || value.significand > ~std::uint64_t{0} >> value.exponent) return ~std::uint64_t{0};
  return value.significand << value.exponent;
}

std::uint64_t encode_integer(const format& to, const number& value) {
  if (value.kind == number::nan) return 0;
  const std::uint64_t size = value.kind == number::infinite ? ~std::uint64_t{0} : whole(value);
  if (!value.is_negative) {
    const std::uint64_t largest = low_bits(to.is_signed ? to.bits - 1 : to.bits);
    return size < largest ? size : largest;
  }
  const std::uint64_t lowest = to.is_signed ? std::uint64_t{1} << (to.bits - 1) : 0;
  return (~(size < lowest ? size : lowest) + 1) & low_bits(to.bits);
}

/// The code of `to` nearest to `value`, found by walking over all codes' neighbourhood in integer arithmetic:
/// the largest magnitude code not above the value by bisection, then the nearer of it and the next.
std::uint64_t encode_float(const format& to, const number& value) {
  const int magnitude_bits = to.is_signed ? to.bits - 1 : to.bits;
  const std::uint64_t sign = to.is_signed && value.is_negative ? std::uint64_t{1} << magnitude_bits : 0;
  const std::uint64_t all = low_bits(magnitude_bits);
  const std::uint64_t top = all & ~low_bits(to.mantissa_bits); // where infinity stands in `ieee`
  std::uint64_t largest = all, overflow = all | sign, nan = all | sign;
  switch (to.coding) {
  case float_coding::ieee:
    largest = top - 1;
    overflow = top | sign;
    break;
  case float_coding::finite_nan:
    largest = all - 1;
    break;
  case float_coding::finite_nan_unsigned_zero:
    overflow = nan = std::uint64_t{1} << magnitude_bits;
    break;
  case float_coding::finite:
    nan = sign ^ (std::uint64_t{1} << magnitude_bits); // the zero of the opposite sign
    break;
  case float_coding::power_of_two:
    largest = all - 1;
    if (value.is_negative || (value.kind == number::finite && value.significand == 0)) return nan;
    break;
  }
  if (value.kind == number::nan) return nan;
  if (value.kind == number::infinite) return overflow;
  const std::uint64_t zero = to.coding == unsigned_zero ? 0 : sign;
  if (value.significand == 0) return zero;

  // Compares `value` with m × 2^e exactly: by the place of the highest bit, then bit by bit.
  const auto compare = [&value](std::uint64_t m, int e) {
    std::uint64_t n = value.significand;
    int f = value.exponent;
    if (m == 0) return 1;
    while ((m >> 63) == 0) m <<= 1, --e;
    while ((n >> 63) == 0) n <<= 1, --f;
    if (e != f) return f > e ? 1 : -1;
    return n == m ? 0 : n > m ? 1 : -1;
  };
  const auto exponent_of = [&to](std::uint64_t magnitude) {
    const int field = static_cast<int>(magnitude >> to.mantissa_bits);
    const bool is_subnormal = field == 0 && to.coding != float_coding::power_of_two;
    return (is_subnormal ? 1 : field) - to.bias - to.mantissa_bits;
  };
  const auto significand_of = [&to](std::uint64_t magnitude) {
    const bool is_subnormal = (magnitude >> to.mantissa_bits) == 0 && to.coding != float_coding::power_of_two;
    return (magnitude & low_bits(to.mantissa_bits)) | (is_subnormal ? 0 : std::uint64_t{1} << to.mantissa_bits);
  };
  std::uint64_t below = 0, above = largest + 1; // as if the exponent range went on
  if (to.coding == float_coding::power_of_two && compare(significand_of(0), exponent_of(0)) < 0) return 0;
  while (above - below > 1) {
    const std::uint64_t middle = below + (above - below) / 2;
    (compare(significand_of(middle), exponent_of(middle)) >= 0 ? below : above) = middle;
  }
  // Halfway to the next: one bit more of significand. The next code has the same exponent, or is twice the
  // power of two.
  const int order = compare(2 * significand_of(below) + 1, exponent_of(below) - 1);
  const bool ties_up = to.coding == float_coding::power_of_two || (below & 1) != 0;
  const std::uint64_t nearest = order > 0 || (order == 0 && ties_up) ? below + 1 : below;
  if (nearest > largest) return overflow;
  return nearest == 0 ? zero : nearest | sign;
}

std::uint64_t encode(const format& to, const number& value) {
  if (to.kind == format::boolean) return value.kind != number::finite || value.significand != 0 ? 1 : 0;
  return to.kind == format::integer ? encode_integer(to, value) : encode_float(to, value);
}

code convert_code(const format& from, const format& to, code stored) {
  if (from.type == to.type) return stored;
  const number real = decode(from, stored.real);
  if (from.kind != format::complex) return {encode(to, real), 0};
  const number imag = decode(from, stored.imag);
  if (to.kind == format::boolean) return {encode(to, real) | encode(to, imag), 0};
  return {encode(to, real), encode(to, imag)};
}

/// Whether `actual` is the code expected, or another NaN of the same sign where one is expected of a
/// conversion.
bool agrees(const format& to, std::uint64_t actual, std::uint64_t expected, bool exactly) {
  if (actual == expected) return true;
  if (exactly || (to.kind != format::floating && to.kind != format::complex)) return false;
  const number a = decode(to, actual), b = decode(to, expected);
  return a.kind == number::nan && b.kind == number::nan && a.is_negative == b.is_negative;
}

// Codes worth trying.

struct random_bits {
  std::uint64_t state = 0x9E3779B97F4A7C15;
  std::uint64_t operator()() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
};

/// All codes up to 8 bits; of wider ones the ends of every binade and of every run of bits that a narrower
/// type keeps.
std::vector<std::uint64_t> part_codes(const format& from) {
  std::vector<std::uint64_t> codes;
  random_bits random;
  const auto add = [&](std::uint64_t bits) { codes.push_back(bits & low_bits(from.bits)); };
  if (from.kind == format::boolean) return {0, 1};
  if (from.bits <= 8) {
    for (std::uint64_t bits = 0; bits < std::uint64_t{1} << from.bits; ++bits) add(bits);
  } else if (from.kind == format::integer) {
    for (int shift = 0; shift < from.bits; ++shift) {
      const std::uint64_t power = std::uint64_t{1} << shift;
      for (const std::uint64_t size : {power - 1, power, power + 1, power | random() % power}) {
        add(size);
        add(~size + 1);
      }
      for (const int kept :
           {1, 2, 3, 4, 7, 8, 10, 11, 23, 24, 52, 53}) { // then exactly half a unit, and a little beside it
        if (kept >= shift) continue;
        const std::uint64_t half = std::uint64_t{1} << (shift - kept - 1);
        const std::uint64_t head = (power | random() % power) & ~(2 * half - 1);
        for (const std::uint64_t size : {head + half - 1, head + half, head + half + 1}) {
          add(size);
          add(~size + 1);
        }
      }
    }
  } else {
    const int exponent_bits = from.bits - 1 - from.mantissa_bits;
    const std::uint64_t fraction_mask = low_bits(from.mantissa_bits);
    for (int exponent = 0; exponent < 1 << exponent_bits; ++exponent) {
      const int unbiased = exponent - from.bias;
      const bool is_end = exponent < 2 || exponent + 2 >= 1 << exponent_bits;
      if (!is_end && (unbiased < -170 || unbiased > 135)) continue; // no other format has anything there
      std::vector<std::uint64_t> fractions = {0, 1, fraction_mask, fraction_mask - 1, random()};
      for (const int kept : {0, 1, 2, 3, 7, 10, 23}) {
        if (kept >= from.mantissa_bits) continue;
        const std::uint64_t half = std::uint64_t{1} << (from.mantissa_bits - kept - 1);
        const std::uint64_t head = random() & ~(2 * half - 1);
        for (const std::uint64_t fraction : {head + half - 1, head + half, head + half + 1})
          fractions.push_back(fraction);
      }
      for (const std::uint64_t fraction : fractions) {
        const std::uint64_t magnitude =
            static_cast<std::uint64_t>(exponent) << from.mantissa_bits | (fraction & fraction_mask);
        add(magnitude);
        add(magnitude | std::uint64_t{1} << (from.bits - 1));
      }
    }
  }
  return codes;
}

std::vector<code> codes_of(const format& from) {
  std::vector<code> codes;
  const std::vector<std::uint64_t> parts = part_codes(from);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    codes.push_back({parts[i], from.kind == format::complex ? parts[parts.size() - 1 - i] : 0});
  }
  if (from.kind == format::complex) codes.insert(codes.end(), {{0, 0}, {parts[40], 0}, {0, parts[40]}});
  return codes;
}

// Codes to stored bytes and back.

constexpr bool host_is_big = std::endian::native == std::endian::big;

void append_word(std::vector<std::byte>& bytes, std::uint64_t word, std::size_t size, bool big) {
  for (std::size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<std::byte>(word >> (8 * (big ? size - 1 - i : i)) & 0xFF));
  }
}

/// The codes as a store would hold them after `lead` bytes of something else, in a buffer that ends with
/// them.
std::vector<std::byte> store(const format& from, const std::vector<code>& codes, bool packed, bool swapped,
                             std::size_t lead) {
  std::vector<std::byte> bytes(lead, std::byte{0xAB});
  if (packed) {
    const std::size_t width = static_cast<std::size_t>(from.bits);
    bytes.resize(lead + (codes.size() * width + 7) / 8);
    for (std::size_t i = 0; i < codes.size() * width; ++i) {
      const bool bit = (codes[i / width].real >> (i % width) & 1) != 0;
      if (bit) bytes[lead + i / 8] |= std::byte{1} << (i % 8);
    }
  } else {
    const std::size_t size = static_cast<std::size_t>(from.bits + 7) / 8;
    for (const code& element : codes) {
      append_word(bytes, element.real, size, host_is_big != swapped);
      if (from.kind == format::complex) append_word(bytes, element.imag, size, host_is_big != swapped);
    }
  }
  bytes.shrink_to_fit();
  return bytes;
}

template <class To> code code_of(const format& to, const To& element) {
  std::byte bytes[sizeof(To)];
  std::memcpy(bytes, &element, sizeof element);
  const std::size_t size = to.kind == format::complex ? sizeof(To) / 2 : sizeof(To);
  code result;
  for (std::size_t i = 0; i < sizeof(To); ++i) {
    const std::size_t place = i % size;
    const auto byte = static_cast<std::uint64_t>(bytes[i]) << (8 * (host_is_big ? size - 1 - place : place));
    (i < size ? result.real : result.imag) |= byte;
  }
  return result;
}

/// An array of `To` that can be viewed as a span; vector<bool> cannot.
template <class To> struct elements {
  explicit elements(std::size_t element_count) : storage(element_count * sizeof(To)), count(element_count) {}
  std::span<To> span() { return {reinterpret_cast<To*>(storage.data()), count}; }
  std::vector<std::byte> storage;
  std::size_t count;
};

/// The first element that is not what the reference says, in words; empty if there is none.
template <class To>
std::string first_difference(const format& from, const format& to, const std::vector<code>& codes,
                             std::span<const To> actual) {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const code expected = convert_code(from, to, codes[i]), found = code_of(to, actual[i]);
    const bool exactly = from.type == to.type;
    if (!agrees(to, found.real, expected.real, exactly) || !agrees(to, found.imag, expected.imag, exactly)) {
      return std::string(stet::name_of(from.type)) + " to " + std::string(stet::name_of(to.type)) + ", element " +
             std::to_string(i) + ", code " + std::to_string(codes[i].real) + " + " + std::to_string(codes[i].imag) +
             "i: is " + std::to_string(found.real) + " + " + std::to_string(found.imag) + "i, should be " +
             std::to_string(expected.real) + " + " + std::to_string(expected.imag) + "i";
    }
  }
  return {};
}

bool has_rule(const format& from, const format& to) {
  return from.kind != format::complex || to.kind == format::complex || to.kind == format::boolean;
}

/// Calls `test(std::type_identity<T>{}, format)` for each element type.
template <class Test> void for_each_element(Test test) {
  for (const format& row : formats) {
    stet::visit_dtype(row.type, [&](auto type) { test(type, row); });
  }
}

/// Converts `codes`, stored so, and compares.
template <class To>
void check(const format& from, const format& to, const std::vector<code>& codes, bool packed, bool swapped,
           std::size_t lead) {
  const std::vector<std::byte> bytes = store(from, codes, packed, swapped, lead);
  const int part_bits = packed || from.bits >= 8 ? from.bits : 8;
  const auto bits = static_cast<std::uint8_t>(from.kind == format::complex ? 2 * part_bits : part_bits);
  elements<To> into(codes.size());
  const errc failure = convert_elements(stored_elements{bytes.data() + lead, from.type, bits, swapped}, into.span());
  REQUIRE(failure == (has_rule(from, to) ? errc{} : errc::not_convertible));
  if (failure != errc{}) return;
  const std::span<const To> actual = into.span();
  CHECK(first_difference(from, to, codes, actual) == "");
}

template <class To> To convert_one(auto value) {
  using From = decltype(value);
  std::byte bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  elements<To> into(1);
  const stored_elements stored{bytes, stet::dtype_of<From>::value, sizeof(From) * 8, false};
  REQUIRE(convert_elements(stored, into.span()) == errc{});
  return into.span()[0];
}

} // namespace

TEST_SUITE("convert") {
  TEST_CASE("the reference knows every dtype that has elements") {
    std::size_t count = 0;
    for (const stet::dtype_description& row : stet::dtype_table) {
      const bool has_type = stet::visit_dtype(row.dtype, [&]<class T>(std::type_identity<T>) {
        ++count;
        CHECK(stet::dtype_of<T>::value == row.dtype);
        CHECK(format_of(row.dtype).type == row.dtype);
      });
      CHECK(has_type == (row.dtype != dtype::string && row.dtype != dtype::block));
    }
    CHECK(count == std::size(formats));
    CHECK_FALSE(stet::visit_dtype(dtype{0}, [](auto) { FAIL_CHECK("called"); }));
    CHECK_FALSE(stet::visit_dtype(dtype{255}, [](auto) { FAIL_CHECK("called"); }));
  }

  TEST_CASE("every dtype to every type gives what exact arithmetic gives") {
    for (const format& from : formats) {
      const std::vector<code> codes = codes_of(from);
      for_each_element(
          [&]<class To>(std::type_identity<To>, const format& to) { check<To>(from, to, codes, false, false, 0); });
    }
  }

  TEST_CASE("packed, swapped and unaligned elements convert as plain ones do, in any number") {
    for (const format& from : formats) {
      const std::vector<code> all = codes_of(from);
      random_bits random;
      constexpr std::size_t counts[] = {0, 1, 2, 3, 7, 8, 63, 64, 65, 127, 128, 200};
      for (std::size_t row = 0; row < std::size(counts); row += stet_test::step_if_thinned(3)) {
        const std::size_t count = counts[row];
        std::vector<code> codes;
        for (std::size_t i = 0; i < count; ++i) codes.push_back(all[static_cast<std::size_t>(random() % all.size())]);
        for (std::size_t lead = 0; lead < 3; ++lead) {
          const bool can_pack = from.bits < 8;
          const bool can_swap = from.bits > 8;
          for_each_element([&]<class To>(std::type_identity<To>, const format& to) {
            check<To>(from, to, codes, can_pack, false, lead);
            check<To>(from, to, codes, false, can_swap, lead);
          });
        }
      }
    }
  }

  TEST_CASE("integers saturate") {
    CHECK(convert_one<std::int8_t>(std::int32_t{128}) == 127);
    CHECK(convert_one<std::int8_t>(std::int64_t{-129}) == -128);
    CHECK(convert_one<std::uint8_t>(std::int16_t{-1}) == 0);
    CHECK(convert_one<std::uint64_t>(std::int64_t{-1}) == 0);
    CHECK(convert_one<std::int64_t>(~std::uint64_t{0}) == (std::numeric_limits<std::int64_t>::max)());
    CHECK(convert_one<stet::int4>(std::int8_t{100}) == 7);
    CHECK(convert_one<stet::uint2>(stet::int4{-8}) == 0);
    CHECK(convert_one<stet::qint8>(std::int32_t{1000}).value == 127);
  }

  TEST_CASE("floats become integers without their fraction, within the type; NaN becomes 0") {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(convert_one<std::int32_t>(-1.9f) == -1);
    CHECK(convert_one<std::int32_t>(2147483648.0f) == 2147483647);
    CHECK(convert_one<std::int32_t>(-infinity) == (std::numeric_limits<std::int32_t>::min)());
    CHECK(convert_one<std::uint64_t>(infinity) == ~std::uint64_t{0});
    CHECK(convert_one<std::uint64_t>(18446744073709549568.0) == 18446744073709549568u);
    CHECK(convert_one<std::int64_t>(9223372036854774784.0) == 9223372036854774784);
    CHECK(convert_one<std::uint8_t>(-0.5f) == 0);
    CHECK(convert_one<std::int8_t>(-128.9f) == -128);
    CHECK(convert_one<std::int16_t>(nan) == 0);
    CHECK(convert_one<stet::int2>(nan) == 0);
    CHECK(convert_one<std::uint16_t>(stet::float16(-3.0f)) == 0);
  }

  TEST_CASE("floats are rounded once, to nearest, ties to even") {
    // By way of float, the first would lose the 2^-40 that breaks the tie; by way of double, the second its
    // lowest bit.
    CHECK(convert_one<stet::float16>(1.0 + 0x1p-11 + 0x1p-40).bits() == stet::float16(1.0f + 0x1p-10f).bits());
    CHECK(convert_one<stet::bfloat16>((std::int64_t{1} << 62) + (std::int64_t{1} << 54) + 1).bits() ==
          stet::bfloat16(0x1p62f + 0x1p55f).bits());
    CHECK(convert_one<float>((std::int64_t{1} << 62) + (std::int64_t{1} << 38) + 1) == 0x1p62f + 0x1p39f);
    CHECK(convert_one<float>(std::int32_t{16777217}) == 16777216.0f);
    CHECK(convert_one<double>(~std::uint64_t{0}) == 18446744073709551616.0);
    CHECK(convert_one<float>(1e300) == std::numeric_limits<float>::infinity());
    CHECK(convert_one<stet::float16>(65520.0f).bits() == stet::float16::infinity().bits());
    CHECK(convert_one<stet::float4_e2m1fn>(std::int32_t{-1000}).bits() == stet::float4_e2m1fn::lowest_finite().bits());
  }

  TEST_CASE("anything but zero is true, NaN too") {
    CHECK(convert_one<bool>(std::numeric_limits<double>::quiet_NaN()));
    CHECK(convert_one<bool>(std::numeric_limits<float>::denorm_min()));
    CHECK_FALSE(convert_one<bool>(-0.0f));
    CHECK_FALSE(convert_one<bool>(stet::qint32{0}));
    CHECK(convert_one<bool>(stet::complex64{0, 1}));
    CHECK_FALSE(convert_one<bool>(stet::complex64{0, -0.0f}));
  }

  TEST_CASE("real numbers become complex with no imaginary part") {
    CHECK(convert_one<stet::complex64>(true) == stet::complex64{1, 0});
    CHECK(convert_one<stet::complex128>(stet::bfloat16(-2.5f)) == stet::complex128{-2.5, 0});
    CHECK(convert_one<stet::complex64>(stet::complex128{1e300, -3}) ==
          stet::complex64{std::numeric_limits<float>::infinity(), -3});
  }

  TEST_CASE("what has no rule is refused and writes nothing") {
    const std::byte bytes[32] = {};
    float into[1] = {7};
    for (const dtype type : {dtype::string, dtype::block, dtype::complex64, dtype::complex128, dtype{0}, dtype{200}}) {
      const std::uint8_t bits = stet::is_known(type) ? stet::describe(type).bits : std::uint8_t{0};
      CHECK(convert_elements(stored_elements{bytes, type, bits, false}, std::span<float>(into)) ==
            errc::not_convertible);
      CHECK(into[0] == 7);
    }
  }

  TEST_CASE("a bool that is neither 0 nor 1 is refused and writes nothing, wherever it stands") {
    for (std::size_t bad = 0; bad < 130; ++bad) {
      std::vector<std::byte> bytes(130, std::byte{1});
      bytes[bad] = bad % 2 == 0 ? std::byte{2} : std::byte{0x80};
      const stored_elements stored{bytes.data(), dtype::boolean, 8, false};
      std::vector<float> converted(130, 7.0f);
      CHECK(convert_elements(stored, std::span(converted)) == errc::bad_value);
      CHECK(converted == std::vector<float>(130, 7.0f));
      elements<bool> copied(130);
      CHECK(copy_elements(stored, copied.span()) == errc::bad_value);
      CHECK(convert_elements(stored, copied.span()) == errc::bad_value);
      CHECK(copied.storage == std::vector<std::byte>(130));
      std::vector<std::uint8_t> before(bad);
      CHECK(convert_elements(stored, std::span(before)) == errc{});
    }
  }

  TEST_CASE("copying keeps the bits of NaNs, swapped or not") {
    const std::uint32_t signalling = 0xFFA12345;
    std::vector<std::byte> bytes;
    for (int i = 0; i < 70; ++i) append_word(bytes, signalling, 4, !host_is_big);
    std::vector<float> into(70);
    CHECK(copy_elements(stored_elements{bytes.data(), dtype::float32, 32, true}, std::span(into)) == errc{});
    for (const float& element : into) {
      std::uint32_t bits;
      std::memcpy(&bits, &element, sizeof bits);
      CHECK(bits == signalling);
    }
  }

  TEST_CASE("a program's own type receives the elements of its dtype") {
    const float values[3] = {1.0f, -2.0f, 65536.0f};
    std::byte bytes[sizeof values];
    std::memcpy(bytes, values, sizeof values);
    foreign_half into[3] = {};
    CHECK(convert_elements(stored_elements{bytes, dtype::float32, 32, false}, std::span<foreign_half>(into)) == errc{});
    CHECK(into[0].bits == 0x3C00);
    CHECK(into[1].bits == 0xC000);
    CHECK(into[2].bits == 0x7C00);
    CHECK(copy_elements(stored_elements{reinterpret_cast<const std::byte*>(into), dtype::float16, 16, false},
                        std::span<foreign_half>(into).first(0)) == errc{});
  }

  TEST_CASE("no elements at no address are no error") {
    for_each_element([]<class To>(std::type_identity<To>, const format& to) {
      for (const format& from : formats) {
        const auto bits = stet::describe(from.type).bits;
        const errc expected = has_rule(from, to) ? errc{} : errc::not_convertible;
        CHECK(convert_elements(stored_elements{nullptr, from.type, bits, false}, std::span<To>()) == expected);
      }
    });
  }
}
