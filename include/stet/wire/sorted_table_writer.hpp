// SPDX-License-Identifier: MIT
// Writes sorted tables with the same bytes as TensorFlow: uncompressed, with an empty metaindex.
#ifndef STET_WIRE_SORTED_TABLE_WRITER_HPP
#define STET_WIRE_SORTED_TABLE_WRITER_HPP

#include "sorted_table.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Writes one block (sorted_table.hpp, "A table file").
class table_block_writer {
public:
  /// Writes a restart every `restart_interval` ≥ 1 entries.
  explicit table_block_writer(std::uint32_t restart_interval) : restart_interval_(restart_interval) {}

  /// Appends an entry; `key` is greater than the one before it.
  void add(std::string_view key, std::string_view value) {
    std::size_t shared = 0;
    if (entry_count_ % restart_interval_ == 0) {
      restarts_.push_back(static_cast<std::uint32_t>(bytes_.size()));
    } else {
      while (shared < key_.size() && shared < key.size() && key_[shared] == key[shared]) ++shared;
    }
    append_varint(bytes_, shared);
    append_varint(bytes_, key.size() - shared);
    append_varint(bytes_, value.size());
    bytes_.append(key.substr(shared)).append(value);
    key_.resize(shared);
    key_.append(key.substr(shared));
    ++entry_count_;
  }

  [[nodiscard]] bool is_empty() const noexcept { return entry_count_ == 0; }
  /// The last key.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  /// The size of the block if nothing else is added.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return bytes_.size() + restarts_.size() * 4 + 4; }

  /// Returns the finished block, and begins another.
  std::string take() {
    if (restarts_.empty()) restarts_.push_back(0);
    for (const std::uint32_t restart : restarts_) append_little(bytes_, restart);
    append_little(bytes_, static_cast<std::uint32_t>(restarts_.size()));
    restarts_.clear();
    entry_count_ = 0;
    key_.clear();
    return std::exchange(bytes_, {});
  }

  static void append_little(std::string& into, std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8) into.push_back(static_cast<char>(value >> shift & 0xFF));
  }

private:
  std::string bytes_, key_;
  std::vector<std::uint32_t> restarts_;
  std::uint32_t restart_interval_, entry_count_ = 0;
};

/// Writes a table file in memory.
class sorted_table_writer {
public:
  /// A block ends when it exceeds `block_size_bytes`. The default is that of TensorFlow's checkpoints.
  explicit sorted_table_writer(std::size_t block_size_bytes = std::size_t{1} << 18)
      : block_size_bytes_(block_size_bytes) {}

  /// Appends an entry; `key` is greater than the one before it.
  void add(std::string_view key, std::string_view value) {
    // TensorFlow begins a new block for a large value.
    if (!block_.is_empty() && value.size() >= 2 * block_size_bytes_) flush();
    if (has_handle_) {
      // The separator may be any key from the last one of a block up to, but not including, the first of the next: a short one.
      index_.add(separator(block_key_, key), handle_);
      has_handle_ = false;
    }
    block_.add(key, value);
    if (block_.size_bytes() >= block_size_bytes_) flush();
  }

  /// Returns the finished table and leaves the writer empty.
  std::string finish() {
    flush();
    const std::string metaindex = append_block(table_block_writer(1).take());
    if (has_handle_) index_.add(successor(block_key_), handle_);
    has_handle_ = false;
    std::string footer = metaindex + append_block(index_.take());
    footer.resize(table_layout::footer_size - 8, '\0');
    for (const unsigned shift : {0u, 32u}) {
      table_block_writer::append_little(footer, static_cast<std::uint32_t>(table_layout::magic >> shift));
    }
    return std::exchange(file_, {}) + footer;
  }

private:
  void flush() {
    if (block_.is_empty()) return;
    block_key_ = block_.key();
    handle_ = append_block(block_.take());
    has_handle_ = true;
  }

  /// Appends a block and its trailer to the file. @return the handle of the block
  std::string append_block(std::string block) {
    std::string handle;
    append_varint(handle, file_.size());
    append_varint(handle, block.size());
    block.push_back(static_cast<char>(table_layout::none));
    const std::uint32_t crc = crc32c({reinterpret_cast<const std::byte*>(block.data()), block.size()});
    table_block_writer::append_little(block, mask_crc32c(crc));
    file_ += block;
    return handle;
  }

  /// The shortest key that is at least `last` and less than `next`, if one byte of `last` can be incremented; else `last`.
  /// Source: google/leveldb, util/comparator.cc, FindShortestSeparator.
  static std::string separator(std::string_view last, std::string_view next) {
    std::size_t same = 0;
    while (same < last.size() && same < next.size() && last[same] == next[same]) ++same;
    if (same < last.size() && same < next.size()) {
      const unsigned char low = static_cast<unsigned char>(last[same]), high = static_cast<unsigned char>(next[same]);
      if (low < 0xFF && low + 1 < high) return std::string(last.substr(0, same)) + static_cast<char>(low + 1);
    }
    return std::string(last);
  }

  /// A short key that is at least `last`: cut after the first byte that can be incremented, which is incremented.
  /// Source: google/leveldb, util/comparator.cc, FindShortSuccessor.
  static std::string successor(std::string_view last) {
    for (std::size_t i = 0; i < last.size(); ++i) {
      const unsigned char byte = static_cast<unsigned char>(last[i]);
      if (byte != 0xFF) return std::string(last.substr(0, i)) + static_cast<char>(byte + 1);
    }
    return std::string(last);
  }

  std::string file_, block_key_, handle_;
  table_block_writer block_{16}, index_{1};
  std::size_t block_size_bytes_;
  bool has_handle_ = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
