// SPDX-License-Identifier: MIT
// A model with some of its tensors as another dtype, converted when they are read.
#ifndef STET_FORMATS_CONVERT_TENSORS_HPP
#define STET_FORMATS_CONVERT_TENSORS_HPP

#include "common/store_builder.hpp"
#include "common/visit_pieces.hpp"
#include "common/write_elements.hpp"
#include "gguf/dequantize.hpp"
#include "gguf/quantize.hpp"
#include "model.hpp"

#include "../source/detail/borrow_source.hpp"
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
  /// Adds a tensor. @return where its elements of the layout `to` begin, `size_bytes` of them
  /// @retval errc::too_large
  /// @param file  has the bytes of the tensor in memory; nullptr: none
  result<std::uint64_t> add(const tensor& from, const source* file, const element_layout& to,
                            std::uint64_t size_bytes) {
    std::uint64_t begin = 0, end = 0;
    if (!checked_add(size_, alignment - 1, begin) || !checked_add(begin &= ~(alignment - 1), size_bytes, end))
      return error(errc::too_large, from.name());
    items_.push_back({from, file, to, begin, end});
    size_ = end;
    return begin;
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_; }
  /// Errors: those of `copy_elements`, `dequantize` and `quantize_blocks`; of the first byte of a tensor, that of its checksum.
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
      // Elements are blocks of one.
      const bool is_block = of.to.dtype == dtype::block;
      const std::uint64_t elements_of_block = is_block ? of.to.block.element_count : 1u;
      const std::uint64_t block_size = is_block ? of.to.block.size_bytes : of.to.bits / 8u;
      const std::uint64_t at = offset_bytes - of.begin, step_blocks = step / elements_of_block;
      if (at == 0) {
        if (auto compared = compare(of); !compared) return compared;
      }
      const std::uint64_t first_block = at / block_size / step_blocks * step_blocks;
      const std::uint64_t first = first_block * elements_of_block, left = of.from.element_count() - first;
      const std::size_t count = static_cast<std::size_t>((std::min)(std::uint64_t{step}, left));
      alignas(16) std::byte made[step * 8];
      const std::span<std::byte> tile(made, static_cast<std::size_t>(count / elements_of_block * block_size));
      if (auto converted = convert_tile(of, first, tile, count); !converted) return converted;
      const std::uint64_t skipped = at - first_block * block_size;
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
    const source* file;
    element_layout to;
    std::uint64_t begin, end;
  };

  /// Compares a tensor with its checksum, if it has one. Errors: those of `tensor::verify_checksum`.
  static result<void> compare(const item& of) {
    if (!of.from.entry().has_crc32c() || of.file == nullptr) return compare_checksum(of.from);
    std::uint32_t crc = 0;
    visit_pieces(*of.file, static_cast<std::uint64_t>(of.from.bytes().data() - of.file->data()), of.from.size_bytes(),
                 [&](std::span<const std::byte> piece) { crc = crc32c(piece, crc); });
    if (crc == of.from.entry().crc32c()) return {};
    return error(errc::checksum_mismatch, of.from.name(), of.from.entry().offset_bytes());
  }

  /// Makes the elements from `first` on, which begins a block.
  static result<void> convert_tile(const item& of, std::uint64_t first, std::span<std::byte> into,
                                   std::size_t count) noexcept {
    const bool is_quantized = of.to.dtype == dtype::block;
    if (of.from.dtype() != dtype::block && !is_quantized) return copy_elements(of.from, of.to.dtype, into, first);
    float numbers[step];
    const std::span<float> some_numbers(numbers, count);
    const auto made = of.from.dtype() == dtype::block
                          ? dequantize(of.from, some_numbers, first)
                          : copy_elements(of.from, dtype::float32, std::as_writable_bytes(some_numbers), first);
    if (!made) return made;
    if (is_quantized) return quantize_blocks(of.to.block, some_numbers, into);
    const std::size_t element_size = into.size() / count;
    const stored_elements stored{reinterpret_cast<const std::byte*>(numbers), dtype::float32, 32, false};
    const errc failure = copy_as(stored, of.to.dtype, element_size, into.data(), count);
    if (failure != errc{}) return error(failure, of.from.name());
    return {};
  }

  static constexpr std::uint64_t alignment = 64;
  static constexpr std::size_t step = 2048; // whole blocks of any type
  std::vector<item> items_;
  std::uint64_t size_ = 0;
};

/// What `with_dtypes` was told to convert a tensor to.
inline std::optional<element_layout> wanted_layout(const std::optional<dtype>& to) noexcept {
  return to ? std::optional(element_layout::of(*to)) : std::nullopt;
}
inline std::optional<element_layout> wanted_layout(const std::optional<element_layout>& to) noexcept { return to; }

} // namespace detail

/// True if a tensor can be read as numbers of the dtype `to`: one of 8 bits or more, of a real number or of a block type that
/// `dequantize` knows.
[[nodiscard]] inline bool is_tensor_convertible(const tensor& from, dtype to) noexcept {
  const dtype_kind target = describe(to).kind, kind = describe(from.dtype()).kind;
  const bool is_target = describe(to).bits >= 8 && target != dtype_kind::complex && target != dtype_kind::string;
  if (from.dtype() == dtype::block) return is_target && is_dequantizable(from.layout().block);
  return is_target && kind != dtype_kind::complex && kind != dtype_kind::string;
}

/// True if a tensor can be read as elements of that layout: numbers, as above; or blocks that `quantize_blocks` makes, of a tensor
/// that can be read as float32 and whose rows are whole blocks.
[[nodiscard]] inline bool is_tensor_convertible(const tensor& from, const element_layout& to) noexcept {
  if (to.dtype != dtype::block) return is_tensor_convertible(from, to.dtype);
  const std::size_t rank = from.shape().rank();
  return is_quantizable(to.block) && rank != 0 && from.shape()[rank - 1] % to.block.element_count == 0 &&
         is_tensor_convertible(from, dtype::float32);
}

/// The model with tensors as other dtypes. They are converted by the rules of bytes/detail/convert.hpp, of `dequantize` and of
/// `quantize_blocks` when they are read, a part at a time: of a tensor of any size no more is in memory. All other tensors stay
/// where they are. Names, graph, state and metadata remain those of the model. Reading the beginning of a tensor compares it with
/// its checksum.
/// @param dtype_for  dtype_for(tensor) returns a std::optional<dtype>: the one to convert to, or nothing; or a
///                   std::optional<element_layout>, which may be of blocks. Aliases are not asked for
/// @retval errc::not_convertible  a tensor, the subject, cannot be read as that: `is_tensor_convertible`
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
    const std::optional<element_layout> to = detail::wanted_layout(dtype_for(each));
    const bool is_same = to && to->dtype == each.dtype() && to->block == each.layout().block;
    if (to && !is_same) {
      if (!is_tensor_convertible(each, *to)) return error(errc::not_convertible, each.name());
      row.layout = *to;
      detail::element_counter counter;
      for (const std::uint64_t extent : extents) (void)counter.multiply(extent); // as it did for the tensor itself
      if (!checked_size_bytes(counter, row.layout, row.size_bytes)) return error(errc::too_large, each.name());
      const result<std::uint64_t> begin = converted.add(
          each, each.bytes().empty() ? nullptr : detail::find_file_with(*whole, each.bytes()), *to, row.size_bytes);
      if (!begin) return begin.error();
      row.part = converted_part;
      row.offset_bytes = *begin;
      row.has_crc32c = false;
      row.big_endian = !detail::host_is_little_endian && row.layout.dtype != dtype::block;
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
