// SPDX-License-Identifier: MIT
// Every macro that a build may set, with its default; and the inline namespace that they and the version make. All but
// STET_ASSERT are 0 or 1 and are tested with #if.
#ifndef STET_VOCABULARY_CONFIG_HPP
#define STET_VOCABULARY_CONFIG_HPP

#include "version.hpp"

/// 1: a file can be opened, read and mapped; 0: bytes come from memory or from the program's own reader (firmware).
/// Default: whether the target has an operating system with files that stet knows.
#ifndef STET_FILES
#if defined(_WIN32) || defined(__unix__) || defined(__APPLE__) || defined(__EMSCRIPTEN__) || defined(__wasi__)
#define STET_FILES 1
#else
#define STET_FILES 0
#endif
#endif

/// 1: small tables and buffers instead of fast ones: CRC32C has 64 bytes of table instead of 4 KiB, and a tensor that is not in
/// memory comes through 512 bytes of stack instead of 4 KiB. Default: 1 without files.
#ifndef STET_SMALL_CODE
#if STET_FILES
#define STET_SMALL_CODE 0
#else
#define STET_SMALL_CODE 1
#endif
#endif

/// @namespace stet
/// Everything in stet. The contents of namespaces called `detail` may change at any time.

// The inline namespace of everything in stet: the version, and each setting that changes the layout of a type or the body of
// an inline function and is not the default. Parts of a program that were built with different releases or settings have
// different names for everything, so that they do not link instead of misbehaving.
#if STET_FILES
#define STET_NAMESPACE_FILES
#else
#define STET_NAMESPACE_FILES _no_files
#endif
#if STET_SMALL_CODE
#define STET_NAMESPACE_SIZE _small
#else
#define STET_NAMESPACE_SIZE
#endif
#define STET_NAMESPACE_JOIN(major, minor, files, size) v##major##_##minor##files##size
#define STET_NAMESPACE_MAKE(major, minor, files, size) STET_NAMESPACE_JOIN(major, minor, files, size)
/// The inline namespace: v0_1 with the default settings.
#define STET_NAMESPACE                                                                                                 \
  STET_NAMESPACE_MAKE(STET_VERSION_MAJOR, STET_VERSION_MINOR, STET_NAMESPACE_FILES, STET_NAMESPACE_SIZE)

/// Checks a precondition, that is, a mistake of the calling program; bad files are never reported this way, and nothing else in
/// stet ends a program. A program's own takes one condition, as an expression of type void, must be the same wherever stet is
/// included, and does not throw. After it returns, behaviour is as undefined as without the check.
/// Default: as the assert of <cassert>, a line on standard error and the end of the program; so nothing in a build with NDEBUG.
/// Unlike assert it does not expand to the path of the file, which depends on who includes it: a function would have two bodies
/// where one file imports the module and another includes headers.
#ifndef STET_ASSERT
#ifdef NDEBUG
#define STET_ASSERT(condition) static_cast<void>(0)
#else
#include <cstddef> // for __GLIBC__
#if defined(__GLIBC__)
// What <cassert> declares, without its macro; <cstdio> and <cstdlib> are a thirtieth of what including the reading core costs.
extern "C" void __assert_fail(const char* condition, const char* file, unsigned line, const char* function) noexcept
    __attribute__((__noreturn__));
#define STET_ASSERT(condition)                                                                                         \
  (static_cast<bool>(condition)                                                                                        \
       ? static_cast<void>(0)                                                                                          \
       : ::__assert_fail(#condition, __builtin_FILE(), __builtin_LINE(), __builtin_FUNCTION()))
#else
#include <cstdio>
#include <cstdlib>
namespace stet::inline STET_NAMESPACE::detail {
[[noreturn]] inline void assertion_failed(const char* condition, const char* file, unsigned line) noexcept {
  std::fprintf(stderr, "%s:%u: Assertion `%s' failed.\n", file, line, condition);
  std::abort();
}
} // namespace stet::inline STET_NAMESPACE::detail
#define STET_ASSERT(condition)                                                                                         \
  (static_cast<bool>(condition) ? static_cast<void>(0)                                                                 \
                                : ::stet::detail::assertion_failed(#condition, __builtin_FILE(), __builtin_LINE()))
#endif
#endif
#endif

#endif
