// SPDX-License-Identifier: MIT
// npz archives of many members: opening with the full check, and a first value of each. measure_numpy.py runs NumPy on the same.
#include "support/model.hpp"

#include <stet/formats/numpy/save.hpp>

#include <benchmark/benchmark.h>

namespace {

/// Opens an archive as np.savez would write it, and reads a value of each array.
void touch_npz(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::string path = folder / "model.npz";
  const bench::model model(count, 4096);
  stet::writer out;
  for (std::size_t number = 0; number < count; ++number)
    out.add(model.names()[number], model.values(number), {model.values(number).size()});
  bench::require(bool(stet::save_npz(path, out, {.is_durable = false})), "save");
  bench::contest contest(true);
  contest.add("stet", [&] {
    return bench::seconds_of([&] {
      const auto opened = stet::open_npz(path);
      bench::require(opened && opened->store.tensor_count() == count, "open");
      float sum = 0;
      for (std::size_t number = 0; number < count; ++number) {
        const auto values = opened->store.get<float>(model.names()[number]);
        bench::require(bool(values), "get");
        sum += (*values)[0];
      }
      benchmark::DoNotOptimize(sum);
    });
  });
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(touch_npz)->Arg(1000)->Arg(10000)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
