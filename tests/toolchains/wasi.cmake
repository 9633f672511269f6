# SPDX-License-Identifier: MIT
# WebAssembly for the WASI interface, by Clang and Debian's C and C++ libraries for it, run by Node.js. There are neither
# exceptions nor threads, and the C++ library has no <filesystem>: what the tests need of it is in the folder wasi.
set(CMAKE_SYSTEM_NAME WASI)
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}/wasi")
set(CMAKE_SYSTEM_PROCESSOR wasm32)
set(STET_WASI_HEADERS /usr/include/wasm32-wasi)
find_program(STET_WASI_CLANG NAMES clang++-14 clang++)
find_program(STET_NODE NAMES node nodejs)
mark_as_advanced(STET_WASI_CLANG STET_NODE)
if(NOT STET_WASI_CLANG OR NOT STET_NODE OR NOT EXISTS "${STET_WASI_HEADERS}/c++/v1")
  message(FATAL_ERROR "This preset needs Clang, the libraries for WASI and Node.js: "
    "apt-get install clang lld wasi-libc libc++-dev-wasm32 libc++abi-14-dev-wasm32 libclang-rt-14-dev-wasm32 nodejs")
endif()
set(CMAKE_CXX_COMPILER "${STET_WASI_CLANG}")
set(CMAKE_CXX_COMPILER_TARGET wasm32-wasi)
set(CMAKE_CROSSCOMPILING_EMULATOR "${STET_NODE};--no-warnings;${CMAKE_CURRENT_LIST_DIR}/wasi/run.mjs")

# Debian's Clang would look into this machine's own headers, too.
string(JOIN " " CMAKE_CXX_FLAGS_INIT
  -nostdinc++ -nostdlibinc -isystem "${CMAKE_CURRENT_LIST_DIR}/wasi" -isystem "${STET_WASI_HEADERS}/c++/v1" -isystem "${STET_WASI_HEADERS}"
  -fno-exceptions -Wno-unused-command-line-argument -D_WASI_EMULATED_SIGNAL -DDOCTEST_CONFIG_NO_POSIX_SIGNALS -DJSON_HAS_FILESYSTEM=0 -DJSON_HAS_EXPERIMENTAL_FILESYSTEM=0)
set(CMAKE_EXE_LINKER_FLAGS_INIT -lwasi-emulated-signal)
set(CMAKE_HAVE_LIBC_PTHREAD TRUE CACHE INTERNAL "Nothing to link; what needs threads is not built") # of FindThreads

set(CMAKE_FIND_ROOT_PATH "${STET_WASI_HEADERS}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(kind IN ITEMS LIBRARY INCLUDE PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()
include("${CMAKE_CURRENT_LIST_DIR}/header_packages.cmake")
