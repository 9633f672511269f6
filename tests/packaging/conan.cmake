# SPDX-License-Identifier: MIT
# Runs `conan create` on the recipe, for the reading core alone and for all of stet, in a Conan home of its own and without servers:
#   cmake -D CONAN=conan -D ROOT=folder-of-the-repository -D OUTPUT=folder -D JSON_INCLUDE=folder -D JSON_VERSION=3.11.2 -P conan.cmake
cmake_minimum_required(VERSION 3.25)
if(NOT CONAN)
  message("SKIPPED: there is no Conan: pip install conan")
  return()
endif()

file(REMOVE_RECURSE "${OUTPUT}")
file(MAKE_DIRECTORY "${OUTPUT}")
set(ENV{CONAN_HOME} "${OUTPUT}/home")
set(ENV{JSON_INCLUDE} "${JSON_INCLUDE}")
function(conan)
  execute_process(COMMAND "${CONAN}" ${ARGN} WORKING_DIRECTORY "${OUTPUT}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(recipe "${ROOT}/examples/packaging/conan")
set(create create "${recipe}" --no-remote -s compiler.cppstd=20
  -c tools.cmake.cmaketoolchain:generator=Ninja -c tools.cmake.cmaketoolchain:user_presets=
  -c "tools.cmake.cmake_layout:test_folder=${OUTPUT}/test")
conan(profile detect)
conan(${create} -o "stet/*:json=False")
conan(create "${ROOT}/tests/packaging/nlohmann_json" --no-remote --version "${JSON_VERSION}")
conan(${create})
