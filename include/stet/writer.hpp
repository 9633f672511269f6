// SPDX-License-Identifier: MIT
// The writer room: save tensors as a store.
#ifndef STET_WRITER_HPP
#define STET_WRITER_HPP

#include "writer/atomic_file.hpp"
#include "writer/plan.hpp"
#include "writer/tensors.hpp"
#include "writer/writer.hpp"

#endif
