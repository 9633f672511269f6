// SPDX-License-Identifier: MIT
// A process that cannot start more than a few threads, as in a container whose limit is reached.
#ifndef STET_TESTS_SUPPORT_FEW_THREADS_HPP
#define STET_TESTS_SUPPORT_FEW_THREADS_HPP

#include "thinned.hpp"

// A sanitizer needs more address space than there then is.
#if defined(__linux__) && !STET_TEST_IS_SANITIZED

#include <cstddef>
#include <cstdio>
#include <string_view>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stet_test {

/// What `work()` comes to in such a process: the stacks of threads find no room there. Negative: it did not end by itself.
/// A limit for threads would not hold an administrator. Where no limit is held, `work` is not called, and this is 0.
template <class Work> int with_few_threads(Work&& work) {
  const ::pid_t process = ::fork();
  if (process == 0) {
    // In KiB, since some tests are told of other pages than the kernel has.
    unsigned long size_kib = 0;
    std::FILE* const facts = std::fopen("/proc/self/status", "r");
    if (facts == nullptr) ::_exit(100);
    for (char line[256]; size_kib == 0 && std::fgets(line, sizeof line, facts) != nullptr;) {
      if (std::sscanf(line, "VmSize: %lu kB", &size_kib) != 1) size_kib = 0;
    }
    std::fclose(facts);
    if (size_kib == 0) ::_exit(100);
    ::rlimit limit{};
    limit.rlim_cur = limit.rlim_max = (::rlim_t{size_kib} << 10) + (::rlim_t{6} << 20);
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(101);
    if (::mmap(nullptr, std::size_t{64} << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
      constexpr std::string_view message = "few_threads: skipped: an emulator does not hold the limit\n";
      ::_exit(::write(STDOUT_FILENO, message.data(), message.size()) < 0 ? 102 : 0);
    }
    ::_exit(work());
  }
  int status = -1;
  if (process < 0 || ::waitpid(process, &status, 0) != process || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

} // namespace stet_test

#define STET_TEST_FEW_THREADS 1
#else
#define STET_TEST_FEW_THREADS 0
#endif

#endif
