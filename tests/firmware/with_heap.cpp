// SPDX-License-Identifier: MIT
// A program that must not link: it copies its store into memory that it asks for.
#include "../../examples/firmware/board.hpp"

#include <stet/stet.hpp>

int board::run() {
  const auto copy = stet::source::copy(board::store_in_flash());
  return copy ? 0 : 1;
}
