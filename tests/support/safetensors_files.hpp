// SPDX-License-Identifier: MIT
// Makes safetensors files byte by byte.
#ifndef STET_TESTS_SUPPORT_SAFETENSORS_FILES_HPP
#define STET_TESTS_SUPPORT_SAFETENSORS_FILES_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace stet_test {

/// A file with this header and these data. @param length  what the file says of the size of its header
inline std::string safetensors_file(std::string_view header, std::string_view data, std::uint64_t length) {
  std::string made;
  for (int shift = 0; shift < 64; shift += 8) made.push_back(static_cast<char>(length >> shift & 0xFF));
  return made.append(header).append(data);
}
inline std::string safetensors_file(std::string_view header, std::string_view data = {}) {
  return safetensors_file(header, data, header.size());
}

/// The example of the specification: a = F32 [3], h = F16 [], bb = U8 [1], and metadata.
inline std::string example_safetensors_file() {
  using namespace std::string_view_literals;
  return safetensors_file(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
      R"("h":{"dtype":"F16","shape":[],"data_offsets":[12,14]},"bb":{"dtype":"U8","shape":[1],"data_offsets":[14,15]}}     )",
      "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\x3c\x07"sv);
}

/// The row of a tensor of U8 in a header.
inline std::string u8_row(std::string_view name, std::size_t begin, std::size_t size) {
  return "\"" + std::string(name) + R"(":{"dtype":"U8","shape":[)" + std::to_string(size) + R"(],"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(begin + size) + "]}";
}

/// A file with one tensor of U8 for each row, whose elements are `fill`.
inline std::string shard_of(std::initializer_list<std::string_view> names, char fill, std::size_t size = 2) {
  std::string header;
  std::size_t begin = 0;
  for (const std::string_view name : names) {
    header += (begin == 0 ? "{" : ",") + u8_row(name, begin, size);
    begin += size;
  }
  return safetensors_file(header + "}", std::string(begin, fill));
}

inline std::span<const std::byte> bytes_of(const std::string& file) { return std::as_bytes(std::span(file)); }

} // namespace stet_test

#endif
