// SPDX-License-Identifier: MIT
// Makes safetensors files byte by byte.
#ifndef STET_TESTS_SUPPORT_SAFETENSORS_FILES_HPP
#define STET_TESTS_SUPPORT_SAFETENSORS_FILES_HPP

#include <cstddef>
#include <cstdint>
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

inline std::span<const std::byte> bytes_of(const std::string& file) { return std::as_bytes(std::span(file)); }

} // namespace stet_test

#endif
