// SPDX-License-Identifier: MIT
// The reading core of stet: open a store, find tensors, view them in place. Nothing beyond the standard library.
#ifndef STET_STET_HPP
#define STET_STET_HPP

#include "vocabulary/version.hpp"

#include "vocabulary/config.hpp"

#include "vocabulary/error.hpp"
#include "vocabulary/result.hpp"

#include "vocabulary/dtype.hpp"
#include "vocabulary/element.hpp"
#include "vocabulary/shape.hpp"
#include "vocabulary/view.hpp"

#include "bytes/detail/convert.hpp"
#include "bytes/crc32c.hpp"

#include "source/file_system.hpp"
#include "source/memory.hpp"
#include "source/byte_reader.hpp"
#include "source/source.hpp"

#include "index/detail/check.hpp"
#include "index/format.hpp"
#include "index/index.hpp"

#include "store/bind.hpp"
#include "store/open.hpp"
#include "store/store.hpp"
#include "store/tensor.hpp"

#endif
