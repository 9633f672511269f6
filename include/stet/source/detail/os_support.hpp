// SPDX-License-Identifier: MIT
// What posix.hpp and windows.hpp share: short-lived buffers, the translation of errors, facts about a file.
#ifndef STET_SOURCE_DETAIL_OS_SUPPORT_HPP
#define STET_SOURCE_DETAIL_OS_SUPPORT_HPP

#include "../../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <new>

namespace stet::inline STET_NAMESPACE::detail::os {

/// A buffer for the length of one call: on the stack while `StackCount` elements suffice, else on the heap.
template <class Element, std::size_t StackCount> class scratch {
public:
  scratch() noexcept = default;
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() noexcept { delete[] heap_; }

  /// Room for `count` elements, unspecified values, or nullptr when memory is exhausted. Call it once.
  [[nodiscard]] Element* reserve(std::size_t count) noexcept {
    if (count <= StackCount) return stack_;
    return heap_ = new (std::nothrow) Element[count];
  }

private:
  Element stack_[StackCount];
  Element* heap_ = nullptr;
};

/// Which error of stet stands for a number of the operating system.
struct error_row {
  std::int32_t system_code;
  errc code;
};

/// The error for `system_code` by `table`; io_error when the table does not know it.
template <std::size_t Count> error translate(const error_row (&table)[Count], std::int32_t system_code) noexcept {
  errc code = errc::io_error;
  for (const error_row& row : table) {
    if (row.system_code == system_code) code = row.code;
  }
  return error(code).with_system_code(system_code);
}

/// What the operating system knows about an open file. `volume` and `index` together identify it.
struct file_facts {
  std::uint64_t size_bytes = 0;
  std::uint64_t volume = 0;
  std::uint64_t index = 0;
  std::uint64_t link_count = 0;
  /// When the file last changed, in nanoseconds since 1970-01-01 UTC: on POSIX its bytes or what the system knows about it, on
  /// Windows its bytes.
  std::uint64_t changed_ns = 0;
  bool regular = false;
};

/// A call that signals cut short is made again this often: a program with a fast timer needs a few times.
inline constexpr int most_interruptions = 1000;

/// No system call is asked to move more than this at once: every system caps or refuses near 2 GiB.
inline constexpr std::size_t max_transfer_bytes = std::size_t{1} << 30;

/// No file is used that is larger than this. Offsets are signed in every system call; Emscripten's runtime
/// drops their upper half and takes the lower one as signed.
#if defined(__EMSCRIPTEN__)
inline constexpr std::uint64_t max_file_bytes = 0x7FFFFFFFu;
#else
inline constexpr std::uint64_t max_file_bytes = ~std::uint64_t{0} >> 1;
#endif

} // namespace stet::inline STET_NAMESPACE::detail::os

#endif
