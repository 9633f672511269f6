// SPDX-License-Identifier: MIT
// Reads little-endian fields in order and remembers a failure.
#ifndef STET_WIRE_CURSOR_HPP
#define STET_WIRE_CURSOR_HPP

#include "../vocabulary/config.hpp"

#include "../vocabulary/detail/endian.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// Walks over bytes, which must outlive it. A field that is cut off reads as zero, and so does every later one. The
/// caller takes all fields, and then tests `is_good()` once before it uses any.
class byte_cursor {
public:
  byte_cursor() noexcept = default;
  explicit byte_cursor(std::span<const std::byte> bytes) noexcept
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  /// True if no field so far was cut off.
  [[nodiscard]] bool is_good() const noexcept { return is_good_; }
  /// The number of bytes left; 0 after a failure.
  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  [[nodiscard]] std::span<const std::byte> rest() const noexcept { return {at_, left()}; }

  template <class Unsigned> Unsigned take() noexcept {
    return needs(sizeof(Unsigned)) ? load_little<Unsigned>(advance(sizeof(Unsigned))) : Unsigned{0};
  }
  std::uint8_t take_u8() noexcept { return take<std::uint8_t>(); }
  std::uint16_t take_u16() noexcept { return take<std::uint16_t>(); }
  std::uint32_t take_u32() noexcept { return take<std::uint32_t>(); }
  std::uint64_t take_u64() noexcept { return take<std::uint64_t>(); }

  /// An unsigned integer of `size_bytes` bytes, from 0 to 8.
  std::uint64_t take_sized(std::size_t size_bytes) noexcept {
    if (size_bytes > 8 || !needs(size_bytes)) return fail(), std::uint64_t{0};
    std::uint64_t value = 0;
    const std::byte* const from = advance(size_bytes);
    for (std::size_t i = size_bytes; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(from[i]);
    return value;
  }

  /// The next bytes, in place; empty, and a failure, if fewer are left.
  std::span<const std::byte> take_bytes(std::uint64_t size_bytes) noexcept {
    if (!needs(size_bytes)) return {};
    const auto size = static_cast<std::size_t>(size_bytes);
    return {advance(size), size};
  }
  std::string_view take_text(std::uint64_t size_bytes) noexcept {
    const std::span<const std::byte> bytes = take_bytes(size_bytes);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void skip(std::uint64_t size_bytes) noexcept { (void)take_bytes(size_bytes); }
  /// Passes over `mark`. Returns false, and fails, if other bytes are there.
  bool take_mark(std::string_view mark) noexcept {
    if (take_text(mark.size()) != mark) fail();
    return is_good_;
  }
  /// Ends the walk as a failure.
  void fail() noexcept {
    is_good_ = false;
    at_ = end_;
  }

private:
  bool needs(std::uint64_t size_bytes) noexcept {
    if (size_bytes > left()) fail();
    return is_good_;
  }
  const std::byte* advance(std::size_t size_bytes) noexcept {
    const std::byte* const from = at_;
    at_ += size_bytes;
    return from;
  }

  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  bool is_good_ = true;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
