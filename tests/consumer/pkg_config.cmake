# SPDX-License-Identifier: MIT
# Builds and runs the consumer with the flags that PKG_CONFIG gives for PACKAGE, which is installed below PREFIX.
cmake_minimum_required(VERSION 3.25)
if(NOT PKG_CONFIG)
  message("SKIPPED: there is no pkg-config: apt-get install pkgconf")
  return()
endif()

# Sets `result` to what pkg-config says, as a list.
set(ENV{PKG_CONFIG_PATH} "${PREFIX}/share/pkgconfig")
function(ask result)
  execute_process(COMMAND "${PKG_CONFIG}" ${ARGN} ${PACKAGE} OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(answer UNIX_COMMAND "${answer}")
  set(${result} ${answer} PARENT_SCOPE)
endfunction()

ask(version --modversion)
if(NOT version STREQUAL VERSION)
  message(FATAL_ERROR "pkg-config has version ${version} of ${PACKAGE}; ${VERSION} is installed")
endif()
ask(compile --cflags)
ask(link --libs)
separate_arguments(FLAGS UNIX_COMMAND "${FLAGS}")
execute_process(COMMAND "${COMPILER}" -std=c++20 ${FLAGS} ${compile} "-DSTET_EXPECTED_VERSION=\"${VERSION}\"" -DCONSUMER_USES_JSON=${USES_JSON}
  "${CMAKE_CURRENT_LIST_DIR}/consumer.cpp" ${link} -o "${PROGRAM}" COMMAND_ERROR_IS_FATAL ANY COMMAND_ECHO STDOUT)
execute_process(COMMAND "${PROGRAM}" COMMAND_ERROR_IS_FATAL ANY)
