// SPDX-License-Identifier: MIT
// Tests of retention.hpp: which checkpoints are kept.
#include <stet/checkpoint/retention.hpp>

#include <doctest/doctest.h>

#include <random>

namespace {

using std::chrono::minutes;

/// Checkpoints of steps 10, 20 …, saved a minute apart from each other.
std::vector<stet::checkpoint_info> checkpoints(std::size_t count) {
  std::vector<stet::checkpoint_info> made;
  for (std::size_t i = 1; i <= count; ++i) {
    made.push_back({i * 10, {}, std::chrono::system_clock::time_point(minutes(i)), std::nullopt});
  }
  return made;
}

std::vector<std::uint64_t> kept(const std::vector<stet::checkpoint_info>& all, const stet::retention_rules& rules) {
  const std::vector<bool> selected = stet::select_kept(all, rules);
  std::vector<std::uint64_t> steps_kept;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (selected[i]) steps_kept.push_back(all[i].step);
  }
  return steps_kept;
}

using step_list = std::vector<std::uint64_t>;

} // namespace

TEST_SUITE("retention") {
  TEST_CASE("the newest five by default, all on request") {
    CHECK(kept({}, {}).empty());
    CHECK(kept(checkpoints(3), {}) == step_list{10, 20, 30});
    CHECK(kept(checkpoints(7), {}) == step_list{30, 40, 50, 60, 70});
    stet::retention_rules rules;
    rules.max_to_keep = 0;
    CHECK(kept(checkpoints(7), rules).size() == 7);
  }

  TEST_CASE("multiples of a step stay") {
    stet::retention_rules rules;
    rules.max_to_keep = 2;
    rules.keep_step_multiple = 30;
    CHECK(kept(checkpoints(8), rules) == step_list{30, 60, 70, 80});
  }

  TEST_CASE("the first stays, and then one for each stretch of time") {
    stet::retention_rules rules;
    rules.max_to_keep = 1;
    rules.keep_every = minutes(3);
    auto all = checkpoints(9);
    CHECK(kept(all, rules) == step_list{10, 40, 70, 90});
    all[4].saved_at.reset(); // of which nobody knows the time
    CHECK(kept(all, rules) == step_list{10, 40, 50, 70, 90});
    all[7].saved_at = std::chrono::system_clock::time_point(minutes(0)); // the clock was set back
    CHECK(kept(all, rules) == step_list{10, 40, 50, 70, 80, 90});
  }

  TEST_CASE("the best by a metric stay, the older of equals") {
    auto all = checkpoints(6);
    const double metrics[] = {0.5, 0.9, 0.7, 0.9, 0.1};
    for (std::size_t i = 0; i < 5; ++i) all[i].metric = metrics[i];
    stet::retention_rules rules;
    rules.max_to_keep = 1;
    rules.keep_best = 1;
    CHECK(kept(all, rules) == step_list{20, 60});
    rules.keep_best = 3;
    CHECK(kept(all, rules) == step_list{20, 30, 40, 60});
    rules.better = stet::better_metric::smaller;
    CHECK(kept(all, rules) == step_list{10, 30, 50, 60});
    rules.keep_best = 100;
    CHECK(kept(all, rules).size() == 6);
  }

  TEST_CASE("removing what is not kept and asking again changes nothing; the newest always stays") {
    std::mt19937 random(1);
    for (int round = 0; round < 1000; ++round) {
      auto all = checkpoints(1 + random() % 12);
      for (stet::checkpoint_info& each : all) {
        if (random() % 4 == 0)
          each.saved_at.reset();
        else if (random() % 4 == 0)
          each.saved_at = std::chrono::system_clock::time_point(minutes(random() % 12));
        if (random() % 2 == 0) each.metric = static_cast<double>(random() % 5);
      }
      stet::retention_rules rules;
      rules.max_to_keep = random() % 5;
      rules.keep_every = minutes(random() % 4);
      rules.keep_step_multiple = random() % 3 * 20;
      rules.keep_best = random() % 3;
      const std::vector<bool> selected = stet::select_kept(all, rules);
      CHECK(selected.back());
      std::vector<stet::checkpoint_info> left;
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (selected[i]) left.push_back(all[i]);
      }
      CHECK(kept(left, rules).size() == left.size());
    }
  }
}
