// SPDX-License-Identifier: MIT
// Copies elements of a tensor as a dtype that is chosen at run time.
#ifndef STET_STORE_COPY_ELEMENTS_HPP
#define STET_STORE_COPY_ELEMENTS_HPP

#include "tensor.hpp"

#include "../bytes/detail/convert.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The number of elements that are copied at a time: a whole number of bytes for any width.
inline constexpr std::size_t copy_step = 512;

// Converting between any two of about thirty dtypes directly would need a thousand loops. Converting by way of the widest type of
// each kind needs a hundred, with the same results, since widening does not change a value (a signalling NaN becomes quiet).

/// The widest type of the kind of `T`, which is not quantized; bool is an integer.
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

/// The type for reading an element of type `T`: a byte for bool, since the stored byte may be neither 0 nor 1.
template <class T>
using plain_of = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, typename value_of<T>::type>;

/// Converts `count` elements to the widest type of their kind, at `into`. @return the dtype of that type
inline dtype widen(const stored_elements& from, std::byte* into, std::size_t count) noexcept {
  dtype widest{};
  visit_dtype(from.dtype, [&]<class T>(std::type_identity<T>) {
    using wide = typename decltype(widest_of<plain_of<T>>())::type;
    convert_blocks(conversion_of<wide, plain_of<T>>, from, into, count);
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
        convert_blocks(conversion_of<target, Wide>, from, into, count);
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

/// The elements from `first` on, a multiple of 8.
inline stored_elements elements_from(const stored_elements& all, std::size_t first) noexcept {
  return {all.bytes + first / 8 * all.bits, all.dtype, all.bits, all.is_swapped};
}

#if STET_CONVERT_KERNELS
/// The types whose signalling NaNs the way by double makes quiet.
template <class T>
concept may_signal = requires { convert_kernel<float, T>::run_quiet(nullptr, nullptr, std::size_t{}); };

/// Converts blocks to floats, as the way by double does.
template <may_signal From>
void convert_to_quiet(const std::byte* from, std::byte* into, std::size_t block_count) noexcept {
  if (has_convert_kernels()) return convert_kernel<float, From>::run_quiet(from, into, block_count);
  convert_all<float, From>(from, into, block_count);
  for (std::size_t i = 0; i < block_count * block_elements; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, into + i * sizeof bits, sizeof bits);
    bits |= (bits & 0x7fff'ffff) > 0x7f80'0000 ? 0x0040'0000u : 0u;
    std::memcpy(into + i * sizeof bits, &bits, sizeof bits);
  }
}

/// The conversions from a dtype to float and from float to a dtype that have a kernel; without a function if there is none.
inline block_conversion float_from(dtype from) noexcept {
  block_conversion found{};
  visit_dtype(from, [&]<class T>(std::type_identity<T>) {
    using source = plain_of<T>;
    if constexpr (may_signal<source>) {
      found = {convert_to_quiet<source>, sizeof(source), sizeof(float)};
    } else if constexpr (convert_kernel<float, source>::exists) {
      found = conversion_of<float, source>;
    }
  });
  return found;
}
inline block_conversion float_to(dtype to) noexcept {
  block_conversion found{};
  visit_dtype(to, [&]<class T>(std::type_identity<T>) {
    using target = typename value_of<T>::type;
    if constexpr (convert_kernel<target, float>::exists) found = conversion_of<target, float>;
  });
  return found;
}

/// Converts `count` elements by kernels to and from float, with the result of the way by the widest type.
/// @return false, and nothing is written, if there are none for both dtypes
inline bool copy_by_float(const stored_elements& from, dtype to, std::byte* into, std::size_t count) noexcept {
  const bool is_from_float = from.dtype == dtype::float32, is_to_float = to == dtype::float32;
  const block_conversion widen = is_from_float ? block_conversion{} : float_from(from.dtype);
  const block_conversion narrow = is_to_float ? block_conversion{} : float_to(to);
  if ((!is_from_float && widen.convert == nullptr) || (!is_to_float && narrow.convert == nullptr)) return false;
  if (is_from_float || is_to_float) {
    convert_blocks(is_from_float ? narrow : widen, from, into, count);
    return true;
  }
  alignas(32) std::byte floats[copy_step * sizeof(float)];
  for (std::size_t done = 0; done < count; done += copy_step) {
    const std::size_t some = count - done < copy_step ? count - done : copy_step;
    convert_blocks(widen, elements_from(from, done), floats, some);
    convert_blocks(narrow, {floats, dtype::float32, 32, false}, into + done * narrow.to_size_bytes, some);
  }
  return true;
}
#endif

/// Copies stored elements to `into` as elements of the C++ type of `to`, `to_size_bytes` each.
inline errc copy_as(const stored_elements& from, dtype to, std::size_t to_size_bytes, std::byte* into,
                    std::size_t count) noexcept {
  constexpr std::size_t widest_size = 16;
  errc outcome = errc::not_convertible;
  if (from.dtype == to) {
    visit_dtype(to, [&]<class T>(std::type_identity<T>) { outcome = copy_stored<T>(from, into, count); });
    return outcome;
  }
  if (from.dtype == dtype::boolean && !are_booleans(from.bytes, count)) return errc::bad_value;
#if STET_CONVERT_KERNELS
  if (copy_by_float(from, to, into, count)) return errc{};
#endif
  alignas(widest_size) std::byte wide[copy_step * widest_size];
  for (std::size_t done = 0; done < count; done += copy_step) {
    const std::size_t some = count - done < copy_step ? count - done : copy_step;
    const dtype widest = widen(elements_from(from, done), wide, some);
    outcome = narrow({wide, widest, describe(widest).bits, false}, to, into + done * to_size_bytes, some);
    if (outcome != errc{}) return outcome;
  }
  return outcome;
}

} // namespace detail

/// Copies elements of a tensor, in row-major order, as elements of the C++ type of `to`, by the rules of
/// bytes/detail/convert.hpp. It is `tensor::copy_to` for a dtype that is chosen at run time, and for a part of a tensor.
/// @param into           aligned for that type; its size determines the number of elements
/// @param first_element  the first element; a multiple of 8, so that elements narrower than a byte begin at a byte
/// @retval errc::invalid_argument  `first_element` is not a multiple of 8, or `into` is not a whole number of elements
/// @retval errc::bad_range         the tensor has too few elements
/// @retval errc::not_convertible   strings, blocks, or complex numbers to real ones
/// @retval errc::bad_value         the tensor is of bools, and a byte is neither 0 nor 1
/// or an error of the reader. Cost: reads each byte once, allocates nothing.
inline result<void> copy_elements(const tensor& from, dtype to, std::span<std::byte> into,
                                  std::uint64_t first_element = 0) noexcept {
  std::size_t element_size = 0;
  visit_dtype(to, [&]<class T>(std::type_identity<T>) { element_size = sizeof(T); });
  const std::uint8_t bits = from.layout().bits;
  if (element_size == 0 || bits == 0) return error(errc::not_convertible, from.name());
  if (into.size() % element_size != 0 || first_element % 8 != 0) return error(errc::invalid_argument, from.name());
  const std::size_t count = into.size() / element_size;
  if (!detail::range_fits(first_element, count, from.element_count())) return error(errc::bad_range, from.name());

  constexpr bool host_is_big = !detail::host_is_little_endian;
  const bool is_swapped = describe(from.dtype()).word_size_bytes > 1 && from.entry().is_big_endian() != host_is_big;
  const std::uint64_t begin = first_element / 8 * bits;
  if (from.dtype() == to && bits == element_size * 8 && !is_swapped && to != dtype::boolean)
    return from.read(begin, into);

  if (count == 0) return {};
  if (from.size_bytes() != 0 && from.bytes().size() == from.size_bytes()) {
    const std::byte* const elements = from.bytes().data() + static_cast<std::size_t>(begin);
    const errc failure =
        detail::copy_as({elements, from.dtype(), bits, is_swapped}, to, element_size, into.data(), count);
    return failure == errc{} ? result<void>() : error(failure, from.name());
  }
  alignas(16) std::byte stored[detail::copy_step * 16]; // no element has more bytes
  for (std::size_t done = 0; done < count; done += detail::copy_step) {
    const std::size_t some = count - done < detail::copy_step ? count - done : detail::copy_step;
    const std::size_t size = (some * bits + 7) / 8;
    if (auto read = from.read(begin + std::uint64_t{done / 8} * bits, std::span(stored, size)); !read) return read;
    const errc failure = detail::copy_as({stored, from.dtype(), bits, is_swapped}, to, element_size,
                                         into.data() + done * element_size, some);
    if (failure != errc{}) return error(failure, from.name());
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
