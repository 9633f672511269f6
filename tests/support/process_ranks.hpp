// SPDX-License-Identifier: MIT
// Ranks that are processes, which can be killed and stopped. Rank 0 passes on what the others exchange.
#ifndef STET_TESTS_SUPPORT_PROCESS_RANKS_HPP
#define STET_TESTS_SUPPORT_PROCESS_RANKS_HPP

#if defined(__unix__) && !defined(__EMSCRIPTEN__)

#include <stet/sharded/communicator.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stet_test {

/// One of them. A rank that has ended, or does not answer in time, is lost to the others.
class process_communicator final : public stet::communicator {
public:
  /// @param sockets  on rank 0: one for each other rank; on others: one, to rank 0
  process_communicator(std::uint32_t rank, std::uint32_t size, std::vector<int> sockets)
      : rank_(rank), size_(size), sockets_(std::move(sockets)) {}

  [[nodiscard]] std::uint32_t rank() const noexcept override { return rank_; }
  [[nodiscard]] std::uint32_t size() const noexcept override { return size_; }
  [[nodiscard]] std::uint32_t node() const noexcept override { return rank_ - rank_ % 2; }

  stet::result<void> broadcast(std::span<std::byte> bytes, std::uint32_t root) noexcept override {
    stet::rank_messages to(size_);
    for (std::vector<std::byte>& each : to) {
      if (rank_ == root) each.assign(bytes.begin(), bytes.end());
    }
    const auto came = all_to_all(to);
    if (!came) return came.error();
    std::copy((*came)[root].begin(), (*came)[root].end(), bytes.begin());
    return {};
  }
  stet::result<void> all_reduce_max(std::span<std::uint64_t> values) noexcept override {
    const std::span<const std::byte> own = std::as_bytes(values);
    const auto came = all_to_all(stet::rank_messages(size_, std::vector<std::byte>(own.begin(), own.end())));
    if (!came) return came.error();
    for (const std::vector<std::byte>& each : *came) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint64_t value = 0;
        std::memcpy(&value, each.data() + i * sizeof value, sizeof value);
        if (value > values[i]) values[i] = value;
      }
    }
    return {};
  }
  [[nodiscard]] stet::result<stet::rank_messages> all_to_all(const stet::rank_messages& to) noexcept override {
    stet::rank_messages from(size_);
    bool is_done = !is_lost_;
    if (rank_ != 0) {
      for (std::uint32_t each = 0; is_done && each < size_; ++each) is_done = send(sockets_[0], to[each]);
      for (std::uint32_t each = 0; is_done && each < size_; ++each) is_done = receive(sockets_[0], from[each]);
    } else {
      std::vector<stet::rank_messages> all(size_, stet::rank_messages(size_)); // from, to
      all[0] = to;
      for (std::uint32_t one = 1; is_done && one < size_; ++one) {
        for (std::uint32_t each = 0; is_done && each < size_; ++each)
          is_done = receive(sockets_[one - 1], all[one][each]);
      }
      for (std::uint32_t one = 1; is_done && one < size_; ++one) {
        for (std::uint32_t each = 0; is_done && each < size_; ++each) is_done = send(sockets_[one - 1], all[each][one]);
      }
      for (std::uint32_t each = 0; each < size_; ++each) from[each] = all[each][0];
    }
    if (is_done) return from;
    is_lost_ = true;
    for (const int each : sockets_) (void)::shutdown(each, SHUT_RDWR);
    return stet::errc::rank_lost;
  }

private:
  static bool send(int socket, const std::vector<std::byte>& bytes) noexcept {
    const std::uint64_t size = bytes.size();
    return send_all(socket, reinterpret_cast<const std::byte*>(&size), sizeof size) &&
           send_all(socket, bytes.data(), bytes.size());
  }
  static bool send_all(int socket, const std::byte* bytes, std::size_t size) noexcept {
    while (size != 0) {
      const auto sent = ::send(socket, bytes, size, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes += sent;
      size -= static_cast<std::size_t>(sent);
    }
    return true;
  }
  static bool receive(int socket, std::vector<std::byte>& bytes) noexcept {
    std::uint64_t size = 0;
    if (!receive_all(socket, reinterpret_cast<std::byte*>(&size), sizeof size)) return false;
    bytes.resize(static_cast<std::size_t>(size));
    return receive_all(socket, bytes.data(), bytes.size());
  }
  static bool receive_all(int socket, std::byte* bytes, std::size_t size) noexcept {
    while (size != 0) {
      const auto came = ::recv(socket, bytes, size, 0);
      if (came <= 0) return false;
      bytes += came;
      size -= static_cast<std::size_t>(came);
    }
    return true;
  }

  std::uint32_t rank_, size_;
  std::vector<int> sockets_;
  bool is_lost_ = false;
};

/// Processes that run `work(communicator&)`, a number, with which they end.
class process_ranks {
public:
  /// @param patience_ms  how long a rank waits for another
  template <class Work> process_ranks(std::uint32_t count, long patience_ms, Work work) {
    std::vector<int> hub, other;
    for (std::uint32_t rank = 1; rank < count; ++rank) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) ::abort();
      const ::timeval patience{patience_ms / 1000, static_cast<::suseconds_t>(patience_ms % 1000 * 1000)};
      for (const int each : ends) {
        (void)::setsockopt(each, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        (void)::setsockopt(each, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      }
      hub.push_back(ends[0]);
      other.push_back(ends[1]);
    }
    for (std::uint32_t rank = 0; rank < count; ++rank) {
      const ::pid_t process = ::fork();
      if (process == 0) {
        for (std::size_t i = 0; i < hub.size(); ++i) {
          if (rank != 0) (void)::close(hub[i]);
          if (i + 1 != rank) (void)::close(other[i]);
        }
        process_communicator own(rank, count, rank == 0 ? hub : std::vector<int>{other[rank - 1]});
        ::_exit(work(static_cast<stet::communicator&>(own)));
      }
      processes_.push_back(process);
    }
    for (const int each : hub) (void)::close(each);
    for (const int each : other) (void)::close(each);
  }
  process_ranks(const process_ranks&) = delete;
  process_ranks& operator=(const process_ranks&) = delete;
  ~process_ranks() { (void)wait(); }

  void signal(std::uint32_t rank, int number) const { (void)::kill(processes_[rank], number); }
  /// Waits until all have ended. @return by rank: what `work` came to, or -1 for one that was killed
  std::vector<int> wait() {
    for (std::uint32_t rank = 0; rank < processes_.size(); ++rank) wait(rank);
    return ends_;
  }
  /// Waits until one has ended.
  int wait(std::uint32_t rank) {
    ends_.resize(processes_.size(), unknown);
    if (ends_[rank] != unknown) return ends_[rank];
    int status = 0;
    (void)::waitpid(processes_[rank], &status, 0);
    ends_[rank] = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ends_[rank];
  }

private:
  static constexpr int unknown = -2;
  std::vector<::pid_t> processes_;
  std::vector<int> ends_;
};

} // namespace stet_test

#endif

#endif
