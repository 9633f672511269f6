// SPDX-License-Identifier: MIT
// Writes the seeds of keras_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/keras_files.hpp"

#include <string>

int main(int count, char** arguments) {
  using namespace stet_test;
  using namespace std::literals;
  seed_folder seeds(count, arguments);
  const auto sized = [](const std::string& text) { return little(text.size(), 2) + text; };
  const auto variable = [](const std::string& group, const std::string& name) {
    return little(group.size(), 1) + little(name.size(), 1) + group + name;
  };
  made_archive deflated = keras_archive();
  deflated.members[1] = deflated_member("config.json", sequential_config("probe"));
  deflated.members[2] = deflated_member("model.weights.h5", probe_weights());
  const std::string index =
      R"({"metadata": {"total_size": 36.0}, "weight_map": {"/layers/dense/vars": ["a.weights.h5"]}})";
  seeds.add("archive", 0, keras_archive().bytes());
  seeds.add("deflated", 0, deflated.bytes());
  seeds.add("members", 1, sized(sequential_config("probe")) + probe_weights());
  seeds.add("shards", 2, sized(index) + probe_weights());
  seeds.add("groups", 3,
            variable("layers/dense/vars", "0") + variable("layers/lstm/cell/vars", "1") +
                variable("model_weights/dense", "dense/kernel:0"));
  return seeds.status();
}
