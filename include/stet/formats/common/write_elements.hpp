// SPDX-License-Identifier: MIT
// Writes the elements of tensors to files of other formats: numbers converted in blocks, strings as views.
#ifndef STET_FORMATS_COMMON_WRITE_ELEMENTS_HPP
#define STET_FORMATS_COMMON_WRITE_ELEMENTS_HPP

#include "../../bytes/crc32c.hpp"
#include "../../store/tensor.hpp"
#include "../../writer/tensors.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Writes numbers little-endian.
template <class T> result<void> write_little(std::span<T> numbers, piece_sink& sink) {
  const std::span<std::byte> bytes = std::as_writable_bytes(numbers);
  if constexpr (std::endian::native == std::endian::big) {
    constexpr std::size_t word = describe(dtype_of<T>::value).word_size_bytes;
    reverse_words(bytes.data(), bytes.size(), word);
  }
  return sink.write(bytes);
}

/// Compares a tensor with its checksum, if it has one: a copy must not make damage look sound.
/// Errors: those of `tensor::verify_checksum`. Cost: reads every byte.
inline result<void> compare_checksum(const tensor& of) {
  return of.entry().has_crc32c() ? of.verify_checksum() : result<void>();
}

/// Gives the bytes of a tensor to a sink in little-endian order, and compares them with its checksum on their way: a copy
/// must not make damage look sound. The checksum is over the bytes as they stand in the file.
/// @retval errc::wrong_byte_order  the tensor is of big-endian blocks
inline result<void> write_checked(const tensor& from, piece_sink& sink) {
  constexpr std::uint64_t piece_size = 256 * 1024; // whole words of any size
  // The words within a block are known to its format alone.
  if (from.entry().is_big_endian() && from.dtype() == dtype::block) return error(errc::wrong_byte_order, from.name());
  const std::size_t word = from.entry().is_big_endian() ? describe(from.dtype()).word_size_bytes : 1u;
  const bool is_direct = word < 2 && from.bytes().size() == from.size_bytes();
  const bool has_crc = from.entry().has_crc32c();
  std::vector<std::byte> copy;
  std::uint32_t crc = 0;
  for (std::uint64_t done = 0; done < from.size_bytes();) {
    const std::uint64_t best_size = is_direct ? sink.best_piece_size_bytes() : piece_size;
    const auto size = static_cast<std::size_t>((std::min)(best_size, from.size_bytes() - done));
    if (!is_direct) {
      copy.resize(size);
      if (auto read = from.read(done, copy); !read) return read;
    }
    const std::span<const std::byte> piece =
        is_direct ? from.bytes().subspan(static_cast<std::size_t>(done), size) : std::span<const std::byte>(copy);
    if (has_crc) crc = crc32c(piece, crc);
    if (word > 1) reverse_words(copy.data(), size, word);
    if (auto written = sink.write(piece); !written) return written;
    done += size;
  }
  if (has_crc && crc != from.entry().crc32c())
    return error(errc::checksum_mismatch, from.name(), from.entry().offset_bytes());
  return {};
}

/// Calls `fill(numbers, first)` for one window of a tensor after another, and writes the numbers. The tensor is
/// compared with its checksum: before, or window by window where its bytes are in memory.
/// Errors: those of `fill`, of the sink and of `tensor::verify_checksum`.
template <class T, class Fill> result<void> write_windows(const tensor& of, piece_sink& sink, Fill fill) {
  const std::span<const std::byte> bytes = of.bytes();
  const bool is_resident = bytes.size() == of.size_bytes();
  if (!is_resident) {
    if (auto compared = compare_checksum(of); !compared) return compared;
  }
  const bool has_crc = is_resident && of.entry().has_crc32c();
  std::uint32_t crc = 0;
  std::size_t compared_size = 0;
  constexpr std::uint64_t step = 4096; // which fills whole bytes, however many bits an element has
  const auto memory = std::make_unique<T[]>(step);
  for (std::uint64_t first = 0; first < of.element_count(); first += step) {
    const std::span<T> numbers(memory.get(), static_cast<std::size_t>((std::min)(step, of.element_count() - first)));
    if (has_crc) {
      const std::uint64_t end = ((first + numbers.size()) * of.entry().bits() + 7) / 8;
      crc = crc32c(bytes.subspan(compared_size, static_cast<std::size_t>(end) - compared_size), crc);
      compared_size = static_cast<std::size_t>(end);
    }
    if (result<void> filled = fill(numbers, first); !filled) return filled;
    if (auto written = write_little(numbers, sink); !written) return written;
  }
  if (has_crc && crc != of.entry().crc32c())
    return error(errc::checksum_mismatch, of.name(), of.entry().offset_bytes());
  return {};
}

/// The strings of a tensor, wherever they are, after a comparison with its checksum. `memory` keeps them where they were not in memory before.
inline result<string_span> strings_of(const tensor& of, std::vector<std::byte>& memory) {
  if (auto compared = compare_checksum(of); !compared) return compared.error();
  result<string_span> strings = of.as_strings();
  if (strings || strings.error().code() != errc::not_resident) return strings;
  // Memory grows with what could be read: the size is only what the file declares.
  memory.clear();
  for (std::uint64_t size = 1 << 16; memory.size() < of.size_bytes(); size *= 2) {
    const std::size_t done = memory.size();
    memory.resize(static_cast<std::size_t>((std::min)(size, of.size_bytes())));
    if (auto read = of.read(done, std::span(memory).subspan(done)); !read) return read.error();
  }
  return string_span::validate(memory, of.element_count());
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
