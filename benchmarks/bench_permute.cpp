// SPDX-License-Identifier: MIT
// A float32 tensor of 64 MB copied with its axes in another order, `copy_to(into, stet::permute(…))`, beside memcpy and a plain loop.
#include <stet/stet.hpp>
#include <stet/store/permute.hpp>
#include <stet/writer.hpp>

#include "support/contest.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace {

using order = std::array<std::uint32_t, 4>;

void permute(benchmark::State& state, const std::array<std::uint64_t, 4>& extents, const order& axes) {
  const std::size_t count = static_cast<std::size_t>(extents[0] * extents[1] * extents[2] * extents[3]);
  std::vector<float> elements(count), copied(count), looped(count), plain(count);
  for (std::size_t i = 0; i < count; ++i) elements[i] = static_cast<float>(i % 8191);
  stet::writer out;
  out.add("w", elements, extents);
  const auto file = out.save_to_memory();
  bench::require(bool(file), "save");
  const auto store = stet::open(*file);
  bench::require(bool(store), "open");
  const stet::tensor tensor = *store->find("w");
  const auto permuted = [&](unsigned thread_count) {
    return bench::seconds_of([&] {
      bench::require(bool(tensor.copy_to(std::span(copied), stet::permute(axes, thread_count))), "copy_to");
      benchmark::ClobberMemory();
    });
  };
  bench::contest contest(true);
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::memcpy(plain.data(), tensor.bytes().data(), count * sizeof(float));
      benchmark::ClobberMemory();
    });
  });
  contest.add("stet", [&] { return permuted(0); });
  contest.add("one_thread", [&] { return permuted(1); });
  contest.add("loop", [&] {
    return bench::seconds_of([&] {
      std::array<std::size_t, 4> steps{}, of{};
      for (std::size_t axis = 4, step = 1; axis-- > 0; step *= static_cast<std::size_t>(extents[axis]))
        steps[axis] = step;
      for (std::size_t i = 0; i < 4; ++i) of[i] = static_cast<std::size_t>(extents[axes[i]]);
      float* to = looped.data();
      for (std::size_t a = 0; a < of[0]; ++a) {
        for (std::size_t b = 0; b < of[1]; ++b) {
          for (std::size_t c = 0; c < of[2]; ++c) {
            for (std::size_t d = 0; d < of[3]; ++d)
              *to++ = elements[a * steps[axes[0]] + b * steps[axes[1]] + c * steps[axes[2]] + d * steps[axes[3]]];
          }
        }
      }
      benchmark::ClobberMemory();
    });
  });
  // Half the speed of memcpy.
  contest.expect_ratio_at_most("stet", "memcpy", 2);
  contest.run(state, static_cast<double>(count));
  bench::require(copied == looped, "elements");
}

#define STET_BENCH(name, ...)                                                                                          \
  BENCHMARK_CAPTURE(permute, name, __VA_ARGS__)->UseManualTime()->Unit(benchmark::kMillisecond)
STET_BENCH(hwio_to_oihw, {3, 3, 1024, 1820}, order{3, 2, 0, 1});
STET_BENCH(hwio_to_ohwi, {3, 3, 1024, 1820}, order{3, 0, 1, 2});
STET_BENCH(oihw_to_hwio, {1820, 1024, 3, 3}, order{2, 3, 1, 0});
STET_BENCH(oihw_to_ohwi, {1820, 1024, 3, 3}, order{0, 2, 3, 1});
STET_BENCH(nhwc_to_nchw, {64, 289, 289, 3}, order{0, 3, 1, 2});
STET_BENCH(nchw_to_nhwc, {64, 64, 64, 64}, order{0, 2, 3, 1});
STET_BENCH(matrix, {1, 1, 4096, 4096}, order{0, 1, 3, 2});
STET_BENCH(heads, {8, 2048, 16, 64}, order{0, 2, 1, 3});

} // namespace
