// SPDX-License-Identifier: MIT
// The board from its first instruction on: vectors, startup, the store in flash, and text by semihosting.
#include "board.hpp"

#include <algorithm>

// The linker script says where these are.
extern "C" {
extern std::uint32_t data_begin, data_end, bss_begin, bss_end, stack_begin, stack_end;
extern const std::uint32_t data_image;
extern const std::byte code_size, store_size;
extern const std::byte store_begin, store_end;
[[noreturn]] void reset();
}

// STORE_FILE is the path of the store.
asm(".pushsection .store, \"a\"\n"
    ".balign 64\n"
    ".global store_begin, store_end\n"
    "store_begin: .incbin \"" STORE_FILE "\"\n"
    "store_end:\n"
    ".popsection\n");

namespace {

/// Asks the debugger, or QEMU in its place, to do something.
/// Source: Arm, "Semihosting for AArch32 and AArch64", 2023: the operations and their numbers.
int semihosting(int operation, const void* argument) noexcept {
  register int r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
constexpr int sys_write0 = 0x04, sys_exit_extended = 0x20;
constexpr std::uint32_t stopped_application_exit = 0x20026;

/// What the stack holds where it has never been.
constexpr std::uint32_t untouched = 0xDEADBEEF;

[[noreturn]] void fault() {
  board::print("FAULT: the processor refused an instruction or an access\n");
  board::exit(2);
}

constexpr std::uint32_t ram_begin = 0x2000'0000, ram_size_bytes = 4u << 20;

/// Makes every access to a range a fault: what lies behind the RAM, and address 0, where null pointers point.
/// Source: Arm, "Armv7-M Architecture Reference Manual", B3.5: the memory protection unit.
void protect_memory() noexcept {
  auto* const registers = reinterpret_cast<volatile std::uint32_t*>(0xE000'ED94); // control, number, base, attributes
  const auto forbid = [&](std::uint32_t number, std::uint32_t begin, std::uint32_t log2_size) {
    registers[1] = number;
    registers[2] = begin;
    registers[3] = 1u << 28 | (log2_size - 1) << 1 | 1u; // neither code nor data, whatever the privilege
  };
  forbid(0, ram_begin + ram_size_bytes, 22);
  forbid(1, 0, 5);
  registers[0] = 1u << 2 | 1u; // elsewhere all stays as it is
  asm volatile("dsb\n isb" ::: "memory");
}

// The processor reads these at address 0: the end of the stack, where to begin, and what to do when it cannot go on.
struct vectors {
  std::uint32_t* stack;
  void (*reset)();
  void (*faults[14])();
};
[[gnu::section(".vectors"), gnu::used]] const vectors at_address_0 = {
    &stack_end,
    reset,
    {fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault}};

} // namespace

extern "C" void reset() {
  std::copy(&data_image, &data_image + (&data_end - &data_begin), &data_begin);
  std::fill(&bss_begin, &bss_end, 0u);
  // Below this frame, with some room for its own calls.
  auto* const here = static_cast<std::uint32_t*>(__builtin_frame_address(0));
  for (std::uint32_t* at = &stack_begin; at < here - 64; ++at) *const_cast<volatile std::uint32_t*>(at) = untouched;
  protect_memory();
  board::exit(board::run());
}

namespace board {

void print(std::string_view text) noexcept {
  char buffer[64];
  while (!text.empty()) {
    const std::size_t count = std::min(text.size(), sizeof buffer - 1);
    *std::copy_n(text.data(), count, buffer) = '\0';
    semihosting(sys_write0, buffer);
    text.remove_prefix(count);
  }
}

void exit(int status) noexcept {
  const std::uint32_t block[] = {stopped_application_exit, static_cast<std::uint32_t>(status)};
  semihosting(sys_exit_extended, block);
  for (;;) {
  }
}

std::span<const std::byte> store_in_flash() noexcept { return {&store_begin, &store_end}; }

std::span<std::byte> ram() noexcept { return {reinterpret_cast<std::byte*>(ram_begin), ram_size_bytes}; }

memory_use measure_memory() noexcept {
  const auto size = [](const std::byte& symbol) { return reinterpret_cast<std::size_t>(&symbol); };
  const auto bytes = [](const std::uint32_t* begin, const std::uint32_t* end) {
    return static_cast<std::size_t>(end - begin) * sizeof(std::uint32_t);
  };
  const std::uint32_t* touched = &stack_begin;
  while (touched < &stack_end && *touched == untouched) ++touched;
  return {size(code_size), size(store_size), bytes(&data_begin, &data_end) + bytes(&bss_begin, &bss_end),
          bytes(touched, &stack_end)};
}

} // namespace board
