// SPDX-License-Identifier: MIT
// Makes the bytes of a model's tensors of new values: converted, as codes of a scale, as blocks, with axes in another order.
#ifndef STET_FORMATS_REPLACE_DETAIL_WEIGHT_MAKER_HPP
#define STET_FORMATS_REPLACE_DETAIL_WEIGHT_MAKER_HPP

#include "weight_plan.hpp"

#include "../../../store/detail/strided_bytes.hpp"
#include "../../gguf/dequantize.hpp"
#include "../../gguf/quantize.hpp"

#include "../../../source/source.hpp"
#include "../../../store/copy_elements.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Makes the bytes of the tensors of a plan, a window at a time.
class weight_maker {
public:
  explicit weight_maker(memory_resource* memory) noexcept : memory_(memory) {}

  /// Numbers whose codes would be out of range, so far; they got the nearest code.
  [[nodiscard]] std::uint64_t out_of_range_count() const noexcept { return out_of_range_; }

  /// Calls `write(bytes)`, a `result<void>`, with the bytes of `step.to` as its file has them, in order: `step.to.size_bytes()` in all.
  /// @retval errc::not_convertible  a number is NaN and gets a code
  /// @retval errc::bad_value        a bool is neither 0 nor 1
  /// @retval errc::out_of_memory; or an error of the reader of the weights, or of `write`
  /// Cost: reads the weights once. With axes in another order, they are in memory.
  template <class Write> result<void> make(const weight_step& step, Write write) {
    const element_layout& to = step.to.layout();
    const std::uint64_t count = step.to.element_count();
    if (step.method == weight_step::convert && is_direct(step)) return write(step.from.bytes());
    if (step.method == weight_step::convert && to.dtype == dtype::block) return copy_blocks(step, write);
    staged_ = source();
    if (!step.axes.empty() && count != 0) {
      if (auto staged = stage(step); !staged) return staged;
    }
    for (std::uint64_t first = 0; first < count; first += window_size) {
      const auto some = static_cast<std::size_t>((std::min)(std::uint64_t{window_size}, count - first));
      const std::span<std::byte> elements(elements_, some * working_size(step));
      if (auto read = read_window(step, first, elements); !read) return read;
      result<std::span<const std::byte>> made = std::span<const std::byte>(elements);
      if (step.method == weight_step::quantize) made = encode(step, first, some);
      if (!made) return made.error();
      if (step.method == weight_step::make_blocks) {
        std::span<std::byte> blocks(stored_, some / to.block.element_count * to.block.size_bytes);
        auto encoded = quantize_blocks(to.block, {reinterpret_cast<const float*>(elements_), some}, blocks);
        if (!encoded) return encoded.error().about(step.to.name());
        made = std::span<const std::byte>(blocks);
      } else if (to.dtype != dtype::block) {
        made = store_elements(step.to, *made, some);
      }
      if (!made) return made.error();
      if (auto written = write(*made); !written) return written;
    }
    return {};
  }

private:
  static constexpr std::size_t window_size = 4096; // whole blocks of any type, and whole bytes of any width
  static constexpr std::size_t widest_size = 16;

  /// True if the bytes of the weights are those of the model's tensor, and in memory.
  static bool is_direct(const weight_step& step) noexcept {
    const tensor &to = step.to, &from = step.from;
    const bool is_same = from.dtype() == to.dtype() && from.layout().bits == to.layout().bits && step.axes.empty();
    return is_same && from.bytes().size() == from.size_bytes() && from.size_bytes() == to.size_bytes() &&
           from.dtype() != dtype::boolean && from.entry().is_big_endian() == to.entry().is_big_endian();
  }
  /// The dtype of the elements in a window, which are in the form of this machine.
  static dtype working_dtype(const weight_step& step) noexcept {
    if (step.method == weight_step::quantize) return dtype::float64;
    return step.method == weight_step::make_blocks ? dtype::float32 : step.to.dtype();
  }
  static std::size_t working_size(const weight_step& step) noexcept {
    return (describe(working_dtype(step)).bits + 7u) / 8u;
  }

  /// Copies blocks, which are of the same type, as they are.
  template <class Write> result<void> copy_blocks(const weight_step& step, Write write) {
    for (std::uint64_t done = 0; done < step.to.size_bytes();) {
      const std::uint64_t left = step.to.size_bytes() - done;
      const std::span<std::byte> piece(stored_,
                                       static_cast<std::size_t>((std::min)(left, std::uint64_t{sizeof stored_})));
      if (auto read = step.from.read(done, piece); !read) return read;
      if (auto written = write(std::span<const std::byte>(piece)); !written) return written;
      done += piece.size();
    }
    return {};
  }
  /// Reads elements of the weights in their own order.
  static result<void> read_elements(const weight_step& step, dtype as, std::span<std::byte> into, std::uint64_t first) {
    if (step.from.dtype() != dtype::block) return copy_elements(step.from, as, into, first);
    constexpr std::size_t some = 512;
    float numbers[some];
    const std::size_t size = (describe(as).bits + 7u) / 8u, count = into.size() / size;
    for (std::size_t done = 0; done < count; done += some) {
      const std::size_t left = (std::min)(some, count - done);
      if (auto made = dequantize(step.from, std::span(numbers, left), first + done); !made) return made;
      const stored_elements stored{reinterpret_cast<const std::byte*>(numbers), dtype::float32, 32, false};
      if (const errc failure = copy_as(stored, as, size, into.data() + done * size, left); failure != errc{})
        return error(failure, step.from.name());
    }
    return {};
  }

  result<void> stage(const weight_step& step) {
    const std::size_t size = working_size(step);
    std::uint64_t bytes = 0;
    if (!checked_multiply(step.to.element_count(), size, bytes)) return errc::out_of_memory;
    result<source> made = source::allocate(bytes, memory_);
    if (!made) return made.error();
    const std::span<std::byte> into(made->writable_data(), static_cast<std::size_t>(bytes));
    for (std::uint64_t first = 0; first < step.to.element_count(); first += window_size) {
      const auto some =
          static_cast<std::size_t>((std::min)(std::uint64_t{window_size}, step.to.element_count() - first));
      if (auto read = read_elements(step, working_dtype(step),
                                    into.subspan(static_cast<std::size_t>(first) * size, some * size), first);
          !read)
        return read;
    }
    staged_ = std::move(*made);
    return {};
  }

  /// Fills a window with elements in the order of the model's tensor.
  result<void> read_window(const weight_step& step, std::uint64_t first, std::span<std::byte> into) {
    if (step.axes.empty()) return read_elements(step, working_dtype(step), into, first);
    const shape from = step.from.shape(), to = step.to.shape();
    const std::size_t size = working_size(step), rank = to.rank();
    std::vector<std::uint64_t> steps(rank, 1); // from an element of the weights to the next along each of their axes
    for (std::size_t axis = rank - 1; axis-- > 0;) steps[axis] = steps[axis + 1] * from[axis + 1];
    strided_bytes in_order(staged_, 0, size);
    for (std::size_t axis = 0; axis < rank; ++axis) in_order.add_axis(to[axis], steps[step.axes[axis]]);
    return in_order.read(first * size, into);
  }

  /// Makes codes of the numbers in the window: number / scale, rounded to the nearest, ties away from zero, plus zero point.
  /// Source: tensorflow/lite/kernels/internal/quantization_util, tools/optimize/quantization_utils: symmetric int8 has no -128.
  result<std::span<const std::byte>> encode(const weight_step& step, std::uint64_t first, std::size_t count) {
    const quantization& how = step.codes;
    const dtype_description& row = describe(step.to.dtype());
    const bool is_signed = row.kind == dtype_kind::signed_integer;
    const bool is_symmetric =
        std::all_of(how.zero_points.begin(), how.zero_points.end(), [](double each) { return each == 0; });
    const double largest = is_signed ? std::ldexp(1.0, row.bits - 1) - 1 : std::ldexp(1.0, row.bits) - 1;
    double least = is_signed ? -std::ldexp(1.0, row.bits - 1) : 0;
    if (is_signed && is_symmetric && row.bits <= 8) least += 1;
    std::uint64_t extent = 1, inner = 1;
    const shape extents = step.to.shape();
    if (how.axis) {
      extent = extents[*how.axis];
      for (std::size_t axis = *how.axis + 1; axis < extents.rank(); ++axis) inner *= extents[axis];
    }
    const auto along = [](const std::vector<double>& each, std::uint64_t channel, double otherwise) {
      return each.empty() ? otherwise : each[channel < each.size() ? static_cast<std::size_t>(channel) : 0];
    };
    const std::size_t size = (row.bits + 7u) / 8u;
    for (std::size_t i = 0; i < count; ++i) {
      double number;
      std::memcpy(&number, elements_ + i * sizeof number, sizeof number);
      if (std::isnan(number)) return error(errc::not_convertible, step.from.name());
      const std::uint64_t channel = (first + i) / inner % extent;
      double code = std::round((number - how.min) / along(how.scales, channel, 1)) + along(how.zero_points, channel, 0);
      if (!(code >= least && code <= largest)) {
        ++out_of_range_;
        code = code < least ? least : largest;
      }
      // 2^63 - 1 is not a double; the code is below it then.
      const std::uint64_t bits = code < 0 ? ~static_cast<std::uint64_t>(-code) + 1
                                 : code >= 0x1p63 && is_signed
                                     ? ~std::uint64_t{0} >> 1
                                     : (code >= 0x1p64 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(code));
      for (std::size_t byte = 0; byte < size; ++byte) {
        const std::size_t at = host_is_little_endian ? byte : size - 1 - byte;
        codes_[i * size + at] = static_cast<std::byte>(bits >> 8 * byte & 0xFF);
      }
    }
    return std::span<const std::byte>(codes_, count * size);
  }

  /// The elements of a window, which are in the form of this machine, as the file has them: packed, or in its byte order.
  result<std::span<const std::byte>> store_elements(const tensor& to, std::span<const std::byte> elements,
                                                    std::size_t count) {
    const std::uint8_t bits = to.layout().bits;
    if (bits < 8) {
      const std::size_t size = (count * bits + 7) / 8;
      std::memset(stored_, 0, size);
      for (std::size_t i = 0; i < count; ++i) {
        const unsigned code = std::to_integer<unsigned>(elements[i]) & ((1u << bits) - 1);
        const std::size_t at = i * bits;
        const unsigned shifted = code << at % 8;
        stored_[at / 8] |= static_cast<std::byte>(shifted & 0xFF);
        if (at % 8 + bits > 8) stored_[at / 8 + 1] |= static_cast<std::byte>(shifted >> 8);
      }
      return std::span<const std::byte>(stored_, size);
    }
    const std::size_t word = describe(to.dtype()).word_size_bytes;
    if (word < 2 || to.entry().is_big_endian() != host_is_little_endian) return elements;
    std::memcpy(stored_, elements.data(), elements.size());
    reverse_words(stored_, elements.size(), word);
    return std::span<const std::byte>(stored_, elements.size());
  }

  memory_resource* memory_;
  source staged_; // all elements of the weights, where their axes are in another order
  std::uint64_t out_of_range_ = 0;
  alignas(16) std::byte elements_[window_size * widest_size];
  alignas(16) std::byte codes_[window_size * 8];
  alignas(16) std::byte stored_[window_size * widest_size];
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
