// SPDX-License-Identifier: MIT
// The operating system's calls under `detail::os`, the same set on every platform.
#ifndef STET_SOURCE_DETAIL_OS_HPP
#define STET_SOURCE_DETAIL_OS_HPP

// Each is empty where the other is meant, and both are without files.
#include "posix.hpp"
#include "windows.hpp"

#endif
