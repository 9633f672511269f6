// SPDX-License-Identifier: MIT
// The bytes of one file, wherever they live: the only thing that a store knows about files.
#ifndef STET_SOURCE_SOURCE_HPP
#define STET_SOURCE_SOURCE_HPP

#include "mapping.hpp"
#include "memory.hpp"
#include "byte_reader.hpp"

#include "../vocabulary/detail/move_assign.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// A part of a file. The default is all of it.
struct file_range {
  /// As a size: up to the end of the file.
  static constexpr std::uint64_t to_end = ~std::uint64_t{0};

  /// The offset of the first byte.
  std::uint64_t offset_bytes = 0;
  /// The number of bytes; `to_end`: all that follow.
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
inline result<void> fetch(const byte_reader& from, std::uint64_t offset_bytes, std::byte* into,
                          std::size_t size_bytes) noexcept {
  return from.read(offset_bytes, writable_bytes_at(into, size_bytes));
}

} // namespace detail

/// The bytes of one file, or of a part of one. Either they are resident, that is, `data()` points at all of
/// them (borrowed from the program, mapped, or read into memory), or they are on demand and come through
/// `fetcher()`. Move-only; moving it moves neither bytes nor fetcher, so views and pointers stay valid. A
/// moved-from source is empty. Threads: const members may be called from several at once.
///
/// Errors of every function that takes a path: those of `file::open`; that takes a range: errc::bad_range. Memory comes from
/// the `memory` that a function is given, which must outlive the source; nullptr: from the heap.
class source {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
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
  [[nodiscard]] static source stream(const byte_reader& from) noexcept {
    source made;
    made.data_ = nullptr;
    made.size_bytes_ = from.size_bytes();
    made.fetcher_ = &from;
    return made;
  }
  static source stream(const byte_reader&&) = delete; // the source would outlive it

  /// Keeps a reader and fetches from it whenever bytes are asked for.
  /// @retval errc::out_of_memory
  /// Cost: one allocation of the reader's size; reads nothing.
  template <class Reader>
  [[nodiscard]] static result<source> keep(Reader&& from, memory_resource* memory = nullptr) noexcept {
    // In a block of its own, because tensors keep its address while the source moves.
    detail::owned_block block = detail::owned_block::keep(std::move(from), memory);
    if (block.get() == nullptr) return errc::out_of_memory;
    source made = stream(static_cast<const byte_reader&>(*static_cast<Reader*>(block.get())));
    made.owned_ = std::move(block);
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
  [[nodiscard]] static result<source> read(const byte_reader& from, file_range range = {},
                                           std::size_t alignment_bytes = min_alignment_bytes,
                                           memory_resource* memory = nullptr) noexcept {
    const auto part = range.within(from.size_bytes());
    if (!part) return part.error();
    const bool power_of_two = alignment_bytes != 0 && (alignment_bytes & (alignment_bytes - 1)) == 0;
    if (!power_of_two || alignment_bytes > max_alignment_bytes) return errc::bad_alignment;
    if (alignment_bytes < min_alignment_bytes) alignment_bytes = min_alignment_bytes;
    result<source> made = allocate_aligned(part->size_bytes, alignment_bytes, memory);
    if (!made || made->size_bytes_ == 0) return made;
    const auto size_bytes = static_cast<std::size_t>(part->size_bytes);
    if (const auto done = detail::fetch(from, part->offset_bytes, made->writable_data(), size_bytes); !done)
      return done.error();
    return made;
  }

#if STET_FILES
  /// As the overload for readers, by `by`: `read_in_parallel` of parallel_read.hpp. nullptr: by one read after the other.
  [[nodiscard]] static result<source> read(const file& from, file_range range, std::size_t alignment_bytes,
                                           memory_resource* memory, read_function* by) noexcept {
    if (by == nullptr) return read(static_cast<const byte_reader&>(from), range, alignment_bytes, memory);
    return read(detail::file_read_by(from, by), range, alignment_bytes, memory);
  }
#endif

  /// Memory of its own with unspecified contents, aligned to 64 bytes.
  /// @retval errc::too_large      that many bytes do not fit the address space
  /// @retval errc::out_of_memory
  [[nodiscard]] static result<source> allocate(std::uint64_t size_bytes, memory_resource* memory = nullptr) noexcept {
    return allocate_aligned(size_bytes, min_alignment_bytes, memory);
  }

  /// The same, aligned to 65536 bytes, so that it begins with a page.
  [[nodiscard]] static result<source> allocate_pages(std::uint64_t size_bytes,
                                                     memory_resource* memory = nullptr) noexcept {
    return allocate_aligned(size_bytes, max_alignment_bytes, memory);
  }

  /// Copies bytes into memory of its own.
  /// @retval errc::out_of_memory
  [[nodiscard]] static result<source> copy(std::span<const std::byte> bytes,
                                           memory_resource* memory = nullptr) noexcept {
    result<source> made = allocate(bytes.size(), memory);
    if (made && !bytes.empty()) std::memcpy(made->writable_data(), bytes.data(), bytes.size());
    return made;
  }

  /// A part of `whole`, which becomes the part's to keep.
  /// @retval errc::bad_range      the range does not lie within it
  /// @retval errc::out_of_memory
  /// Cost: nothing where the bytes are resident, or it is all of them; else one small allocation.
  [[nodiscard]] static result<source> part_of(source&& whole, file_range range,
                                              memory_resource* memory = nullptr) noexcept;

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
    const auto opened = file::open(path_utf8, mode == access::shared_write ? open_for::read_write : open_for::read);
    if (!opened) return opened.error();
    return about(map(*opened, range, mode), path_utf8);
  }

  /// Opens a file and reads a range of it into memory, as the overload for readers does.
  [[nodiscard]] static result<source> read(std::string_view path_utf8, file_range range = {},
                                           std::size_t alignment_bytes = min_alignment_bytes,
                                           memory_resource* memory = nullptr) noexcept {
    const auto opened = file::open(path_utf8);
    if (!opened) return opened.error();
    return about(read(*opened, range, alignment_bytes, memory), path_utf8);
  }

  /// Keeps a file and reads from it whenever bytes are asked for; nothing stays in memory.
  /// @retval errc::bad_range      the range does not lie within the file
  /// @retval errc::out_of_memory
  /// Cost: one small allocation, two for a part of the file; reads nothing.
  [[nodiscard]] static result<source> stream(file&& from, file_range range = {},
                                             memory_resource* memory = nullptr) noexcept {
    result<source> whole = keep(std::move(from), memory);
    if (!whole) return whole;
    whole->file_ = static_cast<const file*>(whole->owned_.get());
    return part_of(std::move(*whole), range, memory);
  }
  /// Opens a file and reads from it on demand.
  [[nodiscard]] static result<source> stream(std::string_view path_utf8, file_range range = {},
                                             memory_resource* memory = nullptr) noexcept {
    auto opened = file::open(path_utf8);
    if (!opened) return opened.error();
    return about(stream(std::move(*opened), range, memory), path_utf8);
  }
#endif

  source(source&& other) noexcept
      : data_(other.data_), size_bytes_(other.size_bytes_), fetcher_(other.fetcher_), owned_(std::move(other.owned_)),
#if STET_FILES
        mapping_(std::move(other.mapping_)), file_(other.file_), file_offset_bytes_(other.file_offset_bytes_),
#endif
        writable_(other.writable_) {
    other.set_resident(nullptr, 0);
    other.fetcher_ = nullptr;
    other.writable_ = false;
  }
  source& operator=(source&& other) noexcept { return detail::move_assign(*this, other); }
  ~source() noexcept = default;

  /// All the bytes; nullptr exactly when they are on demand. Valid until the source is destroyed or assigned
  /// to.
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  /// All the bytes for writing: memory borrowed writable, copy-on-write and shared-write mappings, and memory
  /// that was read into. Otherwise nullptr.
  [[nodiscard]] std::byte* writable_data() noexcept { return writable_ ? const_cast<std::byte*>(data_) : nullptr; }
  /// Whether the resident bytes may be written to.
  [[nodiscard]] bool is_writable() const noexcept { return writable_; }
  /// Lets the bytes only be read from now on.
  void make_read_only() noexcept { writable_ = false; }
  /// How many bytes there are, resident or not.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// How many bytes from `data()` on may be read: at least `size_bytes()`, and of a mapping what is behind them in its last page,
  /// whatever that is. 0 if the bytes are on demand.
  [[nodiscard]] std::uint64_t readable_size_bytes() const noexcept {
    if (fetcher_ != nullptr) return 0;
#if STET_FILES
    if (mapping_.data() != nullptr) return mapping_.readable_size_bytes() - in_mapping(0);
#endif
    return size_bytes_;
  }
  /// What delivers the bytes when they are on demand; nullptr when they are resident. Lives as long as the
  /// bytes.
  [[nodiscard]] const byte_reader* fetcher() const noexcept { return fetcher_; }

  /// Whether the bytes are in a mapping, so that touching them may read the file.
  [[nodiscard]] bool is_mapped() const noexcept {
#if STET_FILES
    return mapping_.data() != nullptr;
#else
    return false;
#endif
  }
#if STET_FILES
  /// The file that is streamed, and where in it the source begins; no file for any other source.
  struct streamed_file {
    /// Lives as long as the bytes; nullptr: none.
    const file* from = nullptr;
    /// The offset in the file of the source's first byte.
    std::uint64_t offset_bytes = 0;
  };
  /// The file that is streamed, if one is.
  [[nodiscard]] streamed_file streamed() const noexcept { return {file_, file_offset_bytes_}; }
#endif

  /// Copies the bytes from `offset_bytes` on into all of `into`, wherever they live.
  /// @retval errc::bad_range  they do not lie within the source; or an error of the reader
  [[nodiscard]] result<void> read_at(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    if (!contains(offset_bytes, into.size())) return error(errc::bad_range, {}, offset_bytes);
    if (fetcher_ != nullptr) return detail::fetch(*fetcher_, offset_bytes, into.data(), into.size());
    if (!into.empty()) std::memcpy(into.data(), data_ + static_cast<std::size_t>(offset_bytes), into.size());
    return {};
  }

  /// Reads a range of a mapping into memory and waits until it is there; nothing to do for any other source.
  /// @retval errc::bad_range  the range does not lie within the source
  /// Cost: one or two system calls. The system may refuse, where memory is short; then touching the bytes reads them.
  result<void> populate(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    if (mapping_.data() != nullptr)
      detail::os::populate_for_reading(data_ + static_cast<std::size_t>(offset_bytes),
                                       static_cast<std::size_t>(size_bytes));
#endif
    return {};
  }

  /// The same bytes in memory: `from` itself if they are there, else all of them read.
  /// @retval errc::too_large, out_of_memory  they do not fit; or an error of the reader
  [[nodiscard]] static result<source> resident(source&& from, memory_resource* memory = nullptr) noexcept {
    if (from.fetcher_ == nullptr) return std::move(from);
    return read(*from.fetcher_, {}, max_alignment_bytes, memory);
  }

  /// A range of the bytes in memory, as a source of its own: where they are if they are resident; mapped, that range alone, if
  /// they are streamed from a file; else read. So a 32-bit program uses files larger than its address space.
  /// Lifetime: what is resident lives as this source does, anything else on its own.
  /// @retval errc::bad_range      the range does not lie within the source
  /// @retval errc::too_large      it does not fit the address space
  /// @retval errc::out_of_memory  no memory, or no address space, is left; or an error of the reader
  [[nodiscard]] result<source> load(file_range range = {}, memory_resource* memory = nullptr) const noexcept {
    const auto part = range.within(size_bytes_);
    if (!part) return part.error();
    if (fetcher_ == nullptr) {
      const std::size_t size_bytes = static_cast<std::size_t>(part->size_bytes);
      std::byte* const at = const_cast<std::byte*>(data_) + static_cast<std::size_t>(part->offset_bytes);
      return writable_ ? borrow_writable({at, size_bytes}) : borrow({at, size_bytes});
    }
#if STET_FILES
    if (file_ != nullptr) {
      result<source> mapped = map(*file_, {file_offset_bytes_ + part->offset_bytes, part->size_bytes});
      if (mapped || mapped.error().code() != errc::unsupported) return mapped;
    }
#endif
    return read(*fetcher_, *part, min_alignment_bytes, memory);
  }

  // Residency of a range. All of them: @retval errc::bad_range  the range does not lie within the source.

  /// Starts reading a range of a mapping ahead of use, without waiting; nothing to do for any other source.
  result<void> prefetch(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    if (mapping_.data() != nullptr) return mapping_.prefetch(in_mapping(offset_bytes), size_bytes);
#endif
    return {};
  }

  /// Asks the system to read only what is touched of a range of a mapping; nothing to do for any other source.
  result<void> stop_read_ahead(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    if (mapping_.data() != nullptr) return mapping_.stop_read_ahead(in_mapping(offset_bytes), size_bytes);
#endif
    return {};
  }

  /// Takes a range of a mapping out of memory until it is next used; nothing to do for any other source.
  /// @retval errc::unsupported  a copy-on-write mapping, whose changes would be lost
  result<void> evict(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (!contains(offset_bytes, size_bytes)) return error(errc::bad_range, {}, offset_bytes);
#if STET_FILES
    if (mapping_.data() != nullptr) return mapping_.evict(in_mapping(offset_bytes), size_bytes);
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
    return mapping_.flush(in_mapping(offset_bytes), size_bytes);
#else
    return errc::unsupported;
#endif
  }

private:
  static constexpr std::size_t min_alignment_bytes = 64;
  static constexpr std::size_t max_alignment_bytes = 65536;

  static result<source> allocate_aligned(std::uint64_t size_bytes, std::size_t alignment_bytes,
                                         memory_resource* memory) noexcept {
    if (size_bytes > PTRDIFF_MAX - max_alignment_bytes) return errc::too_large;
    source made;
    made.writable_ = true;
    if (size_bytes == 0) return made;
    made.owned_ = detail::owned_block::allocate(static_cast<std::size_t>(size_bytes), alignment_bytes, memory);
    if (made.owned_.get() == nullptr) return errc::out_of_memory;
    made.set_resident(static_cast<std::byte*>(made.owned_.get()), static_cast<std::size_t>(size_bytes));
#if STET_FILES
    // Fresh memory costs more than what is then done with it, unless its pages are large.
    constexpr std::uint64_t large_bytes = 4u << 20;
    if (memory == nullptr && size_bytes >= large_bytes)
      detail::os::prefer_large_pages(made.data_, static_cast<std::size_t>(size_bytes));
#endif
    return made;
  }

  void set_resident(const std::byte* data, std::size_t size_bytes) noexcept {
    data_ = data == nullptr ? detail::no_bytes : data;
    size_bytes_ = size_bytes;
  }

#if STET_FILES
  /// Where the byte at `offset_bytes` is in the mapping, of which the source may be a part.
  std::uint64_t in_mapping(std::uint64_t offset_bytes) const noexcept {
    return mapping_.data() == nullptr ? offset_bytes : offset_bytes + static_cast<std::size_t>(data_ - mapping_.data());
  }
#endif

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
  const byte_reader* fetcher_ = nullptr;
  detail::owned_block owned_; // the memory that was read into, or the reader that is kept
#if STET_FILES
  mapping mapping_;
  const file* file_ = nullptr; // what is streamed, from this offset on
  std::uint64_t file_offset_bytes_ = 0;
#endif
  bool writable_ = false;
};

namespace detail {

/// A part of a source on demand, as a reader of its own.
class source_part final : public byte_reader {
public:
  source_part(source&& whole, file_range part) noexcept : whole_(std::move(whole)), part_(part) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return part_.size_bytes; }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes > part_.size_bytes || into.size() > part_.size_bytes - offset_bytes) return errc::bad_range;
    return fetch(*whole_.fetcher(), part_.offset_bytes + offset_bytes, into.data(), into.size());
  }
  [[nodiscard]] bool reads_anywhere() const noexcept override { return whole_.fetcher()->reads_anywhere(); }

private:
  source whole_;
  file_range part_;
};

} // namespace detail

inline result<source> source::part_of(source&& whole, file_range range, memory_resource* memory) noexcept {
  const auto part = range.within(whole.size_bytes());
  if (!part) return part.error();
  if (part->size_bytes == whole.size_bytes()) return std::move(whole);
  if (whole.fetcher_ != nullptr) {
#if STET_FILES
    const file* const streamed = whole.file_;
    const std::uint64_t begin = whole.file_offset_bytes_ + part->offset_bytes;
#endif
    result<source> made = keep(detail::source_part(std::move(whole), *part), memory);
#if STET_FILES
    if (made) made->file_ = streamed;
    if (made) made->file_offset_bytes_ = begin;
#endif
    return made;
  }
  whole.data_ += static_cast<std::size_t>(part->offset_bytes);
  whole.size_bytes_ = part->size_bytes;
  return std::move(whole);
}

} // namespace stet::inline STET_NAMESPACE

#endif
