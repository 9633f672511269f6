// SPDX-License-Identifier: MIT
// Opens npy and npz files: with the standard library only.
#ifndef STET_FORMATS_NUMPY_HPP
#define STET_FORMATS_NUMPY_HPP

#include "numpy/npz.hpp"
#include "numpy/open.hpp"

#endif
