# SPDX-License-Identifier: MIT
# Programs for a Cortex-M3 without an operating system, run on QEMU's model of Arm's board AN385, where they print by semihosting.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR cortex-m3)
find_program(STET_ARM_GXX NAMES arm-none-eabi-g++)
find_program(STET_QEMU_ARM NAMES qemu-system-arm)
mark_as_advanced(STET_ARM_GXX STET_QEMU_ARM)
if(NOT STET_ARM_GXX OR NOT STET_QEMU_ARM)
  message(FATAL_ERROR "This preset needs a compiler for bare-metal Arm and QEMU: apt-get install gcc-arm-none-eabi "
    "libstdc++-arm-none-eabi-newlib qemu-system-arm")
endif()

set(CMAKE_CXX_COMPILER "${STET_ARM_GXX}")
set(CMAKE_CXX_FLAGS_INIT "-mcpu=cortex-m3 -mthumb -fno-exceptions -fno-rtti -fno-threadsafe-statics -ffunction-sections -fdata-sections -Wno-psabi")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # a program needs a linker script
set(CMAKE_CROSSCOMPILING_EMULATOR "${STET_QEMU_ARM}" -machine mps2-an385 -display none -monitor none -serial none
  -semihosting-config enable=on,target=native -kernel)
