# SPDX-License-Identifier: MIT
# The Clang with the highest number.
foreach(number RANGE 40 14 -1)
  list(APPEND clangs clang++-${number})
endforeach()
find_program(STET_NEWEST_CLANG NAMES ${clangs} clang++)
mark_as_advanced(STET_NEWEST_CLANG)
if(NOT STET_NEWEST_CLANG)
  message(FATAL_ERROR "This preset needs Clang: apt-get install clang")
endif()
set(CMAKE_CXX_COMPILER "${STET_NEWEST_CLANG}")
