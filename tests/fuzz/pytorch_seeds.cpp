// SPDX-License-Identifier: MIT
// Writes the seeds of pytorch_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/pytorch_files.hpp"

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  seeds.add("zip", example_pytorch_file());
  seeds.add("legacy", example_legacy_pytorch_file());
  seeds.add("tar", example_tar_pytorch_file());
  seeds.add("export", exported_pytorch_file(std::string(exported_meta), floats(6)));
  const std::string config =
      R"({"config":{"w":{"path_name":"weight_0","use_pickle":true},"v":{"path_name":"weight_1","tensor_meta":)" +
      std::string(exported_meta) + "}}}";
  seeds.add("export_pickled",
            zip_of({{"m/data/weights/weight_0", pytorch_file(pt::tensor("0", 6, 0, {6}, {1}), {{"0", floats(6)}})},
                    {"m/data/weights/weight_1", floats(6)},
                    {"m/data/weights/model_weights_config.json", config}}));
  seeds.add("export_old", zip_of({{"serialized_exported_program.json", "{}"},
                                  {"serialized_state_dict.pt", example_pytorch_file()},
                                  {"version", "5.1"}}));
  const std::string w = pt::tensor("0", 6, 0, {3, 2}, {1, 3}), same = pt::tensor("0", 6, 1, {2}, {2});
  seeds.add("views", pytorch_file(pt::ordered_dict({pt::text("a"), w, pt::text("b"), pt::list({same, same, w})}),
                                  {{"0", floats(6)}}, {{"byteorder", "big"}}));
  seeds.add("module", pytorch_file(pt::global("m", "Net") + ")\x81" +
                                       pt::dict({pt::text("_parameters"), pt::dict({pt::text("w"), w}),
                                                 pt::text("_modules"), pt::dict({})}) +
                                       "b",
                                   {{"0", floats(6)}}));
  seeds.add("script", pytorch_file(pt::global("__torch__", "Net") + ")\x81" + pt::dict({pt::text("w"), w}) + "b",
                                   {{"0", floats(6)}},
                                   {{"code/__torch__.py", "class Net(Module):\n  __parameters__ = [\"w\", ]\n"}}));
  return seeds.status();
}
