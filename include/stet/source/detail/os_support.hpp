// SPDX-License-Identifier: MIT
// Helpers of posix.hpp and windows.hpp: short-lived buffers, the translation of errors, facts about a file.
#ifndef STET_SOURCE_DETAIL_OS_SUPPORT_HPP
#define STET_SOURCE_DETAIL_OS_SUPPORT_HPP

#include "../../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <new>

namespace stet::inline STET_NAMESPACE::detail::os {

/// A buffer for the duration of one call: on the stack for up to `StackCount` elements, else on the heap.
template <class Element, std::size_t StackCount> class scratch {
public:
  scratch() noexcept = default;
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() noexcept { delete[] heap_; }

  /// Allocates `count` elements with unspecified values; nullptr when memory is exhausted. Call it once.
  [[nodiscard]] Element* reserve(std::size_t count) noexcept {
    if (count <= StackCount) return stack_;
    return heap_ = new (std::nothrow) Element[count];
  }

private:
  Element stack_[StackCount];
  Element* heap_ = nullptr;
};

/// The error code for an error number of the operating system.
struct error_row {
  std::int32_t system_code;
  errc code;
};

/// The error for `system_code` by `table`; io_error if the table lacks it.
template <std::size_t Count> error translate(const error_row (&table)[Count], std::int32_t system_code) noexcept {
  errc code = errc::io_error;
  for (const error_row& row : table) {
    if (row.system_code == system_code) code = row.code;
  }
  return error(code).with_system_code(system_code);
}

/// Properties of an open file. `volume` and `index` together identify it.
struct file_facts {
  std::uint64_t size_bytes = 0;
  std::uint64_t volume = 0;
  std::uint64_t index = 0;
  std::uint64_t link_count = 0;
  /// The time of the last change, in nanoseconds since 1970-01-01 UTC: on POSIX of the bytes or the metadata, on Windows of the
  /// bytes.
  std::uint64_t changed_ns = 0;
  bool regular = false;
};

/// The number of times that a call is repeated after a signal interrupts it. A program with a fast timer needs a few.
inline constexpr int most_interruptions = 1000;

/// The largest transfer of one system call: every system shortens or refuses transfers near 2 GiB.
inline constexpr std::size_t max_transfer_bytes = std::size_t{1} << 30;

/// The size of the largest file that is used. Offsets are signed in every system call; Emscripten's runtime drops the
/// upper half and treats the lower one as signed.
#if defined(__EMSCRIPTEN__)
inline constexpr std::uint64_t max_file_bytes = 0x7FFFFFFFu;
#else
inline constexpr std::uint64_t max_file_bytes = ~std::uint64_t{0} >> 1;
#endif

} // namespace stet::inline STET_NAMESPACE::detail::os

#endif
