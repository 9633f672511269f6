// SPDX-License-Identifier: MIT
// Writes the members of a zip archive in their order, with few and large writes.
#ifndef STET_FORMATS_COMMON_ARCHIVE_OUTPUT_HPP
#define STET_FORMATS_COMMON_ARCHIVE_OUTPUT_HPP

#include "memory_sink.hpp"

#include "../../bytes/crc32.hpp"
#include "../../wire/zip_writer.hpp"
#include "../../writer/detail/stream_output.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Writes the archive that was planned. A checksum stands in front of what it is of: small members are gathered, each with its header
/// and with those around it; large ones are written before their headers.
class archive_output {
public:
  /// @param archive  has all members; it keeps the checksums
  archive_output(byte_writer& to, zip_writer& archive) noexcept : to_(to), archive_(archive) {}

  /// Writes the next member, of `size_bytes` bytes, which `write(sink)` gives.
  /// @param name  the subject of errc::source_too_short
  /// @retval errc::source_too_short, source_too_long  `write` gave another number of bytes
  /// or an error of `write` or of the output. Cost: memory of up to 1 MiB, once.
  template <class Write> result<void> add(std::uint64_t size_bytes, std::string_view name, Write write) {
    constexpr std::uint64_t small_size = 1 << 20;
    if (size_bytes > small_size) return add_large(size_bytes, name, write);
    gathered_.resize(static_cast<std::size_t>(size_bytes));
    memory_sink sink(gathered_);
    if (auto written = write(sink); !written) return written;
    if (!sink.is_full()) return error(errc::source_too_short, name);
    return add(gathered_, crc32(gathered_));
  }
  /// Writes the next member, whose bytes these are, as the archive stores them.
  /// @param crc  of what they are once decompressed
  result<void> add(std::span<const std::byte> stored, std::uint32_t crc) {
    if (!out_) out_.emplace(to_, archive_.header_offset(number_), false);
    const std::string header = archive_.header(number_++, crc);
    if (auto written = out_->write(std::as_bytes(std::span(header))); !written) return written;
    return out_->write(stored);
  }
  /// The same for text that is stored as it is.
  result<void> add(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    return add(bytes, crc32(bytes));
  }

  /// Writes the directory, after all members.
  result<void> finish() {
    if (!out_) out_.emplace(to_, archive_.directory_offset(), false);
    const std::string directory = archive_.directory();
    if (auto written = out_->write(std::as_bytes(std::span(directory))); !written) return written;
    return out_->flush();
  }

private:
  template <class Write> result<void> add_large(std::uint64_t size_bytes, std::string_view name, Write& write) {
    if (out_) {
      if (auto flushed = out_->flush(); !flushed) return flushed;
      out_.reset();
    }
    stream_output large(to_, archive_.data_offset(number_), true);
    if (auto written = write(large); !written) return written;
    const std::uint64_t end = archive_.data_offset(number_) + size_bytes;
    if (large.position_bytes() != end)
      return error(large.position_bytes() < end ? errc::source_too_short : errc::source_too_long, name);
    if (auto flushed = large.flush(); !flushed) return flushed;
    const std::string header = archive_.header(number_, large.crc32_so_far());
    return to_.write_at(archive_.header_offset(number_++), std::as_bytes(std::span(header)));
  }

  byte_writer& to_;
  zip_writer& archive_;
  std::size_t number_ = 0; // of the next member
  std::optional<stream_output> out_;
  std::vector<std::byte> gathered_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
