// SPDX-License-Identifier: MIT
// Tests of background.hpp and snapshot.hpp: saves that go on while the program does.
#include <stet/json.hpp>
#include <stet/checkpoint/background.hpp>

#include "program.hpp"

#include "support/counted_memory.hpp"
#include "support/few_threads.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <stdexcept>
#include <thread>

using stet::background_saver;
using stet::checkpoint_manager;
using stet::when_busy;
using stet_test::is_at_step;
using stet_test::outcome;
using stet_test::program;
using stet_test::steps_in;
using stet_test::temp_folder;

namespace {

/// The system's operations, whose sync of a file waits at a gate, and fails on request.
class gated_files {
public:
  gated_files() : table_(stet::system_file_operations()) {
    table_.context = this;
    table_.sync = [](void* self, stet::native_handle) noexcept -> stet::result<void> {
      gated_files& files = *static_cast<gated_files*>(self);
      std::unique_lock guard(files.mutex_);
      ++files.arrived_;
      files.changed_.notify_all();
      files.changed_.wait(guard, [&] { return files.is_open_; });
      if (files.fails_) return stet::errc::no_space;
      return {};
    };
    // Entries that are the system's take no notice of the context.
  }
  void open(bool is_open) {
    const std::lock_guard guard(mutex_);
    is_open_ = is_open;
    changed_.notify_all();
  }
  void fail(bool fails) {
    const std::lock_guard guard(mutex_);
    fails_ = fails;
  }
  /// Waits until a save stands at the gate.
  void wait_for_arrival(int count) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return arrived_ >= count; });
  }
  [[nodiscard]] stet::checkpoint_options options() const {
    stet::checkpoint_options made;
    made.keep.max_to_keep = 0;
    made.save.operations = &table_;
    return made;
  }

private:
  stet::file_operations table_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  bool is_open_ = true, fails_ = false;
};

#define REQUIRE_MANAGER(name, ...)                                                                                     \
  auto name = checkpoint_manager::open_for_saving(__VA_ARGS__);                                                        \
  REQUIRE(outcome(name) == "ok");                                                                                      \
  if (!name) return

} // namespace

TEST_SUITE("background") {
  TEST_CASE("a snapshot holds what the variables held, and uses its memory again") {
    program trained;
    stet::snapshot taken;
    CHECK(taken.variables() == nullptr);
    stet::writer nothing;
    CHECK(outcome(stet::add_variables(nothing, taken)) == "invalid_argument");
    REQUIRE(taken.reserve(trained.variables));
    trained.train_until(3);
    REQUIRE(taken.take(trained.variables));
    const std::byte* const memory = taken.bytes(0).data();
    trained.train_until(9);
    stet::writer out;
    REQUIRE(outcome(stet::add_variables(out, taken)) == "ok");
    const auto file = out.save_to_memory();
    REQUIRE(file);
    if (!file) return;
    const auto opened = stet::open(std::span<const std::byte>(*file));
    REQUIRE(opened);
    if (!opened) return;
    CHECK(is_at_step(*opened, 3));
    REQUIRE(taken.take(trained.variables));
    CHECK(taken.bytes(0).data() == memory);
    program larger(1000);
    REQUIRE(taken.take(larger.variables));
    CHECK(taken.bytes(0).size() == 4000);
  }

  TEST_CASE("a snapshot is in the program's memory, and holds nothing when there is none") {
    stet_test::counted_memory memory;
    program trained(1000);
    {
      stet::snapshot taken(&memory);
      REQUIRE(taken.take(trained.variables));
      REQUIRE(taken.take(trained.variables));
      CHECK(memory.count() == 1);
      CHECK(memory.bytes() >= 4000);
    }
    CHECK(memory.live() == 0);
    CHECK(memory.is_sound());
    stet_test::counted_memory none(1);
    stet::snapshot taken(&none);
    program smaller(10);
    REQUIRE(taken.take(smaller.variables));
    CHECK(outcome(taken.take(trained.variables)) == "out_of_memory");
    CHECK(taken.variables() == nullptr);
    CHECK(outcome(taken.take(smaller.variables)) == "out_of_memory");
    const temp_folder folder;
    REQUIRE_MANAGER(manager, folder.path());
    stet_test::counted_memory nothing(0);
    stet::background_saver saver(*manager, stet::when_busy::wait, &nothing);
    CHECK(outcome(saver.reserve(trained.variables)) == "out_of_memory");
    CHECK(outcome(saver.save({}, trained.variables)) == "out_of_memory");
    CHECK(outcome(saver.wait()) == "ok");
  }

  TEST_CASE("saves what was there when it was asked, while the variables change") {
    const temp_folder folder;
    gated_files files;
    REQUIRE_MANAGER(manager, folder.path(), files.options());
    program trained(1000);
    {
      background_saver saver(*manager);
      REQUIRE(saver.reserve(trained.variables));
      for (std::uint64_t step = 1; step <= 10; ++step) {
        trained.train();
        const auto begun =
            saver.save(trained.session(), trained.variables, stet::json_value{{"nodes", stet::json_value::array()}});
        CHECK((begun && *begun));
      }
      CHECK(outcome(saver.wait()) == "ok");
      CHECK(!saver.is_busy());
      const auto last = saver.last_saved();
      CHECK((last && last->path == folder.path("ckpt-10.stet")));
    }
    for (std::uint64_t step = 1; step <= 10; ++step) {
      const auto opened = manager->open(step);
      REQUIRE(opened);
      if (!opened) return;
      CHECK(is_at_step(*opened->opened, step, 1000));
    }
  }

  TEST_CASE("the same bytes as a save that is waited for") {
    const temp_folder first, second;
    program trained;
    trained.train_until(4);
    {
      REQUIRE_MANAGER(manager, first.path());
      background_saver saver(*manager);
      CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
    }
    REQUIRE_MANAGER(manager, second.path());
    CHECK(outcome(manager->save(trained.session(), trained.variables)) == "ok");
    CHECK(!first.read("ckpt-4.stet").empty());
    CHECK(first.read("ckpt-4.stet") == second.read("ckpt-4.stet"));
  }

  TEST_CASE("deltas of what was there when it was asked") {
    const temp_folder first, second;
    for (const temp_folder* folder : {&first, &second}) {
      gated_files files;
      stet::checkpoint_options options = files.options();
      options.full_every = 3;
      REQUIRE_MANAGER(manager, folder->path(), options);
      program trained(100, 5000);
      background_saver saver(*manager);
      while (trained.step < 6) {
        trained.train();
        if (folder == &first) {
          CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
        } else {
          CHECK(outcome(manager->save(trained.session(), trained.variables)) == "ok");
        }
      }
      CHECK(outcome(saver.wait()) == "ok");
      const auto last = saver.last_saved();
      CHECK((folder == &second || (last && last->base == "ckpt-4.stet")));
    }
    for (std::uint64_t step = 1; step <= 6; ++step) {
      const auto opened = stet::checkpoint_folder(first.path()).open(step);
      CHECK((opened && is_at_step(*opened->opened, step, 100, 5000)));
      const std::string name = "ckpt-" + std::to_string(step) + ".stet";
      CHECK(first.read(name) == second.read(name));
    }
  }

  TEST_CASE("busy: one is left out, or the last to come follows") {
    for (const when_busy policy : {when_busy::skip, when_busy::replace}) {
      const temp_folder folder;
      gated_files files;
      REQUIRE_MANAGER(manager, folder.path(), files.options());
      program trained;
      {
        background_saver saver(*manager, policy);
        files.open(false);
        trained.train();
        CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
        files.wait_for_arrival(1);
        for (int i = 0; i < 3; ++i) {
          trained.train();
          const auto begun = saver.save(trained.session(), trained.variables);
          CHECK((begun && *begun == (policy == when_busy::replace)));
        }
        CHECK(saver.is_busy());
        files.open(true);
        CHECK(outcome(saver.wait()) == "ok");
        trained.train();
        const auto begun = saver.save(trained.session(), trained.variables);
        CHECK((begun && *begun));
      }
      const std::vector<std::uint64_t> expected =
          policy == when_busy::skip ? std::vector<std::uint64_t>{1, 5} : std::vector<std::uint64_t>{1, 4, 5};
      CHECK(steps_in(*manager) == expected);
      for (const std::uint64_t step : expected) {
        const auto opened = manager->open(step);
        CHECK((opened && is_at_step(*opened->opened, step)));
      }
    }
  }

  TEST_CASE("what waits is written if what was to replace it cannot be copied") {
    const temp_folder folder;
    gated_files files;
    REQUIRE_MANAGER(manager, folder.path(), files.options());
    program trained(1000);
    stet_test::counted_memory two(2);
    {
      background_saver saver(*manager, when_busy::replace, &two);
      files.open(false);
      trained.train();
      CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
      files.wait_for_arrival(1);
      trained.train();
      CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
      trained.train();
      CHECK(outcome(saver.save(trained.session(), trained.variables)) == "out_of_memory");
      CHECK(saver.is_busy());
      files.open(true);
      CHECK(outcome(saver.wait()) == "ok");
    }
    CHECK(steps_in(*manager) == std::vector<std::uint64_t>{1, 2});
    const auto opened = manager->open(2);
    CHECK((opened && is_at_step(*opened->opened, 2, 1000)));
  }

  TEST_CASE("room reserved is room for every save, also while one is written and one waits") {
    for (const when_busy policy : {when_busy::wait, when_busy::skip, when_busy::replace}) {
      const temp_folder folder;
      gated_files files;
      REQUIRE_MANAGER(manager, folder.path(), files.options());
      program trained(1000);
      stet_test::counted_memory memory;
      background_saver saver(*manager, policy, &memory);
      CHECK(outcome(saver.reserve(trained.variables)) == "ok");
      CHECK(memory.count() == (policy == when_busy::replace ? 3 : 1));
      const std::uint64_t reserved = memory.count();
      files.open(policy == when_busy::wait);
      for (int i = 0; i < 4; ++i) {
        trained.train();
        CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
        if (i == 0) files.wait_for_arrival(1);
      }
      CHECK(memory.count() == reserved);
      files.open(true);
      CHECK(outcome(saver.wait()) == "ok");
    }
  }

  TEST_CASE("a session that nests without end is an error, of the saver and of the manager") {
    const temp_folder folder;
    REQUIRE_MANAGER(manager, folder.path());
    program trained;
    stet::json_value deep = stet::json_value::array();
    for (int depth = 0; depth < 200'000; ++depth) {
      stet::json_value around = stet::json_value::array();
      around.push_back(std::move(deep));
      deep = std::move(around);
    }
    stet::session_state session{1};
    session.user = deep;
    CHECK(outcome(manager->save(session, trained.variables)) == "too_deep");
    stet::json_value graph = stet::json_value::object();
    graph["deep"] = std::move(deep);
    session.user = nullptr;
    CHECK(outcome(manager->save(session, trained.variables, graph)) == "too_deep");
    {
      background_saver saver(*manager);
      CHECK(outcome(saver.save(session, trained.variables, graph)) == "too_deep");
      CHECK(outcome(saver.save(session, trained.variables)) == "ok");
      CHECK(outcome(saver.wait()) == "ok");
    }
    CHECK(steps_in(*manager) == std::vector<std::uint64_t>{1});
  }

  TEST_CASE("views and the list may change as soon as a save was accepted") {
    const temp_folder folder;
    gated_files files;
    REQUIRE_MANAGER(manager, folder.path(), files.options());
    std::vector<float> elements(1000, 1.0F);
    const std::size_t counts[] = {1000, 10};
    stet::view<float, stet::dynamic> values(elements.data(), counts);
    {
      background_saver saver(*manager);
      files.open(false);
      {
        stet::variable_list variables;
        REQUIRE(variables.add_view("values", values));
        CHECK(outcome(saver.save({1}, variables)) == "ok");
        values = {};
        REQUIRE(variables.add("more", elements, {1000}));
      }
      elements.assign(1000, 2.0F);
      values = stet::view<float, stet::dynamic>(elements.data(), counts + 1);
      files.open(true);
      CHECK(outcome(saver.wait()) == "ok");
    }
    const auto opened = manager->open(1);
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    CHECK(opened->opened->tensor_count() == 1);
    const auto saved = opened->opened->get<float>("values");
    CHECK((saved && saved->size() == 1000 && (*saved)[0] == 1.0F && (*saved)[999] == 1.0F));
  }

#if defined(__cpp_exceptions)
  TEST_CASE("a function of the program that throws on the thread fails that save, and nothing else") {
    const temp_folder folder;
    gated_files files;
    stet::checkpoint_options options = files.options();
    int kind = 0;
    options.clock = [&kind]() -> std::chrono::system_clock::time_point {
      switch (kind) {
      case 1:
        throw std::bad_alloc();
      case 2:
        throw std::runtime_error("no clock");
      case 3:
        throw 3;
      default:
        return std::chrono::system_clock::time_point();
      }
    };
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained;
    background_saver saver(*manager);
    const char* const expected[] = {"ok", "out_of_memory", "invalid_argument", "invalid_argument", "ok"};
    for (const char* const each : expected) {
      trained.train();
      CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
      const auto done = saver.wait();
      CHECK(outcome(done) == each);
      if (kind == 2) CHECK((!done && done.error().subject() == "no clock"));
      kind = (kind + 1) % 4;
    }
    const auto last = saver.last_saved();
    CHECK((last && last->path == folder.path("ckpt-5.stet")));
  }
#endif

#if STET_TEST_FEW_THREADS
  TEST_CASE("where no thread can be started, a save writes before it returns") {
    const temp_folder folder;
    CHECK(stet_test::with_few_threads([&] {
            // Threads that there are first, until no other can be started.
            std::mutex mutex;
            auto work = [&]() noexcept { const std::lock_guard guard(mutex); };
            std::unique_lock guard(mutex);
            stet::detail::helper_thread others[64];
            bool is_full = false;
            for (auto& each : others) is_full = is_full || !each.start(work);
            auto manager = checkpoint_manager::open_for_saving(folder.path());
            if (!is_full || !manager) return 1;
            program trained;
            background_saver saver(*manager, when_busy::replace);
            for (std::uint64_t step = 1; step <= 3; ++step) {
              trained.train();
              if (!saver.save(trained.session(), trained.variables) || saver.is_busy()) return 2;
              const auto latest = manager->open_latest();
              if (!latest || latest->info.step != step || !is_at_step(*latest->opened, step)) return 3;
            }
            if (!saver.wait()) return 4;
            guard.unlock();
            return 0;
          }) == 0);
  }
#endif

  TEST_CASE("an error comes once: with the next save, which is not made, or with wait") {
    const temp_folder folder;
    gated_files files;
    REQUIRE_MANAGER(manager, folder.path(), files.options());
    program trained;
    trained.train();
    background_saver saver(*manager);
    files.fail(true);
    CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
    CHECK(outcome(saver.save(trained.session(), trained.variables)) == "no_space");
    CHECK(!saver.is_busy());
    CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
    CHECK(outcome(saver.wait()) == "no_space");
    CHECK(outcome(saver.wait()) == "ok");
    CHECK(!saver.last_saved());
    CHECK(folder.names() == std::vector<std::string>{".stet-lock"});
    files.fail(false);
    CHECK(outcome(saver.save(trained.session(), trained.variables)) == "ok");
    CHECK(outcome(saver.wait()) == "ok");
    CHECK(steps_in(*manager) == std::vector<std::uint64_t>{1});
  }

  TEST_CASE("readers of the folder find a whole checkpoint at any time") {
    const temp_folder folder;
    gated_files files;
    stet::checkpoint_options options = files.options();
    options.keep.max_to_keep = 2;
    REQUIRE_MANAGER(manager, folder.path(), options);
    program trained;
    std::atomic<bool> is_over = false;
    std::atomic<int> found_count = 0, wrong_count = 0;
    std::thread reader([&] {
      const stet::checkpoint_folder where(folder.path());
      std::uint64_t newest = 0;
      while (!is_over) {
        const auto found = where.open_latest();
        if (!found) {
          if (newest != 0) ++wrong_count;
          continue;
        }
        if (found->info.step < newest || !is_at_step(*found->opened, found->info.step)) ++wrong_count;
        newest = found->info.step;
        ++found_count;
      }
    });
    {
      background_saver saver(*manager);
      while (trained.step < 200 || (found_count < 20 && trained.step < 5000)) {
        trained.train();
        const auto saved = saver.save(trained.session(), trained.variables);
        if (!saved) ++wrong_count;
      }
    }
    is_over = true;
    reader.join();
    CHECK(wrong_count == 0);
    CHECK(found_count >= 20);
  }
}
