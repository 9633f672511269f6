// SPDX-License-Identifier: MIT
// Copies elements at any strides into a row, in blocks that use whole cache lines, with several threads.
#ifndef STET_STORE_DETAIL_STRIDED_COPY_HPP
#define STET_STORE_DETAIL_STRIDED_COPY_HPP

#include "../../source/detail/helper_thread.hpp"
#include "../../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stet::inline STET_NAMESPACE::detail {

/// Elements in memory at any strides, which `copy_to` copies in row-major order.
///
/// Where neighbours in the row are neighbours in memory, runs are copied. Otherwise some other axis has the neighbours in memory, and
/// both axes are cut into blocks: a block is read along the one, whole cache lines at a time, and written along the other.
class strided_copy {
public:
  /// @param from             the first element
  /// @param item_size_bytes  the size of an element, at least 1
  strided_copy(const std::byte* from, std::size_t item_size_bytes) noexcept : from_(from), item_(item_size_bytes) {}

  /// Adds an axis, the outermost first, none of them empty; at most 63 of more than one element.
  /// @param step_bytes  from an element to the next along the axis
  void add_axis(std::size_t extent, std::size_t step_bytes) noexcept {
    if (extent == 1) return;
    if (rank_ != 0 && axes_[rank_ - 1].from_step == extent * step_bytes) { // continues the axis around it
      axes_[rank_ - 1].count *= extent;
      axes_[rank_ - 1].from_step = step_bytes;
    } else {
      axes_[rank_++] = {extent, step_bytes, 0};
    }
  }

  /// Copies all elements to `into`, which has room for them and does not overlap them.
  /// @param thread_count  0: as many as the machine has processors. Few elements are copied by one
  void copy_to(std::byte* into, unsigned thread_count) noexcept {
    into_ = into;
    prepare();
    std::size_t units = 1;
    for (std::size_t i = 0; i < rank_; ++i) units *= blocks_[i].count;
    std::size_t threads = thread_count == 0 ? processor_count() : thread_count;
    if (threads > max_threads) threads = max_threads;
    if (threads > units) threads = units;
    if (threads > size_ / least_bytes_of_thread) threads = size_ / least_bytes_of_thread;
    if (threads < 2) return copy_units(0, units);
    share shares[max_threads];
    helper_thread helpers[max_threads];
    for (std::size_t i = 0; i < threads; ++i) {
      const std::size_t each = units / threads, longer = units % threads;
      shares[i] = {this, i * each + (i < longer ? i : longer), (i + 1) * each + (i + 1 < longer ? i + 1 : longer)};
    }
    for (std::size_t i = 1; i < threads; ++i) {
      if (!helpers[i].start(shares[i])) shares[i](); // the system has no thread left
    }
    shares[0]();
  }

private:
  static constexpr std::size_t line = 64;             // of a cache
  static constexpr std::size_t block_size = 4 * line; // of a block along the axis of neighbours in memory
  static constexpr std::size_t row_elements = 1024;   // of a block along the innermost axis
  static constexpr std::size_t largest_item = line;   // that is copied in blocks; larger ones use whole lines anyway
  static constexpr std::size_t max_threads = 64;
  static constexpr std::size_t least_bytes_of_thread = std::size_t{1}
                                                       << 20; // starting one costs as much as copying a tenth
  static constexpr std::size_t max_axes = 63; // each extent is at least 2, and their product fits in 63 bits

  /// An axis, or blocks along one: their number, and the bytes from one to the next.
  struct axis {
    std::size_t count, from_step, into_step;
  };
  /// What one thread copies.
  struct share {
    strided_copy* of;
    std::size_t begin, end;
    void operator()() noexcept { of->copy_units(begin, end); }
  };

  /// Cuts the axes into blocks.
  void prepare() noexcept {
    if (rank_ != 0 && axes_[rank_ - 1].from_step == item_) { // a run of elements is one item
      item_ *= axes_[--rank_].count;
    }
    size_ = item_;
    for (std::size_t i = rank_; i-- > 0;) {
      axes_[i].into_step = size_;
      size_ *= axes_[i].count;
    }
    for (std::size_t i = 0; i < rank_; ++i) blocks_[i] = axes_[i];
    if (rank_ == 0) return; // one item, or one run
    innermost_ = rank_ - 1;
    along_ = innermost_;
    for (std::size_t i = 0; i < innermost_; ++i) {
      if (axes_[i].from_step == item_ && (along_ == innermost_ || axes_[i].count > axes_[along_].count)) along_ = i;
    }
    is_block_ = along_ != innermost_ && item_ <= largest_item;
    if (is_block_) cut(along_, block_size / item_);
    cut(innermost_, row_elements);
  }
  void cut(std::size_t i, std::size_t block) noexcept {
    block_[i == innermost_ ? 1 : 0] = block;
    blocks_[i] = {(axes_[i].count + block - 1) / block, axes_[i].from_step * block, axes_[i].into_step * block};
  }

  /// Copies the units from `begin` to before `end`: blocks, in the order of the axes.
  void copy_units(std::size_t begin, std::size_t end) const noexcept {
    std::size_t at[max_axes + 1] = {}, left = begin;
    const std::byte* from = from_;
    std::byte* into = into_;
    for (std::size_t i = rank_; i-- > 0;) {
      at[i] = left % blocks_[i].count;
      left /= blocks_[i].count;
      from += at[i] * blocks_[i].from_step;
      into += at[i] * blocks_[i].into_step;
    }
    for (std::size_t unit = begin; unit < end; ++unit) {
      copy_unit(from, into, at);
      for (std::size_t i = rank_; i-- > 0;) {
        from += blocks_[i].from_step;
        into += blocks_[i].into_step;
        if (++at[i] != blocks_[i].count) break;
        from -= at[i] * blocks_[i].from_step;
        into -= at[i] * blocks_[i].into_step;
        at[i] = 0;
      }
    }
  }

  /// How many of `block` elements of axis `i` are left from block `at` on.
  [[nodiscard]] std::size_t size_of_block(std::size_t i, std::size_t at, std::size_t block) const noexcept {
    const std::size_t left = axes_[i].count - at * block;
    return left < block ? left : block;
  }

  void copy_unit(const std::byte* from, std::byte* into, const std::size_t* at) const noexcept {
    if (rank_ == 0) return (void)std::memcpy(into, from, item_);
    const std::size_t columns = size_of_block(innermost_, at[innermost_], block_[1]);
    const std::size_t rows = is_block_ ? size_of_block(along_, at[along_], block_[0]) : 1;
    switch (item_) {
    case 1:
      return copy_block<1>(from, into, rows, columns);
    case 2:
      return copy_block<2>(from, into, rows, columns);
    case 4:
      return copy_block<4>(from, into, rows, columns);
    case 8:
      return copy_block<8>(from, into, rows, columns);
    case 16:
      return copy_block<16>(from, into, rows, columns);
    default:
      break;
    }
    const std::size_t from_step = axes_[innermost_].from_step;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t column = 0; column < columns; ++column)
        std::memcpy(into + row * axes_[along_].into_step + column * item_, from + row * item_ + column * from_step,
                    item_);
    }
  }

  /// Copies a block whose elements are neighbours along its columns in memory, and along its rows in the row. Elements of a constant
  /// size are copied by one instruction each.
  template <std::size_t Size>
  void copy_block(const std::byte* from, std::byte* into, std::size_t rows, std::size_t columns) const noexcept {
    constexpr std::size_t width = line / Size; // elements of a cache line
    const std::size_t from_step = axes_[innermost_].from_step, into_step = axes_[along_].into_step;
    if (rows * Size < line) {
      // Little by little, so that what is read for one row is still in the cache for the next.
      for (std::size_t first = 0; first < columns; first += 2 * line) {
        const std::size_t end = columns - first < 2 * line ? columns : first + 2 * line;
        for (std::size_t row = 0; row < rows; ++row) {
          const std::byte* const source = from + row * Size;
          std::byte* const target = into + row * into_step;
          for (std::size_t column = first; column < end; ++column)
            std::memcpy(target + column * Size, source + column * from_step, Size);
        }
      }
      return;
    }
    // By way of a buffer: strides of powers of two would push lines out of the cache before all of them is used.
    alignas(line) std::byte buffer[width * block_size];
    for (std::size_t first = 0; first < columns; first += width) {
      const std::size_t some = columns - first < width ? columns - first : width;
      for (std::size_t column = 0; column < some; ++column)
        std::memcpy(buffer + column * block_size, from + (first + column) * from_step, rows * Size);
      std::byte* const target = into + first * Size;
      if (some == width) {
        for (std::size_t row = 0; row < rows; ++row) {
          for (std::size_t column = 0; column < width; ++column)
            std::memcpy(target + row * into_step + column * Size, buffer + column * block_size + row * Size, Size);
        }
      } else {
        for (std::size_t row = 0; row < rows; ++row) {
          for (std::size_t column = 0; column < some; ++column)
            std::memcpy(target + row * into_step + column * Size, buffer + column * block_size + row * Size, Size);
        }
      }
    }
  }

  const std::byte* from_;
  std::byte* into_ = nullptr;
  std::size_t item_, size_ = 0, rank_ = 0, innermost_ = 0, along_ = 0;
  bool is_block_ = false;
  axis axes_[max_axes], blocks_[max_axes];
  std::size_t block_[2] = {1, 1}; // elements of a block: along `along_`, along `innermost_`
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
