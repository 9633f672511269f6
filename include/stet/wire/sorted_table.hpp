// SPDX-License-Identifier: MIT
// Reads sorted tables of keys and values in LevelDB's layout, in order, and checks every byte.
#ifndef STET_WIRE_SORTED_TABLE_HPP
#define STET_WIRE_SORTED_TABLE_HPP

#include "masked_crc32c.hpp"
#include "snappy.hpp"
#include "varint.hpp"

#include "../bytes/crc32c.hpp"
#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/detail/endian.hpp"
#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

// A table file
// ============
//
//   data blocks | metaindex block | index block | footer; each block is followed by its trailer
//
//   trailer  u8 compression (0 none, 1 snappy) | u32 masked CRC-32C of the block as stored and of the byte before
//   handle   varint offset | varint size of a block, without its trailer
//   footer   handle of the metaindex | handle of the index | zeros up to byte 40 | magic, 8 bytes
//   block    entries | u32 offset of each restart | u32 count of the restarts
//   entry    varint32 shared | varint32 unshared | varint32 value size | unshared bytes of the key | value
//
// A key is the first `shared` bytes of the key before it and its unshared bytes; at a restart it shares none. Keys ascend
// bytewise over all data blocks. An entry of the index block has the handle of a data block as its value; its key is at least
// every key of that block and less than every later one. What the metaindex points at is not used.
// Source: google/leveldb, doc/table_format.md.

namespace stet::inline STET_NAMESPACE::detail {

/// Sizes and marks of a table file.
struct table_layout {
  static constexpr std::size_t footer_size = 48, trailer_size = 5;
  static constexpr std::uint64_t magic = 0xDB4775248B80FB57u;
  enum compression : std::uint8_t { none = 0, snappy = 1 };
  /// The largest total size of the keys of a table of this size. A key can share nearly all of its bytes with the key before
  /// it, so a small file could contain keys of any total size. Writers restart every 16 entries, so their tables stay below
  /// 16 times the size.
  static constexpr std::uint64_t max_key_bytes(std::uint64_t file_size_bytes) noexcept {
    return (std::uint64_t{1} << 20) + 32 * file_size_bytes;
  }
};

/// True if a file with the last bytes `end` (at least 48, unless it is shorter) ends with the footer of a table.
inline bool is_sorted_table(std::span<const std::byte> end) noexcept {
  return end.size() >= table_layout::footer_size &&
         load_little<std::uint64_t>(end.data() + end.size() - 8) == table_layout::magic;
}

/// Walks over the entries of one decompressed block.
class table_block {
public:
  /// Begins before the first entry of `contents`, which must outlive the walk. `key()` keeps the last key of the previous
  /// block until `next` is called.
  /// @return  false if the restarts are not within the block
  [[nodiscard]] bool open(std::span<const std::byte> contents) noexcept {
    begin_ = at_ = entry_ = contents.data();
    is_whole_ = contents.size() >= 4;
    if (!is_whole_) return false;
    const std::uint32_t count = load_little<std::uint32_t>(begin_ + contents.size() - 4);
    is_whole_ = count <= (contents.size() - 4) / 4;
    if (!is_whole_) return false;
    restarts_end_ = begin_ + contents.size() - 4;
    end_ = restart_ = restarts_end_ - std::size_t{count} * 4;
    is_first_ = true;
    return true;
  }

  /// Goes to the next entry. Its key must be greater than the key before it, and may share bytes with it except at a restart.
  /// @return  false at the end, and where the block is malformed (then `!is_whole()`)
  /// Cost: copies the unshared bytes of the key; allocates only for a key longer than all keys before it.
  [[nodiscard]] bool next() {
    entry_ = at_;
    // Each restart must be an entry, and the first restart the first entry. An empty block may have only that restart.
    const bool is_restart = restart_ != restarts_end_ && offset_bytes() == load_little<std::uint32_t>(restart_);
    if (is_restart) restart_ += 4;
    if (at_ == end_) {
      is_whole_ = restart_ == restarts_end_ && (!is_restart || is_first_);
      return false;
    }
    std::uint32_t shared = 0, unshared = 0, value_size = 0;
    if (!read_sizes(shared, unshared, value_size)) return fail();
    if (std::uint64_t{unshared} + value_size > static_cast<std::uint64_t>(end_ - at_)) return fail();
    if (shared > key_.size() || ((is_restart || is_first_) && shared != 0) || (is_first_ && !is_restart)) return fail();
    const std::string_view tail(reinterpret_cast<const char*>(at_), unshared);
    if (!is_first_ && tail <= std::string_view(key_).substr(shared)) return fail();
    is_first_ = false;
    key_.resize(shared);
    key_.append(tail);
    value_ = at_ + unshared;
    at_ = value_ + value_size;
    return true;
  }

  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }
  /// The key; valid until the next call.
  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  /// The value, in place in the block.
  [[nodiscard]] std::span<const std::byte> value() const noexcept { return {value_, at_}; }
  /// The offset in the block of the entry that `next` went to or failed at.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return static_cast<std::uint64_t>(entry_ - begin_); }

private:
  bool fail() noexcept { return is_whole_ = false; }

  bool read_sizes(std::uint32_t& shared, std::uint32_t& unshared, std::uint32_t& value_size) noexcept {
    // Each nearly always takes one byte.
    if (end_ - at_ >= 3 && ((at_[0] | at_[1] | at_[2]) & std::byte{0x80}) == std::byte{0}) {
      shared = static_cast<std::uint32_t>(at_[0]);
      unshared = static_cast<std::uint32_t>(at_[1]);
      value_size = static_cast<std::uint32_t>(at_[2]);
      at_ += 3;
      return true;
    }
    const std::byte* at = at_;
    for (std::uint32_t* const size : {&shared, &unshared, &value_size}) {
      at = read_varint(at, end_, *size);
      if (at == nullptr) return false;
    }
    at_ = at;
    return true;
  }

  std::string key_;
  const std::byte* begin_ = nullptr;
  const std::byte* entry_ = nullptr;
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  const std::byte* value_ = nullptr;
  const std::byte* restart_ = nullptr; // the next one that is not reached yet
  const std::byte* restarts_end_ = nullptr;
  bool is_first_ = true, is_whole_ = true;
};

/// Walks over the entries of a table in memory, which must outlive it.
///
///     sorted_table table;
///     if (auto opened = table.open(file); !opened) return opened;
///     while (table.next()) use(table.key(), table.value());
///     if (!table.is_whole()) return table.failure();
class sorted_table {
public:
  /// Begins before the first entry of the table that fills `file`.
  /// @retval errc::truncated        the file is shorter than a footer
  /// @retval errc::bad_magic        the file is not a table
  /// @retval errc::bad_table        a block is outside of its place
  /// @retval errc::table_checksum   the index or metaindex block is damaged
  /// @retval errc::bad_compression  that block is compressed by an unknown method, or damaged
  /// Cost: reads the index block; allocates only if the block is compressed.
  result<void> open(std::span<const std::byte> file) {
    using layout = table_layout;
    if (file.size() < layout::footer_size) return error(errc::truncated, {}, file.size());
    if (!is_sorted_table(file)) return error(errc::bad_magic, {}, file.size() - 8);
    file_ = file.first(file.size() - layout::footer_size);
    block_end_ = 0;
    keys_left_ = table_layout::max_key_bytes(file.size());
    handle metaindex, index;
    const std::byte* at = file.data() + file_.size();
    const std::byte* const end = at + layout::footer_size - 8;
    if (!read_handle(at, end, metaindex) || !read_handle(at, end, index))
      return error(errc::bad_table, "footer", file_.size());
    std::span<const std::byte> contents;
    if (auto loaded = load_block(metaindex, decompressed_, contents); !loaded) return loaded;
    if (auto loaded = load_block(index, decompressed_index_, contents); !loaded) return loaded;
    if (!index_.open(contents)) return error(errc::bad_table, {}, index.offset);
    index_offset_ = index.offset;
    (void)block_.open(empty_block);
    return {};
  }

  /// Goes to the next entry.
  /// @return  false at the end, and where the table is damaged (then `!is_whole()`)
  /// Cost: copies a few bytes of the key. At the beginning of a block, reads the block, and allocates if it is compressed.
  [[nodiscard]] bool next() {
    for (;;) {
      if (block_.next()) {
        if (!count_key(block_.key())) return false;
        if (has_separator_ && block_.key() <= separator_) return fail_in_block();
        has_separator_ = false;
        return true;
      }
      if (!block_.is_whole() || block_.key() > index_.key()) return fail_in_block();
      if (!next_block()) return false;
    }
  }

  [[nodiscard]] bool is_whole() const noexcept { return failure_.code() == errc{}; }
  /// The error of a damaged table; requires `!is_whole()`: errc::bad_table, errc::table_checksum, errc::bad_compression, or
  /// errc::too_large (the keys have more bytes than `table_layout::max_key_bytes`). Its offset is that of the entry in the
  /// file, or of its block if that is compressed.
  [[nodiscard]] const error& failure() const noexcept { return failure_; }

  /// The key; valid until the next call.
  [[nodiscard]] std::string_view key() const noexcept { return block_.key(); }
  /// The value; valid as long as the file if it is in place, else until the next call.
  [[nodiscard]] std::span<const std::byte> value() const noexcept { return block_.value(); }
  /// True if the block is not compressed, so that the value is in place in the file.
  [[nodiscard]] bool is_in_place() const noexcept { return is_in_place_; }
  /// The offset in the file of the entry, or of its block if that is compressed.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept {
    return block_offset_ + (is_in_place_ ? block_.offset_bytes() : 0);
  }

private:
  struct handle {
    std::uint64_t offset = 0, size = 0;
  };
  /// A block without entries.
  static constexpr std::byte empty_block[4] = {};

  static bool read_handle(const std::byte*& at, const std::byte* end, handle& into) noexcept {
    at = read_varint(at, end, into.offset);
    if (at != nullptr) at = read_varint(at, end, into.size);
    return at != nullptr;
  }

  bool fail(const error& failure) noexcept {
    failure_ = failure;
    return false;
  }
  /// Adds the size of a key to the total; fails if the total is too large.
  bool count_key(std::string_view key) noexcept {
    if (key.size() > keys_left_) return fail(error(errc::too_large, "keys", offset_bytes()));
    keys_left_ -= key.size();
    return true;
  }
  bool fail_in_block() noexcept { return fail(error(errc::bad_table, {}, offset_bytes())); }

  /// Sets `contents` to the block at `at`: in place in the file, or decompressed into `memory`.
  result<void> load_block(const handle& at, std::string& memory, std::span<const std::byte>& contents) {
    std::uint64_t size = 0;
    if (!checked_add(at.size, table_layout::trailer_size, size) || !range_fits(at.offset, size, file_.size())) {
      return error(errc::bad_table, {}, at.offset);
    }
    contents = file_.subspan(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.size));
    const std::byte* const trailer = contents.data() + contents.size();
    const std::uint32_t crc = crc32c({contents.data(), contents.size() + 1});
    if (mask_crc32c(crc) != load_little<std::uint32_t>(trailer + 1)) return error(errc::table_checksum, {}, at.offset);
    const bool is_compressed = *trailer == std::byte{table_layout::snappy};
    if (!is_compressed && *trailer != std::byte{table_layout::none}) return error(errc::bad_compression, {}, at.offset);
    if (!is_compressed) return {};
    const auto opened = open_snappy(contents);
    if (!opened) return error(errc::bad_compression, {}, at.offset);
    memory.resize(opened->size_bytes);
    std::byte* const into = reinterpret_cast<std::byte*>(memory.data());
    if (!decompress_snappy(*opened, into)) return error(errc::bad_compression, {}, at.offset);
    contents = {into, memory.size()};
    return {};
  }

  /// Opens the block of the next entry of the index; false if there is none or the block is damaged.
  bool next_block() {
    separator_ = index_.key();
    has_separator_ = has_block_;
    if (!index_.next()) {
      return index_.is_whole() ? false : fail(error(errc::bad_table, {}, index_offset_));
    }
    if (!count_key(index_.key())) return false;
    handle at;
    const std::span<const std::byte> value = index_.value();
    const std::byte* from = value.data();
    // Blocks must follow one another, so that no byte is read twice for any number of entries of the index.
    if (!read_handle(from, from + value.size(), at) || at.offset < block_end_)
      return fail(error(errc::bad_table, {}, index_offset_));
    std::span<const std::byte> contents;
    if (const auto loaded = load_block(at, decompressed_, contents); !loaded) return fail(loaded.error());
    block_end_ = at.offset + at.size + table_layout::trailer_size;
    block_offset_ = at.offset;
    is_in_place_ = contents.data() == file_.data() + at.offset;
    has_block_ = true;
    return block_.open(contents) ? true : fail(error(errc::bad_table, {}, at.offset));
  }

  std::span<const std::byte> file_; // without the footer
  table_block index_, block_;
  std::string decompressed_index_, decompressed_, separator_;
  error failure_{errc{}};
  std::uint64_t index_offset_ = 0, block_offset_ = 0, block_end_ = 0, keys_left_ = 0;
  bool is_in_place_ = true, has_block_ = false, has_separator_ = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
