// SPDX-License-Identifier: MIT
// The C++ types that view elements, and the dtype of each.
#ifndef STET_VOCABULARY_ELEMENT_HPP
#define STET_VOCABULARY_ELEMENT_HPP

#include "dtype.hpp"
#include "narrow_float.hpp"
#include "small_int.hpp"

#include <cstdint>
#include <type_traits>

namespace stet::inline v0_1 {

/// A complex number of two floats, the real part first.
struct complex64 {
  float real, imag;
  friend constexpr bool operator==(const complex64&, const complex64&) noexcept = default;
};
/// A complex number of two doubles, the real part first.
struct complex128 {
  double real, imag;
  friend constexpr bool operator==(const complex128&, const complex128&) noexcept = default;
};

/// The dtype that a C++ type views: `dtype_of<float>::value` is dtype::float32. Specialise it for your own types, for
/// example a maths library's half; the type must be trivially copyable and as large as the element.
template <class T> struct dtype_of;

#define STET_DTYPE(Type, Enumerator)                                                                                   \
  template <> struct dtype_of<Type> : std::integral_constant<dtype, dtype::Enumerator> {}
STET_DTYPE(bool, boolean);
STET_DTYPE(std::int8_t, int8);
STET_DTYPE(std::int16_t, int16);
STET_DTYPE(std::int32_t, int32);
STET_DTYPE(std::int64_t, int64);
STET_DTYPE(std::uint8_t, uint8);
STET_DTYPE(std::uint16_t, uint16);
STET_DTYPE(std::uint32_t, uint32);
STET_DTYPE(std::uint64_t, uint64);
STET_DTYPE(stet::float16, float16);
STET_DTYPE(stet::bfloat16, bfloat16);
STET_DTYPE(float, float32);
STET_DTYPE(double, float64);
STET_DTYPE(stet::complex64, complex64);
STET_DTYPE(stet::complex128, complex128);
STET_DTYPE(stet::float8_e4m3fn, float8_e4m3fn);
STET_DTYPE(stet::float8_e5m2, float8_e5m2);
STET_DTYPE(stet::float8_e4m3fnuz, float8_e4m3fnuz);
STET_DTYPE(stet::float8_e5m2fnuz, float8_e5m2fnuz);
STET_DTYPE(stet::float8_e4m3b11fnuz, float8_e4m3b11fnuz);
STET_DTYPE(stet::float8_e8m0fnu, float8_e8m0fnu);
STET_DTYPE(stet::float6_e2m3fn, float6_e2m3fn);
STET_DTYPE(stet::float6_e3m2fn, float6_e3m2fn);
STET_DTYPE(stet::float4_e2m1fn, float4_e2m1fn);
STET_DTYPE(stet::int4, int4);
STET_DTYPE(stet::uint4, uint4);
STET_DTYPE(stet::int2, int2);
STET_DTYPE(stet::uint2, uint2);
STET_DTYPE(stet::qint8, qint8);
STET_DTYPE(stet::quint8, quint8);
STET_DTYPE(stet::qint16, qint16);
STET_DTYPE(stet::quint16, quint16);
STET_DTYPE(stet::qint32, qint32);
#undef STET_DTYPE

/// A C++ type that `dtype_of` maps to a dtype, const or not.
template <class T>
concept element = requires { dtype_of<std::remove_const_t<T>>::value; } && std::is_trivially_copyable_v<T>;

} // namespace stet::inline v0_1

#endif
