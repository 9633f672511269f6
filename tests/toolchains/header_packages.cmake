# SPDX-License-Identifier: MIT
# Lets a compiler for another system use this machine's header-only packages without seeing the rest of its headers: each
# package is found in the build tree, where a link leads to its folder of headers and to nothing else.
foreach(package_and_folder IN ITEMS nlohmann_json:nlohmann doctest:doctest)
  string(REGEX MATCH "^(.*):(.*)$" parts "${package_and_folder}")
  set(package "${CMAKE_MATCH_1}")
  set(place "${CMAKE_BINARY_DIR}/header_packages/${package}")
  find_path(STET_HEADERS_OF_${package} "${CMAKE_MATCH_2}" PATHS /usr/include /usr/local/include NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
  mark_as_advanced(STET_HEADERS_OF_${package})
  if(STET_HEADERS_OF_${package} AND NOT EXISTS "${place}/${package}Config.cmake")
    file(MAKE_DIRECTORY "${place}/include")
    file(CREATE_LINK "${STET_HEADERS_OF_${package}}/${CMAKE_MATCH_2}" "${place}/include/${CMAKE_MATCH_2}" SYMBOLIC)
    # Which version it is, its own package tells.
    file(WRITE "${place}/${package}Config.cmake" "
if(NOT TARGET ${package}::${package})
  add_library(${package}::${package} INTERFACE IMPORTED)
  set_target_properties(${package}::${package} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES \"${place}/include\")
endif()
")
    file(GLOB version LIST_DIRECTORIES false /usr/share/cmake/${package}/*ConfigVersion.cmake /usr/lib/cmake/${package}/*ConfigVersion.cmake)
    file(WRITE "${place}/${package}ConfigVersion.cmake" "include(\"${version}\")\nset(PACKAGE_VERSION_UNSUITABLE FALSE)\n")
  endif()
  set(${package}_DIR "${place}" CACHE PATH "" FORCE)
endforeach()
