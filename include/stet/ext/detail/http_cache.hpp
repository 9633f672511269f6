// SPDX-License-Identifier: MIT
// What was read ahead of a remote file, and how much is fetched at once. No network.
#ifndef STET_EXT_DETAIL_HTTP_CACHE_HPP
#define STET_EXT_DETAIL_HTTP_CACHE_HPP

#include "../../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Bytes on the heap, or none.
class http_block {
public:
  http_block() noexcept = default;
  http_block(http_block&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  http_block& operator=(http_block&& other) noexcept {
    std::swap(data_, other.data_), std::swap(size_bytes_, other.size_bytes_);
    other.clear();
    return *this;
  }
  ~http_block() noexcept { clear(); }

  /// @return false if there is no memory left
  [[nodiscard]] bool allocate(std::size_t size_bytes) noexcept {
    clear();
    data_ = static_cast<std::byte*>(::operator new(size_bytes, std::nothrow));
    if (data_ != nullptr) size_bytes_ = size_bytes;
    return data_ != nullptr;
  }
  /// Gives back all bytes.
  void clear() noexcept { ::operator delete(std::exchange(data_, nullptr)), size_bytes_ = 0; }
  /// Gives back what lies behind the first `size_bytes` bytes, if there is memory for their copy.
  void shrink(std::size_t size_bytes) noexcept {
    http_block smaller;
    if (size_bytes < size_bytes_ && smaller.allocate(size_bytes)) {
      std::memcpy(smaller.data_, data_, size_bytes);
      *this = std::move(smaller);
    }
    if (size_bytes < size_bytes_) size_bytes_ = size_bytes;
  }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }

private:
  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

/// A range of a file that is to be fetched.
struct http_window {
  std::uint64_t offset_bytes = 0;
  std::size_t size_bytes = 0;
  /// False: exactly what is missing, into the memory of the caller.
  bool is_kept = true;
};

/// The blocks of one file that were fetched, the newest used ones. Not for several threads at once.
///
/// A table is read in small pieces from front to back: each fetch that goes on where the last one ended is twice as large.
/// A jump begins anew with a small one. The end of a file, where archives have their directory, is fetched at once.
class http_cache {
public:
  /// @param capacity_bytes  the most that is kept  @param first_size_bytes  the size of the first sequential fetch
  void set_limits(std::size_t capacity_bytes, std::size_t first_size_bytes) noexcept {
    capacity_bytes_ = capacity_bytes;
    ahead_bytes_ = first_size_bytes;
  }

  /// Copies what the cache has of the beginning of a range. @return the number of bytes
  std::size_t copy_front(std::uint64_t offset_bytes, std::span<std::byte> into) noexcept {
    for (row& each : rows_) {
      const std::uint64_t size = each.block.size_bytes();
      if (size == 0 || offset_bytes < each.offset_bytes || offset_bytes - each.offset_bytes >= size) continue;
      const auto begin = static_cast<std::size_t>(offset_bytes - each.offset_bytes);
      const std::size_t left = each.block.size_bytes() - begin;
      const std::size_t count = into.size() < left ? into.size() : left;
      std::memcpy(into.data(), each.block.data() + begin, count);
      each.used = ++clock_;
      return count;
    }
    return 0;
  }
  /// Copies what the cache has of the end of a range. @return the number of bytes
  std::size_t copy_back(std::uint64_t offset_bytes, std::span<std::byte> into) noexcept {
    const std::uint64_t end = offset_bytes + into.size();
    for (row& each : rows_) {
      const std::uint64_t block_end = each.offset_bytes + each.block.size_bytes();
      if (each.block.size_bytes() == 0 || end <= each.offset_bytes || end > block_end) continue;
      const std::uint64_t begin = each.offset_bytes > offset_bytes ? each.offset_bytes : offset_bytes;
      const auto count = static_cast<std::size_t>(end - begin);
      std::memcpy(into.data() + (into.size() - count),
                  each.block.data() + static_cast<std::size_t>(begin - each.offset_bytes), count);
      each.used = ++clock_;
      return count;
    }
    return 0;
  }

  /// What to fetch for `missing_bytes` bytes that are not there, part of a read of `read_bytes`, in a file of `file_bytes`.
  http_window plan(std::uint64_t offset_bytes, std::size_t missing_bytes, std::size_t read_bytes,
                   std::uint64_t file_bytes) noexcept {
    const std::uint64_t left = file_bytes - offset_bytes;
    const bool is_sequential = offset_bytes == next_bytes_;
    // A large read knows what it needs.
    if (read_bytes > largest_small_read || missing_bytes > capacity_bytes_ / 4) {
      if (is_sequential) next_bytes_ = offset_bytes + missing_bytes;
      return {offset_bytes, missing_bytes, missing_bytes <= capacity_bytes_ / 4};
    }
    if (left <= tail_bytes && file_bytes > tail_bytes && tail_bytes <= capacity_bytes_ / 4)
      return {file_bytes - tail_bytes, tail_bytes};
    if (!is_sequential) ahead_bytes_ = after_jump_bytes;
    // A few bytes are a signature that is looked for, at powers of two, where fetches may end, too.
    const bool is_look = read_bytes <= largest_look;
    std::size_t size = is_look ? after_jump_bytes : ahead_bytes_;
    if (size > capacity_bytes_ / 4) size = capacity_bytes_ / 4;
    if (size < missing_bytes) size = missing_bytes;
    if (size > left) size = static_cast<std::size_t>(left);
    next_bytes_ = offset_bytes + size;
    if (!is_look && ahead_bytes_ < most_ahead_bytes) ahead_bytes_ *= 2;
    return {offset_bytes, size};
  }

  /// Keeps a block, in place of those that were not used for the longest time.
  void keep(std::uint64_t offset_bytes, http_block&& block) noexcept {
    const std::size_t size = block.size_bytes();
    if (size == 0 || size > capacity_bytes_) return;
    for (;;) {
      row* oldest = nullptr;
      row* free = nullptr;
      for (row& each : rows_) {
        if (each.block.size_bytes() == 0)
          free = &each;
        else if (oldest == nullptr || each.used < oldest->used)
          oldest = &each;
      }
      if (free != nullptr && size <= capacity_bytes_ - kept_bytes_) {
        free->block = std::move(block);
        free->offset_bytes = offset_bytes;
        free->used = ++clock_;
        kept_bytes_ += size;
        return;
      }
      kept_bytes_ -= oldest->block.size_bytes();
      oldest->block.clear();
    }
  }
  /// Keeps the first bytes of the file, as `keep`; the next fetch can go on from them. If they are the whole file, they are kept whatever
  /// the limit: a server without ranges gives it but once.
  void keep_first(http_block&& block, bool is_whole) noexcept {
    next_bytes_ = block.size_bytes();
    if (is_whole && capacity_bytes_ < block.size_bytes()) capacity_bytes_ = block.size_bytes();
    keep(0, std::move(block));
  }

private:
  /// The largest window of a parser: that of GGUF.
  static constexpr std::size_t largest_small_read = 128 << 10;
  static constexpr std::size_t tail_bytes = 32 << 10, after_jump_bytes = 16 << 10, most_ahead_bytes = 1 << 20,
                               largest_look = 16;

  struct row {
    http_block block;
    std::uint64_t offset_bytes = 0, used = 0;
  };
  row rows_[128]; // as many as small fetches fill the usual capacity
  std::uint64_t clock_ = 0, next_bytes_ = 0;
  std::size_t capacity_bytes_ = 0, kept_bytes_ = 0, ahead_bytes_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
