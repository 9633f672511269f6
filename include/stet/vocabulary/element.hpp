// SPDX-License-Identifier: MIT
// The C++ types that view elements, the dtype of each, and the way from a dtype back to its type.
#ifndef STET_VOCABULARY_ELEMENT_HPP
#define STET_VOCABULARY_ELEMENT_HPP

#include "config.hpp"

#include "dtype.hpp"
#include "detail/integer.hpp"
#include "narrow_float.hpp"
#include "small_int.hpp"

#include <cstdint>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

/// A complex number of two floats, the real part first.
struct complex64 {
  /// The real part.
  float real;
  /// The imaginary part.
  float imag;
  friend constexpr bool operator==(const complex64&, const complex64&) noexcept = default;
};
/// A complex number of two doubles, the real part first.
struct complex128 {
  /// The real part.
  double real;
  /// The imaginary part.
  double imag;
  friend constexpr bool operator==(const complex128&, const complex128&) noexcept = default;
};

/// The dtype that a C++ type views: `dtype_of<float>::value` is dtype::float32. Every integer type has the one of its width,
/// `long` and `long long`, too; characters and std::byte have none. Specialise it for your own types, for
/// example a maths library's half; the type must be trivially copyable and as large as the element.
template <class T> struct dtype_of;
template <class T> struct dtype_of<const T> : dtype_of<T> {};
template <class T>
  requires detail::integer<T> && (!std::is_const_v<T>)
struct dtype_of<T> : dtype_of<typename detail::sized_integer<sizeof(T), std::is_signed_v<T>>::type> {};

/// The C++ type of stet that views a dtype: `element_of<dtype::float32>::type` is float. Every dtype has one but string
/// and block.
template <dtype D> struct element_of;

#define STET_ELEMENTS(X)                                                                                               \
  X(bool, boolean)                                                                                                     \
  X(std::int8_t, int8)                                                                                                 \
  X(std::int16_t, int16)                                                                                               \
  X(std::int32_t, int32)                                                                                               \
  X(std::int64_t, int64)                                                                                               \
  X(std::uint8_t, uint8)                                                                                               \
  X(std::uint16_t, uint16)                                                                                             \
  X(std::uint32_t, uint32)                                                                                             \
  X(std::uint64_t, uint64)                                                                                             \
  X(stet::float16, float16)                                                                                            \
  X(stet::bfloat16, bfloat16)                                                                                          \
  X(float, float32)                                                                                                    \
  X(double, float64)                                                                                                   \
  X(stet::complex64, complex64)                                                                                        \
  X(stet::complex128, complex128)                                                                                      \
  X(stet::float8_e4m3fn, float8_e4m3fn)                                                                                \
  X(stet::float8_e5m2, float8_e5m2)                                                                                    \
  X(stet::float8_e4m3fnuz, float8_e4m3fnuz)                                                                            \
  X(stet::float8_e5m2fnuz, float8_e5m2fnuz)                                                                            \
  X(stet::float8_e4m3b11fnuz, float8_e4m3b11fnuz)                                                                      \
  X(stet::float8_e8m0fnu, float8_e8m0fnu)                                                                              \
  X(stet::float6_e2m3fn, float6_e2m3fn)                                                                                \
  X(stet::float6_e3m2fn, float6_e3m2fn)                                                                                \
  X(stet::float4_e2m1fn, float4_e2m1fn)                                                                                \
  X(stet::int4, int4)                                                                                                  \
  X(stet::uint4, uint4)                                                                                                \
  X(stet::int2, int2)                                                                                                  \
  X(stet::uint2, uint2)                                                                                                \
  X(stet::qint8, qint8)                                                                                                \
  X(stet::quint8, quint8)                                                                                              \
  X(stet::qint16, qint16)                                                                                              \
  X(stet::quint16, quint16)                                                                                            \
  X(stet::qint32, qint32)

#define STET_ELEMENT(Type, Enumerator)                                                                                 \
  template <> struct dtype_of<Type> {                                                                                  \
    static constexpr dtype value = dtype::Enumerator;                                                                  \
  };                                                                                                                   \
  template <> struct element_of<dtype::Enumerator> {                                                                   \
    using type = Type;                                                                                                 \
  };
STET_ELEMENTS(STET_ELEMENT)
#undef STET_ELEMENT

/// Calls `visitor(std::type_identity<T>{})`, where `T` is the C++ type that views `d`: a loop over elements is written once,
/// as a generic lambda, and compiled for each dtype.
/// @return false, without a call, if `d` has no such type: string, block, or no known dtype
template <class Visitor> constexpr bool visit_dtype(dtype d, Visitor&& visitor) {
  switch (d) {
#define STET_CASE(Type, Enumerator)                                                                                    \
  case dtype::Enumerator:                                                                                              \
    visitor(std::type_identity<Type>{});                                                                               \
    return true;
    STET_ELEMENTS(STET_CASE)
#undef STET_CASE
  default:
    return false;
  }
}
#undef STET_ELEMENTS

/// A C++ type that `dtype_of` maps to a dtype, const or not.
template <class T>
concept element = requires { dtype_of<std::remove_const_t<T>>::value; } && std::is_trivially_copyable_v<T>;

} // namespace stet::inline STET_NAMESPACE

#endif
