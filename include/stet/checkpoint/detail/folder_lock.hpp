// SPDX-License-Identifier: MIT
// The lock of a folder of checkpoints, which its one writer holds.
#ifndef STET_CHECKPOINT_DETAIL_FOLDER_LOCK_HPP
#define STET_CHECKPOINT_DETAIL_FOLDER_LOCK_HPP

#include "../folder.hpp"
#include "../../writer/detail/parts.hpp"

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

namespace stet::inline STET_NAMESPACE::detail {

/// An open file whose lock this process holds, on the list of all of them.
struct held_lock {
  const file_operations* operations;
  std::string path;
  native_handle handle = {};
  bool is_held = true;
  held_lock *before = nullptr, *after = nullptr;
};

/// Every lock of a folder that this process holds. The child of a fork has the same open files, and with them would hold the
/// locks for as long as it runs, also when its parent has long ended: it closes them before `fork` returns. What a program
/// becomes by exec has none of them either.
class held_locks {
public:
  /// Calls `acquire`, which locks a file, and lists the lock; no fork comes between.
  /// @retval errc::out_of_memory  there is no room to remember that children are to close it
  /// or the error of `acquire`
  static result<void> add(held_lock& lock, auto&& acquire) noexcept {
    if (!watches_forks()) return errc::out_of_memory;
    const std::lock_guard guard(mutex_);
    const result<native_handle> handle = acquire();
    if (!handle) return handle.error();
    lock.handle = *handle;
    lock.after = first_;
    if (first_ != nullptr) first_->before = &lock;
    first_ = &lock;
    return {};
  }
  static void remove(held_lock& lock) noexcept {
    const std::lock_guard guard(mutex_);
    if (lock.before != nullptr) lock.before->after = lock.after;
    if (lock.after != nullptr) lock.after->before = lock.before;
    if (first_ == &lock) first_ = lock.after;
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
    for (held_lock* each = first_; each != nullptr; each = each->after) {
      each->is_held = false;
      (void)each->operations->close(each->operations->context, each->handle);
    }
    mutex_.unlock();
  }

  inline static std::mutex mutex_;
  inline static held_lock* first_ = nullptr;
};

/// The lock of a folder, held until this ends; not by a child of the process that took it.
class folder_lock {
public:
  /// Takes the lock of the file at `path`.
  /// @retval errc::locked         another writer, of this process or another, has it
  /// @retval errc::out_of_memory  there is no memory for the entry in the list of locks
  /// or what the operating system reports
  static result<folder_lock> take(const file_operations& operations, std::string&& path) noexcept {
    std::unique_ptr<held_lock> lock(new (std::nothrow) held_lock{&operations, std::move(path)});
    if (lock == nullptr) return errc::out_of_memory;
    const auto acquire = [&] {
      return call_again(operations, &file_operations::lock_file, std::string_view(lock->path));
    };
    if (auto added = held_locks::add(*lock, acquire); !added) return added.error().about(lock->path);
    folder_lock made;
    made.held_ = std::move(lock);
    return made;
  }
  folder_lock(folder_lock&&) noexcept = default;
  folder_lock& operator=(folder_lock&&) = delete;
  ~folder_lock() {
    if (held_ == nullptr) return;
    held_locks::remove(*held_);
    if (held_->is_held) (void)held_->operations->close(held_->operations->context, held_->handle);
  }

  /// Confirms that this is still the lock that keeps others out.
  /// @retval errc::locked          it is that of the process which this one was forked from; or the folder was removed and made
  ///                               anew, and has another lock
  /// @retval errc::file_not_found  the folder, or the file that is locked, was removed
  /// The path of the lock is the subject.
  [[nodiscard]] result<void> confirm() const noexcept {
    if (!held_->is_held) return error(errc::locked, held_->path);
    const auto checked =
        call_again(*held_->operations, &file_operations::check_lock, held_->handle, std::string_view(held_->path));
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

  /// Creates the folder if it does not exist, and takes its lock.
  /// @retval errc::locked  another writer, of this process or another, has it; or what the operating system reports
  result<folder_lock> create_and_lock() const {
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

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_CHECKPOINT_FORKS

#endif
