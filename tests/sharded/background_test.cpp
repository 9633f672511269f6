// SPDX-License-Identifier: MIT
#include <stet/sharded/background.hpp>

#include "sharded/matrix_rows.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/sharded/thread_communicator.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>

namespace {

using stet_test::matrix_rows;
using stet_test::outcome;

TEST_CASE("a background save has the values of its moment, on a thread or at the next call") {
  for (const stet::save_on where : {stet::save_on::thread, stet::save_on::next_call}) {
    const stet_test::temp_folder folder;
    std::atomic<int> wrong{0};
    REQUIRE(stet::run_ranks(3, [&](stet::communicator& ranks) {
      auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), stet_test::not_durable());
      if (!manager) {
        ++wrong;
        return;
      }
      matrix_rows own(ranks.rank(), ranks.size());
      stet::sharded_background_saver saver(*manager, where);
      for (std::uint64_t step = 1; step <= 4; ++step) {
        own.fill(static_cast<float>(step));
        stet::session_state session;
        session.global_step = step;
        wrong += !saver.save(session, own.variables);
        own.fill(-1);
      }
      wrong += !saver.wait() || !saver.last_saved() || !saver.last_saved()->is_plan_reused;
      const auto restored = manager->restore_latest(own.variables);
      wrong += !restored || restored->session.global_step != 4 || !own.is(4);
      // An error is returned once, on every rank, by the call after.
      stet::session_state session;
      session.global_step = 5;
      wrong += !saver.save(session, own.variables, stet::json_text("[1]"));
      wrong += outcome(saver.save(session, own.variables)) != "wrong_type";
      wrong += !saver.save(session, own.variables) || !saver.wait();
    }));
    CHECK(wrong == 0);
  }
}

} // namespace
