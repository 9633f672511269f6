# SPDX-License-Identifier: MIT
# Looks at symbols: cmake -D NM=nm -D CONTROL=a.o [-D OBJECT=b.o] [-D PROGRAM=c] -P state.cmake
# OBJECT includes every header: it has no initialiser that runs before main. PROGRAM uses them: nothing of stet's in it can be
# written to. CONTROL has both, so that this script is known to see them.
cmake_minimum_required(VERSION 3.25)

# Sets `initialisers` and `state` to the lines of nm that show such.
function(look_at file)
  execute_process(COMMAND "${NM}" -f sysv -C "${file}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE ";" "," symbols "${symbols}")
  string(REPLACE "[" "(" symbols "${symbols}")
  string(REPLACE "]" ")" symbols "${symbols}")
  string(REPLACE "\n" ";" lines "${symbols}")
  set(initialisers ${lines})
  list(FILTER initialisers INCLUDE REGEX "_GLOBAL__(sub_)?I_|__static_initialization_and_destruction|__cxx_global_var_init|\\|\\.(init_array|ctors)")
  set(state ${lines})
  list(FILTER state INCLUDE REGEX "\\|\\.(data|bss|tdata|tbss)(\\.[^|]*)?[ ]*$")
  list(FILTER state EXCLUDE REGEX "\\|\\.data\\.rel\\.ro")
  list(FILTER state INCLUDE REGEX "(^|[ (<&*])stet::v0_1::")
  # The one exception, in a program that saves checkpoints: the child of a fork has to know which locks it got with it.
  list(FILTER state EXCLUDE REGEX "^(guard variable for )?stet::v0_1::detail::held_locks::")
  # What belongs to the program and the standard library only speaks of stet's types.
  list(FILTER state EXCLUDE REGEX "^(guard variable for )?(\\(anonymous namespace\\)|stet_test|std)::")
  set(initialisers "${initialisers}" PARENT_SCOPE)
  set(state "${state}" PARENT_SCOPE)
endfunction()

look_at("${CONTROL}")
if(initialisers STREQUAL "" OR state STREQUAL "")
  message(FATAL_ERROR "what ${CONTROL} was made with cannot be seen: \"${initialisers}\", \"${state}\"")
endif()
if(DEFINED OBJECT)
  look_at("${OBJECT}")
  if(NOT initialisers STREQUAL "" OR NOT state STREQUAL "")
    message(FATAL_ERROR "including the headers runs or keeps something:\n${initialisers}\n${state}")
  endif()
endif()
if(DEFINED PROGRAM)
  look_at("${PROGRAM}")
  if(NOT state STREQUAL "")
    message(FATAL_ERROR "stet has state in ${PROGRAM}:\n${state}")
  endif()
endif()
