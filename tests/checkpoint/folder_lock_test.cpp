// SPDX-License-Identifier: MIT
// Tests of folder_lock.hpp: a writer notices that the lock it holds keeps nobody out any more.
#include <stet/checkpoint/manager.hpp>

#include "program.hpp"

#include "support/faulty_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

using stet::checkpoint_manager;
using stet_test::outcome;
using stet_test::program;
using stet_test::temp_folder;

TEST_SUITE("folder_lock") {
#if !defined(_WIN32) // where an open file and its folder keep their names
  TEST_CASE("the writer of a folder that was removed and made anew saves no more: another may") {
    const temp_folder folder;
    const std::string path = folder.path("run"), lock = path + "/.stet-lock";
    auto first = checkpoint_manager::open_for_saving(path);
    REQUIRE(outcome(first) == "ok");
    if (!first) return;
    program trained;
    trained.train();
    CHECK(outcome(first->save(trained.session(), trained.variables)) == "ok");
    std::filesystem::remove_all(path);
    const auto gone = first->save(trained.session(), trained.variables);
    CHECK(outcome(gone) == "file_not_found");
    CHECK((!gone && gone.error().subject() == stet::error(stet::errc::locked, lock).subject()));

    auto second = checkpoint_manager::open_for_saving(path);
    REQUIRE(outcome(second) == "ok");
    if (!second) return;
    CHECK(outcome(second->save(trained.session(), trained.variables)) == "ok");
    trained.train();
    const auto refused = first->save(trained.session(), trained.variables);
    CHECK(outcome(refused) == "locked");
    CHECK((!refused && refused.error().subject() == stet::error(stet::errc::locked, lock).subject()));
    CHECK(outcome(first->remove_after(0)) == "locked");
    CHECK(stet_test::steps_in(*second) == std::vector<std::uint64_t>{1});
    CHECK(outcome(second->save(trained.session(), trained.variables)) == "ok");
    {
      [[maybe_unused]] const checkpoint_manager ended = std::move(*first);
    } // takes nothing from the second
    CHECK(outcome(second->save(trained.session(), trained.variables)) == "ok");
    CHECK(outcome(checkpoint_manager::open_for_saving(path)) == "locked");
  }

  TEST_CASE("a lock file that is removed, or is another's, is an error by its name") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path());
    REQUIRE(outcome(manager) == "ok");
    if (!manager) return;
    program trained;
    std::filesystem::remove(folder.path(".stet-lock"));
    CHECK(outcome(manager->save(trained.session(), trained.variables)) == "file_not_found");
    std::filesystem::create_symlink(folder.path("elsewhere"), folder.path(".stet-lock"));
    CHECK(outcome(manager->save(trained.session(), trained.variables)) == "locked");
    CHECK(stet_test::steps_in(*manager).empty());
  }
#endif

  TEST_CASE("a table of operations that cannot look is believed") {
    const temp_folder folder;
    stet::file_operations operations = stet_test::without_syncing();
    operations.check_lock = nullptr;
    stet::checkpoint_options options;
    options.save.operations = &operations;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), options);
    REQUIRE(outcome(manager) == "ok");
    if (!manager) return;
    program trained;
    CHECK(outcome(manager->save(trained.session(), trained.variables)) == "ok");
  }
}
