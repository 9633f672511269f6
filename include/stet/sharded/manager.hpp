// SPDX-License-Identifier: MIT
// Saves the ranks of a program together into a folder of checkpoints, and restores any number of ranks from it.
#ifndef STET_SHARDED_MANAGER_HPP
#define STET_SHARDED_MANAGER_HPP

#include "load.hpp"
#include "save.hpp"

#include "../checkpoint/manager.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// The one writer of a folder of checkpoints, on all ranks of a program: `checkpoint_manager`, whose every call is collective and gives
/// every rank the same error. Rank 0 holds the folder's lock. The folder must be the same for all ranks, as on a shared file system.
/// Move-only. Not for use by several threads of a rank at once.
///
///     auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, "checkpoints");
///     auto restored = manager->restore_latest(variables); // saved by any number of ranks
///     …
///     auto saved = manager->save({step}, variables);
class sharded_checkpoint_manager {
public:
  /// Takes the lock of a folder, as `checkpoint_manager::open_for_saving`, whose errors it has.
  /// @param ranks    must outlive the manager
  /// @param options  as for `checkpoint_manager`. With `full_every`, a save between whole ones lists the shards of the last whole one again
  ///                 for what did not change, byte for byte, as long as the blocks of all ranks stay the same
  [[nodiscard]] static result<sharded_checkpoint_manager> open_for_saving(communicator& ranks,
                                                                          std::string_view folder_utf8,
                                                                          checkpoint_options options = {},
                                                                          const shard_options& shards = {}) noexcept {
    return detail::caught([&]() -> result<sharded_checkpoint_manager> {
      sharded_checkpoint_manager made(ranks, folder_utf8, options);
      const save_options how = options.save;
      made.full_every_ = options.full_every;
      const auto own = detail::caught([&]() -> result<void> {
        if (ranks.rank() != 0) return {};
        result<checkpoint_manager> manager = checkpoint_manager::open_for_saving(folder_utf8, std::move(options));
        if (!manager) return manager.error();
        made.manager_.emplace(std::move(*manager));
        return {};
      });
      if (auto all = detail::agree(ranks, own); !all) return all.error();
      const result<std::uint64_t> nonce = detail::shared_nonce(ranks);
      if (!nonce) return nonce.error();
      made.saver_ = std::make_unique<detail::shard_saver>(ranks, shards, how, *nonce);
      return made;
    });
  }

  /// Saves the program as the checkpoint of `session.global_step`, in place of one that has this step, as `checkpoint_manager::save`.
  /// @param session  and `graph`: those of rank 0 count; the step is the same on every rank
  /// Errors: those of `save_sharded` and of `checkpoint_manager::save`, the same on every rank.
  result<sharded_report> save(const session_state& session, const sharded_variable_list& variables,
                              const json_text& graph = {}) noexcept {
    return save(session, variables, graph, {});
  }

  /// Restores blocks from the newest complete checkpoint, whoever saved it. After an error some of them may have changed.
  /// Errors: those of `checkpoint_folder::restore_latest` and of `load_blocks`, the same on every rank.
  [[nodiscard]] result<restored_checkpoint>
  restore_latest(const sharded_variable_list& to, const load_options& options = load_options_of_ranks) noexcept {
    return detail::caught([&] { return restore_from(*ranks_, where_, to, options); });
  }

  /// The folder, for reading.
  [[nodiscard]] const checkpoint_folder& folder() const noexcept { return where_; }
  /// The manager of rank 0, for what concerns the folder alone (`remove_after`, …); nullptr on other ranks.
  [[nodiscard]] checkpoint_manager* manager_of_rank_0() noexcept { return manager_ ? &*manager_ : nullptr; }

private:
  friend class sharded_background_saver;
  friend result<restored_checkpoint> restore_latest(communicator&, const checkpoint_folder&,
                                                    const sharded_variable_list&, const load_options&) noexcept;

  sharded_checkpoint_manager(communicator& ranks, std::string_view folder, const checkpoint_options& options)
      : ranks_(&ranks),
        where_(folder, options.prefix,
               options.save.operations != nullptr ? *options.save.operations : system_file_operations()) {}

  /// @param ready  an error: this rank has nothing to save, and so none has
  result<sharded_report> save(const session_state& session, const sharded_variable_list& variables,
                              const json_text& graph, const result<void>& ready) noexcept {
    return detail::caught([&]() -> result<sharded_report> {
      const std::uint64_t step = session.global_step;
      const std::string path = where_.path_of(step);
      // The base is an earlier one, so that a program which goes back takes no base away from what it keeps. All ranks decide alike.
      const bool has_base = last_saved_ && *last_saved_ < step && deltas_since_whole_ + 1 < full_every_;
      const std::string base = has_base ? where_.path_of(*last_saved_) : std::string();
      const auto publish = [&](std::span<const shard_reference> shards) -> result<void> {
        const auto saved = manager_->save_shards(session, shards, graph);
        return saved ? result<void>() : saved.error();
      };
      result<sharded_report> saved = saver_->save(detail::folder_in(path), detail::file_name_in(path), variables,
                                                  publish, detail::file_name_in(base), ready);
      if (!saved) {
        // What is there and not durable, or is gone, is nothing to build on.
        if (saved.error().code() == errc::not_durable || saved.error().code() == errc::missing_base)
          last_saved_.reset();
        return saved;
      }
      last_saved_ = step;
      deltas_since_whole_ = saved->is_delta ? deltas_since_whole_ + 1 : 0;
      return saved;
    });
  }

  static result<restored_checkpoint> restore_from(communicator& ranks, const checkpoint_folder& folder,
                                                  const sharded_variable_list& to, const load_options& options) {
    // Rank 0 looks for the newest, so that all take the same.
    std::uint64_t step[1] = {0};
    auto own = detail::caught([&]() -> result<void> {
      if (ranks.rank() != 0) return {};
      const result<checkpoint_info> newest = folder.latest();
      if (!newest) return newest.error();
      step[0] = newest->step;
      return {};
    });
    if (auto all = detail::agree(ranks, own); !all) return all.error();
    if (auto told = ranks.all_reduce_max(step); !told) return told.error();
    std::optional<opened_checkpoint> from;
    own = detail::caught([&]() -> result<void> {
      result<opened_checkpoint> opened = folder.open(step[0], {.backing = backing::stream});
      if (!opened) return opened.error();
      from.emplace(std::move(*opened));
      return {};
    });
    if (auto all = detail::agree(ranks, own); !all) return all.error();
    if (auto loaded = load_blocks(ranks, *from->opened, to, options); !loaded) return loaded.error();
    result<manifest> parsed = parse_manifest(from->opened.file(0).manifest_text());
    if (!parsed) return parsed.error();
    result<session_state> session = to_session(parsed->state);
    if (!session) return session.error();
    from->info.metric = session->metric;
    return restored_checkpoint{std::move(from->info), std::move(*session), std::move(parsed->graph),
                               std::move(from->opened)};
  }

  communicator* ranks_;
  checkpoint_folder where_;
  std::optional<checkpoint_manager> manager_; // on rank 0
  std::unique_ptr<detail::shard_saver> saver_;
  std::uint64_t full_every_ = 1;
  /// The step that was saved last, and the number of saves since the last whole one: the same on every rank.
  std::optional<std::uint64_t> last_saved_;
  std::uint64_t deltas_since_whole_ = 0;
};

/// The same as `sharded_checkpoint_manager::restore_latest` for ranks that only read.
[[nodiscard]] inline result<restored_checkpoint>
restore_latest(communicator& ranks, const checkpoint_folder& folder, const sharded_variable_list& to,
               const load_options& options = load_options_of_ranks) noexcept {
  return detail::caught([&] { return sharded_checkpoint_manager::restore_from(ranks, folder, to, options); });
}

} // namespace stet::inline STET_NAMESPACE

#endif
