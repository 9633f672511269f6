// SPDX-License-Identifier: MIT
// What SHA-1 and SHA-256 share: a message becomes blocks of 64 bytes.
#ifndef STET_BYTES_DETAIL_BLOCK_HASH_HPP
#define STET_BYTES_DETAIL_BLOCK_HASH_HPP

#include "../../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// A hash of FIPS 180-4 for words of 32 bits. `Function` has the types `digest` and `start`, and `compress(words, w)`, which
/// takes a block, the first 16 words of `w`, into the state.
template <class Function> class block_hash {
public:
  /// Adds the next bytes.
  void update(std::span<const std::byte> bytes) noexcept {
    size_bytes_ += bytes.size();
    while (!bytes.empty()) {
      const std::size_t room = sizeof block_ - used_;
      const std::size_t count = bytes.size() < room ? bytes.size() : room;
      std::memcpy(block_ + used_, bytes.data(), count);
      bytes = bytes.subspan(count);
      used_ += count;
      if (used_ == sizeof block_) take_block();
    }
  }

  /// The digest of all bytes added. No bytes may be added afterwards.
  [[nodiscard]] typename Function::digest finish() noexcept {
    // Section 5.1.1: a bit, zeros, and the size in the last 8 bytes of a block.
    const std::uint64_t size_bits = size_bytes_ * 8;
    block_[used_++] = std::byte{0x80};
    if (used_ > sizeof block_ - 8) {
      std::memset(block_ + used_, 0, sizeof block_ - used_);
      take_block();
    }
    std::memset(block_ + used_, 0, sizeof block_ - used_);
    for (int i = 0; i < 8; ++i) block_[56 + i] = static_cast<std::byte>(size_bits >> (56 - 8 * i) & 0xFFu);
    take_block();
    typename Function::digest made;
    for (std::size_t i = 0; i < sizeof made.bytes; ++i)
      made.bytes[i] = static_cast<std::byte>(state_.words[i / 4] >> (24 - i % 4 * 8) & 0xFFu);
    return made;
  }

private:
  void take_block() noexcept {
    used_ = 0;
    std::uint32_t w[Function::round_count];
    for (std::size_t i = 0; i < 16; ++i) {
      w[i] = 0;
      for (std::size_t j = 0; j < 4; ++j) w[i] = w[i] << 8 | static_cast<std::uint32_t>(block_[4 * i + j]);
    }
    Function::compress(state_.words, w);
  }

  typename Function::start state_;
  std::uint64_t size_bytes_ = 0;
  std::byte block_[64] = {};
  std::size_t used_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
