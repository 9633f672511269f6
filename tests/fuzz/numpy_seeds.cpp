// SPDX-License-Identifier: MIT
// Writes the seeds of numpy_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/npy_files.hpp"
#include "support/zip_archives.hpp"

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  const std::string turned = numpy_array("'>i2'", "(2, 3)", "abcdefghijkl", true);
  const std::string structured = npy_array(
      R"({'shape':(1,0x1), "fortran_order":False,'descr':[(('t','\x61'),'<f4',(2,)),('b',[('c','|S3')]),],} # c)",
      "abcdefghijk", 3);
  seeds.add("example", example_npy_file());
  seeds.add("turned", turned);
  seeds.add("structured", structured);
  seeds.add("longs", npy_array("{'descr': '<M8[25s]', 'fortran_order': False, 'shape': (1L,)}", "12345678", 2));
  seeds.add("several",
            example_npy_file() + turned + numpy_array("'<V2'", "()", "xy") + numpy_array("'|O'", "()", "N."));
  seeds.add("stored",
            zip_of({{"a.npy", example_npy_file()}, {"b/c.npy", turned}, {"raw", structured}, {"t.txt", "text"}}));
  seeds.add("empty", made_archive{}.bytes());
  return seeds.status();
}
