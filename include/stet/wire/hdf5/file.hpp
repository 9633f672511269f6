// SPDX-License-Identifier: MIT
// An HDF5 file in memory: its superblock, access by address, and a budget for everything that is read.
#ifndef STET_WIRE_HDF5_FILE_HPP
#define STET_WIRE_HDF5_FILE_HPP

#include "checksum.hpp"

#include "../cursor.hpp"

#include "../../vocabulary/detail/checked.hpp"
#include "../../vocabulary/inflate.hpp"
#include "../../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view hdf5_signature = "\x89HDF\r\n\x1a\n";

/// An object of a global heap (heap.hpp), in place.
struct hdf5_heap_object {
  std::uint32_t number;
  std::span<const std::byte> bytes;
};

/// An object that a fractal heap (heap.hpp) stores outside of its blocks.
struct hdf5_huge_object {
  std::uint64_t address = 0, size_bytes = 0;
  /// For a heap with filters: the filters that were not applied, and the size without filters.
  std::uint32_t filter_mask = 0;
  std::uint64_t unfiltered_size_bytes = 0;
};

/// The parts of a fractal heap that have been read, so that each is read once.
struct hdf5_heap_contents {
  /// Blocks that have been checked, by address.
  std::set<std::uint64_t> sound_blocks;
  /// The bytes of filtered blocks and objects without their filters, by address.
  std::map<std::uint64_t, std::vector<std::byte>> unfiltered;
  /// Objects outside of the blocks, by id, after they have been read.
  std::map<std::uint64_t, hdf5_huge_object> huge;
  bool has_huge = false;
};

/// An index of shared messages: the types of its messages, one bit each, and the fractal heap that stores them.
struct hdf5_shared_index {
  std::uint16_t types = 0;
  std::uint64_t heap = 0;
};

/// A function that undoes filters, which the reader of the format supplies.
/// @param pipeline  the filter pipeline message that lists the filters
/// @param mask      the filters that were not applied to `stored`, one bit each
/// @param into      receives the bytes; its size is the size without filters
using hdf5_undo_filters = result<void> (*)(std::span<const std::byte> pipeline, std::uint32_t mask,
                                           std::span<const std::byte> stored, std::span<std::byte> into,
                                           inflate_function inflate);

/// The structures of an HDF5 file in memory, which must outlive it. Addresses count from the superblock.
///
/// Everything that is read, and everything that is allocated for it, is charged to a budget in proportion to the file.
/// Structures that form a cycle, or that refer to one place many times, therefore end in an error. Valid files read each
/// structure a few times and stay far below the budget. Not safe from several threads at once.
class hdf5_file {
public:
  /// The address that means "none".
  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};

  /// Finds the superblock (version 0 to 3) of the file that fills `bytes`.
  /// @retval errc::bad_magic    there is no superblock at byte 0, 512, 1024, 2048 and so on
  /// @retval errc::truncated    the file is shorter than it states
  /// @retval errc::unsupported  addresses do not have 8 bytes, or the version is unknown
  /// @retval errc::bad_hdf5     the superblock is damaged
  static result<hdf5_file> open(std::span<const std::byte> bytes) noexcept {
    for (std::uint64_t at = 0; at < bytes.size(); at = at == 0 ? 512 : at * 2) {
      byte_cursor mark(bytes.subspan(static_cast<std::size_t>(at)));
      if (!mark.take_mark(hdf5_signature)) continue;
      hdf5_file made(bytes, static_cast<std::size_t>(at));
      if (const errc failure = made.read_superblock(); failure != errc{}) return error(failure, {}, at);
      return made;
    }
    return error(bytes.size() < hdf5_signature.size() ? errc::truncated : errc::bad_magic, {}, 0);
  }

  /// Sets the function that undoes the filters of heaps. Without it, heaps with filters are errc::unsupported.
  void read_filters_with(hdf5_undo_filters undo, inflate_function inflate) noexcept {
    undo_ = undo;
    inflate_ = inflate;
  }
  /// Undoes the filters of a structure. Errors: those of the function that `read_filters_with` has set.
  result<void> undo_filters(std::span<const std::byte> pipeline, std::uint32_t mask, std::span<const std::byte> stored,
                            std::span<std::byte> into) const {
    if (undo_ == nullptr) return errc::unsupported;
    return undo_(pipeline, mask, stored, into, inflate_);
  }

  /// The address of the root group's object header.
  [[nodiscard]] std::uint64_t root() const noexcept { return root_; }
  /// The address of the superblock extension, which leads to shared messages; `nowhere` if there is none.
  [[nodiscard]] std::uint64_t extension() const noexcept { return extension_; }
  /// The offset of address 0 in the bytes.
  [[nodiscard]] std::uint64_t base_bytes() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return bytes_.size(); }

  /// True if the range is within the file.
  [[nodiscard]] bool contains(std::uint64_t address, std::uint64_t size_bytes) const noexcept {
    return range_fits(address, size_bytes, bytes_.size());
  }

  /// The address of bytes of the file.
  [[nodiscard]] std::uint64_t address_of(std::span<const std::byte> part) const noexcept {
    return static_cast<std::uint64_t>(part.data() - bytes_.data());
  }

  /// A cursor over the bytes at an address, which are charged. It is empty and not good if the range is not within the
  /// file or the budget is exhausted.
  [[nodiscard]] byte_cursor at(std::uint64_t address, std::uint64_t size_bytes) noexcept {
    byte_cursor made;
    if (!contains(address, size_bytes) || !charge(size_bytes)) {
      made.fail();
      return made;
    }
    return byte_cursor(bytes_.subspan(static_cast<std::size_t>(address), static_cast<std::size_t>(size_bytes)));
  }
  /// A cursor from an address to the end of the file. The caller charges the bytes that it takes.
  [[nodiscard]] byte_cursor from(std::uint64_t address) noexcept {
    byte_cursor made = at(address, 0);
    return made.is_good() ? byte_cursor(bytes_.subspan(static_cast<std::size_t>(address))) : made;
  }
  /// A cursor over bytes that end in their lookup3 checksum, without the checksum. It is also not good if the checksum
  /// is wrong.
  [[nodiscard]] byte_cursor checked_at(std::uint64_t address, std::uint64_t size_bytes) noexcept {
    byte_cursor made = at(address, size_bytes);
    const std::span<const std::byte> all = made.rest();
    if (!made.is_good() || all.size() < 4 ||
        lookup3(all.first(all.size() - 4)) != load_little<std::uint32_t>(all.data() + all.size() - 4)) {
      made.fail();
      return made;
    }
    return byte_cursor(all.first(all.size() - 4));
  }

  /// Charges `size_bytes` + 8 to the read budget. Returns false when the budget is exhausted.
  [[nodiscard]] bool charge(std::uint64_t size_bytes) noexcept {
    constexpr std::uint64_t overhead_bytes = 8;
    if (size_bytes > budget_ || overhead_bytes > budget_ - size_bytes) return budget_ = 0, false;
    budget_ -= size_bytes + overhead_bytes;
    return true;
  }

  /// The global heaps that have been read, by address.
  [[nodiscard]] std::map<std::uint64_t, std::vector<hdf5_heap_object>>& collections() noexcept { return collections_; }

  /// The parts that have been read of the fractal heap at an address.
  [[nodiscard]] hdf5_heap_contents& heap(std::uint64_t address) { return heaps_[address]; }
  /// The indexes of shared messages (object.hpp), and whether they have been read.
  [[nodiscard]] std::vector<hdf5_shared_index>& shared_indexes() noexcept { return shared_indexes_; }
  [[nodiscard]] bool& has_shared_indexes() noexcept { return has_shared_indexes_; }

  static error bad(std::uint64_t address, std::string_view subject = {}) noexcept {
    return error(errc::bad_hdf5, subject, address);
  }

private:
  hdf5_file(std::span<const std::byte> bytes, std::size_t base) noexcept
      : bytes_(bytes.subspan(base)), base_(base), budget_(std::uint64_t{bytes.size()} * 16 + (1u << 20)) {}

  errc read_superblock() noexcept {
    byte_cursor block(bytes_);
    block.skip(hdf5_signature.size());
    const std::uint8_t version = block.take_u8();
    if (!block.is_good()) return errc::truncated;
    if (version > 3) return errc::unsupported;
    if (version < 2) block.skip(4);
    const std::uint8_t offset_size = block.take_u8(), length_size = block.take_u8();
    if (block.is_good() && (offset_size != 8 || length_size != 8)) return errc::unsupported;
    block.skip(version == 0 ? 9 : version == 1 ? 13 : 1);
    const std::uint64_t base = block.take_u64();
    const std::uint64_t extension = block.take_u64();
    if (version >= 2) extension_ = extension;
    const std::uint64_t end = block.take_u64();
    if (version < 2) block.skip(8 + 8);
    root_ = block.take_u64();
    if (!block.is_good()) return errc::truncated;
    if (version >= 2) {
      const std::size_t size = bytes_.size() - block.left();
      const std::uint32_t checksum = block.take_u32();
      if (!block.is_good()) return errc::truncated;
      if (lookup3(bytes_.first(size)) != checksum) return errc::bad_hdf5;
    }
    // Addresses count from the superblock, even if other bytes were put in front of the file after it was made. The
    // stored base address is used only to compute the end of the file.
    if (end < base) return errc::bad_hdf5;
    if (end - base > bytes_.size()) return errc::truncated;
    return root_ < bytes_.size() ? errc{} : errc::bad_hdf5;
  }

  std::span<const std::byte> bytes_;
  std::uint64_t base_, budget_, root_ = 0, extension_ = nowhere;
  std::map<std::uint64_t, std::vector<hdf5_heap_object>> collections_;
  std::map<std::uint64_t, hdf5_heap_contents> heaps_;
  std::vector<hdf5_shared_index> shared_indexes_;
  hdf5_undo_filters undo_ = nullptr;
  inflate_function inflate_ = nullptr;
  bool has_shared_indexes_ = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
