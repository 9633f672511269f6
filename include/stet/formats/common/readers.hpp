// SPDX-License-Identifier: MIT
// Readers of tensors that are not contiguous in a file: cut over several files, in a missing file, or damaged.
#ifndef STET_FORMATS_COMMON_READERS_HPP
#define STET_FORMATS_COMMON_READERS_HPP

#include "../../source/source.hpp"
#include "../../vocabulary/detail/checked.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// Reads pieces of other sources as one contiguous range of bytes. The bytes of those sources must outlive it, as those of
/// the parts of a store do.
class gathered_bytes final : public byte_reader {
public:
  /// Appends `size_bytes` bytes of `from`, from `offset_bytes` on.
  /// @retval errc::bad_range  the bytes are not within `from`, or the total exceeds 2^64 bytes
  result<void> append(const source& from, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
    if (!detail::range_fits(offset_bytes, size_bytes, from.size_bytes()))
      return error(errc::bad_range, {}, offset_bytes);
    if (size_bytes > ~size_bytes_) return errc::bad_range;
    if (size_bytes == 0) return {};
    pieces_.push_back({from.data(), from.fetcher(), offset_bytes, size_bytes_});
    size_bytes_ += size_bytes;
    return {};
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] bool reads_from_memory() const noexcept override {
    return std::all_of(pieces_.begin(), pieces_.end(), [](const piece& each) { return each.data != nullptr; });
  }

  /// Cost: a binary search, and a copy of the requested bytes.
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!detail::range_fits(offset_bytes, into.size(), size_bytes_)) return error(errc::bad_range, {}, offset_bytes);
    for (std::size_t number = into.empty() ? 0 : piece_at(offset_bytes); !into.empty(); ++number) {
      const piece& from = pieces_[number];
      const std::uint64_t end = number + 1 < pieces_.size() ? pieces_[number + 1].begin : size_bytes_;
      const std::uint64_t left = end - offset_bytes;
      const std::size_t size = into.size() < left ? into.size() : static_cast<std::size_t>(left);
      const std::uint64_t at = from.offset_bytes + (offset_bytes - from.begin);
      if (from.data != nullptr) {
        std::memcpy(into.data(), from.data + static_cast<std::size_t>(at), size);
      } else if (auto fetched = from.fetcher->read(at, into.first(size)); !fetched) {
        return fetched;
      }
      into = into.subspan(size);
      offset_bytes += size;
    }
    return {};
  }

private:
  struct piece {
    const std::byte* data;
    const byte_reader* fetcher;
    std::uint64_t offset_bytes;
    /// The offset of the piece in the gathered bytes.
    std::uint64_t begin;
  };

  /// The number of the piece that holds the byte at `offset_bytes`.
  [[nodiscard]] std::size_t piece_at(std::uint64_t offset_bytes) const noexcept {
    std::size_t first = 0, last = pieces_.size();
    while (last - first > 1) {
      const std::size_t middle = first + (last - first) / 2;
      (pieces_[middle].begin <= offset_bytes ? first : last) = middle;
    }
    return first;
  }

  std::vector<piece> pieces_;
  std::uint64_t size_bytes_ = 0;
};

/// The reader for a missing file: its tensors are listed, and reading one is errc::missing_part about the file.
class missing_file final : public byte_reader {
public:
  /// @param size_bytes  the least size that the file must have for its tensors
  explicit missing_file(std::string_view path, std::uint64_t size_bytes = ~std::uint64_t{0})
      : path_(path), size_bytes_(size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] result<void> read(std::uint64_t, std::span<std::byte>) const noexcept override {
    return error(errc::missing_part, path_);
  }

private:
  std::string path_;
  std::uint64_t size_bytes_;
};

namespace detail {

/// The reader of a damaged tensor: the tensor is listed, other tensors can be used, and reading it is the error.
class unreadable_bytes final : public byte_reader {
public:
  unreadable_bytes(const error& failure, std::uint64_t size_bytes) noexcept
      : failure_(failure), size_bytes_(size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] result<void> read(std::uint64_t, std::span<std::byte>) const noexcept override { return failure_; }

private:
  error failure_;
  std::uint64_t size_bytes_;
};

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
