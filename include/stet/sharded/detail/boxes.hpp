// SPDX-License-Identifier: MIT
// The boxes of a tensor that ranks hold: which are the same, whether they tile its shape, and which make one run of bytes together.
#ifndef STET_SHARDED_DETAIL_BOXES_HPP
#define STET_SHARDED_DETAIL_BOXES_HPP

#include "../../manifest/detail/slices.hpp"
#include "../../vocabulary/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A box of a tensor.
struct box {
  std::vector<std::uint64_t> start, extents;

  /// The number of elements, at most that of the tensor.
  [[nodiscard]] std::uint64_t element_count() const noexcept {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : extents) count *= extent;
    return count;
  }
  friend bool operator==(const box&, const box&) = default;
  /// Row-major order of the first elements.
  friend bool operator<(const box& a, const box& b) noexcept {
    return a.start != b.start ? comes_before(a.start, b.start) : comes_before(a.extents, b.extents);
  }
};

/// Whether two boxes share elements.
inline bool do_overlap(const box& a, const box& b) noexcept {
  for (std::size_t axis = 0; axis < a.start.size(); ++axis) {
    if (a.start[axis] >= b.start[axis] + b.extents[axis] || b.start[axis] >= a.start[axis] + a.extents[axis])
      return false;
  }
  return true;
}

/// Whether the bytes of `a`, row-major, and then those of `b` are those of a box; `a` becomes it.
inline bool append_box(box& a, const box& b) noexcept {
  std::size_t axis = 0;
  while (axis < a.start.size() && a.start[axis] == b.start[axis] && a.extents[axis] == 1 && b.extents[axis] == 1)
    ++axis;
  if (axis == a.start.size() || a.start[axis] + a.extents[axis] != b.start[axis]) return false;
  for (std::size_t later = axis + 1; later < a.start.size(); ++later) {
    if (a.start[later] != b.start[later] || a.extents[later] != b.extents[later]) return false;
  }
  a.extents[axis] += b.extents[axis];
  return true;
}

/// Whether boxes within `shape`, sorted and none empty, tile it: each element is in exactly one.
/// Cost: n for boxes that differ along one axis only, as most do; else that of `slice_tree::make`.
inline bool do_tile(std::span<const std::uint64_t> shape, std::span<const box* const> boxes) {
  std::size_t cut = 0; // the first axis along which a box is not the whole
  while (cut < shape.size() && !boxes.empty() && boxes[0]->extents[cut] == shape[cut]) ++cut;
  std::uint64_t end = 0;
  bool is_simple = cut < shape.size();
  for (std::size_t i = 0; is_simple && i < boxes.size(); ++i) {
    for (std::size_t axis = 0; axis < shape.size(); ++axis)
      is_simple = is_simple && (axis == cut || boxes[i]->extents[axis] == shape[axis]);
    is_simple = is_simple && boxes[i]->start[cut] == end;
    end += boxes[i]->extents[cut];
  }
  if (is_simple && end == shape[cut]) return true;
  std::vector<tensor_slice> slices(boxes.size());
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    slices[i].start = boxes[i]->start;
    slices[i].extents = boxes[i]->extents;
  }
  return slice_tree().make(shape, slices);
}

/// "[0:4,8:16]": where the box begins and ends along each axis.
inline std::string text_of(const box& of) {
  std::string text(1, '[');
  for (std::size_t axis = 0; axis < of.start.size(); ++axis) {
    if (axis != 0) text += ',';
    text.append(std::to_string(of.start[axis])).append(1, ':');
    text += std::to_string(of.start[axis] + of.extents[axis]);
  }
  return text += ']';
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
