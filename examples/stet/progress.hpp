// SPDX-License-Identifier: MIT
// A line on the terminal that says how much of a file is written.
#ifndef STET_COMMAND_PROGRESS_HPP
#define STET_COMMAND_PROGRESS_HPP

#include <stet/source/file_operations.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace command {

/// Counts the bytes that a save writes. Where standard error is a terminal and the save takes more than a second, a line there
/// says how far it is; `finish` removes it. Now and then it calls a function, which may give memory back.
class progress {
public:
  /// @param total_bytes  about how many bytes will be written
  /// @param relieve      is called after every 4 MiB, with what has been written; does not throw
  progress(std::uint64_t total_bytes, std::function<void(std::uint64_t)> relieve);
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  /// The system calls to save with.
  [[nodiscard]] const stet::file_operations& operations() const noexcept { return operations_; }
  /// Removes the line.
  void finish() noexcept;

private:
  using clock = std::chrono::steady_clock;
  static stet::result<std::size_t> write_at(void* context, stet::native_handle handle, std::uint64_t offset_bytes,
                                            std::span<const std::byte> bytes) noexcept;
  void show() noexcept;

  stet::file_operations operations_;
  std::uint64_t total_bytes_, written_bytes_ = 0, relieved_bytes_ = 0;
  std::function<void(std::uint64_t)> relieve_;
  clock::time_point next_;
  bool is_on_terminal_, is_shown_ = false;
};

} // namespace command

#endif
