// SPDX-License-Identifier: MIT
// A range of a file in the address space, without a copy.
#ifndef STET_SOURCE_MAPPING_HPP
#define STET_SOURCE_MAPPING_HPP

#include "file.hpp"

#include "../vocabulary/detail/move_assign.hpp"

#include <cstdint>

namespace stet::inline STET_NAMESPACE {

/// What may be done with bytes in memory, and whether the file sees it.
enum class access : std::uint8_t {
  read_only,     ///< a write is a fault of the program
  copy_on_write, ///< writes stay in this process; a page is copied when it is first written
  shared_write,  ///< writes reach the file and whoever else maps it
};

#if STET_FILES

/// A mapped range of a file. Move-only; unmaps in the end. It needs neither the handle nor the name of the
/// file any more. Another process that shortens the file makes the lost pages fault on access, which no check
/// can prevent: read the file into memory where that must not happen. Threads: const members may be called
/// from several at once.
class mapping {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// An empty mapping.
  mapping() noexcept = default;

  /// Maps `size_bytes` of `from`, which may be 0, starting at any offset.
  /// @param granularity_bytes  what offsets must be a multiple of; for tests, a multiple of the system's
  /// @retval errc::bad_range      the range does not lie within the file
  /// @retval errc::too_large      the range does not fit the address space
  /// @retval errc::access_denied  shared_write on a file that is not open for `open_for::read_write`
  /// @retval errc::out_of_memory  no address space is left
  /// @retval errc::unsupported    the system or the file system cannot map
  /// Cost: one system call (three on Windows), whatever the size; reads nothing yet, allocates nothing.
  [[nodiscard]] static result<mapping> map(const file& from, std::uint64_t offset_bytes, std::uint64_t size_bytes,
                                           access mode = access::read_only,
                                           std::size_t granularity_bytes = detail::os::mapping_granularity()) noexcept {
    if (offset_bytes > from.size_bytes() || size_bytes > from.size_bytes() - offset_bytes) {
      return error(errc::bad_range, {}, offset_bytes);
    }
    mapping made;
    made.mode_ = mode;
    if (size_bytes == 0) return made; // every system refuses to map nothing
    const std::uint64_t slack_bytes = offset_bytes % granularity_bytes;
    if (size_bytes > PTRDIFF_MAX - slack_bytes) return error(errc::too_large, {}, offset_bytes);
    made.slack_bytes_ = static_cast<std::size_t>(slack_bytes);
    made.size_bytes_ = static_cast<std::size_t>(size_bytes);
    const auto base = detail::os::map(from.handle(), offset_bytes - slack_bytes, made.slack_bytes_ + made.size_bytes_,
                                      mode != access::read_only, mode == access::shared_write);
    if (!base) return base.error();
    made.base_ = *base;
    return made;
  }

  mapping(mapping&& other) noexcept
      : base_(other.base_), slack_bytes_(other.slack_bytes_), size_bytes_(other.size_bytes_), mode_(other.mode_) {
    other.base_ = nullptr;
    other.size_bytes_ = 0;
  }
  mapping& operator=(mapping&& other) noexcept { return detail::move_assign(*this, other); }
  ~mapping() noexcept {
    if (base_ != nullptr) detail::os::unmap(base_, slack_bytes_ + size_bytes_);
  }

  /// The mapped bytes; nullptr when there are none.
  [[nodiscard]] const std::byte* data() const noexcept { return begin(); }
  /// The mapped bytes for writing; nullptr when there are none or the mapping is read-only.
  [[nodiscard]] std::byte* writable_data() noexcept { return mode_ == access::read_only ? nullptr : begin(); }
  /// How many bytes are mapped.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  /// How many bytes from `data()` on may be read: those that are mapped, and what is behind them in the last page.
  [[nodiscard]] std::size_t readable_size_bytes() const noexcept {
    if (base_ == nullptr) return 0;
    const std::size_t page = detail::os::readable_granularity();
    return (slack_bytes_ + size_bytes_ + page - 1) / page * page - slack_bytes_;
  }
  /// What the mapping was made for.
  [[nodiscard]] access mode() const noexcept { return mode_; }

  // The calls below act on the whole pages that hold the given range of the mapping. All of them:
  // @retval errc::bad_range  the range does not lie within the mapping
  // @retval errc::io_error   or what else the operating system reports

  /// Asks the system to read a range ahead of use. Returns without waiting for it.
  result<void> prefetch(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    return apply(detail::os::prefetch, offset_bytes, size_bytes);
  }

  /// Asks the system to read only what is touched of a range, where it would read what lies around it, too.
  result<void> stop_read_ahead(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    return apply(detail::os::stop_read_ahead, offset_bytes, size_bytes);
  }

  /// Takes a range out of the process's memory; it is read again from the file when next used. Not for locked
  /// ranges.
  /// @retval errc::unsupported  a copy-on-write mapping, whose changes would be lost
  result<void> evict(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (mode_ == access::copy_on_write) return errc::unsupported;
    return apply(detail::os::evict, offset_bytes, size_bytes);
  }

  /// Reads a range and keeps it in memory until `unlock`. Locks do not nest.
  /// @retval errc::out_of_memory  memory or the process's limit for locked memory is exhausted
  /// @retval errc::unsupported    WebAssembly
  result<void> lock(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    return apply(detail::os::lock, offset_bytes, size_bytes);
  }

  /// Ends what `lock` began.
  result<void> unlock(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    return apply(detail::os::unlock, offset_bytes, size_bytes);
  }

  /// Writes the changes of a range to the file and waits for the disk (on Windows: for the system's cache).
  /// @retval errc::unsupported  not a shared_write mapping
  result<void> flush(std::uint64_t offset_bytes, std::uint64_t size_bytes) const noexcept {
    if (mode_ != access::shared_write) return errc::unsupported;
    return apply(detail::os::flush, offset_bytes, size_bytes);
  }

private:
  std::byte* begin() const noexcept { return base_ == nullptr ? nullptr : base_ + slack_bytes_; }

  result<void> apply(result<void> (*call)(const std::byte*, std::size_t) noexcept, std::uint64_t offset_bytes,
                     std::uint64_t size_bytes) const noexcept {
    if (offset_bytes > size_bytes_ || size_bytes > size_bytes_ - offset_bytes) {
      return error(errc::bad_range, {}, offset_bytes);
    }
    if (size_bytes == 0) return {};
    return call(begin() + static_cast<std::size_t>(offset_bytes), static_cast<std::size_t>(size_bytes));
  }

  std::byte* base_ = nullptr;
  std::size_t slack_bytes_ = 0; // from the start of the mapped pages to the first byte asked for
  std::size_t size_bytes_ = 0;
  access mode_ = access::read_only;
};

#endif

} // namespace stet::inline STET_NAMESPACE

#endif
