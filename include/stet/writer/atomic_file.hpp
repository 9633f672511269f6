// SPDX-License-Identifier: MIT
// A file that appears under its name only when it is finished, and leaves nothing behind when it is not.
#ifndef STET_WRITER_ATOMIC_FILE_HPP
#define STET_WRITER_ATOMIC_FILE_HPP

#include "detail/list_folder.hpp"
#include "output.hpp"

#include "../bytes/detail/fnv1a.hpp"
#include "../source/file_operations.hpp"
#include "../source/detail/path.hpp"

#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Writes all of `bytes`, however few of them the system takes at a time.
/// @retval errc::io_error  it takes none; or its own error
inline result<void> write_whole(const file_operations& operations, native_handle handle, std::uint64_t offset_bytes,
                                std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const auto written = call_again(operations, &file_operations::write_at, handle, offset_bytes, bytes);
    if (!written) return written.error();
    if (*written == 0) return errc::io_error;
    bytes = bytes.subspan(*written);
    offset_bytes += *written;
  }
  return {};
}

/// The path that a save to `path` replaces: where symbolic links lead from there, even if nothing is there yet.
/// @retval errc::bad_path  the links lead in a circle, or too far; or an error of the operating system
inline result<std::string> follow_links(const file_operations& operations, std::string path) {
  for (int links = 0; links < most_links; ++links) {
    char target[4096];
    const auto size =
        call_again(operations, &file_operations::read_link, std::string_view(path), std::span<char>(target));
    if (!size) {
      const errc code = size.error().code();
      const bool is_no_link = code == errc::not_found || code == errc::file_not_found || code == errc::unsupported;
      return is_no_link ? result<std::string>(std::move(path)) : size.error().about(path);
    }
    const std::string_view next(target, *size);
    path = next.starts_with('/') ? std::string(next) : std::string(folder_in(path)).append(next);
  }
  return error(errc::bad_path, path);
}

} // namespace stet::inline STET_NAMESPACE::detail

namespace stet::inline STET_NAMESPACE {

/// An unfinished file in the folder of the file that it will replace: `.NAME.N.stet-tmp`, where N is the first free number and
/// a long NAME is shortened. Create, write, finish, publish, and sync the folder. The destructor removes a file that was not
/// published, or was published provisionally and not kept. The file of a killed program, which has no lock, is removed when
/// the next one is created for the same name. Move-only. Every error has the path as subject, and the system's number.
class atomic_file final : public byte_writer {
public:
  /// The end of the name of every unfinished file.
  static constexpr std::string_view temporary_suffix = ".stet-tmp";

  /// Creates an unfinished file for `name` in `folder` ("" or ending in a separator) and reserves `size_bytes` for it, so
  /// that a full disk is found now. If `name` is a symbolic link, the file will replace the target of the link. It has the
  /// permissions of the replaced file before any byte is written.
  /// @param operations  must outlive the file
  /// @param number      the first number to try; 0 also removes unfinished files of this name from killed programs
  /// @retval errc::no_space  the disk has too little space
  /// @retval errc::bad_path, file_not_found, access_denied, io_error  the folder or the system
  static result<atomic_file> create(const file_operations& operations, std::string_view folder, std::string_view name,
                                    std::uint64_t size_bytes, std::uint32_t number = 0) {
    if (name.empty()) return error(errc::bad_path, folder);
    const auto path = detail::follow_links(operations, std::string(folder).append(name));
    if (!path) return path.error();
    atomic_file made(operations, detail::folder_in(*path), detail::file_name_in(*path));
    if (made.name_.empty()) return error(errc::bad_path, *path);
    if (number == 0) made.remove_abandoned();
    const std::uint32_t first = number;
    constexpr std::uint32_t attempts = 1000;
    for (std::uint32_t tries = 0;; ++tries) {
      made.temporary_path_ = temporary_path_of(made.folder_, made.name_, number);
      result<native_handle> handle = made.call(&file_operations::create_exclusive, made.temporary_path_);
      if (handle) {
        made.handle_ = *handle;
        made.state_ = state::open;
        break;
      }
      if (handle.error().code() != errc::file_exists || tries == attempts) return made.about_name(handle.error());
      // One that could not be listed. Of the parts of a save none is locked.
      const bool is_free = first == 0 && made.call(&file_operations::remove_unlocked, made.temporary_path_);
      if (!is_free) ++number;
    }
    const auto same_access = made.call(&file_operations::copy_access, made.handle_, made.folder_ + made.name_);
    if (!same_access && same_access.error().code() != errc::file_not_found &&
        same_access.error().code() != errc::unsupported) {
      return made.about_name(same_access.error());
    }
    const result<reservation> reserved = made.call(&file_operations::reserve, made.handle_, size_bytes);
    if (!reserved) return made.about_name(reserved.error());
    if (*reserved == reservation::not_supported) {
      const auto sized = made.call(&file_operations::set_size, made.handle_, size_bytes);
      if (!sized) return made.about_name(sized.error());
    }
    return made;
  }

  atomic_file(atomic_file&& other) noexcept
      : operations_(other.operations_), folder_(std::move(other.folder_)), name_(std::move(other.name_)),
        temporary_path_(std::move(other.temporary_path_)), published_path_(std::move(other.published_path_)),
        handle_(other.handle_), lock_(std::exchange(other.lock_, std::nullopt)),
        state_(std::exchange(other.state_, state::gone)) {}
  atomic_file& operator=(atomic_file&&) = delete;
  ~atomic_file() {
    (void)discard();
    unlock();
    if (state_ == state::provisional) (void)call(&file_operations::remove, published_path_);
  }

  result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> bytes) override {
    const auto written = detail::write_whole(*operations_, handle_, offset_bytes, bytes);
    return written ? written : about_name(written.error());
  }

  /// The path of the unfinished file until it is published.
  [[nodiscard]] const std::string& temporary_path() const noexcept { return temporary_path_; }
  /// The path that the unfinished file for `name` in `folder` has if its number is `number`.
  [[nodiscard]] static std::string temporary_path_of(std::string_view folder, std::string_view name,
                                                     std::uint32_t number) {
    return std::string(folder) + temporary_stem(name) + std::to_string(number) + std::string(temporary_suffix);
  }

  /// Decides under which name the file will be published, after all.
  void set_name(std::string_view name) { name_ = name; }

  /// Ends the writing: with `is_durable`, waits until the bytes are on the disk.
  /// @param is_part  the file is one of many, of which no two programs may write at once: it stays unlocked until it is
  ///                 published, so that no number of files is too large to have open
  result<void> finish(bool is_durable, bool is_part = false) {
    if (is_durable) {
      if (auto synced = call(&file_operations::sync, handle_); !synced) return about_name(synced.error());
    }
    if (!is_part) {
      if (auto kept = call(&file_operations::keep_locked, handle_)) lock_ = *kept;
    }
    state_ = state::finished;
    if (auto closed = operations_->close(operations_->context, handle_); !closed) return about_name(closed.error());
    return {};
  }

  /// Gives the finished file its name, and replaces a file of that name.
  result<void> publish() {
    published_path_ = folder_ + name_; // here, since whoever removes it again has no memory perhaps
    const auto renamed = call(&file_operations::rename_over, temporary_path_, published_path_);
    if (!renamed) return about_name(renamed.error());
    unlock();
    state_ = state::gone;
    return {};
  }
  /// The same for a name that no file has, until it is decided whether the file is kept.
  result<void> publish_provisionally() {
    auto published = publish();
    if (published) state_ = state::provisional;
    return published;
  }
  /// Decides that a provisionally published file stays.
  void keep() noexcept {
    if (state_ == state::provisional) state_ = state::gone;
  }
  /// Removes a file that was not published.
  /// @return true if it existed: then `publish`, which failed, did not give it its name
  bool discard() noexcept {
    if (state_ == state::open) (void)operations_->close(operations_->context, handle_);
    if (state_ != state::open && state_ != state::finished) return false;
    state_ = state::gone;
    const bool was_there = static_cast<bool>(call(&file_operations::remove, temporary_path_));
    unlock();
    return was_there;
  }

  /// Waits until the names in the file's folder are on the disk.
  result<void> sync_folder() const {
    const auto synced = call(&file_operations::sync_folder, folder_);
    if (!synced) return about_name(synced.error());
    return {};
  }
  /// The same for a file that was published.
  /// @retval errc::not_durable  the file has its name, which a loss of power may take back
  result<void> make_name_durable() const {
    const auto synced = call(&file_operations::sync_folder, folder_);
    if (!synced) return about_name(error(errc::not_durable).with_system_code(synced.error().system_code()));
    return {};
  }

private:
  enum class state : std::uint8_t { gone, open, finished, provisional };

  atomic_file(const file_operations& operations, std::string_view folder, std::string_view name)
      : operations_(&operations), folder_(folder), name_(name) {}

  template <class Result, class... Arguments>
  Result call(Result (*file_operations::*entry)(void*, Arguments...) noexcept,
              std::type_identity_t<Arguments>... arguments) const {
    return detail::call_again(*operations_, entry, arguments...);
  }

  /// The beginning of the names of unfinished files for this name. A long name is shortened to its beginning and a hash, so
  /// that the result is not too long for the system.
  [[nodiscard]] static std::string temporary_stem(std::string_view name) {
    constexpr std::size_t longest = 200, kept = 150;
    std::string stem(1, '.');
    if (name.size() <= longest) return stem.append(name).append(1, '.');
    std::size_t size = kept;
    while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0u) == 0x80u) --size; // a character stays whole
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, detail::fnv1a().add(name).value(), 16).ptr;
    return stem.append(name, 0, size).append(1, '~').append(digits, end).append(1, '.');
  }

  /// Removes the unfinished files for this name that no program is writing. Errors are ignored: this is not part of the save.
  void remove_abandoned() const {
    const std::string stem = temporary_stem(name_);
    const auto found = detail::list_folder(*operations_, folder_, [&stem](std::string_view name) {
      if (name.size() <= stem.size() + temporary_suffix.size() || !name.starts_with(stem) ||
          !name.ends_with(temporary_suffix))
        return false;
      const std::string_view number = name.substr(stem.size(), name.size() - stem.size() - temporary_suffix.size());
      return number.find_first_not_of("0123456789") == std::string_view::npos;
    });
    if (!found) return;
    for (const std::string& name : *found) (void)call(&file_operations::remove_unlocked, folder_ + name);
  }

  void unlock() noexcept {
    if (lock_) (void)operations_->close(operations_->context, *lock_);
    lock_.reset();
  }
  [[nodiscard]] error about_name(const error& failure) const { return failure.about(folder_ + name_); }

  const file_operations* operations_;
  std::string folder_, name_, temporary_path_, published_path_;
  native_handle handle_{};
  /// Of a file that is finished and not published.
  std::optional<native_handle> lock_;
  state state_ = state::gone;
};

/// Publishes the finished files of one save: `parts` first, and when their names are durable, `head`, which lists them. A reader
/// so finds either the old store or the new one. If `is_taken(number)`, the part replaces a file of its name; the other parts
/// are removed after a failure.
/// @retval errc::not_durable  the head has its name, and a loss of power may undo that. After any other error it does not have
///                            its name, or the system cannot tell
template <class IsTaken>
result<void> publish_together(std::span<atomic_file> parts, atomic_file& head, bool is_durable, IsTaken is_taken) {
  for (std::size_t number = 0; number < parts.size(); ++number) {
    auto published = is_taken(number) ? parts[number].publish() : parts[number].publish_provisionally();
    if (!published) return published;
  }
  // The order of names on the disk is not that of the calls; a head without its parts must not be there first.
  if (is_durable && !parts.empty()) {
    if (auto synced = head.sync_folder(); !synced) return synced;
  }
  const auto published = head.publish();
  if (!published && head.discard()) return published;
  for (atomic_file& part : parts) part.keep();
  return published && is_durable ? head.make_name_durable() : published;
}

/// Saves what `write(byte_writer&)` writes as the file at `path`, in place of what is there: a reader finds the old file or the new one.
/// @param operations  nullptr: the operating system's
/// @param size_bytes  the size of the file
/// Errors: those of `atomic_file`, of `write`, and errc::not_durable as above.
template <class Write>
result<void> save_file(const file_operations* operations, std::string_view path, std::uint64_t size_bytes,
                       bool is_durable, Write write) {
  const file_operations& system = operations == nullptr ? system_file_operations() : *operations;
  result<atomic_file> file =
      atomic_file::create(system, detail::folder_in(path), detail::file_name_in(path), size_bytes);
  if (!file) return file.error();
  if (result<void> written = write(*file); !written) return written;
  if (auto finished = file->finish(is_durable); !finished) return finished;
  return publish_together({}, *file, is_durable, [](std::size_t) { return false; });
}

} // namespace stet::inline STET_NAMESPACE

#endif
