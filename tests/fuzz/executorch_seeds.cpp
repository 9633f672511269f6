// SPDX-License-Identifier: MIT
// Writes the seeds of executorch_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/ptd_files.hpp"

#include <cstdint>

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  ptd_model_file model = example_ptd_model();
  seeds.add("tensors", model.bytes());
  model.is_older = true;
  model.rows.push_back({"last", 0, std::int8_t{6}, {2}, {0}, 16});
  seeds.add("first_schema", model.bytes());
  ptd_model_file types;
  types.rows = {{"turned", 0, std::int8_t{0}, {2, 2, 2}, {2, 0, 1}},
                {"unknown", 0, std::int8_t{16}, {8}, {0}},
                {"scalar", 1, std::int8_t{11}},
                {"empty", 2, std::int8_t{15}, {0, 3}, {1, 0}}};
  types.segments = {"abcdefgh", "\1", ""};
  seeds.add("types", types.bytes());
  return seeds.status();
}
