// SPDX-License-Identifier: MIT
// What views of a native file's tensors come to on this machine: words of a file are little-endian everywhere, so that a
// big-endian machine copies them and says so when asked to view them.
#ifndef STET_TESTS_SUPPORT_BYTE_ORDER_HPP
#define STET_TESTS_SUPPORT_BYTE_ORDER_HPP

#include "native_bytes.hpp"

#include <stet/store/tensor.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <span>
#include <vector>

namespace stet_test {

/// Whether this machine can view words of a native file in place.
inline constexpr bool can_view_words = std::endian::native == std::endian::little;

/// What a view of words of a native file comes to, if it would come to `otherwise` in the machine's own byte order.
constexpr stet::errc view_of_words(stet::errc otherwise = stet::errc{}) {
  return can_view_words ? otherwise : stet::errc::wrong_byte_order;
}

/// What a view of elements of a tensor of a native file comes to, if nothing but the byte order is in its way.
inline stet::errc view_of(const stet::tensor& of) {
  return stet::describe(of.dtype()).word_size_bytes > 1 && of.size_bytes() != 0 ? view_of_words() : stet::errc{};
}

/// The elements of a tensor in memory, by `copy_to`. Its typed view must show the same ones in place, or be refused for the
/// byte order and nothing else.
template <class T> std::vector<T> elements_of(const stet::result<stet::tensor>& of) {
  CHECK(code_of(of) == stet::errc{});
  if (!of) return {};
  std::vector<T> copied(static_cast<std::size_t>(of->element_count()));
  CHECK(code_of(of->copy_to(std::span<T>(copied))) == stet::errc{});
  const stet::result<std::span<const T>> viewed = of->template as<T>();
  CHECK(code_of(viewed) == view_of(*of));
  CHECK(of->is_in_place() == static_cast<bool>(viewed));
  if (viewed) {
    CHECK(static_cast<const void*>(viewed->data()) == of->bytes().data());
    CHECK((copied.empty() || std::memcmp(viewed->data(), copied.data(), viewed->size_bytes()) == 0));
  }
  return copied;
}

} // namespace stet_test

#endif
