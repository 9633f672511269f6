# SPDX-License-Identifier: MIT
# What CMake has to know of WASI, which it meets by name in later versions only.
set(CMAKE_EXECUTABLE_SUFFIX .wasm)
