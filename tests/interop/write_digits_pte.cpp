// SPDX-License-Identifier: MIT
// Writes the digits network as a program of ExecuTorch without weights, for one image: write_digits_pte PROGRAM.pte
#include "../support/pte_files.hpp"

#include <cstdio>
#include <string>

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::string program =
      stet_test::digits_program(1, {"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"});
  std::FILE* const file = std::fopen(arguments[1], "wb");
  if (file == nullptr) return 1;
  const bool is_written = std::fwrite(program.data(), 1, program.size(), file) == program.size();
  return std::fclose(file) == 0 && is_written ? 0 : 1;
}
