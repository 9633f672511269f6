// SPDX-License-Identifier: MIT
// A folder for one test, which goes with all it holds when the test ends. Paths are UTF-8 on every platform.
#ifndef STET_TESTS_SUPPORT_TEMP_FOLDER_HPP
#define STET_TESTS_SUPPORT_TEMP_FOLDER_HPP

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace stet_test {

inline std::filesystem::path to_path(std::string_view utf8) {
  return std::filesystem::path(std::u8string(utf8.begin(), utf8.end()));
}

/// With slashes on every platform, as stet joins paths.
inline std::string to_utf8(const std::filesystem::path& path) {
  const std::u8string text = path.generic_u8string();
  return std::string(text.begin(), text.end());
}

/// `count` bytes, each of which depends on its place, so that bytes from a wrong place are noticed.
inline std::vector<std::byte> pattern(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<std::byte>((i * 2654435761u >> 16) & 0xFFu);
  }
  return bytes;
}

class temp_folder {
public:
  temp_folder() : temp_folder(default_parent()) {}
  /// A folder below `parent`.
  explicit temp_folder(const std::filesystem::path& parent) {
    std::error_code failure;
    std::random_device random;
    for (int attempt = 0; attempt < 100; ++attempt) {
      folder_ = parent / ("stet-test-" + std::to_string(random()));
      if (std::filesystem::create_directory(folder_, failure)) return;
    }
    std::fprintf(stderr, "no folder can be made in %s\n", to_utf8(parent).c_str());
    std::abort(); // no test could mean anything
  }
  ~temp_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;

  /// The folder itself.
  std::string path() const { return to_utf8(folder_); }
  /// The path of `name` in the folder, whether or not it is there.
  std::string path(std::string_view name) const { return to_utf8(folder_ / to_path(name)); }

  /// Makes or replaces a file; gives its path.
  std::string write(std::string_view name, std::span<const std::byte> bytes) const {
    std::ofstream out(folder_ / to_path(name), std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path(name);
  }
  std::string write(std::string_view name, std::string_view text) const {
    return write(name, std::as_bytes(std::span(text.data(), text.size())));
  }

  /// What a file holds; nothing if it is not there.
  std::vector<std::byte> read(std::string_view name) const {
    std::ifstream in(folder_ / to_path(name), std::ios::binary);
    std::vector<std::byte> bytes;
    for (char c; in.get(c);) bytes.push_back(static_cast<std::byte>(c));
    return bytes;
  }

  /// The names in the folder, sorted: what a test compares to find litter.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    std::error_code failure;
    for (std::filesystem::directory_iterator at(folder_, failure), end; at != end; at.increment(failure)) {
      found.push_back(to_utf8(at->path().filename()));
    }
    for (std::size_t i = 1; i < found.size(); ++i) {
      for (std::size_t k = i; k > 0 && found[k] < found[k - 1]; --k) found[k].swap(found[k - 1]);
    }
    return found;
  }

  /// Where files are in memory, if there is such a place: for tests that make a great many.
  static std::filesystem::path in_memory() {
    std::error_code failure;
    const std::filesystem::path memory = "/dev/shm";
    return std::filesystem::is_directory(memory, failure) ? memory : default_parent();
  }

private:
  static std::filesystem::path default_parent() {
    std::error_code failure;
    return std::filesystem::temp_directory_path(failure);
  }

  std::filesystem::path folder_;
};

} // namespace stet_test

#endif
