// SPDX-License-Identifier: MIT
// A second handle of a file, whose reads may be in flight at once, and may go to the device past the system's cache.
#ifndef STET_SOURCE_DETAIL_PARALLEL_HANDLE_HPP
#define STET_SOURCE_DETAIL_PARALLEL_HANDLE_HPP

#include "../file.hpp"

#include "../../vocabulary/detail/move_assign.hpp"

#if STET_FILES

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/stat.h>
#endif

namespace stet::inline STET_NAMESPACE::detail {

/// A handle, or none. Offset, size and address of each read are multiples of `alignment_bytes`. Move-only.
class parallel_handle {
public:
  /// None.
  parallel_handle() noexcept = default;
  parallel_handle(parallel_handle&& other) noexcept : handle_(other.handle_) { other.handle_ = os::no_handle; }
  parallel_handle& operator=(parallel_handle&& other) noexcept { return move_assign(*this, other); }
  ~parallel_handle() noexcept {
    if (handle_ != os::no_handle) (void)os::close(handle_);
  }

  /// Opens `of` once more, by its handle, since another file may have its name by now. None where the file's own handle serves as well,
  /// where the system or the file system has no reads past the cache, and where the rights are gone.
  [[nodiscard]] static parallel_handle open([[maybe_unused]] const file& of,
                                            [[maybe_unused]] bool past_cache) noexcept {
    parallel_handle made;
#if defined(_WIN32)
    made.handle_ = os::reopen_for_reads_in_flight(of.handle(), past_cache);
#elif defined(__linux__) && defined(O_DIRECT)
    if (!past_cache) return made;
    char path[40];
    text_writer text(path, sizeof path - 1);
    text.append("/proc/self/fd/").append(static_cast<std::uint64_t>(of.handle()));
    path[text.text().size()] = '\0';
    made.handle_ = os::open_call(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
#if defined(STATX_DIOALIGN)
    struct ::statx facts;
    if (made.handle_ != os::no_handle && ::statx(made.handle_, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) == 0 &&
        (facts.stx_mask & STATX_DIOALIGN) != 0) {
      // Zero says that the file has no such reads.
      const bool is_possible = facts.stx_dio_offset_align != 0 && facts.stx_dio_offset_align <= alignment_bytes &&
                               facts.stx_dio_mem_align <= alignment_bytes;
      if (!is_possible) return parallel_handle();
    }
#endif
#endif
    return made;
  }

  /// True if there is one.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != os::no_handle; }
  /// The handle.
  [[nodiscard]] native_handle handle() const noexcept { return handle_; }
  /// A multiple of what devices ask for.
  static constexpr std::size_t alignment_bytes = 4096;

private:
  native_handle handle_ = os::no_handle;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif

#endif
