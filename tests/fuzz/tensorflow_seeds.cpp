// SPDX-License-Identifier: MIT
// Writes the seeds of tensorflow_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <string>

namespace {

/// The entries of a table as the target reads them.
std::string entry(std::string_view key, std::string_view value) {
  std::string bytes = {static_cast<char>(key.size()), static_cast<char>(value.size() & 0xFF),
                       static_cast<char>(value.size() >> 8)};
  return bytes.append(key).append(value);
}

} // namespace

int main(int count, char** arguments) {
  using namespace stet_test;
  using namespace std::literals;
  seed_folder seeds(count, arguments);
  made_checkpoint made;
  made.add("w/.ATTRIBUTES/VARIABLE_VALUE", 1, {2, 2}, std::vector<float>{1, 2, 3, 4});
  made.add("i4", 29, {4}, "\x0f\x01\x02\x03"sv);
  made.add_strings("s", {2}, {"ab", ""});
  made.entries["p"].shape = {2, 3};
  made.add_slice("p", {{0, -1}, {0, 1}}, {2, 1}, {1, 4});
  made.add_slice("p", {{0, -1}, {1, 2}}, {2, 2}, {2, 3, 5, 6});
  const std::string graph = object_graph_of({{"dense/kernel", "w/.ATTRIBUTES/VARIABLE_VALUE"}});
  made.add_strings("_CHECKPOINTABLE_OBJECT_GRAPH", {}, {graph});
  std::string entries = entry("", made.header);
  const std::size_t size = made.shards[0].size();
  const std::string shard = std::string{static_cast<char>(size & 0xFF), static_cast<char>(size >> 8)} + made.shards[0];
  for (const auto& [key, fields] : made.entries) entries += entry(key, fields.message());
  const std::string v1 = entry("", "\x0a\x0d\x0a\x0b\x0a\x01"
                                   "a"
                                   "\x12\x04\x12\x02\x08\x02\x18\x01"s) +
                         entry("\0a\0\x01\x01\x01\x80\x7f"s, "\x12\x0c\x1a\x0a\x2a\x08\0\0\x80\x3f\0\0\0\x40"s);
  seeds.add("index", 0, made.index());
  seeds.add("entries", 2, shard + entries);
  seeds.add("v1_entries", 3, v1);
  seeds.add("state", 4, "model_checkpoint_path: \"ckpt-\\061\"\nall_model_checkpoint_timestamps: [1.5e9, 2]\n");
  seeds.add("graph", 5, graph);
  seeds.add("strings", 6,
            "\x91\x88\xb0\x4d\x02"
            "\x02\x00\x78\x27\x0b\x34\x61\x62"s);
  seeds.add("snappy", 7,
            "\x0a\x08"
            "abc"
            "\x0d\x03"s);
  return seeds.status();
}
