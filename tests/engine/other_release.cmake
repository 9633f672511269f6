# SPDX-License-Identifier: MIT
# Makes what a program that vendors two releases has beside the first: cmake -D FROM=include -D TO=folder -P other_release.cmake
# The names of types are in another inline namespace; include guards say so, too; one type is of another size.
cmake_minimum_required(VERSION 3.25)
cmake_path(ABSOLUTE_PATH FROM BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
file(GLOB_RECURSE headers RELATIVE "${FROM}" "${FROM}/stet/*.hpp")
foreach(header IN LISTS headers)
  file(READ "${FROM}/${header}" text)
  string(REPLACE "STET_VERSION_MAJOR 0" "STET_VERSION_MAJOR 9" text "${text}")
  string(REGEX REPLACE "(#(ifndef|define)) (STET_[A-Z0-9_]+_HPP)" "\\1 OTHER_\\3" text "${text}")
  if(header STREQUAL "stet/source/source.hpp")
    string(REPLACE "\nclass source {\npublic:\n" "\nclass source {\n  std::uint64_t of_this_release_[5] = {};\n\npublic:\n" changed "${text}")
    if(changed STREQUAL text)
      message(FATAL_ERROR "the class source is not where it is looked for")
    endif()
    set(text "${changed}")
  endif()
  file(WRITE "${TO}/${header}" "${text}")
endforeach()
