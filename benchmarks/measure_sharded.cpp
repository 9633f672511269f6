// SPDX-License-Identifier: MIT
// One checkpoint of many ranks, beside what else ranks of MPI save with, and the costs of its plans; for measure_sharded.py.
//
//   mpirun -n 8 measure_sharded contest FOLDER MIB   takes commands from rank 0's input, a line each, and answers each with a line: seconds.
//     save CONTENDER                                 saves the model in place of what the contender has saved before
//     load CONTENDER same|other                      loads it: by all ranks as it was saved; or by the first half of them, cut across
//   measure_sharded plan FOLDER                      saves 100,000 blocks of one element by 8 threads
//   measure_sharded simulate FOLDER RANKS TENSORS    saves by as many threads, and prints a row of a table; without RANKS, its head
#include "support/sharded_model.hpp"
#include "support/sharded_peers.hpp"
#include "support/sharded_plans.hpp"

#include <stet/ext/mpi.hpp>
#include <stet/sharded.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

// ---- contest ----

/// The ranks of the contest, and what they save.
class contest {
public:
  contest(stet::mpi_communicator& ranks, MPI_Comm half, std::string folder, std::uint64_t size_bytes)
      : ranks_(ranks), all_{MPI_COMM_WORLD, static_cast<int>(ranks.rank()), static_cast<int>(ranks.size())},
        half_{half, static_cast<int>(ranks.rank()), static_cast<int>(ranks.size() / 2)}, folder_(std::move(folder)),
        matrices_(bench::make_matrices(size_bytes)), saved_(matrices_, ranks.rank(), ranks.size(), false) {
    saved_.fill();
    bench::must(saved_.add_to(variables_));
    const auto add_stet = [&](const char* name, stet::shard_per per) {
      stet::checkpoint_options options;
      options.keep.max_to_keep = 0; // what was there before is removed between the turns
      stet::shard_options shards;
      shards.per = per;
      managers_.push_back(std::make_unique<stet::sharded_checkpoint_manager>(
          bench::must(stet::sharded_checkpoint_manager::open_for_saving(ranks_, path_of(name), options, shards))));
      stet::sharded_checkpoint_manager& own = *managers_.back();
      const auto save = [this, &own] { bench::must(own.save({.global_step = 1}, variables_)); };
      save(); // makes the plan
      contenders_.push_back({name, save,
                             [this, &own](stet::communicator& by, const bench::rank_group&, bench::held_model&,
                                          const stet::sharded_variable_list& into) {
                               bench::must(stet::restore_latest(by, own.folder(), into));
                             },
                             [&own](const std::string&) {
                               if (auto* const here = own.manager_of_rank_0()) bench::must(here->remove_after(0));
                             }});
    };
    add_stet("stet_node", stet::shard_per::node);
    add_stet("stet_rank", stet::shard_per::rank);
    add_peer<bench::file_per_rank>("file_per_rank");
    add_peer<bench::mpi_io>("mpi_io");
#if defined(STET_BENCHMARKS_HDF5)
    add_peer<bench::parallel_hdf5>("hdf5");
#endif
  }

  /// Carries out commands until there are no more. What ranks wait for meanwhile costs no processor.
  void serve() {
    if (all_.rank == 0) {
      std::string names;
      for (const contender& each : contenders_) names += " " + each.name;
      std::printf("ready%s\n", names.c_str());
      std::fflush(stdout);
    }
    for (;;) {
      std::string line;
      if (all_.rank == 0 && !std::getline(std::cin, line)) line = "end";
      char text[128] = {};
      line.copy(text, sizeof text - 1);
      MPI_Request told = MPI_REQUEST_NULL;
      MPI_Ibcast(text, sizeof text, MPI_CHAR, 0, MPI_COMM_WORLD, &told);
      for (int is_told = 0; MPI_Test(&told, &is_told, MPI_STATUS_IGNORE), is_told == 0;) ::usleep(500);
      char what[16] = {}, name[64] = {}, partition[16] = {};
      const int words = std::sscanf(text, "%15s %63s %15s", what, name, partition);
      if (std::strcmp(what, "end") == 0) return;
      const auto found = std::find_if(contenders_.begin(), contenders_.end(),
                                      [&](const contender& each) { return each.name == name; });
      bench::require_on_rank(words >= 2 && found != contenders_.end(), text);
      const double seconds =
          std::strcmp(what, "save") == 0 ? save(*found) : load(*found, std::strcmp(partition, "other") == 0);
      if (all_.rank == 0) {
        std::printf("%.6f\n", seconds);
        std::fflush(stdout);
      }
    }
  }

private:
  struct contender {
    std::string name;
    std::function<void()> save;
    std::function<void(stet::communicator&, const bench::rank_group&, bench::held_model&,
                       const stet::sharded_variable_list&)>
        load;
    /// Removes what it has saved, on rank 0.
    std::function<void(const std::string&)> remove;
  };

  [[nodiscard]] std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

  template <class Peer> void add_peer(const char* name) {
    const std::string path = path_of(name);
    contenders_.push_back({name, [this, path] { Peer::save(all_, path, saved_); },
                           [this, path](stet::communicator&, const bench::rank_group& by, bench::held_model& into,
                                        const stet::sharded_variable_list&) { Peer::load(by, path, into, all_.size); },
                           [](const std::string& at) {
                             const std::filesystem::path file(at);
                             for (const auto& each : std::filesystem::directory_iterator(file.parent_path())) {
                               const std::string other = each.path().filename().string();
                               if (other == file.filename() || other.starts_with(file.filename().string() + "."))
                                 std::filesystem::remove(each);
                             }
                           }});
  }

  /// Seconds from where all ranks begin to where the last has ended.
  template <class Work> static double together(const bench::rank_group& ranks, Work work) {
    MPI_Barrier(ranks.all);
    double seconds = -MPI_Wtime();
    work();
    seconds += MPI_Wtime();
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, ranks.all);
    return seconds;
  }

  double save(contender& of) {
    if (all_.rank == 0) {
      of.remove(path_of(of.name));
      ::sync(); // what others have left to be written is not of this turn
    }
    return together(all_, of.save);
  }

  double load(contender& of, bool is_other) { return is_other ? load_other(of) : load_same(of); }
  double load_same(contender& of) {
    saved_.clear();
    const double seconds = together(all_, [&] { of.load(ranks_, all_, saved_, variables_); });
    require_right(of, saved_);
    return seconds;
  }
  /// By half as many ranks, which have memory for it meanwhile. The others sleep.
  double load_other(contender& of) {
    double seconds = 0;
    if (half_.all != MPI_COMM_NULL) {
      bench::held_model model(matrices_, ranks_.rank(), static_cast<std::uint32_t>(half_.size), true);
      stet::sharded_variable_list into;
      bench::must(model.add_to(into));
      model.clear();
      auto by = bench::must(stet::mpi_communicator::from(half_.all));
      seconds = together(half_, [&] { of.load(by, half_, model, into); });
      if (of.name != "file_per_rank") require_right(of, model); // which reads the bytes, but has no model in them
    }
    return seconds;
  }

  static void require_right(const contender& of, bench::held_model& model) {
    const std::string wrong = model.find_difference();
    bench::require_on_rank(wrong.empty(), (of.name + ": " + wrong).c_str());
  }

  stet::mpi_communicator& ranks_;
  bench::rank_group all_, half_;
  std::string folder_;
  std::vector<bench::matrix> matrices_;
  bench::held_model saved_;
  stet::sharded_variable_list variables_;
  std::vector<std::unique_ptr<stet::sharded_checkpoint_manager>> managers_;
  std::vector<contender> contenders_;
};

int run_contest(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  {
    auto ranks = bench::must(stet::mpi_communicator::from(MPI_COMM_WORLD));
    const bool is_half = ranks.rank() < ranks.size() / 2;
    MPI_Comm half = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, is_half ? 0 : MPI_UNDEFINED, static_cast<int>(ranks.rank()), &half);
    bench::require_on_rank(ranks.size() % 2 == 0, "an even number of ranks is needed");
    contest(ranks, half, argv[2], std::strtoull(argv[3], nullptr, 10) << 20).serve();
    if (half != MPI_COMM_NULL) MPI_Comm_free(&half);
  }
  MPI_Finalize();
  return 0;
}

// ---- plans ----

/// The middle one.
double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Prints what a first save costs more than one that reuses its plan, in processor time of all ranks for each of their blocks, and what the
/// latter exchanges.
int run_plan(const std::string& folder) {
  constexpr std::uint32_t rank_count = 8;
  constexpr std::uint64_t block_count = 100000;
  constexpr int rounds = 9;
  const bench::row_lists lists(block_count / rank_count, 1);
  bool is_met = true;
  for (const stet::shard_per per : {stet::shard_per::node, stet::shard_per::rank}) {
    std::vector<double> first, reused, first_wall, reused_wall, planned;
    bench::exchanges of_reused;
    for (int round = 0; round < rounds; ++round) {
      bench::save_by_threads(
          folder, rank_count, 0, per, lists, 2, false,
          [&](int save, std::uint32_t rank, const bench::exchanges& counted, double wall, double processor) {
            if (rank != 0) return;
            (save == 0 ? first : reused).push_back(processor);
            (save == 0 ? first_wall : reused_wall).push_back(wall);
            of_reused = counted;
          });
      planned.push_back(first.back() - reused.back());
      std::filesystem::remove_all(folder);
    }
    const double nanoseconds = median_of(planned) / static_cast<double>(block_count) * 1e9;
    const bool is_fast = nanoseconds <= 1000, is_few = of_reused.collectives() <= 4;
    is_met = is_met && is_fast && is_few;
    std::printf("plan of %llu blocks, %u ranks, a shard per %s: %.0f ns a block more than with the plan reused (goal: "
                "<= 1000%s)\n",
                static_cast<unsigned long long>(block_count), rank_count,
                per == stet::shard_per::node ? "node" : "rank", nanoseconds, is_fast ? "" : ", MISSED");
    std::printf("  first save %.1f ms of processors, %.1f ms; with the plan reused %.1f ms, %.1f ms\n",
                median_of(first) * 1e3, median_of(first_wall) * 1e3, median_of(reused) * 1e3,
                median_of(reused_wall) * 1e3);
    std::printf(
        "  with the plan reused, rank 0: %llu collectives: %llu reductions, %llu all-to-all, %llu broadcasts (goal: <= "
        "4%s); "
        "%llu messages, %llu bytes of them, %llu bytes of the others\n",
        static_cast<unsigned long long>(of_reused.collectives()), static_cast<unsigned long long>(of_reused.reductions),
        static_cast<unsigned long long>(of_reused.all_to_alls), static_cast<unsigned long long>(of_reused.broadcasts),
        is_few ? "" : ", MISSED", static_cast<unsigned long long>(of_reused.messages),
        static_cast<unsigned long long>(of_reused.message_bytes),
        static_cast<unsigned long long>(of_reused.collective_bytes));
  }
  return is_met ? 0 : 1;
}

/// What ranks do, as text: the most of a rank, and the mean.
class most_and_mean {
public:
  void add(double value) {
    most_ = (std::max)(most_, value);
    sum_ += value;
    ++count_;
  }
  [[nodiscard]] std::string text(double unit, int digits) const {
    char made[64];
    std::snprintf(made, sizeof made, "%.*f / %.*f", digits, most_ / unit, digits, sum_ / count_ / unit);
    return made;
  }

private:
  double most_ = 0, sum_ = 0, count_ = 0;
};

/// Saves tensors of eight rows, of which the eight ranks of a node have one each, and all nodes the same: twice, the second time with the
/// plan reused.
int run_simulation(const std::string& folder, std::uint32_t rank_count, std::size_t tensor_count) {
  const bench::row_lists lists(tensor_count, 4);
  struct figures {
    most_and_mean messages, bytes, blocks, memory;
    std::uint64_t collectives = 0;
    double seconds = 0;
  } of_saves[2];
  std::mutex mutex;
  bench::save_by_threads(folder, rank_count, 8, stet::shard_per::node, lists, 2, true,
                         [&](int save, std::uint32_t rank, const bench::exchanges& counted, double wall, double) {
                           const std::lock_guard lock(mutex);
                           figures& into = of_saves[save];
                           into.messages.add(static_cast<double>(counted.messages));
                           into.bytes.add(static_cast<double>(counted.bytes()));
                           into.blocks.add(static_cast<double>(counted.blocks_heard_of));
                           into.memory.add(static_cast<double>(bench::own_memory.peak_bytes));
                           bench::own_memory.peak_bytes = bench::own_memory.live_bytes;
                           if (rank != 0) return;
                           into.collectives = counted.collectives();
                           into.seconds = wall;
                         });
  std::filesystem::remove_all(folder);
  for (int save = 0; save < 2; ++save) {
    const figures& of = of_saves[save];
    std::printf("| %u | %zu | %s | %llu | %s | %s | %s | %s | %.1f |\n", rank_count, tensor_count,
                save == 0 ? "first" : "plan reused", static_cast<unsigned long long>(of.collectives),
                of.messages.text(1, 0).c_str(), of.bytes.text(1024, 1).c_str(),
                save == 0 ? of.blocks.text(1, 0).c_str() : "–", of.memory.text(1 << 20, 2).c_str(), of.seconds);
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "contest" && argc == 4) return run_contest(argc, argv);
  if (mode == "plan" && argc == 3) return run_plan(argv[2]);
  if (mode == "simulate" && argc == 2) {
    std::puts("| ranks | tensors | save | collectives | messages of a rank, most / mean | KiB sent by a rank | blocks "
              "of others it hears of | "
              "MiB of memory beside its list | seconds by threads |");
    std::puts("|---|---|---|---|---|---|---|---|---|");
    return 0;
  }
  if (mode == "simulate" && argc == 5)
    return run_simulation(argv[2], static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10)),
                          std::strtoul(argv[4], nullptr, 10));
  std::fputs("measure_sharded contest FOLDER MIB | plan FOLDER | simulate [FOLDER RANKS TENSORS]\n", stderr);
  return 2;
}
