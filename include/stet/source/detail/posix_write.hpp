// SPDX-License-Identifier: MIT
// The system calls of saving on POSIX, each made once; windows_write.hpp declares the same set.
#ifndef STET_SOURCE_DETAIL_POSIX_WRITE_HPP
#define STET_SOURCE_DETAIL_POSIX_WRITE_HPP

#include "../../vocabulary/config.hpp"

#if STET_FILES && !defined(_WIN32)

#include "posix.hpp"

#include <span>

#include <dirent.h>
#include <stdio.h>
#if !defined(__wasi__)
#include <sys/file.h>
#endif

namespace stet::inline STET_NAMESPACE::detail::os {

#if (defined(__GLIBC__) && defined(__USE_LARGEFILE64)) || defined(__BIONIC__)
inline constexpr auto* pwrite_call = &::pwrite64;
inline constexpr auto* ftruncate_call = &::ftruncate64;
inline constexpr auto* fallocate_call = &::fallocate64;
inline constexpr auto* readdir_call = &::readdir64;
inline constexpr auto* stat_call = &::stat64;
inline constexpr auto* lstat_call = &::lstat64;
#else
inline constexpr auto* pwrite_call = &::pwrite;
inline constexpr auto* ftruncate_call = &::ftruncate;
inline constexpr auto* readdir_call = &::readdir;
inline constexpr auto* stat_call = &::stat;
inline constexpr auto* lstat_call = &::lstat;
#if defined(__linux__)
inline constexpr auto* fallocate_call = &::fallocate;
#endif
#endif

/// Takes the lock of an open file without waiting. The lock belongs to the open file description, which a fork shares.
/// @retval errc::locked  another open file holds it
inline result<void> take_lock([[maybe_unused]] native_handle handle) noexcept {
#if defined(__wasi__)
  return errc::unsupported;
#else
  if (::flock(handle, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) return error(errc::locked).with_system_code(EWOULDBLOCK);
  return last_failure();
#endif
}

/// True if `status` describes the file that `handle` has open.
inline bool is_same_file(native_handle handle, const file_status& status) noexcept {
  file_status own;
  return fstat_call(handle, &own) == 0 && own.st_dev == status.st_dev && own.st_ino == status.st_ino;
}

inline result<native_handle> create_exclusive(const native_path& path) noexcept {
  const int handle = open_call(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (handle < 0) return last_failure();
  const auto locked = take_lock(handle);
  file_status named;
  // Before the lock was taken, a sweep may have considered the file abandoned: it has the lock, or has removed the file.
  const bool is_swept = locked ? lstat_call(path.c_str(), &named) != 0 || !is_same_file(handle, named)
                               : locked.error().code() == errc::locked;
  if (!is_swept) return handle; // if locking failed for another reason, the file system has no locks
  (void)close(handle);
  return error(errc::file_exists).with_system_code(EEXIST);
}

inline result<native_handle> open_to_write(const native_path& path) noexcept {
  const int handle = open_call(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (handle < 0) return last_failure();
  return handle;
}

inline result<native_handle> keep_locked([[maybe_unused]] native_handle handle) noexcept {
#if defined(__wasi__)
  return errc::unsupported;
#else
  const int kept = ::fcntl(handle, F_DUPFD_CLOEXEC, 0);
  if (kept < 0) return last_failure();
  return kept;
#endif
}

inline result<void> remove_unlocked(const native_path& path) noexcept {
  const int handle = open_call(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (handle < 0) return last_failure();
  result<void> done = take_lock(handle);
  if (done) {
    // Before the lock was taken, another file may have got the name.
    file_status named;
    if (lstat_call(path.c_str(), &named) != 0 || (is_same_file(handle, named) && ::unlink(path.c_str()) != 0))
      done = last_failure();
  }
  (void)close(handle);
  return done;
}

inline result<void> copy_access(native_handle handle, const native_path& from) noexcept {
  file_status old, made;
  if (stat_call(from.c_str(), &old) != 0) return last_failure();
  if (!S_ISREG(old.st_mode)) return {};
  if (fstat_call(handle, &made) != 0) return last_failure();
#if !defined(__wasi__)
  // Only an administrator may change the owner of a file; a member of a group may give the file to that group.
  if (made.st_uid != old.st_uid && ::fchown(handle, old.st_uid, old.st_gid) == 0) made.st_gid = old.st_gid;
  if (made.st_gid != old.st_gid && ::fchown(handle, static_cast<::uid_t>(-1), old.st_gid) == 0)
    made.st_gid = old.st_gid;
  ::mode_t mode = old.st_mode & 0777;
  // Another group gets only the rights of all users.
  if (made.st_gid != old.st_gid) mode &= static_cast<::mode_t>(0707 | (mode & 07) << 3);
  if (mode != (made.st_mode & 07777) && ::fchmod(handle, mode) != 0) return last_failure();
#endif
  return {};
}

inline result<std::size_t> write_some(native_handle handle, std::uint64_t offset_bytes, const std::byte* from,
                                      std::size_t size_bytes) noexcept {
  if (offset_bytes > max_file_bytes) return errc::unsupported;
  // Not more than may well be in memory at once.
  constexpr std::size_t most_bytes = std::size_t{16} << 20;
  const std::size_t count = size_bytes < most_bytes ? size_bytes : most_bytes;
  // Linux writes bytes of pages of a mapping that are not there yet a page at a time, and then has the file in single pages, which takes
  // twice as long. If they cannot be brought in, it is slower, but right.
  constexpr std::size_t worthwhile_bytes = 65536;
  if (count >= worthwhile_bytes) (void)populate(from, count);
  const auto done = pwrite_call(handle, from, count, static_cast<file_offset>(offset_bytes));
  if (done < 0) return last_failure();
  return static_cast<std::size_t>(done);
}

inline result<void> set_size(native_handle handle, std::uint64_t size_bytes) noexcept {
  if (size_bytes > max_file_bytes) return errc::unsupported;
  if (ftruncate_call(handle, static_cast<file_offset>(size_bytes)) != 0) return last_failure();
  return {};
}

/// True if an error of `reserve` means that the file system lacks the operation, not that the disk has a fault.
inline bool cannot_reserve(int code) noexcept {
  return code == EOPNOTSUPP || code == ENOTSUP || code == ENOSYS || code == EINVAL;
}

/// Reserves space for the file. @return false if the file system cannot reserve any
inline result<bool> reserve(native_handle handle, std::uint64_t size_bytes) noexcept {
  if (size_bytes > max_file_bytes) return errc::unsupported;
  if (size_bytes == 0) return true;
#if defined(__linux__)
  // The system call itself: without support of the file system, glibc's posix_fallocate would write to every block.
  if (fallocate_call(handle, 0, 0, static_cast<file_offset>(size_bytes)) == 0) return true;
  if (cannot_reserve(errno)) return false;
  return last_failure();
#elif defined(__APPLE__)
  ::fstore_t wanted = {};
  wanted.fst_flags = F_ALLOCATEALL;
  wanted.fst_posmode = F_PEOFPOSMODE;
  wanted.fst_length = static_cast<file_offset>(size_bytes);
  if (::fcntl(handle, F_PREALLOCATE, &wanted) == -1) {
    if (cannot_reserve(errno)) return false;
    return last_failure();
  }
  if (ftruncate_call(handle, static_cast<file_offset>(size_bytes)) != 0) return last_failure();
  return true;
#elif defined(__FreeBSD__) || defined(__NetBSD__)
  const int code = ::posix_fallocate(handle, 0, static_cast<file_offset>(size_bytes)); // does not set errno
  if (code == 0) return true;
  if (cannot_reserve(code)) return false;
  return translate(error_rows, code);
#else
  return (void)handle, false;
#endif
}

inline result<void> sync(native_handle handle) noexcept {
#if defined(__APPLE__)
  // fsync leaves the bytes in the cache of the disk here. Network volumes lack the stronger call.
  if (::fcntl(handle, F_FULLFSYNC) == 0) return {};
  if (errno != ENOTSUP && errno != EINVAL) return last_failure();
#endif
  if (::fsync(handle) != 0) return last_failure();
  return {};
}

inline result<void> rename_over(const native_path& from, const native_path& to) noexcept {
  if (::rename(from.c_str(), to.c_str()) != 0) return last_failure();
  return {};
}

inline result<void> sync_folder(const native_path& path) noexcept {
  const int handle = open_call(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
#if defined(__linux__)
  // A folder that is writable but not readable cannot be opened, so wait for every disk instead.
  if (handle < 0 && errno == EACCES) return ::sync(), result<void>();
#endif
  if (handle < 0) return last_failure();
  result<void> done;
  // EINVAL: this file system cannot sync folders, as some network file systems.
  if (::fsync(handle) != 0 && errno != EINVAL) done = last_failure();
  (void)close(handle);
  return done;
}

inline result<void> remove(const native_path& path) noexcept {
  if (::unlink(path.c_str()) != 0) return last_failure();
  return {};
}

/// Calls `visit` with each name in the folder until it returns false.
inline result<void> list_folder(const native_path& path, bool (*visit)(void*, std::string_view) noexcept,
                                void* visitor) noexcept {
  ::DIR* const folder = ::opendir(path.c_str());
  if (folder == nullptr) return last_failure();
  result<void> done;
  for (;;) {
    errno = 0;
    const auto* const entry = readdir_call(folder);
    if (entry == nullptr) {
      if (errno != 0) done = last_failure();
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && !visit(visitor, name)) break;
  }
  ::closedir(folder);
  return done;
}

inline result<native_handle> lock_file(const native_path& path) noexcept {
  const int handle = open_call(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (handle < 0) return last_failure();
  if (const auto locked = take_lock(handle); !locked) {
    (void)close(handle);
    return locked.error();
  }
  return handle;
}

inline result<void> check_lock(native_handle handle, const native_path& path) noexcept {
  file_status named;
  if (lstat_call(path.c_str(), &named) != 0) return last_failure();
  if (!is_same_file(handle, named)) return errc::locked;
  return {};
}

inline result<void> create_folder(const native_path& path) noexcept {
  if (::mkdir(path.c_str(), 0777) != 0) return last_failure();
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail::os

#endif

#endif
