// SPDX-License-Identifier: MIT
// A tensor of any size, a chunk at a time.
#ifndef STET_COMMAND_CHUNK_HPP
#define STET_COMMAND_CHUNK_HPP

#include <stet/stet.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace command {

/// Reverses the bytes of each word.
inline void reverse_words(std::span<std::byte> bytes, std::size_t word_size_bytes) {
  if (word_size_bytes < 2) return;
  for (std::size_t at = 0; at + word_size_bytes <= bytes.size(); at += word_size_bytes) {
    std::reverse(bytes.data() + at, bytes.data() + at + word_size_bytes);
  }
}

/// Reads bytes of a tensor as they stand in a little-endian file, whole words of them. Errors: those of `tensor::read`.
inline stet::result<void> read_little(const stet::tensor& of, std::uint64_t offset_bytes, std::span<std::byte> into) {
  if (auto read = of.read(offset_bytes, into); !read) return read;
  if (of.entry().is_big_endian()) reverse_words(into, stet::describe(of.dtype()).word_size_bytes);
  return {};
}

/// Calls `take(offset, bytes)` with piece after piece of the tensor's bytes, little-endian, until it returns
/// false: in place where they are in memory, else copied.
template <class Take> stet::result<void> for_each_piece(const stet::tensor& of, Take take) {
  constexpr std::uint64_t piece_size = 1 << 20; // whole words of any size
  const bool is_direct = !of.entry().is_big_endian() && of.bytes().size() == of.size_bytes();
  std::vector<std::byte> copy;
  for (std::uint64_t done = 0; done < of.size_bytes();) {
    const auto size = static_cast<std::size_t>((std::min)(piece_size, of.size_bytes() - done));
    if (!is_direct) {
      copy.resize(size);
      if (auto read = read_little(of, done, copy); !read) return read;
    }
    if (!take(done,
              is_direct ? of.bytes().subspan(static_cast<std::size_t>(done), size) : std::span<const std::byte>(copy)))
      return {};
    done += size;
  }
  return {};
}

} // namespace command

#endif
