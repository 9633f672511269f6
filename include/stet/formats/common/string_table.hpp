// SPDX-License-Identifier: MIT
// A string tensor as a store has it, made of strings that come one after the other.
#ifndef STET_FORMATS_COMMON_STRING_TABLE_HPP
#define STET_FORMATS_COMMON_STRING_TABLE_HPP

#include "../../source/source.hpp"
#include "../../vocabulary/detail/checked.hpp"
#include "../../vocabulary/detail/endian.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Fills a string tensor: one offset more than there are strings, then their bytes (index/format.hpp, "Data").
class string_table {
public:
  /// @param text_bytes  of all strings together
  /// @retval errc::too_large, out_of_memory
  static result<string_table> allocate(std::uint64_t count, std::uint64_t text_bytes,
                                       memory_resource* memory) noexcept {
    std::uint64_t size = 0;
    if (!checked_add(count, std::uint64_t{1}, size) || !checked_multiply(size, 8, size) ||
        !checked_add(size, text_bytes, size)) {
      return errc::too_large;
    }
    result<source> made = source::allocate(size, memory);
    if (!made) return made.error();
    return string_table(std::move(*made), static_cast<std::size_t>((count + 1) * 8));
  }

  /// Room for the bytes of the next string, which the caller fills. All strings together have to be as many, and their bytes, as
  /// `allocate` was told: see `fits`.
  std::span<std::byte> append(std::size_t size_bytes) noexcept {
    const std::span<std::byte> room(bytes_.writable_data() + text_ + written_, size_bytes);
    written_ += size_bytes;
    next_ += 8;
    store_little(bytes_.writable_data() + next_, std::uint64_t{written_});
    return room;
  }
  void append(std::string_view text) noexcept {
    const std::span<std::byte> room = append(text.size());
    if (!text.empty()) std::memcpy(room.data(), text.data(), text.size());
  }
  /// True if there is room for another string of this size.
  [[nodiscard]] bool fits(std::uint64_t size_bytes) const noexcept {
    return next_ + 8 < text_ && size_bytes <= bytes_.size_bytes() - text_ - written_;
  }

  /// The tensor; the table is spent. What was not appended is unspecified.
  [[nodiscard]] source finish() noexcept { return std::move(bytes_); }

private:
  string_table(source&& bytes, std::size_t text) noexcept : bytes_(std::move(bytes)), text_(text) {
    store_little(bytes_.writable_data(), std::uint64_t{0});
  }

  source bytes_;
  std::size_t text_;                   // where the bytes begin
  std::size_t next_ = 0, written_ = 0; // the last offset that was stored, and its value
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
