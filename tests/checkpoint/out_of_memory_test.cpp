// SPDX-License-Identifier: MIT
// A folder of checkpoints when memory runs out, at every single allocation: an error, a folder that is sound, and never the end
// of the program.
#include <stet/checkpoint/manager.hpp>
#include <stet/formats/native/checkpoint_folder.hpp>

#include "program.hpp"

#include "support/allocations.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <functional>

#if defined(__cpp_exceptions) // without them the operators of the standard library end the program

using stet::checkpoint_folder;
using stet::checkpoint_manager;
using stet::checkpoint_options;
using stet_test::outcome;
using stet_test::program;
using stet_test::temp_folder;

namespace {

/// Makes one allocation fail, counted from 0, while it lives.
class failing_allocation {
public:
  /// With `spares_json`, small blocks of which the size is a multiple of a JSON value's never fail: nlohmann's destructors take
  /// such, and end the program if there is none.
  failing_allocation(std::uint64_t number, bool spares_json) noexcept {
    left_ = number + 1;
    spares_json_ = spares_json;
    stet_test::fails_to_allocate = [](std::size_t size_bytes) noexcept {
      const bool is_spared =
          spares_json_ && size_bytes % sizeof(stet::json_value) == 0 && size_bytes <= 64 * sizeof(stet::json_value);
      return !is_spared && left_ != 0 && --left_ == 0;
    };
  }
  failing_allocation(const failing_allocation&) = delete;
  failing_allocation& operator=(const failing_allocation&) = delete;
  ~failing_allocation() { stet_test::fails_to_allocate = nullptr; }
  [[nodiscard]] static bool has_failed() noexcept { return left_ == 0; }

private:
  static inline std::uint64_t left_ = 0;
  static inline bool spares_json_ = false;
};

checkpoint_options short_of_memory() {
  checkpoint_options options;
  options.save.is_durable = false;
  options.keep.max_to_keep = 2;
  options.keep.keep_best = 1;
  options.full_every = 3;
  return options;
}

/// A folder with steps 1 to 3, of which the others are deltas of the first, and a delta of the program's own.
void fill(const temp_folder& folder) {
  checkpoint_options options = short_of_memory();
  options.keep.max_to_keep = 0;
  auto manager = checkpoint_manager::open_for_saving(folder.path(), options);
  REQUIRE(outcome(manager) == "ok");
  if (!manager) return;
  program trained(20, 20);
  for (int step = 1; step <= 3; ++step) {
    trained.train();
    stet::session_state session = trained.session();
    session.metric = 0.5;
    CHECK(outcome(manager->save(session, trained.variables)) == "ok");
  }
  const auto base = manager->open(3);
  REQUIRE(base);
  if (!base) return;
  stet::writer out;
  trained.train();
  CHECK(outcome(stet::add_changed(out, trained.variables, base->opened)) == "ok");
  CHECK(outcome(out.save(folder.path("tuned.stet"), options.save)) == "ok");
}

/// Calls `work(folder, arm)` on a folder as `fill` made it, with each allocation failing that comes after `arm()`. It returns
/// what it came to.
template <class Work> void fail_each_allocation(bool spares_json, Work work) {
  const temp_folder origin(temp_folder::in_memory());
  fill(origin);
  std::uint64_t number = 0, error_count = 0;
  for (bool has_failed = true; has_failed; ++number) {
    CAPTURE(number);
    const temp_folder folder(temp_folder::in_memory());
    for (const std::string& name : origin.names()) folder.write(name, origin.read(name));
    std::optional<failing_allocation> failing;
    std::string came_to;
    CHECK_NOTHROW(came_to = work(folder, [&] { failing.emplace(number, spares_json); }, [&] { failing.reset(); }));
    failing.reset();
    has_failed = failing_allocation::has_failed();
    if (came_to != "out_of_memory") CHECK(came_to == "ok");
    if (came_to == "out_of_memory") CHECK(has_failed);
    error_count += came_to == "ok" ? 0u : 1u;
    // Whatever happened, nothing that was acknowledged is lost, and nothing is left that hinders.
    const auto latest = checkpoint_folder(folder.path()).open_latest();
    CHECK((latest && latest->info.step >= 3 && stet_test::is_at_step(*latest->opened, latest->info.step, 20, 20)));
    const auto tuned = stet::open_checkpoint(folder.path("tuned.stet"));
    CHECK((tuned && stet_test::is_at_step(**tuned, 4, 20, 20)));
    CHECK(outcome(checkpoint_manager::open_for_saving(folder.path(), short_of_memory())) == "ok");
  }
  MESSAGE(number << " allocations, " << error_count << " errors");
  if (number > 1) CHECK(error_count > number / 2);
}

} // namespace

TEST_SUITE("out_of_memory") {
  TEST_CASE("open_for_saving") {
    fail_each_allocation(true, [](const temp_folder& folder, auto arm, auto disarm) {
      const std::string path = folder.path();
      folder.write(".ckpt-9.stet.0.stet-tmp", "x");
      folder.write("ckpt-9-00000-of-00001-00000000.stet", "x");
      folder.write("ckpt-3.stet.stet-old-0", "x");
      arm();
      const auto manager = checkpoint_manager::open_for_saving(path, short_of_memory());
      disarm();
      return outcome(manager);
    });
  }

#if !defined(_WIN32) // Wine finds an "invalid frame" on the way of an exception of MinGW, and ends the program
  TEST_CASE("latest, all and open") {
    for (const int which : {0, 1, 2}) {
      fail_each_allocation(true, [which](const temp_folder& folder, auto arm, auto disarm) {
        const checkpoint_folder reader(folder.path());
        folder.write("ckpt-9.stet", "damaged");
        std::vector<stet::error> skipped;
        arm();
        const std::string came_to = which == 0   ? outcome(reader.latest(&skipped))
                                    : which == 1 ? outcome(reader.all())
                                                 : outcome(reader.open(2));
        disarm();
        return came_to;
      });
    }
  }
#endif

  TEST_CASE("restore_latest") {
    fail_each_allocation(true, [](const temp_folder& folder, auto arm, auto disarm) {
      const checkpoint_folder reader(folder.path());
      program resumed(20, 20);
      const std::vector<float> before = resumed.kernel;
      arm();
      const auto restored = reader.restore_latest(resumed.variables);
      disarm();
      CHECK((resumed.kernel == before) == !restored);
      return outcome(restored);
    });
  }

  TEST_CASE("save and what it retires; remove_after") {
    for (const bool is_save : {true, false}) {
      fail_each_allocation(true, [is_save](const temp_folder& folder, auto arm, auto disarm) {
        auto manager = checkpoint_manager::open_for_saving(folder.path(), short_of_memory());
        REQUIRE(outcome(manager) == "ok");
        if (!manager) return std::string("failed");
        program trained(20, 20);
        trained.train_until(4);
        const stet::session_state session = trained.session();
        arm();
        if (!is_save) {
          const auto removed = manager->remove_after(3);
          disarm();
          return outcome(removed);
        }
        const auto saved = manager->save(session, trained.variables);
        disarm();
        // The save is one thing, tidying up another.
        if (saved) CHECK((saved->upkeep || saved->upkeep.error().code() == stet::errc::out_of_memory));
        if (saved) CHECK(stet_test::steps_in(*manager).back() == 4);
        return saved ? outcome(saved->upkeep) : outcome(saved);
      });
    }
  }

  TEST_CASE("finding the prefix of a folder") {
    fail_each_allocation(false, [](const temp_folder& folder, auto arm, auto disarm) {
      const std::string path = folder.path();
      arm();
      const auto prefix =
          stet::detail::caught([&]() -> stet::result<std::string> { return stet::find_checkpoint_prefix(path); });
      disarm();
      if (!prefix) return outcome(prefix);
      CHECK((*prefix == "ckpt" || (prefix->empty() && failing_allocation::has_failed())));
      return std::string(prefix->empty() ? "out_of_memory" : "ok");
    });
  }
}

#endif
