// SPDX-License-Identifier: MIT
// A process that cannot start more than a few threads, as in a container whose limit is reached.
#ifndef STET_TESTS_SUPPORT_FEW_THREADS_HPP
#define STET_TESTS_SUPPORT_FEW_THREADS_HPP

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STET_TEST_IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STET_TEST_IS_SANITIZED 1
#endif

// A sanitizer needs more address space than there then is.
#if defined(__linux__) && !defined(STET_TEST_IS_SANITIZED)

#include <cstdio>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stet_test {

/// What `work()` comes to in such a process: the stacks of threads find no room there. Negative: it did not end by itself.
/// A limit for threads would not hold an administrator.
template <class Work> int with_few_threads(Work&& work) {
  const ::pid_t process = ::fork();
  if (process == 0) {
    unsigned long pages = 0;
    std::FILE* const sizes = std::fopen("/proc/self/statm", "r");
    if (sizes == nullptr || std::fscanf(sizes, "%lu", &pages) != 1) ::_exit(100);
    std::fclose(sizes);
    ::rlimit limit{};
    limit.rlim_cur = limit.rlim_max = pages * static_cast<::rlim_t>(::sysconf(_SC_PAGESIZE)) + (::rlim_t{6} << 20);
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(101);
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
