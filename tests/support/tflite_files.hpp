// SPDX-License-Identifier: MIT
// Makes TFLite models from lists of tensors and operators.
#ifndef STET_TESTS_SUPPORT_TFLITE_FILES_HPP
#define STET_TESTS_SUPPORT_TFLITE_FILES_HPP

#include "flatbuffer_files.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// Codes of the types of tensors.
enum tflite_code : std::int8_t {
  tflite_f32 = 0,
  tflite_f16 = 1,
  tflite_i32 = 2,
  tflite_u8 = 3,
  tflite_i64 = 4,
  tflite_string = 5,
  tflite_bool = 6,
  tflite_i8 = 9,
  tflite_resource = 13,
  tflite_i4 = 17,
  tflite_i2 = 19
};

/// A tensor of a model. The fields are those of the schema; what is absent stays so.
struct tflite_tensor {
  std::string_view name;
  std::vector<std::int32_t> shape;
  std::int8_t type = tflite_f32;
  std::uint32_t buffer = 0;
  flat_value quantization{};
  flat_value sparsity{};
  std::uint32_t external_buffer = 0;
  bool is_variable = false;

  [[nodiscard]] flat_value value() const {
    return flat_table({flat_numbers(shape),
                       flat_number(type),
                       flat_number(buffer),
                       flat_string(name),
                       quantization,
                       is_variable ? flat_number(std::uint8_t{1}) : flat_value{},
                       sparsity,
                       {},
                       {},
                       {},
                       external_buffer == 0 ? flat_value{} : flat_number(external_buffer)});
  }
};

/// The fields scale, zero_point and quantized_dimension.
inline flat_value tflite_affine(const std::vector<float>& scales, const std::vector<std::int64_t>& points,
                                std::int32_t axis = 0) {
  return flat_table({{}, {}, flat_numbers(scales), flat_numbers(points), {}, {}, flat_number(axis)});
}

/// A subgraph.
struct tflite_subgraph {
  std::vector<tflite_tensor> tensors;
  std::vector<std::int32_t> inputs{}, outputs{};
  std::vector<flat_value> operators{};

  [[nodiscard]] flat_value value() const {
    std::vector<flat_value> rows;
    for (const tflite_tensor& each : tensors) rows.push_back(each.value());
    return flat_table({flat_list(std::move(rows)), flat_numbers(inputs), flat_numbers(outputs), flat_list(operators),
                       flat_string("main")});
  }
};

/// A model: its subgraphs, and the bytes of its buffers from number 1 on.
struct tflite_model_file {
  std::vector<tflite_subgraph> subgraphs;
  std::vector<std::string> buffers{};
  /// If it is not empty: the buffers as tables.
  std::vector<flat_value> buffer_tables{};
  std::vector<flat_value> operator_codes{}, signatures{}, metadata{};
  std::uint32_t version = 3;
  std::string_view description = "made";

  [[nodiscard]] flat_value value() const {
    std::vector<flat_value> graphs, tables = buffer_tables;
    for (const tflite_subgraph& each : subgraphs) graphs.push_back(each.value());
    if (tables.empty()) {
      tables.push_back(flat_table({}));
      for (const std::string& each : buffers) tables.push_back(flat_table({flat_data(each)}));
    }
    return flat_table({flat_number(version),
                       flat_list(operator_codes),
                       flat_list(std::move(graphs)),
                       flat_string(description),
                       flat_list(std::move(tables)),
                       {},
                       flat_list(metadata),
                       flat_list(signatures)});
  }
  [[nodiscard]] std::string bytes() const { return flatbuffer_file("TFL3", value()); }
};

/// The bytes of numbers, little-endian.
template <class T> std::string numbers_as_bytes(const std::vector<T>& values) {
  std::string made;
  for (const T each : values) made += flat_bytes(each);
  return made;
}

/// Input x [1, 2]; w [3, 2] and b [3]; FULLY_CONNECTED of them is y [1, 3]; "serve" is its signature.
inline tflite_model_file dense_tflite_model() {
  tflite_model_file made;
  made.buffers = {numbers_as_bytes<float>({1, 2, 3, 4, 5, 6}), numbers_as_bytes<float>({0.5F, 1.5F, 2.5F}),
                  std::string("1.5.0\0\0\0", 8)};
  tflite_subgraph graph;
  graph.tensors = {{"x", {1, 2}}, {"dense/w", {3, 2}, tflite_f32, 1}, {"dense/b", {3}, tflite_f32, 2}, {"y", {1, 3}}};
  graph.inputs = {0};
  graph.outputs = {3};
  const flat_value options = flat_table({flat_number(std::int8_t{1}), {}, flat_number(std::uint8_t{1})});
  graph.operators = {flat_table({flat_number(std::uint32_t{0}), flat_numbers<std::int32_t>({0, 1, 2}),
                                 flat_numbers<std::int32_t>({3}), flat_number(std::uint8_t{8}), options})};
  made.subgraphs = {std::move(graph)};
  made.operator_codes = {
      flat_table({flat_number(std::int8_t{9}), {}, flat_number(std::int32_t{1}), flat_number(std::int32_t{9})})};
  const auto port = [](std::string_view name, std::uint32_t tensor) {
    return flat_table({flat_string(name), flat_number(tensor)});
  };
  made.signatures = {flat_table({flat_list({port("image", 0)}), flat_list({port("scores", 3)}), flat_string("serve")})};
  made.metadata = {flat_table({flat_string("min_runtime_version"), flat_number(std::uint32_t{3})})};
  return made;
}

} // namespace stet_test

#endif
