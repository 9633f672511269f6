// SPDX-License-Identifier: MIT
// What becomes of the requests of a load while threads carry it out, and what the observer is told of it.
#ifndef STET_LOAD_DETAIL_OUTCOMES_HPP
#define STET_LOAD_DETAIL_OUTCOMES_HPP

#include "plan.hpp"
#include "../load_request.hpp"

#include "../../bytes/crc32c.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Counts the pieces of each request. When the last has ended, so has the request: its checksum is compared, and the observer is told, by
/// one thread at a time, without any waiting for another.
class load_outcomes {
public:
  load_outcomes(const load_options& options, std::span<load_request> requests, const load_plan& plan) noexcept
      : options_(options), requests_(requests), plan_(plan) {}

  /// @return false if no memory is left
  [[nodiscard]] bool prepare() noexcept {
    states_ = owned_block::make<state>(requests_.size(), options_.memory);
    if (states_.get() == nullptr && requests_.size() != 0) return false;
    for (std::size_t i = 0; i < plan_.pieces.size(); ++i) {
      const load_piece& piece = plan_.pieces[i];
      state& of = state_of(piece.request);
      if (of.piece_count++ == 0) of.first_piece = i; // the pieces of a request follow each other
    }
    for (std::size_t i = 0; i < requests_.size(); ++i) state_of(i).pieces_left = state_of(i).piece_count;
    return true;
  }

  /// Before threads begin: requests for which nothing is read have ended.
  void begin() noexcept {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (state_of(i).piece_count == 0) end(i);
    }
  }

  [[nodiscard]] const load_request& request_of(const load_piece& piece) const noexcept {
    return requests_[piece.request];
  }
  /// Whether checksums are wanted of the bytes of the request.
  [[nodiscard]] bool is_verified(const load_piece& piece) const noexcept {
    return options_.verify_checksums && request_of(piece).has_crc32c();
  }

  /// A piece has been dealt with. Any thread.
  void end_piece(const load_piece& piece, const result<void>& done) noexcept {
    state& of = state_of(piece.request);
    if (!done && of.failure_count.fetch_add(1, std::memory_order_relaxed) == 0) {
      const load_request& request = request_of(piece);
      requests_[piece.request].outcome_ =
          done.error().subject().empty() ? done.error().about(request.of().name()) : done.error();
    }
    if (options_.observer != nullptr) done_bytes_.fetch_add(piece.size_bytes, std::memory_order_relaxed);
    if (of.pieces_left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      compare(piece.request);
      end(piece.request);
    } else if (options_.observer != nullptr) {
      tell();
    }
  }

  /// After all threads have ended. @return the first failure in the order of the requests
  [[nodiscard]] result<void> summarize(load_report& report) const noexcept {
    result<void> first;
    for (std::size_t i = requests_.size(); i-- > 0;) {
      const result<void>& outcome = requests_[i].outcome_;
      ++(outcome ? report.loaded_count : report.failed_count);
      if (!outcome) first = outcome;
    }
    report.size_bytes = plan_.all_bytes;
    return first;
  }

private:
  struct state {
    std::atomic<std::size_t> pieces_left{0};
    std::atomic<std::size_t> failure_count{0}; // a word: RISC-V exchanges no bytes without a library
    bool has_ended = false;                    // in order: the observer will be told in its turn
    std::size_t first_piece = 0, piece_count = 0;
    /// Of the list of those that have ended: the number behind that of the next; 0 at its end.
    std::size_t next = 0;
  };

  [[nodiscard]] state& state_of(std::size_t request) const noexcept {
    return static_cast<state*>(states_.get())[request];
  }

  void compare(std::size_t number) noexcept {
    load_request& request = requests_[number];
    const state& of = state_of(number);
    const load_piece* const pieces = &plan_.pieces[of.first_piece];
    if (!request.outcome_ || !is_verified(*pieces)) return;
    std::uint32_t crc = pieces[0].crc;
    for (std::size_t i = 1; i < of.piece_count; ++i) crc = crc32c_combine(crc, pieces[i].crc, pieces[i].size_bytes);
    const tensor& bytes = request.of();
    if (crc != bytes.entry().crc32c())
      request.outcome_ = error(errc::checksum_mismatch, bytes.name(), bytes.entry().offset_bytes());
  }

  /// Puts a request on the list of those that have ended.
  void end(std::size_t number) noexcept {
    if (options_.observer == nullptr) return;
    state& of = state_of(number);
    of.next = ended_.load(std::memory_order_relaxed);
    while (!ended_.compare_exchange_weak(of.next, number + 1, std::memory_order_release, std::memory_order_relaxed)) {
    }
    tell();
  }

  /// Tells the observer what has happened, unless another thread does so; that one then does it for this thread, too.
  void tell() noexcept {
    if (untold_.fetch_add(1, std::memory_order_acq_rel) != 0) return;
    for (std::size_t seen = 1; seen != 0;) {
      seen = untold_.load(std::memory_order_acquire);
      // The newest is first in the list.
      std::size_t newest = ended_.exchange(0, std::memory_order_acquire), oldest = 0;
      while (newest != 0) {
        std::size_t& next = state_of(newest - 1).next;
        const std::size_t before = next;
        next = oldest;
        oldest = newest;
        newest = before;
      }
      for (; oldest != 0; oldest = state_of(oldest - 1).next) {
        if (!options_.in_order)
          options_.observer->ended(requests_[oldest - 1]);
        else
          state_of(oldest - 1).has_ended = true;
      }
      for (; options_.in_order && next_to_tell_ < requests_.size() && state_of(next_to_tell_).has_ended;
           ++next_to_tell_)
        options_.observer->ended(requests_[next_to_tell_]);
      options_.observer->progressed(done_bytes_.load(std::memory_order_relaxed), plan_.all_bytes);
      seen = untold_.fetch_sub(seen, std::memory_order_acq_rel) - seen;
    }
  }

  const load_options& options_;
  std::span<load_request> requests_;
  const load_plan& plan_;
  owned_block states_;
  std::atomic<std::uint64_t> done_bytes_{0};
  std::atomic<std::size_t> ended_{0};  // the head of the list
  std::atomic<std::size_t> untold_{0}; // calls of `tell` that nobody has dealt with
  std::size_t next_to_tell_ = 0;       // in order
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
