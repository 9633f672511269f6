// SPDX-License-Identifier: MIT
// An HDF5 file as bytes at addresses: the superblock, and bounds for all that is read after it.
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

/// An object of a global heap (heap.hpp), where it lies.
struct hdf5_heap_object {
  std::uint32_t number;
  std::span<const std::byte> bytes;
};

/// An object that a fractal heap (heap.hpp) keeps outside of its blocks.
struct hdf5_huge_object {
  std::uint64_t address = 0, size_bytes = 0;
  /// Where the heap has filters: those it did not go through, and its size without them.
  std::uint32_t filter_mask = 0;
  std::uint64_t unfiltered_size_bytes = 0;
};

/// What was read of a fractal heap so far, so that it is read once.
struct hdf5_heap_contents {
  /// Blocks that were found sound, by address.
  std::set<std::uint64_t> sound_blocks;
  /// What filtered blocks and objects are without their filters, by address.
  std::map<std::uint64_t, std::vector<std::byte>> unfiltered;
  /// Objects outside of the blocks, by id, once they are read.
  std::map<std::uint64_t, hdf5_huge_object> huge;
  bool has_huge = false;
};

/// An index of shared messages: the types of message in it, a bit each, and the fractal heap that has them.
struct hdf5_shared_index {
  std::uint16_t types = 0;
  std::uint64_t heap = 0;
};

/// Undoes filters, which are of no file's syntax but of its formats.
/// @param pipeline  the filter pipeline message that lists them
/// @param mask      which of them `stored` did not go through
/// @param into      as many bytes as there were before
using hdf5_undo_filters = result<void> (*)(std::span<const std::byte> pipeline, std::uint32_t mask,
                                           std::span<const std::byte> stored, std::span<std::byte> into,
                                           inflate_function inflate);

/// The structures of an HDF5 file in memory, which must outlive it. Addresses count from the superblock.
///
/// What is read, and what is made of it in memory, is charged to a budget in proportion to the file, so that
/// structures which lead to each other, or to one place many times over, end in an error. Sound files read
/// each structure a few times and come nowhere near it. Not for several threads at once.
class hdf5_file {
public:
  /// Where nothing is.
  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};

  /// Finds the superblock, of version 0 to 3, of the file that fills `bytes`.
  /// @retval errc::bad_magic    there is none where one may be: at byte 0, 512, 1024, 2048 and so on
  /// @retval errc::truncated    the file is shorter than it says
  /// @retval errc::unsupported  addresses are not of 8 bytes, or the version is another
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

  /// Gives the filters that heaps with filters are read with; without, they are errc::unsupported.
  void read_filters_with(hdf5_undo_filters undo, inflate_function inflate) noexcept {
    undo_ = undo;
    inflate_ = inflate;
  }
  /// Undoes the filters of a structure. Errors: those of the function that was given.
  result<void> undo_filters(std::span<const std::byte> pipeline, std::uint32_t mask, std::span<const std::byte> stored,
                            std::span<std::byte> into) const {
    if (undo_ == nullptr) return errc::unsupported;
    return undo_(pipeline, mask, stored, into, inflate_);
  }

  /// The address of the root group's object header.
  [[nodiscard]] std::uint64_t root() const noexcept { return root_; }
  /// That of the superblock extension, which tells of shared messages; `nowhere` if there is none.
  [[nodiscard]] std::uint64_t extension() const noexcept { return extension_; }
  /// Where in the bytes address 0 is.
  [[nodiscard]] std::uint64_t base_bytes() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return bytes_.size(); }

  /// True if so many bytes at this address lie in the file.
  [[nodiscard]] bool contains(std::uint64_t address, std::uint64_t size_bytes) const noexcept {
    return range_fits(address, size_bytes, bytes_.size());
  }

  /// The address of bytes that were read from the file.
  [[nodiscard]] std::uint64_t address_of(std::span<const std::byte> part) const noexcept {
    return static_cast<std::uint64_t>(part.data() - bytes_.data());
  }

  /// The bytes at an address; empty, and a cursor over them not good, if they do not lie in the file or the
  /// budget is spent.
  [[nodiscard]] byte_cursor at(std::uint64_t address, std::uint64_t size_bytes) noexcept {
    byte_cursor made;
    if (!contains(address, size_bytes) || !charge(size_bytes)) {
      made.fail();
      return made;
    }
    return byte_cursor(bytes_.subspan(static_cast<std::size_t>(address), static_cast<std::size_t>(size_bytes)));
  }
  /// As `at`, from an address to the end of the file; what is taken has to be charged.
  [[nodiscard]] byte_cursor from(std::uint64_t address) noexcept {
    byte_cursor made = at(address, 0);
    return made.is_good() ? byte_cursor(bytes_.subspan(static_cast<std::size_t>(address))) : made;
  }
  /// Bytes that end in a lookup3 checksum of those before; not good also if that is wrong. The checksum is
  /// left out.
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

  /// Takes so many bytes, and a little for the trouble, off the budget; false if it is spent.
  [[nodiscard]] bool charge(std::uint64_t size_bytes) noexcept {
    constexpr std::uint64_t trouble = 8;
    if (size_bytes > budget_ || trouble > budget_ - size_bytes) return budget_ = 0, false;
    budget_ -= size_bytes + trouble;
    return true;
  }

  /// The global heaps that were read, by address.
  [[nodiscard]] std::map<std::uint64_t, std::vector<hdf5_heap_object>>& collections() noexcept { return collections_; }

  /// The fractal heaps that were read, by address.
  [[nodiscard]] hdf5_heap_contents& heap(std::uint64_t address) { return heaps_[address]; }
  /// The indexes of shared messages (object.hpp), and whether they were read.
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
    // Addresses count from where the superblock is, even if the file was put behind other bytes after it was
    // made; what it says itself of its base tells only where it ends.
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
