// SPDX-License-Identifier: MIT
// How the ranks of a program exchange what they know: a small interface that MPI, threads, or a library of the program's own fill in.
#ifndef STET_SHARDED_COMMUNICATOR_HPP
#define STET_SHARDED_COMMUNICATOR_HPP

#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The bytes that a rank exchanges with each rank of a communicator, by rank.
using rank_messages = std::vector<std::vector<std::byte>>;

/// The ranks that save and load together. Every call but the first three is collective: each rank calls it, in the same order, and it
/// returns when what this rank needs has come. `mpi_communicator` (ext/mpi.hpp) is one over MPI, `thread_communicator` one over threads
/// of this process. Derive from it for any other. One thread of a rank calls it at a time.
///
/// A call that fails on one rank may hang on others that the communicator cannot reach; an implementation ends them with
/// errc::rank_lost where it learns of it.
class communicator {
public:
  /// The number of this rank, less than `size()`.
  [[nodiscard]] virtual std::uint32_t rank() const noexcept = 0;
  /// The number of ranks, at least 1.
  [[nodiscard]] virtual std::uint32_t size() const noexcept = 0;
  /// The lowest rank of this rank's node: ranks of a node see the same files through one page cache. 0 where that is not known.
  [[nodiscard]] virtual std::uint32_t node() const noexcept = 0;

  /// Gives every rank the bytes of `root`; all have the same number of them.
  /// @retval errc::rank_lost  a rank has ended, or cannot be reached
  virtual result<void> broadcast(std::span<std::byte> bytes, std::uint32_t root) noexcept = 0;
  /// Gives every rank the largest value of each place; all have the same number of values.
  /// @retval errc::rank_lost  a rank has ended, or cannot be reached
  virtual result<void> all_reduce_max(std::span<std::uint64_t> values) noexcept = 0;
  /// Gives each rank what the others have for it.
  /// @param to  by rank: the bytes for it, of any number
  /// @return by rank: the bytes that it had for this one
  /// @retval errc::rank_lost      a rank has ended, or cannot be reached
  /// @retval errc::out_of_memory
  [[nodiscard]] virtual result<rank_messages> all_to_all(const rank_messages& to) noexcept = 0;

protected:
  communicator() noexcept = default;
  communicator(const communicator&) noexcept = default;
  communicator& operator=(const communicator&) noexcept = default;
  ~communicator() noexcept = default;
};

} // namespace stet::inline STET_NAMESPACE

#endif
