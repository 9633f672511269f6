// SPDX-License-Identifier: MIT
// Opens ExecuTorch's .ptd files: with the standard library only, without exceptions, also from memory.
#ifndef STET_FORMATS_EXECUTORCH_HPP
#define STET_FORMATS_EXECUTORCH_HPP

#include "executorch/open.hpp"

#endif
