// SPDX-License-Identifier: MIT
// Copies a tensor's elements as a dtype that is known only when the program runs.
#ifndef STET_RESTORE_COPY_ELEMENTS_HPP
#define STET_RESTORE_COPY_ELEMENTS_HPP

#include "../bytes/convert.hpp"
#include "../store/tensor.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace stet::inline v0_1::detail {

// Between any two of the thirty-odd dtypes there would be a thousand loops to compile. By way of the widest types of each
// kind there are a hundred, with the same results, since no value changes on the way to the first (a NaN that signals
// becomes one that does not).

/// The type of stet that has every value of `T`, which is not quantized; bool counts as an integer.
template <class T> constexpr auto widest_of() noexcept {
  if constexpr (kind_of<T> == dtype_kind::complex) {
    return std::type_identity<complex128>();
  } else if constexpr (kind_of<T> == dtype_kind::floating) {
    return std::type_identity<double>();
  } else if constexpr (integer_range<T>::lowest == 0) {
    return std::type_identity<std::uint64_t>();
  } else {
    return std::type_identity<std::int64_t>();
  }
}

/// The type whose values an element of type `T` has: bytes for bool, which may be neither true nor false.
template <class T> using plain_of = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, typename value_of<T>::type>;

/// Converts `count` elements to the widest type of their kind, at `into`. @return the dtype of that type
inline dtype widen(const stored_elements& from, std::byte* into, std::size_t count) noexcept {
  dtype widest{};
  visit_dtype(from.dtype, [&]<class T>(std::type_identity<T>) {
    using wide = typename decltype(widest_of<plain_of<T>>())::type;
    convert_blocks<wide, plain_of<T>>(from, into, count);
    widest = dtype_of<wide>::value;
  });
  return widest;
}

/// Converts `count` elements, of one of the four widest types, to `to`.
inline errc narrow(const stored_elements& from, dtype to, std::byte* into, std::size_t count) noexcept {
  errc outcome = errc::not_convertible;
  visit_dtype(to, [&]<class T>(std::type_identity<T>) {
    using target = typename value_of<T>::type;
    const auto convert = [&]<class Wide>(std::type_identity<Wide>) {
      if constexpr (is_convertible<target, Wide>) {
        if (from.dtype != dtype_of<Wide>::value) return;
        convert_blocks<target, Wide>(from, into, count);
        outcome = errc{};
      }
    };
    convert(std::type_identity<std::int64_t>());
    convert(std::type_identity<std::uint64_t>());
    convert(std::type_identity<double>());
    convert(std::type_identity<complex128>());
  });
  return outcome;
}

/// Copies the elements of `from` to `into` as those of the C++ type that views `to`, by the rules of bytes/convert.hpp.
/// @param into  aligned for that type, as many elements as the tensor has
/// @retval errc::buffer_too_small  `into` has another size
/// @retval errc::not_convertible   strings, blocks, or complex numbers to real ones
/// @retval errc::bad_value         `from` is of bools, and a byte is neither 0 nor 1
/// or an error of the reader. Cost: reads every byte once, allocates nothing.
inline result<void> copy_elements(const tensor& from, dtype to, std::span<std::byte> into) noexcept {
  result<void> outcome = error(errc::not_convertible, from.name());
  if (from.dtype() == to) {
    visit_dtype(to, [&]<class T>(std::type_identity<T>) {
      outcome = from.copy_to(std::span<T>(reinterpret_cast<T*>(into.data()), into.size() / sizeof(T)));
    });
    return outcome;
  }
  std::size_t element_size = 0;
  visit_dtype(to, [&]<class T>(std::type_identity<T>) { element_size = sizeof(T); });
  if (element_size == 0 || from.layout().bits == 0) return outcome;
  const std::size_t count = into.size() / element_size;
  if (count != from.element_count()) return error(errc::buffer_too_small, from.name());

  constexpr bool host_is_big = std::endian::native == std::endian::big;
  const bool is_swapped = describe(from.dtype()).word_size_bytes > 1 && from.entry().is_big_endian() != host_is_big;
  constexpr std::size_t step = 512, widest_size = 16; // whole bytes of any width
  alignas(16) std::byte stored[step * widest_size], wide[step * widest_size];
  for (std::size_t done = 0; done < count; done += step) {
    const std::size_t some = count - done < step ? count - done : step;
    const std::size_t size = (some * from.layout().bits + 7) / 8;
    if (auto read = from.read(std::uint64_t{done / 8} * from.layout().bits, std::span(stored, size)); !read) return read;
    if (from.dtype() == dtype::boolean && !are_booleans(stored, size)) return error(errc::bad_value, from.name());
    const dtype widest = widen({stored, from.dtype(), from.layout().bits, is_swapped}, wide, some);
    const errc failure = narrow({wide, widest, describe(widest).bits, false}, to, into.data() + done * element_size, some);
    if (failure != errc{}) return error(failure, from.name());
  }
  return {};
}

} // namespace stet::inline v0_1::detail

#endif
