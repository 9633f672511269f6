// SPDX-License-Identifier: MIT
// Views complex tensors as std::complex. Include it after <complex>.
#ifndef STET_EXT_COMPLEX_HPP
#define STET_EXT_COMPLEX_HPP

#include "../vocabulary/config.hpp"

#include "../vocabulary/element.hpp"

namespace stet::inline STET_NAMESPACE {

// std::complex is an array of its real and imaginary part (C++20, [complex.numbers.general]).
template <> struct dtype_of<std::complex<float>> : std::integral_constant<dtype, dtype::complex64> {};
template <> struct dtype_of<std::complex<double>> : std::integral_constant<dtype, dtype::complex128> {};

} // namespace stet::inline STET_NAMESPACE

#endif
