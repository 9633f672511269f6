// SPDX-License-Identifier: MIT
// Tensors that were saved in slices: checks that the slices cover the tensor, and gathers its bytes.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_SLICES_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_SLICES_HPP

#include "bundle.hpp"

#include "../../common/store_builder.hpp"

#include "../../../bytes/crc32c.hpp"
#include "../../../source/source.hpp"
#include "../../../vocabulary/detail/checked.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A box of a tensor and where its elements lie, row-major, in another source.
struct tensor_slice {
  /// Of each dimension: where the box begins, and how long it is. Within the tensor's shape.
  std::vector<std::uint64_t> start, extents;
  /// The same as it is written, of which its key in the table is made. Keys are not kept: each would hold the tensor's name.
  std::vector<slice_extent> written;
  /// The bytes of the file, which stay where they are while the slice is used.
  const std::byte* data = nullptr;
  const reader* fetcher = nullptr;
  std::uint32_t part = 0;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
  std::uint32_t crc32c = 0;
  /// Whether a reader has to compare the bytes with `crc32c`.
  bool has_crc32c = false;
  /// The number, in the row-major order of the tensor, of its first element.
  std::uint64_t first_element = 0;

  /// The product of its extents; no more than the tensor has elements.
  [[nodiscard]] std::uint64_t element_count() const noexcept {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : extents) count *= extent;
    return count;
  }

  /// How many dimensions at the end it has in full, so that its elements come in runs of them, with one that it has in part.
  [[nodiscard]] std::size_t full_dimensions(std::span<const std::uint64_t> shape) const noexcept {
    std::size_t count = 0;
    while (count < shape.size() && extents[shape.size() - 1 - count] == shape[shape.size() - 1 - count]) ++count;
    return count;
  }
  /// Whether its elements stand one after the other in the tensor, too.
  [[nodiscard]] bool is_one_run(std::span<const std::uint64_t> shape) const noexcept {
    const std::size_t full = full_dimensions(shape);
    for (std::size_t axis = 0; axis + full + 1 < shape.size(); ++axis) {
      if (extents[axis] != 1) return false;
    }
    return true;
  }
};

/// Appends the slice that `extents` describe to `slices`, unless it holds no elements.
/// @return  whether it lies within `shape`, whose product fits
inline bool append_slice(std::span<const slice_extent> extents, std::span<const std::uint64_t> shape,
                         std::vector<tensor_slice>& slices) {
  if (extents.size() != shape.size()) return false;
  tensor_slice slice;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const bool is_all = extents[axis].length == slice_extent::all;
    slice.start.push_back(is_all ? 0 : static_cast<std::uint64_t>(extents[axis].start));
    slice.extents.push_back(is_all ? shape[axis] : static_cast<std::uint64_t>(extents[axis].length));
    if (!range_fits(slice.start[axis], slice.extents[axis], shape[axis])) return false;
  }
  if (slice.element_count() == 0) return true;
  slice.written.assign(extents.begin(), extents.end());
  slices.push_back(std::move(slice));
  return true;
}

/// Finds the slice that holds an element of a tensor, by a tree of cuts: each cuts a part of the tensor in two across one
/// dimension, until a part lies within one slice.
class slice_tree {
public:
  /// Makes the tree of `slices`, which lie within `shape` and have elements, as `append_slice` makes them.
  /// @return  whether each element of the shape is in exactly one of them. Gives up, and returns false, where the parts of all cuts
  ///          together have more slices than two million and a small multiple of n log n: more than 2000 slices in a spiral, say.
  /// Cost: n log n for n slices in rows and columns, and in all that can be cut in the middle; two nodes a slice.
  bool make(std::span<const std::uint64_t> shape, std::span<const tensor_slice> slices) {
    std::uint64_t element_count = 1, covered = 0;
    for (const std::uint64_t extent : shape) element_count *= extent;
    for (const tensor_slice& slice : slices) {
      const std::uint64_t volume = slice.element_count();
      if (volume > element_count - covered) return false;
      covered += volume;
    }
    if (covered != element_count) return false;

    const std::uint64_t most = (std::uint64_t{1} << 21) + std::uint64_t{4} * slices.size() *
                                                              static_cast<std::uint64_t>(std::bit_width(slices.size()));
    std::uint64_t work = 0;
    nodes_.clear();
    std::vector<part> parts(1);
    parts[0].low.assign(shape.size(), 0);
    parts[0].high.assign(shape.begin(), shape.end());
    for (std::uint32_t number = 0; number < slices.size(); ++number) parts[0].slices.push_back(number);
    while (!parts.empty()) {
      part low = std::move(parts.back());
      parts.pop_back();
      if (low.parent != part::none) nodes_[low.parent].high = static_cast<std::uint32_t>(nodes_.size());
      work += low.slices.size();
      if (work > most) return false;
      const cut best = find_cut(low, slices);
      if (best.balance == 0) {
        // Slices that all begin with the part have its first element in common.
        if (low.slices.size() != 1 || !fills(slices[low.slices[0]], low)) return false;
        nodes_.push_back({0, low.slices[0], 0});
        continue;
      }
      part high = low;
      high.low[best.axis] = low.high[best.axis] = best.at;
      const auto is_above = [&](std::uint32_t number) { return slices[number].start[best.axis] >= best.at; };
      const auto is_below = [&](std::uint32_t number) { return end_of(slices[number], best.axis) <= best.at; };
      low.slices.erase(std::remove_if(low.slices.begin(), low.slices.end(), is_above), low.slices.end());
      high.slices.erase(std::remove_if(high.slices.begin(), high.slices.end(), is_below), high.slices.end());
      low.parent = part::none;
      high.parent = nodes_.size();
      nodes_.push_back({best.at, static_cast<std::uint32_t>(best.axis), 0});
      parts.push_back(std::move(high));
      parts.push_back(std::move(low)); // comes next, behind its node
    }
    return true;
  }

  /// The number of the slice that holds the element with these coordinates. Cost: a comparison a level of the tree.
  [[nodiscard]] std::size_t slice_at(std::span<const std::uint64_t> place) const noexcept {
    std::size_t at = 0;
    while (nodes_[at].high != 0) at = place[nodes_[at].axis] < nodes_[at].at ? at + 1 : nodes_[at].high;
    return nodes_[at].axis;
  }

private:
  /// The first node of the part below `at` comes next, that of the part from there on is `high`. Where that is 0, `axis` is the
  /// number of the slice.
  struct node {
    std::uint64_t at;
    std::uint32_t axis, high;
  };
  /// A part of the tensor that is still to be cut: a box, and the slices that reach into it.
  struct part {
    static constexpr std::size_t none = ~std::size_t{0};
    std::vector<std::uint64_t> low, high;
    std::vector<std::uint32_t> slices;
    /// The node above, if this is the part from its cut on.
    std::size_t parent = none;
  };
  struct cut {
    std::size_t axis = 0;
    std::uint64_t at = 0;
    /// The slices that are cut through.
    std::size_t crossing = 0;
    /// The slices on the side that has fewer, and one more; 0: there is no cut.
    std::size_t balance = 0;
  };

  static std::uint64_t end_of(const tensor_slice& slice, std::size_t axis) noexcept {
    return slice.start[axis] + slice.extents[axis];
  }
  static bool fills(const tensor_slice& slice, const part& of) noexcept {
    for (std::size_t axis = 0; axis < of.low.size(); ++axis) {
      if (slice.start[axis] > of.low[axis] || end_of(slice, axis) < of.high[axis]) return false;
    }
    return true;
  }

  /// The best place to cut a part of several slices: where one begins, through as few as can be, near the middle.
  static cut find_cut(part& of, std::span<const tensor_slice> slices) {
    cut best;
    const std::size_t count = of.slices.size();
    std::vector<std::uint64_t> ends;
    for (std::size_t axis = 0; count > 1 && axis < of.low.size(); ++axis) {
      const auto begins_before = [&](std::uint32_t a, std::uint32_t b) {
        return slices[a].start[axis] < slices[b].start[axis];
      };
      if (!std::is_sorted(of.slices.begin(), of.slices.end(), begins_before))
        std::sort(of.slices.begin(), of.slices.end(), begins_before);
      if (slices[of.slices.back()].start[axis] <= of.low[axis]) continue;
      ends.clear();
      for (const std::uint32_t number : of.slices) ends.push_back(end_of(slices[number], axis));
      if (!std::is_sorted(ends.begin(), ends.end())) std::sort(ends.begin(), ends.end());
      std::size_t ended = 0;
      for (std::size_t begun = 0; begun < count; ++begun) {
        const std::uint64_t at = slices[of.slices[begun]].start[axis];
        if (at <= of.low[axis] || (begun != 0 && at == slices[of.slices[begun - 1]].start[axis])) continue;
        while (ends[ended] <= at) ++ended; // the last one ends behind where any begins
        const std::size_t crossing = begun - ended, balance = (std::min)(begun, count - ended) + 1;
        if (best.balance == 0 || crossing < best.crossing || (crossing == best.crossing && balance > best.balance)) {
          best = {axis, at, crossing, balance};
        }
      }
      if (best.balance != 0 && best.crossing == 0 && best.balance > count / 4) break; // good enough
    }
    return best;
  }

  std::vector<node> nodes_;
};

/// Sorts `slices` by their first elements. They are as `append_slice` makes them.
/// @return  whether each element of a tensor of this shape, which has elements, is in exactly one of them; false, too, where
///          `slice_tree::make` gives up. Cost: that of `slice_tree::make`.
inline bool sort_and_cover(std::span<const std::uint64_t> shape, std::vector<tensor_slice>& slices) {
  for (tensor_slice& slice : slices) {
    slice.first_element = 0;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      slice.first_element = slice.first_element * shape[axis] + slice.start[axis];
    }
  }
  std::sort(slices.begin(), slices.end(),
            [](const tensor_slice& a, const tensor_slice& b) { return a.first_element < b.first_element; });
  return slice_tree().make(shape, slices);
}

/// A tensor read from its slices, each run of elements from where it lies; nothing is copied before it is asked for.
/// The first read that touches a slice compares all of the slice with its checksum, if it has one: so bytes of a damaged slice
/// are never given out.
class gathered_slices final : public reader {
public:
  /// `slices` are as `sort_and_cover` leaves them; elements are whole bytes. `name` is the subject of errors.
  gathered_slices(std::span<const std::uint64_t> shape, std::uint64_t element_size_bytes,
                  std::vector<tensor_slice>&& slices, std::string_view name = {})
      : name_(name), shape_(shape.begin(), shape.end()), element_size_(element_size_bytes), slices_(std::move(slices)),
        are_compared_(std::make_unique<std::atomic<bool>[]>(slices_.size())) {
    size_bytes_ = element_size_bytes;
    for (const std::uint64_t extent : shape) size_bytes_ *= extent;
    (void)tree_.make(shape_, slices_);
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }

  /// @retval errc::checksum_mismatch  a slice is damaged; the offset is that of the slice in its file
  /// Cost: a search of the tree and a copy for each run of elements, and once for each slice, a pass over its bytes.
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_bytes_)) return error(errc::bad_range, {}, offset_bytes);
    while (!into.empty()) {
      const result<std::size_t> copied = read_run(offset_bytes, into);
      if (!copied) return copied.error();
      offset_bytes += *copied;
      into = into.subspan(*copied);
    }
    return {};
  }

private:
  /// Copies what the run of elements at `offset_bytes` holds of the bytes from there on. @return  their number
  [[nodiscard]] result<std::size_t> read_run(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    const std::size_t rank = shape_.size();
    std::uint64_t place[max_rank], rest = offset_bytes / element_size_;
    for (std::size_t axis = rank; axis-- > 0; rest /= shape_[axis]) place[axis] = rest % shape_[axis];
    const std::size_t number = tree_.slice_at({place, rank});
    const tensor_slice& slice = slices_[number];
    if (auto compared = compare(number); !compared) return compared.error();
    std::uint64_t element = 0; // among those of the slice
    for (std::size_t axis = 0; axis < rank; ++axis)
      element = element * slice.extents[axis] + (place[axis] - slice.start[axis]);
    const std::size_t full = slice.full_dimensions(shape_);
    std::uint64_t run_size = 1;
    for (std::size_t axis = rank - full - (full < rank ? 1 : 0); axis < rank; ++axis) run_size *= slice.extents[axis];
    const std::uint64_t within = offset_bytes % element_size_,
                        left = (run_size - element % run_size) * element_size_ - within;
    const std::size_t size = left < into.size() ? static_cast<std::size_t>(left) : into.size();
    if (auto read = read_slice(slice, element * element_size_ + within, into.first(size)); !read) return read.error();
    return size;
  }

  static result<void> read_slice(const tensor_slice& slice, std::uint64_t offset_bytes,
                                 std::span<std::byte> into) noexcept {
    if (slice.data == nullptr) return slice.fetcher->read(slice.offset_bytes + offset_bytes, into);
    std::memcpy(into.data(), slice.data + static_cast<std::size_t>(slice.offset_bytes + offset_bytes), into.size());
    return {};
  }

  /// Compares a slice with its checksum, unless it has none, or an earlier call did.
  [[nodiscard]] result<void> compare(std::size_t number) const noexcept {
    const tensor_slice& slice = slices_[number];
    if (!slice.has_crc32c || are_compared_[number].load(std::memory_order_relaxed)) return {};
    std::uint32_t crc = 0;
    if (slice.data != nullptr) {
      crc = stet::crc32c(
          {slice.data + static_cast<std::size_t>(slice.offset_bytes), static_cast<std::size_t>(slice.size_bytes)});
    } else {
      std::byte piece[16384];
      for (std::uint64_t done = 0; done < slice.size_bytes;) {
        const std::uint64_t left = slice.size_bytes - done;
        const std::span<std::byte> into(piece, left < sizeof piece ? static_cast<std::size_t>(left) : sizeof piece);
        if (auto read = read_slice(slice, done, into); !read) return read;
        crc = stet::crc32c(into, crc);
        done += into.size();
      }
    }
    if (crc != slice.crc32c) return error(errc::checksum_mismatch, name_, slice.offset_bytes);
    are_compared_[number].store(true, std::memory_order_relaxed);
    return {};
  }

  std::string name_;
  std::vector<std::uint64_t> shape_;
  std::uint64_t element_size_;
  std::vector<tensor_slice> slices_;
  slice_tree tree_;
  std::unique_ptr<std::atomic<bool>[]> are_compared_; // one a slice
  std::uint64_t size_bytes_ = 0;
};

/// Sets where the bytes of `row` lie, whose tensor is made of `slices`, sorted and placed, of elements of whole bytes: in place
/// where they lie back to back, else gathered by a further part of `into`. With a checksum where slices follow one another in the
/// tensor, because theirs then make up its own.
/// @retval errc::out_of_memory
inline errc place_slices(store_builder& into, index_row& row, std::uint64_t element_size_bytes,
                         std::vector<tensor_slice>&& slices) {
  bool are_runs = true, are_adjacent = true;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    are_runs = are_runs && slices[i].is_one_run(row.shape);
    are_adjacent =
        are_adjacent && (i == 0 || (slices[i].part == slices[0].part &&
                                    slices[i].offset_bytes == slices[i - 1].offset_bytes + slices[i - 1].size_bytes));
  }
  if (are_runs) {
    row.has_crc32c = true;
    for (const tensor_slice& slice : slices) row.crc32c = crc32c_combine(row.crc32c, slice.crc32c, slice.size_bytes);
  }
  row.part = slices[0].part;
  row.offset_bytes = slices[0].offset_bytes;
  if (are_runs && are_adjacent) return errc{};
  result<source> made =
      source::keep(gathered_slices(row.shape, element_size_bytes, std::move(slices), row.name), into.memory());
  if (!made) return made.error().code();
  row.offset_bytes = 0;
  row.part = into.add_decoded(std::move(*made));
  return errc{};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
