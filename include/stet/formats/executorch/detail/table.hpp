// SPDX-License-Identifier: MIT
// Makes the table of a store from the named data of an ExecuTorch file.
#ifndef STET_FORMATS_EXECUTORCH_DETAIL_TABLE_HPP
#define STET_FORMATS_EXECUTORCH_DETAIL_TABLE_HPP

#include "../../common/index_collector.hpp"
#include "../../../store/detail/strided_bytes.hpp"

#include "../../../index/detail/name_hash.hpp"
#include "../../../store/store.hpp"
#include "../../../wire/flatbuffers.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

// A .ptd file
// ===========
//
//   u32 offset of the root table | "FT01" | extended header | the rest of the FlatBuffer | segments
//
//   extended header  "FH01" | u32 size of the header, 40 or more | u64 offset, u64 size of the FlatBuffer | u64 offset of the first
//                    segment in the file | u64 size of all segments
//   FlatTensor       0 version | 1 segments [DataSegment] | 2 named_data [NamedData]
//   DataSegment      0 offset u64, from the first segment | 1 size u64
//   NamedData        0 key | 1 segment_index u32 | 2 tensor_layout
//   TensorLayout     0 scalar_type i8 | 1 sizes [i32] | 2 dim_order [u8]: the axes from the outermost in memory to the innermost
//
// Files of the first schema, that of release 0.6, have the same version, and a tensor may be a part of a segment. The serializer of that
// release writes the last field as an empty list:
//
//   FlatTensor       0 version | 1 tensor_alignment u32 | 2 tensors [TensorMetadata] | 3 segments [DataSegment]
//                    | 4 named_data [NamedData], without layouts
//   TensorMetadata   0 fully_qualified_name | 1 scalar_type i8 | 2 sizes [i32] | 3 dim_order [u8] | 4 segment_index u32
//                    | 5 offset u64, from the beginning of the segment
//
// Source: pytorch/executorch, extension/flat_tensor/serialize/flat_tensor.fbs, flat_tensor_header.h and scalar_type.fbs.

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view ptd_identifier = "FT01";
inline constexpr std::string_view ptd_header_magic = "FH01";

/// A ScalarType that can be a dtype.
struct ptd_type {
  std::int8_t code;
  stet::dtype dtype;
};
inline constexpr ptd_type ptd_types[] = {
    {0, dtype::uint8},
    {1, dtype::int8},
    {2, dtype::int16},
    {3, dtype::int32},
    {4, dtype::int64},
    {5, dtype::float16},
    {6, dtype::float32},
    {7, dtype::float64},
    {9, dtype::complex64},
    {10, dtype::complex128},
    {11, dtype::boolean},
    {12, dtype::qint8},
    {13, dtype::quint8},
    {14, dtype::qint32},
    {15, dtype::bfloat16},
    {23, dtype::float8_e5m2},
    {24, dtype::float8_e4m3fn},
    {25, dtype::float8_e5m2fnuz},
    {26, dtype::float8_e4m3fnuz},
    {27, dtype::uint16},
    {28, dtype::uint32},
    {29, dtype::uint64},
};
constexpr const ptd_type* find_ptd_type(std::int8_t code) noexcept {
  for (const ptd_type& each : ptd_types) {
    if (each.code == code) return &each;
  }
  return nullptr;
}

/// Data with a name. What it views is valid until the walk goes on.
struct ptd_item {
  std::string_view key;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
  /// False for data without a layout, whose one extent is its size in bytes.
  bool is_tensor = false;
  /// nullptr: the type is not known.
  const ptd_type* type = nullptr;
  std::span<const std::uint64_t> extents;
  /// The axes from the outermost in memory to the innermost.
  std::span<const std::uint8_t> order;
  /// True if that order is not row-major.
  bool is_reordered = false;
};

/// Walks over the named data of a .ptd file.
class ptd_file {
public:
  /// @param bytes  the file, which must outlive this object
  explicit ptd_file(std::span<const std::byte> bytes) noexcept : file_(bytes), in_(flatbuffer_of(bytes)) {}

  [[nodiscard]] flatbuffer& in() noexcept { return in_; }
  /// The version of the schema.
  [[nodiscard]] std::uint32_t version() const noexcept { return root_.number<std::uint32_t>(0); }

  /// Reads the header and the root.
  /// @retval errc::malformed  no .ptd file, no extended header, or a fault of the FlatBuffer
  /// @retval errc::truncated  the FlatBuffer or the segments are past the end of the file
  result<void> open() noexcept {
    if (!flatbuffer::has_identifier(file_, ptd_identifier)) return error(errc::malformed, {}, 0);
    if (file_.size() < header_at + header_size) return error(errc::truncated, "header", file_.size());
    const bool is_header = text_at(file_.data() + header_at, 4) == ptd_header_magic &&
                           load_little<std::uint32_t>(file_.data() + header_at + 4) >= header_size;
    if (!is_header) return error(errc::malformed, "header", header_at);
    const std::uint64_t begin = field(0), size = field(1);
    base_ = field(2);
    data_size_ = field(3);
    if (!range_fits(begin, size, file_.size())) return error(errc::truncated, "header", file_.size());
    if (!range_fits(base_, data_size_, file_.size())) return error(errc::truncated, "segments", file_.size());
    root_ = in_.root();
    is_older_ = root_.number<std::uint32_t>(3) != 0; // the reference to the segments, which newer files have in field 1
    segments_ = root_.references(is_older_ ? 3 : 1);
    return in_.is_good() ? result<void>() : in_.problem("header");
  }

  /// Calls `visit(const ptd_item&)`, a `result<void>`, for each item in the order of the file.
  /// Errors: those of `open_executorch` for items, and of `visit`.
  template <class Visit> result<void> for_each(Visit visit) noexcept(noexcept(visit(std::declval<const ptd_item&>()))) {
    if (auto visited = for_each_in(root_.references(2), is_older_, visit); !visited) return visited;
    return is_older_ ? for_each_in(root_.references(4), false, visit) : result<void>();
  }

private:
  static constexpr std::size_t header_at = 8, header_size = 40;

  [[nodiscard]] std::uint64_t field(std::size_t number) const noexcept {
    return load_little<std::uint64_t>(file_.data() + header_at + 8 + number * 8);
  }
  template <class Visit>
  result<void> for_each_in(const flatbuffer_vector& items, bool are_metadata,
                           Visit& visit) noexcept(noexcept(visit(std::declval<const ptd_item&>()))) {
    for (std::uint32_t number = 0; number < items.size(); ++number) {
      const flatbuffer_table table = items.table(number);
      ptd_item of;
      of.key = table.string(0).text();
      (void)in_.spend(of.key.size() / 4, table.offset_bytes()); // which is copied to the index
      if (!in_.is_good()) return in_.problem("named data");
      if (!is_valid_name(of.key)) return error(errc::bad_name, of.key, table.offset_bytes());
      auto placed = are_metadata ? read_metadata(table, of) : read(table, of);
      if (!placed) return placed;
      if (auto visited = visit(static_cast<const ptd_item&>(of)); !visited) return visited;
    }
    return in_.is_good() ? result<void>() : in_.problem("named data");
  }
  /// The bytes before the segments, where the FlatBuffer is; all bytes of a file that has no header.
  static std::span<const std::byte> flatbuffer_of(std::span<const std::byte> bytes) noexcept {
    if (bytes.size() < header_at + header_size) return bytes;
    const auto begin = load_little<std::uint64_t>(bytes.data() + header_at + 8 + 16);
    return begin != 0 && begin < bytes.size() ? bytes.first(static_cast<std::size_t>(begin)) : bytes;
  }

  /// Sets the place of `of` to that of the segment whose number is in a field of `table`.
  result<void> place(const flatbuffer_table& table, std::uint32_t field, ptd_item& of) noexcept {
    const auto segment = table.number<std::uint32_t>(field);
    if (segment >= segments_.size() && in_.is_good()) return error(errc::bad_offset, of.key, table.offset_bytes());
    const flatbuffer_table place = segment < segments_.size() ? segments_.table(segment) : flatbuffer_table();
    const auto offset = place.number<std::uint64_t>(0);
    of.size_bytes = place.number<std::uint64_t>(1);
    if (!in_.is_good()) return in_.problem(of.key);
    if (!range_fits(offset, of.size_bytes, data_size_)) return error(errc::truncated, of.key, file_.size());
    of.offset_bytes = base_ + offset;
    return {};
  }
  /// Reads a NamedData.
  result<void> read(const flatbuffer_table& table, ptd_item& of) noexcept {
    if (auto placed = place(table, 1, of); !placed) return placed;
    const flatbuffer_table layout = table.table(2);
    if (!in_.is_good()) return in_.problem(of.key);
    of.is_tensor = layout.is_present();
    if (!of.is_tensor) {
      extents_[0] = of.size_bytes;
      of.extents = std::span<const std::uint64_t>(extents_, 1);
      return {};
    }
    std::uint64_t size = 0;
    if (auto read = read_layout(layout, 0, of, size); !read || of.type == nullptr) return read;
    return size == of.size_bytes ? result<void>() : error(errc::bad_size, of.key, of.offset_bytes);
  }
  /// Reads a TensorMetadata.
  result<void> read_metadata(const flatbuffer_table& table, ptd_item& of) noexcept {
    if (auto placed = place(table, 4, of); !placed) return placed;
    of.is_tensor = true;
    std::uint64_t size = 0;
    if (auto read = read_layout(table, 1, of, size); !read || of.type == nullptr) return read;
    const auto offset = table.number<std::uint64_t>(5);
    if (!in_.is_good()) return in_.problem(of.key);
    if (!range_fits(offset, size, of.size_bytes)) return error(errc::bad_size, of.key, of.offset_bytes);
    of.offset_bytes += offset;
    of.size_bytes = size;
    return {};
  }

  /// Reads type, sizes and order, which are in three fields of `layout` from `first` on.
  /// @param size  set to the size of the tensor, if the type is known
  result<void> read_layout(const flatbuffer_table& layout, std::uint32_t first, ptd_item& of,
                           std::uint64_t& size) noexcept {
    of.type = find_ptd_type(layout.number<std::int8_t>(first));
    const flatbuffer_vector sizes = layout.vector(first + 1, 4), order = layout.vector(first + 2, 1);
    if (!in_.is_good() || !in_.spend(sizes.size(), layout.offset_bytes())) return in_.problem(of.key);
    const error bad(errc::bad_shape, of.key, layout.offset_bytes());
    if (sizes.size() > max_rank || order.size() != sizes.size()) return bad;
    element_counter counter;
    for (std::uint32_t axis = 0; axis < sizes.size(); ++axis) {
      const auto extent = sizes.number<std::int32_t>(axis);
      if (extent < 0) return bad;
      extents_[axis] = static_cast<std::uint64_t>(extent);
      if (!counter.multiply(extents_[axis])) return bad;
    }
    bool is_there[max_rank] = {};
    std::uint32_t last = 0; // of the axes whose extent is not 1
    for (std::uint32_t i = 0; i < order.size(); ++i) {
      const auto axis = order.number<std::uint8_t>(i);
      if (axis >= sizes.size() || is_there[axis]) return bad;
      is_there[axis] = true;
      order_[i] = axis;
      if (extents_[axis] == 1) continue;
      of.is_reordered = of.is_reordered || axis < last;
      last = axis;
    }
    of.extents = std::span<const std::uint64_t>(extents_, sizes.size());
    of.order = std::span<const std::uint8_t>(order_, order.size());
    of.is_reordered = of.is_reordered && counter.element_count() != 0;
    if (of.type != nullptr && !checked_size_bytes(counter, element_layout::of(of.type->dtype), size)) return bad;
    return {};
  }

  std::span<const std::byte> file_;
  flatbuffer in_;
  flatbuffer_table root_;
  flatbuffer_vector segments_;
  bool is_older_ = false;
  std::uint64_t base_ = 0, data_size_ = 0; // of the segments
  std::uint64_t extents_[max_rank];
  std::uint8_t order_[max_rank];
};

/// Opens the .ptd file that `data` holds, all of it in memory.
/// @param name  of the file
/// @param omit  called with the item of an unknown type
template <class Omit>
result<store> open_ptd_source(source&& data, std::string_view name, memory_resource* memory,
                              Omit omit) noexcept(noexcept(omit(std::declval<const ptd_item&>()))) {
  constexpr bool is_noexcept = noexcept(omit(std::declval<const ptd_item&>()));
  ptd_file file(bytes_at(data.data(), static_cast<std::size_t>(data.size_bytes())));
  if (auto opened = file.open(); !opened) return opened.error();
  store_collector made(memory);
  auto read = file.for_each([&](const ptd_item& of) noexcept(is_noexcept) -> result<void> {
    if (of.is_tensor && of.type == nullptr) return omit(of), result<void>();
    index_row row;
    row.layout = element_layout::of(of.is_tensor ? of.type->dtype : dtype::uint8);
    row.shape = of.extents;
    row.size_bytes = of.size_bytes;
    row.offset_bytes = of.offset_bytes;
    if (of.is_reordered) {
      std::uint64_t steps[max_rank], step = 1;
      for (std::size_t i = of.order.size(); i-- > 0; step *= of.extents[of.order[i]]) steps[of.order[i]] = step;
      strided_bytes in_order(data, of.offset_bytes, describe(of.type->dtype).bits / 8u);
      for (std::size_t i = 0; i < of.extents.size(); ++i) in_order.add_axis(of.extents[i], steps[i]);
      result<source> kept = source::keep(std::move(in_order), memory);
      if (!kept) return kept.error();
      const result<std::uint32_t> part = made.add_decoded(std::move(*kept));
      if (!part) return part.error();
      row.part = *part;
      row.offset_bytes = 0;
    }
    return made.rows().add(row, std::span(&of.key, 1));
  });
  if (!read) return read.error();
  return made.finish(std::move(data), name);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
