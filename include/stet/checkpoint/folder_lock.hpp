// SPDX-License-Identifier: MIT
// The lock that the one writer of a folder of checkpoints holds.
#ifndef STET_CHECKPOINT_FOLDER_LOCK_HPP
#define STET_CHECKPOINT_FOLDER_LOCK_HPP

#include "folder.hpp"

#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#if STET_FILES && (defined(__unix__) || defined(__APPLE__)) && !defined(__EMSCRIPTEN__) && !defined(__wasi__)
#include <pthread.h>
#define STET_CHECKPOINT_FORKS 1
#else
#define STET_CHECKPOINT_FORKS 0
#endif

namespace stet::inline v0_1::detail {

/// The file in a folder that is locked.
inline constexpr std::string_view lock_name = ".stet-lock";

/// A file whose lock this process holds, on the list of all of them.
struct held_lock {
  const file_operations* operations;
  std::string path;
  native_handle handle{};
  bool is_held = false;
  held_lock *before = nullptr, *after = nullptr;
};

/// Every lock of a folder that this process holds. The child of a fork has the same open files, and with them would hold the
/// locks for as long as it runs, also when its parent has long ended: it closes them before `fork` returns. What a program
/// becomes by exec has none of them either. No fork comes between a lock and its place on the list.
class held_locks {
public:
  /// Takes the lock of the file at the path.
  /// @retval errc::locked         someone else has it
  /// @retval errc::out_of_memory  there is no room to remember that children are to close it; or what the system reports
  static result<void> take(held_lock& lock) noexcept {
    if (!watches_forks()) return errc::out_of_memory;
    const std::lock_guard guard(mutex_);
    const auto handle = call_again(*lock.operations, &file_operations::lock_file, std::string_view(lock.path));
    if (!handle) return handle.error();
    lock.handle = *handle;
    lock.is_held = true;
    lock.after = first_;
    if (first_ != nullptr) first_->before = &lock;
    first_ = &lock;
    return {};
  }
  /// Gives it up, if this process has it.
  static void release(held_lock& lock) noexcept {
    const std::lock_guard guard(mutex_);
    if (!lock.is_held) return;
    if (lock.before != nullptr) lock.before->after = lock.after;
    if (lock.after != nullptr) lock.after->before = lock.before;
    if (first_ == &lock) first_ = lock.after;
    (void)lock.operations->close(lock.operations->context, lock.handle);
  }

private:
  static bool watches_forks() noexcept {
#if STET_CHECKPOINT_FORKS
    static const bool is_watching = ::pthread_atfork([] { mutex_.lock(); }, [] { mutex_.unlock(); }, close_all) == 0;
    return is_watching;
#else
    return true;
#endif
  }
  /// In the child, which has the mutex.
  static void close_all() {
    for (; first_ != nullptr; first_ = first_->after) {
      first_->is_held = false;
      (void)first_->operations->close(first_->operations->context, first_->handle);
    }
    mutex_.unlock();
  }

  inline static std::mutex mutex_;
  inline static held_lock* first_ = nullptr;
};

/// The lock of a folder, held until this ends; not by a child of the process that took it.
class folder_lock {
public:
  /// Takes the lock of the file at a path, which is made if there is none.
  /// Errors: those of `held_locks::take`.
  static result<folder_lock> take(const file_operations& operations, std::string&& path) noexcept {
    folder_lock made;
    made.held_.reset(new (std::nothrow) held_lock{&operations, std::move(path)});
    if (made.held_ == nullptr) return errc::out_of_memory;
    if (auto taken = held_locks::take(*made.held_); !taken) return taken.error();
    return made;
  }
  folder_lock(folder_lock&&) noexcept = default;
  folder_lock& operator=(folder_lock&&) = delete;
  ~folder_lock() {
    if (held_ != nullptr) held_locks::release(*held_);
  }

  /// Looks whether this is still the lock that keeps others out.
  /// @retval errc::locked          it is that of the process which this one was forked from; or the folder was removed and made
  ///                               anew, and has another lock
  /// @retval errc::file_not_found  the folder, or the file that is locked, was removed
  /// The path of the lock is the subject.
  [[nodiscard]] result<void> check() const noexcept {
    if (!held_->is_held) return error(errc::locked, held_->path);
    const auto checked = call_again(*held_->operations, &file_operations::check_lock, held_->handle, std::string_view(held_->path));
    if (!checked && checked.error().code() != errc::unsupported) return checked.error().about(held_->path);
    return {};
  }

private:
  folder_lock() noexcept = default;
  std::unique_ptr<held_lock> held_; // on the heap, so that it can be moved while it is on the list
};

/// Makes a folder ready, before there is a writer.
class lockable_folder : checkpoint_folder {
public:
  explicit lockable_folder(const checkpoint_folder& where) : checkpoint_folder(where) {}

  /// Makes the folder if there is none, and takes its lock.
  /// @retval errc::locked  another writer, of this process or another, has it; or what the operating system reports
  result<folder_lock> make_and_lock() const {
    if (auto made = make_folder(); !made) return made.error();
    return folder_lock::take(operations(), folder() + std::string(lock_name));
  }

private:
  result<void> make_folder() const {
    const std::string_view name = without_last_separators(folder());
    if (name.empty()) return {};
    const auto made = call(&file_operations::create_folder, name);
    if (!made && made.error().code() != errc::file_exists && !list_names()) return made;
    // Also the name of a folder that is there already: a program that was killed had just made it, perhaps.
    const auto synced = call(&file_operations::sync_folder, folder_in(name));
    // Who may not look at the parent has not made the folder there.
    const bool is_foreign = !made && !synced && synced.error().code() == errc::access_denied;
    return is_foreign ? result<void>() : synced;
  }
};

} // namespace stet::inline v0_1::detail

#undef STET_CHECKPOINT_FORKS

#endif
