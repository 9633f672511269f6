// SPDX-License-Identifier: MIT
// The exponential function with the same bits on every machine, which the C libraries' do not promise.
#ifndef DIGITS_EXPONENTIAL_HPP
#define DIGITS_EXPONENTIAL_HPP

#include <cmath>

namespace digits {

/// e to the power of `x` ≤ 0, to within one unit in the last place; 0 below the smallest normal float. It
/// adds, multiplies, divides and scales by powers of two, each of which IEEE 754 defines to the last bit. x =
/// k ln 2 + r with |r| ≤ ln 2 / 2, then e^x = 2^k e^r by the Taylor series, whose rest is below 2^-32.
inline float exponential(float x) noexcept {
  constexpr double ln_2 = 0.69314718055994531;
  if (!(x > -87.0f)) return 0.0f;
  const int k = static_cast<int>(static_cast<double>(x) / ln_2 - 0.5);
  const double r = static_cast<double>(x) - k * ln_2;
  double sum = 1.0;
  for (int n = 9; n > 0; --n) sum = 1.0 + r / n * sum;
  return static_cast<float>(std::ldexp(sum, k));
}

} // namespace digits

#endif
