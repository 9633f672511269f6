// SPDX-License-Identifier: MIT
// Writes the seeds of flatbuffers_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/flatbuffer_files.hpp"

#include <cstdint>

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  const flat_value leaf = flat_table(
      {flat_number(std::uint64_t{1}), flat_string("leaf"), flat_numbers<std::int64_t>({2, 3}), {}, flat_number(0.5F)});
  seeds.add("leaf", flatbuffer_file("TEST", leaf));
  seeds.add("tree", flatbuffer_file("TEST", flat_table({{}, flat_string(""), {}, flat_list({leaf, leaf})})));
  seeds.add("shared", flatbuffer_file("TEST", flat_table({{}, {}, {}, flat_repeated(leaf, 40)})));
  seeds.add("empty", flatbuffer_file("TEST", flat_table({})));
  return seeds.status();
}
