// SPDX-License-Identifier: MIT
// The system calls of reading and mapping on Windows; posix.hpp declares the same set.
#ifndef STET_SOURCE_DETAIL_WINDOWS_HPP
#define STET_SOURCE_DETAIL_WINDOWS_HPP

#include "../../vocabulary/config.hpp"

#if STET_FILES && defined(_WIN32)

#include "os_support.hpp"

#include <span>
#include <string_view>

// <windows.h> would give its macros to every includer, so the few functions are declared here. They are C functions:
// a program that also includes <windows.h> sees each declaration twice. The parameters therefore use its structs.
struct _OVERLAPPED;
struct _SECURITY_ATTRIBUTES;
struct _SYSTEM_INFO;
struct _BY_HANDLE_FILE_INFORMATION;
struct _WIN32_MEMORY_RANGE_ENTRY;

namespace stet::inline STET_NAMESPACE {

/// The operating system's handle of an open file: a descriptor on POSIX, a HANDLE on Windows.
using native_handle = void*;

} // namespace stet::inline STET_NAMESPACE

namespace stet::inline STET_NAMESPACE::detail::win32 {

// SIZE_T and ULONG_PTR: not std::size_t, which is another type of the same width on 32-bit Windows.
using word = std::conditional_t<sizeof(void*) == 8, unsigned long long, unsigned long>;

// The same layout as the structs of the same meaning in <windows.h>.
struct overlapped {
  word internal[2];
  unsigned long offset;
  unsigned long offset_high;
  void* event;
};
struct system_info {
  unsigned long architecture;
  unsigned long page_size;
  void* address_bounds[2];
  word processor_mask;
  unsigned long processors[2];
  unsigned long allocation_granularity;
  unsigned short level[2];
};
struct file_information {
  unsigned long attributes;
  unsigned long times[6];
  unsigned long volume_serial_number;
  unsigned long size_high;
  unsigned long size_low;
  unsigned long link_count;
  unsigned long index_high;
  unsigned long index_low;
};
struct memory_range {
  void* begin;
  word size_bytes;
};

extern "C" {
__declspec(dllimport) unsigned long __stdcall GetLastError();
__declspec(dllimport) void* __stdcall GetCurrentProcess();
__declspec(dllimport) int __stdcall CloseHandle(void*);
__declspec(dllimport) unsigned long __stdcall GetFullPathNameW(const wchar_t*, unsigned long, wchar_t*, wchar_t**);
__declspec(dllimport) void* __stdcall CreateFileW(const wchar_t*, unsigned long, unsigned long, ::_SECURITY_ATTRIBUTES*,
                                                  unsigned long, unsigned long, void*);
__declspec(dllimport) unsigned long __stdcall GetFileType(void*);
__declspec(dllimport) int __stdcall GetFileInformationByHandle(void*, ::_BY_HANDLE_FILE_INFORMATION*);
__declspec(dllimport) int __stdcall ReadFile(void*, void*, unsigned long, unsigned long*, ::_OVERLAPPED*);
__declspec(dllimport) int __stdcall GetOverlappedResult(void*, ::_OVERLAPPED*, unsigned long*, int);
__declspec(dllimport) void* __stdcall ReOpenFile(void*, unsigned long, unsigned long, unsigned long);
__declspec(dllimport) void* __stdcall CreateEventW(::_SECURITY_ATTRIBUTES*, int, int, const wchar_t*);
__declspec(dllimport) void __stdcall GetSystemInfo(::_SYSTEM_INFO*);
__declspec(dllimport) void* __stdcall CreateFileMappingW(void*, ::_SECURITY_ATTRIBUTES*, unsigned long, unsigned long,
                                                         unsigned long, const wchar_t*);
__declspec(dllimport) void* __stdcall MapViewOfFile(void*, unsigned long, unsigned long, unsigned long, word);
__declspec(dllimport) int __stdcall UnmapViewOfFile(const void*);
__declspec(dllimport) int __stdcall FlushViewOfFile(const void*, word);
__declspec(dllimport) int __stdcall PrefetchVirtualMemory(void*, word, ::_WIN32_MEMORY_RANGE_ENTRY*, unsigned long);
__declspec(dllimport) int __stdcall VirtualLock(void*, word);
__declspec(dllimport) int __stdcall VirtualUnlock(void*, word);
}

// Values of <windows.h>, whose own names for them are macros.
inline constexpr unsigned long generic_read = 0x80000000, generic_write = 0x40000000;
inline constexpr unsigned long share_everything = 7; // reading, writing, deleting: a saver may replace the file
inline constexpr unsigned long create_new = 1, open_existing = 3;
inline constexpr unsigned long attribute_directory = 0x10, attribute_normal = 0x80, attribute_reparse_point = 0x400;
inline constexpr unsigned long flag_backup_semantics = 0x02000000, flag_open_reparse_point = 0x00200000;
inline constexpr unsigned long flag_no_buffering = 0x20000000, flag_overlapped = 0x40000000;
inline constexpr unsigned long file_type_disk = 1;
inline constexpr unsigned long page_read_only = 2, page_read_write = 4, page_write_copy = 8;
inline constexpr unsigned long map_copy = 1, map_write = 2, map_read = 4;
inline constexpr unsigned long error_access_denied = 5, error_handle_eof = 38, error_io_pending = 997,
                               error_io_incomplete = 996, error_not_locked = 158;

/// True for the value that CreateFileW returns when it fails.
inline bool is_invalid(void* handle) noexcept { return reinterpret_cast<word>(handle) == ~word{0}; }

} // namespace stet::inline STET_NAMESPACE::detail::win32

namespace stet::inline STET_NAMESPACE::detail::os {

inline constexpr native_handle no_handle = nullptr;

// Numbers as in winerror.h.
inline constexpr error_row error_rows[] = {
    {2, errc::file_not_found},   // ERROR_FILE_NOT_FOUND
    {3, errc::file_not_found},   // ERROR_PATH_NOT_FOUND
    {5, errc::access_denied},    // ERROR_ACCESS_DENIED
    {19, errc::access_denied},   // ERROR_WRITE_PROTECT
    {32, errc::access_denied},   // ERROR_SHARING_VIOLATION
    {33, errc::access_denied},   // ERROR_LOCK_VIOLATION
    {1224, errc::access_denied}, // ERROR_USER_MAPPED_FILE
    {39, errc::no_space},        // ERROR_HANDLE_DISK_FULL
    {112, errc::no_space},       // ERROR_DISK_FULL
    {1295, errc::no_space},      // ERROR_DISK_QUOTA_EXCEEDED
    {8, errc::out_of_memory},    // ERROR_NOT_ENOUGH_MEMORY
    {14, errc::out_of_memory},   // ERROR_OUTOFMEMORY
    {1453, errc::out_of_memory}, // ERROR_WORKING_SET_QUOTA
    {1455, errc::out_of_memory}, // ERROR_COMMITMENT_LIMIT
    {80, errc::file_exists},     // ERROR_FILE_EXISTS
    {183, errc::file_exists},    // ERROR_ALREADY_EXISTS
    {123, errc::bad_path},       // ERROR_INVALID_NAME
    {161, errc::bad_path},       // ERROR_BAD_PATHNAME
    {206, errc::bad_path},       // ERROR_FILENAME_EXCED_RANGE
    {1, errc::unsupported},      // ERROR_INVALID_FUNCTION
    {50, errc::unsupported},     // ERROR_NOT_SUPPORTED
    {120, errc::unsupported},    // ERROR_CALL_NOT_IMPLEMENTED
};

/// The error for the GetLastError() of the last call.
inline error last_failure() noexcept { return translate(error_rows, static_cast<std::int32_t>(win32::GetLastError())); }

/// True if the call that returned `failure` can be repeated: never on Windows.
inline bool interrupted(const error&) noexcept { return false; }

/// Converts UTF-8 to UTF-16. `into` has room for as many units as `utf8` has bytes.
/// Source: the well-formed sequences of the Unicode Standard, table 3-7.
/// @return the number of units; -1 if `utf8` is malformed or holds a NUL
inline std::ptrdiff_t to_utf16(std::string_view utf8, wchar_t* into) noexcept {
  std::ptrdiff_t units = 0;
  for (std::size_t i = 0; i < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[i++]);
    const int following = lead < 0x80u   ? 0
                          : lead < 0xC2u ? -1
                          : lead < 0xE0u ? 1
                          : lead < 0xF0u ? 2
                          : lead < 0xF5u ? 3
                                         : -1;
    if (lead == 0 || following < 0 || utf8.size() - i < static_cast<std::size_t>(following)) return -1;
    std::uint32_t point = following == 0 ? lead : lead & (0x3Fu >> following);
    for (int k = 0; k < following; ++k) {
      const auto next = static_cast<unsigned char>(utf8[i++]);
      if ((next & 0xC0u) != 0x80u) return -1;
      point = point << 6 | (next & 0x3Fu);
    }
    const bool overlong = (following == 2 && point < 0x800u) || (following == 3 && point < 0x10000u);
    if (overlong || point > 0x10FFFFu || (point >= 0xD800u && point < 0xE000u)) return -1;
    if (point >= 0x10000u) {
      into[units++] = static_cast<wchar_t>(0xD7C0u + (point >> 10));
      point = 0xDC00u | (point & 0x3FFu);
    }
    into[units++] = static_cast<wchar_t>(point);
  }
  return units;
}

/// A path in the form of the system calls: absolute, and, if it is long, with the prefix that removes the limit of 260
/// units.
class native_path {
public:
  /// @retval errc::bad_path  empty, not UTF-8, holds a NUL, or not a path    @retval errc::out_of_memory
  [[nodiscard]] result<void> assign(std::string_view path_utf8) noexcept {
    scratch<wchar_t, 300> wide_buffer;
    wchar_t* const wide = wide_buffer.reserve(path_utf8.size() + 1);
    if (wide == nullptr) return errc::out_of_memory;
    const std::ptrdiff_t count = to_utf16(path_utf8, wide);
    if (count <= 0) return error(errc::bad_path, path_utf8);
    wide[count] = L'\0';

    const unsigned long capacity = win32::GetFullPathNameW(wide, 0, nullptr, nullptr);
    if (capacity == 0) return error(errc::bad_path, path_utf8);
    wchar_t* const room = buffer_.reserve(capacity + prefix_room);
    if (room == nullptr) return errc::out_of_memory;
    wchar_t* full = room + prefix_room;
    const unsigned long length = win32::GetFullPathNameW(wide, capacity, full, nullptr);
    if (length == 0 || length >= capacity) return error(errc::bad_path, path_utf8);

    // The limit is 248 units for a folder; a name is appended to one when it is listed.
    const bool is_unc = full[0] == L'\\' && full[1] == L'\\';
    const bool is_device = is_unc && (full[2] == L'?' || full[2] == L'.');
    if (length >= 240 && !is_device) {
      const std::wstring_view prefix = is_unc ? LR"(\\?\UNC)" : LR"(\\?\)";
      if (is_unc) ++full; // one of the two backslashes stays
      full -= prefix.size();
      for (std::size_t i = 0; i < prefix.size(); ++i) full[i] = prefix[i];
    }
    path_ = full;
    return {};
  }
  [[nodiscard]] const wchar_t* c_str() const noexcept { return path_; }

private:
  static constexpr std::size_t prefix_room = 8;
  scratch<wchar_t, 300> buffer_;
  const wchar_t* path_ = nullptr;
};

/// Finds no link: links are replaced like files, since only an administrator can make one.
inline result<std::size_t> read_link(const native_path&, std::span<char>) noexcept { return errc::not_found; }

inline result<void> close(native_handle handle) noexcept {
  if (win32::CloseHandle(handle) == 0) return last_failure();
  return {};
}

inline result<win32::file_information> information(native_handle handle) noexcept {
  win32::file_information raw;
  if (win32::GetFileInformationByHandle(handle, reinterpret_cast<::_BY_HANDLE_FILE_INFORMATION*>(&raw)) == 0) {
    return last_failure();
  }
  return raw;
}

/// Opens files and folders, so that `inspect` can distinguish them.
inline result<native_handle> open(const native_path& path, bool writable, bool follow_links) noexcept {
  using namespace win32;
  const unsigned long wanted = writable ? generic_read | generic_write : generic_read;
  unsigned long flags = attribute_normal | flag_backup_semantics;
  if (!follow_links) flags |= flag_open_reparse_point;
  void* const handle = CreateFileW(path.c_str(), wanted, share_everything, nullptr, open_existing, flags, nullptr);
  if (is_invalid(handle)) return last_failure();
  if (!follow_links) {
    const auto facts = information(handle);
    if (!facts || (facts->attributes & attribute_reparse_point) != 0) {
      (void)close(handle);
      return facts ? error(errc::bad_path) : facts.error();
    }
  }
  return static_cast<native_handle>(handle);
}

inline result<file_facts> inspect(native_handle handle) noexcept {
  // Consoles and pipes have no file information. An invalid handle has no type and sets the error.
  const unsigned long type = win32::GetFileType(handle);
  if (type == 0 && win32::GetLastError() != 0) return last_failure();
  file_facts facts;
  if (type != win32::file_type_disk) return facts;
  const auto raw = information(handle);
  if (!raw) return raw.error();
  facts.size_bytes = std::uint64_t{raw->size_high} << 32 | raw->size_low;
  facts.volume = raw->volume_serial_number;
  facts.index = std::uint64_t{raw->index_high} << 32 | raw->index_low;
  facts.link_count = raw->link_count;
  // The last of three times; it counts units of 100 ns since 1601.
  constexpr std::uint64_t units_until_1970 = 116'444'736'000'000'000u;
  facts.changed_ns = ((std::uint64_t{raw->times[5]} << 32 | raw->times[4]) - units_until_1970) * 100;
  facts.regular = (raw->attributes & win32::attribute_directory) == 0;
  return facts;
}

/// The argument for a call that reads or writes at an offset.
inline win32::overlapped at_offset(std::uint64_t offset_bytes) noexcept {
  win32::overlapped where = {};
  where.offset = static_cast<unsigned long>(offset_bytes & 0xFFFFFFFFu);
  where.offset_high = static_cast<unsigned long>(offset_bytes >> 32);
  return where;
}

/// Completes a ReadFile or WriteFile that returned `done`. If the program opened the handle for overlapped use, the call
/// returns before the transfer ends, and `where` must outlive the transfer.
inline bool finish_transfer(native_handle handle, int done, win32::overlapped& where, unsigned long& count) noexcept {
  if (done != 0 || win32::GetLastError() != win32::error_io_pending) return done != 0;
  auto* const raw = reinterpret_cast<::_OVERLAPPED*>(&where);
  do done = win32::GetOverlappedResult(handle, raw, &count, 1);
  while (done == 0 && win32::GetLastError() == win32::error_io_incomplete);
  return done != 0;
}

/// Makes one call. @return the number of bytes read; 0 at the end of the file
inline result<std::size_t> read_some(native_handle handle, std::uint64_t offset_bytes, std::byte* into,
                                     std::size_t size_bytes) noexcept {
  win32::overlapped where = at_offset(offset_bytes);
  const std::size_t size = size_bytes < max_transfer_bytes ? size_bytes : max_transfer_bytes;
  unsigned long count = 0;
  const int done =
      win32::ReadFile(handle, into, static_cast<unsigned long>(size), &count, reinterpret_cast<::_OVERLAPPED*>(&where));
  if (finish_transfer(handle, done, where, count)) return std::size_t{count};
  if (win32::GetLastError() == win32::error_handle_eof) return std::size_t{0};
  return last_failure();
}

/// Opens the file of `handle` once more, for `read_in_flight`: calls on an ordinary handle wait for each other.
/// @param past_cache  whether reads go to the device, past the system's cache
/// @return no_handle if the system refuses
inline native_handle reopen_for_reads_in_flight(native_handle handle, bool past_cache) noexcept {
  using namespace win32;
  const unsigned long flags = flag_overlapped | (past_cache ? flag_no_buffering : 0);
  void* const made = ReOpenFile(handle, generic_read, share_everything, flags);
  return is_invalid(made) ? no_handle : static_cast<native_handle>(made);
}

/// As `read_some`, of a handle that was opened for overlapped use: the calls of several threads are in flight at once.
inline result<std::size_t> read_in_flight(native_handle handle, std::uint64_t offset_bytes, std::byte* into,
                                          std::size_t size_bytes) noexcept {
  // Without an event of its own, a call would wait for whichever read of the handle ends first.
  void* const event = win32::CreateEventW(nullptr, 1, 0, nullptr);
  if (event == nullptr) return last_failure();
  win32::overlapped where = at_offset(offset_bytes);
  where.event = event;
  const std::size_t size = size_bytes < max_transfer_bytes ? size_bytes : max_transfer_bytes;
  unsigned long count = 0;
  auto* const raw = reinterpret_cast<::_OVERLAPPED*>(&where);
  const int begun = win32::ReadFile(handle, into, static_cast<unsigned long>(size), nullptr, raw);
  const bool is_begun = begun != 0 || win32::GetLastError() == win32::error_io_pending;
  const bool is_done = is_begun && win32::GetOverlappedResult(handle, raw, &count, 1) != 0;
  const error failure = last_failure();
  (void)close(event);
  if (is_done) return std::size_t{count};
  return failure;
}

/// Checks that `handle` is open for reading. Reading zero bytes requires the same right.
inline result<void> check_readable(native_handle handle) noexcept {
  std::byte none[1];
  const auto count = read_some(handle, 0, none, 0);
  if (!count) return count.error();
  return {};
}

/// The power of two that the offset of a mapping must be a multiple of.
inline std::size_t mapping_granularity() noexcept {
  win32::system_info info;
  win32::GetSystemInfo(reinterpret_cast<::_SYSTEM_INFO*>(&info));
  return info.allocation_granularity;
}

/// A mapping is readable up to the next multiple of this. Source: "Creating a File Mapping Object" of the Windows documentation: the
/// bytes of the last page beyond the end of the file are zero.
inline std::size_t readable_granularity() noexcept {
  win32::system_info info;
  win32::GetSystemInfo(reinterpret_cast<::_SYSTEM_INFO*>(&info));
  return info.page_size;
}

/// Maps `size_bytes` > 0 from `offset_bytes`, a multiple of the granularity. Writes reach the file when
/// `shared`.
inline result<std::byte*> map(native_handle handle, std::uint64_t offset_bytes, std::size_t size_bytes, bool writable,
                              bool shared) noexcept {
  using namespace win32;
  const unsigned long protection = shared ? page_read_write : writable ? page_write_copy : page_read_only;
  void* const section = CreateFileMappingW(handle, nullptr, protection, 0, 0, nullptr);
  if (section == nullptr) return last_failure();
  void* const view = MapViewOfFile(section,
                                   shared     ? map_write
                                   : writable ? map_copy
                                              : map_read,
                                   static_cast<unsigned long>(offset_bytes >> 32),
                                   static_cast<unsigned long>(offset_bytes & 0xFFFFFFFFu), size_bytes);
  const error failure = last_failure();
  (void)close(section); // the view keeps the section
  if (view == nullptr) return failure;
  return static_cast<std::byte*>(view);
}

inline void unmap(std::byte* at, std::size_t) noexcept { win32::UnmapViewOfFile(at); }

/// Writes changes of a shared mapping to its file. Flushing the file's handle then brings them to the disk.
inline result<void> flush(const std::byte* at, std::size_t size_bytes) noexcept {
  if (win32::FlushViewOfFile(at, size_bytes) == 0) return last_failure();
  return {};
}

/// Does nothing: Windows controls read-ahead for each file, not for each mapping.
inline result<void> stop_read_ahead(const std::byte*, std::size_t) noexcept { return {}; }

/// Does nothing: large pages need a privilege that programs do not have.
inline void prefer_large_pages(const std::byte*, std::size_t) noexcept {}

/// Reads these pages and waits until they are in memory.
inline void populate_for_reading(const std::byte* at, std::size_t size_bytes) noexcept {
  win32::memory_range range = {const_cast<std::byte*>(at), size_bytes};
  auto* const raw = reinterpret_cast<::_WIN32_MEMORY_RANGE_ENTRY*>(&range);
  (void)win32::PrefetchVirtualMemory(win32::GetCurrentProcess(), 1, raw, 0);
  const std::size_t page = readable_granularity();
  for (std::size_t done = 0; done < size_bytes; done += page) (void)static_cast<const volatile std::byte*>(at)[done];
}

/// Does nothing: Windows reads ahead by itself.
inline void read_ahead(native_handle, std::uint64_t, std::size_t) noexcept {}

/// Asks the system to start reading these pages.
inline result<void> prefetch(const std::byte* at, std::size_t size_bytes) noexcept {
  win32::memory_range range = {const_cast<std::byte*>(at), size_bytes};
  auto* const raw = reinterpret_cast<::_WIN32_MEMORY_RANGE_ENTRY*>(&range);
  if (win32::PrefetchVirtualMemory(win32::GetCurrentProcess(), 1, raw, 0) == 0) return last_failure();
  return {};
}

inline result<void> lock(const std::byte* at, std::size_t size_bytes) noexcept {
  if (win32::VirtualLock(const_cast<std::byte*>(at), size_bytes) == 0) return last_failure();
  return {};
}

inline result<void> unlock(const std::byte* at, std::size_t size_bytes) noexcept {
  if (win32::VirtualUnlock(const_cast<std::byte*>(at), size_bytes) == 0) return last_failure();
  return {};
}

/// Removes these pages from the process: unlocking pages that are not locked removes them from the working set.
/// Source: the documentation of VirtualUnlock, "Remarks".
inline result<void> evict(const std::byte* at, std::size_t size_bytes) noexcept {
  if (win32::VirtualUnlock(const_cast<std::byte*>(at), size_bytes) != 0) return {};
  if (win32::GetLastError() == win32::error_not_locked) return {};
  return last_failure();
}

} // namespace stet::inline STET_NAMESPACE::detail::os

#endif

#endif
