// SPDX-License-Identifier: MIT
// CRC-32C: every kernel over 256 MiB beside its floors, a plain 64-bit sum and memcpy, and the small sizes.
#include <stet/bytes/crc32c.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace {

constexpr std::size_t model_size_bytes = std::size_t{256} << 20;

/// 256 MiB that every page of has been written, shared by all benchmarks.
const std::vector<std::byte>& model() {
  static const std::vector<std::byte> bytes = [] {
    std::vector<std::byte> made(model_size_bytes);
    std::uint64_t state = 1;
    for (std::size_t at = 0; at < made.size(); at += sizeof(state)) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      std::memcpy(made.data() + at, &state, sizeof(state));
    }
    return made;
  }();
  return bytes;
}

void count_bytes(benchmark::State& state, std::size_t size_bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(size_bytes));
}

/// The floor: the least that reading every byte costs.
void sum64(benchmark::State& state) {
  const std::vector<std::byte>& bytes = model();
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(sum)) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + at, sizeof(word));
      sum += word;
    }
    benchmark::DoNotOptimize(sum);
  }
  count_bytes(state, bytes.size());
}

void copy(benchmark::State& state) {
  const std::vector<std::byte>& bytes = model();
  std::vector<std::byte> target(bytes.size());
  for (auto _ : state) {
    std::memcpy(target.data(), bytes.data(), bytes.size());
    benchmark::ClobberMemory();
  }
  count_bytes(state, bytes.size());
}

void kernel(benchmark::State& state, stet::detail::crc32c_update_function* update) {
  const std::vector<std::byte>& bytes = model();
  const auto size_bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(update(~0u, bytes.data(), size_bytes));
  count_bytes(state, size_bytes);
}

/// The public function, its choice of a kernel included.
void chosen(benchmark::State& state) {
  const auto bytes = std::span(model()).first(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(stet::crc32c(bytes));
  count_bytes(state, bytes.size());
}

void combine(benchmark::State& state) {
  std::uint32_t crc = 1;
  std::uint64_t size_bytes = model_size_bytes;
  for (auto _ : state) {
    benchmark::DoNotOptimize(size_bytes);
    benchmark::DoNotOptimize(crc = stet::crc32c_combine(crc, 2, size_bytes));
  }
}

void sizes(benchmark::internal::Benchmark* registered) {
  for (const std::int64_t size_bytes : {16, 64, 256, 1024, 4096, 65536}) registered->Arg(size_bytes);
  registered->Arg(static_cast<std::int64_t>(model_size_bytes));
}

} // namespace

int main(int argument_count, char** arguments) {
  benchmark::RegisterBenchmark("crc32c/floor_sum64", sum64);
  benchmark::RegisterBenchmark("crc32c/floor_memcpy", copy);
  for (const auto& each : stet::detail::crc32c_kernels())
    if (each.supported)
      sizes(benchmark::RegisterBenchmark(("crc32c/kernel_" + std::string(each.name)).c_str(), kernel, each.update));
  sizes(benchmark::RegisterBenchmark("crc32c/chosen", chosen));
  benchmark::RegisterBenchmark("crc32c/combine", combine);

  benchmark::Initialize(&argument_count, arguments);
  if (benchmark::ReportUnrecognizedArguments(argument_count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
