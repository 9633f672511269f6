// SPDX-License-Identifier: MIT
// Opens ONNX models and tensors, with the standard library only.
#ifndef STET_FORMATS_ONNX_HPP
#define STET_FORMATS_ONNX_HPP

#include "onnx/open.hpp"

#endif
