// SPDX-License-Identifier: MIT
// Makes string views and spans from a pointer and a count, at little cost for the compiler.
#ifndef STET_VOCABULARY_DETAIL_SPANS_HPP
#define STET_VOCABULARY_DETAIL_SPANS_HPP

#include "../config.hpp"

#include <cstddef>
#include <span>
#include <string_view>

// Every program that includes stet.hpp pays for each kind of argument from which the core makes a string_view or a span: the
// compiler checks the concepts of iterators and ranges, and each check costs a tenth of <span>. The core therefore makes them
// only here, from pointers and sizes, and passes pointers and sizes where a span of another type is needed.

namespace stet::inline STET_NAMESPACE::detail {

/// The text of `size_bytes` bytes at `text`.
constexpr std::string_view text_at(const char* text, std::size_t size_bytes) noexcept { return {text, size_bytes}; }
inline std::string_view text_at(const std::byte* text, std::size_t size_bytes) noexcept {
  return text_at(reinterpret_cast<const char*>(text), size_bytes);
}

/// The `count` bytes at `first`. Builds both spans from `std::byte*`, to instantiate one span constructor instead of two. The
/// data stays const.
constexpr std::span<std::byte> writable_bytes_at(std::byte* first, std::size_t count) noexcept {
  return {first, count};
}
constexpr std::span<const std::byte> bytes_at(const std::byte* first, std::size_t count) noexcept {
  return {const_cast<std::byte*>(first), count};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
