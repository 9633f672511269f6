// SPDX-License-Identifier: MIT
// Tests of source/file.hpp: what may be opened, what is refused and how, and reading.
#include <stet/source/file.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#endif

using stet_test::outcome;
using stet_test::temp_folder;

namespace {

std::string open_outcome(std::string_view path, stet::open_for purpose = stet::open_for::read,
                         stet::links policy = stet::links::follow) {
  return outcome(stet::file::open(path, purpose, policy));
}

/// Whether all of `from` is `expected`.
bool holds(const stet::byte_reader& from, const std::vector<std::byte>& expected) {
  std::vector<std::byte> bytes(expected.size());
  return from.size_bytes() == expected.size() && from.read(0, bytes) && bytes == expected;
}

} // namespace

TEST_SUITE("file") {
  TEST_CASE("opens a file and reads any part of it") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(100'000);
    const auto opened = stet::file::open(folder.write("a", bytes));
    REQUIRE(opened);
    if (!opened) return;
    CHECK(opened->size_bytes() == 100'000);
    CHECK(opened->link_count() == 1);
    CHECK(holds(*opened, bytes));

    std::vector<std::byte> part(777);
    CHECK(outcome(opened->read(4097, part)) == "ok");
    CHECK(part == std::vector<std::byte>(bytes.begin() + 4097, bytes.begin() + 4097 + 777));
    CHECK(outcome(opened->read(5, {})) == "ok");
    CHECK(outcome(opened->read(100'000, {})) == "ok");
  }

  TEST_CASE("reading past the end says where the file ends") {
    temp_folder folder;
    const auto opened = stet::file::open(folder.write("a", "0123456789"));
    REQUIRE(opened);
    if (!opened) return;
    std::vector<std::byte> part(4);
    const auto cut = opened->read(8, part);
    CHECK(outcome(cut) == "truncated");
    if (!cut) CHECK(cut.error().offset_bytes() == 10);
    CHECK(outcome(opened->read(10, part)) == "truncated");
    CHECK(outcome(opened->read(std::uint64_t{1} << 30, part)) == "truncated");
    CHECK(outcome(opened->read(~std::uint64_t{0}, part)) == "bad_range");
    CHECK(outcome(opened->read(~std::uint64_t{0} >> 1, part)) == "bad_range");
  }

  TEST_CASE("an empty file is a file") {
    temp_folder folder;
    const auto opened = stet::file::open(folder.write("empty", ""));
    REQUIRE(opened);
    if (!opened) return;
    CHECK(opened->size_bytes() == 0);
    CHECK(outcome(opened->read(0, {})) == "ok");
  }

  TEST_CASE("refuses what is no file, with the path in the error") {
    temp_folder folder;
    const std::string file = folder.write("file", "x");
    const auto missing = stet::file::open(folder.path("missing"));
    CHECK(outcome(missing) == "file_not_found");
    if (!missing) {
      CHECK(missing.error().system_code() == ENOENT); // which is ERROR_FILE_NOT_FOUND as well
      CHECK(missing.error().subject() == folder.path("missing").substr(0, stet::error::max_subject_bytes));
    }
    CHECK(open_outcome(folder.path("missing/deeper")) == "file_not_found");
    CHECK(open_outcome(file + "/deeper") == "file_not_found");
    CHECK(open_outcome(folder.path()) == "not_a_regular_file");
    CHECK(open_outcome(folder.path(), stet::open_for::read_write) != "ok");
    CHECK(open_outcome("") == "bad_path");
    CHECK(open_outcome(std::string_view("a\0b", 3)) == "bad_path");
    CHECK(open_outcome(file + std::string(1, '\0')) == "bad_path");
  }

  TEST_CASE("opens names in any script, and paths of any length") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(10);
    const std::string name = "gewichte-\xC3\xA4\xE6\xA8\xA1\xE5\x9E\x8B-\xF0\x9F\xA7\xA0.stet";
    const auto opened = stet::file::open(folder.write(name, bytes));
    CHECK(outcome(opened) == "ok");
    if (opened) CHECK(holds(*opened, bytes));

    const std::string deep = std::string(150, 'd') + "/" + std::string(150, 'e');
    std::error_code failure;
    std::filesystem::create_directories(stet_test::to_path(folder.path(deep)), failure);
    if (failure) {
      MESSAGE("skipped: this system makes no folder with a path of 300 bytes");
      return;
    }
    const auto far = stet::file::open(folder.write(deep + "/" + std::string(240, 'f'), bytes));
    CHECK(outcome(far) == "ok");
    if (far) CHECK(holds(*far, bytes));
    CHECK(open_outcome(folder.path() + "/" + std::string(3000, 'g')) != "ok");
  }

  TEST_CASE("follows links unless asked not to") {
    temp_folder folder;
    const std::string target = folder.write("target", "0123");
    std::error_code failure;
    std::filesystem::create_symlink(stet_test::to_path(target), stet_test::to_path(folder.path("link")), failure);
    if (failure) {
      MESSAGE("skipped: this system makes no symbolic links here");
      return;
    }
    CHECK(open_outcome(folder.path("link")) == "ok");
    CHECK(open_outcome(folder.path("link"), stet::open_for::read, stet::links::no_follow) == "bad_path");
    CHECK(open_outcome(target, stet::open_for::read, stet::links::no_follow) == "ok");
    std::filesystem::create_symlink(stet_test::to_path(folder.path("loop")), stet_test::to_path(folder.path("loop")),
                                    failure);
    CHECK(open_outcome(folder.path("loop")) == "io_error");
  }

  TEST_CASE("tells whether two files are one") {
    temp_folder folder;
    const std::string first = folder.write("first", "0123");
    const std::string copy = folder.write("copy", "0123");
    std::error_code failure;
    std::filesystem::create_hard_link(stet_test::to_path(first), stet_test::to_path(folder.path("second")), failure);
    if (failure) {
      MESSAGE("skipped: this system makes no hard links here");
      return;
    }
    const auto a = stet::file::open(first), b = stet::file::open(folder.path("second")), c = stet::file::open(copy);
    REQUIRE((a && b && c));
    if (!a || !b || !c) return;
    CHECK(a->same_file_as(*a));
    CHECK(a->same_file_as(*b));
    CHECK_FALSE(a->same_file_as(*c));
    CHECK(a->link_count() == 2);
    CHECK(c->link_count() == 1);
  }

  TEST_CASE("a borrowed handle stays open, an adopted one is closed") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(1000);
    auto owner = stet::file::open(folder.write("a", bytes));
    REQUIRE(owner);
    if (!owner) return;
    {
      const auto borrowed = stet::file::borrow(owner->handle());
      CHECK(outcome(borrowed) == "ok");
      if (borrowed) CHECK(holds(*borrowed, bytes));
    }
    CHECK(holds(*owner, bytes));

    stet::file moved = std::move(*owner);
    CHECK(holds(moved, bytes));
    const stet::native_handle handle = moved.handle();
    {
      const stet::file gone = std::move(moved);
    }
    CHECK(outcome(stet::file::borrow(handle)) == "io_error"); // closed
    CHECK(outcome(stet::file::adopt(handle)) == "io_error");
    CHECK(outcome(stet::file::borrow(stet::detail::os::no_handle)) == "io_error");
  }

#if !defined(_WIN32)
  TEST_CASE("adopting closes in the end, and only if it succeeded") {
    temp_folder folder;
    const std::string path = folder.write("a", "0123");
    const int handle = ::open(path.c_str(), O_RDONLY);
    {
      CHECK(outcome(stet::file::adopt(handle)) == "ok");
    }
#if !defined(__wasi__) // answers without looking
    CHECK(::fcntl(handle, F_GETFD) == -1);
#endif
    const int writing = ::open(path.c_str(), O_WRONLY);
    CHECK(outcome(stet::file::adopt(writing)) == "access_denied");
    CHECK(outcome(stet::file::borrow(writing)) == "access_denied");
    CHECK(::close(writing) == 0);
  }

#if !defined(__EMSCRIPTEN__) && !defined(__wasi__) // one shows pipes as files, the other has none
  TEST_CASE("never waits for a pipe, and refuses devices and sockets") {
    temp_folder folder;
    const std::string pipe = folder.path("pipe");
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    CHECK(open_outcome(pipe) == "not_a_regular_file");
    CHECK(open_outcome(pipe, stet::open_for::read_write) == "not_a_regular_file");
    CHECK(open_outcome("/dev/zero") == "not_a_regular_file");
    CHECK(open_outcome("/dev/null", stet::open_for::read_write) == "not_a_regular_file");

    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    CHECK(outcome(stet::file::borrow(ends[0])) == "not_a_regular_file");
    CHECK(outcome(stet::file::borrow(ends[1])) == "not_a_regular_file");
    ::close(ends[0]);
    ::close(ends[1]);

    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ::sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = folder.path("socket");
    REQUIRE(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    if (::bind(listener, reinterpret_cast<const ::sockaddr*>(&address), sizeof address) == 0) {
      CHECK(open_outcome(path) == "not_a_regular_file");
    }
    ::close(listener);
  }

#endif

#if !defined(__wasi__) // has no permissions
  TEST_CASE("says when permission is missing") {
    temp_folder folder;
    const std::string path = folder.write("secret", "0123");
    REQUIRE(::chmod(path.c_str(), 0) == 0);
    if (::geteuid() == 0) {
      MESSAGE("skipped: nothing is forbidden to this user");
      return;
    }
    CHECK(open_outcome(path) == "access_denied");
  }
#endif
#else
  TEST_CASE("a path must be UTF-8") {
    for (const std::string_view path :
         {"\xFF", "a\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE0\x80\xAF"}) {
      CHECK(open_outcome(path) == "bad_path");
    }
  }

  TEST_CASE("refuses handles that cannot read, and devices") {
    namespace win32 = stet::detail::win32;
    temp_folder folder;
    folder.write("a", "0123");
    stet::detail::os::native_path path;
    REQUIRE(path.assign(folder.path("a")));
    void* const writing = win32::CreateFileW(path.c_str(), win32::generic_write, win32::share_everything, nullptr,
                                             win32::open_existing, win32::attribute_normal, nullptr);
    CHECK(outcome(stet::file::borrow(writing)) == "access_denied");
    CHECK(win32::CloseHandle(writing) != 0);
    CHECK(open_outcome("NUL") == "not_a_regular_file");
  }
#endif

  TEST_CASE("reads beyond 2 GiB and beyond 4 GiB") {
    for (const std::uint64_t gibibytes : {std::uint64_t{3}, std::uint64_t{5}}) {
      CAPTURE(gibibytes);
      temp_folder folder;
      const std::string path = folder.write("large", "");
      const std::uint64_t far = (gibibytes << 30) + 123;
      {
        std::ofstream out(stet_test::to_path(path), std::ios::binary);
        out.seekp(static_cast<std::streamoff>(far)).write("stet", 4); // leaves a hole
        if (!out) {
          MESSAGE("skipped: this file system makes no such file");
          continue;
        }
      }
      const auto opened = stet::file::open(path);
      if (outcome(opened) == "unsupported") {
        MESSAGE("skipped: no such files on this platform");
        continue;
      }
      REQUIRE(opened);
      if (!opened) return;
      CHECK(opened->size_bytes() == far + 4);
      std::byte word[4];
      CHECK(outcome(opened->read(far, word)) == "ok");
      CHECK(std::string_view(reinterpret_cast<const char*>(word), 4) == "stet");
      CHECK(outcome(opened->read(far + 1, word)) == "truncated");
    }
  }
}
