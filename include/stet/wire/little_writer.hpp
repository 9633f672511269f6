// SPDX-License-Identifier: MIT
// Writes structures of little-endian fields.
#ifndef STET_WIRE_LITTLE_WRITER_HPP
#define STET_WIRE_LITTLE_WRITER_HPP

#include "../vocabulary/config.hpp"

#include "../vocabulary/detail/endian.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Appends fields to a string of bytes. A field that is not known yet can be set later.
class little_writer {
public:
  little_writer& u8(std::uint8_t value) {
    bytes_.push_back(static_cast<char>(value));
    return *this;
  }
  little_writer& u16(std::uint16_t value) { return sized(value, 2); }
  little_writer& u32(std::uint32_t value) { return sized(value, 4); }
  little_writer& u64(std::uint64_t value) { return sized(value, 8); }
  /// Appends the lowest `size` ≤ 8 bytes of a number.
  little_writer& sized(std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i, value >>= 8) u8(static_cast<std::uint8_t>(value & 0xFF));
    return *this;
  }
  little_writer& text(std::string_view value) {
    bytes_.append(value);
    return *this;
  }
  little_writer& zeros(std::size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }
  /// Appends zeros up to a multiple of `alignment`.
  little_writer& align(std::size_t alignment) { return zeros((alignment - bytes_.size() % alignment) % alignment); }

  /// Sets the eight bytes at `offset`, which must exist, to a number.
  void set_u64(std::size_t offset, std::uint64_t value) {
    store_little(reinterpret_cast<std::byte*>(bytes_.data() + offset), value);
  }

  /// Sets the bytes at `offset`, which must exist.
  void replace(std::size_t offset, std::string_view bytes) { bytes_.replace(offset, bytes.size(), bytes); }

  [[nodiscard]] std::size_t size_bytes() const noexcept { return bytes_.size(); }
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }
  /// Returns the bytes and leaves the writer empty.
  [[nodiscard]] std::string take() { return std::exchange(bytes_, {}); }

private:
  std::string bytes_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
