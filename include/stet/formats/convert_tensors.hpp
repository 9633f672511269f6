// SPDX-License-Identifier: MIT
// A model with some of its tensors as another dtype, converted when they are read.
#ifndef STET_FORMATS_CONVERT_TENSORS_HPP
#define STET_FORMATS_CONVERT_TENSORS_HPP

#include "common/store_builder.hpp"
#include "common/write_elements.hpp"
#include "gguf/dequantize.hpp"
#include "model.hpp"

#include "../checkpoint/layered.hpp"
#include "../store/copy_elements.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Reads tensors as if a file had them converted, one after the other. Makes those elements alone that are asked for.
class converted_bytes final : public byte_reader {
public:
  /// Adds a tensor. @return where its elements of the dtype `to` begin, `size_bytes` of them
  /// @retval errc::too_large
  result<std::uint64_t> add(const tensor& from, stet::dtype to, std::uint64_t size_bytes) {
    std::uint64_t begin = 0, end = 0;
    if (!checked_add(size_, alignment - 1, begin) || !checked_add(begin &= ~(alignment - 1), size_bytes, end))
      return error(errc::too_large, from.name());
    items_.push_back({from, to, begin, end});
    size_ = end;
    return begin;
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_; }
  /// Errors: those of `copy_elements` and `dequantize`; of the first byte of a tensor, that of its checksum.
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_)) return error(errc::bad_range, {}, offset_bytes);
    while (!into.empty()) {
      const auto next = std::upper_bound(items_.begin(), items_.end(), offset_bytes,
                                         [](std::uint64_t at, const item& each) { return at < each.begin; });
      const item& of = *(next - 1); // the first begins at 0
      if (offset_bytes >= of.end) { // zeros up to the next
        const std::uint64_t gap = (next == items_.end() ? size_ : next->begin) - offset_bytes;
        const std::size_t some = static_cast<std::size_t>((std::min)(gap, std::uint64_t{into.size()}));
        std::memset(into.data(), 0, some);
        into = into.subspan(some);
        offset_bytes += some;
        continue;
      }
      const std::uint64_t at = offset_bytes - of.begin, element_size = describe(of.to).bits / 8u;
      if (at == 0) {
        if (auto compared = compare_checksum(of.from); !compared) return compared;
      }
      const std::uint64_t first = at / element_size / step * step, left = of.from.element_count() - first;
      const std::size_t count = static_cast<std::size_t>((std::min)(std::uint64_t{step}, left));
      alignas(16) std::byte made[step * 8];
      const std::span<std::byte> tile(made, count * static_cast<std::size_t>(element_size));
      if (auto converted = convert_tile(of, first, tile, count); !converted) return converted;
      const std::uint64_t skipped = at - first * element_size;
      const std::span<const std::byte> wanted = tile.subspan(static_cast<std::size_t>(skipped));
      const std::size_t some = (std::min)(wanted.size(), into.size());
      std::memcpy(into.data(), wanted.data(), some);
      into = into.subspan(some);
      offset_bytes += some;
    }
    return {};
  }

private:
  struct item {
    tensor from;
    stet::dtype to;
    std::uint64_t begin, end;
  };

  /// Makes the elements from `first` on, which begins a block.
  static result<void> convert_tile(const item& of, std::uint64_t first, std::span<std::byte> into,
                                   std::size_t count) noexcept {
    if (of.from.dtype() != dtype::block) return copy_elements(of.from, of.to, into, first);
    float numbers[step];
    if (auto made = dequantize(of.from, std::span(numbers, count), first); !made) return made;
    const std::size_t element_size = into.size() / count;
    for (std::size_t done = 0; done < count; done += copy_step) {
      const stored_elements some{reinterpret_cast<const std::byte*>(numbers + done), dtype::float32, 32, false};
      const errc failure = copy_as(some, of.to, into.data() + done * element_size, (std::min)(copy_step, count - done));
      if (failure != errc{}) return error(failure, of.from.name());
    }
    return {};
  }

  static constexpr std::uint64_t alignment = 64;
  static constexpr std::size_t step = 2048; // whole blocks of any type
  std::vector<item> items_;
  std::uint64_t size_ = 0;
};

} // namespace detail

/// True if a tensor can be read as numbers of the dtype `to`: one of 8 bits or more, of a real number or of a block type that
/// `dequantize` knows.
[[nodiscard]] inline bool is_tensor_convertible(const tensor& from, dtype to) noexcept {
  const dtype_kind target = describe(to).kind, kind = describe(from.dtype()).kind;
  const bool is_target = describe(to).bits >= 8 && target != dtype_kind::complex && target != dtype_kind::string;
  if (from.dtype() == dtype::block) return is_target && is_dequantizable(from.layout().block);
  return is_target && kind != dtype_kind::complex && kind != dtype_kind::string;
}

/// The model with tensors as other dtypes. They are converted by the rules of bytes/detail/convert.hpp and of `dequantize` when
/// they are read, a part at a time: of a tensor of any size no more is in memory. All other tensors stay where they are.
/// Names, graph, state and metadata remain those of the model. Reading the beginning of a tensor compares it with its checksum.
/// @param dtype_for  dtype_for(tensor) returns a std::optional<dtype>: the one to convert to, or nothing. Aliases are not asked for
/// @retval errc::not_convertible  a tensor, the subject, cannot be read as that dtype: `is_tensor_convertible`
/// or an error of `store_builder::finish`. Cost: an index of its own; reads no tensor.
inline result<model> with_dtypes(model&& from, const auto& dtype_for) {
  auto whole = detail::kept<const model>::of(std::move(from));
  const store& all = whole->store;
  store_builder builder(all.tensor_count(), whole->options.memory);
  if (all.index().part_count() == 0) builder.add_file("model", detail::borrow_source(all.data()));
  for (std::uint32_t part = 0; part < all.index().part_count(); ++part)
    builder.add_file(all.index().part(part).path, detail::borrow_source(all.part(part)));
  const std::uint32_t converted_part = builder.file_count();

  detail::converted_bytes converted;
  constexpr std::uint32_t none = index_row::not_an_alias;
  std::vector<std::uint32_t> numbers(all.tensor_count(), none); // by the number of the original
  std::vector<std::uint32_t> second_names;
  std::vector<std::uint64_t> extents;
  for (const tensor each : all) {
    const auto original = all.original_of(each);
    std::uint32_t& number = numbers[(original ? *original : each).entry().number()];
    if (whole->is_second_name(each)) second_names.push_back(static_cast<std::uint32_t>(builder.tensor_count()));
    if (number != none) {
      builder.add_alias(number, each.name());
      continue;
    }
    number = static_cast<std::uint32_t>(builder.tensor_count());
    const index_entry entry = each.entry();
    extents.assign(entry.shape().begin(), entry.shape().end());
    index_row row = detail::row_of(entry, each.layout(), extents);
    const std::optional<dtype> to = dtype_for(each);
    if (to && *to != each.dtype()) {
      if (!is_tensor_convertible(each, *to)) return error(errc::not_convertible, each.name());
      row.layout = element_layout::of(*to);
      if (!detail::packed_size(each.element_count(), row.layout.bits, row.size_bytes))
        return error(errc::too_large, each.name());
      const result<std::uint64_t> begin = converted.add(each, *to, row.size_bytes);
      if (!begin) return begin.error();
      row.part = converted_part;
      row.offset_bytes = *begin;
      row.has_crc32c = false;
      row.big_endian = !detail::host_is_little_endian;
    }
    builder.add(row);
  }
  result<source> kept = source::keep(std::move(converted), whole->options.memory);
  if (!kept) return kept.error();
  builder.add_decoded(std::move(*kept));
  result<store> made = builder.finish();
  if (!made) return made.error();
  const model& old = *whole;
  return model{std::move(*made),        old.format, converted_part,   old.options, old.omitted, old.checks,
               std::move(second_names), nullptr,    std::move(whole), old.path};
}

} // namespace stet::inline STET_NAMESPACE

#endif
