// SPDX-License-Identifier: MIT
// Reads elements at any strides as row-major bytes.
#ifndef STET_STORE_DETAIL_STRIDED_BYTES_HPP
#define STET_STORE_DETAIL_STRIDED_BYTES_HPP

#include "strided_copy.hpp"

#include "../../source/source.hpp"
#include "../../vocabulary/detail/checked.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Gathers the elements when they are read, all at once in blocks, else one by one; keeps nothing. Elements that are not in memory are
/// fetched one by one.
class strided_bytes final : public byte_reader {
public:
  /// @param from             holds the elements; its bytes must outlive this object, as those of a part of a store do
  /// @param offset_bytes     the offset of the first element
  /// @param item_size_bytes  the size of an element
  strided_bytes(const source& from, std::uint64_t offset_bytes, std::uint64_t item_size_bytes) noexcept
      : data_(from.data()), fetcher_(from.fetcher()), offset_(offset_bytes),
        item_(static_cast<std::size_t>(item_size_bytes)), size_(item_size_bytes) {}

  /// Adds an axis, the outermost first, none of them empty. All elements must lie within the bytes, and the size of them all
  /// fit in 63 bits.
  /// @param step  from an element to the next along the axis, in elements
  void add_axis(std::uint64_t extent, std::uint64_t step) noexcept {
    if (extent == 1) return;
    extents_[rank_] = extent;
    steps_[rank_++] = step;
    size_ *= extent;
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_; }
  [[nodiscard]] bool reads_from_memory() const noexcept override { return data_ != nullptr; }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_)) return error(errc::bad_range, {}, offset_bytes);
    if (data_ != nullptr && into.size() == size_) {
      strided_copy all(data_ + static_cast<std::size_t>(offset_), item_);
      for (std::size_t axis = 0; axis < rank_; ++axis)
        all.add_axis(static_cast<std::size_t>(extents_[axis]), static_cast<std::size_t>(steps_[axis]) * item_);
      all.copy_to(into.data(), 1);
      return {};
    }
    // The position of the first element along each axis, and its number in the file.
    std::uint64_t at[max_axes], number = 0, left = offset_bytes / item_;
    for (std::size_t axis = rank_; axis-- > 0;) {
      at[axis] = left % extents_[axis];
      left /= extents_[axis];
      number += at[axis] * steps_[axis];
    }
    std::size_t skipped = static_cast<std::size_t>(offset_bytes % item_);
    std::byte* to = into.data();
    std::byte* const end = to + into.size();
    while (to != end) {
      const std::size_t rest = item_ - skipped, room = static_cast<std::size_t>(end - to);
      const std::size_t size = rest < room ? rest : room;
      const std::uint64_t from = offset_ + number * item_ + skipped;
      if (data_ == nullptr) {
        if (auto fetched = fetcher_->read(from, writable_bytes_at(to, size)); !fetched) return fetched;
      } else if (size == 4) { // a constant size makes it one instruction
        std::memcpy(to, data_ + static_cast<std::size_t>(from), 4);
      } else if (size == 8) {
        std::memcpy(to, data_ + static_cast<std::size_t>(from), 8);
      } else {
        std::memcpy(to, data_ + static_cast<std::size_t>(from), size);
      }
      to += size;
      skipped = 0;
      for (std::size_t axis = rank_; axis-- > 0;) {
        number += steps_[axis];
        if (++at[axis] != extents_[axis]) break;
        number -= extents_[axis] * steps_[axis];
        at[axis] = 0;
      }
    }
    return {};
  }

private:
  /// Each extent is at least 2, and their product fits in 63 bits.
  static constexpr std::size_t max_axes = 63;

  const std::byte* data_;
  const byte_reader* fetcher_;
  std::uint64_t offset_;
  std::size_t item_;
  std::uint64_t size_;
  std::size_t rank_ = 0;
  std::uint64_t extents_[max_axes], steps_[max_axes];
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
