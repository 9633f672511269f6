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

/// Elements in memory at any strides, which `copy_to` copies in row-major order, `into`.
///
/// Where neighbours in `into` are neighbours in memory, runs are copied. Otherwise the axes are cut into blocks. The columns of a block
/// are neighbours in `into`: along the innermost axis, and the next one if that is short. Its rows are neighbours in memory: along the
/// axis that is the innermost there, and the next one if that is short. So whole cache lines are read and written.
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
    cut_axes();
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
  static constexpr std::size_t line = 64;           // of a cache
  static constexpr std::size_t row_size = 4 * line; // the most bytes of the rows of a block in memory
  static constexpr std::size_t largest_item = line; // that is copied in blocks; larger ones use whole lines anyway
  static constexpr std::size_t max_columns = 1024, max_rows = row_size;
  static constexpr std::size_t max_threads = 64;
  static constexpr std::size_t least_bytes_of_thread = std::size_t{1}
                                                       << 20; // starting one costs as much as copying a tenth
  static constexpr std::size_t max_axes = 63; // each extent is at least 2, and their product fits in 63 bits
  static constexpr std::size_t none = max_axes;

  /// An axis, or blocks along one: their number, and the bytes from one to the next.
  struct axis {
    std::size_t count, from_step, into_step;
  };
  /// The axes of the columns or rows of a block: the inner one and, or `none`, the one around it; how many elements of each.
  struct sides {
    std::size_t inner = none, outer = none, inner_count = 1, outer_count = 1;
  };
  /// What one thread copies.
  struct share {
    const strided_copy* of;
    std::size_t begin, end;
    void operator()() const noexcept { of->copy_units(begin, end); }
  };

  void cut_axes() noexcept {
    if (rank_ != 0 && axes_[rank_ - 1].from_step == item_)
      item_ *= axes_[--rank_].count; // a run of elements is one item
    size_ = item_;
    for (std::size_t i = rank_; i-- > 0;) {
      axes_[i].into_step = size_;
      size_ *= axes_[i].count;
    }
    for (std::size_t i = 0; i < rank_; ++i) blocks_[i] = axes_[i];
    if (rank_ == 0) return; // one item
    columns_.inner = rank_ - 1;
    if (item_ <= largest_item) rows_.inner = find_axis(item_);
    if (rows_.inner != none && rows_.inner != columns_.inner) {
      const std::size_t count = axes_[rows_.inner].count, most = row_size / item_;
      rows_.inner_count = count < most ? count : most;
      if (count < most) rows_.outer = find_axis(count * item_);
      if (rows_.outer == columns_.inner) rows_.outer = none;
      if (rows_.outer != none) rows_.outer_count = least(axes_[rows_.outer].count, most / count);
    } else {
      rows_.inner = none;
    }
    const std::size_t count = axes_[columns_.inner].count, width = item_ < line ? line / item_ : 1;
    columns_.inner_count = least(count, max_columns);
    if (rank_ > 1 && count <= max_columns / width && rank_ - 2 != rows_.inner && rank_ - 2 != rows_.outer) {
      columns_.outer = rank_ - 2;
      columns_.outer_count = least(axes_[rank_ - 2].count, max_columns / width / count * width); // whole lines
    }
    // Blocks next to each other in memory follow each other: they share pages, which cost more than lines.
    std::size_t* order = order_;
    const std::size_t last[] = {columns_.outer, columns_.inner, rows_.outer, rows_.inner};
    for (std::size_t i = 0; i < rank_; ++i) {
      if (i != last[0] && i != last[1] && i != last[2] && i != last[3]) *order++ = i;
    }
    for (const std::size_t i : last) {
      if (i != none) *order++ = i;
    }
    const sides* const both[] = {&columns_, &rows_};
    for (const sides* each : both) {
      if (each->inner != none) cut(each->inner, each->inner_count);
      if (each->outer != none) cut(each->outer, each->outer_count);
    }
  }
  static std::size_t least(std::size_t a, std::size_t b) noexcept { return a < b ? a : b; }
  void cut(std::size_t i, std::size_t block) noexcept {
    blocks_[i] = {(axes_[i].count + block - 1) / block, axes_[i].from_step * block, axes_[i].into_step * block};
  }
  /// The axis whose elements are `step` apart in memory, or `none`.
  [[nodiscard]] std::size_t find_axis(std::size_t step) const noexcept {
    for (std::size_t i = 0; i < rank_; ++i) {
      if (axes_[i].from_step == step) return i;
    }
    return none;
  }

  /// The bytes from the first element of a block to each of its columns in memory, and to each of its rows in `into`.
  struct places {
    std::size_t columns[max_columns], rows[max_rows];
  };
  void list_places(places& made) const noexcept {
    list(made.columns, columns_, &axis::from_step);
    list(made.rows, rows_, &axis::into_step);
  }
  void list(std::size_t* made, const sides& of, std::size_t axis::* step) const noexcept {
    const std::size_t inner = of.inner == none ? 0 : axes_[of.inner].*step,
                      outer = of.outer == none ? 0 : axes_[of.outer].*step;
    for (std::size_t i = 0; i < of.outer_count; ++i) {
      for (std::size_t j = 0; j < of.inner_count; ++j) *made++ = i * outer + j * inner;
    }
  }
  /// The elements on a side of a block, which is smaller at the end of an axis. A side of two axes ends with whole inner ones.
  [[nodiscard]] std::size_t count(const sides& of, const std::size_t* at) const noexcept {
    const auto left = [&](std::size_t i, std::size_t block) {
      return i == none ? 1 : least(axes_[i].count - at[i] * block, block);
    };
    return left(of.inner, of.inner_count) * left(of.outer, of.outer_count);
  }

  /// Copies the units from `begin` to before `end`: blocks, in the order of `order_`.
  void copy_units(std::size_t begin, std::size_t end) const noexcept {
    places of;
    list_places(of);
    std::size_t at[max_axes + 1] = {}, left = begin;
    const std::byte* from = from_;
    std::byte* into = into_;
    for (std::size_t place = rank_; place-- > 0;) {
      const std::size_t i = order_[place];
      at[i] = left % blocks_[i].count;
      left /= blocks_[i].count;
      from += at[i] * blocks_[i].from_step;
      into += at[i] * blocks_[i].into_step;
    }
    for (std::size_t unit = begin; unit < end; ++unit) {
      copy_unit(from, into, of, count(rows_, at), count(columns_, at));
      for (std::size_t place = rank_; place-- > 0;) {
        const std::size_t i = order_[place];
        from += blocks_[i].from_step;
        into += blocks_[i].into_step;
        if (++at[i] != blocks_[i].count) break;
        from -= at[i] * blocks_[i].from_step;
        into -= at[i] * blocks_[i].into_step;
        at[i] = 0;
      }
    }
  }

  void copy_unit(const std::byte* from, std::byte* into, const places& of, std::size_t rows,
                 std::size_t columns) const noexcept {
    switch (item_) {
    case 1:
      return copy_block<1>(from, into, of, rows, columns);
    case 2:
      return copy_block<2>(from, into, of, rows, columns);
    case 4:
      return copy_block<4>(from, into, of, rows, columns);
    case 8:
      return copy_block<8>(from, into, of, rows, columns);
    case 16:
      return copy_block<16>(from, into, of, rows, columns);
    default:
      break;
    }
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t column = 0; column < columns; ++column)
        std::memcpy(into + of.rows[row] + column * item_, from + row * item_ + of.columns[column], item_);
    }
  }

  /// Copies a block. Elements of a constant size are copied by one instruction each.
  template <std::size_t Size>
  static void copy_block(const std::byte* from, std::byte* into, const places& of, std::size_t rows,
                         std::size_t columns) noexcept {
    if (rows * Size < line) {
      // Little by little, so that what is read for one row is still in the cache for the next.
      for (std::size_t first = 0; first < columns; first += row_size) {
        const std::size_t end = first + least(columns - first, row_size);
        for (std::size_t row = 0; row < rows; ++row) {
          const std::byte* const source = from + row * Size;
          std::byte* const target = into + of.rows[row];
          for (std::size_t column = first; column < end; ++column)
            std::memcpy(target + column * Size, source + of.columns[column], Size);
        }
      }
      return;
    }
    // By way of a buffer: strides of powers of two would push lines out of the cache before all of them is used.
    constexpr std::size_t width = line / Size; // elements of a cache line
    alignas(line) std::byte buffer[width * row_size];
    for (std::size_t first = 0; first < columns; first += width) {
      const std::size_t some = least(columns - first, width);
      std::byte* const target = into + first * Size;
      for (std::size_t column = 0; column < some; ++column)
        std::memcpy(buffer + column * row_size, from + of.columns[first + column], rows * Size);
      if (some == width) {
        for (std::size_t row = 0; row < rows; ++row) transpose<Size>(buffer + row * Size, target + of.rows[row], width);
      } else {
        for (std::size_t row = 0; row < rows; ++row) transpose<Size>(buffer + row * Size, target + of.rows[row], some);
      }
    }
  }
  /// Writes one row of what the buffer has as columns.
  template <std::size_t Size>
  static void transpose(const std::byte* column, std::byte* row, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) std::memcpy(row + i * Size, column + i * row_size, Size);
  }

  const std::byte* from_;
  std::byte* into_ = nullptr;
  std::size_t item_, size_ = 0, rank_ = 0;
  sides columns_, rows_;
  axis axes_[max_axes], blocks_[max_axes];
  std::size_t order_[max_axes]; // of the axes, the outermost first, in which blocks are copied
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
