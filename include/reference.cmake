# SPDX-License-Identifier: MIT
# The target `reference`: the API reference, made by Doxygen in reference/html of the build folder. It fails where a public
# declaration has no doc comment, or where a comment speaks of a parameter that is not there. Public is what tests/public_headers.cmake
# says: headers outside detail/, wire/ and formats/common/, without namespaces called detail.

find_package(Doxygen QUIET)
if(NOT DOXYGEN_FOUND)
  return()
endif()

set(DOXYGEN_OUTPUT_DIRECTORY reference)
set(DOXYGEN_PROJECT_BRIEF "${PROJECT_DESCRIPTION}")
set(DOXYGEN_STRIP_FROM_PATH "${PROJECT_SOURCE_DIR}/include")
set(DOXYGEN_FULL_PATH_NAMES YES)
set(DOXYGEN_FILE_PATTERNS *.hpp README.md)
set(DOXYGEN_EXCLUDE_PATTERNS */detail/* */wire/* */formats/common/*)
set(DOXYGEN_EXCLUDE_SYMBOLS detail stet::detail *::iterator)
set(DOXYGEN_USE_MDFILE_AS_MAINPAGE "${PROJECT_SOURCE_DIR}/include/stet/README.md")

set(DOXYGEN_INPUT_FILTER "sed -f ${CMAKE_CURRENT_LIST_DIR}/reference.sed")
set(DOXYGEN_FILTER_SOURCE_FILES NO)
set(DOXYGEN_MACRO_EXPANSION YES)
set(DOXYGEN_EXPAND_ONLY_PREDEF YES)
set(DOXYGEN_PREDEFINED STET_FILES=1 STET_SMALL_CODE=0)

set(DOXYGEN_JAVADOC_AUTOBRIEF YES)
set(DOXYGEN_EXTRACT_STATIC YES)
set(DOXYGEN_DISTRIBUTE_GROUP_DOC YES)
set(DOXYGEN_SORT_MEMBER_DOCS NO)
set(DOXYGEN_GENERATE_LATEX NO)
set(DOXYGEN_HAVE_DOT NO)

set(DOXYGEN_QUIET YES)
set(DOXYGEN_WARN_IF_UNDOCUMENTED YES)
set(DOXYGEN_WARN_IF_DOC_ERROR YES)
set(DOXYGEN_WARN_IF_INCOMPLETE_DOC NO) # a parameter whose name says all needs no line
set(DOXYGEN_WARN_NO_PARAMDOC NO)
set(DOXYGEN_WARN_AS_ERROR FAIL_ON_WARNINGS)

doxygen_add_docs(reference "${PROJECT_SOURCE_DIR}/include/stet" COMMENT "The API reference")
