// SPDX-License-Identifier: MIT
// The network of measure_runtimes.py: dense layers with relu, one after the other, 256 MiB of weights, and what running it costs.
#ifndef STET_BENCHMARKS_RUNTIMES_LAYERS_HPP
#define STET_BENCHMARKS_RUNTIMES_LAYERS_HPP

#include "../../examples/digits/random.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace layers {

inline constexpr std::size_t count = 16;
/// Of a layer: 16 MiB each. The network without weights, beside which memory is compared, has the same layers of 16.
inline constexpr std::size_t width = 2048, small_width = 16;

inline std::string name_of(std::size_t layer) { return "layer_" + std::to_string(layer) + "/kernel"; }

inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

/// The kernels, row-major [in, out], of a size that keeps what goes through them as large as it was.
inline std::vector<std::vector<float>> make_kernels(std::size_t of_width) {
  digits::splitmix64 random{7};
  std::vector<std::vector<float>> made(count, std::vector<float>(of_width * of_width));
  const float limit = std::sqrt(6.0f / static_cast<float>(of_width));
  for (auto& kernel : made) {
    for (float& each : kernel) each = limit * random.symmetric();
  }
  return made;
}

inline void save(const std::string& path, const std::vector<std::vector<float>>& kernels, std::size_t of_width) {
  stet::writer out;
  for (std::size_t i = 0; i < count; ++i) out.add(name_of(i), kernels[i], {of_width, of_width});
  const auto saved = out.save(path);
  require(static_cast<bool>(saved), "save " + path);
}

/// Saves the network, and that without weights. @return the kernels of the former
inline std::vector<std::vector<float>> save_both(const std::string& large_path, const std::string& small_path) {
  save(small_path, make_kernels(small_width), small_width);
  auto kernels = make_kernels(width);
  save(large_path, kernels, width);
  return kernels;
}

inline void write(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  require(out.flush().good(), "write " + path);
}

inline std::shared_ptr<const stet::store> open(const std::string& path) {
  auto opened = stet::open(path);
  require(static_cast<bool>(opened), "open " + path);
  return std::make_shared<const stet::store>(std::move(*opened));
}

/// The process's own memory: pages that belong to no file, or were changed since they came from one (smaps: Anonymous).
inline std::uint64_t own_kib() {
  std::ifstream lines("/proc/self/smaps_rollup");
  constexpr std::string_view key = "Anonymous:";
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, key.size(), key) == 0) return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  }
  require(false, "no smaps_rollup");
  return 0;
}

/// Measures from its construction on, until there is the first answer.
class measured {
public:
  /// Takes the memory when all is loaded, before anything is computed.
  void note_loaded() noexcept { loaded_kib_ = own_kib(); }
  /// Prints one line for the script: seconds, memory, and the answer's sum, which is the same whatever has loaded the weights.
  void print(std::span<const float> answer) const {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin_;
    double sum = 0;
    for (const float each : answer) sum += static_cast<double>(each);
    std::printf("{\"seconds\": %.6f, \"loaded_kib\": %llu, \"kib\": %llu, \"sum\": %.9g}\n", seconds.count(),
                static_cast<unsigned long long>(loaded_kib_), static_cast<unsigned long long>(own_kib()), sum);
  }

private:
  std::uint64_t loaded_kib_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

} // namespace layers

#endif
