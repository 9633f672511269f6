// SPDX-License-Identifier: MIT
// A file that appears under its name only when it is finished, and leaves nothing behind when it is not.
#ifndef STET_WRITER_ATOMIC_FILE_HPP
#define STET_WRITER_ATOMIC_FILE_HPP

#include "output.hpp"

#include "../source/file_operations.hpp"

#include <string>
#include <utility>

namespace stet::inline v0_1 {

/// A file being written beside the one it is to replace: `.NAME.N.stet-tmp`, N the first number that is free. Create,
/// write, finish, publish, and sync the folder; a file that is destroyed before it is published is removed, and so is one
/// that was published provisionally and not kept. Move-only. Every error is about the path and carries the system's number.
class atomic_file final : public byte_output {
public:
  /// What the name of every unfinished file ends in.
  static constexpr std::string_view temporary_suffix = ".stet-tmp";

  /// Creates an unfinished file for `name` in `folder` ("" or ending in a separator) and reserves `size_bytes` for it, so
  /// that a full disk is found now.
  /// @param operations  must outlive the file
  /// @retval errc::no_space  there is not that much space
  /// @retval errc::bad_path, file_not_found, access_denied, io_error  the folder or the system
  static result<atomic_file> create(const file_operations& operations, std::string_view folder, std::string_view name,
                                    std::uint64_t size_bytes) {
    if (name.empty()) return error(errc::bad_path, folder);
    atomic_file made(operations, folder, name);
    constexpr int attempts = 1000;
    for (int number = 0;; ++number) {
      made.temporary_path_ = made.folder_ + "." + made.name_ + "." + std::to_string(number) + std::string(temporary_suffix);
      result<native_handle> handle = made.call(&file_operations::create_exclusive, made.temporary_path_);
      if (handle) {
        made.handle_ = *handle;
        made.state_ = state::open;
        break;
      }
      if (handle.error().code() != errc::file_exists || number == attempts) return made.about_name(handle.error());
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
        temporary_path_(std::move(other.temporary_path_)), handle_(other.handle_), state_(std::exchange(other.state_, state::gone)) {}
  atomic_file& operator=(atomic_file&&) = delete;
  ~atomic_file() {
    (void)discard();
    if (state_ == state::provisional) (void)call(&file_operations::remove, folder_ + name_);
  }

  result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const auto written = call(&file_operations::write_at, handle_, offset_bytes, bytes);
      if (!written) return about_name(written.error());
      if (*written == 0) return about_name(errc::io_error);
      bytes = bytes.subspan(*written);
      offset_bytes += *written;
    }
    return {};
  }

  /// Decides under which name the file will be published, after all.
  void set_name(std::string_view name) { name_ = name; }

  /// Ends the writing: with `is_durable`, waits until the bytes are on the disk.
  result<void> finish(bool is_durable) {
    if (is_durable) {
      if (auto synced = call(&file_operations::sync, handle_); !synced) return about_name(synced.error());
    }
    state_ = state::finished;
    if (auto closed = operations_->close(operations_->context, handle_); !closed) return about_name(closed.error());
    return {};
  }

  /// Gives the finished file its name, in place of what has it.
  result<void> publish() {
    const auto renamed = call(&file_operations::rename_over, temporary_path_, folder_ + name_);
    if (!renamed) return about_name(renamed.error());
    state_ = state::gone;
    return {};
  }
  /// The same for a name that nothing has, until it is decided whether the file is kept.
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
  /// @return whether it was there: proof, after an error of `publish`, that it does not have its name
  bool discard() noexcept {
    if (state_ == state::open) (void)operations_->close(operations_->context, handle_);
    if (state_ != state::open && state_ != state::finished) return false;
    state_ = state::gone;
    return static_cast<bool>(call(&file_operations::remove, temporary_path_));
  }

  /// Waits until the names in the file's folder are on the disk.
  result<void> sync_folder() const {
    const auto synced = call(&file_operations::sync_folder, folder_);
    if (!synced) return about_name(synced.error());
    return {};
  }

private:
  enum class state : std::uint8_t { gone, open, finished, provisional };

  atomic_file(const file_operations& operations, std::string_view folder, std::string_view name)
      : operations_(&operations), folder_(folder), name_(name) {}

  /// Makes a system call, again for as long as a signal cuts it short.
  template <class Result, class... Arguments>
  Result call(Result (*file_operations::*entry)(void*, Arguments...) noexcept, std::type_identity_t<Arguments>... arguments) const {
    for (;;) {
      Result done = (operations_->*entry)(operations_->context, arguments...);
      if (done || !was_interrupted(done.error())) return done;
    }
  }
  [[nodiscard]] error about_name(const error& failure) const { return failure.about(folder_ + name_); }

  const file_operations* operations_;
  std::string folder_, name_, temporary_path_;
  native_handle handle_{};
  state state_ = state::gone;
};

/// Makes the finished files of one save visible: `parts` first, and when their names are there for good, `head`, which lists them,
/// so that a reader finds the old head or the new one, whole. A part whose name something has already, as `is_taken(number)`
/// says, replaces it; the others are taken back after a failure.
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
  return published && is_durable ? head.sync_folder() : published;
}

} // namespace stet::inline v0_1

#endif
