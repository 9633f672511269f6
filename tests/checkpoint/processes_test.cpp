// SPDX-License-Identifier: MIT
// Processes that save into one folder: killed at any moment, and several at a time.
#include <stet/checkpoint/detail/folder_lock.hpp>
#include <stet/checkpoint/manager.hpp>

#include "program.hpp"

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#if defined(__unix__) || defined(__APPLE__)

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

using stet::checkpoint_folder;
using stet::checkpoint_manager;
using stet::checkpoint_options;
using stet_test::outcome;
using stet_test::program;
using stet_test::temp_folder;

namespace {

constexpr std::size_t saved_size = 2000, saved_frozen_size = 3000;

/// Starts a process that does `work(output)` and ends; `output` is the writing end of a pipe.
class child {
public:
  template <class Work> explicit child(Work&& work) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    process_ = ::fork();
    if (process_ == 0) {
      ::close(ends[0]);
      work(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    input_ = ends[0];
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() {
    kill();
    ::close(input_);
  }

  /// The next number that the process wrote; false when it has ended.
  bool read(std::uint64_t& number) const {
    return ::read(input_, &number, sizeof number) == static_cast<::ssize_t>(sizeof number);
  }
  void kill() {
    if (process_ > 0) ::kill(process_, SIGKILL);
    (void)wait();
  }
  /// Whether the process ended by itself, and well.
  bool wait() {
    int status = 1;
    if (process_ > 0) ::waitpid(process_, &status, 0);
    process_ = -1;
    return status == 0;
  }

private:
  ::pid_t process_ = -1;
  int input_ = -1;
};

void write_number(int output, std::uint64_t number) { (void)!::write(output, &number, sizeof number); }

checkpoint_options options_of_child(stet::store_form form) {
  checkpoint_options options;
  options.keep.max_to_keep = 3;
  options.save.form = form;
  options.save.max_part_size_bytes = 10'000;
  options.full_every = 3;
  return options;
}

/// Resumes, then trains and saves without end; says which steps are saved.
void save_until_killed(const std::string& path, stet::store_form form, int output) {
  auto manager = checkpoint_manager::open_for_saving(path, options_of_child(form));
  if (!manager) ::_exit(1);
  program trained(saved_size, saved_frozen_size);
  if (const auto restored = manager->restore_latest(trained.variables)) trained.resume(restored->session);
  for (;;) {
    trained.train();
    if (!manager->save(trained.session(), trained.variables)) ::_exit(2);
    write_number(output, trained.step);
  }
}

} // namespace

TEST_SUITE("processes") {
  TEST_CASE("killed at random moments, a process loses nothing that it was told is saved, and resumes bit by bit") {
    const temp_folder folder(temp_folder::in_memory());
    const std::string path = folder.path();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::mt19937 random(7);
    int kill_count = 0, litter_count = 0, delta_count = 0;
    std::uint64_t saved = 0;
    while (kill_count < 80 && std::chrono::steady_clock::now() < end) {
      const stet::store_form form = kill_count % 2 == 0 ? stet::store_form::single_file : stet::store_form::sharded;
      child process([&](int output) { save_until_killed(path, form, output); });
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
      process.kill();
      ++kill_count;
      for (std::uint64_t step = 0; process.read(step);) saved = step;
      for (const std::string& name : folder.names()) litter_count += name.ends_with(".stet-tmp") ? 1 : 0;

      std::vector<stet::error> skipped;
      const auto latest = checkpoint_folder(path).open_latest({}, &skipped);
      CHECK(skipped.empty());
      if (saved == 0 && !latest) continue;
      REQUIRE(outcome(latest) == "ok");
      if (!latest) return;
      CHECK((latest->info.step == saved || latest->info.step == saved + 1));
      CHECK(latest->opened->verify_checksums());
      delta_count += latest->opened.file_count() > 1 ? 1 : 0;
      saved = latest->info.step;
    }
    const auto manager = checkpoint_manager::open_for_saving(path, options_of_child(stet::store_form::single_file));
    CHECK(outcome(manager) == "ok");
    for (const std::string& name : folder.names()) CHECK_FALSE(name.ends_with(".stet-tmp"));
    const auto latest = checkpoint_folder(path).open_latest();
    CHECK((latest && stet_test::is_at_step(*latest->opened, saved, saved_size, saved_frozen_size)));
    MESSAGE(kill_count << " kills, " << saved << " steps saved, " << delta_count << " times the last a delta, "
                       << litter_count << " unfinished files left and swept");
    CHECK(kill_count >= 24);
    CHECK(delta_count > 0);
    CHECK(saved > 0);
  }

  TEST_CASE("a lock keeps out the second process and ends with the first, however it ends") {
    const temp_folder folder;
    const std::string path = folder.path();
    child process([&](int output) { save_until_killed(path, stet::store_form::single_file, output); });
    std::uint64_t step = 0;
    REQUIRE(process.read(step));
    const auto second = checkpoint_manager::open_for_saving(path);
    CHECK(outcome(second) == "locked");
    CHECK(outcome(checkpoint_folder(path).latest()) == "ok");
    process.kill();
    CHECK(outcome(checkpoint_manager::open_for_saving(path)) == "ok");
  }

  TEST_CASE("a lock ends with its owner, whatever children it forked; they do not hold it, and cannot save") {
    const temp_folder folder;
    const std::string path = folder.path();
    // The owner locks and saves, forks one that tries to save and then stays, and says what came of both.
    child owner([&](int output) {
      auto manager = checkpoint_manager::open_for_saving(path);
      program trained;
      trained.train();
      if (!manager || !manager->save(trained.session(), trained.variables)) ::_exit(1);
      if (::fork() == 0) {
        trained.train();
        const auto saved = manager->save(trained.session(), trained.variables);
        const bool is_right =
            !saved && saved.error().code() == stet::errc::locked && saved.error().subject().ends_with(".stet-lock");
        const auto removed = manager->remove_after(0);
        write_number(output, is_right && !removed && removed.error().code() == stet::errc::locked ? 1 : 0);
        write_number(output, static_cast<std::uint64_t>(::getpid()));
        for (;;) ::pause();
      }
      for (;;) ::pause();
    });
    std::uint64_t is_right = 0, forked = 0;
    REQUIRE(owner.read(is_right));
    REQUIRE(owner.read(forked));
    CHECK(is_right == 1);
    CHECK(outcome(checkpoint_manager::open_for_saving(path)) == "locked");
    CHECK(checkpoint_folder(path).latest()->step == 1);
    owner.kill();
    CHECK(::kill(static_cast<::pid_t>(forked), 0) == 0); // the child is still there
    auto next = checkpoint_manager::open_for_saving(path);
    (void)::kill(static_cast<::pid_t>(forked), SIGKILL);
    CHECK(outcome(next) == "ok");
    if (!next) return;

    // A child that ends takes nothing from its parent; not even a manager that it destroys.
    child brief([&](int) { [[maybe_unused]] const checkpoint_manager ended = std::move(*next); });
    CHECK(brief.wait());
    CHECK(outcome(checkpoint_manager::open_for_saving(path)) == "locked");
    program trained;
    trained.train_until(2);
    CHECK(outcome(next->save(trained.session(), trained.variables)) == "ok");
    auto moved = std::move(*next);
    CHECK(outcome(moved.save(trained.session(), trained.variables)) == "ok");
  }

  TEST_CASE("a child that another thread forks while a lock is taken does not hold it") {
    const temp_folder folder;
    const std::string path = folder.path(".stet-lock");
    // The file is locked, and only then does the fork begin.
    std::atomic<bool> is_locked = false;
    stet::file_operations operations = stet::system_file_operations();
    operations.context = &is_locked;
    operations.lock_file = [](void* context, std::string_view file) noexcept {
      const stet::file_operations& system = stet::system_file_operations();
      auto handle = system.lock_file(system.context, file);
      *static_cast<std::atomic<bool>*>(context) = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      return handle;
    };
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    ::pid_t forked = -1;
    std::thread other([&] {
      while (!is_locked) std::this_thread::yield();
      forked = ::fork();
      if (forked == 0) write_number(ends[1], 1);
      while (forked == 0) ::pause();
    });
    {
      const auto lock = stet::detail::folder_lock::take(operations, std::string(path));
      other.join();
      CHECK(outcome(lock) == "ok");
    }
    REQUIRE(forked > 0);
    std::uint64_t begun = 0; // the child runs now
    CHECK(::read(ends[0], &begun, sizeof begun) == sizeof begun);
    const auto again = stet::detail::folder_lock::take(stet::system_file_operations(), std::string(path));
    (void)::kill(forked, SIGKILL);
    (void)::waitpid(forked, nullptr, 0);
    for (const int end : ends) ::close(end);
    CHECK(outcome(again) == "ok");
  }

  TEST_CASE("processes that take turns by the lock make every step once") {
    const temp_folder folder(temp_folder::in_memory());
    const std::string path = folder.path();
    constexpr std::uint64_t turns = 8;
    const auto take_turns = [&](int) {
      for (std::uint64_t turn = 0; turn < turns;) {
        auto manager = checkpoint_manager::open_for_saving(path, options_of_child(stet::store_form::single_file));
        if (!manager) {
          if (manager.error().code() != stet::errc::locked) ::_exit(1);
          ::usleep(200);
          continue;
        }
        program trained(saved_size, saved_frozen_size);
        if (const auto restored = manager->restore_latest(trained.variables)) trained.resume(restored->session);
        trained.train();
        if (!manager->save(trained.session(), trained.variables)) ::_exit(2);
        ++turn;
      }
    };
    child first(take_turns), second(take_turns), third(take_turns);
    CHECK(first.wait());
    CHECK(second.wait());
    CHECK(third.wait());
    const auto latest = checkpoint_folder(path).open_latest();
    CHECK((latest && latest->info.step == 3 * turns &&
           stet_test::is_at_step(*latest->opened, 3 * turns, saved_size, saved_frozen_size)));
  }
}

#endif
