// SPDX-License-Identifier: MIT
// Tests of manager.hpp and folder.hpp: saving, finding, restoring and retiring checkpoints.
#include <stet/json.hpp>
#include <stet/checkpoint/manager.hpp>

#include "program.hpp"

#include "support/faulty_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#if !defined(_WIN32)
#include <unistd.h>
#endif

using stet::checkpoint_folder;
using stet::checkpoint_manager;
using stet::checkpoint_options;
using stet_test::outcome;
using stet_test::program;
using stet_test::steps_in;
using stet_test::temp_folder;

namespace {

using steps = std::vector<std::uint64_t>;
using names = std::vector<std::string>;

checkpoint_options quick() {
  checkpoint_options options;
  options.save.is_durable = false; // no test here pulls the plug
  return options;
}

/// Saves a program at each of some steps.
void save_at(checkpoint_manager& manager, program& trained, const steps& at) {
  for (const std::uint64_t step : at) {
    trained.train_until(step);
    const auto saved = manager.save(trained.session(), trained.variables);
    CHECK(outcome(saved) == "ok");
    if (saved) CHECK(outcome(saved->upkeep) == "ok");
  }
}

/// Saves what a program has changed since a checkpoint as a delta of it, under any name.
void save_as_delta(const temp_folder& folder, std::string_view base_name, program& trained, std::string_view name,
                   stet::store_form form = stet::store_form::single_file) {
  const auto base = stet::open_checkpoint(folder.path(base_name));
  REQUIRE(outcome(base) == "ok");
  if (!base) return;
  stet::writer out;
  out.state = to_json(trained.session());
  CHECK(outcome(stet::add_changed(out, trained.variables, *base)) == "ok");
  stet::save_options options;
  options.is_durable = false;
  options.form = form;
  CHECK(outcome(out.save(folder.path(name), options)) == "ok");
}

void remove_by_hand(const temp_folder& folder, std::string_view name) {
  CHECK(outcome(stet::system_file_operations().remove(nullptr, folder.path(name))) == "ok");
}

/// The system's operations, of which syncs of folders and removals can be made to fail, and calls are counted.
struct watched_files {
  stet::file_operations operations = stet::system_file_operations();
  bool syncs_fail = false;
  std::string not_removable;
  std::size_t list_count = 0, sync_count = 0;

  watched_files() {
    operations.context = this;
    operations.sync_folder = [](void* self, std::string_view) noexcept -> stet::result<void> {
      watched_files& files = *static_cast<watched_files*>(self);
      ++files.sync_count;
      if (files.syncs_fail) return stet::error(stet::errc::io_error).with_system_code(EIO);
      return {};
    };
    operations.remove = [](void* self, std::string_view path) noexcept -> stet::result<void> {
      const watched_files& files = *static_cast<watched_files*>(self);
      if (!files.not_removable.empty() && path.ends_with(files.not_removable))
        return stet::error(stet::errc::access_denied, path);
      return stet::system_file_operations().remove(nullptr, path);
    };
    operations.list_folder = [](void* self, std::string_view path, bool (*visit)(void*, std::string_view) noexcept,
                                void* visitor) noexcept {
      ++static_cast<watched_files*>(self)->list_count;
      return stet::system_file_operations().list_folder(nullptr, path, visit, visitor);
    };
  }
  watched_files(const watched_files&) = delete;
  watched_files& operator=(const watched_files&) = delete;
};

#define REQUIRE_MANAGER(name, ...)                                                                                     \
  auto name = checkpoint_manager::open_for_saving(__VA_ARGS__);                                                        \
  REQUIRE(outcome(name) == "ok");                                                                                      \
  if (!name) return

} // namespace

TEST_SUITE("manager") {
  TEST_CASE("saves by step, lists, and restores the newest or any, with session and graph") {
    const temp_folder folder;
    program trained;
    REQUIRE_MANAGER(manager, folder.path());
    CHECK(outcome(manager->latest()) == "file_not_found");
    const stet::json_value graph = {{"nodes", {{{"name", "dense"}}}}};
    for (const std::uint64_t step : {3u, 12u}) {
      trained.train_until(step);
      const auto saved = manager->save(trained.session(), trained.variables, graph);
      REQUIRE(outcome(saved) == "ok");
      if (!saved) return;
      CHECK(saved->path == folder.path("ckpt-" + std::to_string(step) + ".stet"));
      CHECK(saved->report.tensor_size_bytes == 100 * 12 + 8);
      CHECK(outcome(saved->upkeep) == "ok");
    }
    CHECK(folder.names() == names{".stet-lock", "checkpoint.json", "ckpt-12.stet", "ckpt-3.stet"});
    CHECK(steps_in(*manager) == steps{3, 12});

    const checkpoint_folder reader(folder.path());
    const auto latest = reader.latest();
    REQUIRE(latest);
    if (!latest) return;
    CHECK(latest->step == 12);
    CHECK(latest->path == folder.path("ckpt-12.stet"));
    for (const std::uint64_t step : {3u, 12u}) {
      program resumed;
      stet::restore_report report;
      const auto restored = step == 12 ? reader.restore_latest(resumed.variables, {}, &report)
                                       : reader.restore(step, resumed.variables, {}, &report);
      REQUIRE(outcome(restored) == "ok");
      if (!restored) return;
      CHECK(report.count(stet::restore_outcome::copied) == 3);
      CHECK(restored->info.step == step);
      CHECK(restored->graph == graph);
      resumed.resume(restored->session);
      program expected;
      expected.train_until(step);
      CHECK(resumed.kernel == expected.kernel);
      CHECK(resumed.moment == expected.moment);
      CHECK(resumed.random == expected.random);
      CHECK(resumed.rate == expected.rate);
      CHECK(resumed.seen == expected.seen);
    }
    program other;
    CHECK(outcome(reader.restore(4, other.variables)) == "file_not_found");
  }

  TEST_CASE("a name is a step's only if it is written as the manager writes it") {
    const temp_folder folder;
    for (const char* name : {"ckpt-5.stet.stet-tmp", "ckpt-05.stet", "ckpt-.stet", "ckpt--1.stet", "ckpt-1x.stet",
                             "ckpt-18446744073709551616.stet", "model-5.stet", "ckpt-5.STET", "ckpt-5",
                             ".ckpt-5.stet.0.stet-tmp", "ckpt-00000-of-00001-00000000.stet"}) {
      folder.write(name, "x");
    }
    const checkpoint_folder reader(folder.path());
    CHECK(steps_in(reader).empty());
    folder.write("ckpt-18446744073709551615.stet", "x");
    folder.write("ckpt-0.stet", "x");
    CHECK(steps_in(reader) == steps{0, ~std::uint64_t{0}});
    CHECK(steps_in(checkpoint_folder(folder.path(), "model")) == steps{5});
    CHECK(outcome(checkpoint_folder(folder.path("missing")).all()) == "file_not_found");
  }

  TEST_CASE("training that is interrupted at any step and resumed ends with the same bits, in the file too") {
    constexpr std::uint64_t last = 8;
    const temp_folder straight;
    {
      program trained;
      REQUIRE_MANAGER(manager, straight.path(), quick());
      for (std::uint64_t step = 1; step <= last; ++step) save_at(*manager, trained, {step});
    }
    for (std::uint64_t stop = 1; stop < last; ++stop) {
      const temp_folder folder;
      for (const std::uint64_t until : {stop, last}) {
        program trained;
        REQUIRE_MANAGER(manager, folder.path(), quick());
        if (const auto restored = manager->restore_latest(trained.variables)) trained.resume(restored->session);
        while (trained.step < until) {
          trained.train();
          save_at(*manager, trained, {trained.step});
        }
      }
      CHECK(folder.names() == straight.names());
      for (const std::string& name : folder.names()) {
        if (name != "checkpoint.json") CHECK(folder.read(name) == straight.read(name));
      }
    }
  }

  TEST_CASE("a damaged checkpoint is passed over, and says so") {
    const temp_folder folder;
    program trained;
    REQUIRE_MANAGER(manager, folder.path(), quick());
    save_at(*manager, trained, {1, 2, 3, 4, 5});
    auto bytes = folder.read("ckpt-5.stet");
    folder.write("ckpt-5.stet", std::span(bytes).first(bytes.size() / 2));
    bytes = folder.read("ckpt-4.stet");
    bytes[200] ^= std::byte{1};
    folder.write("ckpt-4.stet", bytes);
    folder.write("ckpt-3.stet", "");
    std::vector<stet::error> skipped;
    const auto latest = manager->latest(&skipped);
    REQUIRE(latest);
    if (!latest) return;
    CHECK(latest->step == 2);
    REQUIRE(skipped.size() == 3);
    CHECK(skipped[0].code() == stet::errc::truncated);
    CHECK(skipped[0].subject() == folder.path("ckpt-5.stet"));
    CHECK(skipped[1].code() == stet::errc::manifest_checksum);
    CHECK(skipped[2].code() == stet::errc::truncated);
    folder.write("ckpt-2.stet", "x");
    folder.write("ckpt-1.stet", "x");
    CHECK(outcome(manager->latest()) == "truncated");
  }

  TEST_CASE("damaged checkpoints keep no sound one out, and are left to whoever repairs them") {
    const temp_folder folder;
    program trained;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 2;
    {
      REQUIRE_MANAGER(manager, folder.path(), options);
      save_at(*manager, trained, {1, 2});
    }
    folder.write("ckpt-3.stet", "damaged");
    REQUIRE_MANAGER(manager, folder.path(), options);
    trained.step = 4;
    save_at(*manager, trained, {4});
    CHECK(steps_in(*manager) == steps{2, 3, 4});
    save_at(*manager, trained, {5});
    CHECK(steps_in(*manager) == steps{3, 4, 5});
  }

  TEST_CASE("a state file that is missing, damaged or wrong changes nothing but times") {
    const temp_folder folder;
    program trained;
    REQUIRE_MANAGER(manager, folder.path(), quick());
    save_at(*manager, trained, {1, 2});
    const checkpoint_folder reader(folder.path());
    const auto latest_step = [&] {
      const auto latest = reader.latest();
      return latest ? latest->step : 0;
    };
    for (const std::string_view text :
         {"", "{", "[]", R"({"latest": "ckpt-7.stet", "all": [{"step": 7}]})",
          R"({"latest": "ckpt-1.stet", "all": []})", R"({"latest": "../../etc/passwd"})"}) {
      folder.write("checkpoint.json", text);
      CHECK(latest_step() == 2);
      CHECK(steps_in(reader) == steps{1, 2});
    }
    CHECK(outcome(stet::system_file_operations().remove(nullptr, folder.path("checkpoint.json"))) == "ok");
    CHECK(latest_step() == 2);
    // The newest goes, too, by hand.
    CHECK(outcome(stet::system_file_operations().remove(nullptr, folder.path("ckpt-2.stet"))) == "ok");
    CHECK(latest_step() == 1);
    trained.train();
    save_at(*manager, trained, {3});
    CHECK(latest_step() == 3);
  }

  TEST_CASE("keeps by number, step, time and metric; times and metrics survive a restart") {
    const temp_folder folder;
    stet_test::manual_clock clock;
    checkpoint_options options = quick();
    options.clock = clock.function();
    options.keep.max_to_keep = 2;
    options.keep.keep_every = std::chrono::minutes(4);
    options.keep.keep_step_multiple = 7;
    options.keep.keep_best = 1;
    program trained;
    for (std::uint64_t step = 1; step <= 12; ++step) { // a new manager each time
      REQUIRE_MANAGER(manager, folder.path(), options);
      trained.train_until(step);
      stet::session_state session = trained.session();
      session.metric = step == 3 ? 0.9 : 0.1;
      CHECK(outcome(manager->save(session, trained.variables)) == "ok");
      clock.now += std::chrono::minutes(1);
    }
    const checkpoint_folder reader(folder.path());
    // 1, 5 and 9 by time; 7 by step; 3 by metric; 11 and 12 as the newest.
    CHECK(steps_in(reader) == steps{1, 3, 5, 7, 9, 11, 12});
    const auto all = reader.all();
    REQUIRE((all && all->size() == 7));
    if (!all) return;
    CHECK((*all)[1].metric == 0.9);
    CHECK((*all)[0].saved_at == clock.now - std::chrono::minutes(12));
    // Without the state file metrics are found in the checkpoints, and of those whose time nobody knows none is removed.
    CHECK(outcome(stet::system_file_operations().remove(nullptr, folder.path("checkpoint.json"))) == "ok");
    REQUIRE_MANAGER(manager, folder.path(), options);
    save_at(*manager, trained, {13});
    CHECK(steps_in(reader) == steps{1, 3, 5, 7, 9, 11, 12, 13});
    options.keep.keep_every = std::chrono::minutes(0);
    {
      const checkpoint_manager ended = std::move(*manager);
    } // gives the lock back
    REQUIRE_MANAGER(second, folder.path(), options);
    save_at(*second, trained, {14});
    CHECK(steps_in(reader) == steps{3, 7, 13, 14});
  }

  TEST_CASE("a program that went back keeps what it saves; the later ones go when it says so") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 3;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained;
    save_at(*manager, trained, {10, 20, 30});
    program again;
    save_at(*manager, again, {5});
    CHECK(steps_in(*manager) == steps{5, 10, 20, 30});
    CHECK(outcome(manager->remove_after(10)) == "ok");
    CHECK(steps_in(*manager) == steps{5, 10});
    const auto latest = manager->latest();
    CHECK((latest && latest->step == 10));
    CHECK(folder.names() == names{".stet-lock", "checkpoint.json", "ckpt-10.stet", "ckpt-5.stet"});
  }

  TEST_CASE("saving a step again replaces it; who has it mapped keeps the old one") {
    const temp_folder folder;
    REQUIRE_MANAGER(manager, folder.path(), quick());
    program trained;
    save_at(*manager, trained, {1});
    auto opened = manager->open(1);
    REQUIRE(opened);
    if (!opened) return;
    const float before = (*(*opened->opened).get<float>("dense/kernel"))[0];
    trained.kernel[0] = 42;
    save_at(*manager, trained, {1});
    CHECK((*(*opened->opened).get<float>("dense/kernel"))[0] == before);
    const auto again = manager->open(1);
    CHECK((again && (*(*again->opened).get<float>("dense/kernel"))[0] == 42));
    CHECK(steps_in(*manager) == steps{1});
  }

  TEST_CASE("binds in place, copy-on-write where the program trains on") {
    const temp_folder folder;
    REQUIRE_MANAGER(manager, folder.path(), quick());
    program trained;
    save_at(*manager, trained, {1});
    stet::view<float, 100> kernel;
    stet::variable_list variables;
    CHECK(outcome(variables.add_view("dense/kernel", kernel)) == "ok");
    stet::restore_rules rules;
    rules.mode = stet::restore_mode::bind;
    rules.ignore = {"**"};
    stet::open_options how;
    how.access = stet::access::copy_on_write;
    stet::restore_report report;
    const auto restored = manager->restore_latest(variables, rules, &report, how);
    REQUIRE(outcome(restored) == "ok");
    if (!restored) return;
    CHECK(report.copied_bytes == 0);
    const auto found = restored->opened->find("dense/kernel");
    CHECK((found && static_cast<const void*>(kernel.data()) == found->bytes().data()));
    const float before = kernel.data()[0];
    kernel.data()[0] = before + 1;
    const auto again = manager->open(1);
    CHECK((again && (*(*again->opened).get<float>("dense/kernel"))[0] == before));
  }

  TEST_CASE("nothing of a program changes when a restore fails") {
    const temp_folder folder;
    REQUIRE_MANAGER(manager, folder.path(), quick());
    program trained;
    save_at(*manager, trained, {2});
    program other(50);
    const std::vector<float> before = other.kernel;
    CHECK(outcome(manager->restore_latest(other.variables)) == "binding_failed");
    CHECK(other.kernel == before);
    // A store that is no checkpoint has no session.
    stet::writer plain;
    CHECK(outcome(stet::add_variables(plain, trained.variables)) == "ok");
    CHECK(outcome(plain.save(folder.path("ckpt-9.stet"))) == "ok");
    program fresh;
    const std::vector<float> untouched = fresh.kernel;
    CHECK(outcome(manager->restore_latest(fresh.variables)) == "missing_field");
    CHECK(fresh.kernel == untouched);
  }

  TEST_CASE("one writer for a folder; readers need no lock") {
    const temp_folder folder;
    {
      REQUIRE_MANAGER(first, folder.path(), quick());
      const auto second = checkpoint_manager::open_for_saving(folder.path(), quick());
      CHECK(outcome(second) == "locked");
      if (!second) CHECK(second.error().subject() == folder.path(".stet-lock"));
      program trained;
      save_at(*first, trained, {1});
      CHECK(outcome(checkpoint_folder(folder.path()).latest()) == "ok");
      stet::checkpoint_manager moved = std::move(*first);
      CHECK(outcome(checkpoint_manager::open_for_saving(folder.path(), quick())) == "locked");
    }
    CHECK(outcome(checkpoint_manager::open_for_saving(folder.path(), quick())) == "ok");
  }

  TEST_CASE("makes the folder, with any separator at its end; refuses what it cannot be") {
    const temp_folder folder;
    for (const char* name : {"new", "other/", "third//"}) {
      REQUIRE_MANAGER(manager, folder.path(name), quick());
      program trained;
      save_at(*manager, trained, {1});
    }
    CHECK(outcome(checkpoint_manager::open_for_saving(folder.path("missing/new"))) == "file_not_found");
    folder.write("file", "x");
    CHECK(outcome(checkpoint_manager::open_for_saving(folder.path("file"))) != "ok");
    checkpoint_options options;
    for (const char* prefix : {"", "a/b", "..", "a\nb"}) {
      options.prefix = prefix;
      CHECK(outcome(checkpoint_manager::open_for_saving(folder.path(), options)) == "bad_path");
    }
    options.prefix = "ckpt";
    options.save.form = stet::store_form::loose;
    CHECK(outcome(checkpoint_manager::open_for_saving(folder.path(), options)) == "invalid_argument");
  }

  TEST_CASE("opening sweeps what a dead writer left, and nothing else") {
    const temp_folder folder;
    for (const char* name : {".ckpt-3.stet.0.stet-tmp", ".ckpt-3.stet.17.stet-tmp", ".checkpoint.json.0.stet-tmp",
                             "ckpt-2.stet.stet-old-4", ".ckpt-3-00000-of-00002-00000000.stet.0.stet-tmp",
                             "ckpt-3-00000-of-00002-0123abcd.stet"}) {
      folder.write(name, "x");
    }
    const names others = {".model.stet.0.stet-tmp", "ckpt-3-notes.txt", "model.stet", "notes.stet-old-4"};
    for (const std::string& name : others) folder.write(name, "x");
    REQUIRE_MANAGER(manager, folder.path(), quick());
    names left = others;
    left.insert(left.begin() + 1, ".stet-lock");
    CHECK(folder.names() == left);
  }

  TEST_CASE("sharded checkpoints come and go with their parts; a part in use stays") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 2;
    options.save.form = stet::store_form::sharded;
    options.save.max_part_size_bytes = 1128;
    program trained;
    {
      REQUIRE_MANAGER(manager, folder.path(), options);
      save_at(*manager, trained, {1, 2, 3});
      const auto latest = manager->open_latest();
      REQUIRE(latest);
      if (!latest) return;
      CHECK(latest->opened->index().part_count() == 2);
      CHECK(stet_test::is_at_step(*latest->opened, 3));
    }
    std::size_t file_count = 0;
    for (const std::string& name : folder.names()) file_count += name.starts_with("ckpt-") ? 1u : 0u;
    CHECK(file_count == 2 * 3);
    // A checkpoint that leans on another's part, as one with only changes does: its first part is that of step 2.
    auto head = folder.read("ckpt-2.stet");
    folder.write("ckpt-7.stet", head);
    REQUIRE_MANAGER(manager, folder.path(), options);
    trained.step = 8;
    save_at(*manager, trained, {8});
    CHECK(steps_in(*manager) == steps{7, 8});
    const auto leaning = manager->open(7);
    REQUIRE(leaning);
    if (!leaning) return;
    CHECK(stet_test::is_at_step(*leaning->opened, 2));
  }

  TEST_CASE("checkpoints, deltas and what is made whole of them have the layout of the options") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.full_every = 2;
    options.save.layout = stet::store_layout::accelerator;
    options.save.page_size_bytes = 256;
    std::vector<float> changing(1100), constant(1100, 2.0f);
    stet::variable_list variables;
    REQUIRE(variables.add("changing", changing, {1100}));
    REQUIRE(variables.add("constant", constant, {1100}));
    REQUIRE_MANAGER(manager, folder.path(), options);
    stet::session_state session;
    for (session.global_step = 1; session.global_step <= 2; ++session.global_step) {
      changing[0] = static_cast<float>(session.global_step);
      REQUIRE(manager->save(session, variables));
    }
    const auto has_pages = [&](std::string_view name, std::size_t tensor_count) {
      const auto opened = stet::open(folder.path(name), {.backing = stet::backing::read});
      REQUIRE(opened);
      CHECK(opened->index().tensor_count() == tensor_count);
      for (const stet::tensor each : *opened) {
        CHECK(opened->whole_pages(each, 256));
        CHECK(each.entry().offset_bytes() % 256 == 0);
      }
    };
    has_pages("ckpt-1.stet", 2);
    has_pages("ckpt-2.stet", 1);
    REQUIRE(stet::compact(folder.path("ckpt-2.stet"), folder.path("whole.stet"), options.save));
    has_pages("whole.stet", 2);
  }

  TEST_CASE("between whole saves come deltas, which hold what changed since the last whole one") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 0;
    options.full_every = 3;
    program trained(100, 5000);
    const auto save_through = [&](std::uint64_t last) {
      REQUIRE_MANAGER(manager, folder.path(), options);
      while (trained.step < last) {
        trained.train();
        const auto saved =
            manager->save(trained.session(), trained.variables, stet::json_value{{"nodes", trained.step}});
        REQUIRE(outcome(saved) == "ok");
        if (!saved) return;
        CHECK(outcome(saved->upkeep) == "ok");
        CHECK(saved->report.tensor_size_bytes == (saved->base.empty() ? 10'000u : 0u) + 100 * 12 + 8);
      }
    };
    save_through(7);
    save_through(8); // a manager begins with a whole one
    const checkpoint_folder reader(folder.path());
    const char* const bases[] = {"", "ckpt-1.stet", "ckpt-1.stet", "", "ckpt-4.stet", "ckpt-4.stet", "", ""};
    for (std::uint64_t step = 1; step <= 8; ++step) {
      CAPTURE(step);
      const std::string base = bases[step - 1];
      program resumed(100, 5000);
      const auto restored = reader.restore(step, resumed.variables);
      REQUIRE(outcome(restored) == "ok");
      if (!restored) return;
      CHECK(stet_test::is_at_step(*restored->opened, step, 100, 5000));
      CHECK(restored->opened.file_count() == (base.empty() ? 1u : 2u));
      CHECK((base.empty() || restored->opened.file_name(1) == base));
      CHECK(restored->session.global_step == step);
      CHECK(restored->graph == stet::json_value({{"nodes", step}}));
      // Only what trains is in a delta: not a tenth of the file.
      CHECK((base.empty() || folder.read("ckpt-" + std::to_string(step) + ".stet").size() < 4000));
    }
    CHECK(folder.read("ckpt-1.stet").size() > 11'000);
  }

  TEST_CASE("a save of which nothing is as it was in the base is whole, and the next base") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.full_every = 10;
    REQUIRE_MANAGER(manager, folder.path(), options);
    std::vector<float> a = {1}, b = {2};
    stet::variable_list variables;
    CHECK(variables.add("a", a, {1}));
    CHECK(variables.add("b", b, {1}));
    const auto base_of_save = [&](std::uint64_t step) {
      const auto saved = manager->save({step}, variables);
      CHECK(outcome(saved) == "ok");
      return saved ? saved->base : "failed";
    };
    CHECK(base_of_save(1) == "");
    a[0] = b[0] = 3;
    CHECK(base_of_save(2) == "");
    a[0] = 4;
    CHECK(base_of_save(3) == "ckpt-2.stet");
    const auto whole = manager->open(2);
    CHECK((whole && whole->opened.file_count() == 1));
  }

  TEST_CASE("training that is interrupted between deltas and resumed ends with the same bits") {
    constexpr std::uint64_t last = 8;
    checkpoint_options options = quick();
    options.full_every = 3;
    options.keep.max_to_keep = 2;
    for (std::uint64_t stop = 1; stop < last; ++stop) {
      const temp_folder folder;
      for (const std::uint64_t until : {stop, last}) {
        program trained(100, 50);
        REQUIRE_MANAGER(manager, folder.path(), options);
        if (const auto restored = manager->restore_latest(trained.variables)) trained.resume(restored->session);
        CHECK(trained.step == (until == stop ? 0 : stop));
        while (trained.step < until) {
          trained.train();
          save_at(*manager, trained, {trained.step});
        }
      }
      const auto latest = checkpoint_folder(folder.path()).open_latest();
      CHECK((latest && stet_test::is_at_step(*latest->opened, last, 100, 50)));
    }
  }

  TEST_CASE("the base of a delta stays as long as a checkpoint that is kept builds on it") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 2;
    options.full_every = 4;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(100, 50);
    const steps expected[] = {{1}, {1, 2}, {1, 2, 3}, {1, 3, 4}, {1, 4, 5}, {5, 6}, {5, 6, 7}, {5, 7, 8}, {5, 8, 9}};
    for (const steps& each : expected) {
      save_at(*manager, trained, {each.back()});
      CHECK(steps_in(*manager) == each);
      for (const std::uint64_t step : each) {
        const auto opened = manager->open(step);
        CHECK((opened && stet_test::is_at_step(*opened->opened, step, 100, 50)));
      }
    }
    // Going back: the base of what is left stays, too.
    CHECK(outcome(manager->remove_after(8)) == "ok");
    CHECK(steps_in(*manager) == steps{5, 8});
    CHECK(outcome(manager->remove_after(0)) == "ok");
    CHECK(folder.names() == names{".stet-lock", "checkpoint.json"});
  }

  TEST_CASE("the bases of deltas stay over any number of them, and go with them") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 2;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(100, 50);
    save_at(*manager, trained, {1});
    for (const std::uint64_t step : {2u, 3u}) {
      trained.train();
      const auto base = manager->open(step - 1);
      stet::writer out;
      out.state = to_json(trained.session());
      REQUIRE(base);
      if (!base) return;
      CHECK(outcome(stet::add_changed(out, trained.variables, base->opened)) == "ok");
      CHECK(outcome(out.save(manager->path_of(step))) == "ok");
    }
    save_at(*manager, trained, {4});
    CHECK(steps_in(*manager) == steps{1, 2, 3, 4});
    { // Windows keeps the names of removed files for as long as they are open.
      const auto third = manager->open(3);
      CHECK((third && third->opened.file_count() == 3 && stet_test::is_at_step(*third->opened, 3, 100, 50)));
    }
    save_at(*manager, trained, {5}); // of these two, none builds on another
    CHECK(steps_in(*manager) == steps{4, 5});
  }

  TEST_CASE("a delta whose base is lost or another says so, is passed over, and keeps no base from the next save") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.full_every = 10;
    program trained(100, 50);
    {
      REQUIRE_MANAGER(manager, folder.path(), options);
      save_at(*manager, trained, {1});
    }
    REQUIRE_MANAGER(manager, folder.path(), options);
    save_at(*manager, trained, {2, 3});
    const std::string base = folder.path("ckpt-2.stet");
    const std::vector<std::byte> bytes = folder.read("ckpt-2.stet");
    const auto check_lost = [&](const char* expected) {
      program resumed(100, 50);
      const auto restored = manager->restore(3, resumed.variables);
      CHECK(outcome(restored) == expected);
      if (!restored) CHECK(restored.error().subject() == "ckpt-2.stet");
    };
    folder.write("ckpt-2.stet", folder.read("ckpt-1.stet"));
    check_lost("part_mismatch");
    CHECK(outcome(stet::system_file_operations().remove(nullptr, base)) == "ok");
    check_lost("missing_base");
    std::vector<stet::error> skipped;
    const auto latest = manager->latest(&skipped);
    CHECK((latest && latest->step == 1));
    REQUIRE(skipped.size() == 1);
    CHECK(skipped[0].code() == stet::errc::missing_base);

    trained.train();
    const auto saved = manager->save(trained.session(), trained.variables);
    CHECK((saved && saved->base.empty() && saved->upkeep));
    CHECK(steps_in(*manager) == steps{1, 3, 4});
    // What was damaged was left to whoever repairs it.
    folder.write("ckpt-2.stet", bytes);
    const auto repaired = manager->open(3);
    CHECK((repaired && stet_test::is_at_step(*repaired->opened, 3, 100, 50)));
  }

  TEST_CASE("a checkpoint on which deltas build is replaced only after they were made whole") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.full_every = 10;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(100, 50);
    save_at(*manager, trained, {1, 2, 3});
    {
      const auto base = manager->open(3);
      REQUIRE(base);
      if (!base) return;
      trained.train();
      stet::writer out; // a delta of a delta
      out.state = to_json(trained.session());
      CHECK(outcome(stet::add_changed(out, trained.variables, base->opened)) == "ok");
      CHECK(outcome(out.save(manager->path_of(4))) == "ok");
    }
    program other(100, 50);
    other.train();
    other.kernel[0] = 42;
    const auto saved = manager->save(other.session(), other.variables);
    CHECK((saved && saved->base.empty()));
    for (const std::uint64_t step : {2u, 3u, 4u}) {
      const auto opened = manager->open(step);
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      CHECK(opened->opened.file_count() == 1);
      CHECK(stet_test::is_at_step(*opened->opened, step, 100, 50));
    }
    // A program that went back builds on nothing that is after it.
    const temp_folder another;
    REQUIRE_MANAGER(second, another.path(), options);
    save_at(*second, trained, {10, 20});
    program again(100, 50);
    again.train_until(5);
    const auto earlier = second->save(again.session(), again.variables);
    CHECK((earlier && earlier->base.empty()));
  }

  TEST_CASE("a delta that is copied over a checkpoint keeps its base, although the file was looked at before") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 2;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(100, 50);
    save_at(*manager, trained, {1, 2, 3});
    CHECK(steps_in(*manager) == steps{2, 3});
    trained.train();
    save_as_delta(folder, "ckpt-2.stet", trained, "x");
    folder.write("ckpt-3.stet", folder.read("x"));
    remove_by_hand(folder, "x");
    save_at(*manager, trained, {5});
    CHECK(steps_in(*manager) == steps{2, 3, 5});
    {
      const auto third = manager->open(3); // what is open cannot be removed everywhere
      CHECK((third && stet_test::is_at_step(*third->opened, 4, 100, 50)));
    }
    save_at(*manager, trained, {6});
    CHECK(steps_in(*manager) == steps{5, 6});
  }

  TEST_CASE("the metric of a checkpoint that another was copied over is that of the copy") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 1;
    options.keep.keep_best = 1;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained;
    const auto save = [&](std::uint64_t step, double metric) {
      trained.train_until(step);
      stet::session_state session = trained.session();
      session.metric = metric;
      CHECK(outcome(manager->save(session, trained.variables)) == "ok");
    };
    save(1, 0.5);
    folder.write("bad", folder.read("ckpt-1.stet"));
    save(2, 0.9);
    save(3, 0.1);
    CHECK(steps_in(*manager) == steps{2, 3});
    folder.write("ckpt-2.stet", folder.read("bad"));
    save(4, 0.7);
    CHECK(steps_in(*manager) == steps{4});
    save(5, 0.6);
    CHECK(steps_in(*manager) == steps{4, 5});
  }

  TEST_CASE("whatever the name and the form of a delta, it keeps its base, and all that this builds on") {
    struct deltas {
      const char* name;
      stet::store_form form;
    };
    for (const auto& [name, form] :
         {deltas{"tuned.stet", stet::store_form::single_file}, deltas{"tuned", stet::store_form::sharded},
          deltas{"tuned.json", stet::store_form::loose}, deltas{"ckpt-x.stet", stet::store_form::single_file}}) {
      const std::string_view which = name;
      CAPTURE(which);
      const temp_folder folder;
      checkpoint_options options = quick();
      options.keep.max_to_keep = 1;
      options.full_every = 2;
      program trained(100, 50), tuned(100, 50);
      {
        REQUIRE_MANAGER(manager, folder.path(), options);
        save_at(*manager, trained, {1, 2}); // the second a delta of the first
        tuned.train_until(3);
        save_as_delta(folder, "ckpt-2.stet", tuned, name, form);
        save_at(*manager, trained, {4, 5, 6});
        CHECK(steps_in(*manager) == steps{1, 2, 6});
        CHECK(outcome(manager->remove_after(0)) == "ok");
        CHECK(steps_in(*manager) == steps{1, 2});
      }
      REQUIRE_MANAGER(manager, folder.path(), options);
      save_at(*manager, trained, {7, 8});
      CHECK(steps_in(*manager) == steps{1, 2, 7, 8});
      {
        const auto opened = stet::open_checkpoint(folder.path(name));
        CHECK((opened && stet_test::is_at_step(**opened, 3, 100, 50)));
      }
      remove_by_hand(folder, name);
      save_at(*manager, trained, {9});
      CHECK(steps_in(*manager) == steps{9});
    }
  }

  TEST_CASE("a delta that is damaged keeps its base for whoever repairs it") {
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 1;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(100, 50);
    save_at(*manager, trained, {1});
    trained.train();
    save_as_delta(folder, "ckpt-1.stet", trained, "tuned.stet");
    std::vector<std::byte> bytes = folder.read("tuned.stet");
    const std::vector<std::byte> sound = bytes;
    const auto header = stet::decode_header(std::span(bytes).first(stet::file_header::size_bytes), bytes.size());
    REQUIRE(header);
    if (!header) return;
    bytes[static_cast<std::size_t>(header->index_offset_bytes) + 20] ^= std::byte{1};
    folder.write("tuned.stet", bytes);
    CHECK(outcome(stet::open_checkpoint(folder.path("tuned.stet"))) == "index_checksum");
    save_at(*manager, trained, {3, 4});
    CHECK(steps_in(*manager) == steps{1, 4});
    folder.write("tuned.stet", sound);
    const auto repaired = stet::open_checkpoint(folder.path("tuned.stet"));
    CHECK((repaired && stet_test::is_at_step(**repaired, 2, 100, 50)));
  }

#if !defined(_WIN32)
  TEST_CASE("nothing is removed as long as a file of the folder may not be read, which may be a delta") {
    if (::geteuid() == 0) return; // who may read everything
    const temp_folder folder;
    checkpoint_options options = quick();
    options.keep.max_to_keep = 1;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained;
    save_at(*manager, trained, {1});
    std::filesystem::permissions(folder.write("secret", "x"), std::filesystem::perms::none);
    trained.train();
    const auto saved = manager->save(trained.session(), trained.variables);
    REQUIRE(outcome(saved) == "ok");
    if (saved) CHECK(outcome(saved->upkeep) == "access_denied");
    if (saved && !saved->upkeep) CHECK(saved->upkeep.error().subject() == folder.path("secret"));
    CHECK(steps_in(*manager) == steps{1, 2});
  }
#endif

  TEST_CASE("a checkpoint is replaced only after deltas of any name were made whole, in their form") {
    struct deltas {
      const char* name;
      stet::store_form form;
      std::size_t file_count;
    };
    for (const auto& [name, form, file_count] :
         {deltas{"tuned.stet", stet::store_form::single_file, 1}, deltas{"tuned.v.stet", stet::store_form::sharded, 2},
          deltas{"tuned.json", stet::store_form::loose, 2}}) {
      const std::string_view which = name;
      CAPTURE(which);
      const temp_folder folder;
      REQUIRE_MANAGER(manager, folder.path(), quick());
      program trained(100, 50);
      save_at(*manager, trained, {1});
      trained.train();
      save_as_delta(folder, "ckpt-1.stet", trained, name, form);
      program other(100, 50);
      other.train();
      other.frozen[0] = 42;
      save_at(*manager, other, {1});
      const auto opened = stet::open_checkpoint(folder.path(name));
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      CHECK(opened->file_count() == 1);
      CHECK(stet_test::is_at_step(**opened, 2, 100, 50));
      std::size_t tuned_count = 0;
      for (const std::string& each : folder.names()) tuned_count += each.starts_with("tuned") ? 1u : 0u;
      CHECK(tuned_count == file_count);
      CHECK((form == stet::store_form::loose) == (folder.read(name)[0] == std::byte{'{'}));
    }
  }

  TEST_CASE("a checkpoint whose folder could not be synced is there, removes none, and none builds on it") {
    watched_files files;
    const temp_folder folder;
    checkpoint_options options;
    options.save.operations = &files.operations;
    options.keep.max_to_keep = 1;
    options.full_every = 10;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(100, 50);
    save_at(*manager, trained, {1});
    const std::vector<std::byte> state = folder.read("checkpoint.json");
    for (const std::uint64_t step : {2u, 3u}) { // a delta, and then a whole one
      trained.train_until(step);
      files.syncs_fail = true;
      const auto saved = manager->save(trained.session(), trained.variables);
      files.syncs_fail = false;
      CHECK(outcome(saved) == "not_durable");
      if (!saved) CHECK(saved.error().subject() == manager->path_of(step));
    }
    CHECK(steps_in(*manager) == steps{1, 2, 3});
    CHECK(folder.read("checkpoint.json") == state);
    for (const std::uint64_t step : {2u, 3u}) {
      const auto opened = manager->open(step);
      CHECK(
          (opened && opened->opened.file_count() == 4 - step && stet_test::is_at_step(*opened->opened, step, 100, 50)));
    }
    // A reader is told of it once the folder is on the disk.
    const std::size_t sync_count = files.sync_count;
    const auto latest = manager->latest();
    CHECK((latest && latest->step == 3));
    CHECK(files.sync_count == sync_count + 1);
    files.syncs_fail = true;
    CHECK(outcome(manager->latest()) == "io_error");
    files.syncs_fail = false;
    trained.train();
    const auto saved = manager->save(trained.session(), trained.variables);
    REQUIRE(outcome(saved) == "ok");
    if (!saved) return;
    CHECK(saved->base.empty());
    CHECK(steps_in(*manager) == steps{4});
  }

  TEST_CASE("the base of a delta stays, although the save was reported as failed, in place of a whole checkpoint") {
    watched_files files;
    const temp_folder folder;
    checkpoint_options options;
    options.save.operations = &files.operations;
    options.keep.max_to_keep = 2;
    options.full_every = 10;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(100, 50);
    save_at(*manager, trained, {1});
    folder.write("ckpt-3.stet", folder.read("ckpt-1.stet"));
    save_at(*manager, trained, {2});
    CHECK(steps_in(*manager) == steps{1, 2, 3}); // all looked at
    trained.train();
    files.syncs_fail = true;
    CHECK(outcome(manager->save(trained.session(), trained.variables)) == "not_durable");
    files.syncs_fail = false;
    save_at(*manager, trained, {4});
    CHECK(steps_in(*manager) == steps{1, 3, 4});
    const auto third = manager->open(3);
    CHECK((third && third->opened.file_count() == 2 && stet_test::is_at_step(*third->opened, 3, 100, 50)));
  }

  TEST_CASE("readers wait for the disk unless the state file tells that this very file is there for good") {
    watched_files files;
    const temp_folder folder;
    program trained;
    const checkpoint_folder reader(folder.path(), "ckpt", files.operations);
    const auto syncs_of_latest = [&] {
      const std::size_t before = files.sync_count;
      CHECK(outcome(reader.latest()) == "ok");
      return files.sync_count - before;
    };
    {
      REQUIRE_MANAGER(manager, folder.path());
      save_at(*manager, trained, {1, 2});
      CHECK(syncs_of_latest() == 0);
      CHECK(syncs_of_latest() == 0);
      save_at(*manager, trained, {2}); // in its place
      CHECK(syncs_of_latest() == 0);
      CHECK(outcome(manager->remove_after(1)) == "ok");
      CHECK(syncs_of_latest() == 0);
      program earlier;
      save_at(*manager, trained, {5});
      save_at(*manager, earlier, {3}); // the newest is another
      CHECK(syncs_of_latest() == 0);
    }
    // Another file of this name, of which it is not known whether its name is on the disk: what a writer that was killed leaves.
    folder.write("copy", folder.read("ckpt-5.stet"));
    std::filesystem::rename(stet_test::to_path(folder.path("copy")), stet_test::to_path(folder.path("ckpt-5.stet")));
    CHECK(syncs_of_latest() == 1);
    {
      REQUIRE_MANAGER(manager, folder.path(), quick());
      save_at(*manager, trained, {6});
      CHECK(syncs_of_latest() == 1);
    }
  }

  TEST_CASE("a search for the newest lists the folder twice, however many are damaged") {
    const temp_folder folder(temp_folder::in_memory());
    program trained(10, 10);
    {
      REQUIRE_MANAGER(manager, folder.path(), quick());
      save_at(*manager, trained, {1, 2});
      trained.train();
      save_as_delta(folder, "ckpt-2.stet", trained, "delta");
    }
    remove_by_hand(folder, "ckpt-2.stet");
    const std::vector<std::byte> delta = folder.read("delta");
    constexpr std::size_t damaged_count = 3000;
    for (std::size_t i = 0; i < damaged_count; ++i) {
      const std::string name = "ckpt-" + std::to_string(i + 10) + ".stet";
      if (i % 3 == 0)
        folder.write(name, "damaged");
      else
        folder.write(name, delta);
    }
    watched_files files;
    const checkpoint_folder reader(folder.path(), "ckpt", files.operations);
    std::vector<stet::error> skipped;
    const auto latest = reader.latest(&skipped);
    CHECK((latest && latest->step == 1));
    CHECK(skipped.size() == damaged_count);
    CHECK(files.list_count == 2);
    remove_by_hand(folder, "ckpt-1.stet");
    CHECK(outcome(reader.latest(&skipped)) == "missing_base");
    CHECK(files.list_count == 4);
    const checkpoint_folder other(folder.path(), "none", files.operations);
    CHECK(outcome(other.latest()) == "file_not_found");
    CHECK(files.list_count == 5);
  }

  TEST_CASE("a newer checkpoint that comes during the search is found") {
    const temp_folder folder;
    program trained;
    {
      REQUIRE_MANAGER(manager, folder.path(), quick());
      save_at(*manager, trained, {1, 3});
    }
    folder.write("ckpt-2.stet", "damaged");
    // The name of the newest is listed, and then a writer replaces it by a newer one.
    struct race {
      const temp_folder& folder;
      bool is_over = false;
    } ends{folder};
    stet::file_operations operations = stet::system_file_operations();
    operations.context = &ends;
    operations.list_folder = [](void* self, std::string_view path, bool (*visit)(void*, std::string_view) noexcept,
                                void* visitor) noexcept {
      race& of = *static_cast<race*>(self);
      auto listed = stet::system_file_operations().list_folder(nullptr, path, visit, visitor);
      if (!std::exchange(of.is_over, true)) {
        std::filesystem::rename(stet_test::to_path(of.folder.path("ckpt-3.stet")),
                                stet_test::to_path(of.folder.path("ckpt-4.stet")));
      }
      return listed;
    };
    std::vector<stet::error> skipped;
    const auto latest = checkpoint_folder(folder.path(), "ckpt", operations).latest(&skipped);
    CHECK((latest && latest->step == 4));
    REQUIRE(skipped.size() == 2);
    CHECK(skipped[0].code() == stet::errc::file_not_found);
    CHECK(skipped[1].code() == stet::errc::bad_magic);
  }

  TEST_CASE("what was being replaced gets its name back: of several, the one that was written last") {
    for (const bool is_first_newer : {false, true}) {
      const temp_folder folder;
      program trained;
      std::vector<std::byte> bytes[2];
      {
        REQUIRE_MANAGER(manager, folder.path(), quick());
        for (std::vector<std::byte>& each : bytes) {
          trained.kernel[0] += 1;
          save_at(*manager, trained, {5});
          each = folder.read("ckpt-5.stet");
        }
        save_at(*manager, trained, {6});
      }
      remove_by_hand(folder, "ckpt-5.stet");
      folder.write(is_first_newer ? "ckpt-5.stet.stet-old-1" : "ckpt-5.stet.stet-old-0", bytes[0]);
      std::this_thread::sleep_for(std::chrono::milliseconds(50)); // longer than a tick of the file system's clock
      folder.write(is_first_newer ? "ckpt-5.stet.stet-old-0" : "ckpt-5.stet.stet-old-1", bytes[1]);
      folder.write("ckpt-6.stet.stet-old-0", bytes[0]); // of a replacement that came to its end
      folder.write("checkpoint.json.stet-old-0", "{}");
      const std::vector<std::byte> newest = folder.read("ckpt-6.stet");
      stet_test::faulty_files files;
      checkpoint_options options = quick();
      options.save.operations = &files.operations();
      REQUIRE_MANAGER(manager, folder.path(), options);
      CHECK(folder.names() == names{".stet-lock", "checkpoint.json", "ckpt-5.stet", "ckpt-6.stet"});
      CHECK(folder.read("ckpt-5.stet") == bytes[1]);
      CHECK(folder.read("ckpt-6.stet") == newest);
      // The name is on the disk before anything is removed.
      std::vector<stet_test::file_call> order;
      for (const auto& call : files.calls()) {
        if (call.entry != stet_test::file_call::list_folder) order.push_back(call.entry);
      }
      using enum stet_test::file_call;
      CHECK(order ==
            std::vector{create_folder, sync_folder, lock_file, rename_over, sync_folder, remove, remove, remove});
    }
  }

  TEST_CASE("of what was being replaced, a sound copy is taken first, and what is no store is none") {
    const temp_folder folder;
    program trained;
    {
      REQUIRE_MANAGER(manager, folder.path(), quick());
      save_at(*manager, trained, {1, 2, 3});
    }
    std::vector<std::byte> sound = folder.read("ckpt-2.stet"), damaged = sound;
    damaged[200] ^= std::byte{1};
    for (const char* name : {"ckpt-1.stet", "ckpt-2.stet", "ckpt-3.stet"}) remove_by_hand(folder, name);
    folder.write("ckpt-1.stet.stet-old-0", "x");
    folder.write("ckpt-2.stet.stet-old-0", sound);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    folder.write("ckpt-2.stet.stet-old-1", damaged);
    folder.write("ckpt-3.stet.stet-old-7", damaged); // someone may repair it
    REQUIRE_MANAGER(manager, folder.path(), quick());
    CHECK(folder.names() == names{".stet-lock", "checkpoint.json", "ckpt-2.stet", "ckpt-3.stet"});
    CHECK(folder.read("ckpt-2.stet") == sound);
    CHECK(folder.read("ckpt-3.stet") == damaged);
  }

  TEST_CASE("a part that was being replaced gets its name back, if a checkpoint needs it") {
    const temp_folder folder;
    program trained;
    checkpoint_options options = quick();
    options.save.form = stet::store_form::sharded;
    {
      REQUIRE_MANAGER(manager, folder.path(), options);
      save_at(*manager, trained, {1});
    }
    const names before = folder.names();
    const std::string part = before[2];
    REQUIRE(part.starts_with("ckpt-1-00000-of-00001-"));
    std::filesystem::rename(stet_test::to_path(folder.path(part)),
                            stet_test::to_path(folder.path(part + ".stet-old-0")));
    folder.write("ckpt-9-00000-of-00001-00000000.stet.stet-old-0", folder.read(part + ".stet-old-0"));
    REQUIRE_MANAGER(manager, folder.path(), options);
    CHECK(folder.names() == before);
    const auto opened = manager->open(1);
    CHECK((opened && stet_test::is_at_step(*opened->opened, 1)));
  }

  TEST_CASE("litter that cannot be removed keeps no writer out, and an old name that cannot be given back is kept") {
    const temp_folder folder;
    program trained;
    {
      REQUIRE_MANAGER(manager, folder.path(), quick());
      save_at(*manager, trained, {1, 2});
    }
    std::filesystem::rename(stet_test::to_path(folder.path("ckpt-2.stet")),
                            stet_test::to_path(folder.path("ckpt-2.stet.stet-old-0")));
    folder.write(".ckpt-3.stet.0.stet-tmp", "x");
    watched_files files;
    files.not_removable = ".stet-tmp";
    files.operations.rename_over = [](void*, std::string_view from,
                                      std::string_view to) noexcept -> stet::result<void> {
      if (from.find(".stet-old-") != std::string_view::npos) return stet::error(stet::errc::access_denied, to);
      return stet::system_file_operations().rename_over(nullptr, from, to);
    };
    checkpoint_options options = quick();
    options.save.operations = &files.operations;
    {
      REQUIRE_MANAGER(manager, folder.path(), options);
      CHECK(folder.names() ==
            names{".ckpt-3.stet.0.stet-tmp", ".stet-lock", "checkpoint.json", "ckpt-1.stet", "ckpt-2.stet.stet-old-0"});
      save_at(*manager, trained, {4});
      CHECK(steps_in(*manager) == steps{1, 4});
    }
    REQUIRE_MANAGER(manager, folder.path(), quick());
    CHECK(folder.names() == names{".stet-lock", "checkpoint.json", "ckpt-1.stet", "ckpt-2.stet", "ckpt-4.stet"});
  }

  TEST_CASE("a checkpoint is removed after what a sweep would give its name back") {
    const temp_folder folder;
    program trained;
    stet_test::faulty_files files;
    checkpoint_options options = quick();
    options.save.operations = &files.operations();
    options.keep.max_to_keep = 1;
    {
      REQUIRE_MANAGER(manager, folder.path(), options);
      save_at(*manager, trained, {1});
      folder.write("ckpt-1.stet.stet-old-0", folder.read("ckpt-1.stet"));
      folder.write("ckpt-1.stet.stet-old-3", folder.read("ckpt-1.stet"));
      const std::size_t before = files.calls().size();
      save_at(*manager, trained, {2});
      CHECK(folder.names() == names{".stet-lock", "checkpoint.json", "ckpt-2.stet"});
      std::vector<std::string> order;
      for (std::size_t i = before; i < files.calls().size(); ++i) {
        const auto& call = files.calls()[i];
        if (call.entry == stet_test::file_call::sync_folder) order.emplace_back("sync");
        if (call.entry == stet_test::file_call::remove) order.push_back(call.path.substr(call.path.rfind('/') + 1));
      }
      REQUIRE(order.size() == 4);
      CHECK(order[0].starts_with("ckpt-1.stet.stet-old-"));
      CHECK(order[1].starts_with("ckpt-1.stet.stet-old-"));
      CHECK(order[2] == "sync");
      CHECK(order[3] == "ckpt-1.stet");
    }
    // If that cannot be removed, the checkpoint stays.
    watched_files stuck;
    stuck.not_removable = ".stet-old-0";
    options.save.operations = &stuck.operations;
    REQUIRE_MANAGER(manager, folder.path(), options);
    folder.write("ckpt-2.stet.stet-old-0", folder.read("ckpt-2.stet"));
    trained.train();
    const auto saved = manager->save(trained.session(), trained.variables);
    REQUIRE(outcome(saved) == "ok");
    if (saved) CHECK(outcome(saved->upkeep) == "access_denied");
    CHECK(steps_in(*manager) == steps{2, 3});
    stuck.not_removable.clear();
    CHECK(outcome(manager->remove_after(2)) == "ok");
    save_at(*manager, trained, {4});
    CHECK(folder.names() == names{".stet-lock", "checkpoint.json", "ckpt-4.stet"});
  }

  TEST_CASE("the name of the folder is on the disk, also if it was there already") {
    const temp_folder parent;
    for (const bool is_there_already : {false, true, true}) {
      stet_test::faulty_files files;
      checkpoint_options options = quick();
      options.save.operations = &files.operations();
      REQUIRE_MANAGER(manager, parent.path("checkpoints"), options);
      REQUIRE(files.calls().size() >= 3);
      CHECK(files.calls()[0].entry == stet_test::file_call::create_folder);
      CHECK(files.calls()[0].has_failed == is_there_already);
      CHECK(files.calls()[1].entry == stet_test::file_call::sync_folder);
      CHECK(files.calls()[1].path == parent.path() + "/");
      CHECK(files.calls()[2].entry == stet_test::file_call::lock_file);
    }
    // A disk that fails is an error; a parent that may not be read, of a folder that is there, is none.
    stet::file_operations operations = stet::system_file_operations();
    checkpoint_options options = quick();
    options.save.operations = &operations;
    operations.sync_folder = [](void*, std::string_view) noexcept -> stet::result<void> {
      return stet::errc::io_error;
    };
    CHECK(outcome(checkpoint_manager::open_for_saving(parent.path("checkpoints"), options)) == "io_error");
    operations.sync_folder = [](void*, std::string_view) noexcept -> stet::result<void> {
      return stet::errc::access_denied;
    };
    CHECK(outcome(checkpoint_manager::open_for_saving(parent.path("checkpoints"), options)) == "ok");
    CHECK(outcome(checkpoint_manager::open_for_saving(parent.path("new"), options)) == "access_denied");
  }

  TEST_CASE("a session as large as a manifest can be is saved and restored; a larger one is refused, and none is "
            "removed for it") {
    const temp_folder folder(temp_folder::in_memory());
    checkpoint_options options = quick();
    options.keep.max_to_keep = 1;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained(10);
    trained.train();
    const auto save = [&](std::string user) {
      stet::session_state session = trained.session();
      session.user = stet::json_value(std::move(user));
      return manager->save(session, trained.variables);
    };
    const auto manifest_size = [&](std::uint64_t step) {
      const auto opened = manager->open(step);
      return opened ? opened->opened->manifest_text().size() : 0;
    };
    constexpr std::size_t limit = std::size_t{64} << 20, less = std::size_t{10} << 20; // offsets have as many digits
    CHECK(outcome(save(std::string(less, 'a'))) == "ok");
    const std::size_t exact = limit - (manifest_size(1) - less);
    trained.step = 2;
    const auto refused = save(std::string(exact + 1, 'a'));
    CHECK(outcome(refused) == "too_large");
    CHECK(outcome(save(std::string(limit / 6 + 1, '\x01'))) == "too_large"); // six characters each
    CHECK(steps_in(*manager) == steps{1});
    CHECK(outcome(save(std::string(exact, 'a'))) == "ok");
    CHECK(steps_in(*manager) == steps{2});
    CHECK(manifest_size(2) == limit);
    program resumed(10);
    const auto restored = manager->restore_latest(resumed.variables);
    REQUIRE(outcome(restored) == "ok");
    if (restored) CHECK(stet::to_json_value(restored->session.user).get_ref<const std::string&>().size() == exact);
  }

  TEST_CASE("no file of a checkpoint holds a time") {
    const temp_folder first, second;
    stet_test::manual_clock clock;
    for (const temp_folder* each : {&first, &second}) {
      checkpoint_options options = quick();
      options.clock = clock.function();
      clock.now += std::chrono::hours(1000);
      REQUIRE_MANAGER(manager, each->path(), options);
      program trained;
      save_at(*manager, trained, {1});
    }
    CHECK(first.read("ckpt-1.stet") == second.read("ckpt-1.stet"));
    CHECK(first.read("checkpoint.json") != second.read("checkpoint.json"));
  }
}
