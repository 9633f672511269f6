# SPDX-License-Identifier: MIT
# The newest Clang on the PATH, whatever the suffix of its name; else the compiler that CMake takes by itself.
find_program(STET_CLANG NAMES clang++ clang++-21 clang++-20 clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14)
mark_as_advanced(STET_CLANG)
if(STET_CLANG)
  set(CMAKE_CXX_COMPILER "${STET_CLANG}")
endif()
