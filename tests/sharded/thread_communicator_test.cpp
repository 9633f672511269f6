// SPDX-License-Identifier: MIT
#include <stet/sharded/thread_communicator.hpp>

#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <vector>

namespace {

using stet_test::outcome;

TEST_CASE("ranks that are threads know their number, how many they are, and the lowest of their node") {
  std::vector<std::uint32_t> nodes(5, 99);
  std::atomic<std::uint32_t> sizes{0};
  REQUIRE(stet::run_ranks(
      5,
      [&](stet::communicator& ranks) {
        nodes[ranks.rank()] = ranks.node();
        sizes += ranks.size();
      },
      2));
  CHECK(nodes == std::vector<std::uint32_t>{0, 0, 2, 2, 4});
  CHECK(sizes == 25);
}

TEST_CASE("a broadcast gives every rank the bytes of one; a reduction the greatest of all, by place") {
  std::atomic<int> wrong{0};
  REQUIRE(stet::run_ranks(4, [&](stet::communicator& ranks) {
    for (std::uint32_t root = 0; root < 4; ++root) {
      std::byte bytes[3];
      for (std::byte& each : bytes) each = static_cast<std::byte>(ranks.rank() * 10 + root);
      wrong += !ranks.broadcast(bytes, root);
      for (const std::byte each : bytes) wrong += each != static_cast<std::byte>(root * 11);
    }
    std::uint64_t values[] = {ranks.rank(), 9 - ranks.rank(), 7};
    wrong += !ranks.all_reduce_max(values);
    wrong += values[0] != 3 || values[1] != 9 || values[2] != 7;
  }));
  CHECK(wrong == 0);
}

TEST_CASE("each rank gets what the others have for it, of any size, again and again") {
  std::atomic<int> wrong{0};
  REQUIRE(stet::run_ranks(3, [&](stet::communicator& ranks) {
    for (std::size_t round = 0; round < 50; ++round) {
      stet::rank_messages to(3);
      for (std::uint32_t rank = 0; rank < 3; ++rank)
        to[rank].assign((ranks.rank() + rank + round) % 4, static_cast<std::byte>(ranks.rank() * 16 + rank));
      const auto came = ranks.all_to_all(to);
      if (!came) {
        ++wrong;
        return;
      }
      for (std::uint32_t rank = 0; rank < 3; ++rank)
        wrong += (*came)[rank] != std::vector<std::byte>((ranks.rank() + rank + round) % 4,
                                                         static_cast<std::byte>(rank * 16 + ranks.rank()));
    }
  }));
  CHECK(wrong == 0);
}

TEST_CASE("whoever wants to exchange something with a rank that has ended is told so") {
  std::vector<std::string> outcomes(3);
  REQUIRE(stet::run_ranks(3, [&](stet::communicator& ranks) {
    if (ranks.rank() == 2) return;
    std::uint64_t values[] = {1};
    outcomes[ranks.rank()] = outcome(ranks.all_reduce_max(values));
  }));
  CHECK(outcomes == std::vector<std::string>{"rank_lost", "rank_lost", ""});
}

TEST_CASE("one rank is a program without others") {
  std::atomic<int> wrong{1};
  REQUIRE(stet::run_ranks(1, [&](stet::communicator& ranks) {
    std::uint64_t values[] = {5};
    std::byte bytes[] = {std::byte{6}};
    const stet::rank_messages to(1, std::vector<std::byte>(2, std::byte{7}));
    const bool is_done = ranks.all_reduce_max(values) && ranks.broadcast(bytes, 0);
    const auto came = ranks.all_to_all(to);
    wrong = !is_done || !came || *came != to || values[0] != 5 || bytes[0] != std::byte{6};
  }));
  CHECK(wrong == 0);
}

} // namespace
