// SPDX-License-Identifier: MIT
// Writes one run of bytes in order, little pieces gathered, and its checksum on the way.
#ifndef STET_WRITER_DETAIL_STREAM_OUTPUT_HPP
#define STET_WRITER_DETAIL_STREAM_OUTPUT_HPP

#include "../output.hpp"

#include "../../bytes/crc32.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Takes the bytes of a file from some offset on.
class stream_output final : public piece_sink {
public:
  /// Writes to `to` from `offset_bytes` on.
  stream_output(byte_writer& to, std::uint64_t offset_bytes, bool with_crc32)
      : to_(to, buffer_, offset_bytes), with_crc32_(with_crc32) {}
  stream_output(const stream_output&) = delete;
  stream_output& operator=(const stream_output&) = delete;

  result<void> write(std::span<const std::byte> piece) override {
    return to_.write(piece, with_crc32_,
                     [this](std::span<const std::byte> bytes) noexcept { crc_ = crc32(bytes, crc_); });
  }

  [[nodiscard]] std::size_t best_piece_size_bytes() const noexcept override { return to_.room_bytes(); }

  /// Zeros up to `offset_bytes`, which is not far.
  /// @retval errc::source_too_long  that has been passed
  result<void> fill_up_to(std::uint64_t offset_bytes) {
    constexpr std::byte zeros[64]{};
    if (offset_bytes < position_bytes()) return errc::source_too_long;
    while (position_bytes() != offset_bytes) {
      const std::uint64_t left = offset_bytes - position_bytes();
      if (auto done =
              write(std::span(zeros).first(left < sizeof zeros ? static_cast<std::size_t>(left) : sizeof zeros));
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
  output_buffer buffer_;
  page_output to_;
  std::uint32_t crc_ = 0;
  bool with_crc32_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
