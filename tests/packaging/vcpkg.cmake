# SPDX-License-Identifier: MIT
# Runs the vcpkg port without vcpkg: its manifest is read, its portfile is carried out with the functions below in place of vcpkg's,
# and a consumer is built against what it has packaged.
#   cmake -D ROOT=folder-of-the-repository -D OUTPUT=folder -D VERSION=0.1.0 -D "OPTIONS=-G;Ninja" -P vcpkg.cmake
cmake_minimum_required(VERSION 3.25)

# ---- what the port calls, with the meaning that vcpkg's documentation gives it ----

function(vcpkg_check_features)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" OUT_FEATURE_OPTIONS FEATURES)
  set(options)
  while(arg_FEATURES)
    list(POP_FRONT arg_FEATURES feature option)
    string(JSON is_there ERROR_VARIABLE error GET "${manifest}" features ${feature})
    if(error)
      message(FATAL_ERROR "the manifest has no feature ${feature}, which the portfile asks for")
    endif()
    if(feature IN_LIST features)
      list(APPEND options -D${option}=ON)
    else()
      list(APPEND options -D${option}=OFF)
    endif()
  endwhile()
  set(${arg_OUT_FEATURE_OPTIONS} ${options} PARENT_SCOPE)
endfunction()

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
endfunction()

function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" SOURCE_PATH OPTIONS)
  run("${CMAKE_COMMAND}" -S "${arg_SOURCE_PATH}" -B "${CURRENT_PACKAGES_DIR}-build" "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}"
    ${OPTIONS} ${arg_OPTIONS})
endfunction()

function(vcpkg_cmake_install)
  run("${CMAKE_COMMAND}" --build "${CURRENT_PACKAGES_DIR}-build" --target install)
endfunction()

# Moves the CMake package to share/PORT, and sets its prefix two folders above, which is where vcpkg expects it.
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" CONFIG_PATH "")
  file(GLOB files "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}/*.cmake")
  foreach(from IN LISTS files)
    file(READ "${from}" text)
    set(up "get_filename_component\\(_IMPORT_PREFIX \"\\\${[A-Z_]+}\" PATH\\)\n")
    string(REGEX REPLACE "(${up})+" "cmake_path(SET _IMPORT_PREFIX NORMALIZE \"\${CMAKE_CURRENT_LIST_DIR}/../..\")\n" text "${text}")
    cmake_path(GET from FILENAME name)
    file(WRITE "${CURRENT_PACKAGES_DIR}/share/${PORT}/${name}" "${text}")
  endforeach()
  file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}")
endfunction()

function(vcpkg_fixup_pkgconfig)
  file(GLOB_RECURSE files "${CURRENT_PACKAGES_DIR}/*.pc")
  foreach(each IN LISTS files)
    file(READ "${each}" text)
    if(text MATCHES "${CURRENT_PACKAGES_DIR}")
      message(FATAL_ERROR "${each} has a path of the machine that made it")
    endif()
  endforeach()
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" FILE_LIST)
  configure_file("${arg_FILE_LIST}" "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright" COPYONLY)
endfunction()

# ---- the port ----

set(PORT stet)
set(CURRENT_PORT_DIR "${ROOT}/examples/packaging/vcpkg/${PORT}")
file(READ "${CURRENT_PORT_DIR}/vcpkg.json" manifest)
string(JSON name GET "${manifest}" name)
string(JSON version GET "${manifest}" version-semver)
if(NOT name STREQUAL PORT OR NOT version STREQUAL VERSION)
  message(FATAL_ERROR "the manifest is of ${name} ${version}, the library is ${PORT} ${VERSION}")
endif()

# Packages with some features, and builds a consumer that needs them.
function(try_port component)
  set(features ${ARGN})
  set(CURRENT_PACKAGES_DIR "${OUTPUT}/${component}")
  include("${CURRENT_PORT_DIR}/portfile.cmake")
  file(GLOB left RELATIVE "${CURRENT_PACKAGES_DIR}" "${CURRENT_PACKAGES_DIR}/*" "${CURRENT_PACKAGES_DIR}/share/*")
  list(REMOVE_ITEM left share/cmake) # empty by now, which vcpkg removes
  if(NOT left STREQUAL "include;share;share/pkgconfig;share/stet")
    message(FATAL_ERROR "the package holds ${left}")
  endif()
  run("${CMAKE_COMMAND}" -S "${ROOT}/tests/consumer/find_package" -B "${OUTPUT}/consumer_${component}" ${OPTIONS}
    "-Dstet_ROOT=${CURRENT_PACKAGES_DIR}" -DCONSUMER_COMPONENT=${component} -DSTET_EXPECTED_VERSION=${VERSION})
  run("${CMAKE_COMMAND}" --build "${OUTPUT}/consumer_${component}")
  run("${OUTPUT}/consumer_${component}/consumer")
  message(STATUS "the port with the features '${features}': packaged, found, built, run")
endfunction()

file(REMOVE_RECURSE "${OUTPUT}")
try_port(core)
try_port(stet json)
