// SPDX-License-Identifier: MIT
// The other of two files that include every header.
#include "all_headers.hpp"

int value_seen_by_second();

int value_seen_by_second() { return STET_VERSION_MAJOR * 10000 + STET_VERSION_MINOR * 100 + STET_VERSION_PATCH; }
