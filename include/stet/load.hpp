// SPDX-License-Identifier: MIT
// The load room: many tensors, or a whole file, at the speed of the device.
#ifndef STET_LOAD_HPP
#define STET_LOAD_HPP

#include "load/load.hpp"
#include "load/load_request.hpp"
#include "source/parallel_read.hpp"

#endif
