// SPDX-License-Identifier: MIT
// The bytes of one file, wherever they live: the only thing that a store knows about files.
#ifndef STET_SOURCE_SOURCE_HPP
#define STET_SOURCE_SOURCE_HPP

#include "mapping.hpp"
#include "reader.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline v0_1 {

/// A part of a file. The default is all of it.
struct file_range {
  /// As a size: up to the end of the file.
  static constexpr std::uint64_t to_end = ~std::uint64_t{0};

  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = to_end;

  /// This range with its size known, in a file of `total_bytes`.
  /// @retval errc::bad_range  it does not lie within the file
  [[nodiscard]] constexpr result<file_range> within(std::uint64_t total_bytes) const noexcept {
    if (offset_bytes > total_bytes) return error(errc::bad_range, {}, offset_bytes);
    const std::uint64_t rest_bytes = total_bytes - offset_bytes;
    if (size_bytes == to_end) return file_range{offset_bytes, rest_bytes};
    if (size_bytes > rest_bytes) return error(errc::bad_range, {}, offset_bytes);
    return *this;
  }
};

namespace detail {

/// What a source without bytes points at, so that its `data()` still tells it from one whose bytes are
/// elsewhere.
inline constexpr std::byte no_bytes[1] = {};

/// Calls `from.read`.
inline result<void> fetch(const reader& from, std::uint64_t offset_bytes, std::byte* into,
                          std::size_t size_bytes) noexcept {
  return from.read(offset_bytes, writable_bytes_at(into, size_bytes));
}

/// A block of memory, or any one object, with the function that frees it. The function is stored rather than
/// named in the destructor: a program that never allocates, as firmware, is not asked for an operator delete.
class owned_block {
public:
  owned_block() noexcept = default;
  owned_block(void* block, std::size_t alignment_bytes, void (*release)(void*, std::size_t) noexcept) noexcept
      : block_(block), alignment_bytes_(alignment_bytes), release_(release) {}
  owned_block(owned_block&& other) noexcept
      : block_(other.block_), alignment_bytes_(other.alignment_bytes_), release_(other.release_) {
    other.block_ = nullptr;
  }
  owned_block& operator=(owned_block&& other) noexcept {
    if (this != &other) {
      this->~owned_block();
      ::new (static_cast<void*>(this)) owned_block(std::move(other));
    }
    return *this;
  }
  ~owned_block() noexcept {
    if (block_ != nullptr) release_(block_, alignment_bytes_);
  }

  /// Memory with unspecified contents; nullptr in `get()` when there is none left.
  static owned_block allocate(std::size_t size_bytes, std::size_t alignment_bytes) noexcept {
    void* const block = ::operator new (size_bytes, std::align_val_t{alignment_bytes}, std::nothrow);
    return {block, alignment_bytes, [](void* at, std::size_t alignment) noexcept {
              ::operator delete (at, std::align_val_t{alignment});
            }};
  }
  [[nodiscard]] void* get() const noexcept { return block_; }

private:
  void* block_ = nullptr;
  std::size_t alignment_bytes_ = 0;
  void (*release_)(void*, std::size_t) noexcept = nullptr;
};

#if STET_FILES
/// A part of a file that it owns, as a reader of its own.
class file_part final : public reader {
public:
  file_part(file&& from, file_range part) noexcept : file_(std::move(from)), part_(part) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return part_.size_bytes; }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes,
                                  std::span<std::byte> into) const noexcept override {
    if (offset_bytes > part_.size_bytes || into.size() > part_.size_bytes - offset_bytes)
      return errc::bad_range;
    return fetch(file_, part_.offset_bytes + offset_bytes, into.data(), into.size());
  }

private:
  file file_;
  file_range part_;
};
#endif

} // namespace detail

/// The bytes of one file, or of a part of one. Either they are resident, that is, `data()` points at all of
/// them (borrowed from the program, mapped, or read into memory), or they are on demand and come through
/// `fetcher()`. Move-only; moving it moves neither bytes nor fetcher, so views and pointers stay valid. A
/// moved-from source is empty. Threads: const members may be called from several at once.
///
/// Errors of every function that takes a path: those of `file::open`; that takes a range: errc::bad_range.
class source {
public:
  /// No bytes.
  source() noexcept = default;

  /// Uses memory of the program, which must outlive the source and what views it. Costs nothing.
  [[nodiscard]] static source borrow(std::span<const std::byte> bytes) noexcept {
    source made;
    made.set_resident(bytes.data(), bytes.size());
    return made;
  }

  /// As `borrow`, with `writable_data()`.
  [[nodiscard]] static source borrow_writable(std::span<std::byte> bytes) noexcept {
    source made;
    made.set_resident(bytes.data(), bytes.size());
    made.writable_ = true;
    return made;
  }

  /// Fetches from a reader of the program, which must outlive the source, whenever bytes are asked for. Costs
  /// nothing.
  [[nodiscard]] static source stream(const reader& from) noexcept {
    source made;
    made.data_ = nullptr;
    made.size_bytes_ = from.size_bytes();
    made.fetcher_ = &from;
    return made;
  }
  static source stream(const reader&&) = delete; // the source would outlive it

  /// Keeps a reader and fetches from it whenever bytes are asked for.
  /// @retval errc::out_of_memory
  /// Cost: one allocation of the reader's size; reads nothing.
  template <class Reader> [[nodiscard]] static result<source> keep(Reader&& from) noexcept {
    // On the heap, because tensors keep its address while the source moves.
    auto* const node = new (std::nothrow) Reader(std::move(from));
    if (node == nullptr) return errc::out_of_memory;
    source made = stream(*node);
    made.owned_ = {node, 0, [](void* at, std::size_t) noexcept { delete static_cast<Reader*>(at); }};
    return made;
  }

  /// Reads a range of a file or another reader into memory of its own, aligned to at least `alignment_bytes`.
  /// @param alignment_bytes  a power of two up to 65536; below 64 counts as 64
  /// @retval errc::bad_range      the range does not lie within the file
  /// @retval errc::bad_alignment  another alignment
  /// @retval errc::too_large      the range does not fit the address space
  /// @retval errc::out_of_memory
  /// @retval errc::truncated      the file became shorter meanwhile; or another error of the reader
  /// Cost: one allocation of the range's size, every byte read once.
  [[nodiscard]] static result<source> read(const reader& from, file_range range = {},
                                           std::size_t alignment_bytes = min_alignment_bytes) noexcept {
    const auto part = range.within(from.size_bytes());
    if (!part) return part.error();
    const bool power_of_two = alignment_bytes != 0 && (alignment_bytes & (alignment_bytes - 1)) == 0;
    if (!power_of_two || alignment_bytes > max_alignment_bytes) return errc::bad_alignment;
    if (alignment_bytes < min_alignment_bytes) alignment_bytes = min_alignment_bytes;
    result<source> made = allocate_aligned(part->size_bytes, alignment_bytes);
    if (!made || made->size_bytes_ == 0) return made;
    const auto size_bytes = static_cast<std::size_t>(part->size_bytes);
    if (const auto done = detail::fetch(from, part->offset_bytes, made->writable_data(), size_bytes); !done)
      return done.error();
    return made;
  }

  /// Memory of its own with unspecified contents, aligned to 64 bytes.
  /// @retval errc::too_large      that many bytes do not fit the address space
  /// @retval errc::out_of_memory
  [[nodiscard]] static result<source> allocate(std::uint64_t size_bytes) noexcept {
    return allocate_aligned(size_bytes, min_alignment_bytes);
  }

  /// Copies bytes into memory of its own.
  /// @retval errc::out_of_memory
  [[nodiscard]] static result<source> copy(std::span<const std::byte> bytes) noexcept {
    result<source> made = allocate(bytes.size());
    if (made && !bytes.empty()) std::memcpy(made->writable_data(), bytes.data(), bytes.size());
    return made;
  }

#if STET_FILES
  /// Maps a range of a file. The file may be closed afterwards.
  /// Errors and cost: those of `mapping::map`.
  [[nodiscard]] static result<source> map(const file& from, file_range range = {},
                                          access mode = access::read_only) noexcept {
    const auto part = range.within(from.size_bytes());
    if (!part) return part.error();
    result<mapping> mapped = mapping::map(from, part->offset_bytes, part->size_bytes, mode);
    if (!mapped) return mapped.error();
    source made;
    made.mapping_ = std::move(*mapped);
    made.set_resident(made.mapping_.data(), made.mapping_.size_bytes());
    made.writable_ = mode != access::read_only;
    return made;
  }
  /// Opens a file, for reading and writing if `mode` is `access::shared_write`, and maps a range of it.
  [[nodiscard]] static result<source> map(std::string_view path_utf8, file_range range = {},
                                          access mode = access::read_only) noexcept {
    const auto opened =
        file::open(path_utf8, mode == access::shared_write ? open_for::read_write : open_for::read);
    if (!opened) return opened.error();
    return about(map(*opened, range, mode), path_utf8);
  }

  /// Opens a file and reads a range of it into memory, as the overload for readers does.
  [[nodiscard]] static result<source> read(std::string_view path_utf8, file_range range = {},
                                           std::size_t alignment_bytes = min_alignment_bytes) noexcept {
    const auto opened = file::open(path_utf8);
    if (!opened) return opened.error();
    return about(read(*opened, range, alignment_bytes), path_utf8);
  }

  /// Keeps a file and reads from it whenever bytes are asked for; nothing stays in memory.
  /// @retval errc::bad_range      the range does not lie within the file
  /// @retval errc::out_of_memory
  /// Cost: one small allocation; reads nothing.
  [[nodiscard]] static result<source> stream(file&& from, file_range range = {}) noexcept {
    const auto part = range.within(from.size_bytes());
    if (!part) return part.error();
    return keep(detail::file_part(std::move(from), *part));
  }
  /// Opens a file and reads from it on demand.
  [[nodiscard]] static result<source> stream(std::string_view path_utf8, file_range range = {}) noexcept {
    auto opened = file::open(path_utf8);
    if (!opened) return opened.error();
    return about(stream(std::move(*opened), range), path_utf8);
  }
#endif

  source(source&& other) noexcept
      : data_(other.data_), size_bytes_(other.size_bytes_), fetcher_(other.fetcher_),
        owned_(std::move(other.owned_)),
#if STET_FILES
        mapping_(std::move(other.mapping_)),
#endif
        writable_(other.writable_) {
    other.set_resident(nullptr, 0);
    other.fetcher_ = nullptr;
    other.writable_ = false;
  }
  source& operator=(source&& other) noexcept {
    if (this != &other) {
      this->~source();
      ::new (static_cast<void*>(this)) source(std::move(other));
    }
    return *this;
  }
  ~source() noexcept = default;

  /// All the bytes; nullptr exactly when they are on demand. Valid until the source is destroyed or assigned
  /// to.
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  /// All the bytes for writing: memory borrowed writable, copy-on-write and shared-write mappings, and memory
  /// that was read into. Otherwise nullptr.
  [[nodiscard]] std::byte* writable_data() noexcept {
    return writable_ ? const_cast<std::byte*>(data_) : nullptr;
  }
  /// Whether the resident bytes may be written to.
  [[nodiscard]] bool is_writable() const noexcept { return writable_; }
  /// How many bytes there are, resident or not.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// What delivers the bytes when they are on demand; nullptr when they are resident. Lives as long as the
  /// bytes.
  [[nodiscard]] const reader* fetcher() const noexcept { return fetcher_; }

  /// Copies the bytes from `offset_bytes` on into all of `into`, wherever they live.
  /// @retval errc::bad_range  they do not lie within the source; or an error of the reader
  [[nodiscard]] result<void> read_at(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    if (!contains(offset_bytes, into.size())) return error(errc::bad_range, {}, offset_bytes);
    if (fetcher_ != nullptr) return detail::fetch(*fetcher_, offset_bytes, into.data(), into.size());
    if (!into.empty()) std::memcpy(into.data(), data_ + static_cast<std::size_t>(offset_bytes), into.size());
    return {};
  }

  // Residency of a range. All of them: @retval errc::bad_range  the range does not lie within the source.

  /// Starts reading a range of a mapping ahead of use, without waiting; nothing to do for any other source.
  result<void> prefetch(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    if (mapping_.data() != nullptr) return mapping_.prefetch(offset_bytes, size_bytes);
#endif
    return {};
  }

  /// Asks the system to read only what is touched of a range of a mapping; nothing to do for any other source.
  result<void> stop_read_ahead(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    if (mapping_.data() != nullptr) return mapping_.stop_read_ahead(offset_bytes, size_bytes);
#endif
    return {};
  }

  /// Takes a range of a mapping out of memory until it is next used; nothing to do for any other source.
  /// @retval errc::unsupported  a copy-on-write mapping, whose changes would be lost
  result<void> drop(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    if (mapping_.data() != nullptr) return mapping_.drop(offset_bytes, size_bytes);
#endif
    return {};
  }

  /// Keeps the pages of a range in memory until `unlock`. Locks do not nest and hold whole pages, so
  /// unlocking a range of borrowed memory unlocks what else lies on its pages.
  /// @retval errc::not_resident   the bytes are on demand
  /// @retval errc::out_of_memory  memory or the process's limit for locked memory is exhausted
  /// @retval errc::unsupported    this target has no pages
  result<void> lock(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    return hold(offset_bytes, size_bytes, true);
  }
  /// Ends what `lock` began.
  result<void> unlock(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    return hold(offset_bytes, size_bytes, false);
  }

  /// Writes the changes of a range to the file, as `mapping::flush`.
  /// @retval errc::unsupported  not a shared_write mapping
  result<void> flush(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    return mapping_.flush(offset_bytes, size_bytes);
#else
    return errc::unsupported;
#endif
  }

private:
  static constexpr std::size_t min_alignment_bytes = 64;
  static constexpr std::size_t max_alignment_bytes = 65536;

  static result<source> allocate_aligned(std::uint64_t size_bytes, std::size_t alignment_bytes) noexcept {
    if (size_bytes > PTRDIFF_MAX - max_alignment_bytes) return errc::too_large;
    source made;
    made.writable_ = true;
    if (size_bytes == 0) return made;
    made.owned_ = detail::owned_block::allocate(static_cast<std::size_t>(size_bytes), alignment_bytes);
    if (made.owned_.get() == nullptr) return errc::out_of_memory;
    made.set_resident(static_cast<std::byte*>(made.owned_.get()), static_cast<std::size_t>(size_bytes));
#if STET_FILES
    // Fresh memory costs more than what is then done with it, unless its pages are large.
    constexpr std::uint64_t large_bytes = 4u << 20;
    if (size_bytes >= large_bytes) detail::os::prefer_large_pages(made.data_, static_cast<std::size_t>(size_bytes));
#endif
    return made;
  }

  void set_resident(const std::byte* data, std::size_t size_bytes) noexcept {
    data_ = data == nullptr ? detail::no_bytes : data;
    size_bytes_ = size_bytes;
  }

  bool contains(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    return offset_bytes <= size_bytes_ && size_bytes <= size_bytes_ - offset_bytes;
  }

  result<void> hold(std::uint64_t offset_bytes, std::uint64_t size_bytes, bool locked) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
    if (fetcher_ != nullptr) return errc::not_resident;
    if (size_bytes == 0) return {};
#if STET_FILES
    const std::byte* const at = data_ + static_cast<std::size_t>(offset_bytes);
    return (locked ? detail::os::lock : detail::os::unlock)(at, static_cast<std::size_t>(size_bytes));
#else
    return (void)locked, errc::unsupported;
#endif
  }

  static result<source> about(result<source> made, std::string_view path_utf8) noexcept {
    if (!made) return made.error().about(path_utf8);
    return made;
  }

  const std::byte* data_ = detail::no_bytes;
  std::uint64_t size_bytes_ = 0;
  const reader* fetcher_ = nullptr;
  detail::owned_block owned_; // the memory that was read into, or the file that is read on demand
#if STET_FILES
  mapping mapping_;
#endif
  bool writable_ = false;
};

} // namespace stet::inline v0_1

#endif
