// SPDX-License-Identifier: MIT
// The elements of a block in memory as one run of bytes, row-major and little-endian, as a file has them.
#ifndef STET_SHARDED_DETAIL_BLOCK_MEMORY_HPP
#define STET_SHARDED_DETAIL_BLOCK_MEMORY_HPP

#include "../sharded_variables.hpp"

#include "../../vocabulary/detail/endian.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A block of a variable as bytes. Elements follow each other in runs, which memory has in a row.
class block_memory {
public:
  block_memory(const sharded_variable& of, const local_block& block) noexcept
      : block_(block), element_(of.element_size_bytes()), word_bytes_(describe(of.layout.dtype).word_size_bytes),
        size_bytes_(block.element_count() * element_), run_bytes_(element_) {
    // The last axes that memory has in a row are one run.
    for (outer_ = block.extents.size(); outer_ > 0; --outer_) {
      const std::size_t axis = outer_ - 1;
      if (block.extents[axis] != 1 && block.strides_bytes[axis] != run_bytes_) break;
      run_bytes_ *= block.extents[axis];
    }
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] std::size_t element_size_bytes() const noexcept { return element_; }
  /// All bytes, where memory has them as a file does; empty otherwise.
  [[nodiscard]] std::span<std::byte> in_place() const noexcept {
    if (is_swapped() || run_bytes_ != size_bytes_) return {};
    return {block_.memory, static_cast<std::size_t>(size_bytes_)};
  }

  /// Copies the bytes from `offset_bytes` on, whole elements, to `into`.
  void copy_to(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    copy_elements_to(offset_bytes, into);
    if (is_swapped()) reverse_words(into.data(), into.size(), word_bytes_);
  }
  /// Copies elements from the places of the bytes from `offset_bytes` on, as memory has them.
  void copy_elements_to(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    visit(offset_bytes, into.size(),
          [&](std::byte* memory, std::size_t at, std::size_t size) { std::memcpy(into.data() + at, memory, size); });
  }
  /// Whether the bytes from `offset_bytes` on are `others`, whole elements.
  [[nodiscard]] bool is_equal(std::uint64_t offset_bytes, std::span<const std::byte> others,
                              std::vector<std::byte>& scratch) const {
    const std::span<const std::byte> there = in_place();
    if (!there.empty()) {
      return std::memcmp(there.data() + static_cast<std::size_t>(offset_bytes), others.data(), others.size()) == 0;
    }
    constexpr std::size_t step = std::size_t{256} << 10;
    scratch.resize(step);
    const std::size_t whole = step / element_ * element_;
    for (std::size_t done = 0; done < others.size(); done += whole) {
      const std::span<std::byte> some =
          std::span(scratch).first(others.size() - done < whole ? others.size() - done : whole);
      copy_to(offset_bytes + done, some);
      if (std::memcmp(some.data(), others.data() + done, some.size()) != 0) return false;
    }
    return true;
  }

  /// Copies elements as memory has them to the places of the bytes from `offset_bytes` on.
  void take_elements(std::uint64_t offset_bytes, std::span<const std::byte> elements) const noexcept {
    visit(offset_bytes, elements.size(), [&](std::byte* memory, std::size_t at, std::size_t size) {
      std::memcpy(memory, elements.data() + at, size);
    });
  }

  /// Where memory has the bytes from `offset_bytes` on in a row: `size` becomes how many there are, at most what it was.
  [[nodiscard]] std::byte* row_at(std::uint64_t offset_bytes, std::size_t& size) const noexcept {
    const std::uint64_t left = run_bytes_ - offset_bytes % run_bytes_;
    if (size > left) size = static_cast<std::size_t>(left);
    return memory_at(offset_bytes);
  }

private:
  /// Whether a file has the words of the elements in another order than memory.
  [[nodiscard]] bool is_swapped() const noexcept { return !host_is_little_endian && word_bytes_ > 1; }
  /// Where the byte at `offset_bytes` is in memory.
  [[nodiscard]] std::byte* memory_at(std::uint64_t offset_bytes) const noexcept {
    std::uint64_t run = offset_bytes / run_bytes_;
    std::size_t at = static_cast<std::size_t>(offset_bytes % run_bytes_);
    for (std::size_t axis = outer_; axis-- > 0; run /= block_.extents[axis])
      at += static_cast<std::size_t>(run % block_.extents[axis]) * block_.strides_bytes[axis];
    return block_.memory + at;
  }
  template <class Take> void visit(std::uint64_t offset_bytes, std::size_t size, Take take) const noexcept {
    for (std::size_t done = 0; done < size;) {
      const std::uint64_t left = run_bytes_ - offset_bytes % run_bytes_;
      const std::size_t piece = left < size - done ? static_cast<std::size_t>(left) : size - done;
      take(memory_at(offset_bytes), done, piece);
      done += piece;
      offset_bytes += piece;
    }
  }

  const local_block& block_;
  std::size_t element_, word_bytes_;
  std::uint64_t size_bytes_, run_bytes_;
  /// The axes before this one are between runs.
  std::size_t outer_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
