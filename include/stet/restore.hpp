// SPDX-License-Identifier: MIT
// The restore room: bring a program's variables to the values of a store, by rules, with a report.
#ifndef STET_RESTORE_HPP
#define STET_RESTORE_HPP

#include "restore/glob.hpp"
#include "restore/report.hpp"
#include "restore/restore.hpp"
#include "restore/rules.hpp"
#include "restore/variables.hpp"

#endif
