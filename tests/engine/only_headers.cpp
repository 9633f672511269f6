// SPDX-License-Identifier: MIT
// Every header and nothing else: what this object does before main is what the headers do to whoever includes them.
#include "all_headers.hpp"

int only_headers();
int only_headers() { return STET_VERSION_MAJOR; }
