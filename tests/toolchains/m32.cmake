# SPDX-License-Identifier: MIT
# 32-bit programs on an x86-64 Linux, by Clang where it is installed: GCC compiles them for other 32-bit machines. Debian's
# g++-12-multilib, whose libraries both use, leaves out <asm/…>, which is the same for both word sizes, so the 64-bit folder is
# searched last.
include("${CMAKE_CURRENT_LIST_DIR}/clang_if_found.cmake")
if(NOT STET_CLANG)
  find_program(STET_GXX NAMES g++-12 g++ REQUIRED)
  mark_as_advanced(STET_GXX)
  set(CMAKE_CXX_COMPILER "${STET_GXX}")
endif()
set(CMAKE_CXX_FLAGS_INIT "-m32 -idirafter /usr/include/x86_64-linux-gnu")
