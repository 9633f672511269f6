// SPDX-License-Identifier: MIT
// Tensors that were saved in slices: checks that the slices cover the tensor, and gathers its bytes.
#ifndef STET_MANIFEST_DETAIL_SLICES_HPP
#define STET_MANIFEST_DETAIL_SLICES_HPP

#include "slice_extent.hpp"

#include "../../bytes/crc32c.hpp"
#include "../../index/detail/builder.hpp"
#include "../../source/memory.hpp"
#include "../../source/source.hpp"
#include "../../vocabulary/detail/checked.hpp"

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

/// The lexicographical order of coordinates: row-major for starts of boxes. Not by `<` of vectors, which GCC before 14 gets wrong on
/// big-endian machines (PR 113960).
inline bool comes_before(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) noexcept {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

/// A box of a tensor, and the place of its elements, row-major, in another source.
struct tensor_slice {
  /// Start and length of the box in each dimension, within the tensor's shape.
  std::vector<std::uint64_t> start, extents;
  /// The same as stored. In a checkpoint of TensorFlow the key in the table is made of it.
  std::vector<slice_extent> written;
  /// The bytes of the file, which must not move while the slice is used.
  const std::byte* data = nullptr;
  const byte_reader* fetcher = nullptr;
  std::uint32_t part = 0;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
  std::uint32_t crc32c = 0;
  /// True if `crc32c` is that of the bytes.
  bool has_crc32c = false;
  /// True if the bytes were compared with it.
  bool is_compared = false;
  /// The number of its first element in the row-major order of the tensor.
  std::uint64_t first_element = 0;

  /// The number of its elements: at most that of the tensor.
  [[nodiscard]] std::uint64_t element_count() const noexcept {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : extents) count *= extent;
    return count;
  }

  /// The number of last dimensions that the slice has in full. Its elements are in runs over these and one partial dimension.
  [[nodiscard]] std::size_t full_dimensions(std::span<const std::uint64_t> shape) const noexcept {
    std::size_t count = 0;
    while (count < shape.size() && extents[shape.size() - 1 - count] == shape[shape.size() - 1 - count]) ++count;
    return count;
  }
  /// True if its elements are contiguous in the tensor.
  [[nodiscard]] bool is_one_run(std::span<const std::uint64_t> shape) const noexcept {
    const std::size_t full = full_dimensions(shape);
    for (std::size_t axis = 0; axis + full + 1 < shape.size(); ++axis) {
      if (extents[axis] != 1) return false;
    }
    return true;
  }
};

/// Appends the slice that `extents` describe to `slices`, unless it is empty.
/// @return  false if the slice is not within `shape`, whose element count must not overflow
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

/// Finds the slice that contains an element of a tensor, by a tree of cuts. Each cut divides a part of the tensor in two across
/// one dimension, until each part is within one slice.
class slice_tree {
public:
  /// Makes the tree of `slices` that `append_slice` has made: within `shape` and not empty.
  /// @return  true if each element of the shape is in exactly one slice. Gives up and returns false if the parts of all cuts
  ///          together have more slices than two million and a small multiple of n log n, as for more than 2000 slices in a spiral.
  /// Cost: n log n for n slices in rows and columns, or in any arrangement that can be cut in the middle; two nodes a slice.
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
        // Several slices that begin with the part overlap in its first element.
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
      parts.push_back(std::move(low)); // the next one, right after its node
    }
    return true;
  }

  /// The number of the slice that contains the element with these coordinates. Cost: a comparison for each level of the tree.
  [[nodiscard]] std::size_t slice_at(std::span<const std::uint64_t> place) const noexcept {
    std::size_t at = 0;
    while (nodes_[at].high != 0) at = place[nodes_[at].axis] < nodes_[at].at ? at + 1 : nodes_[at].high;
    return nodes_[at].axis;
  }

private:
  /// The part below `at` begins with the next node, the part from `at` on with node `high`. If `high` is 0, the part is within
  /// one slice, and `axis` is its number.
  struct node {
    std::uint64_t at;
    std::uint32_t axis, high;
  };
  /// A part of the tensor that is not cut yet: a box, and the slices that overlap it.
  struct part {
    static constexpr std::size_t none = ~std::size_t{0};
    std::vector<std::uint64_t> low, high;
    std::vector<std::uint32_t> slices;
    /// The parent node, if this is the part from its cut on.
    std::size_t parent = none;
  };
  struct cut {
    std::size_t axis = 0;
    std::uint64_t at = 0;
    /// The number of slices that are cut.
    std::size_t crossing = 0;
    /// The number of slices on the smaller side, plus one; 0: there is no cut.
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

  /// The best cut of a part of several slices: at the start of a slice, through as few slices as possible, near the middle.
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
        while (ends[ended] <= at) ++ended; // terminates: the last end is beyond every start
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

/// Sorts `slices`, which `append_slice` has made, by their first elements.
/// @return  true if each element of a tensor of this shape, which is not empty, is in exactly one slice. Also false if
///          `slice_tree::make` gives up.
/// Cost: that of `slice_tree::make`.
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

/// Reads a tensor from its slices. Each run of elements is copied from its place, only when it is read. The first read of a
/// slice compares the whole slice with its checksum, if it has one, so that bytes of a damaged slice are never returned.
class gathered_slices final : public byte_reader {
public:
  /// `sort_and_cover` must have sorted `slices`; elements are whole bytes. `name` is the subject of errors.
  gathered_slices(std::span<const std::uint64_t> shape, std::uint64_t element_size_bytes,
                  std::vector<tensor_slice>&& slices, std::string_view name = {})
      : name_(name), shape_(shape.begin(), shape.end()), element_size_(element_size_bytes), slices_(std::move(slices)),
        are_compared_(std::make_unique<std::atomic<bool>[]>(slices_.size())) {
    size_bytes_ = element_size_bytes;
    for (const std::uint64_t extent : shape) size_bytes_ *= extent;
    (void)tree_.make(shape_, slices_);
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }

  /// False where a slice has a checksum that may turn out wrong, too.
  [[nodiscard]] bool reads_from_memory() const noexcept override {
    return std::all_of(slices_.begin(), slices_.end(), [](const tensor_slice& each) {
      return each.data != nullptr && (!each.has_crc32c || each.is_compared);
    });
  }

  /// @retval errc::checksum_mismatch  a slice is damaged; the offset is that of the slice in its file
  /// Cost: a search of the tree and a copy for each run of elements; and once for each slice, a pass over its bytes.
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

  /// A run of elements in its slice, which is not compared with its checksum.
  [[nodiscard]] origin origin_of(std::uint64_t offset_bytes) const noexcept override {
    const run at = run_at(offset_bytes);
    const tensor_slice& slice = slices_[at.slice];
    return {slice.data, slice.fetcher, slice.part, slice.offset_bytes + at.offset_bytes, at.size_bytes};
  }

private:
  /// Elements that follow each other in the tensor and in a slice: from an offset in the slice on.
  struct run {
    std::size_t slice;
    std::uint64_t offset_bytes, size_bytes;
  };
  /// The rest of the run at `offset_bytes`.
  [[nodiscard]] run run_at(std::uint64_t offset_bytes) const noexcept {
    const std::size_t rank = shape_.size();
    std::uint64_t place[max_rank], rest = offset_bytes / element_size_;
    for (std::size_t axis = rank; axis-- > 0; rest /= shape_[axis]) place[axis] = rest % shape_[axis];
    const std::size_t number = tree_.slice_at({place, rank});
    const tensor_slice& slice = slices_[number];
    std::uint64_t element = 0; // the number in the slice
    for (std::size_t axis = 0; axis < rank; ++axis)
      element = element * slice.extents[axis] + (place[axis] - slice.start[axis]);
    const std::size_t full = slice.full_dimensions(shape_);
    std::uint64_t run_size = 1;
    for (std::size_t axis = rank - full - (full < rank ? 1 : 0); axis < rank; ++axis) run_size *= slice.extents[axis];
    const std::uint64_t within = offset_bytes % element_size_;
    return {number, element * element_size_ + within, (run_size - element % run_size) * element_size_ - within};
  }
  /// Copies the bytes from `offset_bytes` to the end of the run of elements there. @return the number of bytes
  [[nodiscard]] result<std::size_t> read_run(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    const run at = run_at(offset_bytes);
    if (auto compared = compare(at.slice); !compared) return compared.error();
    const std::size_t size = at.size_bytes < into.size() ? static_cast<std::size_t>(at.size_bytes) : into.size();
    if (auto read = read_slice(slices_[at.slice], at.offset_bytes, into.first(size)); !read) return read.error();
    return size;
  }

  static result<void> read_slice(const tensor_slice& slice, std::uint64_t offset_bytes,
                                 std::span<std::byte> into) noexcept {
    if (slice.data == nullptr) return slice.fetcher->read(slice.offset_bytes + offset_bytes, into);
    std::memcpy(into.data(), slice.data + static_cast<std::size_t>(slice.offset_bytes + offset_bytes), into.size());
    return {};
  }

  /// Compares a slice with its checksum, unless it has none or was compared before.
  [[nodiscard]] result<void> compare(std::size_t number) const noexcept {
    const tensor_slice& slice = slices_[number];
    if (!slice.has_crc32c || slice.is_compared || are_compared_[number].load(std::memory_order_relaxed)) return {};
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
  std::unique_ptr<std::atomic<bool>[]> are_compared_; // one for each slice
  std::uint64_t size_bytes_ = 0;
};

/// Sets the place of the bytes of `row`, whose tensor consists of `slices`, sorted and placed, with elements of whole bytes. It is
/// in place if the slices are contiguous, else gathered by a source that `add_part(source&&)` gives its number. It has a checksum
/// if each slice has one and is one run of the tensor, because their checksums can then be combined.
/// @param memory  where the source is kept; nullptr: on the heap
/// @retval errc::out_of_memory
template <class AddPart>
errc place_slices(index_row& row, std::uint64_t element_size_bytes, std::vector<tensor_slice>&& slices,
                  memory_resource* memory, AddPart add_part) {
  bool are_runs = true, are_adjacent = true, have_checksums = true;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    are_runs = are_runs && slices[i].is_one_run(row.shape);
    have_checksums = have_checksums && slices[i].has_crc32c;
    are_adjacent =
        are_adjacent && (i == 0 || (slices[i].part == slices[0].part &&
                                    slices[i].offset_bytes == slices[i - 1].offset_bytes + slices[i - 1].size_bytes));
  }
  if (are_runs && have_checksums) {
    row.has_crc32c = true;
    for (const tensor_slice& slice : slices) row.crc32c = crc32c_combine(row.crc32c, slice.crc32c, slice.size_bytes);
  }
  row.part = slices[0].part;
  row.offset_bytes = slices[0].offset_bytes;
  if (are_runs && are_adjacent) return errc{};
  result<source> made =
      source::keep(gathered_slices(row.shape, element_size_bytes, std::move(slices), row.name), memory);
  if (!made) return made.error().code();
  row.offset_bytes = 0;
  row.part = add_part(std::move(*made));
  return errc{};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
