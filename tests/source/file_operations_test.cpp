// SPDX-License-Identifier: MIT
// Tests of source/file_operations.hpp: each call of the system's table, and replacing one of them.
#include <stet/source/file_operations.hpp>
#include <stet/source/source.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

using stet_test::outcome;
using stet_test::temp_folder;

namespace {

constexpr const stet::file_operations& system_calls = stet::system_file_operations();

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::vector<std::string> list(const std::string& path, std::size_t most = 1000) {
  struct state {
    std::vector<std::string> names;
    std::size_t most;
  } found{{}, most};
  const auto done = system_calls.list_folder(
      nullptr, path,
      [](void* visitor, std::string_view name) noexcept {
        auto& into = *static_cast<state*>(visitor);
        into.names.emplace_back(name);
        return into.names.size() < into.most;
      },
      &found);
  CHECK(outcome(done) == "ok");
  for (std::size_t i = 1; i < found.names.size(); ++i) {
    for (std::size_t k = i; k > 0 && found.names[k] < found.names[k - 1]; --k) found.names[k].swap(found.names[k - 1]);
  }
  return found.names;
}

/// Creates a file, hands it to `use`, closes it.
template <class Use> void with_new_file(const std::string& path, Use use) {
  const auto handle = system_calls.create_exclusive(nullptr, path);
  REQUIRE(handle);
  if (!handle) return;
  use(*handle);
  CHECK(outcome(system_calls.close(nullptr, *handle)) == "ok");
}

} // namespace

TEST_SUITE("file_operations") {
  TEST_CASE("creates only what is not there") {
    temp_folder folder;
    with_new_file(folder.path("a"), [](stet::native_handle) {});
    CHECK(folder.read("a").empty());
    const auto again = system_calls.create_exclusive(nullptr, folder.path("a"));
    CHECK(outcome(again) == "file_exists");
    if (!again) CHECK(again.error().system_code() != 0);
    CHECK(outcome(system_calls.create_exclusive(nullptr, folder.path("missing/a"))) == "file_not_found");
    CHECK(outcome(system_calls.create_exclusive(nullptr, "")) == "bad_path");
    std::error_code failure;
    std::filesystem::create_symlink(stet_test::to_path(folder.path("nothing")), stet_test::to_path(folder.path("link")),
                                    failure);
    if (!failure) CHECK(outcome(system_calls.create_exclusive(nullptr, folder.path("link"))) == "file_exists");
    CHECK(folder.names().size() == (failure ? 1 : 2));
  }

  TEST_CASE("writes at offsets and sets sizes") {
    temp_folder folder;
    with_new_file(folder.path("a"), [](stet::native_handle handle) {
      const auto count = system_calls.write_at(nullptr, handle, 5, as_bytes("world"));
      CHECK((count && *count == 5));
      CHECK((system_calls.write_at(nullptr, handle, 0, as_bytes("hello")) ? true : false));
      CHECK((system_calls.write_at(nullptr, handle, 3, {}) ? true : false));
      CHECK(outcome(system_calls.set_size(nullptr, handle, 8)) == "ok");
      CHECK(outcome(system_calls.sync(nullptr, handle)) == "ok");
    });
    CHECK(text_of(folder.read("a")) == "hellowor");
    with_new_file(folder.path("b"), [](stet::native_handle handle) {
      CHECK(outcome(system_calls.set_size(nullptr, handle, 3)) == "ok");
    });
    CHECK(folder.read("b") == std::vector<std::byte>(3));
  }

  TEST_CASE("writes and sets sizes beyond 4 GiB") {
    temp_folder folder;
    const std::uint64_t far = (std::uint64_t{5} << 30) + 7;
    with_new_file(folder.path("large"), [&](stet::native_handle handle) {
      const auto sized = system_calls.set_size(nullptr, handle, far + 4);
      if (!sized) {
        MESSAGE("skipped: this file system makes no file of 5 GiB");
        return;
      }
      const auto count = system_calls.write_at(nullptr, handle, far, as_bytes("stet"));
      CHECK((count && *count == 4));
      const auto opened = stet::file::borrow(handle);
      if (outcome(opened) == "unsupported") {
        MESSAGE("skipped: no such files on this platform");
        return;
      }
      REQUIRE(opened);
      if (!opened) return;
      CHECK(opened->size_bytes() == far + 4);
      std::byte word[4];
      CHECK(outcome(opened->read(far, word)) == "ok");
      CHECK(std::memcmp(word, "stet", 4) == 0);
    });
  }

  TEST_CASE("refuses offsets and sizes that no file can have") {
    temp_folder folder;
    with_new_file(folder.path("a"), [](stet::native_handle handle) {
      for (const std::uint64_t far : {~std::uint64_t{0}, std::uint64_t{1} << 63}) {
        CHECK(outcome(system_calls.set_size(nullptr, handle, far)) == "unsupported");
        CHECK(outcome(system_calls.reserve(nullptr, handle, far)) == "unsupported");
        CHECK(outcome(system_calls.write_at(nullptr, handle, far, as_bytes("x"))) == "unsupported");
      }
    });
    CHECK(folder.read("a").empty());
  }

  TEST_CASE("reserving keeps what is there and makes the file as large") {
    temp_folder folder;
    with_new_file(folder.path("a"), [](stet::native_handle handle) {
      CHECK((system_calls.write_at(nullptr, handle, 0, as_bytes("hello")) ? true : false));
      const auto nothing = system_calls.reserve(nullptr, handle, 0);
      CHECK(outcome(nothing) == "ok");
      const auto done = system_calls.reserve(nullptr, handle, 100'000);
      CHECK(outcome(done) == "ok");
      if (!done || *done == stet::reservation::not_supported) {
        MESSAGE("skipped: this file system cannot reserve");
        return;
      }
      const auto opened = stet::file::borrow(handle);
      REQUIRE(opened);
      if (!opened) return;
      CHECK(opened->size_bytes() == 100'000);
      CHECK(outcome(system_calls.reserve(nullptr, handle, 10)) == "ok");
      const auto after = stet::file::borrow(handle);
      CHECK((after && after->size_bytes() == 100'000));
    });
    const auto bytes = folder.read("a");
    CHECK(text_of(bytes).substr(0, 5) == "hello");
  }

  TEST_CASE("renames over an old file, whose readers keep it") {
    temp_folder folder;
    const auto old_bytes = stet_test::pattern(5000);
    folder.write("model", old_bytes);
    {
      const auto mapped = stet::source::map(folder.path("model"));
      const auto streamed = stet::source::stream(folder.path("model"));
      REQUIRE((mapped && streamed));
      if (!mapped || !streamed) return;
      // Three times, while the first file stays mapped.
      for (const std::string_view contents : {"first", "second", "third"}) {
        const auto done = system_calls.rename_over(nullptr, folder.write("model.tmp", contents), folder.path("model"));
        CHECK(outcome(done) == "ok");
        CHECK(text_of(folder.read("model")) == contents);
        CHECK(std::memcmp(mapped->data(), old_bytes.data(), old_bytes.size()) == 0);
        std::vector<std::byte> bytes(5000);
        CHECK(outcome(streamed->read_at(0, bytes)) == "ok");
        CHECK(bytes == old_bytes);
      }
    }
#if !defined(_WIN32)
    CHECK(folder.names() == std::vector<std::string>{"model"});
#endif
    CHECK(outcome(system_calls.rename_over(nullptr, folder.path("missing"), folder.path("model"))) == "file_not_found");
    CHECK(text_of(folder.read("model")) == "third");
    CHECK(outcome(system_calls.rename_over(nullptr, folder.path("model"), folder.path("new"))) == "ok");
    CHECK(folder.read("model").empty());
  }

  TEST_CASE("removes files, and links rather than what they lead to") {
    temp_folder folder;
    folder.write("a", "x");
    CHECK(outcome(system_calls.remove(nullptr, folder.path("a"))) == "ok");
    CHECK(outcome(system_calls.remove(nullptr, folder.path("a"))) == "file_not_found");
    folder.write("target", "x");
    std::error_code failure;
    std::filesystem::create_symlink(stet_test::to_path(folder.path("target")), stet_test::to_path(folder.path("link")),
                                    failure);
    if (!failure) CHECK(outcome(system_calls.remove(nullptr, folder.path("link"))) == "ok");
    CHECK(folder.names() == std::vector<std::string>{"target"});
    CHECK(outcome(system_calls.remove(nullptr, folder.path())) != "ok");
  }

  TEST_CASE("lists every name of a folder, in any script, until told to stop") {
    temp_folder folder;
    CHECK(list(folder.path()).empty());
    const std::vector<std::string> names = {"a", "b.stet", ".hidden", std::string(200, 'n'),
                                            "\xE6\xA8\xA1\xE5\x9E\x8B-\xF0\x9F\xA7\xA0"};
    for (const std::string& name : names) folder.write(name, "x");
    CHECK(list(folder.path()) == folder.names());
    CHECK(list(folder.path()).size() == 5);
    CHECK(list(folder.path(), 2).size() == 2);
    const auto missing = system_calls.list_folder(
        nullptr, folder.path("missing"), [](void*, std::string_view) noexcept { return true; }, nullptr);
    CHECK(outcome(missing) == "file_not_found");
  }

  TEST_CASE("an empty folder path is the current folder") {
    CHECK(list("") == list("."));
    CHECK(outcome(system_calls.sync_folder(nullptr, "")) == "ok");
  }

  TEST_CASE("syncs folders") {
    temp_folder folder;
    CHECK(outcome(system_calls.sync_folder(nullptr, folder.path())) == "ok");
#if !defined(_WIN32)
    CHECK(outcome(system_calls.sync_folder(nullptr, folder.path("missing"))) == "file_not_found");
    CHECK(outcome(system_calls.sync_folder(nullptr, folder.write("a", "x"))) == "file_not_found");
#endif
  }

  TEST_CASE("reports a handle that is closed") {
    temp_folder folder;
    const auto handle = system_calls.create_exclusive(nullptr, folder.path("a"));
    REQUIRE(handle);
    if (!handle) return;
    CHECK(outcome(system_calls.close(nullptr, *handle)) == "ok");
    CHECK(outcome(system_calls.close(nullptr, *handle)) == "io_error");
    CHECK(outcome(system_calls.sync(nullptr, *handle)) == "io_error");
    CHECK(outcome(system_calls.set_size(nullptr, *handle, 1)) == "io_error");
    CHECK(outcome(system_calls.write_at(nullptr, *handle, 0, as_bytes("x"))) == "io_error");
    const auto reserved = system_calls.reserve(nullptr, *handle, 1);
    const bool skipped = reserved && *reserved == stet::reservation::not_supported; // by not calling the system
    if (!skipped) CHECK(outcome(reserved) == "io_error");
  }

#if defined(__linux__)
  TEST_CASE("a full disk is no_space") {
    const int full = ::open("/dev/full", O_WRONLY);
    REQUIRE(full >= 0);
    const auto count = system_calls.write_at(nullptr, full, 0, as_bytes("x"));
    CHECK(outcome(count) == "no_space");
    if (!count) CHECK(count.error().system_code() == ENOSPC);
    ::close(full);
  }

  TEST_CASE("what is created has the permissions that the umask leaves, and stays out of child processes") {
    temp_folder folder;
    const ::mode_t before = ::umask(027);
    with_new_file(folder.path("a"), [](int handle) {
      struct ::stat status;
      CHECK(::fstat(handle, &status) == 0);
      CHECK((status.st_mode & 0777) == 0640);
      CHECK((::fcntl(handle, F_GETFD) & FD_CLOEXEC) != 0);
    });
    ::umask(before);
  }
#endif

  TEST_CASE("a file that is being written can be opened to write into it, too") {
    temp_folder folder;
    const std::string path = folder.path("shard");
    const auto first = system_calls.create_exclusive(nullptr, path);
    REQUIRE(first);
    const auto second = system_calls.open_to_write(nullptr, path);
    REQUIRE(outcome(second) == "ok");
    if (!first || !second) return;
    const std::byte bytes[] = {std::byte{1}, std::byte{2}};
    CHECK(outcome(system_calls.write_at(nullptr, *first, 0, std::span(bytes))) == "ok");
    CHECK(outcome(system_calls.write_at(nullptr, *second, 2, std::span(bytes))) == "ok");
    CHECK(outcome(system_calls.sync(nullptr, *second)) == "ok");
    CHECK(outcome(system_calls.close(nullptr, *second)) == "ok");
    CHECK(outcome(system_calls.close(nullptr, *first)) == "ok");
    CHECK(folder.read("shard") == std::vector<std::byte>{std::byte{1}, std::byte{2}, std::byte{1}, std::byte{2}});
    const auto missing = system_calls.open_to_write(nullptr, folder.path("missing"));
    REQUIRE(outcome(missing) == "file_not_found");
    if (!missing) CHECK(missing.error().subject() == folder.path("missing"));
  }

#if !defined(__EMSCRIPTEN__) && !defined(__wasi__) // one grants every lock, the other none
  TEST_CASE("a lock keeps out the next one, in this process too, until its handle is closed") {
    temp_folder folder;
    const std::string path = folder.path("lock");
    const auto first = system_calls.lock_file(nullptr, path);
    REQUIRE(first);
    if (!first) return;
    const auto second = system_calls.lock_file(nullptr, path);
    CHECK(outcome(second) == "locked");
    if (!second) CHECK(second.error().subject() == path);
    CHECK(outcome(system_calls.close(nullptr, *first)) == "ok");
    const auto third = system_calls.lock_file(nullptr, path);
    CHECK(outcome(third) == "ok");
    if (third) CHECK(outcome(system_calls.close(nullptr, *third)) == "ok");
    CHECK(folder.names() == std::vector<std::string>{"lock"});
    CHECK(outcome(system_calls.lock_file(nullptr, folder.path("missing/lock"))) == "file_not_found");
  }
#endif

#if !defined(__EMSCRIPTEN__) && !defined(__wasi__) && !defined(_WIN32) // which keeps the name of an open file
  TEST_CASE("a lock is looked at by its path: it may have become another's, or nobody's") {
    temp_folder folder;
    const std::string path = folder.path("lock");
    const auto lock = system_calls.lock_file(nullptr, path);
    REQUIRE(lock);
    if (!lock) return;
    CHECK(outcome(system_calls.check_lock(nullptr, *lock, path)) == "ok");
    CHECK(outcome(system_calls.remove(nullptr, path)) == "ok");
    CHECK(outcome(system_calls.check_lock(nullptr, *lock, path)) == "file_not_found");
    const auto other = system_calls.lock_file(nullptr, path);
    REQUIRE(other);
    CHECK(outcome(system_calls.check_lock(nullptr, *lock, path)) == "locked");
    CHECK(outcome(system_calls.check_lock(nullptr, *other, path)) == "ok");
    CHECK(outcome(system_calls.check_lock(nullptr, *other, std::string(5000, 'x'))) == "bad_path");
    CHECK(outcome(system_calls.close(nullptr, *lock)) == "ok");
    if (other) CHECK(outcome(system_calls.close(nullptr, *other)) == "ok");
  }
#endif

  TEST_CASE("makes folders, once") {
    temp_folder folder;
    CHECK(outcome(system_calls.create_folder(nullptr, folder.path("new"))) == "ok");
    CHECK(outcome(system_calls.create_folder(nullptr, folder.path("new"))) == "file_exists");
    CHECK(outcome(system_calls.create_folder(nullptr, folder.path("missing/new"))) == "file_not_found");
  }

  TEST_CASE("any entry can be replaced, with a context of its own") {
    temp_folder folder;
    int calls = 0;
    stet::file_operations table = stet::system_file_operations();
    table.context = &calls;
    table.sync = [](void* context, stet::native_handle) noexcept -> stet::result<void> {
      ++*static_cast<int*>(context);
      return stet::error(stet::errc::io_error).with_system_code(5);
    };
    const auto handle = table.create_exclusive(table.context, folder.path("a"));
    REQUIRE(handle);
    if (!handle) return;
    const auto failed = table.sync(table.context, *handle);
    CHECK(outcome(failed) == "io_error");
    CHECK(calls == 1);
    CHECK(outcome(table.close(table.context, *handle)) == "ok");
  }
}
