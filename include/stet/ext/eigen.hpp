// SPDX-License-Identifier: MIT
// Views of tensors as Eigen's matrices and tensors, in place. Include it after <Eigen/Core>, and after <unsupported/Eigen/CXX11/Tensor>
// for `to_eigen_tensor`.
#ifndef STET_EXT_EIGEN_HPP
#define STET_EXT_EIGEN_HPP

#include "../store/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Eigen's type of an element of type T, which has the same bytes.
template <class T> struct eigen_scalar_of : std::type_identity<T> {};
template <class T> struct eigen_scalar_of<const T> : std::type_identity<const typename eigen_scalar_of<T>::type> {};
template <> struct eigen_scalar_of<float16> : std::type_identity<Eigen::half> {};
template <> struct eigen_scalar_of<bfloat16> : std::type_identity<Eigen::bfloat16> {};
template <> struct eigen_scalar_of<complex64> : std::type_identity<std::complex<float>> {};
template <> struct eigen_scalar_of<complex128> : std::type_identity<std::complex<double>> {};

template <class T> using eigen_scalar = typename eigen_scalar_of<T>::type;

/// `To`, const where T is.
template <class T, class To> using const_as = std::conditional_t<std::is_const_v<T>, const To, To>;

constexpr int eigen_extent(std::size_t extent) noexcept {
  return extent == dynamic ? Eigen::Dynamic : static_cast<int>(extent);
}

/// A column for one extent, a row-major matrix for two. A matrix of one column is column-major, as Eigen has it in no other order; its
/// elements are in a row in both.
template <class T, std::size_t... Extents> struct eigen_matrix_of;
template <class T, std::size_t Rows, std::size_t Columns> struct eigen_matrix_of<T, Rows, Columns> {
  using type = Eigen::Matrix<std::remove_const_t<eigen_scalar<T>>, eigen_extent(Rows), eigen_extent(Columns),
                             Columns == 1 && Rows != 1 ? Eigen::ColMajor : Eigen::RowMajor>;
};
template <class T, std::size_t Rows> struct eigen_matrix_of<T, Rows> : eigen_matrix_of<T, Rows, 1> {};

template <int Alignment, class T, std::size_t... Extents>
using eigen_map = Eigen::Map<const_as<T, typename eigen_matrix_of<T, Extents...>::type>, Alignment>;

template <int Alignment, class T, std::size_t... Extents>
eigen_map<Alignment, T, Extents...> map_eigen(const view<T, Extents...>& from) noexcept {
  static_assert(((Extents == dynamic || Extents <= (std::numeric_limits<int>::max)()) && ...));
  auto* const data = reinterpret_cast<eigen_scalar<T>*>(from.data());
  const std::size_t columns = sizeof...(Extents) == 1 ? 1 : from.extents().back();
  return {data, static_cast<Eigen::Index>(from.extent(0)), static_cast<Eigen::Index>(columns)};
}

} // namespace detail

/// The elements of a view as an Eigen::Map: a column for one extent, a row-major matrix for two, each fixed or dynamic as in the view.
/// float16 is Eigen::half, bfloat16 is Eigen::bfloat16, complex numbers are std::complex. Copies nothing; valid as long as the bytes.
///
///     const auto kernel = stet::to_eigen(*store.view<float, 784, 10>("dense/kernel"));
///     const Eigen::VectorXf scores = kernel.transpose() * pixels + bias;
template <class T, std::size_t... Extents>
  requires(sizeof...(Extents) == 1 || sizeof...(Extents) == 2)
[[nodiscard]] detail::eigen_map<Eigen::Unaligned, T, Extents...> to_eigen(const view<T, Extents...>& from) noexcept {
  return detail::map_eigen<Eigen::Unaligned>(from);
}

/// As above, of a map that promises Eigen an alignment: `to_eigen<Eigen::Aligned64>(view)`. A file of stet that is mapped or read has
/// its tensors at multiples of 64, unless it was saved with another `store.alignment_bytes()`.
/// @retval errc::misaligned  the elements are not aligned so; Eigen would end the program, or not notice
template <int Alignment, class T, std::size_t... Extents>
  requires(sizeof...(Extents) == 1 || sizeof...(Extents) == 2)
[[nodiscard]] result<detail::eigen_map<Alignment, T, Extents...>> to_eigen(const view<T, Extents...>& from) noexcept {
  static_assert(Alignment > 0, "one of Eigen::Aligned8 … Aligned128");
  if (!detail::is_aligned(from.data(), Alignment)) return errc::misaligned;
  return detail::map_eigen<Alignment>(from);
}

/// As above, of a tensor: `to_eigen<float, 784, stet::dynamic>(tensor)`.
/// Errors and cost: those of `tensor::as_view`.
template <class T, std::size_t... Extents>
  requires(element<T> && (sizeof...(Extents) == 1 || sizeof...(Extents) == 2))
[[nodiscard]] result<detail::eigen_map<Eigen::Unaligned, const T, Extents...>> to_eigen(const tensor& from) noexcept {
  const auto viewed = from.as_view<const T, Extents...>();
  if (!viewed) return viewed.error();
  return to_eigen(*viewed);
}

#if defined(EIGEN_CXX11_TENSOR_TENSOR_MAP_H)

namespace detail {

template <class T, std::size_t... Extents> struct eigen_tensor_of {
  using type =
      Eigen::Tensor<std::remove_const_t<eigen_scalar<T>>, static_cast<int>(sizeof...(Extents)), Eigen::RowMajor>;
};
template <class T, std::size_t... Extents>
  requires((Extents != dynamic) && ...)
struct eigen_tensor_of<T, Extents...> {
  using type = Eigen::TensorFixedSize<std::remove_const_t<eigen_scalar<T>>,
                                      Eigen::Sizes<static_cast<std::ptrdiff_t>(Extents)...>, Eigen::RowMajor>;
};
template <int Alignment, class T, std::size_t... Extents>
using eigen_tensor_map = Eigen::TensorMap<const_as<T, typename eigen_tensor_of<T, Extents...>::type>, Alignment>;

template <int Alignment, class T, std::size_t... Extents>
eigen_tensor_map<Alignment, T, Extents...> map_eigen_tensor(const view<T, Extents...>& from) noexcept {
  typename eigen_tensor_of<T, Extents...>::type::Dimensions extents;
  if constexpr (((Extents == dynamic) || ...)) {
    for (std::size_t axis = 0; axis < sizeof...(Extents); ++axis)
      extents[axis] = static_cast<Eigen::Index>(from.extent(axis));
  }
  return {reinterpret_cast<eigen_scalar<T>*>(from.data()), extents};
}

} // namespace detail

/// The elements of a view as a row-major Eigen::TensorMap with as many dimensions, of a TensorFixedSize where every extent is fixed.
/// Element types: those of `to_eigen`. Copies nothing; valid as long as the bytes.
template <class T, std::size_t... Extents>
  requires((Extents != dynamic_rank) && ...)
[[nodiscard]] detail::eigen_tensor_map<Eigen::Unaligned, T, Extents...>
to_eigen_tensor(const view<T, Extents...>& from) noexcept {
  return detail::map_eigen_tensor<Eigen::Unaligned>(from);
}

/// As above, of a map that promises Eigen elements aligned for its widest vectors: `to_eigen_tensor<Eigen::Aligned>(view)`.
/// @retval errc::misaligned  the elements are not at a multiple of EIGEN_MAX_ALIGN_BYTES
template <int Alignment, class T, std::size_t... Extents>
  requires((Extents != dynamic_rank) && ...)
[[nodiscard]] result<detail::eigen_tensor_map<Alignment, T, Extents...>>
to_eigen_tensor(const view<T, Extents...>& from) noexcept {
  static_assert(Alignment == Eigen::Aligned, "Eigen::Aligned is the only alignment that a TensorMap knows");
  constexpr std::size_t widest = EIGEN_MAX_ALIGN_BYTES;
  if (!detail::is_aligned(from.data(), widest < Alignment ? Alignment : widest)) return errc::misaligned;
  return detail::map_eigen_tensor<Alignment>(from);
}

/// As above, of a tensor: `to_eigen_tensor<float, stet::dynamic, 28, 28>(tensor)`.
/// Errors and cost: those of `tensor::as_view`.
template <class T, std::size_t... Extents>
  requires element<T>
[[nodiscard]] result<detail::eigen_tensor_map<Eigen::Unaligned, const T, Extents...>>
to_eigen_tensor(const tensor& from) noexcept {
  const auto viewed = from.as_view<const T, Extents...>();
  if (!viewed) return viewed.error();
  return to_eigen_tensor(*viewed);
}

#endif

} // namespace stet::inline STET_NAMESPACE

#endif
