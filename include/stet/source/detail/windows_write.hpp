// SPDX-License-Identifier: MIT
// The system calls of saving on Windows, each made once; posix_write.hpp declares the same set.
#ifndef STET_SOURCE_DETAIL_WINDOWS_WRITE_HPP
#define STET_SOURCE_DETAIL_WINDOWS_WRITE_HPP

#include "../../vocabulary/config.hpp"

#if STET_FILES && defined(_WIN32)

#include "windows.hpp"

#include <span>

struct _WIN32_FIND_DATAW;

namespace stet::inline STET_NAMESPACE::detail::win32 {

// The same layout as the struct of the same meaning in <windows.h>.
struct find_data {
  unsigned long attributes;
  unsigned long times[6];
  unsigned long size[2];
  unsigned long reserved[2];
  wchar_t name[260];
  wchar_t short_name[14];
};

extern "C" {
__declspec(dllimport) int __stdcall WriteFile(void*, const void*, unsigned long, unsigned long*, ::_OVERLAPPED*);
__declspec(dllimport) unsigned long __stdcall SetFilePointer(void*, long, long*, unsigned long);
__declspec(dllimport) int __stdcall SetEndOfFile(void*);
__declspec(dllimport) int __stdcall FlushFileBuffers(void*);
__declspec(dllimport) void __stdcall SetLastError(unsigned long);
__declspec(dllimport) int __stdcall MoveFileExW(const wchar_t*, const wchar_t*, unsigned long);
__declspec(dllimport) int __stdcall ReplaceFileW(const wchar_t*, const wchar_t*, const wchar_t*, unsigned long, void*,
                                                 void*);
__declspec(dllimport) unsigned long __stdcall GetFileAttributesW(const wchar_t*);
__declspec(dllimport) int __stdcall DeleteFileW(const wchar_t*);
__declspec(dllimport) void* __stdcall FindFirstFileW(const wchar_t*, ::_WIN32_FIND_DATAW*);
__declspec(dllimport) int __stdcall FindNextFileW(void*, ::_WIN32_FIND_DATAW*);
__declspec(dllimport) int __stdcall FindClose(void*);
__declspec(dllimport) int __stdcall CreateDirectoryW(const wchar_t*, ::_SECURITY_ATTRIBUTES*);
}

inline constexpr unsigned long move_replace_existing = 1, move_write_through = 8;
inline constexpr unsigned long replace_ignore_merge_errors = 2, replace_ignore_acl_errors = 4;
inline constexpr unsigned long error_no_more_files = 18, error_sharing_violation = 32,
                               error_unable_to_move_replacement = 1177;
inline constexpr unsigned long share_nothing = 0, share_without_deleting = 3, open_always = 4;

} // namespace stet::inline STET_NAMESPACE::detail::win32

namespace stet::inline STET_NAMESPACE::detail::os {

inline result<native_handle> create_exclusive(const native_path& path) noexcept {
  using namespace win32;
  // Not shared for deletion, so that a sweep cannot remove a file that is being written.
  void* const handle = CreateFileW(path.c_str(), generic_read | generic_write, share_without_deleting, nullptr,
                                   create_new, attribute_normal, nullptr);
  if (is_invalid(handle)) return last_failure();
  return static_cast<native_handle>(handle);
}

inline result<native_handle> open_to_write(const native_path& path) noexcept {
  using namespace win32;
  void* const handle = CreateFileW(path.c_str(), generic_read | generic_write, share_without_deleting, nullptr,
                                   open_existing, attribute_normal | flag_open_reparse_point, nullptr);
  if (is_invalid(handle)) return last_failure();
  return static_cast<native_handle>(handle);
}

/// Unsupported: a file that is open without sharing for deletion cannot be renamed either.
inline result<native_handle> keep_locked(native_handle) noexcept { return errc::unsupported; }

/// Does nothing: access rights come from the folder.
inline result<void> copy_access(native_handle, const native_path&) noexcept { return {}; }

inline result<std::size_t> write_some(native_handle handle, std::uint64_t offset_bytes, const std::byte* from,
                                      std::size_t size_bytes) noexcept {
  if (offset_bytes > max_file_bytes) return errc::unsupported;
  win32::overlapped where = at_offset(offset_bytes);
  const std::size_t size = size_bytes < max_transfer_bytes ? size_bytes : max_transfer_bytes;
  unsigned long count = 0;
  const int done = win32::WriteFile(handle, from, static_cast<unsigned long>(size), &count,
                                    reinterpret_cast<::_OVERLAPPED*>(&where));
  if (!finish_transfer(handle, done, where, count)) return last_failure();
  return std::size_t{count};
}

inline result<void> set_size(native_handle handle, std::uint64_t size_bytes) noexcept {
  if (size_bytes > max_file_bytes) return errc::unsupported;
  // SetFilePointer, because its successor has parameters that cannot be declared without <windows.h>. A failure and
  // the low half of a position can have the same return value.
  long high = static_cast<long>(size_bytes >> 32);
  win32::SetLastError(0);
  const unsigned long low = win32::SetFilePointer(handle, static_cast<long>(size_bytes & 0xFFFFFFFFu), &high, 0);
  if (low == 0xFFFFFFFFu && win32::GetLastError() != 0) return last_failure();
  if (win32::SetEndOfFile(handle) == 0) return last_failure();
  return {};
}

/// Reserves space for the file. @return true: a file that is not sparse owns the space of its size
inline result<bool> reserve(native_handle handle, std::uint64_t size_bytes) noexcept {
  const auto now = inspect(handle);
  if (!now) return now.error();
  if (now->size_bytes >= size_bytes) return true;
  if (const auto done = set_size(handle, size_bytes); !done) return done.error();
  return true;
}

inline result<void> sync(native_handle handle) noexcept {
  if (win32::FlushFileBuffers(handle) == 0) return last_failure();
  return {};
}

inline result<void> remove(const native_path& path) noexcept {
  if (win32::DeleteFileW(path.c_str()) == 0) return last_failure();
  return {};
}

inline result<void> remove_unlocked(const native_path& path) noexcept {
  const auto removed = remove(path);
  if (removed || removed.error().system_code() != static_cast<std::int32_t>(win32::error_sharing_violation))
    return removed;
  return error(errc::locked).with_system_code(removed.error().system_code());
}

/// Replaces `to` while it is mapped: ReplaceFileW first renames it to the name of a backup. Several names are tried,
/// because the backup of an earlier save may still be mapped.
inline result<void> replace_mapped(const native_path& from, const native_path& to) noexcept {
  using namespace win32;
  if ((GetFileAttributesW(to.c_str()) & attribute_directory) != 0) return errc::access_denied; // never a folder
  constexpr std::wstring_view suffix = L".stet-old-";
  const std::wstring_view target = to.c_str();
  scratch<wchar_t, 300> buffer;
  wchar_t* const backup = buffer.reserve(target.size() + suffix.size() + 2);
  if (backup == nullptr) return errc::out_of_memory;
  wchar_t* end = backup;
  for (const wchar_t unit : target) *end++ = unit;
  for (const wchar_t unit : suffix) *end++ = unit;
  end[1] = L'\0';
  error failure = errc::access_denied;
  for (wchar_t digit = L'0'; digit <= L'9'; ++digit) {
    *end = digit;
    DeleteFileW(backup);
    if (ReplaceFileW(to.c_str(), from.c_str(), backup, replace_ignore_merge_errors | replace_ignore_acl_errors, nullptr,
                     nullptr) != 0) {
      DeleteFileW(backup);
      return {};
    }
    failure = last_failure();
    if (failure.system_code() == static_cast<std::int32_t>(error_unable_to_move_replacement)) {
      MoveFileExW(backup, to.c_str(), move_write_through); // only the first of the two steps had succeeded
      break;
    }
  }
  return failure;
}

inline result<void> rename_over(const native_path& from, const native_path& to) noexcept {
  using namespace win32;
  if (MoveFileExW(from.c_str(), to.c_str(), move_replace_existing | move_write_through) != 0) return {};
  const error failure = last_failure();
  if (failure.system_code() != static_cast<std::int32_t>(error_access_denied)) return failure;
  if (!replace_mapped(from, to)) return failure; // the first failure tells more than the last attempt
  return {};
}

/// Does nothing: `rename_over` has waited for the disk.
inline result<void> sync_folder(const native_path&) noexcept { return {}; }

/// Converts a name from the system to UTF-8. `into` has room for three bytes a unit. Unpaired surrogates, which UTF-8
/// cannot express, become U+FFFD.
/// @return the number of bytes
inline std::size_t to_utf8(const wchar_t* name, char* into) noexcept {
  char* out = into;
  while (*name != L'\0') {
    std::uint32_t point = static_cast<std::uint16_t>(*name++);
    if (point >= 0xD800u && point < 0xE000u) {
      const std::uint32_t low = static_cast<std::uint16_t>(*name);
      const bool paired = point < 0xDC00u && low >= 0xDC00u && low < 0xE000u;
      point = paired ? 0x10000u + ((point & 0x3FFu) << 10 | (low & 0x3FFu)) : 0xFFFDu;
      if (paired) ++name;
    }
    const int following = point < 0x80u ? 0 : point < 0x800u ? 1 : point < 0x10000u ? 2 : 3;
    constexpr std::uint32_t leads[] = {0x00u, 0xC0u, 0xE0u, 0xF0u};
    *out++ = static_cast<char>(leads[following] | point >> (6 * following));
    for (int k = following - 1; k >= 0; --k) *out++ = static_cast<char>(0x80u | (point >> (6 * k) & 0x3Fu));
  }
  return static_cast<std::size_t>(out - into);
}

/// Calls `visit` with each name in the folder until it returns false.
inline result<void> list_folder(const native_path& path, bool (*visit)(void*, std::string_view) noexcept,
                                void* visitor) noexcept {
  using namespace win32;
  const std::wstring_view folder = path.c_str();
  scratch<wchar_t, 300> buffer;
  wchar_t* const pattern = buffer.reserve(folder.size() + 3);
  if (pattern == nullptr) return errc::out_of_memory;
  wchar_t* end = pattern;
  for (const wchar_t unit : folder) *end++ = unit;
  if (!folder.ends_with(L'\\')) *end++ = L'\\'; // two are invalid after the prefix of long paths
  *end++ = L'*';
  *end = L'\0';

  find_data entry;
  auto* const raw = reinterpret_cast<::_WIN32_FIND_DATAW*>(&entry);
  void* const search = FindFirstFileW(pattern, raw);
  if (is_invalid(search)) return last_failure();
  char name_buffer[3 * 260];
  result<void> done;
  for (;;) {
    const std::string_view name(name_buffer, to_utf8(entry.name, name_buffer));
    if (name != "." && name != ".." && !visit(visitor, name)) break;
    if (FindNextFileW(search, raw) == 0) {
      if (GetLastError() != error_no_more_files) done = last_failure();
      break;
    }
  }
  FindClose(search);
  return done;
}

/// Locks a file by opening it without sharing. The system closes the handle of a process that ends.
inline result<native_handle> lock_file(const native_path& path) noexcept {
  using namespace win32;
  void* const handle = CreateFileW(path.c_str(), generic_read | generic_write, share_nothing, nullptr, open_always,
                                   attribute_normal | flag_open_reparse_point, nullptr);
  if (!is_invalid(handle)) return static_cast<native_handle>(handle);
  const error failure = last_failure();
  if (failure.system_code() != static_cast<std::int32_t>(error_sharing_violation)) return failure;
  return error(errc::locked).with_system_code(failure.system_code());
}

/// Does nothing: the name of a file that is open without sharing, and of its folder, cannot be taken.
inline result<void> check_lock(native_handle, const native_path&) noexcept { return {}; }

inline result<void> create_folder(const native_path& path) noexcept {
  if (win32::CreateDirectoryW(path.c_str(), nullptr) == 0) return last_failure();
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail::os

#endif

#endif
