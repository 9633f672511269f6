// SPDX-License-Identifier: MIT
// The system calls that a save makes, as a table, so that tests can make any one of them fail.
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

/// Whether `file_operations::reserve` could do what it is for.
enum class reservation : std::uint8_t {
  reserved,      ///< writing within the size cannot run out of space
  not_supported, ///< this file system cannot reserve; space may still run out
};

/// What to call for each step of a save. Paths are UTF-8; an empty path of a folder means the current one. An
/// entry makes its system call once: repeating after `was_interrupted`, continuing after a short write and
/// cleaning up are the caller's. Every error carries `system_code()`; besides those listed, any of the 2xx
/// codes may come, and errc::unsupported for offsets and sizes that no file can have. Every entry gets
/// `context` as its first argument; the system's own table ignores it.
struct file_operations {
  /// The first argument of every function.
  void* context = nullptr;

  /// Creates a file that must not exist yet, open for reading and writing, and takes its lock; its permissions
  /// are 0666 less the umask. The caller closes the handle, which ends the lock. Never follows a link.
  /// @retval errc::file_exists  something has this name
  result<native_handle> (*create_exclusive)(void* context, std::string_view path_utf8) noexcept;

  /// Writes at an offset without moving a position.
  /// @return how many bytes were written, perhaps fewer than asked
  /// @retval errc::no_space
  result<std::size_t> (*write_at)(void* context, native_handle handle, std::uint64_t offset_bytes,
                                  std::span<const std::byte> bytes) noexcept;

  /// Reserves space for the first `size_bytes`, and makes the file at least as large if that succeeds.
  /// @retval errc::no_space  there is not that much
  result<reservation> (*reserve)(void* context, native_handle handle, std::uint64_t size_bytes) noexcept;

  /// Cuts or extends the file. Nothing else may map it on Windows.
  result<void> (*set_size)(void* context, native_handle handle, std::uint64_t size_bytes) noexcept;

  /// Returns when the file's bytes and size are on the disk. After an error the bytes must be taken for lost:
  /// some systems report a failed write only once.
  result<void> (*sync)(void* context, native_handle handle) noexcept;

  /// Closes a handle, which is gone afterwards even if this fails.
  result<void> (*close)(void* context, native_handle handle) noexcept;

  /// Gives a file another name in the same file system, in one step, in place of what has that name. Those
  /// who have the replaced file open or mapped keep it. On Windows a mapped file cannot be replaced so; there
  /// the old file first takes the name `to` + ".stet-old-" + a digit, in two steps of the system's own, and
  /// is removed when it can be, at the latest by who sweeps the folder.
  /// @retval errc::access_denied  or it is mapped, and the system cannot replace it
  result<void> (*rename_over)(void* context, std::string_view from_utf8, std::string_view to_utf8) noexcept;

  /// Returns when the names in a folder are on the disk, so that a rename survives a loss of power. Does
  /// nothing where folders cannot be synced, as on Windows, whose `rename_over` waits by itself.
  result<void> (*sync_folder)(void* context, std::string_view path_utf8) noexcept;

  /// Removes a file, or the link itself if it is one.
  /// @retval errc::file_not_found
  result<void> (*remove)(void* context, std::string_view path_utf8) noexcept;

  /// Calls `visit(visitor, name)` for each name in a folder but "." and "..", in no particular order, until
  /// it returns false. Names live for the length of the call. Whether one that is created or removed
  /// meanwhile comes is open.
  result<void> (*list_folder)(void* context, std::string_view path_utf8,
                              bool (*visit)(void* visitor, std::string_view name) noexcept, void* visitor) noexcept;

  /// Opens a file, making it if need be, and takes its lock without waiting. The lock ends when the caller
  /// closes the handle, at the latest with the process. It keeps out only those who ask for it.
  /// @retval errc::locked  someone else holds it, in this process or another
  result<native_handle> (*lock_file)(void* context, std::string_view path_utf8) noexcept;

  /// Makes a folder; its permissions are 0777 less the umask.
  /// @retval errc::file_exists  something has this name
  result<void> (*create_folder)(void* context, std::string_view path_utf8) noexcept;

  // A table may leave out the following entries; without them a save does not have what they are for.

  /// Gives a second handle of a file that `create_exclusive` made, with which it stays locked when the first is
  /// closed. The caller closes it.
  /// @retval errc::unsupported  no file that stays open can be renamed here
  result<native_handle> (*keep_locked)(void* context, native_handle handle) noexcept = nullptr;

  /// Removes a file that `create_exclusive` made and whose lock nobody holds: its program has ended.
  /// @retval errc::locked  its program is at work; or errc::unsupported: there are no locks here
  result<void> (*remove_unlocked)(void* context, std::string_view path_utf8) noexcept = nullptr;

  /// Gives an open file the permissions of the one at a path, and its owner and group where that is permitted. Does
  /// nothing where permissions are those of the folder, as on Windows.
  /// @retval errc::file_not_found  there is none
  result<void> (*copy_access)(void* context, native_handle handle, std::string_view from_utf8) noexcept = nullptr;

  /// Reads where a symbolic link leads.
  /// @return the size of the path that was written to `into`
  /// @retval errc::not_found  it is no link, or links are not followed here
  /// @retval errc::bad_path   the path does not fit
  result<std::size_t> (*read_link)(void* context, std::string_view path_utf8, std::span<char> into) noexcept = nullptr;

  /// Looks whether a file that `lock_file` opened is still the one at its path.
  /// @retval errc::locked          another file is there, whose lock anybody may hold
  /// @retval errc::file_not_found  none is
  result<void> (*check_lock)(void* context, native_handle handle, std::string_view path_utf8) noexcept = nullptr;
};

/// Whether a call that failed so was cut short by a signal and may simply be made again.
[[nodiscard]] inline bool was_interrupted(const error& failure) noexcept { return detail::os::interrupted(failure); }

namespace detail {

/// Calls `call` with the system's form of a path; errors are about the path.
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
};

using os::most_interruptions;

/// Makes a system call by an entry of `operations`, again while signals cut it short.
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

/// The most links that a path leads through, as POSIX systems have it.
inline constexpr int most_links = 40;

} // namespace detail

/// The table whose entries are the operating system's own calls. Static storage, initialised at compile time.
[[nodiscard]] constexpr const file_operations& system_file_operations() noexcept { return detail::system_operations; }

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
