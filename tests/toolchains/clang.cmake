# SPDX-License-Identifier: MIT
# Clang, or an error that says what to install.
include("${CMAKE_CURRENT_LIST_DIR}/clang_if_found.cmake")
if(NOT STET_CLANG)
  message(FATAL_ERROR "This preset needs Clang 14 or newer: apt-get install clang")
endif()
