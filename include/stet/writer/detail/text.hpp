// SPDX-License-Identifier: MIT
// The types of strings that a writer adds, one or a range of them.
#ifndef STET_WRITER_DETAIL_TEXT_HPP
#define STET_WRITER_DETAIL_TEXT_HPP

#include "../../manifest/json_text.hpp"
#include "../../vocabulary/detail/borrowed.hpp"

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace stet::inline STET_NAMESPACE::detail {

/// A string of any type that converts to std::string_view; not a value of JSON.
template <class T>
concept text = std::is_convertible_v<const T&, std::string_view> && !std::is_convertible_v<const T&, json_text>;

template <class Range, bool = contiguous<Range>> inline constexpr bool has_texts = false;
template <class Range> inline constexpr bool has_texts<Range, true> = text<std::remove_const_t<element_type_of<Range>>>;

/// Strings in a row, which the caller keeps.
template <class Range>
concept borrowed_texts = has_texts<Range> && outlives_call<Range>;

/// Strings in a row, in a container that ends with the call.
template <class Range>
concept temporary_texts = has_texts<Range> && !outlives_call<Range>;

/// Whether a string is a null pointer.
template <class Text> constexpr bool is_null(const Text& of) noexcept {
  if constexpr (std::is_pointer_v<Text>) {
    return of == nullptr;
  } else {
    return false;
  }
}

/// The characters of a string that is not a null pointer. An array of them that has no NUL ends where the array ends.
template <class Text> constexpr std::string_view text_of(const Text& of) noexcept {
  if constexpr (std::is_array_v<Text>) {
    const std::string_view whole(of, std::extent_v<Text>);
    return whole.substr(0, whole.find('\0'));
  } else {
    return of;
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
