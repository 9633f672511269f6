// SPDX-License-Identifier: MIT
// The lock that the one writer of a folder of checkpoints holds.
#ifndef STET_CHECKPOINT_FOLDER_LOCK_HPP
#define STET_CHECKPOINT_FOLDER_LOCK_HPP

#include "folder.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace stet::inline v0_1::detail {

/// The file in a folder that is locked.
inline constexpr std::string_view lock_name = ".stet-lock";

/// The lock of a folder, held until this ends.
class folder_lock {
public:
  folder_lock(const file_operations& operations, native_handle handle) noexcept : operations_(&operations), handle_(handle) {}
  folder_lock(folder_lock&& other) noexcept : operations_(std::exchange(other.operations_, nullptr)), handle_(other.handle_) {}
  folder_lock& operator=(folder_lock&&) = delete;
  ~folder_lock() {
    if (operations_ != nullptr) (void)operations_->close(operations_->context, handle_);
  }

private:
  const file_operations* operations_;
  native_handle handle_;
};

/// Makes a folder ready, before there is a writer.
class lockable_folder : checkpoint_folder {
public:
  explicit lockable_folder(const checkpoint_folder& where) : checkpoint_folder(where) {}

  /// Makes the folder if there is none, and takes its lock.
  /// @retval errc::locked  another writer, of this process or another, has it; or what the operating system reports
  result<folder_lock> make_and_lock() const {
    if (auto made = make_folder(); !made) return made.error();
    const result<native_handle> handle = call(&file_operations::lock_file, folder() + std::string(lock_name));
    if (!handle) return handle.error();
    return folder_lock(operations(), *handle);
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

#endif
