// SPDX-License-Identifier: MIT
// Ranks of MPI, with the real library. The suite has none; tests/interop/many_ranks.py builds this with each that it finds, and runs it
// as one rank and as several, which go through the cases together.
#if defined(STET_HAS_MPI)
#include <mpi.h>
#endif

#include <doctest/doctest.h>

#if defined(STET_HAS_MPI)

#include <stet/ext/mpi.hpp>

#include "support/allocations.hpp"
#include "support/outcome.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

using stet_test::outcome;

namespace {

/// One that ends after MPI, as may happen to a static of a program.
std::optional<stet::mpi_communicator> last_one;

/// MPI, from the first case that needs it to the end of the program.
class running_mpi {
public:
  running_mpi() { MPI_Init(nullptr, nullptr); }
  ~running_mpi() {
    MPI_Finalize();
    const auto late = stet::mpi_communicator::from(MPI_COMM_WORLD);
    if (late || late.error().code() != stet::errc::invalid_argument) {
      std::puts("after MPI_Finalize, from() is not invalid_argument");
      std::abort();
    }
  }
};
void start_mpi() { static const running_mpi mpi; }

stet::mpi_communicator make(MPI_Comm of = MPI_COMM_WORLD,
                            std::size_t most = stet::mpi_communicator::default_max_message_size_bytes) {
  start_mpi();
  auto made = stet::mpi_communicator::from(of, most);
  REQUIRE(outcome(made) == "ok");
  return std::move(made).value();
}

std::byte byte_of(std::size_t number) { return static_cast<std::byte>(number * 31 % 251); }

/// How much `from` has for `to`: nothing, a little, or several messages.
std::size_t size_for(std::uint32_t from, std::uint32_t to, std::size_t most) {
  return (from * 7u + to * 3u) % 5u * (most + 3) / 2;
}

/// Whether each rank got what the others had for it.
bool exchanges(stet::communicator& ranks, std::size_t most) {
  stet::rank_messages to(ranks.size());
  for (std::uint32_t rank = 0; rank < ranks.size(); ++rank) {
    to[rank].resize(size_for(ranks.rank(), rank, most));
    for (std::size_t i = 0; i < to[rank].size(); ++i) to[rank][i] = byte_of(i + ranks.rank() + 5 * rank);
  }
  const auto from = ranks.all_to_all(to);
  if (!from || from->size() != ranks.size()) return false;
  for (std::uint32_t rank = 0; rank < ranks.size(); ++rank) {
    if ((*from)[rank].size() != size_for(rank, ranks.rank(), most)) return false;
    for (std::size_t i = 0; i < (*from)[rank].size(); ++i) {
      if ((*from)[rank][i] != byte_of(i + rank + 5 * ranks.rank())) return false;
    }
  }
  return true;
}

constexpr std::size_t failing_size = 7 * 1024 * 1024 + 5;
bool fails_at_that_size(std::size_t size_bytes) noexcept { return size_bytes == failing_size; }

} // namespace

TEST_SUITE("ext/mpi") {
  // The first case: the others start MPI.
  TEST_CASE("before MPI_Init there is no communicator") {
    const auto early = stet::mpi_communicator::from(MPI_COMM_WORLD);
    CHECK(outcome(early) == "invalid_argument");
  }

  TEST_CASE("a communicator that is none, or a size of messages that no count has, is refused") {
    start_mpi();
    CHECK(outcome(stet::mpi_communicator::from(MPI_COMM_NULL)) == "invalid_argument");
    CHECK(outcome(stet::mpi_communicator::from(MPI_COMM_WORLD, 7)) == "invalid_argument");
    CHECK(outcome(stet::mpi_communicator::from(MPI_COMM_WORLD, std::size_t{1} << 31)) == "invalid_argument");
    CHECK(outcome(stet::mpi_communicator::from(MPI_COMM_WORLD, (std::size_t{1} << 31) - 1)) == "ok");
  }

  TEST_CASE("two groups of ranks that face each other are refused") {
    start_mpi();
    int rank = 0, size = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size < 2) return;
    MPI_Comm half = MPI_COMM_NULL, facing = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 0, &facing);
    CHECK(outcome(stet::mpi_communicator::from(facing)) == "invalid_argument");
    MPI_Comm_free(&facing);
    MPI_Comm_free(&half);
  }

  TEST_CASE("rank, size and node are those of the given communicator") {
    start_mpi();
    int rank = 0, size = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm backwards = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &backwards);
    const auto ranks = make(backwards);
    MPI_Comm_free(&backwards);
    CHECK(ranks.size() == static_cast<std::uint32_t>(size));
    CHECK(ranks.rank() == static_cast<std::uint32_t>(size - 1 - rank));
    CHECK(ranks.node() == 0); // all are on this machine
  }

  TEST_CASE("a part of the ranks is a communicator of its own") {
    start_mpi();
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm part = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &part);
    auto ranks = make(part);
    MPI_Comm_free(&part);
    std::uint64_t largest[1] = {static_cast<std::uint64_t>(rank)};
    REQUIRE(outcome(ranks.all_reduce_max(largest)) == "ok");
    CHECK(largest[0] % 2 == static_cast<std::uint64_t>(rank) % 2);
    CHECK(exchanges(ranks, 100));
  }

  TEST_CASE("every rank gets the bytes of any root, in one message or several") {
    for (const std::size_t most : {8u, 1u << 30}) {
      auto ranks = make(MPI_COMM_WORLD, most);
      for (const std::size_t size : {0u, 1u, 7u, 8u, 9u, 201u}) {
        for (std::uint32_t root = 0; root < ranks.size(); ++root) {
          std::vector<std::byte> bytes(size, std::byte{0xFF});
          for (std::size_t i = 0; i < size && root == ranks.rank(); ++i) bytes[i] = byte_of(i + root);
          REQUIRE(outcome(ranks.broadcast(bytes, root)) == "ok");
          std::size_t wrong = 0;
          for (std::size_t i = 0; i < size; ++i) wrong += bytes[i] != byte_of(i + root);
          CHECK(wrong == 0);
        }
      }
    }
  }

  TEST_CASE("every rank gets the largest value of each place, as unsigned numbers, in one message or several") {
    for (const std::size_t most : {8u, 24u, 1u << 30}) {
      auto ranks = make(MPI_COMM_WORLD, most);
      for (const std::size_t count : {0u, 1u, 3u, 4u, 100u}) {
        std::vector<std::uint64_t> values(count);
        for (std::size_t i = 0; i < count; ++i) // the largest comes from another rank at each place
          values[i] = i % ranks.size() == ranks.rank() ? ~std::uint64_t{0} - i : i + ranks.rank();
        REQUIRE(outcome(ranks.all_reduce_max(values)) == "ok");
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < count; ++i) wrong += values[i] != ~std::uint64_t{0} - i;
        CHECK(wrong == 0);
      }
    }
  }

  TEST_CASE(
      "each rank gets what the others have for it: nothing, a little, or more messages than are on their way at once") {
    for (const std::size_t most : {8u, 13u, 1u << 30}) {
      auto ranks = make(MPI_COMM_WORLD, most);
      CHECK(exchanges(ranks, 0));
      CHECK(exchanges(ranks, most < 100 ? most * 50 : 3000));
    }
    auto ranks = make();
    CHECK(exchanges(ranks, 200000)); // larger than what MPI sends before it is received
  }

  TEST_CASE("a rank without memory for what comes is the same error on every rank, and the next exchange works") {
#if defined(__cpp_exceptions)
    auto ranks = make();
    for (std::uint32_t poor = 0; poor < ranks.size(); ++poor) {
      stet::rank_messages to(ranks.size());
      to[poor].resize(ranks.rank() == 0 ? failing_size : 1);
      if (ranks.rank() == poor) stet_test::fails_to_allocate = fails_at_that_size;
      const auto from = ranks.all_to_all(to);
      stet_test::fails_to_allocate = nullptr;
      CHECK(outcome(from) == "out_of_memory");
      CHECK(exchanges(ranks, 10));
    }
#endif
  }

  TEST_CASE("messages of the program and of stet do not meet") {
    auto ranks = make();
    char received = 0, sent = 'x';
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Irecv(&received, 1, MPI_CHAR, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &request);
    CHECK(exchanges(ranks, 1000));
    int has_come = 1;
    MPI_Test(&request, &has_come, MPI_STATUS_IGNORE);
    CHECK(has_come == 0);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Send(&sent, 1, MPI_CHAR, static_cast<int>((ranks.rank() + 1) % ranks.size()), 0, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK(received == 'x');
  }

  TEST_CASE("an error of MPI is a result, with its class and text, and the program's own handler is as before") {
    start_mpi();
    MPI_Errhandler own = MPI_ERRHANDLER_NULL, after = MPI_ERRHANDLER_NULL;
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &own);
    auto ranks = make();
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &after);
    CHECK(own == after);
    CHECK(own == MPI_ERRORS_ARE_FATAL);
    MPI_Errhandler_free(&own);
    MPI_Errhandler_free(&after);

    std::byte bytes[1] = {};
    const auto broadcast = ranks.broadcast(bytes, ranks.size() + 7);
    REQUIRE(outcome(broadcast) == "rank_lost");
    CHECK(broadcast.error().system_code() == MPI_ERR_ROOT);
    CHECK(broadcast.error().subject().find("root") != std::string::npos);
  }

  TEST_CASE("a moved communicator goes on, and each is freed once") {
    static_assert(!std::is_copy_constructible_v<stet::mpi_communicator>);
    static_assert(std::is_nothrow_move_constructible_v<stet::mpi_communicator>);
    auto first = make(), second = make(MPI_COMM_SELF);
    const auto rank = first.rank(), size = first.size();
    stet::mpi_communicator moved = std::move(first);
    CHECK(moved.rank() == rank);
    CHECK(exchanges(moved, 10));
    second = std::move(moved);
    CHECK(second.rank() == rank);
    CHECK(second.size() == size);
    CHECK(exchanges(second, 10));
    // MPICH has 2048 at most.
    for (int i = 0; i < (size == 1 ? 3000 : 10); ++i) (void)make();
    CHECK(exchanges(second, 10));
    last_one.emplace(make());
  }
}

#else

TEST_SUITE("ext/mpi") {
  TEST_CASE("ranks of MPI are ranks") { MESSAGE("skipped: built by interop.many_ranks alone"); }
}

#endif
