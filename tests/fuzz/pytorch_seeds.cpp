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
