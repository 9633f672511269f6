// SPDX-License-Identifier: MIT
// Whether the system itself keeps its word about files of more than 4 GiB.
#ifndef STET_TESTS_SUPPORT_LARGE_FILES_HPP
#define STET_TESTS_SUPPORT_LARGE_FILES_HPP

#include "temp_folder.hpp"

#include <cstdint>
#include <fstream>
#include <string>

#if defined(__linux__) && !defined(__LP64__)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace stet_test {

/// Whether what is mapped from beyond 4 GiB is what the file holds there, asked of the system and not of stet: QEMU before
/// 8.1 drops the upper bits of the offset when it runs a 32-bit program. True also where no file can tell.
inline bool system_maps_beyond_4_gib() {
#if defined(__linux__) && !defined(__LP64__)
  constexpr std::uint64_t beyond = (std::uint64_t{1} << 32) + (1 << 16);
  const temp_folder folder;
  const std::string path = folder.write("beyond", "");
  {
    std::ofstream out(to_path(path), std::ios::binary);
    out.seekp(static_cast<std::streamoff>(beyond)).write("stet", 4);
  }
  const int handle = ::open64(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (handle < 0) return true;
  void* const window = ::mmap64(nullptr, 4, PROT_READ, MAP_PRIVATE, handle, static_cast<::off64_t>(beyond));
  ::close(handle);
  if (window == MAP_FAILED) return true;
  const bool is_right = *static_cast<const char*>(window) == 's';
  ::munmap(window, 4);
  return is_right;
#else
  return true;
#endif
}

} // namespace stet_test

#endif
