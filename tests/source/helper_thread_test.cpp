// SPDX-License-Identifier: MIT
#include <stet/source/detail/helper_thread.hpp>

#include "support/few_threads.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#if !defined(__EMSCRIPTEN__) && !defined(__wasi__) // have no threads unless asked for
#include <thread>

using stet::detail::helper_thread;

TEST_SUITE("helper_thread") {
  TEST_CASE("works on a thread of its own, and is waited for") {
    std::thread::id of_work;
    auto work = [&]() noexcept { of_work = std::this_thread::get_id(); };
    helper_thread none;
    none.join();
    helper_thread helper;
    REQUIRE(helper.start(work));
    helper.join();
    helper.join();
    CHECK(of_work != std::thread::id());
    CHECK(of_work != std::this_thread::get_id());

    std::atomic<int> count = 0;
    auto counting = [&]() noexcept { ++count; };
    {
      std::vector<helper_thread> helpers(3);
      for (helper_thread& each : helpers) CHECK(each.start(counting));
    }
    CHECK(count == 3);
  }

#if STET_TEST_FEW_THREADS
  TEST_CASE("says when the system has no thread to give") {
    CHECK(stet_test::with_few_threads([] {
            std::mutex mutex;
            std::condition_variable changed;
            bool is_over = false;
            int ended = 0, started = 0, refused = 0;
            auto work = [&]() noexcept {
              std::unique_lock guard(mutex);
              changed.wait(guard, [&] { return is_over; });
              ++ended;
            };
            helper_thread helpers[64];
            for (helper_thread& each : helpers) ++(each.start(work) ? started : refused);
            {
              const std::lock_guard guard(mutex);
              is_over = true;
            }
            changed.notify_all();
            for (helper_thread& each : helpers) each.join();
            return refused > 0 && ended == started ? 0 : 1;
          }) == 0);
  }
#endif
}

#endif
