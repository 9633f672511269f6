// SPDX-License-Identifier: MIT
// The file model.json of TensorFlow.js: the weights, their files, and the rest.
#ifndef STET_FORMATS_TFJS_DETAIL_MODEL_JSON_HPP
#define STET_FORMATS_TFJS_DETAIL_MODEL_JSON_HPP

#include "../../common/files_beside.hpp"

#include "../../../manifest/graph_json.hpp"
#include "../../../json.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A model of TensorFlow.js
// ========================
//
// model.json (or a bare weights_manifest.json: the array below) and the files with the weights beside it.
//
//   {"format": "layers-model" | "graph-model",          absent in old files
//    "modelTopology": {...},                            Keras configuration, or GraphDef as proto3 JSON
//    "weightsManifest": [
//      {"paths": ["group1-shard1of2.bin", ...],
//       "weights": [{"name": "dense/kernel", "shape": [784, 10], "dtype": "float32",
//                    "quantization": {"dtype": "uint8", "scale": 0.1, "min": -3.2}}, ...]}, ...]}
//
// The bytes of a group are its files one after the other; its weights lie in them back to back, in order,
// from the first byte to the last, wherever files end. No offset, alignment or checksum is written down. A
// quantized weight is stored as codes of the quantization's dtype; its own is that of the numbers. A string
// is its size (u32, little-endian) and its bytes. Source: tensorflow/tfjs, tfjs-core/src/io/types.ts,
// io_utils.ts (decodeWeights).

namespace stet::inline STET_NAMESPACE::detail {

/// What `quantization` of a weight says.
struct tfjs_quantization {
  std::string dtype;
  std::optional<double> scale, min;
};

/// One weight of a group.
struct tfjs_weight {
  std::string name;
  std::vector<std::uint64_t> shape;
  /// What the numbers are, and what is stored: another dtype if the weight is quantized.
  stet::dtype dtype = dtype::float32, stored = dtype::float32;
  std::optional<tfjs_quantization> quantization;
  /// "optimizer" for what only training needs; mostly empty.
  std::string group;

  /// The quantization in the terms of a manifest (manifest/quantization.hpp); null for a plain weight.
  [[nodiscard]] json_value quantization_json() const {
    if (!quantization) return nullptr;
    json_value made{{"scheme", quantization->scale ? "affine" : "cast"}, {"dtype", name_of(dtype)}};
    if (quantization->scale) {
      made["scales"] = *quantization->scale;
      made["min"] = *quantization->min;
    }
    return made;
  }
};

/// Weights, and the files they lie in one after the other.
struct tfjs_group {
  std::vector<std::string> paths;
  std::vector<tfjs_weight> weights;
};

/// All of model.json.
struct tfjs_model_json {
  std::vector<tfjs_group> groups;
  /// Every other field, in order; null: none.
  json_value fields;

  [[nodiscard]] std::size_t weight_count() const noexcept {
    std::size_t count = 0;
    for (const tfjs_group& group : groups) count += group.weights.size();
    return count;
  }
};

/// The dtypes that weights are stored as: those that decodeWeights reads, and those that the Python converter
/// writes. Source: tfjs-core/src/io/types.ts, DTYPE_VALUE_SIZE_MAP.
inline constexpr dtype tfjs_dtypes[] = {dtype::float32, dtype::int32,  dtype::boolean, dtype::complex64,
                                        dtype::string,  dtype::uint16, dtype::uint8,   dtype::float16};
/// So many, the first of them, are dtypes of TensorFlow.js's own tensors; the others are widened when they are read.
inline constexpr std::size_t tfjs_own_dtype_count = 5;
static_assert(tfjs_dtypes[tfjs_own_dtype_count - 1] == dtype::string);

inline const dtype_description* find_tfjs_dtype(std::string_view name) noexcept {
  for (const dtype each : tfjs_dtypes) {
    if (name_of(each) == name) return &describe(each);
  }
  return nullptr;
}

// ---- the fields ----

inline field_problem read_double(const json_value& value, std::optional<double>& into) noexcept {
  if (!value.is_number()) return errc::wrong_type;
  into = value.get<double>();
  return {};
}

inline constexpr field<tfjs_quantization> tfjs_quantization_fields[] = {
    {"dtype", true, [](json_value& v, tfjs_quantization& q) { return read_string(v, q.dtype); }},
    {"scale", false, [](json_value& v, tfjs_quantization& q) { return read_double(v, q.scale); }},
    {"min", false, [](json_value& v, tfjs_quantization& q) { return read_double(v, q.min); }},
};

inline field_problem read_tfjs_shape(json_value& value, tfjs_weight& weight) {
  const json_value::array_t* const extents = value.get_ptr<const json_value::array_t*>();
  if (extents == nullptr) return errc::wrong_type;
  if (extents->size() > max_rank) return errc::bad_shape;
  for (const json_value& extent : *extents) {
    if (const field_problem problem = read_unsigned(extent, weight.shape.emplace_back())) return problem;
  }
  return {};
}

inline field_problem read_tfjs_dtype(json_value& value, tfjs_weight& weight) noexcept {
  const std::string* const name = value.get_ptr<const json_value::string_t*>();
  if (name == nullptr) return errc::wrong_type;
  const dtype_description* const row = find_tfjs_dtype(*name);
  if (row == nullptr) return errc::unknown_dtype;
  weight.dtype = row->dtype;
  return {};
}

inline constexpr field<tfjs_weight> tfjs_weight_fields[] = {
    {"name", true, [](json_value& v, tfjs_weight& w) { return read_string(v, w.name); }},
    {"shape", true, read_tfjs_shape},
    {"dtype", true, read_tfjs_dtype},
    {"quantization", false,
     [](json_value& v, tfjs_weight& w) {
       return read_object<tfjs_quantization>(v, tfjs_quantization_fields, w.quantization.emplace());
     }},
    {"group", false, [](json_value& v, tfjs_weight& w) { return read_string(v, w.group); }},
};

/// Settles what is stored. Source: io_utils.ts, decodeWeight: which dtypes go together, and what they need.
inline field_problem check_tfjs_quantization(tfjs_weight& weight) noexcept {
  weight.stored = weight.dtype;
  if (!weight.quantization) return {};
  const tfjs_quantization& how = *weight.quantization;
  const dtype_description* const row = find_tfjs_dtype(how.dtype);
  const bool is_half = row != nullptr && row->dtype == dtype::float16;
  const bool is_affine = row != nullptr && (row->dtype == dtype::uint8 || row->dtype == dtype::uint16);
  const bool goes_together = weight.dtype == dtype::float32 || (weight.dtype == dtype::int32 && is_affine);
  if ((!is_half && !is_affine) || !goes_together) return errc::bad_quantization;
  if (is_affine &&
      (!how.scale || !how.min || !std::isfinite(*how.scale) || !std::isfinite(*how.min) || *how.scale <= 0))
    return errc::bad_quantization;
  weight.stored = row->dtype;
  if (is_half) // whatever else is said of halves means nothing
    weight.quantization->scale = weight.quantization->min = std::nullopt;
  return {};
}

inline field_problem read_tfjs_paths(json_value& value, tfjs_group& group) {
  json_value::array_t* const paths = value.get_ptr<json_value::array_t*>();
  if (paths == nullptr) return errc::wrong_type;
  for (json_value& each : *paths) {
    std::string& path = group.paths.emplace_back();
    if (const field_problem problem = read_string(each, path)) return problem;
    while (path.starts_with("./")) // as the loader of TensorFlow.js for React Native writes them
      path.erase(0, 2);
  }
  return {};
}

/// Reads `value`, an array, element by element; where one is wrong, `place` tells which.
template <class Element>
field_problem read_tfjs_array(json_value& value, std::span<const field<Element>> fields, std::vector<Element>& into,
                              std::string_view kind, std::string& place) {
  json_value::array_t* const elements = value.get_ptr<json_value::array_t*>();
  if (elements == nullptr) return errc::wrong_type;
  into.reserve(elements->size());
  for (json_value& each : *elements) {
    Element& made = into.emplace_back();
    if (const field_problem problem = read_object<Element>(each, fields, made)) {
      place = std::string(kind) + std::to_string(into.size() - 1);
      return problem;
    }
  }
  return {};
}

/// Reads the array `weightsManifest`.
inline result<std::vector<tfjs_group>> read_tfjs_groups(json_value& value) {
  struct group_read {
    tfjs_group group;
    json_value weights;
  };
  static constexpr field<group_read> group_fields[] = {
      {"paths", true, [](json_value& v, group_read& r) { return read_tfjs_paths(v, r.group); }},
      {"weights", true, [](json_value& v, group_read& r) { return r.weights = std::move(v), field_problem(); }},
  };
  std::vector<group_read> read;
  std::string place;
  if (const field_problem problem = read_tfjs_array<group_read>(value, group_fields, read, "group ", place))
    return error_about(problem, place.empty() ? "weightsManifest" : place);
  std::vector<tfjs_group> groups;
  groups.reserve(read.size());
  for (group_read& each : read) {
    std::vector<tfjs_weight>& weights = each.group.weights;
    if (const field_problem problem =
            read_tfjs_array<tfjs_weight>(each.weights, tfjs_weight_fields, weights, "weight ", place)) {
      const bool is_named = !weights.empty() && !weights.back().name.empty();
      return error_about(problem, is_named ? weights.back().name : place.empty() ? "weights" : place);
    }
    for (tfjs_weight& weight : weights) {
      if (const field_problem problem = check_tfjs_quantization(weight)) return error_about(problem, weight.name);
    }
    groups.push_back(std::move(each.group));
  }
  return groups;
}

/// Reads the text of model.json or weights_manifest.json.
/// @retval errc::bad_json … bad_number, wrong_type, missing_field  (see parse_json and manifest/detail/fields.hpp)
/// @retval errc::unknown_dtype     a weight (the subject) has a dtype that TensorFlow.js does not have
/// @retval errc::bad_shape         it has more than `max_rank` dimensions
/// @retval errc::bad_quantization  its dtype does not match that of its codes, scale or min is missing or not a number,
///                                 or the scale is not greater than 0
/// @retval errc::bad_path          a file has a path that could lead out of the folder
/// @retval errc::duplicate_part    a file is listed twice
inline result<tfjs_model_json> parse_tfjs_model(std::string_view text, const manifest_limits& limits = {}) {
  result<json_value> parsed = parse_json(text, limits);
  if (!parsed) return parsed.error();
  tfjs_model_json made;
  json_value groups;
  if (parsed->is_array()) {
    groups = std::move(*parsed);
  } else if (json_value::object_t* const members = parsed->get_ptr<json_value::object_t*>()) {
    for (auto& [name, value] : *members) {
      if (name == "weightsManifest")
        groups = std::move(value);
      else
        append_member(made.fields, name, std::move(value));
    }
    if (groups.is_null()) return error(errc::missing_field, "weightsManifest");
  } else {
    return errc::wrong_type;
  }
  result<std::vector<tfjs_group>> read = read_tfjs_groups(groups);
  if (!read) return read.error();
  made.groups = std::move(*read);

  std::vector<std::string_view> paths;
  for (const tfjs_group& group : made.groups) paths.insert(paths.end(), group.paths.begin(), group.paths.end());
  for (const std::string_view path : paths) {
    if (!is_path_beside(path)) return error(errc::bad_path, path);
  }
  const std::size_t duplicate = find_duplicate(paths.size(), [&](std::size_t i) { return paths[i]; });
  if (duplicate != name_table::none) return error(errc::duplicate_part, paths[duplicate]);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
