// SPDX-License-Identifier: MIT
// GGUF files of many tensors, and of a vocabulary: opening with the full check, beside opening the same tensors as a native file.
#include "support/contest.hpp"
#include "support/model.hpp"

#include <stet/formats/gguf.hpp>
#include <stet/formats/gguf/save.hpp>
#include <stet/stet.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

/// Seconds of opening the file at `path`, finding one tensor, and closing it.
template <class Open> double seconds_to_open(Open open, const std::string& path, std::size_t tensor_count) {
  return bench::seconds_of([&] {
    const auto store = open(path);
    bench::require(store && store->tensor_count() == tensor_count, "open");
    benchmark::DoNotOptimize(store->find(bench::name_of_tensor(tensor_count / 2)));
  });
}

/// @param state  the number of tensors, and the number of tokens among the keys
void open_gguf(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::vector<float> values(8, 1.0F);
  stet::writer out;
  for (std::size_t number = 0; number < count; ++number) out.add(bench::name_of_tensor(number), values, {8});
  const std::string native = folder / "model.stet", path = folder / "model.gguf";
  stet::save_options unsynced;
  unsynced.is_durable = false;
  bench::require(bool(out.save(native, unsynced)), "save natively");
  stet::json_value::array_t tokens;
  for (std::int64_t number = 0; number < state.range(1); ++number) tokens.push_back("token" + std::to_string(number));
  out.metadata = stet::json_value{{"general.architecture", "bench"}, {"tokenizer.ggml.tokens", std::move(tokens)}};
  bench::require(bool(stet::save_gguf(path, out, {.is_durable = false})), "save as GGUF");

  bench::contest contest(true);
  contest.add("stet", [&] {
    return seconds_to_open([](const std::string& at) { return stet::open_gguf(std::string_view(at)); }, path, count);
  });
  contest.add("native", [&] {
    return seconds_to_open([](const std::string& at) { return stet::open(std::string_view(at)); }, native, count);
  });
  if (state.range(1) == 0) contest.expect_at_most("stet", 120);
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(open_gguf)
    ->Args({1000, 0})
    ->Args({10000, 0})
    ->Args({100000, 0})
    ->Args({1000, 300000})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

} // namespace
