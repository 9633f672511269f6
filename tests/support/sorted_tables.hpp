// SPDX-License-Identifier: MIT
// Makes sorted tables of blocks as a test wants them, sound or not, with checksums that fit.
#ifndef STET_TESTS_SUPPORT_SORTED_TABLES_HPP
#define STET_TESTS_SUPPORT_SORTED_TABLES_HPP

#include "exact_text.hpp"

#include <stet/wire/sorted_table_writer.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

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
inline std::string raw_entry(std::uint64_t shared, std::uint64_t unshared, std::uint64_t value_size,
                             std::string_view rest) {
  return varint(shared) + varint(unshared) + varint(value_size) + std::string(rest);
}

/// A block of these entries, which share nothing; only the first is a restart.
inline std::string block_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string block;
  for (const auto& [key, value] : entries) block += raw_entry(0, key.size(), value.size(), key + value);
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

/// The index of a checkpoint of three scalars that TensorFlow wrote: tensorflow/serving, saved_model_half_plus_two_gpu.
inline const std::string& tensorflow_index() {
  using namespace std::string_literals;
  static const std::string bytes = "\x00\x00\x06\x08\x01\x1a\x02\x08\x01"
                                   "\x00\x01\x0b\x61\x08\x01\x12\x00\x28\x04\x35\x06\x38\x27\x1f"
                                   "\x00\x01\x0d\x62\x08\x01\x12\x00\x20\x04\x28\x04\x35\x10\xfd\x78\x4f"
                                   "\x00\x01\x0d\x63\x08\x01\x12\x00\x20\x08\x28\x04\x35\xef\xd6\x82\xc3"
                                   "\x00\x00\x00\x00\x01\x00\x00\x00\x00\xe4\x15\xb6\xbc"
                                   "\x00\x00\x00\x00\x01\x00\x00\x00\x00\xc0\xf2\xa1\xb0"
                                   "\x00\x01\x02\x64\x00\x42\x00\x00\x00\x00\x01\x00\x00\x00\x00\x58\xb2\xe9\xf7"
                                   "\x47\x08\x54\x0e"s +
                                   std::string(36, '\0') + "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
  return bytes;
}

} // namespace stet_test

#endif
