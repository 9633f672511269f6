// SPDX-License-Identifier: MIT
// Opens TFLite models: with the standard library only, without exceptions, also from memory.
#ifndef STET_FORMATS_TFLITE_HPP
#define STET_FORMATS_TFLITE_HPP

#include "tflite/open.hpp"

#endif
