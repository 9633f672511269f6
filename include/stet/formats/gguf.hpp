// SPDX-License-Identifier: MIT
// Opens GGUF files: with the standard library only, without exceptions, also from memory.
#ifndef STET_FORMATS_GGUF_HPP
#define STET_FORMATS_GGUF_HPP

#include "gguf/open.hpp"

#endif
