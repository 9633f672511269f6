# SPDX-License-Identifier: MIT
# WebAssembly by Emscripten, run by Node.js. Debian's package calls Node's parser of JavaScript without saying where it is: see
# NODE_PATH in the presets.
find_program(STET_EMXX em++ REQUIRED)
mark_as_advanced(STET_EMXX)
execute_process(COMMAND em-config EMSCRIPTEN_ROOT OUTPUT_VARIABLE emscripten_root OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
include("${emscripten_root}/cmake/Modules/Platform/Emscripten.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/header_packages.cmake")
