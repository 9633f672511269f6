// SPDX-License-Identifier: MIT
// Sharded checkpoints in a folder: what a manager saves, keeps, removes and sweeps; deltas of them.
#include <stet/json.hpp>
#include <stet/checkpoint/manager.hpp>

#include "small_program.hpp"

#include "support/outcome.hpp"
#include "support/shard_files.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#if STET_FILES

namespace {

using stet::checkpoint_manager;
using stet_test::elements_from;
using stet_test::outcome;
using stet_test::shard_maker;
using stet_test::small_program;
using stet_test::temp_folder;
using names = std::vector<std::string>;
using references = std::vector<stet::shard_reference>;

stet::checkpoint_options keeping(std::uint32_t max_to_keep = 0, std::uint64_t full_every = 1) {
  stet::checkpoint_options options;
  options.keep.max_to_keep = max_to_keep;
  options.full_every = full_every;
  options.save.is_durable = false; // no test here pulls the plug
  return options;
}

std::string shard_name(std::uint64_t step, int number) {
  return "ckpt-" + std::to_string(step) + "-0000" + std::to_string(number) + "-of-00002-89abcdef.stet";
}

/// Halves of the tensor `t` of int32, in two shards of the checkpoint of `step`.
references save_halves(const temp_folder& folder, std::uint64_t step, std::int32_t first) {
  references made;
  for (int number = 0; number < 2; ++number) {
    shard_maker shard;
    const auto column = static_cast<std::uint64_t>(number) * 2;
    shard.piece("t", first, {3, 4}, {0, column}, {3, 2}, stet::json_text(R"({"trainable":true})"));
    if (number == 0) shard.whole("v", first, {2}, stet::json_text(R"({"note":"whole"})"));
    made.push_back(shard.save(folder, shard_name(step, number)));
  }
  return made;
}

stet::session_state at_step(std::uint64_t step) {
  stet::session_state session;
  session.global_step = step;
  return session;
}

/// The names in the folder, without those of the manager's own files.
std::set<std::string> files_in(const temp_folder& folder) {
  std::set<std::string> all;
  for (const std::string& each : folder.names()) {
    if (each != ".stet-lock" && each != "checkpoint.json") all.insert(each);
  }
  return all;
}

void check_published(const stet::result<stet::saved_checkpoint>& saved) {
  CHECK(outcome(saved) == "ok");
  if (saved) CHECK(outcome(saved->upkeep) == "ok");
}

/// The variables of the checkpoints above.
struct halves_program {
  std::vector<std::int32_t> t = std::vector<std::int32_t>(12), v = std::vector<std::int32_t>(2);
  stet::variable_list variables() {
    stet::variable_list all;
    CHECK(all.add("t", t, {3, 4}));
    CHECK(all.add("v", v, {2}));
    return all;
  }
};

} // namespace

TEST_SUITE("checkpoint/sharded") {
  TEST_CASE("a head is saved as a checkpoint, found, and restored from") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
    REQUIRE(outcome(manager) == "ok");
    const references shards = save_halves(folder, 100, 7);
    stet::session_state session = at_step(100);
    session.metric = 0.5;
    const auto saved = manager->save_shards(session, shards, stet::json_text(R"({"nodes":[]})"));
    check_published(saved);
    CHECK(saved->path.ends_with("ckpt-100.stet"));
    CHECK(saved->base.empty());
    CHECK(saved->report.tensor_size_bytes == 0);
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-100.stet", shard_name(100, 0), shard_name(100, 1)});

    halves_program program;
    const auto restored = manager->restore_latest(program.variables());
    REQUIRE(outcome(restored) == "ok");
    CHECK(restored->session.global_step == 100);
    CHECK(restored->session.metric == 0.5);
    CHECK(restored->graph.text() == R"({"nodes":[]})");
    CHECK(program.t == elements_from(7, {3, 4}));
    CHECK(program.v == elements_from(7, {2}));
    CHECK(restored->opened.file_count() == 1);
    CHECK(outcome(stet::base_of(restored->opened.file(0))) == "ok");
    const auto all = manager->all();
    REQUIRE(all);
    REQUIRE(all->size() == 1);
    CHECK((*all)[0].metric == 0.5);
    const auto fields = stet::detail::fields_of(restored->opened);
    REQUIRE(fields);
    CHECK(fields->attributes.size() == 2);
    CHECK(fields->attributes.at("t").text() == R"({"trainable":true})");
    CHECK(fields->attributes.at("v").text() == R"({"note":"whole"})");
    CHECK(fields->newest.extra.empty());
  }

  TEST_CASE("a head whose shards are not there is not saved") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
    REQUIRE(outcome(manager) == "ok");
    references shards = save_halves(folder, 1, 0);
    CHECK(outcome(manager->save_shards(at_step(1), {})) == "missing_part");
    shards[1].file_name = "ckpt-1-00001-of-00002-00000000.stet";
    const auto missing = manager->save_shards(at_step(1), shards);
    CHECK(outcome(missing) == "missing_part");
    CHECK(missing.error().subject() == shards[1].file_name);
    shards[1].file_name = "../ckpt-1.stet";
    CHECK(outcome(manager->save_shards(at_step(1), shards)) == "bad_path");
    shards[1] = shards[0];
    CHECK(outcome(manager->save_shards(at_step(1), shards)) == "duplicate_part");
    CHECK(!files_in(folder).contains("ckpt-1.stet"));
  }

  TEST_CASE("a checkpoint that lacks a shard says so, and is passed over") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
    REQUIRE(outcome(manager) == "ok");
    check_published(manager->save_shards(at_step(1), save_halves(folder, 1, 10)));
    check_published(manager->save_shards(at_step(2), save_halves(folder, 2, 20)));
    folder.write(shard_name(2, 1), folder.read(shard_name(1, 1)));
    const auto other = stet::open_checkpoint(folder.path("ckpt-2.stet"));
    CHECK(outcome(other) == "part_mismatch");
    std::filesystem::remove(folder.path(shard_name(2, 1)));
    const auto missing = stet::open_checkpoint(folder.path("ckpt-2.stet"));
    CHECK(outcome(missing) == "missing_part");
    CHECK(missing.error().subject() == shard_name(2, 1));
    std::vector<stet::error> skipped;
    const auto latest = manager->latest(&skipped);
    REQUIRE(latest);
    CHECK(latest->step == 1);
    REQUIRE(skipped.size() == 1);
    CHECK(skipped[0].code() == stet::errc::missing_part);
  }

  TEST_CASE("shards go with their checkpoint, and stay while another one lists them") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping(2));
    REQUIRE(outcome(manager) == "ok");
    const references first = save_halves(folder, 1, 10);
    check_published(manager->save_shards(at_step(1), first));
    // The second takes over a shard of the first.
    references second = save_halves(folder, 2, 10);
    std::filesystem::remove(folder.path(shard_name(2, 0)));
    second[0] = first[0];
    check_published(manager->save_shards(at_step(2), second));
    CHECK(files_in(folder).size() == 5);
    check_published(manager->save_shards(at_step(3), save_halves(folder, 3, 30)));
    // The first is gone with the shard that is its own.
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-2.stet", shard_name(1, 0), shard_name(2, 1), "ckpt-3.stet",
                                                    shard_name(3, 0), shard_name(3, 1)});
    CHECK(outcome(stet::open_checkpoint(folder.path("ckpt-2.stet"))) == "ok");
    check_published(manager->save_shards(at_step(4), save_halves(folder, 4, 40)));
    // With the second goes the shard that it had from the first.
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-3.stet", shard_name(3, 0), shard_name(3, 1), "ckpt-4.stet",
                                                    shard_name(4, 0), shard_name(4, 1)});
    CHECK(outcome(manager->remove_after(0)) == "ok");
    CHECK(files_in(folder).empty());
  }

  TEST_CASE("checkpoints that share a shard go together") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
    REQUIRE(outcome(manager) == "ok");
    const references shards = save_halves(folder, 1, 10);
    for (std::uint64_t step = 1; step <= 3; ++step) check_published(manager->save_shards(at_step(step), shards));
    CHECK(outcome(manager->remove_after(1)) == "ok");
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-1.stet", shard_name(1, 0), shard_name(1, 1)});
    CHECK(outcome(stet::open_checkpoint(folder.path("ckpt-1.stet"))) == "ok");
  }

  TEST_CASE("a store of any name keeps the shards that it lists") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping(1));
    REQUIRE(outcome(manager) == "ok");
    const references shards = save_halves(folder, 1, 10);
    check_published(manager->save_shards(at_step(1), shards));
    (void)stet_test::save_head(folder, "best.stet", shards);
    check_published(manager->save_shards(at_step(2), save_halves(folder, 2, 20)));
    CHECK(!files_in(folder).contains("ckpt-1.stet"));
    CHECK(outcome(stet::open_checkpoint(folder.path("best.stet"))) == "ok");
  }

  TEST_CASE("shards that no head lists are swept, those of a damaged one are not") {
    const temp_folder folder;
    {
      auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
      REQUIRE(outcome(manager) == "ok");
      check_published(manager->save_shards(at_step(1), save_halves(folder, 1, 10)));
      check_published(manager->save_shards(at_step(2), save_halves(folder, 2, 20)));
      (void)save_halves(folder, 3, 30); // whose head never came
    }
    std::filesystem::remove(folder.path(shard_name(2, 1)));
    {
      auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
      REQUIRE(outcome(manager) == "ok");
    }
    CHECK(files_in(folder) ==
          std::set<std::string>{"ckpt-1.stet", shard_name(1, 0), shard_name(1, 1), "ckpt-2.stet", shard_name(2, 0)});
    // A head of which nothing can be read: what is called after it stays.
    const std::vector<std::byte> head = folder.read("ckpt-2.stet");
    folder.write("ckpt-2.stet", std::span(head).first(100));
    {
      auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
      REQUIRE(outcome(manager) == "ok");
    }
    CHECK(files_in(folder).contains(shard_name(2, 0)));
  }

  TEST_CASE("a checkpoint that is saved again replaces its shards, but for those that are listed") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping());
    REQUIRE(outcome(manager) == "ok");
    const references first = save_halves(folder, 1, 10);
    check_published(manager->save_shards(at_step(1), first));
    // Again with one new shard: the other one stays.
    shard_maker other;
    other.piece("t", 10, {3, 4}, {0, 2}, {3, 2});
    const auto replaced = other.save(folder, "ckpt-1-00001-of-00002-01234567.stet");
    check_published(manager->save_shards(at_step(1), references{first[0], replaced}));
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-1.stet", shard_name(1, 0), replaced.file_name});
    // Another checkpoint lists a shard; then the first is saved as a single file.
    check_published(manager->save_shards(at_step(2), references{first[0], replaced}));
    halves_program program;
    check_published(manager->save(at_step(1), program.variables()));
    CHECK(files_in(folder) ==
          std::set<std::string>{"ckpt-1.stet", "ckpt-2.stet", shard_name(1, 0), replaced.file_name});
    CHECK(outcome(stet::open_checkpoint(folder.path("ckpt-2.stet"))) == "ok");
    // Without the second, saving over the first takes all shards away.
    check_published(manager->save_shards(at_step(1), references{first[0], replaced}));
    CHECK(outcome(manager->remove_after(1)) == "ok");
    check_published(manager->save(at_step(1), program.variables()));
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-1.stet"});
  }

  TEST_CASE("a plain save over a copy of a head takes no shards along") {
    const temp_folder folder;
    const references shards = save_halves(folder, 1, 10);
    (void)stet_test::save_head(folder, "ckpt-1.stet", shards);
    folder.write("ckpt-1.copy", folder.read("ckpt-1.stet"));
    stet::writer out;
    out.add("a", 1);
    CHECK(outcome(out.save(folder.path("ckpt-1.copy"))) == "ok"); // the stem is the same
    CHECK(outcome(stet::open_checkpoint(folder.path("ckpt-1.stet"))) == "ok");
    CHECK(stet::detail::listed_parts(folder.path("ckpt-1.stet")) == names{shard_name(1, 0), shard_name(1, 1)});
    CHECK(*stet::detail::listed_shards(folder.path("ckpt-1.stet")) == names{shard_name(1, 0), shard_name(1, 1)});
    CHECK(stet::detail::listed_shards(folder.path("ckpt-1.copy"))->empty());
    CHECK(outcome(out.save(folder.path("ckpt-1.stet"))) == "ok");
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-1.copy", "ckpt-1.stet"});
  }

  TEST_CASE("deltas of a sharded checkpoint") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping(1, 10));
    REQUIRE(outcome(manager) == "ok");
    halves_program program;
    program.t = elements_from(7, {3, 4});
    program.v = {1, 2};
    check_published(manager->save(at_step(1), program.variables()));
    check_published(manager->save_shards(at_step(2), save_halves(folder, 2, 7))); // the chain begins anew
    const auto delta = manager->save(at_step(3), program.variables());
    check_published(delta);
    CHECK(delta->base == "ckpt-2.stet");
    CHECK(delta->report.tensor_size_bytes == 8); // `v` alone, since the pieces of `t` make up the same tensor
    // The rules keep one checkpoint, which needs the head and its shards.
    CHECK(files_in(folder) == std::set<std::string>{"ckpt-2.stet", shard_name(2, 0), shard_name(2, 1), "ckpt-3.stet"});
    halves_program restored;
    {
      const auto found = manager->restore_latest(restored.variables());
      REQUIRE(outcome(found) == "ok");
      CHECK(restored.t == program.t);
      CHECK(restored.v == program.v);
      CHECK(found->opened.file_count() == 2);
      CHECK(found->opened.file_name(1) == "ckpt-2.stet");
    }
    // Another base of the same name is not it.
    {
      const temp_folder elsewhere;
      references others = save_halves(elsewhere, 2, 8);
      folder.write("ckpt-2.stet", elsewhere.read(std::string(
                                      stet::detail::file_name_in(stet_test::save_head(elsewhere, "h.stet", others)))));
      for (const stet::shard_reference& each : others) folder.write(each.file_name, elsewhere.read(each.file_name));
    }
    CHECK(outcome(stet::open_checkpoint(folder.path("ckpt-2.stet"))) == "ok");
    CHECK(outcome(stet::open_checkpoint(folder.path("ckpt-3.stet"))) == "part_mismatch");
  }

  TEST_CASE("a delta of a sharded checkpoint is made whole before that is replaced, and by compact") {
    const temp_folder folder;
    auto manager = checkpoint_manager::open_for_saving(folder.path(), keeping(0, 10));
    REQUIRE(outcome(manager) == "ok");
    halves_program program;
    program.t = elements_from(7, {3, 4});
    program.v = {1, 2};
    check_published(manager->save_shards(at_step(2), save_halves(folder, 2, 7)));
    check_published(manager->save(at_step(3), program.variables()));
    const std::string whole = folder.path("whole.stet");
    CHECK(outcome(stet::compact(folder.path("ckpt-3.stet"), whole)) == "ok");
    CHECK(outcome(stet::compact(folder.path("ckpt-2.stet"), folder.path("two.stet"))) == "ok");
    const auto two = stet::open(folder.path("two.stet"));
    REQUIRE(outcome(two) == "ok");
    CHECK(two->tensor_count() == 2);
    CHECK(two->manifest_text().find("shards") == std::string_view::npos);
    CHECK(two->manifest_text().find("slice_of") == std::string_view::npos);
    CHECK(two->manifest_text().find(R"("note":"whole")") != std::string_view::npos);
    check_published(manager->save(at_step(2), program.variables()));
    CHECK(!files_in(folder).contains(shard_name(2, 0)));
    for (const char* name : {"ckpt-3.stet", "whole.stet"}) {
      const auto opened = stet::open_checkpoint(folder.path(name));
      REQUIRE(outcome(opened) == "ok");
      CHECK(opened->file_count() == 1);
      halves_program restored;
      CHECK(outcome(stet::restore(**opened, restored.variables())) == "ok");
      CHECK(restored.t == program.t);
      CHECK(restored.v == program.v);
    }
  }
}

#endif
