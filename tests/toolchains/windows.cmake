# SPDX-License-Identifier: MIT
# 64-bit Windows programs by MinGW, run by Wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
find_program(STET_MINGW_GXX NAMES x86_64-w64-mingw32-g++-posix)
find_program(STET_WINE NAMES wine wine64 PATHS /usr/lib/wine)
find_program(STET_WINESERVER NAMES wineserver wineserver64 PATHS /usr/lib/wine)
mark_as_advanced(STET_MINGW_GXX STET_WINE STET_WINESERVER)
if(NOT STET_MINGW_GXX OR NOT STET_WINE OR NOT STET_WINESERVER)
  message(FATAL_ERROR "This preset needs MinGW and Wine: apt-get install g++-mingw-w64-x86-64-posix lld wine wine64")
endif()
set(CMAKE_CXX_COMPILER "${STET_MINGW_GXX}")
# Wine's own folder is in the build tree, and is made without a word about what this machine lacks. Its server, first to run, wants
# the folder to exist.
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/wine")
set(wine_environment "${CMAKE_COMMAND};-E;env;WINEPREFIX=${CMAKE_BINARY_DIR}/wine;WINEDEBUG=-all;WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe=")
set(CMAKE_CROSSCOMPILING_EMULATOR "${wine_environment};${STET_WINE}")
# Programs that start at once would both make that folder, and one that starts while Wine's own processes end after another waits
# for a minute: these stay from before the tests until after them.
set(STET_EMULATOR_START "${wine_environment};${STET_WINESERVER};--persistent")
set(STET_EMULATOR_STOP "${wine_environment};${STET_WINESERVER};--kill")
# Several test files compiled as one have more functions than the sections of a plain object file.
set(CMAKE_CXX_FLAGS_INIT -Wa,-mbig-obj)
# The compiler's own libraries go into the program: Wine knows nothing of Debian's folders.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
# GNU's linker takes minutes for as many sections, LLVM's a second. The compiler takes another one for a cross target only so.
find_program(STET_LLD NAMES ld.lld ld.lld-14)
mark_as_advanced(STET_LLD)
if(STET_LLD)
  file(WRITE "${CMAKE_BINARY_DIR}/lld.specs" "*linker:\n${STET_LLD}\n\n")
  string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT " -specs=${CMAKE_BINARY_DIR}/lld.specs -fno-use-linker-plugin")
endif()

set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(kind IN ITEMS LIBRARY INCLUDE PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()
include("${CMAKE_CURRENT_LIST_DIR}/header_packages.cmake")
