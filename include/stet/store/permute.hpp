// SPDX-License-Identifier: MIT
// Copies a tensor with its axes in another order.
#ifndef STET_STORE_PERMUTE_HPP
#define STET_STORE_PERMUTE_HPP

#include "tensor.hpp"
#include "detail/strided_copy.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// An order of axes, for `tensor::copy_to`. Axis i of what is copied is axis `axes[i]` of the tensor, as of NumPy's transpose:
///
///     // The kernel of a convolution as Keras has it, [height, width, in, out], as PyTorch has it, [out, in, height, width]:
///     auto copied = kernel.copy_to(std::span(weights), stet::permute({3, 2, 0, 1}));
///
/// Copies in blocks that use whole cache lines, from 2 MiB on with several threads; allocates nothing.
class permute {
public:
  /// @param axes          each axis of the tensor once; anything else is an error of the copy
  /// @param thread_count  how many threads copy, at most; 0: as many as the machine has processors, at most 64
  explicit constexpr permute(std::initializer_list<std::uint32_t> axes, unsigned thread_count = 0) noexcept
      : permute(std::span(axes.begin(), axes.size()), thread_count) {}
  /// As above, with axes that are known at run time.
  explicit constexpr permute(std::span<const std::uint32_t> axes, unsigned thread_count = 0) noexcept
      : thread_count_(thread_count), rank_(axes.size()) {
    for (std::size_t i = 0; i < rank_ && i < max_rank; ++i)
      axes_[i] = static_cast<std::uint8_t>(axes[i] < no_axis ? axes[i] : no_axis);
  }

  /// Copies the elements of `from`, wherever in memory and in whatever byte order they are, to all of `into`; for `tensor::copy_to`.
  /// @retval errc::invalid_argument  the axes are not those of the tensor, each once
  /// @retval errc::dtype_mismatch    the elements are not of type T
  /// @retval errc::packed            they are packed below a byte
  /// @retval errc::not_resident      they are not in memory; `store::load` brings them there
  /// @retval errc::bad_value         T is bool and a byte is neither 0 nor 1
  template <element T> [[nodiscard]] result<void> copy(const tensor& from, std::span<T> into) const noexcept {
    if (dtype_of<T>::value != from.dtype()) return error(errc::dtype_mismatch, from.name());
    if (from.layout().bits != sizeof(T) * 8) return error(errc::packed, from.name());
    return copy_bytes(from, sizeof(T), reinterpret_cast<std::byte*>(into.data()));
  }

private:
  static constexpr std::uint32_t no_axis = 255;
  static_assert(max_rank <= no_axis);

  [[nodiscard]] result<void> copy_bytes(const tensor& from, std::size_t item_size, std::byte* into) const noexcept {
    const shape extents = from.shape();
    bool is_taken[max_rank] = {};
    if (rank_ != extents.rank()) return error(errc::invalid_argument, from.name());
    for (std::size_t i = 0; i < rank_; ++i) {
      if (axes_[i] >= rank_ || is_taken[axes_[i]]) return error(errc::invalid_argument, from.name());
      is_taken[axes_[i]] = true;
    }
    if (from.element_count() == 0) return {};
    if (from.bytes().data() == nullptr) return error(errc::not_resident, from.name());
    if (from.dtype() == dtype::boolean && !detail::are_booleans(from.bytes().data(), from.bytes().size()))
      return error(errc::bad_value, from.name());

    std::size_t steps[max_rank] = {}, step = item_size;
    for (std::size_t axis = rank_; axis-- > 0;) {
      steps[axis] = step;
      step *= static_cast<std::size_t>(extents[axis]);
    }
    detail::strided_copy all(from.bytes().data(), item_size);
    for (std::size_t i = 0; i < rank_; ++i) all.add_axis(static_cast<std::size_t>(extents[axes_[i]]), steps[axes_[i]]);
    all.copy_to(into, thread_count_);

    if (!from.is_in_place()) // the words have the other byte order
      detail::reverse_words(into, step, describe(from.dtype()).word_size_bytes);
    return {};
  }

  unsigned thread_count_;
  std::size_t rank_;
  std::uint8_t axes_[max_rank] = {};
};

} // namespace stet::inline STET_NAMESPACE

#endif
