// SPDX-License-Identifier: MIT
// Runs a fuzz target over the files of the folders it is given: each file as it is, cut short, and with a byte changed.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

// Copies into an allocation of exactly this size, so that a sanitizer sees an over-read.
void run(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> exact(data, data + size);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::size_t replay(std::vector<std::uint8_t> bytes) {
  constexpr std::size_t variants = 256; // of each kind, spread evenly over the file
  std::size_t runs = 0;
  run(bytes.data(), bytes.size());
  ++runs;
  const std::size_t step = bytes.size() / variants + 1;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    run(bytes.data(), i);
    bytes[i] ^= std::uint8_t{0x81};
    run(bytes.data(), bytes.size());
    bytes[i] ^= std::uint8_t{0x81};
    runs += 2;
  }
  return runs;
}

} // namespace

int main(int count, char** arguments) {
  std::size_t files = 0;
  std::size_t runs = 0;
  for (int i = 1; i < count; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(arguments[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      runs += replay({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
      ++files;
    }
  }
  std::printf("%zu files, %zu runs\n", files, runs);
  return files == 0 ? 1 : 0;
}
