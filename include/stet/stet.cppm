// SPDX-License-Identifier: MIT
// The reading core as a C++20 module: `import stet;` instead of `#include <stet/stet.hpp>`, without its macros.
//
// What is exported belongs to the global module (`extern "C++"`), so that a program may import it in one file and include headers
// of stet in another, or in the same one ahead of the import. The other rooms have no module: include them.
// Needs a compiler that lets a block of exports hold more than names (P2615): Clang 17, but not GCC 12.
module;

// Everything that the core includes from elsewhere, so that nothing of it becomes a part of the module.
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "vocabulary/config.hpp"
#if STET_FILES && !defined(_WIN32)
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#if !defined(__wasi__)
#include <sys/mman.h>
#endif
#endif
#if __has_include(<sys/auxv.h>)
#include <sys/auxv.h>
#endif
#if !defined(__clang__) && __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#endif
#if defined(_MSC_VER)
#include <nmmintrin.h>
#endif

export module stet;

#if defined(__clang__)
#pragma clang diagnostic ignored "-Winclude-angled-in-module-purview" // they are included above, and so empty here
#endif

export extern "C++" {
#include "stet.hpp"
}
