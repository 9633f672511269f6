# SPDX-License-Identifier: MIT
# Compiles the module stet with COMPILER and runs a program that imports it in one file and includes headers in another. CMake 3.25
# knows nothing of modules, so this calls the compiler itself:
#   cmake -D COMPILER=clang++ -D ROOT=folder-of-the-repository -D OUTPUT=folder -P module.cmake
cmake_minimum_required(VERSION 3.25)

if(COMPILER)
  execute_process(COMMAND "${COMPILER}" -dumpversion OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
if(NOT COMPILER OR version VERSION_LESS 17)
  message("SKIPPED: the module needs Clang 17 or newer; there is '${COMPILER}' ${version}")
  return()
endif()

function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${OUTPUT}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(MAKE_DIRECTORY "${OUTPUT}")
set(tests "${ROOT}/tests/module")
set(compile "${COMPILER}" -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Werror -I "${ROOT}/include" -I "${ROOT}/tests")
run(${compile} -x c++-module --precompile "${ROOT}/include/stet/stet.cppm" -o stet.pcm)
run("${COMPILER}" -c stet.pcm -o stet.o)
run(${compile} -fmodule-file=stet=stet.pcm -c "${tests}/importer.cpp" -o importer.o)
run(${compile} -c "${tests}/includer.cpp" -o includer.o)
run("${COMPILER}" importer.o includer.o stet.o -o importer)
run("${OUTPUT}/importer")
