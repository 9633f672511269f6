// SPDX-License-Identifier: MIT
// One checkpoint of many processes: saved by all ranks of a program together, loaded by any other number of them.
#ifndef STET_SHARDED_HPP
#define STET_SHARDED_HPP

#include "checkpoint.hpp"

#include "sharded/background.hpp"
#include "sharded/communicator.hpp"
#include "sharded/load.hpp"
#include "sharded/manager.hpp"
#include "sharded/save.hpp"
#include "sharded/save_options.hpp"
#include "sharded/sharded_variables.hpp"
#include "sharded/snapshot.hpp"

#endif
