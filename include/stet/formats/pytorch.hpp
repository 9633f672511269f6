// SPDX-License-Identifier: MIT
// Opens files of PyTorch: with the standard library only.
#ifndef STET_FORMATS_PYTORCH_HPP
#define STET_FORMATS_PYTORCH_HPP

#include "pytorch/open.hpp"

#endif
