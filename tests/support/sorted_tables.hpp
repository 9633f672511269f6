// SPDX-License-Identifier: MIT
// Makes sorted tables of blocks as a test wants them, sound or not, with checksums that fit.
#ifndef STET_TESTS_SUPPORT_SORTED_TABLES_HPP
#define STET_TESTS_SUPPORT_SORTED_TABLES_HPP

#include <stet/wire/sorted_table_writer.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// A copy of text in a block of exactly its size, so that a sanitizer sees any over-read.
class exact_text {
 public:
  explicit exact_text(std::string_view text) : size_(text.size()), block_(new std::byte[text.size()]) {
    if (!text.empty())
      std::memcpy(block_.get(), text.data(), text.size());
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {block_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> block_;
};

inline std::string little32(std::uint32_t value) {
  std::string bytes;
  stet::detail::table_block_writer::append_little(bytes, value);
  return bytes;
}

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  stet::detail::append_varint(bytes, value);
  return bytes;
}

/// An entry of a block, its three sizes as given.
inline std::string raw_entry(std::uint64_t shared, std::uint64_t unshared, std::uint64_t value_size, std::string_view rest) {
  return varint(shared) + varint(unshared) + varint(value_size) + std::string(rest);
}

/// A block of these entries, which share nothing; only the first is a restart.
inline std::string block_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string block;
  for (const auto& [key, value] : entries)
    block += raw_entry(0, key.size(), value.size(), key + value);
  return block + little32(0) + little32(1);
}

/// Snappy's form of `text`, without any copies.
inline std::string as_snappy_literals(std::string_view text) {
  std::string bytes = varint(text.size());
  for (std::size_t at = 0; at < text.size(); at += 60) {
    const std::string_view part = text.substr(at, 60);
    bytes += static_cast<char>((part.size() - 1) << 2);
    bytes += part;
  }
  return bytes;
}

/// Appends `block` and its trailer to `file`; gives its handle.
inline std::string append_block(std::string& file, std::string block, char compression = 0) {
  const std::string handle = varint(file.size()) + varint(block.size());
  block += compression;
  file += block;
  file += little32(stet::detail::mask_crc32c(stet::crc32c(std::as_bytes(std::span(block.data(), block.size())))));
  return handle;
}

/// Ends a file whose index block is `index`.
inline std::string end_table(std::string file, const std::string& index, char compression = 0) {
  std::string footer = append_block(file, little32(0) + little32(1));
  footer += append_block(file, index, compression);
  footer.resize(40, '\0');
  return file + footer + "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
}

/// A table of one block, all entries below "~".
inline std::string table_of_block(const std::string& block, char compression = 0) {
  std::string file;
  const std::string handle = append_block(file, block, compression);
  return end_table(file, block_of({{"~", handle}}));
}

} // namespace stet_test

#endif
