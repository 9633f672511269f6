// SPDX-License-Identifier: MIT
// The calls of the operating system in `detail::os`, the same set on every platform.
#ifndef STET_SOURCE_DETAIL_OS_HPP
#define STET_SOURCE_DETAIL_OS_HPP

// Only the header of this platform has content; neither has any when STET_FILES is 0.
#include "posix.hpp"
#include "windows.hpp"

#endif
