// SPDX-License-Identifier: MIT
// A program that reads one byte too far, which the processor must not let pass: the checks of truncated stores rely on it.
#include "../../examples/firmware/board.hpp"

int board::run() {
  const volatile std::byte* const end = board::ram().data() + board::ram().size();
  board::line() << "the last byte of the RAM is " << static_cast<std::size_t>(end[-1]);
  return end[0] == std::byte{} ? 0 : 1;
}
