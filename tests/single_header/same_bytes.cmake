# SPDX-License-Identifier: MIT
# Makes the single headers again and compares them with those in each of FOLDERS, file by file and byte by byte:
#   cmake -D SCRIPT=single_header.cmake -D AGAIN=folder -D FOLDERS=folder;... -P same_bytes.cmake
cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE "${AGAIN}")
file(MAKE_DIRECTORY "${AGAIN}")
execute_process(COMMAND "${CMAKE_COMMAND}" -D "OUTPUT_DIR=${AGAIN}" -P "${SCRIPT}" WORKING_DIRECTORY "${AGAIN}"
  COMMAND_ERROR_IS_FATAL ANY)
file(GLOB_RECURSE expected RELATIVE "${AGAIN}" "${AGAIN}/*")
list(LENGTH expected count)
if(count LESS 2)
  message(FATAL_ERROR "the script made ${count} files")
endif()
foreach(folder IN LISTS FOLDERS)
  file(GLOB_RECURSE found RELATIVE "${folder}" "${folder}/*")
  if(NOT found STREQUAL expected)
    message(FATAL_ERROR "${folder} has ${found}; ${expected} are expected")
  endif()
  foreach(name IN LISTS expected)
    file(SHA256 "${AGAIN}/${name}" wanted)
    file(SHA256 "${folder}/${name}" sum)
    if(NOT sum STREQUAL wanted)
      message(FATAL_ERROR "${folder}/${name} differs from the same file made again")
    endif()
  endforeach()
  message(STATUS "${folder}: ${count} files, the same bytes as when made again")
endforeach()
