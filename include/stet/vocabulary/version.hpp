// SPDX-License-Identifier: MIT
// The version of the library; CMake reads it from here.
#ifndef STET_VOCABULARY_VERSION_HPP
#define STET_VOCABULARY_VERSION_HPP

#define STET_VERSION_MAJOR 0
#define STET_VERSION_MINOR 1
#define STET_VERSION_PATCH 0
#define STET_VERSION_STRING "0.1.0"

#endif
