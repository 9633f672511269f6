# SPDX-License-Identifier: MIT
# 64-bit RISC-V.
set(triplet riscv64-linux-gnu)
set(processor riscv64)
include("${CMAKE_CURRENT_LIST_DIR}/linux_under_qemu.cmake")
