// SPDX-License-Identifier: MIT
// Text and spans from a pointer and a count, at little cost to the compiler.
#ifndef STET_VOCABULARY_DETAIL_SPANS_HPP
#define STET_VOCABULARY_DETAIL_SPANS_HPP

#include "../config.hpp"

#include <cstddef>
#include <span>
#include <string_view>

// Whoever includes stet.hpp pays for each kind of argument with which the core makes or converts a string_view or a span: the
// compiler proves for each that it is an iterator, or a range, and one such proof costs a tenth of what <span> costs. So the core
// makes them here, of pointers and sizes alone, and passes on pointers and sizes where a span of another type is wanted.

namespace stet::inline STET_NAMESPACE::detail {

/// The text of `size_bytes` bytes at `text`.
constexpr std::string_view text_at(const char* text, std::size_t size_bytes) noexcept { return {text, size_bytes}; }
inline std::string_view text_at(const std::byte* text, std::size_t size_bytes) noexcept {
  return text_at(reinterpret_cast<const char*>(text), size_bytes);
}

/// The `count` bytes at `first`. Both kinds of span are made from one kind of pointer, which is one proof less; the span gives
/// `first` back as it came, const.
constexpr std::span<std::byte> writable_bytes_at(std::byte* first, std::size_t count) noexcept {
  return {first, count};
}
constexpr std::span<const std::byte> bytes_at(const std::byte* first, std::size_t count) noexcept {
  return {const_cast<std::byte*>(first), count};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
