// SPDX-License-Identifier: MIT
// A tensor of any size, a chunk at a time.
#ifndef STET_COMMAND_CHUNK_HPP
#define STET_COMMAND_CHUNK_HPP

#include <stet/stet.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace command {

/// Reverses the bytes of each word.
inline void reverse_words(std::span<std::byte> bytes, std::size_t word_size_bytes) {
  for (std::size_t at = 0; at + word_size_bytes <= bytes.size(); at += word_size_bytes) {
    std::reverse(bytes.data() + at, bytes.data() + at + word_size_bytes);
  }
}

/// Calls `take(offset, bytes)` with piece after piece of the tensor's bytes, little-endian, until it returns
/// false: in place where they are in memory, else copied.
template <class Take> stet::result<void> for_each_piece(const stet::tensor& of, Take take) {
  constexpr std::uint64_t piece_size = 1 << 20; // whole words of any size
  const std::size_t word = stet::describe(of.dtype()).word_size_bytes;
  const bool is_swapped = of.entry().is_big_endian() && word > 1;
  const bool is_resident = of.bytes().size() == of.size_bytes();
  std::vector<std::byte> copy;
  for (std::uint64_t done = 0; done < of.size_bytes();) {
    const auto size = static_cast<std::size_t>((std::min)(piece_size, of.size_bytes() - done));
    std::span<const std::byte> piece;
    if (is_resident && !is_swapped) {
      piece = of.bytes().subspan(static_cast<std::size_t>(done), size);
    } else {
      copy.resize(size);
      if (auto read = of.read(done, copy); !read)
        return read;
      if (is_swapped)
        reverse_words(copy, word);
      piece = copy;
    }
    if (!take(done, piece))
      return {};
    done += size;
  }
  return {};
}

/// A window on a tensor whose elements have a width: it shows `element_count` elements at a time, and
/// converts them.
///
/// `tensor::copy_to` converts a whole tensor. So the window is the one tensor of a small store in memory,
/// whose bytes are replaced by those of one chunk after the other.
class element_window {
 public:
  /// A multiple of 8: every chunk begins with a whole byte, whatever the width.
  static constexpr std::size_t element_count = 4096;

  /// A window on a tensor that is neither of strings nor of blocks.
  static stet::result<element_window> on(const stet::tensor& of);

  /// Moves on to the elements from `first` on, a multiple of `element_count`. Errors: those of
  /// `tensor::read`.
  stet::result<void> move_to(std::uint64_t first);

  /// How many elements are shown.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Their bytes as they are stored, little-endian.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_.first(used_bytes_); }
  /// Copies them, converted by the rules of `tensor::copy_to`, to the first `size()` of `element_count`
  /// elements.
  template <class T> stet::result<void> copy_to(std::span<T> into) const noexcept {
    return window_.copy_to(into, stet::convert);
  }

 private:
  element_window() = default;

  stet::tensor of_, window_;
  std::vector<std::byte> memory_;
  stet::store store_;
  std::span<std::byte> bytes_;
  std::size_t used_bytes_ = 0, size_ = 0;
};

} // namespace command

#endif
