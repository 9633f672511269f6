// SPDX-License-Identifier: MIT
// Reads what a TFLite file states about tensors beside type and shape, and its metadata.
#ifndef STET_FORMATS_TFLITE_DETAIL_NOTES_HPP
#define STET_FORMATS_TFLITE_DETAIL_NOTES_HPP

#include "constants.hpp"

#include "../../description.hpp"

#include "../../../manifest/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The numbers of a vector as JSON. Nothing, and a fault, if they are more than the file can justify.
template <class T> json_value tflite_numbers(flatbuffer& in, const flatbuffer_vector& from) {
  json_value::array_t made;
  if (!in.spend(from.size(), from.offset_bytes())) return made;
  made.reserve(from.size());
  for (std::uint32_t i = 0; i < from.size(); ++i) made.emplace_back(from.number<T>(i));
  return made;
}

/// The field `quantization` (manifest/manifest.hpp) of a table QuantizationParameters; null if it has no scales, or a scheme of its
/// own.
/// @param extents  the shape of the tensor
/// @param type     its dtype
/// @return nothing if scales and zero points do not fit the tensor, or are no numbers
inline std::optional<json_value> tflite_quantization(flatbuffer& in, const flatbuffer_table& from,
                                                     std::span<const std::uint64_t> extents, dtype type) {
  const flatbuffer_vector scales = from.vector(tflite_field::scale, 4);
  const flatbuffer_vector points = from.vector(tflite_field::zero_point, 8);
  const auto axis = from.number<std::int32_t>(tflite_field::quantized_dimension);
  if (scales.size() == 0 || from.number<std::uint8_t>(tflite_field::details_type) != 0) return json_value();
  if (!in.spend(std::uint64_t{scales.size()} + points.size(), scales.offset_bytes())) return std::nullopt;
  const bool is_along = scales.size() != 1;
  if (is_along && (axis < 0 || static_cast<std::size_t>(axis) >= extents.size() ||
                   extents[static_cast<std::size_t>(axis)] != scales.size()))
    return std::nullopt;
  if (points.size() > 1 && points.size() != scales.size()) return std::nullopt;
  json_value::array_t numbers, zeros;
  bool has_points = false;
  for (std::uint32_t i = 0; i < scales.size(); ++i) {
    const auto scale = scales.number<float>(i);
    if (!(scale > 0) || !std::isfinite(scale)) return std::nullopt;
    numbers.emplace_back(static_cast<double>(scale));
  }
  for (std::uint32_t i = 0; i < points.size(); ++i) {
    zeros.emplace_back(points.number<std::int64_t>(i));
    has_points = has_points || points.number<std::int64_t>(i) != 0;
  }
  json_value made = json_value::object();
  made["scheme"] = "affine";
  made["dtype"] = "float32";
  if (is_along) made["axis"] = axis;
  made["scales"] = is_along ? json_value(std::move(numbers)) : numbers.front();
  if (has_points) {
    if (is_along && zeros.size() == 1) zeros.resize(scales.size(), zeros.front());
    made["zero_points"] = is_along ? json_value(std::move(zeros)) : zeros.front();
  }
  const std::string text = made.dump();
  json_reader again(text);
  again.next();
  if (!is_quantization_valid(again, type, extents)) return std::nullopt;
  return made;
}

/// The name of the constant `number` of a subgraph in the store.
inline std::string tflite_tensor_name(std::string_view prefix, std::uint32_t subgraph, std::uint32_t number,
                                      std::string_view name) {
  std::string made(prefix);
  return made.append(std::to_string(subgraph)).append(":").append(std::to_string(number)).append(":").append(name);
}

/// What SparsityParameters state, for the values of a sparse tensor.
inline json_value tflite_sparsity(flatbuffer& in, const flatbuffer_table& from,
                                  std::span<const std::uint64_t> extents) {
  json_value made = json_value::object();
  made["shape"] = json_value(std::vector<std::uint64_t>(extents.begin(), extents.end()));
  made["traversal_order"] = tflite_numbers<std::int32_t>(in, from.vector(tflite_field::traversal_order, 4));
  made["block_map"] = tflite_numbers<std::int32_t>(in, from.vector(tflite_field::block_map, 4));
  json_value::array_t dimensions;
  const flatbuffer_vector rows = from.references(tflite_field::dim_metadata);
  for (std::uint32_t i = 0; i < rows.size() && in.is_good(); ++i) {
    const flatbuffer_table each = rows.table(i);
    const bool is_dense = each.number<std::int8_t>(tflite_field::dim_format) == 0;
    json_value row = json_value::object();
    row["format"] = is_dense ? "dense" : "csr";
    if (is_dense) row["size"] = each.number<std::int32_t>(tflite_field::dense_size);
    dimensions.push_back(std::move(row));
  }
  made["dimensions"] = std::move(dimensions);
  return made;
}

/// Adds the notes of the constants of a model.
inline result<void> read_tflite_notes(tflite_file& file, std::string_view prefix, std::vector<tensor_note>& into) {
  flatbuffer& in = file.in();
  return file.for_each_constant([&](const tflite_constant& of) -> result<void> {
    if (of.type == nullptr || of.is_external) return {};
    json_value attributes = json_value::object(), own = json_value::object();
    const flatbuffer_table how = of.table.table(tflite_field::quantization);
    std::optional<json_value> quantization = tflite_quantization(in, how, of.extents, of.type->dtype);
    if (!quantization) {
      own["unread"] = "quantization: scales or zero points do not fit the tensor";
    } else if (!quantization->is_null()) {
      attributes["quantization"] = std::move(*quantization);
    }
    constexpr std::uint8_t is_blockwise = 2;
    if (how.number<std::uint8_t>(tflite_field::details_type) == is_blockwise) {
      const flatbuffer_table blocks = how.table(tflite_field::details);
      const flatbuffer_vector tensors = file.subgraphs().table(of.subgraph).references(tflite_field::tensors);
      json_value row = json_value::object();
      for (const std::uint32_t field : {tflite_field::block_scales, tflite_field::block_zero_points}) {
        const auto number = blocks.number<std::int32_t>(field);
        if (number < 0 || static_cast<std::uint32_t>(number) >= tensors.size()) continue;
        const auto named = static_cast<std::uint32_t>(number);
        row[field == tflite_field::block_scales ? "scales" : "zero_points"] = tflite_tensor_name(
            prefix, of.subgraph, named, tensors.table(named).string(tflite_field::tensor_name).text());
      }
      row["block_size"] = blocks.number<std::int32_t>(tflite_field::block_size);
      own["blockwise"] = std::move(row);
    }
    if (of.table.number<std::uint8_t>(tflite_field::is_variable) != 0) own["variable"] = true;
    const flatbuffer_table sparsity = of.table.table(tflite_field::sparsity);
    if (sparsity.is_present()) own["sparse"] = tflite_sparsity(in, sparsity, of.extents);
    if (!in.is_good()) return in.problem("tensor");
    if (sparsity.is_present()) attributes.erase("quantization"); // its axis is one of the dense tensor
    if (!own.empty()) attributes["tflite"] = std::move(own);
    if (attributes.empty()) return {};
    std::string name = tflite_tensor_name(prefix, of.subgraph, of.number, of.name);
    if (sparsity.is_present()) name += ".values";
    into.push_back({std::move(name), std::move(attributes)});
    return {};
  });
}

/// The description and the metadata of a model: null if it has none.
inline result<json_value> read_tflite_metadata(tflite_file& file) {
  flatbuffer& in = file.in();
  json_value made;
  const std::string_view description = file.model().string(tflite_field::description).text();
  if (!description.empty() && is_utf8_without_nul(description)) made["description"] = description;
  const flatbuffer_vector rows = file.model().references(tflite_field::metadata);
  for (std::uint32_t i = 0; i < rows.size() && in.is_good(); ++i) {
    constexpr std::size_t max_text_size = 1024;
    const flatbuffer_table each = rows.table(i);
    const std::string name(each.string(tflite_field::metadata_name).text());
    const auto number = each.number<std::uint32_t>(tflite_field::metadata_buffer_number);
    if (number >= file.buffers().size() || !is_utf8_without_nul(name)) continue;
    const flatbuffer_vector data = file.buffers().table(number).vector(tflite_field::data, 1);
    std::string_view text = data.text();
    while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
    const bool is_text = text.size() <= max_text_size && is_utf8_without_nul(text);
    if (!in.spend(is_text ? text.size() : 1, data.offset_bytes())) break;
    made["metadata"][name] = is_text ? json_value(text) : json_value{{"size_bytes", data.size()}};
  }
  if (!in.is_good()) return in.problem("metadata");
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
