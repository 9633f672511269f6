// SPDX-License-Identifier: MIT
// Writes the seeds of safetensors_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/safetensors_files.hpp"

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  seeds.add("example", example_safetensors_file());
  seeds.add("empty", safetensors_file("{}      "));
  seeds.add("unordered", safetensors_file(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
                                          R"("\u0061":{"dtype":"F4","shape":[2],"data_offsets":[0,1],"x":[null,{}]}})",
                                          "ab"));
  seeds.add("overlap", safetensors_file(R"({"b":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]},)"
                                        R"("a":{"dtype":"I8","shape":[1,1],"data_offsets":[1,2]}})",
                                        "ab"));
  seeds.add(
      "index",
      R"({"metadata":{"total_size":1},"weight_map":{"a":"m-1.safetensors","\u0062":"m-2.safetensors","c":"m-1.safetensors"}})");
  seeds.add("index_escape", R"({"weight_map":{"a":"..\u002fm"}})");
  return seeds.status();
}
