// SPDX-License-Identifier: MIT
// Tests of locate.hpp: every path that means a checkpoint, and paths in state files that lead out of the folder.
#include "support/outcome.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/tensorflow/detail/locate.hpp>

#include <doctest/doctest.h>

#include <filesystem>

namespace {

using namespace std::literals;
using stet::detail::checkpoint_version;
using stet::detail::locate_tensorflow_checkpoint;
using stet_test::outcome;

/// A table as V1 has it, of no tensors.
std::string version_1() {
  stet::detail::sorted_table_writer out;
  out.add("", "\x0a\x02\x12\x00"sv);
  return out.finish();
}

void make_folder(const stet_test::temp_folder& folder, std::string_view name) {
  std::filesystem::create_directory(stet_test::to_path(folder.path(name)));
}

/// Question marks; written out, they are a trigraph before the dash.
const std::string any_number(5, '?');

std::string state_of(std::string_view path) { return "model_checkpoint_path: \"" + std::string(path) + "\"\n"; }

} // namespace

TEST_SUITE("tensorflow/locate") {
  TEST_CASE("finds a checkpoint of version 2 by prefix, index and folder") {
    const stet_test::temp_folder folder;
    stet_test::made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    const std::string prefix = made.write(folder, "ckpt-1");
    folder.write("checkpoint", state_of("ckpt-1"));
    for (const std::string& path :
         {prefix, prefix + ".index", prefix + ".data-00000-of-00001", folder.path(), folder.path() + "/"}) {
      CAPTURE(path);
      const auto found = locate_tensorflow_checkpoint(path);
      REQUIRE(found);
      CHECK(found->version == checkpoint_version::v2);
      CHECK(std::filesystem::equivalent(stet_test::to_path(found->prefix + ".index"),
                                        stet_test::to_path(prefix + ".index")));
      CHECK(found->subfolder == "");
    }
    std::filesystem::remove(stet_test::to_path(prefix + ".index"));
    const auto lost = locate_tensorflow_checkpoint(prefix + ".data-00000-of-00001");
    CHECK(outcome(lost) == "file_not_found");
    CHECK(lost.error().subject().ends_with("ckpt-1.index"));
    CHECK(outcome(locate_tensorflow_checkpoint(folder.path("ckpt-2"))) == "file_not_found");
  }

  TEST_CASE("a folder without a state file means the one checkpoint in it; of several, the error names one") {
    const stet_test::temp_folder folder;
    CHECK(outcome(locate_tensorflow_checkpoint(folder.path())) == "file_not_found");
    stet_test::made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    (void)made.write(folder, "model.ckpt-7");
    for (const std::string& path : {folder.path(), folder.path() + "/"}) {
      const auto found = locate_tensorflow_checkpoint(path);
      REQUIRE(found);
      CHECK(found->prefix == folder.path("model.ckpt-7"));
      CHECK(found->subfolder == "");
    }
    (void)made.write(folder, "model.ckpt-8");
    const auto several = locate_tensorflow_checkpoint(folder.path());
    CHECK(outcome(several) == "invalid_argument");
    CHECK(several.error().subject() == "2 checkpoints and no state file; add a name, such as /model.ckpt-7");
  }

  TEST_CASE("finds a checkpoint of version 1 by file, shard, prefix, pattern and folder") {
    const stet_test::temp_folder folder;
    const std::string plain = folder.write("old", version_1());
    const std::string shard = folder.write("sharded-00001-of-00002", version_1());
    folder.write("sharded-00000-of-00002", version_1());
    const auto file = locate_tensorflow_checkpoint(plain);
    REQUIRE(file);
    CHECK(file->version == checkpoint_version::v1);
    CHECK(file->files == std::vector<std::string>{plain});
    folder.write("checkpoint", state_of("sharded-" + any_number + "-of-00002"));
    for (const std::string& path :
         {shard, folder.path("sharded"), folder.path("sharded-" + any_number + "-of-00002"), folder.path()}) {
      CAPTURE(path);
      const auto found = locate_tensorflow_checkpoint(path);
      REQUIRE(found);
      CHECK(found->version == checkpoint_version::v1);
      REQUIRE(found->files.size() == 2);
      CHECK(found->files[0].ends_with("/sharded-00000-of-00002"));
      CHECK(found->files[1].ends_with("/sharded-00001-of-00002"));
    }
    folder.write("checkpoint", state_of("old"));
    CHECK(outcome(locate_tensorflow_checkpoint(folder.path())) == "ok");
  }

  TEST_CASE("what a state file says does not lead out of its folder") {
    const stet_test::temp_folder folder;
    stet_test::made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    make_folder(folder, "run");
    make_folder(folder, "run/inner");
    (void)made.write(folder, "outside");
    (void)made.write(folder, "run/moved");
    (void)made.write(folder, "run/inner/deep");
    const std::pair<std::string, std::string> table[] = {
        {"moved", "ok"},
        {"inner/deep", "ok"},
        {"old/run/moved", "ok"}, // the folder was renamed
        {"old/run/absent", "file_not_found"},
        {"/somewhere/else/moved", "ok"}, // the folder was moved
        {folder.path("outside"), "file_not_found"},
        {"../outside", "file_not_found"},
        {"inner/../../outside", "file_not_found"},
        {"C:/moved", "ok"},
        {"C:\\\\moved", "ok"}, // written on Windows, with an escape
        {"..\\\\moved", "ok"},
        {"..", "file_not_found"},
        {"absent", "file_not_found"},
        {"inner/", "file_not_found"},
    };
    for (const auto& row : table) {
      const auto& path = row.first;
      const auto& expected = row.second;
      CAPTURE(path);
      folder.write("run/checkpoint", state_of(path));
      CHECK(outcome(locate_tensorflow_checkpoint(folder.path("run"))) == expected);
    }
    folder.write("run/checkpoint", state_of("inner/deep"));
    const auto found = locate_tensorflow_checkpoint(folder.path("run"));
    REQUIRE(found);
    CHECK(found->subfolder == "inner/");
    folder.write("run/checkpoint", "model_checkpoint_path \"moved\"");
    CHECK(outcome(locate_tensorflow_checkpoint(folder.path("run"))) == "bad_state_file");
    folder.write("run/checkpoint", "something else of this name");
    CHECK(outcome(locate_tensorflow_checkpoint(folder.path("run"))) == "ok"); // as if it were not there: one checkpoint
  }

  TEST_CASE("knows the names of shards") {
    using stet::detail::shard_name;
    const auto parsed = shard_name::parse("a/model.ckpt-00002-of-00012");
    REQUIRE(parsed);
    CHECK(parsed->base == "a/model.ckpt");
    CHECK(parsed->count == 12);
    CHECK(parsed->all().size() == 12);
    CHECK(parsed->all()[11] == "a/model.ckpt-00011-of-00012");
    for (const std::string_view name : {"", "model", "-00000-of-00000", "m-0000a-of-00001", "m-00000-of-0000?",
                                        "m-00000-to-00001", "m.00000-of-00001"})
      CHECK_FALSE(shard_name::parse(name));
  }
}
