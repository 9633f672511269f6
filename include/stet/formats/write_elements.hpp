// SPDX-License-Identifier: MIT
// The elements of tensors on their way into files of other formats: converted a window at a time, strings as
// views.
#ifndef STET_FORMATS_WRITE_ELEMENTS_HPP
#define STET_FORMATS_WRITE_ELEMENTS_HPP

#include "../store/tensor.hpp"
#include "../writer/tensors.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace stet::inline v0_1::detail {

/// Writes numbers little-endian.
template <class T> result<void> write_little(std::span<T> numbers, piece_sink& sink) {
  const std::span<std::byte> bytes = std::as_writable_bytes(numbers);
  if constexpr (std::endian::native == std::endian::big) {
    constexpr std::size_t word = describe(dtype_of<T>::value).word_size_bytes;
    for (std::size_t at = 0; at < bytes.size(); at += word)
      std::reverse(bytes.data() + at, bytes.data() + at + word);
  }
  return sink.write(bytes);
}

/// Compares a tensor that is to be converted with its checksum, if it has one: the copy must not make damage look sound.
/// Errors: those of `tensor::verify`. Cost: reads every byte.
inline result<void> check_before_conversion(const tensor& of) {
  return of.entry().has_crc32c() ? of.verify() : result<void>();
}

/// Calls `fill(numbers, first)` for one window of a tensor after another, and writes the numbers. The tensor is
/// compared with its checksum before.
template <class T, class Fill> result<void> write_windows(const tensor& of, piece_sink& sink, Fill fill) {
  if (auto checked = check_before_conversion(of); !checked)
    return checked;
  constexpr std::uint64_t step = 4096;
  const auto memory = std::make_unique<T[]>(step);
  for (std::uint64_t first = 0; first < of.element_count(); first += step) {
    const std::span<T> numbers(memory.get(),
                               static_cast<std::size_t>((std::min)(step, of.element_count() - first)));
    if (result<void> filled = fill(numbers, first); !filled)
      return filled;
    if (auto written = write_little(numbers, sink); !written)
      return written;
  }
  return {};
}

/// The strings of a tensor, wherever they are, after a comparison with its checksum. `memory` keeps them where they were not in memory before.
inline result<string_span> strings_of(const tensor& of, std::vector<std::byte>& memory) {
  if (auto checked = check_before_conversion(of); !checked)
    return checked.error();
  result<string_span> strings = of.as_strings();
  if (strings || strings.error().code() != errc::not_resident)
    return strings;
  // Memory grows with what could be read: the size is only what the file declares.
  memory.clear();
  for (std::uint64_t size = 1 << 16; memory.size() < of.size_bytes(); size *= 2) {
    const std::size_t done = memory.size();
    memory.resize(static_cast<std::size_t>((std::min)(size, of.size_bytes())));
    if (auto read = of.read(done, std::span(memory).subspan(done)); !read)
      return read.error();
  }
  return string_span::check(memory, of.element_count());
}

} // namespace stet::inline v0_1::detail

#endif
