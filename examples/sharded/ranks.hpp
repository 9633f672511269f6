// SPDX-License-Identifier: MIT
// What every command has of MPI: the ranks, and how they end together.
#ifndef SHARDED_RANKS_HPP
#define SHARDED_RANKS_HPP

#include <mpi.h>

#include <stet/ext/mpi.hpp>
#include <stet/vocabulary/error.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace sharded {

/// Says a sentence once, on rank 0.
inline void say(stet::communicator& ranks, const std::string& sentence) {
  if (ranks.rank() != 0) return;
  std::puts(sentence.c_str());
  std::fflush(stdout);
}

/// Says what failed, and returns what main returns. Every rank has the same error, so all end; but a rank that MPI cannot reach would be
/// waited for, so MPI ends them.
inline int failed(stet::communicator& ranks, const stet::error& why) {
  const bool is_lost = why.code() == stet::errc::rank_lost;
  if (ranks.rank() == 0 || is_lost) std::fprintf(stderr, "rank %u: %s\n", ranks.rank(), stet::error_text(why).c_str());
  if (is_lost) MPI_Abort(MPI_COMM_WORLD, 1);
  return 1;
}

/// Whether it holds on every rank.
inline stet::result<bool> on_every_rank(stet::communicator& ranks, bool own) {
  std::uint64_t failures[1] = {own ? std::uint64_t{0} : std::uint64_t{1}};
  if (auto told = ranks.all_reduce_max(failures); !told) return told.error();
  return failures[0] == 0;
}

} // namespace sharded

#endif
