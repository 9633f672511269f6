// SPDX-License-Identifier: MIT
// Bytes in a block of exactly their size.
#ifndef STET_TESTS_SUPPORT_EXACT_TEXT_HPP
#define STET_TESTS_SUPPORT_EXACT_TEXT_HPP

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace stet_test {

/// A copy of text in a block of exactly its size, so that a sanitizer sees any over-read.
class exact_text {
public:
  explicit exact_text(std::string_view text) : size_(text.size()), block_(new std::byte[text.size()]) {
    if (!text.empty()) std::memcpy(block_.get(), text.data(), text.size());
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {block_.get(), size_}; }

private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> block_;
};

} // namespace stet_test

#endif
