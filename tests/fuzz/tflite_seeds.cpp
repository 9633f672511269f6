// SPDX-License-Identifier: MIT
// Writes the seeds of tflite_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/tflite_files.hpp"

#include <cstdint>
#include <string>

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  seeds.add("dense", dense_tflite_model().bytes());
  tflite_model_file types;
  tflite_tensor along{"q", {2, 2}, tflite_i8, 1};
  along.quantization = tflite_affine({0.5F, 0.25F}, {0, 1}, 1);
  tflite_tensor sparse{"s", {2, 4}, tflite_f32, 1};
  const flat_value csr = flat_table({flat_number(std::int8_t{1}),
                                     {},
                                     flat_number(std::uint8_t{3}),
                                     flat_table({flat_data("\0\1", 4)}),
                                     flat_number(std::uint8_t{1}),
                                     flat_table({flat_numbers<std::int32_t>({3, 0})})});
  sparse.sparsity = flat_table({flat_numbers<std::int32_t>({0, 1}), {}, flat_list({csr})});
  types.subgraphs = {{{along, sparse, {"t", {2}, tflite_string, 2}, {"i", {7}, tflite_i4, 1}}},
                     {{{"q", {4}, tflite_u8, 1}, {"", {}, tflite_i32, 1}}}};
  types.buffers = {"1234", numbers_as_bytes<std::int32_t>({2, 16, 18, 18}) + "hi"};
  seeds.add("types", types.bytes());
  tflite_model_file outside;
  outside.subgraphs = {{{{"w", {1}, tflite_f32, 1}}}};
  outside.buffer_tables = {flat_table({}),
                           flat_table({{}, flat_number(std::uint64_t{24}), flat_number(std::uint64_t{4})})};
  seeds.add("outside", outside.bytes());
  return seeds.status();
}
