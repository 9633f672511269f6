// SPDX-License-Identifier: MIT
// The interface through which a program puts its own files in place of the operating system's: an archive of assets, say.
#ifndef STET_SOURCE_FILE_SYSTEM_HPP
#define STET_SOURCE_FILE_SYSTEM_HPP

#include "source.hpp"

#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// The files of a program. Derive from it and give its address to `open_options::files`: whatever is opened by a path then
/// comes from here, the files of models that consist of several included. Callable from several threads at once.
class file_system {
public:
  /// The bytes of the file at `path_utf8`: as it was given to `open`, or a name beside that, behind the same folder and '/'.
  /// What is in memory, mapped or loaded, is best given as `source::borrow` and used in place; anything else as a reader of
  /// the program, by `source::stream` or `source::keep`. What is borrowed must outlive the store.
  /// @retval errc::file_not_found      there is no such file; other codes are errors of the store that is being opened
  /// @retval errc::not_a_regular_file  it is a folder, which lets models be opened that are one
  [[nodiscard]] virtual result<source> open_file(std::string_view path_utf8) const noexcept = 0;

  /// Calls `visit(visitor, name)` for each name in a folder, whose path ends in '/' or is empty, until it returns false.
  /// Called only for models that are opened by the beginning of their files' names. Default: errc::unsupported; such models
  /// must then be opened by the name of a file.
  [[nodiscard]] virtual result<void> list_folder([[maybe_unused]] std::string_view path_utf8,
                                                 [[maybe_unused]] bool (*visit)(void* visitor,
                                                                                std::string_view name) noexcept,
                                                 [[maybe_unused]] void* visitor) const noexcept {
    return errc::unsupported;
  }

  /// A number for what is at `path_utf8` now; another one once another file, or other bytes, are there. A count of changes or a
  /// time of writing serves. Asked only by `live_store`, at each poll. Default: errc::unsupported.
  [[nodiscard]] virtual result<std::uint64_t> revision([[maybe_unused]] std::string_view path_utf8) const noexcept {
    return errc::unsupported;
  }

protected:
  file_system() noexcept = default;
  file_system(const file_system&) noexcept = default;
  file_system& operator=(const file_system&) noexcept = default;
  // Neither public nor virtual, as that of `byte_reader`.
  ~file_system() noexcept = default;
};

} // namespace stet::inline STET_NAMESPACE

#endif
