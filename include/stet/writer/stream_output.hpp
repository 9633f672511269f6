// SPDX-License-Identifier: MIT
// Writes one run of bytes in order, little pieces gathered, and its checksum on the way.
#ifndef STET_WRITER_STREAM_OUTPUT_HPP
#define STET_WRITER_STREAM_OUTPUT_HPP

#include "output.hpp"

#include "../bytes/crc32.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// Takes the bytes of a file from some offset on. Large pieces go straight to the output, unless their CRC-32
/// is wanted too: then in slices that stay in the cache.
class stream_output final : public piece_sink {
 public:
  /// Writes to `to` from `offset_bytes` on.
  stream_output(byte_output& to, std::uint64_t offset_bytes) : to_(to), flushed_(offset_bytes) {
    buffer_.reserve(output_buffer_size_bytes);
  }

  result<void> write(std::span<const std::byte> piece) override {
    while (!piece.empty()) {
      const std::size_t room = output_buffer_size_bytes - buffer_.size();
      const std::span<const std::byte> slice = piece.first(piece.size() < room ? piece.size() : room);
      piece = piece.subspan(slice.size());
      crc_ = crc32(slice, crc_);
      if (buffer_.empty() && slice.size() == output_buffer_size_bytes) {
        if (auto written = to_.write_at(flushed_, slice); !written)
          return written;
        flushed_ += slice.size();
        continue;
      }
      buffer_.insert(buffer_.end(), slice.begin(), slice.end());
      if (buffer_.size() == output_buffer_size_bytes) {
        if (auto done = flush(); !done)
          return done;
      }
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
  [[nodiscard]] std::uint64_t position_bytes() const noexcept { return flushed_ + buffer_.size(); }
  /// The CRC-32 of all bytes so far, and those that follow it begin anew.
  [[nodiscard]] std::uint32_t take_crc32() noexcept { return std::exchange(crc_, 0); }

  /// Writes what is gathered.
  result<void> flush() {
    if (buffer_.empty())
      return {};
    auto written = to_.write_at(flushed_, buffer_);
    flushed_ += buffer_.size();
    buffer_.clear();
    return written;
  }

 private:
  byte_output& to_;
  std::vector<std::byte> buffer_;
  std::uint64_t flushed_;
  std::uint32_t crc_ = 0;
};

} // namespace stet::inline v0_1::detail

#endif
