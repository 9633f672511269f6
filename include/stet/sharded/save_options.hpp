// SPDX-License-Identifier: MIT
// How the blocks of many ranks are put into files, and what a save did.
#ifndef STET_SHARDED_SAVE_OPTIONS_HPP
#define STET_SHARDED_SAVE_OPTIONS_HPP

#include "../vocabulary/config.hpp"

#include <cstdint>

namespace stet::inline STET_NAMESPACE {

/// The ranks that write into a file together.
enum class shard_per : std::uint8_t {
  node, ///< all ranks of a node
  rank, ///< one
};

/// The shards of a checkpoint.
struct shard_options {
  /// Whose blocks a shard has. Where the ranks of a node hold rows of a tensor, its bytes are in a row in the file, too.
  shard_per per = shard_per::node;
  /// The bytes of tensors in a shard, at most; a larger piece has a file of its own.
  std::uint64_t max_size_bytes = ~std::uint64_t{0};
};

/// The report of a save, the same on every rank but for `written_bytes`.
struct sharded_report {
  /// All shards that were written, together.
  std::uint64_t file_size_bytes = 0;
  /// The number of shards that were written.
  std::uint32_t shard_count = 0;
  /// The bytes of tensors that this rank wrote.
  std::uint64_t written_bytes = 0;
  /// Whether the plan was that of the save before, since no rank's blocks had changed.
  bool is_plan_reused = false;
  /// Whether shards of an earlier checkpoint are listed again for what did not change.
  bool is_delta = false;
};

} // namespace stet::inline STET_NAMESPACE

#endif
