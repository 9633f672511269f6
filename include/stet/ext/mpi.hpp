// SPDX-License-Identifier: MIT
// The ranks of an MPI program as those that save and load together: include <mpi.h> and then this header, and link MPI.
//
//   find_package(MPI REQUIRED)
//   target_link_libraries(my_program PRIVATE stet::stet MPI::MPI_CXX)
#ifndef STET_EXT_MPI_HPP
#define STET_EXT_MPI_HPP

#include "../manifest/detail/caught.hpp"
#include "../sharded/communicator.hpp"
#include "../vocabulary/detail/spans.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#if !defined(MPI_VERSION)
#error "stet/ext/mpi.hpp: include <mpi.h> first"
#endif

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// What MPI says of a failure: its class as the system's code, and its text.
inline error mpi_failure(int code) noexcept {
  int group = MPI_ERR_UNKNOWN, size = 0;
  char text[MPI_MAX_ERROR_STRING] = {};
  MPI_Error_class(code, &group);
  if (MPI_Error_string(code, text, &size) != MPI_SUCCESS || size < 0) size = 0;
  return error(errc::rank_lost, text_at(text, static_cast<std::size_t>(size))).with_system_code(group);
}

/// The result of a call of MPI.
inline result<void> mpi_outcome(int code) noexcept { return code == MPI_SUCCESS ? result<void>() : mpi_failure(code); }

/// Calls `give(bytes, count)` for pieces of at most `most` values, so that each count is an int.
template <class T, class Give> result<void> for_each_piece(std::span<T> values, std::size_t most, Give give) noexcept {
  while (!values.empty()) {
    const std::size_t count = (std::min)(values.size(), most);
    if (const int code = give(values.data(), static_cast<int>(count)); code != MPI_SUCCESS) return mpi_failure(code);
    values = values.subspan(count);
  }
  return {};
}

/// Transfers that have begun, a bounded number of them: others wait for all. Ranks that begin theirs in one order of rounds, each as a
/// whole, do not wait for each other in a circle: all have begun the oldest round that has not ended.
class mpi_transfers {
public:
  mpi_transfers() noexcept { std::fill(requests_, requests_ + most, MPI_REQUEST_NULL); }
  mpi_transfers(const mpi_transfers&) = delete;
  mpi_transfers& operator=(const mpi_transfers&) = delete;
  ~mpi_transfers() noexcept {
    for (MPI_Request& each : requests_) { // only after a failure
      if (each == MPI_REQUEST_NULL) continue;
      MPI_Cancel(&each);
      MPI_Request_free(&each);
    }
  }

  /// Waits until `count` transfers can begin without waiting.
  result<void> make_room(std::size_t count) noexcept { return count_ + count > most ? wait() : result<void>(); }
  /// The request of a transfer that begins now. There is room for it.
  [[nodiscard]] MPI_Request* add() noexcept { return STET_ASSERT(count_ < most), &requests_[count_++]; }
  /// Waits for those that have begun.
  result<void> wait() noexcept {
    MPI_Status statuses[most];
    for (MPI_Status& each : statuses) each.MPI_ERROR = MPI_SUCCESS;
    int code = MPI_Waitall(static_cast<int>(std::exchange(count_, 0)), requests_, statuses);
    for (std::size_t i = 0; code == MPI_ERR_IN_STATUS && i < most; ++i) {
      const int own = statuses[i].MPI_ERROR;
      if (own != MPI_SUCCESS && own != MPI_ERR_PENDING) code = own;
    }
    return mpi_outcome(code);
  }

private:
  static constexpr std::size_t most = 64;
  MPI_Request requests_[most];
  std::size_t count_ = 0;
};

} // namespace detail

/// The ranks of an MPI communicator, over a duplicate of it: messages of stet never meet those of the program.
///
///     auto ranks = stet::mpi_communicator::from(MPI_COMM_WORLD);
///     if (!ranks) …
///     auto saved = stet::save_sharded(*ranks, path, variables);
///
/// Move-only. It ends before MPI_Finalize, on all ranks together, since freeing a communicator is collective; one that ends later frees
/// nothing. Errors of MPI are errc::rank_lost: the subject is MPI's text, the system's code its error class. MPI does not say what works
/// after one, so the program had better end then; most implementations end it by themselves when a rank dies. Calls come from a
/// thread that may call MPI: another than the main thread only with MPI_THREAD_SERIALIZED or more, and at the same time as the program's
/// own calls only with MPI_THREAD_MULTIPLE.
class mpi_communicator final : public communicator {
public:
  /// The size of a message, at most, unless the program says another: far from where counts of MPI end, at 2 GiB.
  static constexpr std::size_t default_max_message_size_bytes = std::size_t{1} << 30;

  /// Duplicates a communicator. Collective. Ranks that can share memory, as MPI sees it, are one node.
  /// @param of                      of the program, which may free it afterwards
  /// @param max_message_size_bytes  what is larger goes in several messages; from 8 to 2^31 - 1, the same on every rank
  /// @retval errc::invalid_argument  MPI is not initialized, or finalized; `of` is MPI_COMM_NULL or an intercommunicator; or the size
  ///                                 is out of range
  /// @retval errc::rank_lost         MPI failed
  /// @retval errc::out_of_memory     on some rank
  [[nodiscard]] static result<mpi_communicator>
  from(MPI_Comm of, std::size_t max_message_size_bytes = default_max_message_size_bytes) noexcept {
    int is_initialized = 0, is_finalized = 0, is_inter = 0;
    MPI_Initialized(&is_initialized);
    MPI_Finalized(&is_finalized);
    if (is_initialized == 0 || is_finalized != 0) return error(errc::invalid_argument, "MPI is not initialized");
    if (of == MPI_COMM_NULL) return error(errc::invalid_argument, "MPI_COMM_NULL");
    if (max_message_size_bytes < 8 || max_message_size_bytes > 0x7FFFFFFFu)
      return error(errc::invalid_argument, "max_message_size_bytes");
    if (auto asked = detail::mpi_outcome(MPI_Comm_test_inter(of, &is_inter)); !asked) return asked.error();
    if (is_inter != 0) return error(errc::invalid_argument, "an intercommunicator");
    mpi_communicator made;
    made.most_ = max_message_size_bytes;
    if (auto duplicated = made.duplicate(of); !duplicated) return duplicated.error();
    if (auto found = made.find_ranks(); !found) return found.error();
    const auto own = detail::caught([&]() -> result<void> {
      made.sizes_.resize(std::size_t{2} * made.size_);
      return {};
    });
    if (auto all = made.all_have_memory(own); !all) return all.error();
    return made;
  }

  mpi_communicator(mpi_communicator&& other) noexcept
      : duplicate_(std::exchange(other.duplicate_, MPI_COMM_NULL)), rank_(other.rank_), size_(other.size_),
        node_(other.node_), most_(other.most_), sizes_(std::move(other.sizes_)) {}
  /// Frees what this one has.
  mpi_communicator& operator=(mpi_communicator&& other) noexcept {
    std::swap(duplicate_, other.duplicate_);
    std::swap(rank_, other.rank_);
    std::swap(size_, other.size_);
    std::swap(node_, other.node_);
    std::swap(most_, other.most_);
    sizes_.swap(other.sizes_);
    if (this != &other) other.free();
    return *this;
  }
  mpi_communicator(const mpi_communicator&) = delete;
  mpi_communicator& operator=(const mpi_communicator&) = delete;
  /// Frees the duplicate, unless MPI is finalized. Collective.
  ~mpi_communicator() noexcept { free(); }

  [[nodiscard]] std::uint32_t rank() const noexcept override { return rank_; }
  [[nodiscard]] std::uint32_t size() const noexcept override { return size_; }
  [[nodiscard]] std::uint32_t node() const noexcept override { return node_; }

  result<void> broadcast(std::span<std::byte> bytes, std::uint32_t root) noexcept override {
    return detail::for_each_piece(bytes, most_, [&](std::byte* some, int count) {
      return MPI_Bcast(some, count, MPI_BYTE, static_cast<int>(root), duplicate_);
    });
  }
  result<void> all_reduce_max(std::span<std::uint64_t> values) noexcept override {
    // As signed numbers in the same order: MPICH 4.0 (pmodels/mpich#6083, #7507) and some releases of Open MPI (open-mpi/ompi#10276)
    // compare unsigned ones as if they were signed.
    constexpr std::uint64_t sign = std::uint64_t{1} << 63;
    for (std::uint64_t& each : values) each ^= sign;
    auto reduced = detail::for_each_piece(values, most_ / 8, [&](std::uint64_t* some, int count) {
      return MPI_Allreduce(MPI_IN_PLACE, some, count, MPI_INT64_T, MPI_MAX, duplicate_);
    });
    for (std::uint64_t& each : values) each ^= sign;
    return reduced;
  }
  /// As `communicator::all_to_all`. A rank that has no memory for what comes is an error on every rank.
  /// Cost: one exchange of sizes, one of eight bytes, and a message for each pair of ranks of which one has something for the other. It
  /// goes from the caller's memory into that of the result.
  [[nodiscard]] result<rank_messages> all_to_all(const rank_messages& to) noexcept override {
    STET_ASSERT(to.size() == size_);
    std::uint64_t *const own_sizes = sizes_.data(), *const their_sizes = own_sizes + size_;
    for (std::size_t rank = 0; rank < size_; ++rank) own_sizes[rank] = to[rank].size();
    const int told = MPI_Alltoall(own_sizes, 1, MPI_UINT64_T, their_sizes, 1, MPI_UINT64_T, duplicate_);
    if (told != MPI_SUCCESS) return detail::mpi_failure(told);
    rank_messages from;
    const auto own = detail::caught([&]() -> result<void> {
      from.resize(size_);
      from[rank_] = to[rank_];
      for (std::size_t rank = 0; rank < size_; ++rank) {
        if (their_sizes[rank] > from[rank].max_size()) return errc::out_of_memory;
        from[rank].resize(static_cast<std::size_t>(their_sizes[rank]));
      }
      return {};
    });
    if (auto all = all_have_memory(own); !all) return all.error();
    if (auto done = exchange(to, from); !done) return done.error();
    return from;
  }

private:
  mpi_communicator() noexcept = default;

  void free() noexcept {
    int is_finalized = 0;
    MPI_Finalized(&is_finalized);
    if (duplicate_ != MPI_COMM_NULL && is_finalized == 0) MPI_Comm_free(&duplicate_);
    duplicate_ = MPI_COMM_NULL;
  }

  /// Duplicates a communicator, whose own handler of errors, by default the program's end, is put aside meanwhile.
  result<void> duplicate(MPI_Comm of) noexcept {
    MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
    if (auto got = detail::mpi_outcome(MPI_Comm_get_errhandler(of, &handler)); !got) return got;
    MPI_Comm_set_errhandler(of, MPI_ERRORS_RETURN);
    const int made = MPI_Comm_dup(of, &duplicate_);
    MPI_Comm_set_errhandler(of, handler);
    MPI_Errhandler_free(&handler);
    if (made != MPI_SUCCESS) {
      duplicate_ = MPI_COMM_NULL;
      return detail::mpi_failure(made);
    }
    return detail::mpi_outcome(MPI_Comm_set_errhandler(duplicate_, MPI_ERRORS_RETURN));
  }

  /// Asks for the number of this rank, and has the lowest rank of each node tell its own.
  result<void> find_ranks() noexcept {
    int rank = 0, size = 1;
    MPI_Comm_rank(duplicate_, &rank);
    MPI_Comm_size(duplicate_, &size);
    MPI_Comm node = MPI_COMM_NULL;
    int code = MPI_Comm_split_type(duplicate_, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node);
    if (code != MPI_SUCCESS) return detail::mpi_failure(code);
    MPI_Comm_set_errhandler(node, MPI_ERRORS_RETURN);
    int lowest = rank;
    code = MPI_Bcast(&lowest, 1, MPI_INT, 0, node);
    MPI_Comm_free(&node);
    rank_ = static_cast<std::uint32_t>(rank);
    size_ = static_cast<std::uint32_t>(size);
    node_ = static_cast<std::uint32_t>(lowest);
    return detail::mpi_outcome(code);
  }

  /// Makes one outcome of what the ranks have allocated, so that none begins what another cannot.
  result<void> all_have_memory(const result<void>& own) noexcept {
    std::uint64_t is_short[1] = {own ? std::uint64_t{0} : std::uint64_t{1}};
    if (auto told = all_reduce_max(is_short); !told) return told;
    return is_short[0] == 0 ? result<void>() : errc::out_of_memory;
  }

  /// Sends and receives what is not this rank's own. All know the sizes. In step i, rank r has something for r + i.
  result<void> exchange(const rank_messages& to, rank_messages& from) noexcept {
    detail::mpi_transfers transfers;
    for (std::uint32_t step = 1; step < size_; ++step) {
      const auto target = static_cast<std::uint32_t>((std::uint64_t{rank_} + step) % size_);
      const auto source = static_cast<std::uint32_t>((std::uint64_t{rank_} + size_ - step) % size_);
      std::span<const std::byte> out = to[target];
      std::span<std::byte> in = from[source];
      while (!out.empty() || !in.empty()) { // messages of a pair arrive in their order
        if (auto room = transfers.make_room(2); !room) return room;
        const std::size_t in_size = (std::min)(in.size(), most_), out_size = (std::min)(out.size(), most_);
        int code = MPI_SUCCESS;
        if (in_size != 0)
          code = MPI_Irecv(in.data(), static_cast<int>(in_size), MPI_BYTE, static_cast<int>(source), 0, duplicate_,
                           transfers.add());
        if (out_size != 0 && code == MPI_SUCCESS)
          code = MPI_Isend(out.data(), static_cast<int>(out_size), MPI_BYTE, static_cast<int>(target), 0, duplicate_,
                           transfers.add());
        if (code != MPI_SUCCESS) return detail::mpi_failure(code);
        in = in.subspan(in_size);
        out = out.subspan(out_size);
      }
    }
    return transfers.wait();
  }

  MPI_Comm duplicate_ = MPI_COMM_NULL;
  std::uint32_t rank_ = 0, size_ = 1, node_ = 0;
  std::size_t most_ = default_max_message_size_bytes;
  std::vector<std::uint64_t> sizes_; // of what this rank has for each, then of what each has for this one
};

} // namespace stet::inline STET_NAMESPACE

#endif
