// SPDX-License-Identifier: MIT
// What is left of a folder of checkpoints when a call fails, the process is killed, or the power fails, at every call.
#include <stet/checkpoint/manager.hpp>

#include "program.hpp"

#include "support/outcome.hpp"
#include "support/thinned.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#if !defined(_WIN32) // the simulated disk keeps and loses what a POSIX one does

#include <functional>
#include <iterator>
#include <set>

using stet::checkpoint_folder;
using stet::checkpoint_manager;
using stet::checkpoint_options;
using stet_test::disk_fault;
using stet_test::disk_image;
using stet_test::outcome;
using stet_test::program;
using stet_test::simulated_disk;
using stet_test::step_if_thinned;
using stet_test::steps_in;
using stet_test::temp_folder;

namespace {

constexpr std::size_t size = 20, frozen_size = 30;
constexpr std::uint64_t last_step = 4, kept_count = 2;

/// The ways to save that are tested.
struct way_to_save {
  stet::store_form form;
  std::uint64_t full_every;
};
constexpr way_to_save ways[] = {{stet::store_form::single_file, 1}, {stet::store_form::sharded, 2}};

checkpoint_options options_of(const way_to_save& way, const stet::file_operations* operations) {
  checkpoint_options options;
  options.keep.max_to_keep = kept_count;
  options.full_every = way.full_every;
  options.save.form = way.form;
  options.save.max_part_size_bytes = 200;
  options.save.operations = operations;
  options.clock = [] { return std::chrono::system_clock::time_point(); }; // the same run makes the same files
  return options;
}

/// Whether `name` is that of a checkpoint, a part, or one of the two files beside them: what a sweep leaves.
bool is_in_place(const std::string& name) {
  return name == ".stet-lock" || name == "checkpoint.json" || (name.starts_with("ckpt-") && name.ends_with(".stet"));
}

/// Steps, and those of the checkpoints that they build on.
std::vector<std::uint64_t> with_bases(const checkpoint_folder& where, std::vector<std::uint64_t> steps) {
  std::set<std::uint64_t> all;
  for (const std::uint64_t step : steps) {
    all.insert(step);
    const auto opened = where.open(step);
    for (std::size_t i = 1; opened && i < opened->opened.file_count(); ++i) {
      const std::string& name = opened->opened.file_name(i); // ckpt-STEP.stet
      all.insert(std::stoull(name.substr(5)));
    }
  }
  return {all.begin(), all.end()};
}

/// Whether each part in the folder is listed by a checkpoint of the folder.
bool has_no_orphans(const temp_folder& folder) {
  std::set<std::string> listed;
  const checkpoint_folder where(folder.path());
  for (const std::uint64_t step : steps_in(where)) {
    const auto opened = where.open(step);
    if (!opened) return false;
    listed.insert("ckpt-" + std::to_string(step) + ".stet");
    const stet::tensor_index& index = opened->opened.file(0).index();
    for (std::uint32_t part = 0; part < index.part_count(); ++part) listed.insert(std::string(index.part(part).path));
  }
  for (const std::string& name : folder.names()) {
    if (name.starts_with("ckpt-") && !listed.contains(name)) return false;
  }
  return true;
}

/// What must be true of a folder in which every save up to `acknowledged` succeeded and the next may have begun. Nothing if
/// it is; else what is not.
std::string problem_of(const temp_folder& folder, std::uint64_t acknowledged, std::uint64_t named_by_reader = 0) {
  const checkpoint_folder where(folder.path());
  std::vector<stet::error> skipped;
  const auto latest = where.open_latest({}, &skipped);
  if (!skipped.empty()) return "a checkpoint is damaged";
  if (!latest)
    return acknowledged == 0 && named_by_reader == 0 && latest.error().code() == stet::errc::file_not_found
               ? ""
               : "no checkpoint: " + outcome(latest);
  const std::uint64_t newest = latest->info.step;
  if (newest < acknowledged) return "the newest acknowledged checkpoint is lost";
  if (newest < named_by_reader) return "a checkpoint that a reader was told of is lost";
  if (newest > acknowledged + 1) return "a checkpoint from nowhere";
  const std::vector<std::uint64_t> steps = steps_in(where);
  for (const std::uint64_t step : steps) {
    const auto opened = where.open(step);
    if (!opened || !stet_test::is_at_step(*opened->opened, step, size, frozen_size))
      return "checkpoint " + std::to_string(step) + " is not what was saved";
  }
  // Of those acknowledged, the rules keep so many; one less if there is a newer one.
  for (std::uint64_t step = newest < kept_count ? 1 : newest - kept_count + 1; step <= acknowledged; ++step) {
    if (!std::binary_search(steps.begin(), steps.end(), step)) return "checkpoint " + std::to_string(step) + " is lost";
  }
  return {};
}

/// Opens the folder for saving again, and saves on: nothing is left of what went wrong.
std::string problem_after_restart(const temp_folder& folder, const way_to_save& way, bool saves_on) {
  checkpoint_options options = options_of(way, nullptr);
  options.save.is_durable = false;
  auto manager = checkpoint_manager::open_for_saving(folder.path(), options);
  if (!manager) return "cannot be opened: " + outcome(manager);
  for (const std::string& name : folder.names()) {
    if (!is_in_place(name)) return name + " is left";
  }
  if (!has_no_orphans(folder)) return "a part is left";
  if (!saves_on) return {};
  program resumed(size, frozen_size);
  if (const auto restored = manager->restore_latest(resumed.variables)) resumed.resume(restored->session);
  resumed.train();
  const auto saved = manager->save(resumed.session(), resumed.variables);
  if (!saved || !saved->upkeep) return "cannot be saved into";
  const std::vector<std::uint64_t> kept =
      resumed.step == 1 ? std::vector<std::uint64_t>{1} : std::vector<std::uint64_t>{resumed.step - 1, resumed.step};
  return steps_in(*manager) == with_bases(*manager, kept) && has_no_orphans(folder) ? ""
                                                                                    : "too much or too little is kept";
}

/// The operations of a reader whose waits for a folder are counted, and do not happen.
stet::file_operations counting_folder_syncs(std::size_t& count) {
  stet::file_operations made = stet::system_file_operations();
  made.context = &count;
  made.sync_folder = [](void* counted, std::string_view) noexcept -> stet::result<void> {
    ++*static_cast<std::size_t*>(counted);
    return {};
  };
  return made;
}

/// A folder that is filled again and again.
class scratch_folder {
public:
  const temp_folder& fill(const disk_image& image) {
    for (const std::string& name : folder_.names())
      (void)stet::system_file_operations().remove(nullptr, folder_.path(name));
    for (const auto& [name, bytes] : image) folder_.write(name, bytes);
    return folder_;
  }

private:
  temp_folder folder_{temp_folder::in_memory()};
};

/// Which cases came before: most folders that one call may leave the next may leave, too.
class seen_cases {
public:
  /// Whether this is a new case.
  bool is_new(const disk_image& image, std::uint64_t acknowledged, std::uint64_t named = 0) {
    std::string text = std::to_string(acknowledged) + "," + std::to_string(named);
    for (const auto& [name, bytes] : image) {
      std::string contents(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (name == "checkpoint.json") remove_files(contents);
      text +=
          "," + name + "=" + std::to_string(contents.size()) + ":" + std::to_string(std::hash<std::string>()(contents));
    }
    ++count_;
    return seen_.insert(std::move(text)).second;
  }
  /// The same for what is looked at: under a sanitizer one new case of 16.
  bool is_new_to_check(const disk_image& image, std::uint64_t acknowledged, std::uint64_t named = 0) {
    return is_new(image, acknowledged, named) && different_count() % step_if_thinned(16) == 0;
  }
  /// All cases, and the different ones.
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t different_count() const { return seen_.size(); }

private:
  /// Removes what tells one file from another, which is different in every run.
  static void remove_files(std::string& state) {
    constexpr std::string_view key = "\"file\":\"";
    for (std::size_t at = 0; (at = state.find(key, at)) != std::string::npos;) {
      at += key.size();
      state.erase(at, state.find('"', at) - at);
    }
  }

  std::size_t count_ = 0;
  std::set<std::string> seen_;
};

/// Trains and saves at each step; `acknowledged` is the last step of which a save succeeded.
void train(const temp_folder& folder, const checkpoint_options& options, std::uint64_t& acknowledged,
           std::size_t& failure_count, bool tries_again) {
  program trained(size, frozen_size);
  auto manager = checkpoint_manager::open_for_saving(folder.path(), options);
  if (!manager) {
    ++failure_count;
    if (tries_again) manager = checkpoint_manager::open_for_saving(folder.path(), options);
  }
  if (!manager) return;
  while (trained.step < last_step) {
    trained.train();
    auto saved = manager->save(trained.session(), trained.variables);
    if (!saved) {
      ++failure_count;
      const std::string problem = problem_of(folder, acknowledged);
      CHECK_MESSAGE(problem.empty(), problem);
      if (!tries_again) return;
      saved = manager->save(trained.session(), trained.variables);
    }
    CHECK(outcome(saved) == "ok");
    if (!saved) return;
    acknowledged = trained.step;
  }
}

} // namespace

TEST_SUITE("faults") {
  TEST_CASE("at every call: the process is killed, or the power fails, and whatever was not synced is there or not") {
    std::size_t call_count = 0, reader_count = 0, problem_count = 0;
    scratch_folder scratch;
    seen_cases killed, cut;
    for (const way_to_save& way : ways) {
      const temp_folder folder(temp_folder::in_memory());
      simulated_disk disk;
      std::uint64_t acknowledged = 0;
      const auto note = [&](const std::string& problem) {
        if (problem.empty() || ++problem_count > 20) return;
        FAIL_CHECK("before call " << disk.call_count() << ", step " << acknowledged
                                  << " being acknowledged: " << problem);
      };
      bool is_inside = false;
      disk.before_call = [&] {
        if (std::exchange(is_inside, true)) return;
        ++call_count;
        // Killed: what everyone sees now. A reader comes by, and what it is told of must outlast a loss of power.
        const disk_image present = disk.present();
        const temp_folder& seen = scratch.fill(present);
        const bool is_new = killed.is_new(present, acknowledged);
        if (is_new) note(problem_of(seen, acknowledged));
        std::uint64_t named = 0;
        std::size_t sync_count = 0;
        const stet::file_operations counting = counting_folder_syncs(sync_count);
        if (const auto latest = checkpoint_folder(folder.path(), "ckpt", counting).latest()) named = latest->step;
        // A reader that synced the folder itself has the names on the disk, and the bytes were before they had a name.
        if (sync_count != 0) named = 0;
        reader_count += named != 0 ? 1u : 0u;
        if (is_new) note(problem_after_restart(seen, way, true));
        disk.after_power_loss([&](const disk_image& image) {
          if (!cut.is_new_to_check(image, acknowledged, named)) return;
          const temp_folder& left = scratch.fill(image);
          note(problem_of(left, acknowledged, named));
          note(problem_after_restart(left, way, cut.different_count() % 8 == 0));
        });
        is_inside = false;
      };
      const checkpoint_options options = options_of(way, &disk.operations());
      std::size_t failure_count = 0;
      train(folder, options, acknowledged, failure_count, false);
      CHECK(failure_count == 0);
      CHECK(acknowledged == last_step);
      disk.before_call();
    }
    MESSAGE("killed at " << call_count << " calls; " << cut.count() << " folders after a loss of power, "
                         << cut.different_count() << " of them different; " << reader_count << " readers in between");
    CHECK(problem_count == 0);
    CHECK(cut.different_count() > 1000);
    CHECK(reader_count > 50);
  }

  TEST_CASE("at every call of saving one step again: what was acknowledged, or what a reader was given, stays") {
    std::size_t call_count = 0, reader_count = 0, problem_count = 0;
    scratch_folder scratch;
    seen_cases cut;
    for (const way_to_save& way : ways) {
      const temp_folder folder(temp_folder::in_memory());
      simulated_disk disk;
      program saved(size, frozen_size); // `seen` tells one version from the next
      std::uint64_t acknowledged = 0;
      // The version of the newest checkpoint; 0: none can be opened.
      const auto version_in = [&](const temp_folder& in, const stet::file_operations& operations) -> std::uint64_t {
        std::vector<stet::error> skipped;
        const auto latest = checkpoint_folder(in.path(), "ckpt", operations).open_latest({}, &skipped);
        if (!latest || !skipped.empty() || !latest->opened->verify_checksums()) return 0;
        const auto seen = latest->opened->get<std::uint64_t>("seen");
        return seen ? (*seen)[0] : 0;
      };
      const auto note = [&](std::uint64_t version, std::uint64_t least, const char* when) {
        if (version >= least || ++problem_count > 20) return;
        FAIL_CHECK("before call " << disk.call_count() << " version " << version << " is left of " << least << " "
                                  << when);
      };
      bool is_inside = false;
      disk.before_call = [&] {
        if (std::exchange(is_inside, true)) return;
        ++call_count;
        std::size_t sync_count = 0;
        const stet::file_operations counting = counting_folder_syncs(sync_count);
        std::uint64_t named = version_in(folder, counting);
        note(named, acknowledged, "while the power stays");
        if (sync_count != 0) named = 0; // the reader itself has put it on the disk
        reader_count += named != 0 ? 1u : 0u;
        disk.after_power_loss([&](const disk_image& image) {
          if (!cut.is_new_to_check(image, acknowledged, named)) return;
          note(version_in(scratch.fill(image), stet::system_file_operations()), (std::max)(acknowledged, named),
               "after a loss of power");
        });
        is_inside = false;
      };
      auto manager = checkpoint_manager::open_for_saving(folder.path(), options_of(way, &disk.operations()));
      REQUIRE(outcome(manager) == "ok");
      if (!manager) return;
      for (const std::uint64_t version : {1u, 2u, 3u}) {
        saved.seen = version;
        stet::session_state session = saved.session();
        session.global_step = 7;
        const auto done = manager->save(session, saved.variables);
        CHECK((done && done->upkeep));
        acknowledged = version;
      }
      disk.before_call();
    }
    MESSAGE(call_count << " calls, " << cut.different_count() << " folders after a loss of power, " << reader_count
                       << " readers that did not wait");
    CHECK(problem_count == 0);
    CHECK(call_count > 100);
    CHECK(reader_count > 20);
  }

  TEST_CASE("the folder of the first run, which died when it had just been made, outlasts a loss of power from the "
            "first save on") {
    for (const bool dies : {false, true}) {
      const temp_folder parent;
      simulated_disk disk;
      const checkpoint_options options = options_of(ways[0], &disk.operations());
      const std::string path = parent.path("checkpoints");
      if (dies) { // after the call that makes it
        disk.set_fault(disk_fault::io_error, 1);
        CHECK(outcome(checkpoint_manager::open_for_saving(path, options)) == "io_error");
        CHECK(disk.may_lose_folder());
      }
      auto manager = checkpoint_manager::open_for_saving(path, options);
      REQUIRE(outcome(manager) == "ok");
      if (!manager) return;
      program saved(size, frozen_size);
      saved.train();
      CHECK(outcome(manager->save(saved.session(), saved.variables)) == "ok");
      CHECK_FALSE(disk.may_lose_folder());
    }
  }

  TEST_CASE(
      "at every call: deltas of the program's own and what was being replaced, with failures and losses of power") {
    std::size_t run_count = 0, failed_count = 0, image_count = 0;
    scratch_folder scratch;
    seen_cases cut;
    // The folder: steps 1 and 2, of which the second was being replaced, and a delta of the first.
    const temp_folder origin(temp_folder::in_memory());
    {
      checkpoint_options options = options_of(ways[0], nullptr);
      options.save.is_durable = false;
      auto manager = checkpoint_manager::open_for_saving(origin.path(), options);
      REQUIRE(outcome(manager) == "ok");
      if (!manager) return;
      program trained(size, frozen_size);
      for (int step = 1; step <= 2; ++step) {
        trained.train();
        CHECK(outcome(manager->save(trained.session(), trained.variables)) == "ok");
      }
      const auto base = manager->open(1);
      REQUIRE(outcome(base) == "ok");
      if (!base) return;
      trained.train();
      stet::writer out;
      CHECK(outcome(stet::add_changed(out, trained.variables, base->opened)) == "ok");
      CHECK(outcome(out.save(origin.path("tuned.stet"), options.save)) == "ok");
    }
    disk_image begin;
    for (const std::string& name : origin.names()) begin[name] = origin.read(name);
    begin["ckpt-2.stet.stet-old-3"] = begin["ckpt-2.stet"];
    begin.erase("ckpt-2.stet");
    // Nothing if the delta opens, and so do these steps.
    const auto problem_in = [](const temp_folder& in, std::initializer_list<std::uint64_t> steps) -> std::string {
      const auto tuned = stet::open_checkpoint(in.path("tuned.stet"));
      if (!tuned || !stet_test::is_at_step(**tuned, 3, size, frozen_size))
        return "the delta is lost: " + outcome(tuned);
      for (const std::uint64_t step : steps) {
        const auto opened = checkpoint_folder(in.path()).open(step);
        if (!opened || !stet_test::is_at_step(*opened->opened, step, size, frozen_size))
          return std::to_string(step) + " is lost";
      }
      return {};
    };
    for (const disk_fault fault : {disk_fault::no_space, disk_fault::io_error, disk_fault::interruption}) {
      std::size_t call_count = 1;
      for (std::size_t at_call = 0; at_call < call_count; at_call += step_if_thinned(4)) {
        CAPTURE(at_call);
        CAPTURE(static_cast<int>(fault));
        const temp_folder folder(temp_folder::in_memory());
        for (const auto& [name, bytes] : begin) folder.write(name, bytes);
        simulated_disk disk;
        disk.load(begin);
        disk.set_fault(fault, at_call);
        checkpoint_options options = options_of(ways[0], &disk.operations());
        options.keep.max_to_keep = 1;
        ++run_count;
        const auto check = [&](std::initializer_list<std::uint64_t> steps) {
          std::string problem = problem_in(folder, steps);
          CHECK_MESSAGE(problem.empty(), problem);
          disk.after_power_loss([&](const disk_image& image) {
            if (!cut.is_new_to_check(image, steps.size() == 0 ? 0 : *steps.begin())) return;
            ++image_count;
            problem = problem_in(scratch.fill(image), steps);
            CHECK_MESSAGE(problem.empty(), problem);
          });
        };
        auto manager = checkpoint_manager::open_for_saving(folder.path(), options);
        if (!manager) {
          ++failed_count;
          check({1});
          manager = checkpoint_manager::open_for_saving(folder.path(), options);
        }
        REQUIRE(outcome(manager) == "ok");
        if (!manager) return;
        check({1});
        // In place of the base of the delta, which is made whole first; then a newer one, for which the others go.
        for (const std::uint64_t step : {1u, 4u}) {
          program other(size, frozen_size);
          other.train_until(step);
          if (step == 1) other.frozen[0] = 42;
          auto saved = manager->save(other.session(), other.variables);
          if (!saved) {
            ++failed_count;
            check({});
            saved = manager->save(other.session(), other.variables);
          }
          CHECK(outcome(saved) == "ok");
          check({});
        }
        check({4});
        for (int again = 0; again < 2; ++again) {
          if (const auto removed = manager->remove_after(3); !removed) ++failed_count;
        }
        check({});
        call_count = disk.call_count();
      }
    }
    MESSAGE(run_count << " runs, " << failed_count << " calls failed, " << image_count
                      << " folders after a loss of power");
    CHECK(run_count > 100 / step_if_thinned(4));
    CHECK(failed_count > 50 / step_if_thinned(4));
  }

  TEST_CASE("at every call: a full disk, a broken one, one that fails late, a signal, a short write") {
    constexpr disk_fault faults[] = {disk_fault::no_space, disk_fault::io_error, disk_fault::late_error,
                                     disk_fault::interruption, disk_fault::short_write};
    std::size_t run_count = 0, failed_count = 0;
    scratch_folder scratch;
    seen_cases cut;
    for (const way_to_save& way : ways) {
      for (std::size_t number = 0; number < std::size(faults); ++number) {
        const disk_fault fault = faults[number];
        std::size_t call_count = 1;
        for (std::size_t at_call = 0; at_call < call_count; at_call += step_if_thinned(4)) {
          const temp_folder folder(temp_folder::in_memory());
          simulated_disk disk;
          disk.set_fault(fault, at_call);
          std::uint64_t acknowledged = 0;
          std::size_t failures = 0;
          train(folder, options_of(way, &disk.operations()), acknowledged, failures, true);
          ++run_count;
          failed_count += failures;
          call_count = disk.call_count();
          CAPTURE(at_call);
          CAPTURE(static_cast<int>(fault));
          CHECK(failures <= 1);
          if (fault == disk_fault::short_write) CHECK(failures == 0);
          CHECK(acknowledged == last_step);
          std::string problem = problem_of(folder, acknowledged);
          CHECK_MESSAGE(problem.empty(), problem);
          // A failed save cleans up at once, unless it is the cleaning that fails, or what has failed was done all the same.
          if (fault != disk_fault::late_error) {
            for (const std::string& name : folder.names()) CHECK_MESSAGE(is_in_place(name), name);
          }
          // And now the power fails: after each call with one of the faults, or it would take minutes.
          if (at_call % std::size(faults) == number) {
            disk.after_power_loss([&](const disk_image& image) {
              if (!cut.is_new_to_check(image, acknowledged)) return;
              const std::string lost = problem_of(scratch.fill(image), acknowledged);
              CHECK_MESSAGE(lost.empty(), lost);
            });
          }
          problem = problem_after_restart(folder, way, true);
          CHECK_MESSAGE(problem.empty(), problem);
        }
      }
    }
    MESSAGE(run_count << " runs with a fault, of which " << failed_count << " saves failed and were made again; "
                      << cut.count() << " folders after a loss of power, " << cut.different_count()
                      << " of them different");
    CHECK(run_count > 500 / step_if_thinned(4));
    CHECK(failed_count > 100 / step_if_thinned(4));
  }
}

#endif
