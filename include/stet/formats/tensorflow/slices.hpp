// SPDX-License-Identifier: MIT
// Tensors that were saved in slices: whether these make up the tensor, and its bytes gathered from them.
#ifndef STET_FORMATS_TENSORFLOW_SLICES_HPP
#define STET_FORMATS_TENSORFLOW_SLICES_HPP

#include "bundle.hpp"

#include "../store_builder.hpp"

#include "../../bytes/crc32c.hpp"
#include "../../source/source.hpp"
#include "../../vocabulary/checked.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// A box of a tensor and where its elements lie, row-major, in another source.
struct tensor_slice {
  /// Of each dimension: where the box begins, and how long it is. Within the tensor's shape.
  std::vector<std::uint64_t> start, extents;
  /// What the slice stands under in the table.
  std::string key;
  /// The bytes of the file, which stay where they are while the slice is used.
  const std::byte* data = nullptr;
  const reader* fetcher = nullptr;
  std::uint32_t part = 0;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
  std::uint32_t crc32c = 0;
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

/// Appends the slice of the tensor `name` that `extents` describe to `slices`, unless it holds no elements.
/// @return  whether it lies within `shape`, whose product fits
inline bool append_slice(std::string_view name, std::span<const slice_extent> extents, std::span<const std::uint64_t> shape,
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
  slice.key = slice_key(name, extents);
  slices.push_back(std::move(slice));
  return true;
}

/// Sorts `slices` by their first elements, and says whether each element of a tensor of this shape, which has elements, is in
/// exactly one of them. They are as `append_slice` makes them.
/// Cost: n log n for n slices along one dimension; where they form a grid, n times those that begin beside each other. Gives up,
/// and says no, on grids that are out of proportion.
inline bool sort_and_cover(std::span<const std::uint64_t> shape, std::vector<tensor_slice>& slices) {
  std::uint64_t element_count = 1, covered = 0;
  for (const std::uint64_t extent : shape) element_count *= extent;
  for (tensor_slice& slice : slices) {
    const std::uint64_t volume = slice.element_count();
    slice.first_element = 0;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      slice.first_element = slice.first_element * shape[axis] + slice.start[axis];
    }
    if (volume > element_count - covered) return false;
    covered += volume;
  }
  if (covered != element_count) return false;
  std::sort(slices.begin(), slices.end(),
            [](const tensor_slice& a, const tensor_slice& b) { return a.first_element < b.first_element; });

  // As many elements as the tensor has: so all are covered if none is twice. Two boxes meet only if they do in every dimension;
  // those sorted far enough behind a box begin behind its end in the first dimension.
  std::uint64_t budget = (std::uint64_t{1} << 20) + slices.size() * std::uint64_t{1024};
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const tensor_slice& a = slices[i];
    for (std::size_t j = i + 1; j < slices.size(); ++j) {
      const tensor_slice& b = slices[j];
      if (shape.empty()) return false;
      if (b.start[0] >= a.start[0] + a.extents[0]) break;
      if (budget-- == 0) return false;
      bool meets = true;
      for (std::size_t axis = 0; axis < shape.size() && meets; ++axis) {
        meets = a.start[axis] < b.start[axis] + b.extents[axis] && b.start[axis] < a.start[axis] + a.extents[axis];
      }
      if (meets) return false;
    }
  }
  return true;
}

/// A tensor read from its slices, each run of elements from where it lies; nothing is copied before it is asked for.
class gathered_slices final : public reader {
public:
  /// `slices` are as `sort_and_cover` leaves them; elements are whole bytes.
  gathered_slices(std::span<const std::uint64_t> shape, std::uint64_t element_size_bytes, std::vector<tensor_slice>&& slices)
      : shape_(shape.begin(), shape.end()), element_size_(element_size_bytes), slices_(std::move(slices)) {
    size_bytes_ = element_size_bytes;
    for (const std::uint64_t extent : shape) size_bytes_ *= extent;
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }

  /// Cost: a look at each slice, a binary search in those that hold some of the bytes, and a copy of each run.
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_bytes_)) return error(errc::bad_range, {}, offset_bytes);
    const std::uint64_t end = offset_bytes + into.size();
    for (const tensor_slice& slice : slices_) {
      if (slice.first_element * element_size_ >= end) break;
      if (auto copied = read_slice(slice, offset_bytes, into); !copied) return copied;
    }
    return {};
  }

private:
  /// Copies what `slice` holds of the bytes from `begin` on.
  [[nodiscard]] result<void> read_slice(const tensor_slice& slice, std::uint64_t begin, std::span<std::byte> into) const noexcept {
    const std::size_t rank = shape_.size(), full = slice.full_dimensions(shape_);
    const std::size_t outer = rank - full - (full < rank ? 1 : 0); // dimensions that a run does not extend over
    std::uint64_t run_size = element_size_;
    for (std::size_t axis = outer; axis < rank; ++axis) run_size *= slice.extents[axis];
    const std::uint64_t run_count = slice.size_bytes / run_size, end = begin + into.size();
    // The first run that ends behind `begin`: runs ascend in the tensor as they do in the slice.
    std::uint64_t run = 0;
    for (std::uint64_t last = run_count; run < last;) {
      const std::uint64_t middle = run + (last - run) / 2;
      if (place_of(slice, outer, middle) + run_size <= begin) {
        run = middle + 1;
      } else {
        last = middle;
      }
    }
    for (; run < run_count; ++run) {
      const std::uint64_t place = place_of(slice, outer, run);
      if (place >= end) break;
      const std::uint64_t from = place < begin ? begin - place : 0; // within the run
      const std::uint64_t to = run_size < end - place ? run_size : end - place;
      const std::size_t size = static_cast<std::size_t>(to - from);
      std::byte* const target = into.data() + static_cast<std::size_t>(place + from - begin);
      const std::uint64_t at = slice.offset_bytes + run * run_size + from;
      if (slice.data != nullptr) {
        std::memcpy(target, slice.data + static_cast<std::size_t>(at), size);
      } else if (auto fetched = slice.fetcher->read(at, std::span(target, size)); !fetched) {
        return fetched;
      }
    }
    return {};
  }

  /// The byte of the tensor at which run `run` of `slice` begins; runs are numbered over the first `outer` dimensions.
  [[nodiscard]] std::uint64_t place_of(const tensor_slice& slice, std::size_t outer, std::uint64_t run) const noexcept {
    std::uint64_t element = slice.first_element, stride = 1;
    for (std::size_t axis = shape_.size(); axis-- > outer;) stride *= shape_[axis];
    for (std::size_t axis = outer; axis-- > 0;) {
      element += run % slice.extents[axis] * stride;
      run /= slice.extents[axis];
      stride *= shape_[axis];
    }
    return element * element_size_;
  }

  std::vector<std::uint64_t> shape_;
  std::uint64_t element_size_;
  std::vector<tensor_slice> slices_;
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
    are_adjacent = are_adjacent && (i == 0 || (slices[i].part == slices[0].part &&
                                               slices[i].offset_bytes == slices[i - 1].offset_bytes + slices[i - 1].size_bytes));
  }
  if (are_runs) {
    row.has_crc32c = true;
    for (const tensor_slice& slice : slices) row.crc32c = crc32c_combine(row.crc32c, slice.crc32c, slice.size_bytes);
  }
  row.part = slices[0].part;
  row.offset_bytes = slices[0].offset_bytes;
  if (are_runs && are_adjacent) return errc{};
  result<source> made = source::keep(gathered_slices(row.shape, element_size_bytes, std::move(slices)), into.memory());
  if (!made) return made.error().code();
  row.offset_bytes = 0;
  row.part = into.add_decoded(std::move(*made));
  return errc{};
}

} // namespace stet::inline v0_1::detail

#endif
