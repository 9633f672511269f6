// SPDX-License-Identifier: MIT
// The interface by which a program supplies its own bytes, for example from an archive or a network.
#ifndef STET_SOURCE_BYTE_READER_HPP
#define STET_SOURCE_BYTE_READER_HPP

#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// Bytes that are read by offset. Derive from it to supply bytes from anywhere; `file` is also a reader.
class byte_reader {
public:
  /// Fills `into` with the bytes from `offset_bytes` on, or fails; the contents of `into` are then unspecified. Must be safe
  /// from several threads at once.
  /// @retval errc::truncated  the bytes end before `into` is full; or any other code
  [[nodiscard]] virtual result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept = 0;

  /// The number of bytes, which must not change while the reader is in use.
  [[nodiscard]] virtual std::uint64_t size_bytes() const noexcept = 0;

  /// True if all bytes are in memory, so that `read` within the size cannot fail. A restore then needs no memory of its own for them.
  [[nodiscard]] virtual bool reads_from_memory() const noexcept { return false; }

  /// True if reads of several threads at once, at any offsets, take no longer than one after the other from the first byte to the last: a
  /// disk, a network. stet/load.hpp then reads parts of a tensor at once.
  [[nodiscard]] virtual bool reads_anywhere() const noexcept { return false; }

  /// Where bytes are that a reader gathers of others: in memory or in another reader, or, with neither, nowhere until they are read.
  struct origin {
    /// The memory.
    const std::byte* data = nullptr;
    /// The other reader.
    const byte_reader* fetcher = nullptr;
    /// The number of this source among those of the store that the reader belongs to.
    std::uint32_t part = 0;
    /// Where the bytes begin in that source.
    std::uint64_t offset_bytes = 0;
    /// How many follow there in a row.
    std::uint64_t size_bytes = 0;
  };
  /// Where the bytes from `offset_bytes`, less than `size_bytes()`, on come from, unchecked. The default: they are made.
  [[nodiscard]] virtual origin origin_of([[maybe_unused]] std::uint64_t offset_bytes) const noexcept { return {}; }

protected:
  byte_reader() noexcept = default;
  byte_reader(const byte_reader&) noexcept = default;
  byte_reader& operator=(const byte_reader&) noexcept = default;
  // Neither public nor virtual: objects are not deleted through this base, and a virtual destructor would require a heap in
  // firmware.
  ~byte_reader() noexcept = default;
};

} // namespace stet::inline STET_NAMESPACE

#endif
