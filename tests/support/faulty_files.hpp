// SPDX-License-Identifier: MIT
// File operations that are counted and watched, and any one call of which can be made to fail.
#ifndef STET_TESTS_SUPPORT_FAULTY_FILES_HPP
#define STET_TESTS_SUPPORT_FAULTY_FILES_HPP

#include <algorithm>
#include <stet/source/file_operations.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet_test {

/// The entries of stet::file_operations.
enum class file_call : std::uint8_t {
  create_exclusive,
  write_at,
  reserve,
  set_size,
  sync,
  close,
  rename_over,
  sync_folder,
  remove,
  list_folder,
  lock_file,
  create_folder,
  keep_locked,
  remove_unlocked,
  copy_access,
  read_link,
  check_lock,
  open_to_write,
};

/// What happens to a call.
enum class fault : std::uint8_t {
  none,
  /// It is not made (a file is closed all the same) and fails as it would on a full or broken disk.
  failure,
  /// It is made, and then said to have failed.
  late_failure,
  /// It is not made, and was cut short by a signal; the next one is made.
  interruption,
  /// Half of the bytes are written, at least one. Of other calls: none.
  short_write,
  /// A reservation is said to be impossible here. Of other calls: none.
  no_reservation,
};

/// The system's operations but for the waiting for the disk, which a test that saves hundreds of times cannot
/// afford.
inline stet::file_operations without_syncing() noexcept {
  stet::file_operations operations = stet::system_file_operations();
  operations.sync = [](void*, stet::native_handle) noexcept { return stet::result<void>(); };
  operations.sync_folder = [](void*, std::string_view) noexcept { return stet::result<void>(); };
  return operations;
}

/// A table of file operations with a fault at one call. Not copyable: the table refers to this object.
class faulty_files {
public:
  /// One call as it was made.
  struct call {
    file_call entry;
    /// Of calls with a path: that path, or the new one of a rename.
    std::string path;
    /// Of writes and reservations.
    std::uint64_t offset_bytes = 0, size_bytes = 0;
    bool has_failed = false;
  };
  static constexpr std::size_t never = ~std::size_t{0};

  /// `what` happens to call number `at_call`, counted from 0; the others are made by `base`.
  explicit faulty_files(fault what = fault::none, std::size_t at_call = never,
                        const stet::file_operations& base = stet::system_file_operations())
      : base_(base), what_(what), at_call_(at_call) {
    table_.context = this;
    table_.create_exclusive = [](void* self, std::string_view path) noexcept {
      return at(self).pass(file_call::create_exclusive, &stet::file_operations::create_exclusive,
                           {file_call::create_exclusive, std::string(path)}, path);
    };
    table_.write_at = [](void* self, stet::native_handle handle, std::uint64_t offset,
                         std::span<const std::byte> bytes) noexcept {
      faulty_files& files = at(self);
      if (files.comes(fault::short_write) && bytes.size() > 1) bytes = bytes.first(bytes.size() / 2);
      return files.pass(file_call::write_at, &stet::file_operations::write_at,
                        {file_call::write_at, {}, offset, bytes.size()}, handle, offset, bytes);
    };
    table_.reserve = [](void* self, stet::native_handle handle,
                        std::uint64_t size) noexcept -> stet::result<stet::reservation> {
      faulty_files& files = at(self);
      const call made{file_call::reserve, {}, 0, size};
      if (files.comes(fault::no_reservation)) return files.note(made), stet::reservation::not_supported;
      return files.pass(file_call::reserve, &stet::file_operations::reserve, made, handle, size);
    };
    table_.set_size = [](void* self, stet::native_handle handle, std::uint64_t size) noexcept {
      return at(self).pass(file_call::set_size, &stet::file_operations::set_size, {file_call::set_size, {}, 0, size},
                           handle, size);
    };
    table_.sync = [](void* self, stet::native_handle handle) noexcept {
      return at(self).pass(file_call::sync, &stet::file_operations::sync, {file_call::sync, {}}, handle);
    };
    table_.close = [](void* self, stet::native_handle handle) noexcept {
      return at(self).pass(file_call::close, &stet::file_operations::close, {file_call::close, {}}, handle);
    };
    table_.rename_over = [](void* self, std::string_view from, std::string_view to) noexcept {
      return at(self).pass(file_call::rename_over, &stet::file_operations::rename_over,
                           {file_call::rename_over, std::string(to)}, from, to);
    };
    table_.sync_folder = [](void* self, std::string_view path) noexcept {
      return at(self).pass(file_call::sync_folder, &stet::file_operations::sync_folder,
                           {file_call::sync_folder, std::string(path)}, path);
    };
    table_.remove = [](void* self, std::string_view path) noexcept {
      return at(self).pass(file_call::remove, &stet::file_operations::remove, {file_call::remove, std::string(path)},
                           path);
    };
    table_.list_folder = [](void* self, std::string_view path, bool (*visit)(void*, std::string_view) noexcept,
                            void* visitor) noexcept {
      return at(self).pass(file_call::list_folder, &stet::file_operations::list_folder,
                           {file_call::list_folder, std::string(path)}, path, visit, visitor);
    };
    table_.lock_file = [](void* self, std::string_view path) noexcept {
      return at(self).pass(file_call::lock_file, &stet::file_operations::lock_file,
                           {file_call::lock_file, std::string(path)}, path);
    };
    table_.create_folder = [](void* self, std::string_view path) noexcept {
      return at(self).pass(file_call::create_folder, &stet::file_operations::create_folder,
                           {file_call::create_folder, std::string(path)}, path);
    };
    table_.keep_locked = [](void* self, stet::native_handle handle) noexcept {
      return at(self).pass(file_call::keep_locked, &stet::file_operations::keep_locked, {file_call::keep_locked, {}},
                           handle);
    };
    table_.remove_unlocked = [](void* self, std::string_view path) noexcept {
      return at(self).pass(file_call::remove_unlocked, &stet::file_operations::remove_unlocked,
                           {file_call::remove_unlocked, std::string(path)}, path);
    };
    table_.copy_access = [](void* self, stet::native_handle handle, std::string_view from) noexcept {
      return at(self).pass(file_call::copy_access, &stet::file_operations::copy_access,
                           {file_call::copy_access, std::string(from)}, handle, from);
    };
    table_.read_link = [](void* self, std::string_view path, std::span<char> into) noexcept {
      return at(self).pass(file_call::read_link, &stet::file_operations::read_link,
                           {file_call::read_link, std::string(path)}, path, into);
    };
    table_.check_lock = [](void* self, stet::native_handle handle, std::string_view path) noexcept {
      return at(self).pass(file_call::check_lock, &stet::file_operations::check_lock,
                           {file_call::check_lock, std::string(path)}, handle, path);
    };
    table_.open_to_write = [](void* self, std::string_view path) noexcept {
      return at(self).pass(file_call::open_to_write, &stet::file_operations::open_to_write,
                           {file_call::open_to_write, std::string(path)}, path);
    };
  }
  faulty_files(const faulty_files&) = delete;
  faulty_files& operator=(const faulty_files&) = delete;

  /// The table; as long-lived as this object.
  [[nodiscard]] const stet::file_operations& operations() const noexcept { return table_; }
  /// Every call so far, in order.
  [[nodiscard]] const std::vector<call>& calls() const noexcept { return calls_; }
  /// Called after every call with what it was: to look at the folder between two steps, or to end the program
  /// there.
  std::function<void(const call&)> after_call;

private:
  static faulty_files& at(void* self) noexcept { return *static_cast<faulty_files*>(self); }
  [[nodiscard]] bool comes(fault kind) const noexcept { return what_ == kind && calls_.size() == at_call_; }
  void note(call made) noexcept {
    calls_.push_back(std::move(made));
    if (after_call) after_call(call(calls_.back()));
  }

  /// Makes a call, or the failure that is due.
  template <class Result, class... Arguments>
  Result pass(file_call entry, Result (*stet::file_operations::*member)(void*, Arguments...) noexcept, call made,
              std::type_identity_t<Arguments>... arguments) noexcept {
    const auto make = [&] { return (base_.*member)(base_.context, arguments...); };
    const bool fails = comes(fault::failure), is_late = comes(fault::late_failure),
               is_interrupted = comes(fault::interruption);
    if (!fails && !is_late && !is_interrupted) {
      Result done = make();
      made.has_failed = !done;
      note(std::move(made));
      return done;
    }
    if (is_late || entry == file_call::close) (void)make();
    made.has_failed = true;
    note(std::move(made));
    if (is_interrupted) return stet::error(stet::errc::io_error).with_system_code(EINTR);
    const bool runs_full = entry == file_call::write_at || entry == file_call::reserve || entry == file_call::set_size;
    return runs_full ? stet::error(stet::errc::no_space).with_system_code(ENOSPC)
                     : stet::error(stet::errc::io_error).with_system_code(EIO);
  }

  stet::file_operations table_;
  stet::file_operations base_;
  fault what_;
  std::size_t at_call_;
  std::vector<call> calls_;
};

/// Whether this system has calls that a signal cuts short.
inline bool has_interruptions() {
  return stet::was_interrupted(stet::error(stet::errc::io_error).with_system_code(EINTR));
}

/// Whether a call can have such a fault, or one that the operating system's own table can have.
inline bool is_applicable(fault what, file_call entry) {
  switch (what) {
  case fault::short_write:
    return entry == file_call::write_at;
  case fault::no_reservation:
    return entry == file_call::reserve;
  // A file that was made although it is said not to have been is nobody's, and so is a handle.
  case fault::late_failure:
    return entry != file_call::create_exclusive && entry != file_call::keep_locked && entry != file_call::open_to_write;
  // The system's own table never says so of a close, after which the handle is gone.
  case fault::interruption:
    return has_interruptions() && entry != file_call::close;
  default:
    return true;
  }
}

/// Whether a call may fail without a word: the removal of an old part, the search for what killed programs left, and the lock
/// that tells others not to remove this file.
inline bool is_beside_the_save(const std::vector<faulty_files::call>& calls, std::size_t number) {
  const file_call entry = calls[number].entry;
  const auto has_before = [&](file_call what) {
    return std::any_of(calls.begin(), calls.begin() + static_cast<std::ptrdiff_t>(number),
                       [&](const faulty_files::call& call) { return call.entry == what; });
  };
  if (entry == file_call::list_folder) return !has_before(file_call::create_exclusive);
  if (entry == file_call::close) // of the lock: the file was closed before it got its name
    return calls[number - 1].entry == file_call::rename_over;
  return entry == file_call::remove || entry == file_call::keep_locked || entry == file_call::remove_unlocked;
}

} // namespace stet_test

#endif
