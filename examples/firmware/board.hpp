// SPDX-License-Identifier: MIT
// What the board gives a program in place of an operating system: text for a person, an end, memory, and a store in flash.
#ifndef FIRMWARE_BOARD_HPP
#define FIRMWARE_BOARD_HPP

#include <stet/vocabulary/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace board {

/// The program: called once. What it returns ends it, as `exit` does.
int run();

/// Shows text to whoever is at the other end of the debugger's cable.
void print(std::string_view text) noexcept;

/// Ends the program; 0 is success.
[[noreturn]] void exit(int status) noexcept;

/// The store that was linked into the flash, from its first byte to its last, aligned to 64.
std::span<const std::byte> store_in_flash() noexcept;

/// The RAM, of which the first 64 KB are the program's own. To read behind its last byte is a fault.
std::span<std::byte> ram() noexcept;

/// How many bytes the program takes.
struct memory_use {
  std::size_t code;  ///< of flash: instructions, constants, and what variables begin with
  std::size_t store; ///< of flash
  std::size_t data;  ///< of RAM: variables of static storage
  std::size_t stack; ///< of RAM: the most that the stack has needed until now
};
memory_use measure_memory() noexcept;

/// A line of text that is composed without a heap, and printed when it ends.
class line {
public:
  line() noexcept = default;
  line(const line&) = delete;
  line& operator=(const line&) = delete;
  ~line() noexcept { print(out_.append("\n").text()); }

  line& operator<<(std::string_view text) noexcept { return out_.append(text), *this; }
  line& operator<<(std::size_t number) noexcept { return out_.append(std::uint64_t{number}), *this; }

private:
  char buffer_[256];
  stet::text_writer out_{buffer_, sizeof buffer_};
};

} // namespace board

#endif
