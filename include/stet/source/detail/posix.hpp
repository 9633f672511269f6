// SPDX-License-Identifier: MIT
// The system calls of reading and mapping on POSIX; windows.hpp declares the same set.
#ifndef STET_SOURCE_DETAIL_POSIX_HPP
#define STET_SOURCE_DETAIL_POSIX_HPP

#include "../../vocabulary/config.hpp"

#if STET_FILES && !defined(_WIN32)

#include "os_support.hpp"

#include <cstring>
#include <span>
#include <string_view>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__wasi__) // has no mappings
#include <stdlib.h>
#else
#include <sys/mman.h>
#endif

namespace stet::inline STET_NAMESPACE {

/// The operating system's handle of an open file: a descriptor on POSIX, a HANDLE on Windows.
using native_handle = int;

} // namespace stet::inline STET_NAMESPACE

namespace stet::inline STET_NAMESPACE::detail::os {

inline constexpr native_handle no_handle = -1;

// A header cannot set _FILE_OFFSET_BITS for its includer. Where off_t may have 32 bits, the calls with 64-bit offsets
// are therefore called by their own names.
#if (defined(__GLIBC__) && defined(__USE_LARGEFILE64)) || defined(__BIONIC__)
using file_status = struct ::stat64;
using file_offset = ::off64_t;
inline constexpr auto* open_call = &::open64;
inline constexpr auto* fstat_call = &::fstat64;
inline constexpr auto* pread_call = &::pread64;
inline constexpr auto* mmap_call = &::mmap64;
#else
using file_status = struct ::stat;
using file_offset = ::off_t;
inline constexpr auto* open_call = &::open;
inline constexpr auto* fstat_call = &::fstat;
inline constexpr auto* pread_call = &::pread;
#if !defined(__wasi__)
inline constexpr auto* mmap_call = &::mmap;
#endif
#endif
static_assert(sizeof(file_offset) == 8, "this target has no calls with 64-bit file offsets");

inline constexpr error_row error_rows[] = {
    {ENOENT, errc::file_not_found},    {ENOTDIR, errc::file_not_found},
    {EACCES, errc::access_denied},     {EPERM, errc::access_denied},
    {EROFS, errc::access_denied},      {EISDIR, errc::not_a_regular_file},
    {ENXIO, errc::not_a_regular_file}, // for opening a socket
    {ENOSPC, errc::no_space},          {EDQUOT, errc::no_space},
    {ENOMEM, errc::out_of_memory},     {ENAMETOOLONG, errc::bad_path},
    {EEXIST, errc::file_exists},       {ENODEV, errc::unsupported}, // mmap on a file system that cannot map
    {ENOSYS, errc::unsupported},       {EOPNOTSUPP, errc::unsupported},
};

/// The error for the errno of the last call.
inline error last_failure() noexcept { return translate(error_rows, errno); }

/// True if a signal interrupted the call that returned `failure`, so that it can be repeated.
inline bool interrupted(const error& failure) noexcept { return failure.system_code() == EINTR; }

/// A path in the form of the system calls.
class native_path {
public:
  native_path() noexcept { text_[0] = '\0'; }
  /// @retval errc::bad_path  empty, holds a NUL, or is longer than any path of the system
  [[nodiscard]] result<void> assign(std::string_view path_utf8) noexcept {
    if (path_utf8.empty() || std::memchr(path_utf8.data(), '\0', path_utf8.size()) != nullptr) {
      return error(errc::bad_path, path_utf8);
    }
    if (path_utf8.size() >= sizeof text_) return error(errc::bad_path, path_utf8).with_system_code(ENAMETOOLONG);
    std::memcpy(text_, path_utf8.data(), path_utf8.size());
    text_[path_utf8.size()] = '\0';
    return {};
  }
  [[nodiscard]] const char* c_str() const noexcept { return text_; }

private:
  char text_[4096]; // PATH_MAX of Linux; nowhere more
};

/// Opens without blocking (a plain open of a FIFO without a writer would block).
inline result<native_handle> open(const native_path& path, bool writable, bool follow_links) noexcept {
  int flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC;
  if (!follow_links) flags |= O_NOFOLLOW;
  const int handle = open_call(path.c_str(), flags);
  if (handle >= 0) return handle;
  if (!follow_links && errno == ELOOP) return error(errc::bad_path).with_system_code(ELOOP);
  return last_failure();
}

/// Reads where a symbolic link leads.
/// @retval errc::not_found  it is no link
/// @retval errc::bad_path   the target does not fit
inline result<std::size_t> read_link(const native_path& path, std::span<char> into) noexcept {
  const auto size = ::readlink(path.c_str(), into.data(), into.size());
  if (size < 0) return errno == EINVAL ? error(errc::not_found).with_system_code(EINVAL) : last_failure();
  if (static_cast<std::size_t>(size) == into.size()) return errc::bad_path; // the link may be longer
  return static_cast<std::size_t>(size);
}

inline result<void> close(native_handle handle) noexcept {
  // After EINTR the descriptor is gone on Linux and unusable elsewhere: closing again could hit another file.
  if (::close(handle) != 0 && errno != EINTR) return last_failure();
  return {};
}

/// The time of the last change. Unlike the time of the last write, no program can set it back.
inline std::uint64_t changed_ns(const file_status& status) noexcept {
#if defined(__APPLE__)
  const auto& time = status.st_ctimespec;
#else
  const auto& time = status.st_ctim;
#endif
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

inline result<file_facts> inspect(native_handle handle) noexcept {
  file_status status;
  if (fstat_call(handle, &status) != 0) return last_failure();
  file_facts facts;
  facts.size_bytes = status.st_size < 0 ? 0 : static_cast<std::uint64_t>(status.st_size);
  facts.volume = static_cast<std::uint64_t>(status.st_dev);
  facts.index = static_cast<std::uint64_t>(status.st_ino);
  facts.link_count = static_cast<std::uint64_t>(status.st_nlink);
  facts.changed_ns = changed_ns(status);
  facts.regular = S_ISREG(status.st_mode);
  return facts;
}

/// Checks that `handle` is open for reading.
inline result<void> check_readable(native_handle handle) noexcept {
  const int flags = ::fcntl(handle, F_GETFL);
  if (flags == -1) return last_failure();
  if ((flags & O_ACCMODE) == O_WRONLY) return error(errc::access_denied).with_system_code(EBADF);
  return {};
}

/// Makes one call. @return the number of bytes read; 0 at the end of the file
inline result<std::size_t> read_some(native_handle handle, std::uint64_t offset_bytes, std::byte* into,
                                     std::size_t size_bytes) noexcept {
  const std::size_t count = size_bytes < max_transfer_bytes ? size_bytes : max_transfer_bytes;
  const auto done = pread_call(handle, into, count, static_cast<file_offset>(offset_bytes));
  if (done < 0) return last_failure();
  return static_cast<std::size_t>(done);
}

/// The same, of a `parallel_handle`.
inline result<std::size_t> read_in_flight(native_handle handle, std::uint64_t offset_bytes, std::byte* into,
                                          std::size_t size_bytes) noexcept {
  return read_some(handle, offset_bytes, into, size_bytes);
}

/// The power of two that the offset of a mapping must be a multiple of.
inline std::size_t mapping_granularity() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

/// A mapping is readable up to the next multiple of this. Source: POSIX.1-2017, mmap: "The system shall always zero-fill any partial
/// page at the end of an object."
inline std::size_t readable_granularity() noexcept {
#if defined(__wasi__) || defined(__EMSCRIPTEN__) // a copy of as many bytes as were asked for
  return 1;
#else
  return mapping_granularity();
#endif
}

/// A range of bytes extended to whole pages, as the calls below require.
struct page_range {
  page_range(const std::byte* at, std::size_t count) noexcept {
    const std::size_t slack = reinterpret_cast<std::uintptr_t>(at) % mapping_granularity();
    begin = const_cast<std::byte*>(at) - slack;
    size_bytes = count + slack;
  }
  void* begin;
  std::size_t size_bytes;
};

#if defined(__wasi__)

inline void unmap(std::byte* at, std::size_t) noexcept { ::free(at); }

/// Copies the bytes instead of mapping them, since there is no virtual memory; Emscripten's own runtime does the same.
inline result<std::byte*> map(native_handle handle, std::uint64_t offset_bytes, std::size_t size_bytes, bool,
                              bool shared) noexcept {
  if (shared) return errc::unsupported;
  void* made = nullptr;
  if (::posix_memalign(&made, mapping_granularity(), size_bytes) != 0) return errc::out_of_memory;
  auto* const at = static_cast<std::byte*>(made);
  int interruptions = 0;
  for (std::size_t done = 0; done < size_bytes;) {
    const auto count = read_some(handle, offset_bytes + done, at + done, size_bytes - done);
    if (!count && interrupted(count.error()) && ++interruptions < most_interruptions) continue;
    if (!count || *count == 0) {
      unmap(at, size_bytes);
      return count ? error(errc::truncated) : count.error();
    }
    done += *count;
  }
  return at;
}

inline result<void> flush(const std::byte*, std::size_t) noexcept { return errc::unsupported; }

#else

/// Maps `size_bytes` > 0 from `offset_bytes`, a multiple of the granularity.
inline result<std::byte*> map(native_handle handle, std::uint64_t offset_bytes, std::size_t size_bytes, bool writable,
                              bool shared) noexcept {
#if defined(__EMSCRIPTEN__)
  if (shared) return errc::unsupported; // its runtime crashes in msync and munmap once the file is closed
#endif
  void* const at = mmap_call(nullptr, size_bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                             shared ? MAP_SHARED : MAP_PRIVATE, handle, static_cast<file_offset>(offset_bytes));
  if (at == MAP_FAILED) return last_failure();
  return static_cast<std::byte*>(at);
}

inline void unmap(std::byte* at, std::size_t size_bytes) noexcept { ::munmap(at, size_bytes); }

/// Writes changes of a shared mapping to its file and waits for the disk.
inline result<void> flush(const std::byte* at, std::size_t size_bytes) noexcept {
  const page_range pages(at, size_bytes);
  if (::msync(pages.begin, pages.size_bytes, MS_SYNC) != 0) return last_failure();
  return {};
}

#endif

#if defined(__wasi__) || defined(__EMSCRIPTEN__) // no virtual memory: everything is resident and nothing can leave

inline result<void> prefetch(const std::byte*, std::size_t) noexcept { return {}; }
inline bool populate(const std::byte*, std::size_t) noexcept { return true; }
inline void populate_for_reading(const std::byte*, std::size_t) noexcept {}
inline void read_ahead(native_handle, std::uint64_t, std::size_t) noexcept {}
inline result<void> stop_read_ahead(const std::byte*, std::size_t) noexcept { return {}; }
inline void prefer_large_pages(const std::byte*, std::size_t) noexcept {}
inline result<void> evict(const std::byte*, std::size_t) noexcept { return {}; }
inline result<void> lock(const std::byte*, std::size_t) noexcept { return errc::unsupported; }
inline result<void> unlock(const std::byte*, std::size_t) noexcept { return errc::unsupported; }

#else

/// Asks the system to start reading these pages.
inline result<void> prefetch(const std::byte* at, std::size_t size_bytes) noexcept {
  const page_range pages(at, size_bytes);
  if (::madvise(pages.begin, pages.size_bytes, MADV_WILLNEED) != 0) return last_failure();
  return {};
}

/// Brings pages into the process, reads them if need be, and waits for that. @return false if the system has no call for it; other
/// errors are those of the file, and touching the pages would end the program
inline bool populate([[maybe_unused]] const std::byte* at, [[maybe_unused]] std::size_t size_bytes) noexcept {
#if defined(__linux__)
  constexpr int populate_read = 22; // MADV_POPULATE_READ, of Linux 5.14; the C library may not have the name
  const page_range pages(at, size_bytes);
  return ::madvise(pages.begin, pages.size_bytes, populate_read) == 0 || errno != EINVAL;
#else
  return false;
#endif
}

/// Reads these pages and waits until they are in memory, as far as the system does so.
inline void populate_for_reading(const std::byte* at, std::size_t size_bytes) noexcept {
  (void)prefetch(at, size_bytes); // all of them at once, whatever the limit of read-ahead
  if (populate(at, size_bytes)) return;
  const std::size_t page = mapping_granularity();
  for (std::size_t done = 0; done < size_bytes; done += page) (void)static_cast<const volatile std::byte*>(at)[done];
}

/// Asks the system to start reading a range of a file into its cache.
inline void read_ahead([[maybe_unused]] native_handle handle, [[maybe_unused]] std::uint64_t offset_bytes,
                       [[maybe_unused]] std::size_t size_bytes) noexcept {
#if defined(__linux__)
  (void)::readahead(handle, static_cast<file_offset>(offset_bytes), size_bytes);
#endif
}

/// Asks the system to read only those of these pages that are touched.
inline result<void> stop_read_ahead(const std::byte* at, std::size_t size_bytes) noexcept {
  const page_range pages(at, size_bytes);
  if (::madvise(pages.begin, pages.size_bytes, MADV_RANDOM) != 0) return last_failure();
  return {};
}

/// Asks the system for large pages for memory that is not touched yet; touching it then takes a tenth of the time.
inline void prefer_large_pages([[maybe_unused]] const std::byte* at, [[maybe_unused]] std::size_t size_bytes) noexcept {
#if defined(MADV_HUGEPAGE)
  const page_range pages(at, size_bytes);
  (void)::madvise(pages.begin, pages.size_bytes, MADV_HUGEPAGE);
#endif
}

/// Removes these pages from the process. Only for mappings without private changes, which would be lost.
inline result<void> evict(const std::byte* at, std::size_t size_bytes) noexcept {
  const page_range pages(at, size_bytes);
  if (::madvise(pages.begin, pages.size_bytes, MADV_DONTNEED) != 0) return last_failure();
  return {};
}

inline result<void> lock(const std::byte* at, std::size_t size_bytes) noexcept {
  const page_range pages(at, size_bytes);
  if (::mlock(pages.begin, pages.size_bytes) != 0) return last_failure();
  return {};
}

inline result<void> unlock(const std::byte* at, std::size_t size_bytes) noexcept {
  const page_range pages(at, size_bytes);
  if (::munlock(pages.begin, pages.size_bytes) != 0) return last_failure();
  return {};
}

#endif

} // namespace stet::inline STET_NAMESPACE::detail::os

#endif

#endif
