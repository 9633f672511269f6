// SPDX-License-Identifier: MIT
// Tests of source/detail/windows_write.hpp: that stet's headers do with <windows.h> before them, and what Windows promises those who
// save: replacing files that are mapped or held by others, names and paths of any kind, locks that end with their process.
#if defined(_WIN32)

#include <windows.h> // with its macros min and max

#include <stet/checkpoint.hpp>
#include <stet/restore.hpp>
#include <stet/stet.hpp>

#include "support/outcome.hpp"
#include "support/sample_model.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using stet_test::outcome;
using stet_test::sample_model;
using stet_test::saved;
using stet_test::temp_folder;

namespace {

namespace os = stet::detail::os;
namespace declared = stet::detail::win32;
using names = std::vector<std::string>;

static_assert(sizeof(declared::find_data) == sizeof(WIN32_FIND_DATAW));
static_assert(offsetof(declared::find_data, name) == offsetof(WIN32_FIND_DATAW, cFileName));
static_assert(declared::move_replace_existing == MOVEFILE_REPLACE_EXISTING &&
              declared::move_write_through == MOVEFILE_WRITE_THROUGH);
static_assert(declared::replace_ignore_merge_errors == REPLACEFILE_IGNORE_MERGE_ERRORS);
static_assert(declared::error_no_more_files == ERROR_NO_MORE_FILES &&
              declared::error_sharing_violation == ERROR_SHARING_VIOLATION);
static_assert(declared::error_unable_to_move_replacement == ERROR_UNABLE_TO_MOVE_REPLACEMENT_2);
static_assert(declared::open_always == OPEN_ALWAYS);

constexpr const stet::file_operations& calls = stet::system_file_operations();

std::wstring native_name(std::string_view path_utf8) {
  os::native_path path;
  return path.assign(path_utf8) ? path.c_str() : L"";
}

constexpr wchar_t lock_variable[] = L"STET_TEST_LOCK";

} // namespace

TEST_SUITE("windows_write") {
  TEST_CASE("many mappings of files that were replaced all stay") {
    const temp_folder folder;
    std::vector<stet::mapping> mapped;
    int refused_count = 0;
    for (int version = 0; version < 14; ++version) {
      const std::vector<std::byte> contents(5000, static_cast<std::byte>(version));
      const auto before = folder.read("m");
      const auto done = calls.rename_over(nullptr, folder.write("new", contents), folder.path("m"));
      if (!done) { // the documented error, and nothing is lost
        ++refused_count;
        CHECK(outcome(done) == "access_denied");
        CHECK(folder.read("m") == before);
        CHECK(folder.read("new") == contents);
        continue;
      }
      CHECK(folder.read("m") == contents);
      const auto opened = stet::file::open(folder.path("m"));
      REQUIRE(opened);
      auto made = stet::mapping::map(*opened, 0, contents.size());
      REQUIRE(made);
      mapped.push_back(std::move(*made));
    }
    for (std::size_t i = 0; i < mapped.size(); ++i) {
      CHECK(mapped[i].data()[0] == static_cast<std::byte>(i));
      CHECK(mapped[i].data()[4999] == static_cast<std::byte>(i));
    }
    CHECK(mapped.size() >= 10);
    if (refused_count != 0) MESSAGE(refused_count << " of 14 were refused");
    mapped.clear();
    folder.write("new", "last");
    CHECK(outcome(calls.rename_over(nullptr, folder.path("new"), folder.path("m"))) == "ok");
  }

  TEST_CASE("a file that another handle does not let go is access_denied to a save, and both files stay") {
    const temp_folder folder;
    const sample_model older(1), newer(2);
    const std::string path = folder.path("m.stet");
    for (const stet::store_form form : {stet::store_form::single_file, stet::store_form::sharded}) {
      stet::save_options options;
      options.form = form;
      REQUIRE(older.writer().save(path, options));
      const names before = folder.names();
      for (const unsigned long sharing : {0ul, static_cast<unsigned long>(FILE_SHARE_READ | FILE_SHARE_WRITE)}) {
        void* const holder = CreateFileW(native_name(path).c_str(), GENERIC_READ, sharing, nullptr, OPEN_EXISTING,
                                         FILE_ATTRIBUTE_NORMAL, nullptr);
        REQUIRE_FALSE(declared::is_invalid(holder));
        CHECK(outcome(newer.writer().save(path, options)) == "access_denied");
        CHECK(folder.names() == before);
        CHECK(CloseHandle(holder) != 0);
        CHECK(stet_test::which_is_at(path, older, newer) == saved::older);
      }
      CHECK(outcome(newer.writer().save(path, options)) == "ok");
      CHECK(stet_test::which_is_at(path, older, newer) == saved::newer);
    }
  }

  TEST_CASE("names come back as UTF-8, unpaired surrogates as U+FFFD") {
    char text[3 * 8];
    const auto converted = [&](const wchar_t* name) { return std::string(text, os::to_utf8(name, text)); };
    CHECK(converted(L"a.stet") == "a.stet");
    CHECK(converted(L"\u00E9\u6A21\xD83E\xDDE0") == "\xC3\xA9\xE6\xA8\xA1\xF0\x9F\xA7\xA0");
    CHECK(converted(L"a\xD83E"
                    L"b") == "a\xEF\xBF\xBD"
                             "b");
    CHECK(converted(L"\xDDE0\xD83E") == "\xEF\xBF\xBD\xEF\xBF\xBD");
  }

  TEST_CASE("everything that saving does works below a path of more than 260 characters, in any script") {
    const temp_folder folder;
    names made = {folder.path("modelle-\xC3\xA4")};
    for (const std::string_view part : {"\xE6\xA8\xA1\xE5\x9E\x8B", "\xF0\x9F\xA7\xA0", "weights"}) {
      made.push_back(made.back() + "/" + std::string(part) + std::string(120, 'd'));
    }
    for (const std::string& each : made) CHECK(outcome(calls.create_folder(nullptr, each)) == "ok");
    CHECK(outcome(calls.create_folder(nullptr, made.back())) == "file_exists");
    const std::string path = made.back() + "/m.stet";
    CHECK(path.size() > 400);

    const sample_model older(1), newer(2);
    CHECK(outcome(older.writer().save(path)) == "ok");
    {
      const auto mapped = stet::open(path);
      CHECK(outcome(mapped) == "ok");
      CHECK(outcome(newer.writer().save(path)) == "ok"); // over the mapped one
      if (mapped) CHECK(older.is_in(*mapped));
    }
    CHECK(stet_test::which_is_at(path, older, newer) == saved::newer);
    {
      auto manager = stet::checkpoint_manager::open_for_saving(made.back() + "/run");
      CHECK(outcome(manager) == "ok");
      float weight = 3;
      stet::variable_list variables;
      REQUIRE(variables.add("w", std::span<float>(&weight, 1), {}));
      stet::session_state session;
      session.global_step = 7;
      if (manager) CHECK(outcome(manager->save(session, variables)) == "ok");
      CHECK(outcome(stet::checkpoint_manager::open_for_saving(made.back() + "/run")) == "locked");
    }
    {
      const auto latest = stet::checkpoint_folder(made.back() + "/run").open_latest();
      CHECK(outcome(latest) == "ok");
      if (latest) CHECK(latest->info.step == 7);
    }

    made.push_back(made.back() + "/run");
    for (; !made.empty(); made.pop_back()) { // what the test's own helpers cannot reach
      names found;
      CHECK(calls.list_folder(
          nullptr, made.back(),
          [](void* into, std::string_view name) noexcept {
            static_cast<names*>(into)->emplace_back(name);
            return true;
          },
          &found));
      for (const std::string& name : found) CHECK(outcome(calls.remove(nullptr, made.back() + "/" + name)) == "ok");
      CHECK(RemoveDirectoryW(native_name(made.back()).c_str()) != 0);
    }
    CHECK(folder.names().empty());
  }

  // Run by the next one, in a process of its own.
  TEST_CASE("holds a lock until the process is ended" * doctest::skip()) {
    wchar_t name[400];
    if (GetEnvironmentVariableW(lock_variable, name, 400) == 0) return;
    char folder[3 * 400];
    const std::string path(folder, os::to_utf8(name, folder));
    const auto lock = calls.lock_file(nullptr, path + "/lock");
    if (!lock || !calls.create_exclusive(nullptr, path + "/ready")) return;
    Sleep(60'000);
  }

  TEST_CASE("a lock keeps out other processes, and ends with its own however that ends") {
    const temp_folder folder;
    wchar_t program[400];
    REQUIRE(GetModuleFileNameW(nullptr, program, 400) != 0);
    std::wstring line =
        L"\"" + std::wstring(program) + L"\" --no-skip --test-case=\"holds a lock until the process is ended\"";
    REQUIRE(SetEnvironmentVariableW(lock_variable, native_name(folder.path()).c_str()) != 0);
    STARTUPINFOW start = {};
    start.cb = sizeof start;
    PROCESS_INFORMATION process = {};
    REQUIRE(CreateProcessW(nullptr, line.data(), nullptr, nullptr, 0, CREATE_NO_WINDOW, nullptr, nullptr, &start,
                           &process) != 0);
    CHECK(SetEnvironmentVariableW(lock_variable, nullptr) != 0);
    for (int tries = 0; tries < 3000 && folder.names() != names{"lock", "ready"}; ++tries) Sleep(10);
    CHECK(folder.names() == names{"lock", "ready"});
    CHECK(outcome(calls.lock_file(nullptr, folder.path("lock"))) == "locked");
    CHECK(TerminateProcess(process.hProcess, 1) != 0);
    CHECK(WaitForSingleObject(process.hProcess, 30'000) == WAIT_OBJECT_0);
    const auto lock = calls.lock_file(nullptr, folder.path("lock"));
    CHECK(outcome(lock) == "ok");
    if (lock) CHECK(outcome(calls.close(nullptr, *lock)) == "ok");
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
  }
}

#endif
