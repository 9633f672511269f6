// SPDX-License-Identifier: MIT
// The system calls of a save, as a table that tests can replace to make any call fail.
#ifndef STET_SOURCE_FILE_OPERATIONS_HPP
#define STET_SOURCE_FILE_OPERATIONS_HPP

#include "detail/os.hpp"
#include "detail/posix_write.hpp"
#include "detail/windows_write.hpp"

#if STET_FILES

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

/// The outcome of `file_operations::reserve`.
enum class reservation : std::uint8_t {
  reserved,      ///< writing within the size cannot run out of space
  not_supported, ///< this file system cannot reserve; space may still run out
};

/// The functions for each step of a save. Paths are UTF-8; an empty path of a folder is the current folder. An entry makes its
/// system call once; the caller repeats it after `was_interrupted`, continues after a short write, and cleans up. Every error
/// has a `system_code()`. Besides the listed errors, any of the 2xx codes is possible, and errc::unsupported for offsets and
/// sizes that no file can have. The first argument of every entry is `context`, which the system's own table ignores.
struct file_operations {
  /// The first argument of every function.
  void* context = nullptr;

  /// Creates a file that must not exist, opens it for reading and writing, and takes its lock. Its permissions are 0666
  /// without the umask. The caller closes the handle, which releases the lock. Never follows a link.
  /// @retval errc::file_exists  something has this name
  result<native_handle> (*create_exclusive)(void* context, std::string_view path_utf8) noexcept;

  /// Writes at an offset; does not use the position of the handle.
  /// @return the number of bytes written, which may be fewer than requested
  /// @retval errc::no_space
  result<std::size_t> (*write_at)(void* context, native_handle handle, std::uint64_t offset_bytes,
                                  std::span<const std::byte> bytes) noexcept;

  /// Reserves space for the first `size_bytes`. If that succeeds, the file is at least as large.
  /// @retval errc::no_space  the disk has too little space
  result<reservation> (*reserve)(void* context, native_handle handle, std::uint64_t size_bytes) noexcept;

  /// Shortens or extends the file, which must not be mapped on Windows.
  result<void> (*set_size)(void* context, native_handle handle, std::uint64_t size_bytes) noexcept;

  /// Waits until the file's bytes and size are on the disk. After an error the bytes must be considered lost: some systems
  /// report a failed write only once.
  result<void> (*sync)(void* context, native_handle handle) noexcept;

  /// Closes a handle, which is invalid afterwards, even after an error.
  result<void> (*close)(void* context, native_handle handle) noexcept;

  /// Renames a file within the file system, atomically, and replaces a file of that name. Programs that have the replaced
  /// file open or mapped keep it. On Windows a mapped file cannot be replaced in this way: the system first renames it to
  /// `to` + ".stet-old-" + a digit, in two steps. It is removed when possible, at the latest by a sweep of the folder.
  /// @retval errc::access_denied  also if the file is mapped and the system cannot replace it
  result<void> (*rename_over)(void* context, std::string_view from_utf8, std::string_view to_utf8) noexcept;

  /// Waits until the names in a folder are on the disk, so that a rename survives a loss of power. Does nothing if folders
  /// cannot be synced, as on Windows, where `rename_over` waits.
  result<void> (*sync_folder)(void* context, std::string_view path_utf8) noexcept;

  /// Removes a file, or the link itself if it is one.
  /// @retval errc::file_not_found
  result<void> (*remove)(void* context, std::string_view path_utf8) noexcept;

  /// Calls `visit(visitor, name)` for each name in a folder except "." and "..", in any order, until it returns false. A name
  /// is valid during the call. A name that is created or removed meanwhile may be visited or not.
  result<void> (*list_folder)(void* context, std::string_view path_utf8,
                              bool (*visit)(void* visitor, std::string_view name) noexcept, void* visitor) noexcept;

  /// Opens or creates a file, and takes its lock without waiting. The lock ends when the caller closes the handle, at the
  /// latest with the process. The lock is advisory.
  /// @retval errc::locked  the lock is held, in this process or another
  result<native_handle> (*lock_file)(void* context, std::string_view path_utf8) noexcept;

  /// Creates a folder with the permissions 0777 without the umask.
  /// @retval errc::file_exists  something has this name
  result<void> (*create_folder)(void* context, std::string_view path_utf8) noexcept;

  // A table may leave out the following entries; a save then lacks their functions.

  /// Duplicates the handle of a file that `create_exclusive` made, so that the file stays locked when the first handle is
  /// closed. The caller closes it.
  /// @retval errc::unsupported  an open file cannot be renamed on this system
  result<native_handle> (*keep_locked)(void* context, native_handle handle) noexcept = nullptr;

  /// Removes a file that `create_exclusive` made and whose lock is free because its program has ended.
  /// @retval errc::locked  its program is running; or errc::unsupported: the system has no locks
  result<void> (*remove_unlocked)(void* context, std::string_view path_utf8) noexcept = nullptr;

  /// Copies the permissions of the file at a path to an open file, and its owner and group if that is permitted. Does nothing
  /// if permissions come from the folder, as on Windows.
  /// @retval errc::file_not_found  there is no file at the path
  result<void> (*copy_access)(void* context, native_handle handle, std::string_view from_utf8) noexcept = nullptr;

  /// Reads the target of a symbolic link.
  /// @return the size of the path that was written to `into`
  /// @retval errc::not_found  the path is not a link, or the system does not follow links
  /// @retval errc::bad_path   the path does not fit
  result<std::size_t> (*read_link)(void* context, std::string_view path_utf8, std::span<char> into) noexcept = nullptr;

  /// Checks that a file that `lock_file` opened is still the file at its path.
  /// @retval errc::locked          another file is at the path, and its lock may be held
  /// @retval errc::file_not_found  no file is at the path
  result<void> (*check_lock)(void* context, native_handle handle, std::string_view path_utf8) noexcept = nullptr;

  /// Opens a file that another handle made by `create_exclusive` has open, for writing, too. Never follows a link. The caller closes it.
  result<native_handle> (*open_to_write)(void* context, std::string_view path_utf8) noexcept = nullptr;
};

/// True if a signal interrupted the call that returned `failure`, so that it can be repeated.
[[nodiscard]] inline bool was_interrupted(const error& failure) noexcept { return detail::os::interrupted(failure); }

namespace detail {

/// Calls `call` with the system's form of a path; the path is the subject of errors.
template <class Value>
result<Value> with_path(std::string_view path_utf8, result<Value> (*call)(const os::native_path&) noexcept) noexcept {
  os::native_path path;
  if (const auto valid = path.assign(path_utf8); !valid) return valid.error().about(path_utf8);
  result<Value> done = call(path);
  if (!done) return done.error().about(path_utf8);
  return done;
}

inline std::string_view folder_or_current(std::string_view path_utf8) noexcept {
  return path_utf8.empty() ? std::string_view(".") : path_utf8;
}

inline constexpr file_operations system_operations = {
    .create_exclusive = [](void*,
                           std::string_view path_utf8) noexcept { return with_path(path_utf8, os::create_exclusive); },
    .write_at =
        [](void*, native_handle handle, std::uint64_t offset_bytes, std::span<const std::byte> bytes) noexcept {
          return os::write_some(handle, offset_bytes, bytes.data(), bytes.size());
        },
    .reserve = [](void*, native_handle handle, std::uint64_t size_bytes) noexcept -> result<reservation> {
      const auto done = os::reserve(handle, size_bytes);
      if (!done) return done.error();
      return *done ? reservation::reserved : reservation::not_supported;
    },
    .set_size = [](void*, native_handle handle,
                   std::uint64_t size_bytes) noexcept { return os::set_size(handle, size_bytes); },
    .sync = [](void*, native_handle handle) noexcept { return os::sync(handle); },
    .close = [](void*, native_handle handle) noexcept { return os::close(handle); },
    .rename_over = [](void*, std::string_view from_utf8, std::string_view to_utf8) noexcept -> result<void> {
      os::native_path from, to;
      if (const auto valid = from.assign(from_utf8); !valid) return valid.error().about(from_utf8);
      if (const auto valid = to.assign(to_utf8); !valid) return valid.error().about(to_utf8);
      const auto done = os::rename_over(from, to);
      if (!done) return done.error().about(to_utf8);
      return {};
    },
    .sync_folder =
        [](void*, std::string_view path_utf8) noexcept {
          return with_path(folder_or_current(path_utf8), os::sync_folder);
        },
    .remove = [](void*, std::string_view path_utf8) noexcept { return with_path(path_utf8, os::remove); },
    .list_folder = [](void*, std::string_view path_utf8, bool (*visit)(void*, std::string_view) noexcept,
                      void* visitor) noexcept -> result<void> {
      os::native_path path;
      if (const auto valid = path.assign(folder_or_current(path_utf8)); !valid) return valid.error();
      const auto done = os::list_folder(path, visit, visitor);
      if (!done) return done.error().about(path_utf8);
      return {};
    },
    .lock_file = [](void*, std::string_view path_utf8) noexcept { return with_path(path_utf8, os::lock_file); },
    .create_folder = [](void*, std::string_view path_utf8) noexcept { return with_path(path_utf8, os::create_folder); },
    .keep_locked = [](void*, native_handle handle) noexcept { return os::keep_locked(handle); },
    .remove_unlocked = [](void*,
                          std::string_view path_utf8) noexcept { return with_path(path_utf8, os::remove_unlocked); },
    .copy_access = [](void*, native_handle handle, std::string_view from_utf8) noexcept -> result<void> {
      os::native_path from;
      if (const auto valid = from.assign(from_utf8); !valid) return valid.error().about(from_utf8);
      return os::copy_access(handle, from);
    },
    .read_link = [](void*, std::string_view path_utf8, std::span<char> into) noexcept -> result<std::size_t> {
      os::native_path path;
      if (const auto valid = path.assign(path_utf8); !valid) return valid.error().about(path_utf8);
      return os::read_link(path, into);
    },
    .check_lock = [](void*, native_handle handle, std::string_view path_utf8) noexcept -> result<void> {
      os::native_path path;
      if (const auto valid = path.assign(path_utf8); !valid) return valid.error().about(path_utf8);
      return os::check_lock(handle, path);
    },
    .open_to_write = [](void*, std::string_view path_utf8) noexcept { return with_path(path_utf8, os::open_to_write); },
};

using os::most_interruptions;

/// Makes a system call by an entry of `operations`, and repeats it while signals interrupt it.
/// @retval errc::unsupported  the table has no such entry
template <class Result, class... Arguments>
Result call_again(const file_operations& operations, Result (*file_operations::*entry)(void*, Arguments...) noexcept,
                  std::type_identity_t<Arguments>... arguments) noexcept {
  if (operations.*entry == nullptr) return errc::unsupported;
  for (int again = 0;; ++again) {
    Result done = (operations.*entry)(operations.context, arguments...);
    if (done || !was_interrupted(done.error()) || again == most_interruptions) return done;
  }
}

/// The largest number of links that a path may lead through, as on POSIX systems.
inline constexpr int most_links = 40;

} // namespace detail

/// The table whose entries are the operating system's own calls. Static storage, initialised at compile time.
[[nodiscard]] constexpr const file_operations& system_file_operations() noexcept { return detail::system_operations; }

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
