// SPDX-License-Identifier: MIT
// A reader that fails: for a tensor that is listed in a file but damaged there.
#ifndef STET_FORMATS_COMMON_UNREADABLE_HPP
#define STET_FORMATS_COMMON_UNREADABLE_HPP

#include "../../source/source.hpp"

#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Stands for the bytes of one tensor: it is listed, the tensors around it can be used, and reading it is the error.
class unreadable_bytes final : public reader {
public:
  unreadable_bytes(const error& failure, std::uint64_t size_bytes) noexcept
      : failure_(failure), size_bytes_(size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] result<void> read(std::uint64_t, std::span<std::byte>) const noexcept override { return failure_; }

private:
  error failure_;
  std::uint64_t size_bytes_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
