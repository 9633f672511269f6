# SPDX-License-Identifier: MIT
# Checks the text of the headers: cmake -D INCLUDE_DIR=include -P text.cmake
#   - they define no macro but STET_*, and include no <windows.h>, which would hand its own to everybody;
#   - nothing ends the program, prints or throws: errors are values. What STET_ASSERT is by default, in config.hpp, does.
cmake_minimum_required(VERSION 3.25)
cmake_path(ABSOLUTE_PATH INCLUDE_DIR BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
file(GLOB_RECURSE headers RELATIVE "${INCLUDE_DIR}" "${INCLUDE_DIR}/stet/*.hpp")
set(count 0)
foreach(header IN LISTS headers)
  math(EXPR count "${count} + 1")
  file(STRINGS "${INCLUDE_DIR}/${header}" foreign REGEX "^[ \t]*#[ \t]*(define|undef)[ \t]+")
  list(FILTER foreign EXCLUDE REGEX "#[ \t]*(define|undef)[ \t]+STET_")
  file(STRINGS "${INCLUDE_DIR}/${header}" windows REGEX "#[ \t]*include[ \t]*<[Ww]indows\\.h>")
  file(STRINGS "${INCLUDE_DIR}/${header}" endings
    REGEX "[^a-z_](abort|terminate|_?exit|longjmp|f?printf|puts|throw)[ ]?\\(|std::(cout|cerr)|[^a-z_]throw[ ;][^/]*$")
  list(FILTER endings EXCLUDE REGEX "^[ \t]*//")
  if(header STREQUAL "stet/vocabulary/config.hpp")
    set(endings)
  endif()
  foreach(line IN LISTS foreign windows endings)
    message(SEND_ERROR "${header}: ${line}")
  endforeach()
endforeach()
if(count EQUAL 0)
  message(FATAL_ERROR "no headers below ${INCLUDE_DIR}")
endif()
message(STATUS "${count} headers")
