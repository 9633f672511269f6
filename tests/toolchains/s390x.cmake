# SPDX-License-Identifier: MIT
# IBM Z, which is big-endian.
set(triplet s390x-linux-gnu)
set(processor s390x)
include("${CMAKE_CURRENT_LIST_DIR}/linux_under_qemu.cmake")
