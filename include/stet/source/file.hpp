// SPDX-License-Identifier: MIT
// A regular file that is open for reading, by path or by the operating system's handle.
#ifndef STET_SOURCE_FILE_HPP
#define STET_SOURCE_FILE_HPP

#include "detail/os.hpp"
#include "byte_reader.hpp"

#include "../vocabulary/detail/move_assign.hpp"

#if STET_FILES

#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// The purpose of opening a file. `read_write` is needed only for mappings whose writes reach the file.
enum class open_for : std::uint8_t { read, read_write };

/// The treatment of a path whose last component is a symbolic link.
enum class links : std::uint8_t { follow, no_follow };

/// The identity of a file and the time of its last change. If two are equal, they are of the same file with the same bytes, except
/// that two changes within one tick of the file system's clock (milliseconds to 2 seconds) are not distinguished.
struct file_identity {
  /// The number of the volume.
  std::uint64_t volume = 0;
  /// The number of the file on its volume.
  std::uint64_t index = 0;
  /// The size of the file.
  std::uint64_t size_bytes = 0;
  /// The time of the last change, in nanoseconds since 1970-01-01 UTC, by the clock of the file system.
  std::uint64_t changed_ns = 0;

  friend bool operator==(const file_identity&, const file_identity&) noexcept = default;
};

/// An open regular file. Move-only; closes its handle unless the handle is borrowed.
/// Its size is the size at the time of opening. Threads: const members may be called from several at once.
class file final : public byte_reader {
public:
  /// Opens the file at `path_utf8`, UTF-8 on every platform. Never blocks.
  /// `links::no_follow` concerns the last component only. A caller that must stay within a folder checks the other
  /// components itself, and `link_count()` for hard links.
  /// @retval errc::bad_path            empty, holds a NUL, malformed, too long, or a link under no_follow
  /// @retval errc::file_not_found      no such file or folder
  /// @retval errc::access_denied       the file may not be opened for this purpose
  /// @retval errc::not_a_regular_file  a folder, pipe, device or socket
  /// @retval errc::out_of_memory
  /// @retval errc::unsupported         2 GiB or more under Emscripten, whose runtime would read from another offset
  /// @retval errc::io_error            anything else, such as a loop of links, with `system_code()`
  /// Cost: two system calls; allocates only for a path of more than about 300 bytes.
  [[nodiscard]] static result<file> open(std::string_view path_utf8, open_for purpose = open_for::read,
                                         links policy = links::follow) noexcept {
    detail::os::native_path path;
    if (const auto valid = path.assign(path_utf8); !valid) return valid.error();
    for (int again = 0;; ++again) {
      const auto handle = detail::os::open(path, purpose == open_for::read_write, policy == links::follow);
      if (handle) {
        result<file> opened = take(*handle, true);
        if (opened) return opened;
        (void)detail::os::close(*handle);
        return opened.error().about(path_utf8);
      }
      if (!detail::os::interrupted(handle.error()) || again == detail::os::most_interruptions)
        return handle.error().about(path_utf8);
    }
  }

  /// Uses an open handle and never closes it. The handle must stay open while this file, and every source that reads from it
  /// on demand, are in use. Its position is not used and, except on Windows, not moved.
  /// @retval errc::not_a_regular_file  a folder, pipe, device or socket
  /// @retval errc::access_denied       the handle is open for writing only
  /// @retval errc::io_error            the handle is closed or was never one
  [[nodiscard]] static result<file> borrow(native_handle handle) noexcept { return check_and_take(handle, false); }

  /// Takes over an open handle and closes it at the end. Errors: those of `borrow`; after an error the caller still has to close
  /// the handle.
  [[nodiscard]] static result<file> adopt(native_handle handle) noexcept { return check_and_take(handle, true); }

  file(file&& other) noexcept : handle_(other.handle_), owned_(other.owned_), facts_(other.facts_) {
    other.handle_ = detail::os::no_handle;
  }
  file& operator=(file&& other) noexcept { return detail::move_assign(*this, other); }
  ~file() noexcept {
    if (owned_ && handle_ != detail::os::no_handle) (void)detail::os::close(handle_);
  }

  /// The size when the file was opened.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return facts_.size_bytes; }
  /// The operating system's handle, which this file still owns.
  [[nodiscard]] native_handle handle() const noexcept { return handle_; }
  /// The number of names of the file when it was opened; more than 1 means hard links.
  [[nodiscard]] std::uint64_t link_count() const noexcept { return facts_.link_count; }
  /// True if both are the same file on the disk, even if their paths differ.
  [[nodiscard]] bool same_file_as(const file& other) const noexcept {
    return facts_.volume == other.facts_.volume && facts_.index == other.facts_.index;
  }

  /// The identity of the file when it was opened.
  [[nodiscard]] file_identity identity() const noexcept {
    return {facts_.volume, facts_.index, facts_.size_bytes, facts_.changed_ns};
  }

  /// Fills `into` with the bytes from `offset_bytes` on, by as many calls as needed.
  /// @retval errc::truncated  the file ends before `into` is full, at `offset_bytes()` of the error
  /// @retval errc::bad_range  the range exceeds the largest size of a file
  /// @retval errc::io_error   or another error of the operating system
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    constexpr std::uint64_t end_bytes = detail::os::max_file_bytes;
    if (offset_bytes > end_bytes || into.size() > end_bytes - offset_bytes) return errc::bad_range;
    int interruptions = 0;
    for (std::size_t done = 0; done < into.size();) {
      const std::uint64_t at = offset_bytes + done;
      const auto count = detail::os::read_some(handle_, at, into.data() + done, into.size() - done);
      if (!count) {
        if (detail::os::interrupted(count.error()) && ++interruptions < detail::os::most_interruptions) continue;
        return error(count.error().code(), {}, at).with_system_code(count.error().system_code());
      }
      if (*count == 0) return error(errc::truncated, {}, at);
      done += *count;
    }
    return {};
  }

  /// True.
  [[nodiscard]] bool reads_anywhere() const noexcept override { return true; }

private:
  file(native_handle handle, bool owned, const detail::os::file_facts& facts) noexcept
      : handle_(handle), owned_(owned), facts_(facts) {}

  static result<file> take(native_handle handle, bool owned) noexcept {
    const auto facts = detail::os::inspect(handle);
    if (!facts) return facts.error();
    if (!facts->regular) return errc::not_a_regular_file;
    if (facts->size_bytes > detail::os::max_file_bytes) return errc::unsupported;
    return file(handle, owned, *facts);
  }

  static result<file> check_and_take(native_handle handle, bool owned) noexcept {
    // The kind first: a closed handle fails in both checks, but reading from a pipe could block.
    result<file> taken = take(handle, false);
    if (!taken) return taken;
    if (const auto readable = detail::os::check_readable(handle); !readable) return readable.error();
    taken->owned_ = owned;
    return taken;
  }

  native_handle handle_;
  bool owned_;
  detail::os::file_facts facts_;
};

/// Fills `into` with bytes of a file, as `file::read` does.
using read_function = result<void>(const file& from, std::uint64_t offset_bytes, std::span<std::byte> into) noexcept;

namespace detail {

/// A file that is read by a function.
class file_read_by final : public byte_reader {
public:
  file_read_by(const file& from, read_function* by) noexcept : from_(from), by_(by) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return from_.size_bytes(); }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    return by_(from_, offset_bytes, into);
  }

private:
  const file& from_;
  read_function* by_;
};

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
