// SPDX-License-Identifier: MIT
// Opens safetensors files: with the standard library only, without exceptions, also from memory.
#ifndef STET_FORMATS_SAFETENSORS_HPP
#define STET_FORMATS_SAFETENSORS_HPP

#include "safetensors/open.hpp"

#endif
