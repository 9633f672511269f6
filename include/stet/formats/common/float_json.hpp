// SPDX-License-Identifier: MIT
// Floating-point numbers of messages as JSON.
#ifndef STET_FORMATS_COMMON_FLOAT_JSON_HPP
#define STET_FORMATS_COMMON_FLOAT_JSON_HPP

#include "../../json.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace stet::inline STET_NAMESPACE::detail {

/// A double that prints as the shortest text that reads as `value`, as JSON of messages has floats; NaN and
/// infinities by name.
template <class Float> json_value float_json(Float value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  if constexpr (sizeof(Float) == sizeof(double)) {
    return value;
  } else {
    // As Protocol Buffers' own printer looks for it. std::to_chars is not in every standard library.
    char digits[40];
    for (int precision = std::numeric_limits<Float>::digits10;; ++precision) {
      std::snprintf(digits, sizeof digits, "%.*g", precision, static_cast<double>(value));
      if (std::strtof(digits, nullptr) == value) return std::strtod(digits, nullptr);
    }
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
