// SPDX-License-Identifier: MIT
// The checkpoint room: save and restore a program as it trains.
#ifndef STET_CHECKPOINT_HPP
#define STET_CHECKPOINT_HPP

#include "checkpoint/add_variables.hpp"
#include "checkpoint/background.hpp"
#include "checkpoint/compact.hpp"
#include "checkpoint/delta.hpp"
#include "checkpoint/folder.hpp"
#include "checkpoint/layered.hpp"
#include "checkpoint/live_store.hpp"
#include "checkpoint/manager.hpp"
#include "checkpoint/retention.hpp"
#include "checkpoint/session.hpp"
#include "checkpoint/snapshot.hpp"

#endif
