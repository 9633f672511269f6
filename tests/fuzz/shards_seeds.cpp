// SPDX-License-Identifier: MIT
// Writes the seeds of shards_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"

#include <string>
#include <string_view>

int main(int count, char** arguments) {
  stet_test::seed_folder seeds(count, arguments);
  const auto piece = [](std::string_view what, std::string_view tensor, std::string_view shape,
                        std::string_view start) {
    return std::string(what)
        .append(R"({"slice_0f":{"tensor":")")
        .append(tensor)
        .append(R"(","shape":[)")
        .append(shape)
        .append(R"(],"start":[)")
        .append(start)
        .append("]}}\n");
  };
  seeds.add("whole", "i223{}\nb15{\"trainable\":false}\ns12{}\n43123{}\n");
  seeds.add("rows", piece("i213", "k", "4,3", "0,0") + piece("i213", "k", "4,3", "1,0") + "\n" +
                        piece("i223", "k", "4,3", "2,0"));
  seeds.add("columns", piece("b242", "k", "4,6", "0,0") + "\n" + piece("b244", "k", "4,6", "0,2"));
  seeds.add("tree", piece("i212", "k", "3,3", "0,0") + piece("i221", "k", "3,3", "0,2") +
                        piece("i221", "k", "3,3", "1,0") + piece("i212", "k", "3,3", "2,1") +
                        piece("i211", "k", "3,3", "1,1"));
  seeds.add("replica", piece("i12", "k", "4", "0") + "\n" + piece("i12", "k", "4", "0") + piece("i12", "k", "4", "2"));
  seeds.add("gap", piece("i12", "k", "5", "0") + piece("i12", "k", "5", "3"));
  seeds.add("overlap", piece("i13", "k", "4", "0") + piece("i12", "k", "4", "2"));
  seeds.add("outside", piece("i13", "k", "4", "18446744073709551615"));
  seeds.add("bits", piece("412", "k", "4", "0") + piece("412", "k", "4", "2"));
  seeds.add("empty", piece("i10", "k", "0", "0") + piece("i0", "one", "", ""));
  return seeds.status();
}
