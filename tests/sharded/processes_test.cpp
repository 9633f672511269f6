// SPDX-License-Identifier: MIT
// Ranks that are killed, or stopped, at any moment of a save.
#include <stet/sharded/manager.hpp>

#include "support/faulty_files.hpp"
#include "support/outcome.hpp"
#include "support/process_ranks.hpp"
#include "support/temp_folder.hpp"
#include "support/thinned.hpp"

#include <doctest/doctest.h>

#if defined(__unix__) && !defined(__EMSCRIPTEN__)

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using stet_test::process_ranks;
using stet_test::temp_folder;

/// What a rank of this program has: rows of a matrix, and something that all have. Every value tells the step.
struct trained_part {
  trained_part(std::uint32_t rank, std::uint32_t rank_count)
      : first(rank * height / rank_count), count((rank + 1) * height / rank_count - first),
        kernel(static_cast<std::size_t>(count) * 5), scale(7) {
    if (!variables.add_block("kernel", kernel, {height, 5}, {first, 0}, {count, 5}) || !variables.add("scale", scale))
      std::abort();
  }
  void be_at(std::uint64_t step) {
    for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i] = value(step, first * 5 + i);
    std::fill(scale.begin(), scale.end(), value(step, 0));
  }
  static float value(std::uint64_t step, std::uint64_t element) { return static_cast<float>(step * 1000 + element); }

  static constexpr std::uint64_t height = 12;
  std::uint64_t first, count;
  std::vector<float> kernel, scale;
  stet::sharded_variable_list variables;
};

constexpr int ended_saved = 0, ended_failed = 3, ended_lost = 4;

/// Saves a step, as one rank of a program. @return one of the numbers above
int save_step(stet::communicator& ranks, const std::string& folder, std::uint64_t step,
              const stet::file_operations& files, std::uint64_t steps = 1) {
  stet::checkpoint_options options;
  options.save.operations = &files;
  options.full_every = 2;
  options.keep.max_to_keep = 2;
  auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder, options);
  if (!manager) return manager.error().code() == stet::errc::rank_lost ? ended_lost : ended_failed;
  trained_part own(ranks.rank(), ranks.size());
  for (std::uint64_t each = step; each < step + steps; ++each) {
    own.be_at(each);
    stet::session_state session;
    session.global_step = each;
    const auto done = manager->save(session, own.variables);
    if (!done) return done.error().code() == stet::errc::rank_lost ? ended_lost : ended_failed;
  }
  return ended_saved;
}

/// The step of the newest checkpoint, if all of it is of that step; 0 otherwise.
std::uint64_t sound_step(const std::string& folder) {
  std::vector<float> kernel(trained_part::height * 5), scale(7);
  stet::variable_list variables;
  if (!variables.add("kernel", kernel, {trained_part::height, 5}) || !variables.add("scale", scale)) return 0;
  const auto restored = stet::checkpoint_folder(folder).restore_latest(variables);
  if (!restored) return 0;
  const std::uint64_t step = restored->session.global_step;
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    if (kernel[i] != trained_part::value(step, i)) return 0;
  }
  for (const float each : scale) {
    if (each != trained_part::value(step, 0)) return 0;
  }
  return restored->info.step == step ? step : 0;
}

/// How many files of a folder belong to none of its checkpoints, after the next writer has come.
std::size_t litter_in(const temp_folder& folder) {
  if (!stet::checkpoint_manager::open_for_saving(folder.path())) return 99;
  std::vector<std::string> listed{"checkpoint.json", ".stet-lock"};
  std::size_t count = 0;
  for (const std::string& name : folder.names()) {
    if (!name.starts_with("ckpt-") || name.find("-of-") != std::string::npos) continue;
    listed.push_back(name);
    const auto head = stet::open(folder.path(name), {.read_manifest = stet::read_manifest});
    const auto shards = head ? stet::shards_of(*head) : stet::result<std::vector<stet::shard_reference>>(head.error());
    if (!shards) return 98;
    for (const stet::shard_reference& each : *shards) listed.push_back(each.file_name);
  }
  for (const std::string& name : folder.names()) count += std::find(listed.begin(), listed.end(), name) == listed.end();
  return count;
}

TEST_CASE(
    "a rank that is killed at any call leaves the old checkpoint or the new one, and what the next writer sweeps") {
  const temp_folder folder(temp_folder::in_memory());
  const stet::file_operations unsynced = stet_test::without_syncing();
  std::uint64_t step = 1;
  {
    process_ranks first(3, 20000,
                        [&](stet::communicator& ranks) { return save_step(ranks, folder.path(), 1, unsynced); });
    REQUIRE(first.wait() == std::vector<int>(3, ended_saved));
  }
  REQUIRE(sound_step(folder.path()) == 1);
  constexpr std::size_t wanted = 1000 / stet_test::step_if_thinned(5);
  std::size_t cases = 0, killed = 0, old_ones = 0, new_ones = 0;
  for (std::uint32_t count = 2; cases < wanted; count = count % 5 + 1) {
    for (std::uint32_t victim = 0; victim < count; ++victim) {
      for (std::size_t call = 0;; ++call) {
        const std::uint64_t before = step;
        const auto run = [&](stet::communicator& ranks) {
          stet_test::faulty_files files(stet_test::fault::none, stet_test::faulty_files::never, unsynced);
          std::size_t made = 0;
          files.after_call = [&](const stet_test::faulty_files::call&) {
            if (ranks.rank() == victim && made++ == call) (void)::kill(::getpid(), SIGKILL);
          };
          return save_step(ranks, folder.path(), before + 1, files.operations(),
                           2); // a whole one and a delta, or two whole ones
        };
        process_ranks job(count, 20000, run);
        const std::vector<int> ends = job.wait();
        step = sound_step(folder.path());
        CAPTURE(count);
        CAPTURE(victim);
        CAPTURE(call);
        REQUIRE(step >= before);
        REQUIRE(step <= before + 2);
        REQUIRE(litter_in(folder) == 0);
        ++cases;
        const bool was_killed = ends[victim] == -1;
        killed += was_killed;
        for (std::uint32_t rank = 0; rank < count; ++rank) {
          if (rank == victim || !was_killed) continue;
          // It may have ended before the other was killed.
          REQUIRE((ends[rank] == ended_lost || (ends[rank] == ended_saved && step == before + 2)));
        }
        ++(step == before ? old_ones : new_ones);
        if (!was_killed) {
          REQUIRE(ends == std::vector<int>(count, ended_saved));
          REQUIRE(step == before + 2);
          break;
        }
      }
    }
  }
  CHECK(killed > wanted / 10 * 9);
  CHECK(old_ones > wanted / 10);
  CHECK(new_ones > wanted / 10);
}

TEST_CASE("a rank that is stopped for longer than the others wait never publishes half a checkpoint when it goes on") {
  const temp_folder folder(temp_folder::in_memory());
  const stet::file_operations unsynced = stet_test::without_syncing();
  std::uint64_t step = 0;
  for (std::uint32_t victim = 0; victim < 3; ++victim) {
    for (std::size_t call = 0; call < 60; call += 3 * stet_test::step_if_thinned(3)) {
      const std::uint64_t before = step;
      const auto run = [&](stet::communicator& ranks) {
        stet_test::faulty_files files(stet_test::fault::none, stet_test::faulty_files::never, unsynced);
        std::size_t made = 0;
        files.after_call = [&](const stet_test::faulty_files::call&) {
          if (ranks.rank() == victim && made++ == call) (void)::kill(::getpid(), SIGSTOP);
        };
        return save_step(ranks, folder.path(), before + 1, files.operations());
      };
      process_ranks job(3, 150, run);
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        if (rank == victim) continue;
        const int end = job.wait(rank);
        CHECK((end == ended_lost || end == ended_saved));
      }
      job.signal(victim, SIGCONT);
      const int end = job.wait(victim);
      CHECK((end == ended_lost || end == ended_saved));
      step = sound_step(folder.path());
      CAPTURE(victim);
      CAPTURE(call);
      if (before != 0 || step != 0) REQUIRE((step == before || step == before + 1));
      REQUIRE(litter_in(folder) == 0);
    }
  }
  CHECK(step != 0);
}

} // namespace

#endif
