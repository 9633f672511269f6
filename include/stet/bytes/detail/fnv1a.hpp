// SPDX-License-Identifier: MIT
// The hash FNV-1a: the same on every machine, but not safe from inputs that were made to collide.
#ifndef STET_BYTES_DETAIL_FNV1A_HPP
#define STET_BYTES_DETAIL_FNV1A_HPP

#include "../../vocabulary/config.hpp"

#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// Fowler, Noll, Vo: FNV-1a, 64 bits.
class fnv1a {
public:
  constexpr explicit fnv1a(std::uint64_t begin = 0xCBF29CE484222325u) noexcept : value_(begin) {}
  /// Takes the lowest `count` bytes of `number`, the lowest first.
  constexpr fnv1a& add(std::uint64_t number, std::uint32_t count) noexcept {
    for (; count-- > 0; number >>= 8) value_ = (value_ ^ (number & 0xFFu)) * 0x100000001B3u;
    return *this;
  }
  constexpr fnv1a& add(std::string_view text) noexcept {
    for (const char c : text) add(static_cast<unsigned char>(c), 1);
    return *this;
  }
  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }

private:
  std::uint64_t value_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
