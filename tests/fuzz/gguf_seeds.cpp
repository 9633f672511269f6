// SPDX-License-Identifier: MIT
// Writes the seeds of gguf_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/gguf_files.hpp"

#include <string>

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  seeds.add("example", example_gguf_file());
  for (const std::uint32_t version : {1u, 2u, 3u}) {
    for (const bool is_big : {false, true}) {
      gguf_file made(version, is_big);
      made.string("general.architecture", "t").alignment(8).key("b", gguf_bool, "\1");
      made.key("n", gguf_array,
               made.array(gguf_array, 2, made.array(gguf_u8, 1, "x") + made.array(gguf_string, 1, made.text("y"))));
      made.tensor("f", {2, 1}, 0, "abcdefgh").tensor("h", {1}, 30, "ab").tensor("q", {32}, 8, std::string(34, 'q'));
      seeds.add("version_" + std::to_string(version) + (is_big ? "_big" : "_little"), made.bytes());
    }
  }
  seeds.add("twice", gguf_file().u32("a", 1).u32("a", 1).u32("b", 2).bytes());
  seeds.add("unordered", gguf_file()
                             .row("a", {40}, 24, 64)
                             .row("z", {0}, 24, 64)
                             .row("b", {40}, 24, 0)
                             .data(std::string(104, 'x'))
                             .bytes());
  seeds.add("overlap", gguf_file().row("a", {40}, 24, 0).row("b", {40}, 24, 32).data(std::string(104, 'x')).bytes());
  seeds.add("split", gguf_file().split(0, 2, 1).tensor("x", {1}, 24, "x").bytes());
  return seeds.status();
}
