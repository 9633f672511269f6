// SPDX-License-Identifier: MIT
// Ranks that are threads of one process.
#ifndef STET_SHARDED_THREAD_COMMUNICATOR_HPP
#define STET_SHARDED_THREAD_COMMUNICATOR_HPP

#include "communicator.hpp"

#include "../manifest/detail/caught.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// What the ranks of a group of threads share: a place for what each gives, and a meeting of all.
class thread_group {
public:
  explicit thread_group(std::uint32_t size) : size_(size), given_(size) {}

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  /// What rank `rank` gives, while all are between two meetings.
  [[nodiscard]] const void*& given(std::uint32_t rank) noexcept { return given_[rank]; }

  /// Waits until every rank is here. @return false if one has ended, so that it will not come
  [[nodiscard]] bool meet() {
    std::unique_lock lock(mutex_);
    if (ended_ != 0) return false;
    const std::uint64_t meeting = meeting_;
    if (++here_ == size_) {
      here_ = 0;
      ++meeting_;
      changed_.notify_all();
      return true;
    }
    changed_.wait(lock, [&] { return meeting_ != meeting || ended_ != 0; });
    return meeting_ != meeting;
  }
  /// A rank takes part no more.
  void end() {
    const std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_all();
  }

private:
  std::uint32_t size_, here_ = 0, ended_ = 0;
  std::uint64_t meeting_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<const void*> given_;
};

} // namespace detail

/// A rank that is a thread of this process; `run_ranks` makes them. For programs that drive several devices from one process, and for
/// tests.
class thread_communicator final : public communicator {
public:
  /// @param ranks_per_node  as many consecutive ranks are said to be on one node
  thread_communicator(detail::thread_group& group, std::uint32_t rank, std::uint32_t ranks_per_node) noexcept
      : group_(&group), rank_(rank), node_(rank - rank % ranks_per_node) {}

  [[nodiscard]] std::uint32_t rank() const noexcept override { return rank_; }
  [[nodiscard]] std::uint32_t size() const noexcept override { return group_->size(); }
  [[nodiscard]] std::uint32_t node() const noexcept override { return node_; }

  result<void> broadcast(std::span<std::byte> bytes, std::uint32_t root) noexcept override {
    return together(bytes.data(), [&] {
      if (root != rank_ && !bytes.empty()) std::memcpy(bytes.data(), group_->given(root), bytes.size());
    });
  }
  result<void> all_reduce_max(std::span<std::uint64_t> values) noexcept override {
    return detail::caught([&]() -> result<void> {
      const std::vector<std::uint64_t> own(values.begin(), values.end());
      return together(own.data(), [&] {
        for (std::uint32_t rank = 0; rank < size(); ++rank) {
          const auto* const theirs = static_cast<const std::uint64_t*>(group_->given(rank));
          for (std::size_t i = 0; i < values.size(); ++i) values[i] = (std::max)(values[i], theirs[i]);
        }
      });
    });
  }
  [[nodiscard]] result<rank_messages> all_to_all(const rank_messages& to) noexcept override {
    return detail::caught([&]() -> result<rank_messages> {
      rank_messages from(size());
      const auto done = together(&to, [&] {
        for (std::uint32_t rank = 0; rank < size(); ++rank)
          from[rank] = (*static_cast<const rank_messages*>(group_->given(rank)))[rank_];
      });
      if (!done) return done.error();
      return from;
    });
  }

private:
  /// Lets every rank see what this one gives, calls `take` when all have given, and returns when all have taken.
  template <class Take> result<void> together(const void* given, Take take) noexcept {
    return detail::caught([&]() -> result<void> {
      group_->given(rank_) = given;
      if (!group_->meet()) return errc::rank_lost;
      take();
      if (!group_->meet()) return errc::rank_lost;
      return {};
    });
  }

  detail::thread_group* group_;
  std::uint32_t rank_, node_;
};

/// Calls `work(communicator&)` on `rank_count` threads, the ranks, and returns when all have ended. A rank that ends early is lost to
/// those that still want to exchange something, which is an error there.
/// @param ranks_per_node  as many consecutive ranks are said to be on one node; 0: all
/// @retval errc::out_of_memory  also if the system has no thread left; then no rank has run to its end
template <class Work>
result<void> run_ranks(std::uint32_t rank_count, Work work, std::uint32_t ranks_per_node = 0) noexcept {
  return detail::caught([&]() -> result<void> {
    if (ranks_per_node == 0) ranks_per_node = rank_count;
    detail::thread_group group(rank_count);
    std::vector<std::thread> ranks;
    ranks.reserve(rank_count);
    const auto run = [&group, &work, ranks_per_node](std::uint32_t rank) {
      thread_communicator own(group, rank, ranks_per_node);
      work(static_cast<communicator&>(own));
      group.end();
    };
    result<void> done;
    const auto start = [&](std::uint32_t rank) { ranks.emplace_back(run, rank); };
    for (std::uint32_t rank = 0; rank < rank_count && done; ++rank) {
#if defined(__cpp_exceptions)
      try {
        start(rank);
      } catch (const std::system_error&) {
        group.end();
        done = errc::out_of_memory;
      }
#else
      start(rank);
#endif
    }
    for (std::thread& each : ranks) each.join();
    return done;
  });
}

} // namespace stet::inline STET_NAMESPACE

#endif
