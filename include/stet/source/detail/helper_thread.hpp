// SPDX-License-Identifier: MIT
// A thread that may fail to start; std::thread would throw, or end a program without exceptions, and its header is large.
#ifndef STET_SOURCE_DETAIL_HELPER_THREAD_HPP
#define STET_SOURCE_DETAIL_HELPER_THREAD_HPP

#include "os.hpp"

// Bare metal and WebAssembly have a <pthread.h>; WebAssembly has threads where it is asked for them.
#if !STET_FILES || ((defined(__wasi__) || defined(__EMSCRIPTEN__)) && !defined(_REENTRANT))
#define STET_SOURCE_THREADS 0
#elif defined(_WIN32)
#include <process.h>
#define STET_SOURCE_THREADS 1
#elif __has_include(<pthread.h>)
#include <pthread.h>
#define STET_SOURCE_THREADS 1
#else
#define STET_SOURCE_THREADS 0
#endif

namespace stet::inline STET_NAMESPACE::detail {

#if defined(_WIN32)
namespace win32 {
extern "C" __declspec(dllimport) unsigned long __stdcall WaitForSingleObject(void*, unsigned long);
extern "C" __declspec(dllimport) unsigned long __stdcall GetActiveProcessorCount(unsigned short);
} // namespace win32
#endif

/// The number of processors on which threads run; at least 1.
inline unsigned processor_count() noexcept {
#if STET_SOURCE_THREADS && defined(_WIN32)
  const long count = static_cast<long>(win32::GetActiveProcessorCount(0xFFFF)); // of all groups
#elif STET_SOURCE_THREADS && defined(_SC_NPROCESSORS_ONLN)
  const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
#else
  const long count = 1;
#endif
  return count < 1 ? 1 : static_cast<unsigned>(count);
}

/// A thread of the operating system, or none. The destructor waits for it.
class helper_thread {
public:
  helper_thread() noexcept = default;
  helper_thread(const helper_thread&) = delete;
  helper_thread& operator=(const helper_thread&) = delete;
  ~helper_thread() { join(); }

  /// Calls `work()`, which must not throw, on a new thread. Call it once. `work` must not move until `join`.
  /// @return false if the system has no thread left: its limits, or those of a container, are reached
  template <class Work> [[nodiscard]] bool start([[maybe_unused]] Work& work) noexcept {
#if STET_SOURCE_THREADS && defined(_WIN32)
    thread_ = reinterpret_cast<void*>(::_beginthreadex(nullptr, 0, call<Work>, &work, 0, nullptr));
    is_started_ = thread_ != nullptr;
#elif STET_SOURCE_THREADS
    is_started_ = ::pthread_create(&thread_, nullptr, call<Work>, &work) == 0;
#endif
    return is_started_;
  }

  /// Waits until the work is done. Does nothing without a thread.
  void join() noexcept {
    if (!is_started_) return;
    is_started_ = false;
#if STET_SOURCE_THREADS && defined(_WIN32)
    (void)win32::WaitForSingleObject(thread_, ~0ul);
    (void)win32::CloseHandle(thread_);
#elif STET_SOURCE_THREADS
    (void)::pthread_join(thread_, nullptr);
#endif
  }

private:
#if STET_SOURCE_THREADS && defined(_WIN32)
  template <class Work> static unsigned __stdcall call(void* work) noexcept {
    return (*static_cast<Work*>(work))(), 0u;
  }
  void* thread_ = nullptr;
#elif STET_SOURCE_THREADS
  template <class Work> static void* call(void* work) noexcept { return (*static_cast<Work*>(work))(), nullptr; }
  ::pthread_t thread_{};
#endif
  bool is_started_ = false;
};

/// The most threads that one call of the library uses.
inline constexpr unsigned most_threads = 64;

/// Calls `work()` on `count` threads at once, this one among them, and waits for all. It must share out its work itself, since there are
/// fewer where the system has no more to give.
template <class Work> void run_on_threads(unsigned count, Work& work) noexcept {
  helper_thread helpers[most_threads];
  for (unsigned i = 1; i < count && i < most_threads; ++i) {
    if (!helpers[i].start(work)) break;
  }
  work();
}

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_SOURCE_THREADS

#endif
