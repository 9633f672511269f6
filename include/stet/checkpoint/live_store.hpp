// SPDX-License-Identifier: MIT
// A store that follows its file: `poll` reopens it after the file was replaced.
#ifndef STET_CHECKPOINT_LIVE_STORE_HPP
#define STET_CHECKPOINT_LIVE_STORE_HPP

#include "../store/open.hpp"

#if STET_FILES

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// Follows a path at which stores are published by renaming, as every save of this library does. Readers take the store
/// that is current and keep it for as long as they use it; a newer one never changes it. Threads: `current` may be called
/// from any, `poll` from one at a time, both at once.
class live_store {
public:
  /// Opens the store at a path; the default is `stet::open` with its default options.
  using open_function = std::function<result<store>(std::string_view path_utf8)>;

  /// Opens what is at `path_utf8` now.
  /// Errors: those of `open_store`.
  static result<live_store> open(std::string path_utf8, open_function open_store = default_open) {
    live_store made(std::move(path_utf8), std::move(open_store));
    if (auto polled = made.poll(); !polled) return polled.error();
    return made;
  }

  /// The store that is current. It, and what it gives, stays valid for as long as the pointer is kept, whatever is published
  /// meanwhile. Never null. Cost: a mutex and a reference count.
  [[nodiscard]] std::shared_ptr<const store> current() const {
    const std::lock_guard guard(*lock_);
    return current_;
  }

  /// Looks whether another file has the name, and if so opens it and makes it current.
  /// @return whether there is a new store
  /// Errors: those of `file::open` and `open_store`; the store before stays current. A file that is no sound store is an error
  /// once and is then left alone until yet another has the name; where the operating system failed, the next poll tries again.
  /// Cost: three system calls while nothing has changed.
  result<bool> poll() {
    result<file> seen = file::open(path_);
    if (!seen) return seen.error();
    // The file stays open for as long as it counts as seen, so its identity cannot be given to another.
    if (seen_ && seen->same_file_as(*seen_)) return false;
    // What throws is tried again, too: the file counts as seen only once it is known what became of it.
    auto looked_at = std::make_unique<file>(std::move(*seen));
    result<store> opened = open_store_(path_);
    if (!opened) {
      const bool is_of_system =
          opened.error() == errc::out_of_memory || opened.error().category() == error_category::system;
      seen_ = is_of_system ? nullptr : std::move(looked_at);
      return opened.error();
    }
    auto next = std::make_shared<const store>(std::move(*opened));
    seen_ = std::move(looked_at);
    const std::lock_guard guard(*lock_);
    current_.swap(next);
    return true; // `next`, the store before, ends here unless a reader keeps it
  }

private:
  live_store(std::string&& path, open_function&& open_store)
      : path_(std::move(path)), open_store_(std::move(open_store)), lock_(std::make_unique<std::mutex>()) {}

  static result<store> default_open(std::string_view path_utf8) { return stet::open(path_utf8); }

  std::string path_;
  open_function open_store_;
  std::unique_ptr<std::mutex> lock_; // on the heap, so that a live_store can be moved
  std::shared_ptr<const store> current_;
  std::unique_ptr<file> seen_;
};

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
