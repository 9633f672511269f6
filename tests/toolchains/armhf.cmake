# SPDX-License-Identifier: MIT
# 32-bit Arm with floating point in hardware.
set(triplet arm-linux-gnueabihf)
set(processor arm)
include("${CMAKE_CURRENT_LIST_DIR}/linux_under_qemu.cmake")
set(CMAKE_CXX_FLAGS_INIT -Wno-psabi) # notes about what GCC 7 changed
