// SPDX-License-Identifier: MIT
#include <stet/sharded/manager.hpp>

#include "sharded/matrix_rows.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/sharded/thread_communicator.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using stet_test::matrix_rows;
using stet_test::outcome;

TEST_CASE("a program of some ranks goes on as one of others, from the newest checkpoint") {
  const stet_test::temp_folder folder;
  std::atomic<int> wrong{0};
  REQUIRE(stet::run_ranks(3, [&](stet::communicator& ranks) {
    auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), stet_test::not_durable());
    if (!manager) {
      ++wrong;
      return;
    }
    matrix_rows own(ranks.rank(), ranks.size());
    wrong += outcome(manager->restore_latest(own.variables)) != "file_not_found";
    for (std::uint64_t step = 1; step <= 3; ++step) {
      own.fill(static_cast<float>(step * 100));
      stet::session_state session;
      session.global_step = step;
      const auto saved = manager->save(session, own.variables);
      wrong += !saved || saved->is_plan_reused != (step != 1);
    }
  }));
  CHECK(wrong == 0);
  REQUIRE(stet::run_ranks(5, [&](stet::communicator& ranks) {
    auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), stet_test::not_durable());
    if (!manager) {
      ++wrong;
      return;
    }
    matrix_rows own(ranks.rank(), ranks.size());
    const auto restored = manager->restore_latest(own.variables);
    wrong += !restored || restored->session.global_step != 3 || !own.is(300);
  }));
  CHECK(wrong == 0);
  // And one process without ranks.
  std::vector<float> kernel(48);
  stet::variable_list variables;
  REQUIRE(variables.add("kernel", kernel, {12, 4}));
  const stet::checkpoint_folder reader(folder.path());
  const auto restored = reader.restore_latest(variables);
  REQUIRE(restored);
  CHECK(restored->session.global_step == 3);
  CHECK(kernel[47] == 347.0f);
}

TEST_CASE("old checkpoints go with their shards, and what a killed program left is swept") {
  const stet_test::temp_folder folder;
  (void)folder.write(".ckpt-9.stet.12345.stet-tmp", "an unfinished shard");
  (void)folder.write("ckpt-9-00000-of-00002-0123abcd.stet", "a shard whose head never came");
  std::atomic<int> wrong{0};
  REQUIRE(stet::run_ranks(2, [&](stet::communicator& ranks) {
    stet::checkpoint_options options = stet_test::not_durable();
    options.keep.max_to_keep = 2;
    auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), options,
                                                                     {.per = stet::shard_per::rank});
    if (!manager) {
      ++wrong;
      return;
    }
    matrix_rows own(ranks.rank(), ranks.size());
    for (std::uint64_t step = 1; step <= 5; ++step) {
      own.fill(static_cast<float>(step));
      stet::session_state session;
      session.global_step = step;
      wrong += !manager->save(session, own.variables);
    }
  }));
  CHECK(wrong == 0);
  std::size_t heads = 0, shards = 0, others = 0;
  for (const std::string& name : folder.names()) {
    if (name == "ckpt-4.stet" || name == "ckpt-5.stet")
      ++heads;
    else if (name.starts_with("ckpt-4-") || name.starts_with("ckpt-5-"))
      ++shards;
    else if (name != "checkpoint.json" && name != ".stet-lock")
      ++others;
  }
  CHECK(heads == 2);
  CHECK(shards == 4);
  CHECK(others == 0);
}

/// A frozen part and a trained one, by rows.
struct two_matrices : matrix_rows {
  two_matrices(std::uint32_t rank, std::uint32_t rank_count)
      : matrix_rows(rank, rank_count), frozen(static_cast<std::size_t>(count) * 100) {
    for (std::size_t i = 0; i < frozen.size(); ++i) frozen[i] = static_cast<float>(first * 100 + i);
    added += outcome(variables.add_block("frozen", frozen, {12, 100}, {first, 0}, {count, 100}));
  }
  [[nodiscard]] bool is_frozen() const {
    for (std::size_t i = 0; i < frozen.size(); ++i) {
      if (frozen[i] != static_cast<float>(first * 100 + i)) return false;
    }
    return true;
  }
  std::vector<float> frozen;
};

TEST_CASE(
    "between whole checkpoints only what has changed is written, and the shards of the whole one are kept as long") {
  for (const stet::shard_per per : {stet::shard_per::node, stet::shard_per::rank}) {
    const stet_test::temp_folder folder;
    std::atomic<int> wrong{0};
    REQUIRE(stet::run_ranks(3, [&](stet::communicator& ranks) {
      stet::checkpoint_options options = stet_test::not_durable();
      options.full_every = 3;
      options.keep.max_to_keep = 1;
      auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), options, {.per = per});
      if (!manager) {
        ++wrong;
        return;
      }
      two_matrices own(ranks.rank(), ranks.size());
      const std::uint64_t all_bytes = (own.values.size() + own.frozen.size()) * 4;
      for (std::uint64_t step = 1; step <= 7; ++step) {
        own.fill(static_cast<float>(step));
        stet::session_state session;
        session.global_step = step;
        const auto saved = manager->save(session, own.variables);
        const bool is_whole = step % 3 == 1;
        wrong += !saved || saved->is_delta == is_whole ||
                 saved->written_bytes != (is_whole ? all_bytes : own.values.size() * 4);
        two_matrices read(ranks.rank(), ranks.size());
        std::fill(read.frozen.begin(), read.frozen.end(), 0.0f);
        wrong += !manager->restore_latest(read.variables) || !read.is(static_cast<float>(step)) || !read.is_frozen();
      }
      // What did not change at all takes a head alone.
      own.fill(7);
      stet::session_state session;
      session.global_step = 8;
      const auto saved = manager->save(session, own.variables);
      wrong += !saved || !saved->is_delta || saved->shard_count != 0 || saved->written_bytes != 0;
      two_matrices read(ranks.rank(), ranks.size());
      wrong += !manager->restore_latest(read.variables) || !read.is(7) || !read.is_frozen();
    }));
    CHECK(wrong == 0);
    // The next program sweeps what no checkpoint lists any more.
    REQUIRE(stet::checkpoint_manager::open_for_saving(folder.path(), stet_test::not_durable()));
    std::size_t shards = 0;
    for (const std::string& name : folder.names()) shards += name.find("-of-") != std::string::npos;
    CHECK(shards == (per == stet::shard_per::node ? 1 : 3));
  }
}

TEST_CASE("a base that has gone makes one save fail, on every rank alike or not at all, and the next one is whole") {
  const stet_test::temp_folder folder;
  std::atomic<int> wrong{0};
  REQUIRE(stet::run_ranks(2, [&](stet::communicator& ranks) {
    stet::checkpoint_options options = stet_test::not_durable();
    options.full_every = 10;
    auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), options);
    if (!manager) {
      ++wrong;
      return;
    }
    two_matrices own(ranks.rank(), ranks.size());
    own.fill(1);
    stet::session_state session;
    session.global_step = 1;
    wrong += !manager->save(session, own.variables);
    if (ranks.rank() == 0) {
      for (const std::string& name : folder.names()) {
        if (name.starts_with("ckpt-")) std::filesystem::remove(stet_test::to_path(folder.path(name)));
      }
    }
    std::uint64_t all_here[1] = {0};
    wrong += !ranks.all_reduce_max(all_here);
    session.global_step = 2;
    own.fill(2);
    const auto saved = manager->save(session, own.variables);
    wrong += !saved || saved->is_delta; // nothing could be compared, so that all has changed
    two_matrices read(ranks.rank(), ranks.size());
    wrong += !manager->restore_latest(read.variables) || !read.is(2);
  }));
  CHECK(wrong == 0);
}

TEST_CASE("two jobs cannot save into one folder: every rank of the second is told so") {
  const stet_test::temp_folder folder;
  const auto first = stet::checkpoint_manager::open_for_saving(folder.path(), stet_test::not_durable());
  REQUIRE(first);
  std::vector<std::string> outcomes(3);
  REQUIRE(stet::run_ranks(3, [&](stet::communicator& ranks) {
    outcomes[ranks.rank()] =
        outcome(stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), stet_test::not_durable()));
  }));
  CHECK(outcomes == std::vector<std::string>(3, "locked"));
}

TEST_CASE("a session that cannot be saved is refused on every rank, and the next save works") {
  const stet_test::temp_folder folder;
  std::atomic<int> wrong{0};
  std::vector<std::string> outcomes(2);
  REQUIRE(stet::run_ranks(2, [&](stet::communicator& ranks) {
    auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder.path(), stet_test::not_durable());
    if (!manager) {
      ++wrong;
      return;
    }
    matrix_rows own(ranks.rank(), ranks.size());
    stet::session_state session;
    session.global_step = 1;
    outcomes[ranks.rank()] = outcome(manager->save(session, own.variables, stet::json_text("[1]")));
    wrong += !manager->save(session, own.variables);
  }));
  CHECK(wrong == 0);
  CHECK(outcomes[0] == outcomes[1]);
  CHECK(outcomes[0] == "wrong_type");
}

} // namespace
