# SPDX-License-Identifier: MIT
# Linux programs for another processor, by Debian's cross compiler, run by QEMU's user mode. A file beside this one sets
# `triplet` and `processor` (QEMU's name) and includes it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${processor})
find_program(STET_CROSS_GXX NAMES ${triplet}-g++ ${triplet}-g++-12)
find_program(STET_QEMU NAMES qemu-${processor} qemu-${processor}-static)
mark_as_advanced(STET_CROSS_GXX STET_QEMU)
if(NOT STET_CROSS_GXX OR NOT STET_QEMU)
  message(FATAL_ERROR "This preset needs a cross compiler and QEMU: apt-get install g++-${triplet} qemu-user")
endif()
set(CMAKE_CXX_COMPILER "${STET_CROSS_GXX}")
set(CMAKE_CROSSCOMPILING_EMULATOR "${STET_QEMU};-L;/usr/${triplet}")

# Programs of this machine, everything else of the target's; packages of headers alone are the same everywhere.
set(CMAKE_FIND_ROOT_PATH "/usr/${triplet}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
