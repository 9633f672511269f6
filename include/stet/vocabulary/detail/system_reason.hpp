// SPDX-License-Identifier: MIT
// The operating system's usual reasons in words, by its numbers: those that opening, reading and writing files give.
#ifndef STET_VOCABULARY_DETAIL_SYSTEM_REASON_HPP
#define STET_VOCABULARY_DETAIL_SYSTEM_REASON_HPP

#include "../config.hpp"

#include <cstddef>
#include <cstdint>

#if STET_FILES && !defined(_WIN32)
#include <errno.h>
#endif

namespace stet::inline STET_NAMESPACE::detail {

// A table of stet's own: strerror is not safe in threads, strerror_r has two signatures and FormatMessage takes <windows.h>; all
// speak the user's language, which a log that is searched must not.

struct system_reason {
  std::int32_t code;
  const char* words;
};

inline constexpr system_reason system_reasons[] = {
#if !STET_FILES
    {0, ""},
#elif defined(_WIN32)
    {1, "the function is not supported"},
    {2, "no such file"},
    {3, "no such folder"},
    {4, "too many open files"},
    {5, "access is denied"},
    {6, "the handle is not valid"},
    {8, "out of memory"},
    {14, "out of memory"},
    {19, "the medium is write-protected"},
    {21, "the device is not ready"},
    {23, "the disk reports a checksum error"},
    {32, "another process uses the file"},
    {33, "another process has locked a part of the file"},
    {39, "the disk is full"},
    {50, "the request is not supported"},
    {53, "the network path was not found"},
    {55, "the network device is gone"},
    {64, "the network name is gone"},
    {80, "the file exists"},
    {87, "a parameter is not valid"},
    {112, "the disk is full"},
    {123, "the name of the file is not valid"},
    {145, "the folder is not empty"},
    {161, "the path is not valid"},
    {183, "the file exists"},
    {206, "the name of the file is too long"},
    {267, "not a folder"},
    {1117, "the device reports an input/output error"},
    {1224, "the file is mapped"},
    {1295, "the disk quota is exceeded"},
    {1453, "the quota of memory is exceeded"},
    {1455, "out of memory"},
#else
    {EPERM, "operation not permitted"},
    {ENOENT, "no such file or folder"},
    {EINTR, "interrupted by signals"},
    {EIO, "input/output error"},
    {ENXIO, "no such device"},
    {EBADF, "the file is not open for this"},
    {EAGAIN, "temporarily unavailable"},
    {ENOMEM, "out of memory"},
    {EACCES, "permission denied"},
    {EBUSY, "the file is busy"},
    {EEXIST, "the file exists"},
    {EXDEV, "on another file system"},
    {ENODEV, "not supported by the file system"},
    {ENOTDIR, "a part of the path is not a folder"},
    {EISDIR, "is a folder"},
    {EINVAL, "invalid argument"},
    {ENFILE, "too many open files in the system"},
    {EMFILE, "too many open files"},
    {ETXTBSY, "a running program uses the file"},
    {EFBIG, "the file is too large"},
    {ENOSPC, "no space left on the device"},
    {EROFS, "the file system is read-only"},
    {EMLINK, "too many links"},
    {ENAMETOOLONG, "the path is too long"},
    {ENOLCK, "no locks are left"},
    {ENOSYS, "not supported by the system"},
    {ENOTEMPTY, "the folder is not empty"},
    {ELOOP, "too many symbolic links"},
    {EOVERFLOW, "the file is too large for this program"},
    {EOPNOTSUPP, "not supported by the file system"},
    {ETIMEDOUT, "timed out"},
    {ESTALE, "the file is gone from the network"},
    {EDQUOT, "the disk quota is exceeded"},
#endif
};

/// The system's reason for its number `code` in words; empty for a number that is not in the table.
constexpr const char* reason_of(std::int32_t code) noexcept {
  for (std::size_t row = 0; row < sizeof system_reasons / sizeof *system_reasons; ++row) {
    if (system_reasons[row].code == code) return system_reasons[row].words;
  }
  return "";
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
