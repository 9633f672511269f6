// SPDX-License-Identifier: MIT
// Saves the blocks of all ranks as one checkpoint.
#ifndef STET_SHARDED_SAVE_HPP
#define STET_SHARDED_SAVE_HPP

#include "communicator.hpp"
#include "detail/saver.hpp"
#include "save_options.hpp"
#include "sharded_variables.hpp"

#include "../manifest/json_text.hpp"
#include "../source/detail/path.hpp"
#include "../writer/writer.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// What a checkpoint has besides its tensors, and how it is saved. Only those of rank 0 count for the first three.
struct sharded_save_options {
  /// The graph, an object, or nothing, as the next two.
  json_text graph;
  /// The state of the session.
  json_text state;
  /// Free-form fields of the model.
  json_text metadata;
  /// The shards.
  shard_options shards;
  /// How they are saved; the form is that of a sharded checkpoint.
  save_options save;
};

namespace detail {

/// A number that no other saver has, the same on every rank.
inline result<std::uint64_t> shared_nonce(communicator& ranks) {
  const auto now = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  const int here = 0;
  std::uint64_t nonce[1] = {0};
  if (ranks.rank() == 0) nonce[0] = fnv1a(now).add(reinterpret_cast<std::uintptr_t>(&here), 8).value();
  if (auto told = ranks.all_reduce_max(nonce); !told) return told.error();
  return nonce[0];
}

} // namespace detail

/// Saves the blocks of all ranks as one checkpoint at `path_utf8`, in place of what is there: a head, whose shards lie beside it. It is
/// an ordinary store for `read_manifest`, `open_checkpoint` and `open_any`. What a reader sees at the path is the old checkpoint or the
/// new, whole one; the shards of the old one, unless another head in the folder lists them, are removed then. Collective: all ranks give the same path. `sharded_checkpoint_manager` does so for a folder, again and again.
/// @param ranks  of which each has its own blocks
/// @return the same on every rank. After an error the old checkpoint is there, and nothing is left behind
/// @retval errc::bad_slice  the blocks of a tensor overlap without being the same, or leave a gap: the subject is the name and the ranks
/// @retval errc::dtype_mismatch, shape_mismatch, invalid_argument  ranks describe a tensor differently: the name and both ranks
/// @retval errc::invalid_argument  ranks save to different paths, the file name of this rank being the subject
/// @retval errc::rank_lost  a rank has ended, or cannot be reached
/// @retval errc::not_durable  the checkpoint is there, and a loss of power may take it back
/// or an error of `writer::save`.
/// Cost: each byte of a tensor is read once and written once, by one of the ranks that have it. Every rank knows its own blocks and what
/// it owns of the plan; rank 0 the shards. Some exchanges for the plan, four for the rest.
inline result<sharded_report> save_sharded(communicator& ranks, std::string_view path_utf8,
                                           const sharded_variable_list& variables,
                                           const sharded_save_options& options = {}) noexcept {
  return detail::caught([&]() -> result<sharded_report> {
    const result<std::uint64_t> nonce = detail::shared_nonce(ranks);
    if (!nonce) return nonce.error();
    detail::shard_saver saver(ranks, options.shards, options.save, *nonce);
    const std::string_view folder = detail::folder_in(path_utf8), name = detail::file_name_in(path_utf8);
    return saver.save(folder, name, variables, [&](std::span<const shard_reference> shards) -> result<void> {
      writer head;
      head.graph = options.graph;
      head.state = options.state;
      head.metadata = options.metadata;
      head.set_shards(shards);
      const auto saved = head.save(path_utf8, options.save);
      return saved ? result<void>() : saved.error();
    });
  });
}

} // namespace stet::inline STET_NAMESPACE

#endif
