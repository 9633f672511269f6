// SPDX-License-Identifier: MIT
// A store that follows its file: `poll` reopens it after the file was replaced.
#ifndef STET_CHECKPOINT_LIVE_STORE_HPP
#define STET_CHECKPOINT_LIVE_STORE_HPP

#include "../store/open.hpp"

#if STET_FILES

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The allocator of one shared object, whose memory is there already: std::allocate_shared cannot fail in a program without
/// exceptions. `get()` of the block goes back to its resource with the object.
template <class T> struct shared_block {
  using value_type = T;
  /// The size of a store and of the library's reference counts.
  static constexpr std::size_t size_bytes = sizeof(store) + 128;
  static constexpr std::size_t alignment_bytes = alignof(std::max_align_t);

  shared_block(memory_resource& from, void* memory) noexcept : resource(&from), block(memory) {}
  template <class U>
  shared_block(const shared_block<U>& other) noexcept : resource(other.resource), block(other.block) {}

  [[nodiscard]] T* allocate(std::size_t) const noexcept {
    static_assert(sizeof(T) <= size_bytes && alignof(T) <= alignment_bytes);
    return static_cast<T*>(block);
  }
  void deallocate(T*, std::size_t) const noexcept { resource->deallocate(block, size_bytes, alignment_bytes); }
  template <class U> bool operator==(const shared_block<U>& other) const noexcept { return block == other.block; }

  memory_resource* resource;
  void* block;
};

/// `value` as a shared store, from `memory` or the heap. nullptr: `memory` has none left.
inline std::shared_ptr<const store> share(store&& value, memory_resource* memory) {
  if (memory == nullptr) return std::make_shared<const store>(std::move(value));
  using allocator = shared_block<store>;
  void* const block = memory->allocate(allocator::size_bytes, allocator::alignment_bytes);
  if (block == nullptr) return nullptr;
  return std::allocate_shared<const store>(allocator(*memory, block), std::move(value));
}

} // namespace detail

/// Follows a path at which stores are published by renaming, as every save of this library does. Readers take the store
/// that is current and keep it for as long as they use it; a newer one never changes it. Threads: `current` may be called
/// from any, `poll` from one at a time, both at once.
class live_store {
public:
  /// Opens the store at a path; the default is `stet::open` with its default options.
  using open_function = std::function<result<store>(std::string_view path_utf8)>;

  /// Opens the store that is at `path_utf8` now.
  /// @param files   whose file it is; nullptr: the operating system's. Its `revision` tells whether there is a new one.
  /// @param memory  where the current store is kept besides what `open_store` allocates, until its last reader lets go of it;
  ///                nullptr: the heap. `open` takes a little more of the heap, `poll` does not.
  /// Errors: those of `open_store`, and of `poll`.
  static result<live_store> open(std::string path_utf8, open_function open_store = default_open,
                                 const file_system* files = nullptr, memory_resource* memory = nullptr) {
    live_store made(std::move(path_utf8), std::move(open_store), files, memory);
    if (auto polled = made.poll(); !polled) return polled.error();
    return made;
  }
  /// As above, with `stet::open`, the files and the memory of `options`.
  static result<live_store> open(std::string path_utf8, const open_options& options) {
    return open(
        std::move(path_utf8), [options](std::string_view at) { return stet::open(at, options); }, options.files,
        options.memory);
  }

  /// The current store. It and its tensors stay valid while the pointer is kept, also after a newer store is published.
  /// Never null. Cost: a mutex and a reference count.
  [[nodiscard]] std::shared_ptr<const store> current() const {
    const std::lock_guard guard(*lock_);
    return current_;
  }

  /// Opens the file and makes it current if another file has the name now.
  /// @return true if there is a new store
  /// Errors: those of `file::open`, or of `file_system::revision`, and of `open_store`; the store before stays current. A file
  /// that is not a valid store is an error once, and is then ignored until another file has the name. After a failure of the
  /// operating system the next poll tries again.
  /// Cost: three system calls, or one call of `revision`, while nothing has changed.
  result<bool> poll() {
    if (files_ != nullptr) {
      const result<std::uint64_t> revision = files_->revision(path_);
      if (!revision) return revision.error().subject().empty() ? revision.error().about(path_) : revision.error();
      if (seen_revision_ && *seen_revision_ == *revision) return false;
      return look([&](bool is_seen) { seen_revision_ = is_seen ? std::optional(*revision) : std::nullopt; });
    }
    result<file> found = file::open(path_);
    if (!found) return found.error();
    // The file stays open for as long as it counts as seen, so its identity cannot be given to another.
    if (seen_ && found->same_file_as(*seen_)) return false;
    return look([&](bool is_seen) {
      seen_.reset();
      if (is_seen) seen_.emplace(std::move(*found));
    });
  }

private:
  live_store(std::string&& path, open_function&& open_store, const file_system* files, memory_resource* memory)
      : path_(std::move(path)), open_store_(std::move(open_store)), files_(files), memory_(memory),
        lock_(std::make_unique<std::mutex>()) {}

  static result<store> default_open(std::string_view path_utf8) { return stet::open(path_utf8); }

  /// Opens what is there now, makes it current, and then calls `note` with whether the file counts as seen: it does once it is
  /// known what became of it. What throws is tried again, too.
  template <class Note> result<bool> look(Note note) {
    result<store> opened = open_store_(path_);
    std::shared_ptr<const store> next;
    if (opened) {
      next = detail::share(std::move(*opened), memory_);
      if (next == nullptr) opened = errc::out_of_memory;
    }
    if (!opened) {
      const error& why = opened.error();
      note(why != errc::out_of_memory && why.category() != error_category::system);
      return why;
    }
    note(true);
    const std::lock_guard guard(*lock_);
    current_.swap(next);
    return true; // `next`, the store before, ends here unless a reader keeps it
  }

  std::string path_;
  open_function open_store_;
  const file_system* files_;
  memory_resource* memory_;
  std::unique_ptr<std::mutex> lock_; // on the heap, so that a live_store can be moved
  std::shared_ptr<const store> current_;
  std::optional<file> seen_;
  std::optional<std::uint64_t> seen_revision_;
};

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
