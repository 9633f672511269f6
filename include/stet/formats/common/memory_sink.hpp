// SPDX-License-Identifier: MIT
// Takes the bytes of a tensor into memory.
#ifndef STET_FORMATS_COMMON_MEMORY_SINK_HPP
#define STET_FORMATS_COMMON_MEMORY_SINK_HPP

#include "../../writer/tensors.hpp"

#include <cstddef>
#include <cstring>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Takes the pieces of a tensor into memory of its size.
class memory_sink final : public piece_sink {
public:
  explicit memory_sink(std::span<std::byte> into) noexcept : into_(into) {}
  result<void> write(std::span<const std::byte> piece) override {
    if (piece.size() > into_.size()) return errc::source_too_long;
    if (!piece.empty()) std::memcpy(into_.data(), piece.data(), piece.size());
    into_ = into_.subspan(piece.size());
    return {};
  }
  [[nodiscard]] bool is_full() const noexcept { return into_.empty(); }

private:
  std::span<std::byte> into_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
