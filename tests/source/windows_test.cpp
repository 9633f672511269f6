// SPDX-License-Identifier: MIT
// Tests of source/detail/windows.hpp: that no header of stet includes <windows.h>, that its own declarations agree with it, and what
// Windows promises: UTF-8 and long paths, sharing modes, files that are mapped or sparse.
#if defined(_WIN32)

#include <stet/checkpoint.hpp>
#include <stet/restore.hpp>
#include <stet/stet.hpp>

#if defined(_WINDOWS_) || defined(min) || defined(GetObject)
#error "a header of stet includes <windows.h>"
#endif

// After stet's headers here and before them in windows_write_test.cpp, with every macro that it brings.
#include <windows.h>
#include <winioctl.h>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using stet_test::outcome;
using stet_test::temp_folder;

namespace {

namespace os = stet::detail::os;
namespace declared = stet::detail::win32;

static_assert(sizeof(declared::overlapped) == sizeof(OVERLAPPED));
static_assert(offsetof(declared::overlapped, offset_high) == offsetof(OVERLAPPED, OffsetHigh));
static_assert(offsetof(declared::overlapped, event) == offsetof(OVERLAPPED, hEvent));
static_assert(sizeof(declared::system_info) == sizeof(SYSTEM_INFO));
static_assert(offsetof(declared::system_info, page_size) == offsetof(SYSTEM_INFO, dwPageSize));
static_assert(offsetof(declared::system_info, allocation_granularity) ==
              offsetof(SYSTEM_INFO, dwAllocationGranularity));
static_assert(sizeof(declared::file_information) == sizeof(BY_HANDLE_FILE_INFORMATION));
static_assert(offsetof(declared::file_information, volume_serial_number) ==
              offsetof(BY_HANDLE_FILE_INFORMATION, dwVolumeSerialNumber));
static_assert(offsetof(declared::file_information, size_high) == offsetof(BY_HANDLE_FILE_INFORMATION, nFileSizeHigh));
static_assert(offsetof(declared::file_information, link_count) == offsetof(BY_HANDLE_FILE_INFORMATION, nNumberOfLinks));
static_assert(offsetof(declared::file_information, index_low) == offsetof(BY_HANDLE_FILE_INFORMATION, nFileIndexLow));
static_assert(sizeof(declared::memory_range) == sizeof(WIN32_MEMORY_RANGE_ENTRY));
static_assert(declared::generic_read == GENERIC_READ && declared::generic_write == GENERIC_WRITE);
static_assert(declared::share_everything == (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE));
static_assert(declared::create_new == CREATE_NEW && declared::open_existing == OPEN_EXISTING);
static_assert(declared::attribute_directory == FILE_ATTRIBUTE_DIRECTORY &&
              declared::attribute_normal == FILE_ATTRIBUTE_NORMAL);
static_assert(declared::attribute_reparse_point == FILE_ATTRIBUTE_REPARSE_POINT);
static_assert(declared::flag_backup_semantics == FILE_FLAG_BACKUP_SEMANTICS);
static_assert(declared::flag_open_reparse_point == FILE_FLAG_OPEN_REPARSE_POINT &&
              declared::file_type_disk == FILE_TYPE_DISK);
static_assert(declared::page_read_only == PAGE_READONLY && declared::page_read_write == PAGE_READWRITE);
static_assert(declared::page_write_copy == PAGE_WRITECOPY && declared::map_copy == FILE_MAP_COPY);
static_assert(declared::map_write == FILE_MAP_WRITE && declared::map_read == FILE_MAP_READ);
static_assert(declared::error_access_denied == ERROR_ACCESS_DENIED && declared::error_handle_eof == ERROR_HANDLE_EOF);
static_assert(declared::error_io_pending == ERROR_IO_PENDING && declared::error_io_incomplete == ERROR_IO_INCOMPLETE);
static_assert(declared::error_not_locked == ERROR_NOT_LOCKED);

/// The path as the system calls get it; "" if it is refused.
std::wstring native(std::string_view path_utf8) {
  os::native_path path;
  return path.assign(path_utf8) ? path.c_str() : L"";
}

/// A handle of another program, as it were.
class foreign_handle {
public:
  foreign_handle(const std::string& path, unsigned long wanted, unsigned long sharing)
      : handle_(CreateFileW(native(path).c_str(), wanted, sharing, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL,
                            nullptr)) {}
  foreign_handle(const foreign_handle&) = delete;
  foreign_handle& operator=(const foreign_handle&) = delete;
  ~foreign_handle() { close(); }
  void close() {
    if (is_open()) CloseHandle(handle_);
    handle_ = nullptr;
  }
  [[nodiscard]] bool is_open() const { return handle_ != nullptr && !declared::is_invalid(handle_); }
  [[nodiscard]] bool write(std::string_view text) const {
    unsigned long count = 0;
    return WriteFile(handle_, text.data(), static_cast<unsigned long>(text.size()), &count, nullptr) != 0 &&
           count == text.size();
  }
  [[nodiscard]] HANDLE get() const { return handle_; }

private:
  HANDLE handle_;
};

std::string first_bytes(const stet::file& of) {
  char text[4];
  return of.read(0, std::as_writable_bytes(std::span(text))) ? std::string(text, 4) : "unreadable";
}

} // namespace

TEST_SUITE("windows") {
  TEST_CASE("UTF-8 becomes UTF-16, and only if it is well-formed") {
    wchar_t units[16];
    const auto converted = [&](std::string_view utf8) {
      const std::ptrdiff_t count = os::to_utf16(utf8, units);
      return count < 0 ? std::wstring(L"malformed") : std::wstring(units, static_cast<std::size_t>(count));
    };
    CHECK(converted("model.stet") == L"model.stet");
    CHECK(converted("\xC3\xA9\xE6\xA8\xA1\xF0\x9F\xA7\xA0") == L"\u00E9\u6A21\xD83E\xDDE0");
    CHECK(converted("\xF4\x8F\xBF\xBF") == L"\xDBFF\xDFFF");
    for (const std::string_view bad :
         {"\x80", "\xC1\xBF", "\xC3", "\xE6\xA8", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80"}) {
      CHECK(converted(bad) == L"malformed");
    }
    CHECK(converted(std::string_view("a\0b", 3)) == L"malformed");
  }

  TEST_CASE("long paths get the prefix that lifts the limit, short and prefixed ones stay") {
    const std::string name(300, 'n');
    const std::wstring wide_name(300, L'n');
    CHECK(native("C:\\a\\..\\b/c") == L"C:\\b\\c");
    CHECK(native("C:/a/" + name) == L"\\\\?\\C:\\a\\" + wide_name);
    CHECK(native("//server/share/" + name) == L"\\\\?\\UNC\\server\\share\\" + wide_name);
    CHECK(native("\\\\?\\C:\\a\\" + name) == L"\\\\?\\C:\\a\\" + wide_name);
    CHECK(native(name).starts_with(L"\\\\?\\"));
    CHECK(native(name).ends_with(L"\\" + wide_name));
  }

  TEST_CASE("opens a file that another handle is writing, and sees what it writes") {
    const temp_folder folder;
    const std::string path = folder.write("a", "0123");
    const foreign_handle writer(path, GENERIC_WRITE, FILE_SHARE_READ);
    REQUIRE(writer.is_open());
    const auto opened = stet::file::open(path);
    CHECK(outcome(opened) == "ok");
    CHECK(outcome(stet::file::open(path, stet::open_for::read_write)) == "access_denied"); // it shares no writing
    if (!opened) return;
    CHECK(writer.write("abcd"));
    CHECK(first_bytes(*opened) == "abcd");
  }

  TEST_CASE("a file that another handle does not share is access_denied until that is closed") {
    const temp_folder folder;
    const std::string path = folder.write("a", "0123");
    foreign_handle owner(path, GENERIC_READ, 0);
    REQUIRE(owner.is_open());
    const auto refused = stet::file::open(path);
    CHECK(outcome(refused) == "access_denied");
    if (!refused) CHECK(refused.error().system_code() == ERROR_SHARING_VIOLATION);
    owner.close();
    CHECK(outcome(stet::file::open(path)) == "ok");
  }

  TEST_CASE("an open file lets others read, write, rename and delete it, and stays readable") {
    const temp_folder folder;
    const std::string path = folder.write("a", "0123");
    const auto opened = stet::file::open(path);
    REQUIRE(opened);
    if (!opened) return;
    CHECK(foreign_handle(path, GENERIC_READ, FILE_SHARE_READ)
              .is_open()); // who shares reading only, since stet only reads
    {
      const foreign_handle writer(path, GENERIC_WRITE, FILE_SHARE_READ);
      CHECK(writer.write("abcd"));
    }
    CHECK(MoveFileW(native(path).c_str(), native(folder.path("b")).c_str()) != 0);
    CHECK(first_bytes(*opened) == "abcd");
    CHECK(DeleteFileW(native(folder.path("b")).c_str()) != 0);
    CHECK(first_bytes(*opened) == "abcd");
    CHECK(outcome(stet::file::open(path)) == "file_not_found");
  }

  TEST_CASE("a mapped file cannot be cut, and if it can be deleted its views stay") {
    const temp_folder folder;
    const auto bytes = stet_test::pattern(200'000);
    const std::string path = folder.write("a", bytes);
    stet::mapping mapped;
    {
      const auto opened = stet::file::open(path);
      REQUIRE(opened);
      auto made = stet::mapping::map(*opened, 0, bytes.size());
      REQUIRE(made);
      mapped = std::move(*made);
    }
    const auto cut = [&] {
      const foreign_handle writer(path, GENERIC_READ | GENERIC_WRITE,
                                  FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE);
      REQUIRE(writer.is_open());
      return os::set_size(writer.get(), 1000);
    };
    const auto done = cut();
    CHECK(outcome(done) == "access_denied");
    if (!done) CHECK(done.error().system_code() == ERROR_USER_MAPPED_FILE);
    CHECK(std::memcmp(mapped.data(), bytes.data(), bytes.size()) == 0);
    (void)DeleteFileW(native(path).c_str()); // newer versions of Windows do
    CHECK(std::memcmp(mapped.data(), bytes.data(), bytes.size()) == 0);
  }

  TEST_CASE("maps at multiples of 64 KiB") { CHECK(os::mapping_granularity() == 65536); }

  TEST_CASE("reads and maps a sparse file of more than 4 GiB, which takes next to no space") {
    const temp_folder folder;
    const std::string path = folder.write("large", "0123");
    constexpr std::uint64_t end_bytes = (std::uint64_t{6} << 30) + 5;
    {
      const foreign_handle writer(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ);
      unsigned long count = 0;
      REQUIRE(DeviceIoControl(writer.get(), FSCTL_SET_SPARSE, nullptr, 0, nullptr, 0, &count, nullptr) != 0);
      const std::string_view text = "stet";
      REQUIRE(os::write_some(writer.get(), end_bytes, std::as_bytes(std::span(text)).data(), text.size()));
    }
    const auto opened = stet::file::open(path);
    REQUIRE(opened);
    if (!opened) return;
    CHECK(opened->size_bytes() == end_bytes + 4);
    const auto whole = stet::mapping::map(*opened, 0, end_bytes + 4);
    CHECK(outcome(whole) == "ok");
    const auto window = stet::mapping::map(*opened, end_bytes - 70'000, 70'004);
    CHECK(outcome(window) == "ok");
    if (!whole || !window) return;
    CHECK(std::memcmp(whole->data() + end_bytes, "stet", 4) == 0);
    CHECK(std::memcmp(window->data() + 70'000, "stet", 4) == 0);
    CHECK(window->data()[0] == std::byte{0});
  }
}

#endif
