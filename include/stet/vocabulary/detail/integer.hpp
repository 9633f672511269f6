// SPDX-License-Identifier: MIT
// The integer types of C++, by their width.
#ifndef STET_VOCABULARY_DETAIL_INTEGER_HPP
#define STET_VOCABULARY_DETAIL_INTEGER_HPP

#include "../config.hpp"

#include <cstdint>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

template <class T, class... Others> inline constexpr bool is_any_of = (std::is_same_v<T, Others> || ...);

/// An integer type of up to 64 bits; neither bool nor a character.
template <class T>
concept integer = std::is_integral_v<T> && sizeof(T) <= 8 &&
                  !is_any_of<std::remove_cv_t<T>, bool, char, wchar_t, char8_t, char16_t, char32_t>;

/// The integer type of `size_bytes` that <cstdint> names.
template <std::size_t size_bytes, bool is_signed> struct sized_integer;
template <> struct sized_integer<1, true> : std::type_identity<std::int8_t> {};
template <> struct sized_integer<2, true> : std::type_identity<std::int16_t> {};
template <> struct sized_integer<4, true> : std::type_identity<std::int32_t> {};
template <> struct sized_integer<8, true> : std::type_identity<std::int64_t> {};
template <> struct sized_integer<1, false> : std::type_identity<std::uint8_t> {};
template <> struct sized_integer<2, false> : std::type_identity<std::uint16_t> {};
template <> struct sized_integer<4, false> : std::type_identity<std::uint32_t> {};
template <> struct sized_integer<8, false> : std::type_identity<std::uint64_t> {};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
