// SPDX-License-Identifier: MIT
// What it costs ranks to agree on a plan: by threads of this process, whose exchanges and memory are counted.
#ifndef STET_BENCHMARKS_SHARDED_PLANS_HPP
#define STET_BENCHMARKS_SHARDED_PLANS_HPP

#include "thread_memory.hpp"

#include <stet/sharded.hpp>
#include <stet/sharded/detail/plan.hpp>
#include <stet/sharded/thread_communicator.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bench {

/// The value of a result. Ends the program after an error.
template <class T> T must(stet::result<T> what) {
  if (!what) {
    std::fprintf(stderr, "failed: %s\n", stet::to_text(what.error()).c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*what);
}

/// What a rank has exchanged during a save.
struct exchanges {
  std::uint64_t broadcasts = 0, reductions = 0, all_to_alls = 0;
  /// Bytes given to others for `all_to_all`, and the number of others that were given some; bytes of reductions and broadcasts.
  std::uint64_t messages = 0, message_bytes = 0, collective_bytes = 0;
  /// Blocks of other ranks that this one has heard of, at most at once: as the owner of tensors, or as the lowest rank of its group.
  std::uint64_t blocks_heard_of = 0;

  [[nodiscard]] std::uint64_t collectives() const noexcept { return broadcasts + reductions + all_to_alls; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return message_bytes + collective_bytes; }
};

/// Counts what goes through a communicator.
class counting_communicator final : public stet::communicator {
public:
  explicit counting_communicator(stet::communicator& of) noexcept : of_(of) {}

  [[nodiscard]] std::uint32_t rank() const noexcept override { return of_.rank(); }
  [[nodiscard]] std::uint32_t size() const noexcept override { return of_.size(); }
  [[nodiscard]] std::uint32_t node() const noexcept override { return of_.node(); }
  stet::result<void> broadcast(std::span<std::byte> bytes, std::uint32_t root) noexcept override {
    ++counted_.broadcasts;
    if (root == rank()) counted_.collective_bytes += bytes.size();
    return of_.broadcast(bytes, root);
  }
  stet::result<void> all_reduce_max(std::span<std::uint64_t> values) noexcept override {
    ++counted_.reductions;
    counted_.collective_bytes += values.size_bytes();
    return of_.all_reduce_max(values);
  }
  [[nodiscard]] stet::result<stet::rank_messages> all_to_all(const stet::rank_messages& to) noexcept override {
    ++counted_.all_to_alls;
    for (std::uint32_t other = 0; other < to.size(); ++other) {
      if (other == rank() || to[other].empty()) continue;
      ++counted_.messages;
      counted_.message_bytes += to[other].size();
    }
    stet::result<stet::rank_messages> from = of_.all_to_all(to);
    if (from && is_planning_ && counted_.all_to_alls <= 2) {
      const std::int64_t peak_bytes = own_memory.peak_bytes; // what counting takes is not the rank's
      const std::uint64_t heard = counted_.all_to_alls == 1 ? described_blocks(*from) : planned_blocks(*from);
      own_memory.peak_bytes = peak_bytes;
      counted_.blocks_heard_of = (std::max)(counted_.blocks_heard_of, heard);
    }
    return from;
  }

  /// What was counted since the last call.
  /// @param is_planning  what follows is a save that makes a plan, whose first exchanges are descriptions and pieces
  exchanges take(bool is_planning = false) noexcept {
    is_planning_ = is_planning;
    return std::exchange(counted_, {});
  }

private:
  /// The blocks in what ranks tell an owner.
  static std::uint64_t described_blocks(const stet::rank_messages& from) {
    std::uint64_t found = 0;
    std::vector<std::uint64_t> skipped;
    stet::detail::tensor_facts facts;
    for (const std::vector<std::byte>& message : from) {
      stet::detail::message_reader in(message);
      if (!in.is_empty()) in.number(); // the group
      while (!in.is_empty()) {
        facts.read(in);
        const std::size_t count = in.count(8);
        found += count;
        in.numbers(count * (1 + 2 * facts.shape.size()), skipped);
      }
    }
    return found;
  }
  /// The blocks in what owners tell the lowest rank of a group.
  static std::uint64_t planned_blocks(const stet::rank_messages& from) {
    std::uint64_t found = 0;
    const auto tensors = stet::detail::read_planned(from);
    if (!tensors) return 0;
    for (const auto& each : *tensors) {
      for (const auto& piece : each.pieces) found += piece.fragments.size();
    }
    return found;
  }

  stet::communicator& of_;
  exchanges counted_;
  bool is_planning_ = false;
};

/// Tensors of 8 rows and `columns` float32, of which a rank has the row of its number modulo 8.
class row_lists {
public:
  row_lists(std::size_t tensor_count, std::size_t columns) : memory_(columns), lists_(8) {
    for (std::uint64_t row = 0; row < lists_.size(); ++row) {
      for (std::size_t number = 0; number < tensor_count; ++number)
        must(lists_[row].add_block("decoder/layer" + std::to_string(number) + "/kernel", memory_, {8, columns},
                                   {row, 0}, {1, columns}));
    }
  }
  [[nodiscard]] const stet::sharded_variable_list& of_rank(std::uint32_t rank) const noexcept {
    return lists_[rank % 8];
  }

private:
  std::vector<float> memory_; // the same for all, which only read it
  std::vector<stet::sharded_variable_list> lists_;
};

/// Seconds of processors that all threads of this process have had.
inline double processor_seconds() noexcept {
  std::timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
inline double wall_seconds() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline void meet(stet::communicator& ranks) {
  std::uint64_t nothing[1] = {0};
  must(ranks.all_reduce_max(nothing));
}

/// Saves `saves` times by threads, the last of them with the plan reused, and calls `done(save, rank, exchanges, seconds, processor seconds)`
/// on every rank after each; the seconds are those of all ranks together.
/// @param counts_blocks  the blocks that each rank hears of are counted, too, which takes some of the time
template <class Done>
void save_by_threads(const std::string& folder, std::uint32_t rank_count, std::uint32_t ranks_per_node,
                     stet::shard_per per, const row_lists& lists, int saves, bool counts_blocks, Done done) {
  must(stet::run_ranks(
      rank_count,
      [&](stet::communicator& threads) {
        own_memory = {};
        counting_communicator ranks(threads);
        stet::checkpoint_options options;
        options.save.is_durable = false;
        options.keep.max_to_keep = 0; // to remove others is no part of this
        stet::shard_options shards;
        shards.per = per;
        auto manager = must(stet::sharded_checkpoint_manager::open_for_saving(ranks, folder, options, shards));
        for (int save = 0; save < saves; ++save) {
          meet(threads);
          const double begin = wall_seconds(), processor_begin = processor_seconds();
          ranks.take(counts_blocks && save == 0);
          const std::uint64_t step = static_cast<std::uint64_t>(save) + 1;
          const auto saved = must(manager.save({.global_step = step}, lists.of_rank(ranks.rank())));
          if (saved.is_plan_reused != (save != 0)) {
            std::fprintf(stderr, "failed: save %d: the plan is%s reused\n", save, save == 0 ? "" : " not");
            std::exit(1);
          }
          meet(threads);
          done(save, ranks.rank(), ranks.take(), wall_seconds() - begin, processor_seconds() - processor_begin);
        }
      },
      ranks_per_node));
}

} // namespace bench

#endif
