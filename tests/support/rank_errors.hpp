// SPDX-License-Identifier: MIT
// What a collective call came to on each rank.
#ifndef STET_TESTS_SUPPORT_RANK_ERRORS_HPP
#define STET_TESTS_SUPPORT_RANK_ERRORS_HPP

#include <stet/sharded/thread_communicator.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace stet_test {

/// Calls `work(ranks)`, a result, on some ranks that are threads. @return by rank: "" or "CODE: SUBJECT"
template <class Work> std::vector<std::string> errors_of(std::uint32_t rank_count, Work work) {
  std::vector<std::string> errors(rank_count);
  const auto run = [&](stet::communicator& ranks) {
    const auto done = work(ranks);
    if (!done)
      errors[ranks.rank()] =
          std::string(stet::describe(done.error().code()).name) + ": " + std::string(done.error().subject());
  };
  if (!stet::run_ranks(rank_count, run)) errors[0] = "no threads";
  return errors;
}

} // namespace stet_test

#endif
