// SPDX-License-Identifier: MIT
// Writes one run of bytes in order, little pieces gathered, and its checksum on the way.
#ifndef STET_WRITER_STREAM_OUTPUT_HPP
#define STET_WRITER_STREAM_OUTPUT_HPP

#include "output.hpp"

#include "../bytes/crc32.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stet::inline v0_1::detail {

/// Takes the bytes of a file from some offset on. Large pieces are passed on as they are, in slices that stay
/// in the cache between their checksum and their copy.
class stream_output final : public piece_sink {
 public:
  /// Writes to `to` from `offset_bytes` on.
  stream_output(byte_output& to, std::uint64_t offset_bytes) : to_(to, buffer_, offset_bytes) {}
  stream_output(const stream_output&) = delete;
  stream_output& operator=(const stream_output&) = delete;

  result<void> write(std::span<const std::byte> piece) override {
    while (!piece.empty()) {
      const std::size_t size =
          piece.size() < output_buffer_size_bytes ? piece.size() : output_buffer_size_bytes;
      const std::span<const std::byte> slice = piece.first(size);
      piece = piece.subspan(size);
      if (with_crc32_)
        crc_ = crc32(slice, crc_);
      if (buffer_.size() + size > output_buffer_size_bytes || size >= min_direct_size) {
        if (auto done = flush(); !done)
          return done;
      }
      if (size < min_direct_size) {
        buffer_.insert(buffer_.end(), slice.begin(), slice.end());
        continue;
      }
      if (auto written = to_.write_at(flushed_, slice); !written)
        return written;
      flushed_ += size;
    }
    return {};
  }

  /// Zeros up to `offset_bytes`, which is not far.
  /// @retval errc::source_too_long  that has been passed
  result<void> fill_up_to(std::uint64_t offset_bytes) {
    constexpr std::byte zeros[64]{};
    if (offset_bytes < position_bytes())
      return errc::source_too_long;
    while (position_bytes() != offset_bytes) {
      const std::uint64_t left = offset_bytes - position_bytes();
      if (auto done = write(
              std::span(zeros).first(left < sizeof zeros ? static_cast<std::size_t>(left) : sizeof zeros));
          !done)
        return done;
    }
    return {};
  }

  /// Where the next byte goes.
  [[nodiscard]] std::uint64_t position_bytes() const noexcept { return to_.position_bytes(); }
  /// The CRC-32 of all bytes so far, if it is wanted.
  [[nodiscard]] std::uint32_t crc32_so_far() const noexcept { return crc_; }

  /// Writes what is gathered.
  result<void> flush() { return to_.flush(); }

 private:
  std::vector<std::byte> buffer_;
  page_output to_;
  std::uint32_t crc_ = 0;
};

} // namespace stet::inline v0_1::detail

#endif
