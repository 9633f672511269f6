// SPDX-License-Identifier: MIT
// The lock that the one writer of a folder of checkpoints holds.
#ifndef STET_CHECKPOINT_FOLDER_LOCK_HPP
#define STET_CHECKPOINT_FOLDER_LOCK_HPP

#include "folder.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace stet::inline v0_1::detail {

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
    const result<native_handle> handle = call(&file_operations::lock_file, folder() + ".stet-lock");
    if (!handle) return handle.error();
    return folder_lock(operations(), *handle);
  }

private:
  result<void> make_folder() const {
    const std::string_view name = without_last_separators(folder());
    if (name.empty()) return {};
    const auto made = call(&file_operations::create_folder, name);
    if (!made) return made.error().code() == errc::file_exists || list_names() ? result<void>() : made;
    return call(&file_operations::sync_folder, folder_in(name));
  }
};

} // namespace stet::inline v0_1::detail

#endif
