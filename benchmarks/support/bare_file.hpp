// SPDX-License-Identifier: MIT
// The floors: what the operating system takes by itself, without a library.
#ifndef STET_BENCHMARKS_BARE_FILE_HPP
#define STET_BENCHMARKS_BARE_FILE_HPP

#include "contest.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>

namespace bench {

/// open + fstat + mmap of a whole file.
class bare_mapping {
public:
  explicit bare_mapping(const char* path) : handle_(::open(path, O_RDONLY | O_CLOEXEC)) {
    struct stat facts;
    require(handle_ >= 0 && ::fstat(handle_, &facts) == 0, "open a file");
    size_bytes_ = static_cast<std::size_t>(facts.st_size);
    base_ = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_SHARED, handle_, 0);
    require(base_ != MAP_FAILED, "map a file");
  }
  bare_mapping(const bare_mapping&) = delete;
  bare_mapping& operator=(const bare_mapping&) = delete;
  ~bare_mapping() {
    ::munmap(base_, size_bytes_);
    ::close(handle_);
  }
  [[nodiscard]] const std::byte* data() const { return static_cast<const std::byte*>(base_); }
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

private:
  int handle_;
  std::size_t size_bytes_ = 0;
  void* base_ = nullptr;
};

/// From a path to the value at an offset, and closing again: open + fstat + mmap + one touch + munmap + close.
inline double seconds_to_first_value(const std::string& path, std::uint64_t offset_bytes, float expected) {
  float value = 0;
  const double seconds = seconds_of([&] {
    const bare_mapping mapping(path.c_str());
    std::memcpy(&value, mapping.data() + offset_bytes, sizeof value);
  });
  require(value == expected, "the floor's first value");
  return seconds;
}

/// open + read of as many bytes as `into` has + close.
inline void read_plainly(const std::string& path, std::span<std::byte> into) {
  const int handle = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(handle >= 0, "open a file");
  while (!into.empty()) {
    const ::ssize_t done = ::read(handle, into.data(), into.size());
    require(done > 0, "read");
    into = into.subspan(static_cast<std::size_t>(done));
  }
  ::close(handle);
}

/// Writes everything to the open file.
inline void write_all(int handle, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ::ssize_t written = ::write(handle, bytes.data(), bytes.size());
    require(written > 0, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// open a new file + write + close.
inline void write_plainly(const std::string& path, std::span<const std::byte> bytes) {
  const int handle = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  require(handle >= 0, "create a file");
  write_all(handle, bytes);
  require(::close(handle) == 0, "close");
}

/// open a new file + write + fsync + close + rename + fsync of the folder: the least that publishes a file durably.
inline void write_durably(const std::string& path, const std::string& folder, std::span<const std::byte> bytes) {
  const std::string temporary = path + ".tmp";
  const int handle = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  require(handle >= 0, "create a file");
  write_all(handle, bytes);
  require(::fsync(handle) == 0 && ::close(handle) == 0, "fsync");
  require(std::rename(temporary.c_str(), path.c_str()) == 0, "rename");
  const int folder_handle = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require(folder_handle >= 0 && ::fsync(folder_handle) == 0 && ::close(folder_handle) == 0, "fsync of the folder");
}

} // namespace bench

#endif
