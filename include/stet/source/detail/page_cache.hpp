// SPDX-License-Identifier: MIT
// Whether bytes of a file are in the system's cache, or will have to come from the device.
#ifndef STET_SOURCE_DETAIL_PAGE_CACHE_HPP
#define STET_SOURCE_DETAIL_PAGE_CACHE_HPP

#include "../file.hpp"

#if STET_FILES

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#endif

namespace stet::inline STET_NAMESPACE::detail {

/// Whether the system says what it has in its cache.
#if defined(__linux__)
inline constexpr bool is_cache_told = true;
#else
inline constexpr bool is_cache_told = false;
#endif

/// So many bytes of a range are looked at.
inline constexpr unsigned cache_samples = 16;
/// The place of sample `number` in a range: spread evenly, and at multiples of nothing, since files are made of parts of one size, whose
/// beginnings have been read. Source: D. E. Knuth, "The Art of Computer Programming", volume 3, 6.4, Fibonacci hashing.
constexpr std::uint64_t cache_sample_at(unsigned number, std::uint64_t size_bytes) noexcept {
  const std::uint64_t share = (number + 1) * 40503u & 0xFFFFu; // of 65536: multiples of the golden ratio
  return size_bytes / 65536 * share + size_bytes % 65536 * share / 65536;
}

/// True if most of a range of a file is not in the system's cache, judged by a few of its bytes; false where the system does not say.
/// Cost: at most 16 system calls that do not wait for the device.
inline bool is_mostly_uncached([[maybe_unused]] const file& of, [[maybe_unused]] std::uint64_t begin_bytes,
                               [[maybe_unused]] std::uint64_t end_bytes) noexcept {
#if defined(__linux__) && defined(__NR_preadv2)
  constexpr int without_waiting = 8; // RWF_NOWAIT, of Linux 4.14; the C library may not have the name
  unsigned missing = 0;
  for (unsigned i = 0; i < cache_samples; ++i) {
    std::byte one[1];
    ::iovec into{one, 1};
    const std::uint64_t at = begin_bytes + cache_sample_at(i, end_bytes - begin_bytes);
    const auto low = static_cast<unsigned long>(at);
    const auto high = sizeof low == 8 ? 0 : static_cast<unsigned long>(at >> 32);
    const auto count = ::syscall(__NR_preadv2, of.handle(), &into, 1ul, low, high, without_waiting);
    if (count < 0 && errno == EAGAIN) ++missing;
  }
  return missing > cache_samples / 2;
#else
  return false;
#endif
}

/// The same for a range of a mapping.
inline bool is_mostly_uncached([[maybe_unused]] const std::byte* mapped,
                               [[maybe_unused]] std::uint64_t size_bytes) noexcept {
#if defined(__linux__)
  unsigned missing = 0;
  for (unsigned i = 0; i < cache_samples; ++i) {
    unsigned char is_there = 1;
    const os::page_range page(mapped + static_cast<std::size_t>(cache_sample_at(i, size_bytes)), 1);
    if (::mincore(page.begin, page.size_bytes, &is_there) == 0 && (is_there & 1u) == 0) ++missing;
  }
  return missing > cache_samples / 2;
#else
  return false;
#endif
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif

#endif
