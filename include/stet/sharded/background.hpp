// SPDX-License-Identifier: MIT
// Saves the ranks of a program together while they go on.
#ifndef STET_SHARDED_BACKGROUND_HPP
#define STET_SHARDED_BACKGROUND_HPP

#include "manager.hpp"
#include "snapshot.hpp"

#include "../source/detail/helper_thread.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// Where a background save is carried out.
enum class save_on : std::uint8_t {
  /// On a thread of its own. The communicator of the manager must be one that the program does not use meanwhile (`mpi_communicator` is
  /// a duplicate), and MPI must have been started with MPI_THREAD_MULTIPLE.
  thread,
  /// On the program's thread, at the next `save` or `wait`: where there are no threads, or MPI cannot be used by two.
  next_call,
};

/// Saves checkpoints of a sharded manager in the background: the ranks stop for one copy of their blocks. The manager is the saver's as
/// long as it lives, except after `wait`, until the next `save`. Every call is collective, by one thread of each rank, and gives every
/// rank the same error.
class sharded_background_saver {
public:
  /// @param manager  must outlive the saver, and must not move
  /// @param memory   the memory of the snapshot, which must outlive the saver; nullptr: the heap
  explicit sharded_background_saver(sharded_checkpoint_manager& manager, save_on where = save_on::thread,
                                    memory_resource* memory = nullptr)
      : manager_(manager), where_(where), copied_(memory) {}
  sharded_background_saver(const sharded_background_saver&) = delete;
  sharded_background_saver& operator=(const sharded_background_saver&) = delete;
  /// Waits for the pending save. Call `wait` first to get its result.
  ~sharded_background_saver() { (void)wait(); }

  /// Waits for the save before, copies the blocks, which may change as soon as this returns, and has them saved.
  /// Errors: that of the save before, which was not returned yet; this save is then not made. What fails of this one, and be it the
  /// memory for the copy on one rank, the next call returns.
  /// Cost: one copy of the blocks, and the rest of the save before.
  result<void> save(const session_state& session, const sharded_variable_list& variables,
                    const json_text& graph = {}) noexcept {
    if (auto before = wait(); !before) return before;
    work_.ready = detail::caught([&]() -> result<void> {
      work_.session = session;
      work_.graph = graph;
      return copied_.take(variables);
    });
    work_.session.global_step = session.global_step; // a number, which cannot fail
    is_pending_ = true;
    if (where_ == save_on::next_call) return {};
    thread_ = std::make_unique<detail::helper_thread>();
    if (!thread_->start(work_)) work_(); // the system has no thread: the ranks wait for this one
    return {};
  }

  /// Waits until everything is written. Errors: that of a save which was not returned yet.
  result<void> wait() noexcept {
    if (!is_pending_) return {};
    is_pending_ = false;
    if (where_ == save_on::next_call)
      work_();
    else
      thread_.reset();
    last_saved_ = work_.saved ? std::optional(*work_.saved) : std::nullopt;
    return work_.saved ? result<void>() : work_.saved.error();
  }

  /// The report of the save that `wait`, or the next `save`, has waited for; nothing if it failed.
  [[nodiscard]] const std::optional<sharded_report>& last_saved() const noexcept { return last_saved_; }

private:
  /// One save.
  struct work {
    sharded_background_saver& of;
    session_state session{};
    json_text graph{};
    result<void> ready{};
    result<sharded_report> saved = errc::invalid_argument;
    void operator()() noexcept { saved = of.manager_.save(session, of.copied_.variables(), graph, ready); }
  };

  sharded_checkpoint_manager& manager_;
  save_on where_;
  sharded_snapshot copied_;
  bool is_pending_ = false;
  std::optional<sharded_report> last_saved_;
  work work_{*this};
  std::unique_ptr<detail::helper_thread> thread_; // joins when it ends
};

} // namespace stet::inline STET_NAMESPACE

#endif
