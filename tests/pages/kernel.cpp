// SPDX-License-Identifier: MIT
// A kernel whose pages are of PAGE_SIZE_BYTES: the calls that know pages, as the linker puts them in place of the system's
// (--wrap). They refuse what such a kernel refuses, and give addresses as it does.
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr std::size_t page = PAGE_SIZE_BYTES;
constexpr std::size_t round_up(std::size_t size) noexcept { return (size + page - 1) / page * page; }
bool is_on_page(const void* at) noexcept { return reinterpret_cast<std::uintptr_t>(at) % page == 0; }
int refuse() noexcept {
  errno = EINVAL;
  return -1;
}

} // namespace

extern "C" {

long __real_sysconf(int name);
void* __real_mmap64(void* hint, std::size_t size, int protection, int flags, int file, off64_t offset);
int __real_munmap(void* at, std::size_t size);
int __real_madvise(void* at, std::size_t size, int advice);
int __real_msync(void* at, std::size_t size, int flags);
int __real_mlock(const void* at, std::size_t size);
int __real_munlock(const void* at, std::size_t size);

long __wrap_sysconf(int name);
void* __wrap_mmap64(void* hint, std::size_t size, int protection, int flags, int file, off64_t offset);
int __wrap_munmap(void* at, std::size_t size);
int __wrap_madvise(void* at, std::size_t size, int advice);
int __wrap_msync(void* at, std::size_t size, int flags);
int __wrap_mlock(const void* at, std::size_t size);
int __wrap_munlock(const void* at, std::size_t size);

long __wrap_sysconf(int name) { return name == _SC_PAGESIZE ? static_cast<long>(page) : __real_sysconf(name); }

void* __wrap_mmap64(void*, std::size_t size, int protection, int flags, int file, off64_t offset) {
  if (offset % static_cast<off64_t>(page) != 0) {
    refuse();
    return MAP_FAILED;
  }
  // Room for whole pages at a whole page, then the file into it; the rest of the last page reads as zero.
  const std::size_t whole = round_up(size);
  void* const room =
      __real_mmap64(nullptr, whole + page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return room;
  auto* const begin = static_cast<std::byte*>(room);
  const std::size_t before = (page - reinterpret_cast<std::uintptr_t>(begin) % page) % page;
  if (before != 0) __real_munmap(begin, before);
  if (before != page) __real_munmap(begin + before + whole, page - before);
  void* const at = __real_mmap64(begin + before, size, protection, flags | MAP_FIXED, file, offset);
  if (at == MAP_FAILED) {
    const int why = errno;
    __real_munmap(begin + before, whole);
    errno = why;
  }
  return at;
}
int __wrap_munmap(void* at, std::size_t size) { return is_on_page(at) ? __real_munmap(at, round_up(size)) : refuse(); }

int __wrap_madvise(void* at, std::size_t size, int advice) {
  return is_on_page(at) ? __real_madvise(at, size, advice) : refuse();
}
int __wrap_msync(void* at, std::size_t size, int flags) {
  return is_on_page(at) ? __real_msync(at, size, flags) : refuse();
}

// The heap is not of such pages here: what of the first one is not there, is left out.
int __wrap_mlock(const void* at, std::size_t size) {
  if (!is_on_page(at)) return refuse();
  int done = __real_mlock(at, size);
  for (std::size_t left_out = 4096; done != 0 && errno == ENOMEM && left_out < page && left_out < size;
       left_out += 4096)
    done = __real_mlock(static_cast<const std::byte*>(at) + left_out, size - left_out);
  return done;
}
int __wrap_munlock(const void* at, std::size_t size) {
  if (!is_on_page(at)) return refuse();
  int done = __real_munlock(at, size);
  for (std::size_t left_out = 4096; done != 0 && errno == ENOMEM && left_out < page && left_out < size;
       left_out += 4096)
    done = __real_munlock(static_cast<const std::byte*>(at) + left_out, size - left_out);
  return done;
}

} // extern "C"
