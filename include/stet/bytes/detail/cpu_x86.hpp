// SPDX-License-Identifier: MIT
// The features of this x86 processor that kernels need. Each test is a few loads of what was found when the program started.
#ifndef STET_BYTES_DETAIL_CPU_X86_HPP
#define STET_BYTES_DETAIL_CPU_X86_HPP

#include "../../vocabulary/config.hpp"

#include <cstddef> // for __GLIBC__

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)

// The C library detects the processor's features at start. Its result is used where it offers one: the compiler's run-time
// library would link its own detection, 4.5 KB. The declarations are those of <sys/platform/x86.h>, which costs more to include
// than <cstdint>, and which Clang rejects in C++.
#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 34)
#define STET_CPU_KNOWN_TO_LIBRARY 1
extern "C" const struct cpuid_feature* __x86_get_cpuid_feature_leaf(unsigned leaf) __attribute__((pure));
#define STET_CPU_HAS(compiler_name, leaf, word, bit) detail::has_cpu_feature(leaf, word, bit)
#endif
#endif
#if !defined(STET_CPU_HAS)
#define STET_CPU_HAS(compiler_name, leaf, word, bit) (__builtin_cpu_supports(compiler_name) != 0)
#endif

namespace stet::inline STET_NAMESPACE::detail {

#if defined(STET_CPU_KNOWN_TO_LIBRARY)
/// True if this processor and its operating system support a feature: a bit of word 1 (EBX) or 2 (ECX) of the library's leaf 0
/// (CPUID 1) or 1 (CPUID 7). Four words of a leaf state what the processor has, the next four what can be used. Cost: a call.
inline bool has_cpu_feature(unsigned leaf, unsigned word, unsigned bit) noexcept {
  const auto* const words = reinterpret_cast<const unsigned*>(__x86_get_cpuid_feature_leaf(leaf));
  return (words[4 + word] >> bit & 1u) != 0;
}
#endif

#if defined(_MSC_VER)
/// The instruction set level that Microsoft's run-time library detects at start, and that <bit> of its standard library
/// reads. 2 means SSE4.2.
extern "C" int __isa_available;
inline bool has_cpu_sse42() noexcept { return __isa_available >= 2; }
#else

#if defined(__SSE4_2__)
inline bool has_cpu_sse42() noexcept { return true; }
#else
inline bool has_cpu_sse42() noexcept { return STET_CPU_HAS("sse4.2", 0, 2, 20); }
#endif

/// AVX2 and VPCLMULQDQ on 256-bit registers.
inline bool has_cpu_vpclmulqdq() noexcept {
  return STET_CPU_HAS("vpclmulqdq", 1, 2, 10) && STET_CPU_HAS("avx2", 1, 1, 5);
}

#if defined(__AVX2__) && defined(__F16C__)
inline bool has_cpu_avx2_f16c() noexcept { return true; }
#elif defined(STET_CPU_KNOWN_TO_LIBRARY) || !defined(__clang__)
/// AVX2, and the conversions of float16 (F16C).
inline bool has_cpu_avx2_f16c() noexcept { return STET_CPU_HAS("avx2", 1, 1, 5) && STET_CPU_HAS("f16c", 0, 2, 29); }
#else
// The run-time library of Clang 14 cannot tell.
inline bool has_cpu_avx2_f16c() noexcept { return false; }
#endif

#endif // _MSC_VER

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_CPU_HAS
#undef STET_CPU_KNOWN_TO_LIBRARY
#endif

#endif
