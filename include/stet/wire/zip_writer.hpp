// SPDX-License-Identifier: MIT
// Plans zip archives of stored and deflated members, each at a multiple of an alignment (zip.hpp, "A zip archive").
#ifndef STET_WIRE_ZIP_WRITER_HPP
#define STET_WIRE_ZIP_WRITER_HPP

#include "little_writer.hpp"

#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Computes the offsets of the members of an archive, and makes the headers around them. The caller writes the bytes: for
/// each member its header at `header_offset`, with the checksum, and its bytes at `data_offset`; then the directory. The
/// date of every member is 1980-01-01, so that the same members make the same archive.
class zip_writer {
public:
  /// Adds a member after the others.
  /// @param alignment  the power of two, up to 4096, that the offset of its bytes is a multiple of
  /// @return the number of the member
  /// @retval errc::bad_name   the name is empty or longer than 65535 bytes
  /// @retval errc::too_large  the archive would be too large
  result<std::size_t> add(std::string name, std::uint64_t size_bytes, std::uint32_t alignment = 1) {
    return add_member(std::move(name), size_bytes, size_bytes, 0, alignment);
  }
  /// Adds a member whose bytes are deflated (RFC 1951), from `size_bytes` to `stored_size_bytes`. Errors: as above.
  result<std::size_t> add_deflated(std::string name, std::uint64_t size_bytes, std::uint64_t stored_size_bytes) {
    constexpr std::uint16_t deflated = 8;
    return add_member(std::move(name), size_bytes, stored_size_bytes, deflated, 1);
  }

  [[nodiscard]] std::uint64_t header_offset(std::size_t number) const { return members_[number].header_offset; }
  [[nodiscard]] std::uint64_t data_offset(std::size_t number) const { return members_[number].data_offset; }
  /// The offset of the directory.
  [[nodiscard]] std::uint64_t directory_offset() const noexcept { return end_; }
  /// The size of the archive, which does not depend on the checksums.
  [[nodiscard]] std::uint64_t size_bytes() const { return end_ + directory().size(); }

  /// The local header of a member whose bytes have the CRC-32 `crc`.
  [[nodiscard]] std::string header(std::size_t number, std::uint32_t crc) {
    member& of = members_[number];
    of.crc = crc;
    const bool is_large = zip_writer::is_large(of);
    little_writer out;
    out.u32(0x04034B50u);
    append_common(out, of, is_large, is_large);
    out.u16(static_cast<std::uint16_t>((is_large ? zip64_size : 0) + of.padding)).text(of.name);
    if (is_large) out.u16(1).u16(16).u64(of.size_bytes).u64(of.stored_size_bytes);
    // The same padding as Android's zipalign.
    if (of.padding != 0) {
      out.u16(0xD935).u16(static_cast<std::uint16_t>(of.padding - 4)).u16(static_cast<std::uint16_t>(of.alignment));
      out.zeros(of.padding - min_padding);
    }
    return out.take();
  }

  /// The directory and the end records. Call it after `header` of every member.
  [[nodiscard]] std::string directory() const {
    little_writer out;
    for (const member& of : members_) {
      const bool is_large = zip_writer::is_large(of), is_far = needs_zip64(of.header_offset);
      const auto extra_size =
          static_cast<std::uint16_t>((is_large || is_far ? 4 : 0) + (is_large ? 16 : 0) + (is_far ? 8 : 0));
      out.u32(0x02014B50u).u16(version(is_large || is_far));
      append_common(out, of, is_large, is_large || is_far);
      out.u16(extra_size)
          .u16(0)
          .u16(0)
          .u16(0)
          .u32(0)
          .u32(is_far ? unknown : static_cast<std::uint32_t>(of.header_offset));
      out.text(of.name);
      if (extra_size != 0) out.u16(1).u16(static_cast<std::uint16_t>(extra_size - 4));
      if (is_large) out.u64(of.size_bytes).u64(of.stored_size_bytes);
      if (is_far) out.u64(of.header_offset);
    }
    const std::uint64_t size = out.size_bytes(), count = members_.size();
    const bool is_zip64 = needs_zip64(end_) || needs_zip64(size) || count >= 0xFFFF;
    if (is_zip64) {
      out.u32(0x06064B50u).u64(44).u16(version(true)).u16(version(true)).u32(0).u32(0);
      out.u64(count).u64(count).u64(size).u64(end_);
      out.u32(0x07064B50u).u32(0).u64(end_ + size).u32(1);
    }
    const auto shown_count = static_cast<std::uint16_t>(is_zip64 ? 0xFFFF : count);
    out.u32(0x06054B50u).u32(0).u16(shown_count).u16(shown_count);
    out.u32(is_zip64 ? unknown : static_cast<std::uint32_t>(size))
        .u32(is_zip64 ? unknown : static_cast<std::uint32_t>(end_))
        .u16(0);
    return out.take();
  }

private:
  static constexpr std::size_t local_size = 30, zip64_size = 20, min_padding = 6;
  static constexpr std::uint32_t unknown = 0xFFFFFFFFu;
  struct member {
    std::string name;
    std::uint64_t size_bytes, stored_size_bytes, header_offset, data_offset;
    std::uint32_t crc;
    std::uint16_t padding;
    std::uint32_t alignment;
    std::uint16_t method;
  };

  result<std::size_t> add_member(std::string name, std::uint64_t size_bytes, std::uint64_t stored_size_bytes,
                                 std::uint16_t method, std::uint32_t alignment) {
    if (name.empty() || name.size() > 0xFFFF) return error(errc::bad_name, name);
    member made{std::move(name), size_bytes, stored_size_bytes, end_, 0, 0, 0, alignment, method};
    const std::size_t header_size = local_size + made.name.size() + (is_large(made) ? zip64_size : 0);
    const std::uint64_t natural = end_ + header_size;
    std::uint64_t padding = (alignment - natural % alignment) % alignment;
    // A padding field includes its own head.
    if (padding != 0 && padding < min_padding)
      padding += (min_padding - padding + alignment - 1) / alignment * alignment;
    made.padding = static_cast<std::uint16_t>(padding);
    if (!checked_add(natural, padding, made.data_offset) || !checked_add(made.data_offset, stored_size_bytes, end_)) {
      return error(errc::too_large, made.name);
    }
    members_.push_back(std::move(made));
    return members_.size() - 1;
  }

  static bool needs_zip64(std::uint64_t value) noexcept { return value >= unknown; }
  static bool is_large(const member& of) noexcept {
    return needs_zip64(of.size_bytes) || needs_zip64(of.stored_size_bytes);
  }
  /// The version that a reader must support: 2.0, or 4.5 for ZIP64.
  static std::uint16_t version(bool is_zip64) noexcept { return is_zip64 ? 45 : 20; }

  /// Appends the fields that a local header and an entry of the directory share, from the version to the size of the name.
  static void append_common(little_writer& out, const member& of, bool is_large, bool is_zip64) {
    constexpr std::uint16_t is_utf8 = 1u << 11, first_day = 1u << 5 | 1u;
    const auto shown = [&](std::uint64_t size) { return is_large ? unknown : static_cast<std::uint32_t>(size); };
    out.u16(version(is_zip64)).u16(is_utf8).u16(of.method).u16(0).u16(first_day).u32(of.crc);
    out.u32(shown(of.stored_size_bytes)).u32(shown(of.size_bytes));
    out.u16(static_cast<std::uint16_t>(of.name.size()));
  }

  std::vector<member> members_;
  std::uint64_t end_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
