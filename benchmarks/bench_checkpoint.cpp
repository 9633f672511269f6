// SPDX-License-Identifier: MIT
// Checkpoints: the pause of a background save and restoring by copy beside memcpy of the same bytes, binding at two sizes,
// and finding the newest of a thousand checkpoints.
#include "support/contest.hpp"
#include "support/model.hpp"

#include <stet/checkpoint/background.hpp>

#include <cstring>

namespace {

/// Variables of 4 MiB each, in memory of the program.
class program {
public:
  explicit program(std::size_t variable_count) : values_(variable_count * count, 1.0F) {
    for (std::size_t i = 0; i < variable_count; ++i) {
      bench::require(
          bool(variables.add(bench::name_of_tensor(i), std::span(values_).subspan(i * count, count), {count})), "add");
    }
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(std::span(values_)); }
  stet::variable_list variables;

private:
  static constexpr std::size_t count = std::size_t{1} << 20;
  std::vector<float> values_;
};

stet::checkpoint_manager manager_in(const bench::folder& folder) {
  stet::checkpoint_options options;
  options.save.is_durable = false;
  options.keep.max_to_keep = 1;
  auto made = stet::checkpoint_manager::open_for_saving(folder.path(), options);
  bench::require(bool(made), "open a folder");
  return std::move(*made);
}

/// How long the training loop stops: 64 variables, 256 MiB, beside memcpy of each of them.
void background_pause(benchmark::State& state) {
  const bench::folder folder;
  program trained(64);
  stet::checkpoint_manager manager = manager_in(folder);
  stet::background_saver saver(manager);
  bench::require(bool(saver.reserve(trained.variables)), "reserve");
  std::vector<std::byte> copy(trained.bytes().size());
  std::uint64_t step = 0;
  bench::contest contest(false);
  contest.add("pause", [&] {
    const double seconds =
        bench::seconds_of([&] { bench::require(bool(saver.save({++step}, trained.variables)), "save"); });
    bench::require(bool(saver.wait()), "wait"); // the writing is not to disturb the next turn
    return seconds;
  });
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::size_t at = 0;
      for (const stet::variable& each : trained.variables) {
        std::memcpy(copy.data() + at, each.bytes().data(), each.size_bytes());
        at += each.size_bytes();
      }
      benchmark::ClobberMemory();
    });
  });
  // Of one block, larger than the caches, some libraries make a copy past them, which is faster.
  contest.add("memcpy_at_once", [&] {
    return bench::seconds_of([&] {
      std::memcpy(copy.data(), trained.bytes().data(), copy.size());
      benchmark::ClobberMemory();
    });
  });
  contest.expect_ratio_at_most("pause", "memcpy", 1.3);
  contest.run(state, 1);
}
BENCHMARK(background_pause)->UseManualTime()->Unit(benchmark::kMillisecond);

/// From the page cache into the program's memory: 256 MiB. The checkpoint is opened each time, or once before.
void restore_by_copy(benchmark::State& state) {
  const bench::folder folder;
  program trained(64);
  stet::checkpoint_manager manager = manager_in(folder);
  bench::require(bool(manager.save({1}, trained.variables)), "save");
  const auto opened = manager.open(1);
  bench::require(bool(opened), "open");
  std::vector<std::byte> copy(trained.bytes().size());
  bench::contest contest(true);
  contest.add("open_and_restore", [&] {
    return bench::seconds_of([&] { bench::require(bool(manager.restore_latest(trained.variables)), "restore"); });
  });
  contest.add("restore", [&] {
    return bench::seconds_of(
        [&] { bench::require(bool(stet::restore(*opened->opened, trained.variables)), "restore"); });
  });
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::memcpy(copy.data(), trained.bytes().data(), copy.size());
      benchmark::ClobberMemory();
    });
  });
  contest.expect_ratio_at_least("memcpy", "restore", 0.8);
  contest.run(state, 1);
}
BENCHMARK(restore_by_copy)->UseManualTime()->Unit(benchmark::kMillisecond);

/// Opens a checkpoint and points views at it: the same number of tensors, 64 KiB and 256 MiB.
void restore_by_binding(benchmark::State& state) {
  bench::contest contest(true);
  const bench::folder folders[2];
  struct bound {
    std::vector<std::vector<float>> initial;
    std::vector<stet::view<float, stet::dynamic>> views;
    stet::variable_list variables;
  } bounds[2];
  std::vector<stet::checkpoint_manager> managers;
  stet::restore_rules rules;
  rules.mode = stet::restore_mode::bind;
  stet::open_options how;
  how.access = stet::access::copy_on_write;
  const std::size_t counts[] = {256, std::size_t{1} << 20};
  for (int size = 0; size < 2; ++size) {
    bound& each = bounds[size];
    each.views.resize(64);
    for (std::size_t i = 0; i < 64; ++i) {
      each.initial.emplace_back(counts[size], 1.0F);
      const std::size_t extents[] = {counts[size]};
      each.views[i] = stet::view<float, stet::dynamic>(each.initial[i].data(), extents);
      bench::require(bool(each.variables.add_view(bench::name_of_tensor(i), each.views[i])), "add");
    }
    managers.push_back(manager_in(folders[size]));
    bench::require(bool(managers.back().save({1}, each.variables)), "save");
  }
  for (std::size_t size = 0; size < 2; ++size) {
    contest.add(size == 0 ? "of_64_KiB" : "of_256_MiB", [&, size] {
      return bench::seconds_of([&] {
        bench::require(bool(managers[size].restore_latest(bounds[size].variables, rules, nullptr, how)), "bind");
      });
    });
  }
  contest.expect_ratio_at_most("of_256_MiB", "of_64_KiB", 1.5);
  contest.run(state, 1);
}
BENCHMARK(restore_by_binding)->UseManualTime()->Unit(benchmark::kMicrosecond);

/// A thousand checkpoints, of which the newest is wanted.
void latest_of_thousand(benchmark::State& state) {
  const bench::folder folder;
  std::vector<float> values(16);
  stet::variable_list variables;
  bench::require(bool(variables.add("w", values, {16})), "add");
  stet::checkpoint_options options;
  options.save.is_durable = false;
  options.keep.max_to_keep = 0;
  auto manager = stet::checkpoint_manager::open_for_saving(folder.path(), options);
  bench::require(bool(manager), "open a folder");
  for (std::uint64_t step = 1; step <= 1000; ++step)
    bench::require(bool(manager->save({step * 100}, variables)), "save");
  const std::string state_file = folder / "checkpoint.json", aside = folder / "aside";
  const auto find = [&] {
    return bench::seconds_of([&] {
      const auto latest = manager->latest();
      bench::require(latest && latest->step == 100'000, "the newest");
    });
  };
  bench::contest contest(true);
  contest.add("with_state_file", find);
  contest.add("without", [&] {
    std::filesystem::rename(state_file, aside);
    const double seconds = find();
    std::filesystem::rename(aside, state_file);
    return seconds;
  });
  contest.expect_at_most("with_state_file", 1e6);
  contest.expect_at_most("without", 50e6);
  contest.run(state, 1);
}
BENCHMARK(latest_of_thousand)->UseManualTime()->Unit(benchmark::kMicrosecond);

} // namespace
