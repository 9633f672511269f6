// SPDX-License-Identifier: MIT
// The operating system's calls under `detail::os`, the same set on every platform.
#ifndef STET_SOURCE_OS_HPP
#define STET_SOURCE_OS_HPP

#include "../vocabulary/config.hpp"

#if STET_FILES
#if defined(_WIN32)
#include "windows.hpp"
#else
#include "posix.hpp"
#endif
#endif

#endif
