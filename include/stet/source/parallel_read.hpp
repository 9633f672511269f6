// SPDX-License-Identifier: MIT
// Reads a range of a file into memory with several threads, past the system's cache where most of it is not there.
#ifndef STET_SOURCE_PARALLEL_READ_HPP
#define STET_SOURCE_PARALLEL_READ_HPP

#include "file.hpp"
#include "detail/parallel_handle.hpp"
#include "detail/helper_thread.hpp"
#include "detail/page_cache.hpp"

#include "../vocabulary/detail/checked.hpp"

#if STET_FILES

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// One call of `read_in_parallel`.
class parallel_read {
public:
  parallel_read(const file& from, std::uint64_t offset_bytes, std::span<std::byte> into) noexcept
      : from_(from), offset_bytes_(offset_bytes), into_(into) {}

  [[nodiscard]] result<void> run() noexcept {
    if (into_.size() <= request_bytes) return from_.read(offset_bytes_, into_); // whatever the machine has
    constexpr std::size_t large_bytes = std::size_t{32} << 20; // from here on a direct read is worth its handle
    constexpr unsigned waiting_threads = 8;
    unsigned threads = processor_count();
    is_cold_ = into_.size() >= large_bytes && is_mostly_uncached(from_, offset_bytes_, offset_bytes_ + into_.size());
    if ((is_cold_ || !is_cache_told) && threads < waiting_threads) threads = waiting_threads;
    const std::byte* const page =
        into_.data() - static_cast<std::size_t>(offset_bytes_ % parallel_handle::alignment_bytes);
    if (is_aligned(page, parallel_handle::alignment_bytes)) handle_ = parallel_handle::open(from_, is_cold_);
    const std::size_t most = (into_.size() + request_bytes - 1) / request_bytes;
    if (threads > most) threads = static_cast<unsigned>(most);
    auto work = [this]() noexcept { take_requests(); };
    if (threads < 2) return from_.read(offset_bytes_, into_);
    run_on_threads(threads, work);
    // Whichever failed, the whole has; read again, it says at which byte.
    return has_failed_.load(std::memory_order_relaxed) ? from_.read(offset_bytes_, into_) : result<void>();
  }

private:
  static constexpr std::size_t request_bytes = std::size_t{1} << 20;

  void take_requests() noexcept {
    while (!has_failed_.load(std::memory_order_relaxed)) {
      const std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
      // Requests begin at multiples of their size in the file, but for the first.
      const std::uint64_t grid = offset_bytes_ / request_bytes + number;
      const std::uint64_t begin = number == 0 ? offset_bytes_ : grid * request_bytes;
      const std::uint64_t all_end = offset_bytes_ + into_.size();
      if (begin >= all_end) return;
      const std::uint64_t end = (grid + 1) * request_bytes < all_end ? (grid + 1) * request_bytes : all_end;
      const auto at = static_cast<std::size_t>(begin - offset_bytes_), size = static_cast<std::size_t>(end - begin);
      if (!read(begin, into_.subspan(at, size))) has_failed_.store(true, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] bool read(std::uint64_t begin, std::span<std::byte> into) noexcept {
    constexpr std::size_t alignment = parallel_handle::alignment_bytes;
    // Whole pages only: the first and the last request of a range may begin or end within one.
    const std::size_t whole = into.size() / alignment * alignment;
    if (handle_ && begin % alignment == 0 && whole != 0) {
      const auto count = os::read_in_flight(handle_.handle(), begin, into.data(), whole);
      if (count && *count == whole)
        return whole == into.size() || static_cast<bool>(from_.read(begin + whole, into.subspan(whole)));
    } else if (is_cold_) {
      os::read_ahead(from_.handle(), begin, into.size());
    }
    return static_cast<bool>(from_.read(begin, into));
  }

  const file& from_;
  std::uint64_t offset_bytes_;
  std::span<std::byte> into_;
  bool is_cold_ = false;
  parallel_handle handle_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> has_failed_{false};
};

} // namespace detail

/// Fills `into` with the bytes of a file from `offset_bytes` on, as `file::read` does, by reads of 1 MiB of several threads: as many as the
/// machine has processors; eight, where the range is at least 32 MiB and most of it not in the system's cache. These go past the cache if the
/// system has such reads and `into` lies as the range does in pages of 4096 bytes; then nothing of it stays there for the next program.
/// For `open_options::read`. Errors: those of `file::read`. Cost: reads each byte once, after an error once more; allocates nothing.
[[nodiscard]] inline result<void> read_in_parallel(const file& from, std::uint64_t offset_bytes,
                                                   std::span<std::byte> into) noexcept {
  constexpr std::uint64_t end_bytes = detail::os::max_file_bytes;
  if (offset_bytes > end_bytes || into.size() > end_bytes - offset_bytes) return errc::bad_range;
  return detail::parallel_read(from, offset_bytes, into).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
