// SPDX-License-Identifier: MIT
// Reads the quantization of a tensor from its attributes, and converts its codes to numbers.
#ifndef STET_MANIFEST_QUANTIZATION_HPP
#define STET_MANIFEST_QUANTIZATION_HPP

#include "check.hpp"

#include "../store/copy_elements.hpp"
#include "../store/store.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// How the codes of a tensor stand for numbers: number = (code - zero point) × scale + min, along one axis
/// each with a scale and zero point of its own. A plain value; read_quantization makes it of a tensor's
/// attributes, the field `quantization` of manifest.hpp:
///
///     {"scheme": "affine", "dtype": "float32", "scales": 0.5, "min": -64.0}
struct quantization {
  /// One, or one for each index of `axis`.
  std::vector<double> scales{1.0};
  /// As many as scales; empty: 0.
  std::vector<double> zero_points;
  /// Added to every number.
  double min = 0;
  /// The axis that scales and zero points are along; absent where there is but one.
  std::optional<std::uint32_t> axis;
  /// The dtype of the numbers: float32 unless the attributes state another.
  stet::dtype dtype = dtype::float32;
};

namespace detail {

/// Takes numbers from the text of a value: one, an array of them, or those of the tensor that a string names.
inline result<std::vector<double>> quantization_numbers(std::string_view text, const store& where) {
  std::vector<double> made;
  json_reader in(text);
  if (in.next() == json_token::string) {
    std::string name;
    assign_string(in.string(), name);
    const result<tensor> numbers = where.find(name);
    if (!numbers) return numbers.error();
    // Not more numbers than there are bytes to make them of: the count may be anything for 0 bits.
    if (numbers->element_count() > numbers->size_bytes() * 8) return error(errc::bad_quantization, name);
    made.resize(detail::container_size(numbers->element_count()));
    if (auto copied = numbers->copy_to(std::span(made), convert); !copied) return copied.error();
    return made;
  }
  const bool is_array = in.token() == json_token::begin_array;
  if (is_array) in.next();
  for (; in.token() == json_token::number; in.next()) made.push_back(in.number().to_double());
  if (in.token() != (is_array ? json_token::end_array : json_token::end)) return errc::bad_quantization;
  return made;
}

/// The product, rounded. Kept apart from the addition behind it, since a compiler that fuses the two would
/// give other numbers on one machine than on another.
inline double rounded_product(double code, double scale) noexcept {
  const volatile double product = code * scale;
  return product;
}

/// The integer nearest to `number`, ties upwards: ECMA-262, Math.round.
inline double rounded_up(double number) noexcept {
  const double below = std::floor(number);
  return number - below >= 0.5 ? below + 1 : below;
}

} // namespace detail

/// Reads the quantization of a tensor.
/// @param json   the attribute `quantization`, an object
/// @param codes  the tensor
/// @param where  the store, in which scales and zero points may be tensors
/// The error's subject is the tensor's name.
/// @retval errc::wrong_type        not an object
/// @retval errc::bad_quantization  the fields are not what manifest.hpp says, or do not fit the tensor
/// @retval errc::unknown_dtype     `dtype` is no dtype
/// @retval errc::unsupported       blocks, which have a quantization of their own
/// @retval errc::not_found         the tensor that `scales` or `zero_points` name (the subject) does not exist
/// or an error of reading that tensor.
/// Cost: allocates scales and zero points.
inline result<quantization> read_quantization(const json_text& json, const tensor& codes, const store& where) {
  const error bad(errc::bad_quantization, codes.name());
  const std::vector<std::uint64_t> shape(codes.shape().begin(), codes.shape().end());
  detail::json_reader in(json.text());
  if (json.empty() || in.next() != detail::json_token::begin_object) return error(errc::wrong_type, codes.name());
  if (codes.layout().bits == 0) return error(errc::unsupported, codes.name());
  if (!detail::is_quantization_valid(in, codes.dtype(), shape)) return bad;

  quantization made;
  in = detail::json_reader(json.text());
  in.next();
  while (in.next() == detail::json_token::key) {
    const detail::json_string name = in.string();
    in.next();
    if (name == "axis") {
      made.axis = static_cast<std::uint32_t>(in.number().magnitude);
    } else if (name == "dtype") {
      std::string text;
      if (in.token() == detail::json_token::string) detail::assign_string(in.string(), text);
      const dtype_description* const row = find_dtype(text);
      if (row == nullptr) return error(errc::unknown_dtype, codes.name());
      made.dtype = row->dtype;
    }
    (void)in.skip();
    if (name == "scales" || name == "zero_points" || name == "min") {
      result<std::vector<double>> numbers = detail::quantization_numbers(in.text(), where);
      if (!numbers) return numbers.error().subject().empty() ? bad : numbers.error();
      const bool are_finite =
          std::all_of(numbers->begin(), numbers->end(), [](double each) { return std::isfinite(each); });
      if (!are_finite || (name == "min" && numbers->size() != 1)) return bad;
      if (name == "min")
        made.min = numbers->front();
      else
        (name == "scales" ? made.scales : made.zero_points) = std::move(*numbers);
    }
  }
  // Values that are stored in tensors were not checked above.
  const std::uint64_t extent = made.axis ? shape[*made.axis] : 1;
  const bool fits = (made.scales.size() == 1 || made.scales.size() == extent) &&
                    (made.zero_points.empty() || made.zero_points.size() == made.scales.size() ||
                     (made.scales.size() == 1 && made.zero_points.size() == extent));
  const bool are_scales = std::all_of(made.scales.begin(), made.scales.end(), [](double scale) { return scale > 0; });
  if (!fits || !are_scales) return bad;
  return made;
}

/// Turns codes into the numbers they stand for: computed as double and rounded once, to `To`; for integers to
/// the nearest, ties upwards, or to the largest or least there is.
/// @param first  the number of the code that becomes `into[0]`, a multiple of 8; all of `into` is filled
/// @retval errc::invalid_argument `first` is no multiple of 8
/// @retval errc::bad_range        there are not that many codes
/// @retval errc::not_convertible  codes that are no real numbers
/// or an error of the reader. Cost: reads the codes once, allocates nothing.
template <element To>
  requires(!std::is_const_v<To>)
result<void> dequantize(const tensor& codes, const quantization& how, std::span<To> into,
                        std::uint64_t first = 0) noexcept {
  std::uint64_t extent = 1, inner = 1;
  if (how.axis && *how.axis < codes.shape().rank()) {
    extent = codes.shape()[*how.axis];
    for (std::size_t axis = *how.axis + 1; axis < codes.shape().rank(); ++axis) inner *= codes.shape()[axis];
  }
  const auto number_along = [](const std::vector<double>& each, std::uint64_t channel, double otherwise) {
    if (each.empty()) return otherwise;
    return each[channel < each.size() ? static_cast<std::size_t>(channel) : 0];
  };
  double window[256];
  for (std::size_t done = 0; done < into.size();) {
    const std::span<double> numbers = std::span(window).first((std::min)(std::size(window), into.size() - done));
    if (auto copied = copy_elements(codes, dtype::float64, std::as_writable_bytes(numbers), first + done); !copied)
      return copied;
    for (const double each : numbers) {
      const std::uint64_t channel = (first + done) / inner % extent;
      const double code = each - number_along(how.zero_points, channel, 0);
      const double product = detail::rounded_product(code, number_along(how.scales, channel, 1));
      const double number = how.min == 0 ? product : product + how.min; // adding 0 would turn -0 to 0
      constexpr bool is_integer =
          detail::kind_of<To> == dtype_kind::signed_integer || detail::kind_of<To> == dtype_kind::unsigned_integer;
      into[done++] = detail::convert_value<To>(is_integer ? detail::rounded_up(number) : number);
    }
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
