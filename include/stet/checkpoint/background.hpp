// SPDX-License-Identifier: MIT
// Saves checkpoints on a thread: a snapshot at once, the writing later.
#ifndef STET_CHECKPOINT_BACKGROUND_HPP
#define STET_CHECKPOINT_BACKGROUND_HPP

#include "../manifest/detail/caught.hpp"
#include "manager.hpp"

#include "../source/detail/helper_thread.hpp"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// The treatment of a save while the one before it is being written.
enum class when_busy : std::uint8_t {
  /// Wait until that is written.
  wait,
  /// Leave this one out.
  skip,
  /// Replace the save that waits, if any, once this one is copied. Takes memory for up to three snapshots: the one that is
  /// being written, the one that waits, and the one that is being copied.
  replace,
};

/// Saves checkpoints of a manager on a thread of its own. The manager is the saver's as long as it lives, except after
/// `wait`, until the next `save`; a `checkpoint_folder` of the same path may be read at any time. To be called by one thread.
/// An accepted save is written, unless a newer one replaced it. The last error of writing is returned once.
class background_saver {
public:
  /// Starts the thread. If the system has no thread, `save` writes before it returns. `manager` must outlive the saver and must
  /// not move. The functions of its options are called on the thread; an exception of one becomes errc::invalid_argument of
  /// that save.
  /// @param memory  the memory of the snapshots, which must outlive the saver; nullptr: the heap
  explicit background_saver(checkpoint_manager& manager, when_busy policy = when_busy::wait,
                            memory_resource* memory = nullptr)
      : manager_(manager), policy_(policy), jobs_{job(memory), job(memory), job(memory)},
        has_thread_(thread_.start(work_)) {}
  background_saver(const background_saver&) = delete;
  background_saver& operator=(const background_saver&) = delete;
  /// Waits for pending saves. Call `wait` first to get their result.
  ~background_saver() {
    {
      const std::lock_guard guard(mutex_);
      is_ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// Takes memory for the snapshots of these variables and touches it, so that no `save` has to.
  /// @retval errc::out_of_memory
  result<void> reserve(const variable_list& variables) {
    wait_until_idle();
    result<void> reserved;
    for (job& each : jobs_) {
      if (reserved) reserved = each.variables.reserve(variables);
      if (policy_ != when_busy::replace) break; // the others are never used
    }
    return reserved;
  }

  /// Copies the variables, which may change as soon as this returns, and has them saved on the thread.
  /// @return true if they will be saved; false only with `when_busy::skip`
  /// Errors: the error of an earlier save that was not returned yet; this save is then not made. Those of `snapshot::take`; a
  /// save that waits is then still written. Those of invalid JSON, as of `writer::save`; and
  /// @retval errc::out_of_memory  there is no memory for the copies
  /// Cost: one memcpy of the variables; with `when_busy::wait` also the rest of the save before.
  result<bool> save(const session_state& session, const variable_list& variables, const json_text& graph = {}) {
    int number = 0;
    {
      std::unique_lock guard(mutex_);
      if (policy_ == when_busy::wait) changed_.wait(guard, [this] { return is_idle(); });
      if (failure_) return *std::exchange(failure_, std::nullopt);
      if (policy_ == when_busy::skip && !is_idle()) return false;
      while (number == writing_ || number == waiting_) ++number;
    }
    // No one else looks at a job that neither waits nor is being written, and no one else makes one wait.
    job& next = jobs_[number];
    const result<void> copied = detail::caught([&]() -> result<void> {
      if (auto sound = detail::check_saved(session, graph); !sound) return sound;
      next.session = session;
      next.graph = graph;
      return next.variables.take(variables);
    });
    if (!copied) return copied.error();
    {
      std::unique_lock guard(mutex_);
      waiting_ = number;
      if (!has_thread_) write_next(guard);
    }
    changed_.notify_all();
    return true;
  }

  /// Waits until everything is written.
  /// Errors: that of a save which was not delivered yet.
  result<void> wait() {
    wait_until_idle();
    const std::lock_guard guard(mutex_);
    if (failure_) return *std::exchange(failure_, std::nullopt);
    return {};
  }

  /// True while a save is being written or waits to be.
  [[nodiscard]] bool is_busy() const {
    const std::lock_guard guard(mutex_);
    return !is_idle();
  }
  /// The report of the last successful save; nothing before the first.
  [[nodiscard]] std::optional<saved_checkpoint> last_saved() const {
    const std::lock_guard guard(mutex_);
    return last_saved_;
  }

private:
  struct job {
    explicit job(memory_resource* memory) : variables(memory) {}
    session_state session;
    snapshot variables;
    json_text graph;
  };
  static constexpr int none = -1;

  [[nodiscard]] bool is_idle() const noexcept { return writing_ == none && waiting_ == none; }
  void wait_until_idle() {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [this] { return is_idle(); });
  }

  void run() noexcept {
    std::unique_lock guard(mutex_);
    for (;;) {
      changed_.wait(guard, [this] { return waiting_ != none || is_ending_; });
      if (waiting_ == none) return;
      write_next(guard);
    }
  }

  /// Saves the job that waits. The mutex is free meanwhile.
  void write_next(std::unique_lock<std::mutex>& guard) noexcept {
    writing_ = std::exchange(waiting_, none);
    const job& next = jobs_[writing_];
    guard.unlock();
    result<saved_checkpoint> saved =
        detail::caught([&] { return manager_.save(next.session, next.variables, next.graph); });
    guard.lock();
    if (saved)
      last_saved_ = std::move(*saved);
    else
      failure_ = saved.error();
    writing_ = none;
    changed_.notify_all();
  }

  checkpoint_manager& manager_;
  const when_busy policy_;
  job jobs_[3];
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // The numbers of the jobs that are being written and that wait for it.
  int writing_ = none, waiting_ = none;
  bool is_ending_ = false;
  std::optional<error> failure_;
  std::optional<saved_checkpoint> last_saved_;
  struct work {
    background_saver& of;
    void operator()() const noexcept { of.run(); }
  } work_{*this};
  detail::helper_thread thread_; // the last to begin and the first to end
  const bool has_thread_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
