// SPDX-License-Identifier: MIT
// The interface through which a program supplies bytes of its own, from an archive or a network, say.
#ifndef STET_SOURCE_READER_HPP
#define STET_SOURCE_READER_HPP

#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// Bytes that are fetched by offset. Derive from it to supply bytes from anywhere; `file` is one, too.
class reader {
public:
  /// Fills all of `into` with the bytes from `offset_bytes` on, or fails; what `into` holds after a failure
  /// is unspecified. Must be callable from several threads at once.
  /// @retval errc::truncated  the bytes end before `into` is full; or any other code
  [[nodiscard]] virtual result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept = 0;

  /// How many bytes there are. Constant while the reader is in use.
  [[nodiscard]] virtual std::uint64_t size_bytes() const noexcept = 0;

protected:
  reader() noexcept = default;
  reader(const reader&) noexcept = default;
  reader& operator=(const reader&) noexcept = default;
  // Neither public nor virtual: nobody deletes through this base, and a virtual one would ask firmware for a
  // heap.
  ~reader() noexcept = default;
};

} // namespace stet::inline STET_NAMESPACE

#endif
