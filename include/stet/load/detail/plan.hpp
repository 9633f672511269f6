// SPDX-License-Identifier: MIT
// What the bulk loader reads, in which order, and which bytes of which tensor come of it.
#ifndef STET_LOAD_DETAIL_PLAN_HPP
#define STET_LOAD_DETAIL_PLAN_HPP

#include "../../source/source.hpp"
#include "../../vocabulary/detail/heap_sort.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// A growing array of values that may be copied as bytes, from a memory resource.
template <class Value> class plan_array {
public:
  explicit plan_array(memory_resource* memory) noexcept : memory_(memory) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Value* data() const noexcept { return static_cast<Value*>(block_.get()); }
  [[nodiscard]] Value& operator[](std::size_t at) const noexcept { return data()[at]; }
  [[nodiscard]] Value& last() const noexcept { return data()[size_ - 1]; }

  /// Appends a value. @return false if there is no memory left
  [[nodiscard]] bool push(const Value& value) noexcept {
    if (size_ == capacity_ && !grow(capacity_ == 0 ? 64 : 2 * capacity_)) return false;
    ::new (static_cast<void*>(data() + size_)) Value(value);
    ++size_;
    return true;
  }

private:
  [[nodiscard]] bool grow(std::size_t capacity) noexcept {
    if (capacity > PTRDIFF_MAX / sizeof(Value)) return false;
    owned_block made = owned_block::allocate(capacity * sizeof(Value), alignof(Value), memory_);
    if (made.get() == nullptr) return false;
    if (size_ != 0) std::memcpy(made.get(), block_.get(), size_ * sizeof(Value));
    block_ = std::move(made);
    capacity_ = capacity;
    return true;
  }

  memory_resource* memory_;
  owned_block block_;
  std::size_t size_ = 0, capacity_ = 0;
};

/// Sorts values by the places of their tensors: `place_of(value)` is a pair of part and offset. Mostly they are sorted already.
template <class Value, class PlaceOf> void sort_by_place(const plan_array<Value>& values, PlaceOf place_of) noexcept {
  const auto is_before = [&](const Value& a, const Value& b) noexcept { return place_of(a) < place_of(b); };
  bool is_sorted = true;
  for (std::size_t i = 1; i < values.size(); ++i) is_sorted = is_sorted && !is_before(values[i], values[i - 1]);
  if (!is_sorted) heap_sort(values.data(), values.size(), is_before);
}

/// A tensor to bring somewhere, as the planner sees it.
struct load_item {
  /// The part of the store with its bytes; 0 for a store of one file.
  std::uint32_t part;
  /// Whether only one thread may read it, from its first byte to its last.
  bool is_serial;
  /// Whether `place` lies as the bytes lie in the file, with whole pages around it that are the loader's own.
  bool has_pages;
  std::uint64_t offset_bytes, size_bytes;
  /// Where the bytes go as they are; nullptr if they do not.
  std::byte* place;
  /// Pieces begin at multiples of so many bytes.
  std::uint64_t unit_bytes;
  /// The number of its request.
  std::size_t request;
};

/// A run of bytes of a tensor that is dealt with at once: checked, converted, or copied.
struct load_piece {
  std::size_t request;
  std::uint64_t offset_bytes; // in the tensor
  std::size_t size_bytes;
  std::uint32_t crc;
};

/// What is read at once, unless it is serial: a range of a part, in which pieces stand in ascending order.
struct load_batch {
  std::uint32_t part;
  bool is_serial;
  bool has_pages;
  /// Whether each piece is small.
  bool is_small;
  std::uint64_t offset_bytes;
  std::uint64_t size_bytes;
  std::size_t first_piece, piece_count;
  /// Where all of the range may be read to; nullptr: to memory of the reader, from which pieces are brought to their places.
  std::byte* place;
};

/// A plan of reads: about 100 bytes for each tensor and for each `request_bytes` of a tensor.
class load_plan {
public:
  explicit load_plan(memory_resource* memory) noexcept : pieces(memory), batches(memory) {}

  /// Appends an item. Small items that follow each other in a file are read together.
  /// @param request_bytes  the size of a read; a multiple of `page_bytes`
  /// @return false if no memory is left
  [[nodiscard]] bool add(const load_item& item, std::uint64_t request_bytes) noexcept {
    all_bytes += item.size_bytes;
    // What is read at once has no order.
    const bool is_serial = item.is_serial && next_cut(item, 0, request_bytes) < item.size_bytes;
    for (std::uint64_t done = 0; done < item.size_bytes;) {
      const std::uint64_t end = next_cut(item, done, request_bytes);
      const auto size = static_cast<std::size_t>(end - done);
      if (!pieces.push({item.request, done, size, 0})) return false;
      const bool is_part_of_last = is_serial ? done != 0 && append(size, size) : join(item, done, size, request_bytes);
      std::byte* const place = item.place == nullptr ? nullptr : item.place + static_cast<std::size_t>(done);
      if (!is_part_of_last && !batches.push({item.part, is_serial, item.has_pages, size <= small_bytes,
                                             item.offset_bytes + done, size, pieces.size() - 1, 1, place}))
        return false;
      done = end;
    }
    return true;
  }

  plan_array<load_piece> pieces;
  plan_array<load_batch> batches;
  /// The bytes of all items.
  std::uint64_t all_bytes = 0;

  /// No two reads share bytes of a page of this size, so that whole pages can be read.
  static constexpr std::size_t page_bytes = 4096;

private:
  /// Pieces up to this size are read together and then brought to their places; larger ones are read to theirs.
  static constexpr std::size_t small_bytes = std::size_t{64} << 10;
  /// So much that nobody wants is read rather than left out.
  static constexpr std::uint64_t gap_bytes = std::uint64_t{16} << 10;

  /// The end of the piece that begins at `done`. Cuts are at multiples of the size of a read in the file, or, where elements are
  /// converted, between elements.
  static std::uint64_t next_cut(const load_item& item, std::uint64_t done, std::uint64_t request_bytes) noexcept {
    std::uint64_t size = request_bytes - (item.offset_bytes + done) % request_bytes;
    if (item.unit_bytes != 1) {
      const std::uint64_t units = request_bytes / item.unit_bytes;
      size = (units == 0 ? 1 : units) * item.unit_bytes;
    }
    return size < item.size_bytes - done ? done + size : item.size_bytes;
  }

  /// Makes the newest piece a part of the newest batch, which grows by `bytes`. @return true
  bool append(std::uint64_t bytes, std::size_t piece_bytes) noexcept {
    load_batch& to = batches.last();
    to.is_small = to.is_small && piece_bytes <= small_bytes;
    to.size_bytes += bytes;
    ++to.piece_count;
    return true;
  }

  /// The same, if both can be read at once.
  bool join(const load_item& item, std::uint64_t done, std::size_t size, std::uint64_t request_bytes) noexcept {
    if (batches.size() == 0) return false;
    load_batch& to = batches.last();
    const std::uint64_t begin = item.offset_bytes + done, end = to.offset_bytes + to.size_bytes;
    if (to.part != item.part || to.is_serial || begin < end || begin - end > gap_bytes) return false;
    if (to.offset_bytes / request_bytes != (begin + size - 1) / request_bytes) return false;
    std::byte* const place = item.place == nullptr ? nullptr : item.place + static_cast<std::size_t>(done);
    // In the same order in memory, with nothing of the program between them.
    const bool is_in_line = to.place != nullptr &&
                            place == to.place + static_cast<std::size_t>(begin - to.offset_bytes) &&
                            to.has_pages == item.has_pages && (item.has_pages || begin == end);
    if (!is_in_line) {
      const bool is_small = to.is_small && size <= small_bytes;
      const bool is_converted = to.place == nullptr && place == nullptr;
      if (!is_small && !is_converted) return false;
      to.place = nullptr;
      to.has_pages = false;
    }
    return append(begin - end + size, size);
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
