// SPDX-License-Identifier: MIT
// Reads of files that are in flight at once without a thread for each: io_uring of Linux, by its system calls.
#ifndef STET_SOURCE_DETAIL_IO_RING_HPP
#define STET_SOURCE_DETAIL_IO_RING_HPP

#include "os.hpp"

#if STET_FILES && defined(__linux__) && __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#if defined(IORING_FEAT_SINGLE_MMAP) && defined(__NR_io_uring_setup)
#define STET_SOURCE_IO_RING 1
#endif
#endif
#ifndef STET_SOURCE_IO_RING
#define STET_SOURCE_IO_RING 0
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stet::inline STET_NAMESPACE::detail {

#if STET_SOURCE_IO_RING

/// A queue of reads for one thread. Not movable; the reads must have ended before it is destroyed.
/// Source: the manual pages io_uring(7), io_uring_setup(2) and io_uring_enter(2) of liburing.
class io_ring {
public:
  io_ring() noexcept = default;
  io_ring(const io_ring&) = delete;
  io_ring& operator=(const io_ring&) = delete;
  ~io_ring() noexcept {
    if (entries_ != nullptr) ::munmap(entries_, entries_size_);
    if (rings_ != nullptr) ::munmap(rings_, rings_size_);
    if (handle_ >= 0) (void)os::close(handle_);
  }

  /// Makes room for `depth` reads, up to 64. @return false if the system has none, or lets no program use it
  [[nodiscard]] bool open(unsigned depth) noexcept {
    ::io_uring_params facts;
    std::memset(&facts, 0, sizeof facts);
    handle_ = static_cast<int>(::syscall(__NR_io_uring_setup, depth, &facts));
    if (handle_ < 0 || (facts.features & IORING_FEAT_SINGLE_MMAP) == 0) return false;
    const std::size_t submissions = facts.sq_off.array + facts.sq_entries * sizeof(unsigned);
    const std::size_t completions = facts.cq_off.cqes + facts.cq_entries * sizeof(::io_uring_cqe);
    rings_size_ = submissions > completions ? submissions : completions;
    entries_size_ = facts.sq_entries * sizeof(::io_uring_sqe);
    rings_ = map(rings_size_, IORING_OFF_SQ_RING);
    entries_ = map(entries_size_, IORING_OFF_SQES);
    if (rings_ == nullptr || entries_ == nullptr) return false;
    submission_tail_ = at(facts.sq_off.tail);
    submission_array_ = at(facts.sq_off.array);
    submission_mask_ = *at(facts.sq_off.ring_mask);
    completion_head_ = at(facts.cq_off.head);
    completion_tail_ = at(facts.cq_off.tail);
    completion_mask_ = *at(facts.cq_off.ring_mask);
    completions_ = static_cast<std::byte*>(rings_) + facts.cq_off.cqes;
    return true;
  }

  /// Begins a read of `size_bytes`, at most 2^30. No more may be in flight than there is room for.
  /// @param slot  what `wait` calls it
  /// @return false if the system takes no more
  [[nodiscard]] bool begin(unsigned slot, native_handle from, std::uint64_t offset_bytes, std::byte* into,
                           std::size_t size_bytes) noexcept {
    const unsigned tail = *submission_tail_; // written by this thread alone
    const unsigned number = tail & submission_mask_;
    auto* const entry = static_cast<::io_uring_sqe*>(entries_) + number;
    std::memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_READ;
    entry->fd = from;
    entry->off = offset_bytes;
    entry->addr = reinterpret_cast<std::uintptr_t>(into);
    entry->len = static_cast<unsigned>(size_bytes);
    entry->user_data = slot;
    submission_array_[number] = number;
    __atomic_store_n(submission_tail_, tail + 1, __ATOMIC_RELEASE);
    for (int again = 0; again < os::most_interruptions; ++again) {
      const auto taken = ::syscall(__NR_io_uring_enter, handle_, 1u, 0u, 0u, nullptr, std::size_t{0});
      if (taken == 1) return true;
      if (taken < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY) break;
    }
    __atomic_store_n(submission_tail_, tail, __ATOMIC_RELEASE); // not taken, so that it is this thread's again
    return false;
  }

  /// A read that has ended.
  struct completion {
    /// What `begin` was told.
    unsigned slot;
    /// The bytes read, or the negated errno.
    std::int32_t outcome;
  };

  /// Waits for a read to end. At least one must be in flight.
  [[nodiscard]] completion wait() noexcept {
    const unsigned head = *completion_head_;
    // Whatever the call says: until the read has ended, the system writes to its memory, and nobody may go on.
    while (__atomic_load_n(completion_tail_, __ATOMIC_ACQUIRE) == head)
      (void)::syscall(__NR_io_uring_enter, handle_, 0u, 1u, IORING_ENTER_GETEVENTS, nullptr, std::size_t{0});
    ::io_uring_cqe ended;
    std::memcpy(&ended, completions_ + (head & completion_mask_) * sizeof ended, sizeof ended);
    __atomic_store_n(completion_head_, head + 1, __ATOMIC_RELEASE);
    return {static_cast<unsigned>(ended.user_data), ended.res};
  }

private:
  [[nodiscard]] void* map(std::size_t size_bytes, std::uint64_t offset_bytes) const noexcept {
    void* const made = os::mmap_call(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, handle_,
                                     static_cast<os::file_offset>(offset_bytes));
    return made == MAP_FAILED ? nullptr : made;
  }
  [[nodiscard]] unsigned* at(unsigned offset_bytes) const noexcept {
    return reinterpret_cast<unsigned*>(static_cast<std::byte*>(rings_) + offset_bytes);
  }

  int handle_ = -1;
  void *rings_ = nullptr, *entries_ = nullptr;
  std::size_t rings_size_ = 0, entries_size_ = 0;
  unsigned *submission_tail_ = nullptr, *submission_array_ = nullptr;
  unsigned *completion_head_ = nullptr, *completion_tail_ = nullptr;
  unsigned submission_mask_ = 0, completion_mask_ = 0;
  const std::byte* completions_ = nullptr;
};

#endif

} // namespace stet::inline STET_NAMESPACE::detail

#endif
