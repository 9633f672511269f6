// SPDX-License-Identifier: MIT
// Joins string tensors that were saved in slices.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_SLICED_STRINGS_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_SLICED_STRINGS_HPP

#include "../../../manifest/detail/slices.hpp"
#include "../../../source/source.hpp"
#include "../../../vocabulary/detail/endian.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Calls `take(element, number)` for each element of a slice in order, with its number in the tensor and in the slice.
template <class Take>
void for_each_element(std::span<const std::uint64_t> shape, const tensor_slice& slice, Take take) {
  const std::size_t rank = shape.size();
  std::uint64_t place[max_rank] = {}, number = 0;
  for (;;) {
    std::uint64_t element = 0;
    for (std::size_t axis = 0; axis < rank; ++axis) element = element * shape[axis] + slice.start[axis] + place[axis];
    const std::uint64_t run_size = rank == 0 ? 1 : slice.extents[rank - 1];
    for (std::uint64_t i = 0; i < run_size; ++i) take(element + i, number++);
    std::size_t axis = rank == 0 ? 0 : rank - 1;
    while (axis != 0 && ++place[axis - 1] == slice.extents[axis - 1]) place[--axis] = 0;
    if (axis == 0) return;
  }
}

/// Joins the strings of a tensor, in stet's layout (index/format.hpp, "Data").
/// @param slices   each element of the shape is in exactly one; they are in memory
/// @param strings  the strings of each slice, in stet's layout
/// @retval errc::out_of_memory
/// Cost: two passes over the strings; allocates their size.
inline result<source> gather_strings(std::span<const std::uint64_t> shape, std::span<const tensor_slice> slices,
                                     std::span<const source> strings, memory_resource* memory = nullptr) {
  std::uint64_t count = 0, text_size = 0;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    count += slices[i].element_count();
    text_size += strings[i].size_bytes() - (slices[i].element_count() + 1) * 8;
  }
  const std::uint64_t table_size = (count + 1) * 8;
  result<source> made = source::allocate(table_size + text_size, memory);
  if (!made) return made;
  std::byte* const table = made->writable_data();
  const auto offset_at = [](const std::byte* of, std::uint64_t number) {
    return load_little<std::uint64_t>(of + static_cast<std::size_t>(number * 8));
  };
  store_little(table, std::uint64_t{0});
  // First the length of each string, then its end.
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const std::byte* const from = strings[i].data();
    for_each_element(shape, slices[i], [&](std::uint64_t element, std::uint64_t number) {
      store_little(table + static_cast<std::size_t>((element + 1) * 8),
                   offset_at(from, number + 1) - offset_at(from, number));
    });
  }
  for (std::uint64_t element = 0, end = 0; element < count; ++element) {
    end += offset_at(table, element + 1);
    store_little(table + static_cast<std::size_t>((element + 1) * 8), end);
  }
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const std::byte* const from = strings[i].data();
    const std::byte* const text = from + static_cast<std::size_t>((slices[i].element_count() + 1) * 8);
    for_each_element(shape, slices[i], [&](std::uint64_t element, std::uint64_t number) {
      const std::uint64_t begin = offset_at(table, element), size = offset_at(table, element + 1) - begin;
      if (size == 0) return;
      std::memcpy(table + static_cast<std::size_t>(table_size + begin),
                  text + static_cast<std::size_t>(offset_at(from, number)), static_cast<std::size_t>(size));
    });
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
