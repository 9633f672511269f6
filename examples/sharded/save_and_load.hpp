// SPDX-License-Identifier: MIT
// `sharded save` and `sharded load`: checkpoints of random tensors, cut at random, which check themselves.
#ifndef SHARDED_SAVE_AND_LOAD_HPP
#define SHARDED_SAVE_AND_LOAD_HPP

#include "blocks.hpp"
#include "ranks.hpp"

#include <stet/manifest.hpp>
#include <stet/sharded.hpp>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sharded {

/// What this rank holds, registered.
struct held_blocks {
  std::deque<held_block> blocks;
  stet::sharded_variable_list variables;

  stet::result<void> add(const std::vector<tensor>& tensors, const std::vector<piece>& pieces, std::uint32_t rank) {
    for (const piece& each : pieces) {
      if (each.rank != rank) continue;
      blocks.emplace_back(tensors, each);
      if (auto added = blocks.back().add_to(variables); !added) return added;
    }
    return {};
  }
};

inline std::string path_of(const std::string& folder, std::uint64_t seed) {
  return folder + "/seed-" + std::to_string(seed) + ".stet";
}

/// Saves what a seed makes. @return what main returns
inline int save_seed(stet::communicator& ranks, const std::string& folder, std::uint64_t seed) {
  const std::vector<tensor> tensors = make_tensors(seed);
  held_blocks own;
  if (auto added = own.add(tensors, partition(tensors, seed, ranks.size()), ranks.rank()); !added)
    return failed(ranks, added.error());
  for (held_block& each : own.blocks) each.fill(seed);

  dice random(seed + 7);
  stet::sharded_save_options options;
  options.shards.per = random.once_in(2) ? stet::shard_per::rank : stet::shard_per::node;
  if (random.once_in(3)) options.shards.max_size_bytes = random.below(100000);
  options.save.is_durable = random.once_in(10);
  options.metadata = stet::json_text("{\"seed\":" + std::to_string(seed) + "}");
  const auto saved = stet::save_sharded(ranks, path_of(folder, seed), own.variables, options);
  if (!saved) return failed(ranks, saved.error());
  say(ranks, "seed " + std::to_string(seed) + ": " + std::to_string(tensors.size()) + " tensors, saved by " +
                 std::to_string(ranks.size()) + " ranks, " + std::to_string(saved->shard_count) + " shards, " +
                 std::to_string(saved->file_size_bytes) + " bytes");
  return 0;
}

/// Loads another partition of what was saved, and compares every element. @return what main returns
/// @param is_verified  checksums are compared, too
inline int load_seed(stet::communicator& ranks, const std::string& folder, std::uint64_t seed, bool is_verified) {
  const std::vector<tensor> tensors = make_tensors(seed);
  held_blocks own;
  if (auto added = own.add(tensors, wishes(tensors, seed, ranks.size()), ranks.rank()); !added)
    return failed(ranks, added.error());

  // An error here is this rank's own: all have to learn of it before they load.
  const auto opened =
      stet::open(path_of(folder, seed), {.backing = stet::backing::stream, .read_manifest = stet::read_manifest});
  if (!opened) std::fprintf(stderr, "rank %u: %s\n", ranks.rank(), stet::error_text(opened.error()).c_str());
  const auto all_opened = on_every_rank(ranks, static_cast<bool>(opened));
  if (!all_opened) return failed(ranks, all_opened.error());
  if (!*all_opened) return 1;
  stet::load_options how = stet::load_options_of_ranks;
  how.verify_checksums = is_verified;
  if (auto loaded = stet::load_blocks(ranks, *opened, own.variables, how); !loaded)
    return failed(ranks, loaded.error());

  std::uint64_t elements = 0;
  std::optional<std::string> wrong;
  for (std::size_t i = 0; i < own.blocks.size() && !wrong; ++i) {
    wrong = own.blocks[i].find_difference(seed);
    elements += own.blocks[i].element_count();
  }
  if (wrong)
    std::fprintf(stderr, "rank %u, seed %llu: %s\n", ranks.rank(), static_cast<unsigned long long>(seed),
                 wrong->c_str());
  const auto all_right = on_every_rank(ranks, !wrong);
  if (!all_right) return failed(ranks, all_right.error());
  if (!*all_right) return 1;
  say(ranks, "seed " + std::to_string(seed) + ": loaded by " + std::to_string(ranks.size()) + " ranks, " +
                 std::to_string(elements) + " elements on rank 0, each as it was saved");
  return 0;
}

} // namespace sharded

#endif
