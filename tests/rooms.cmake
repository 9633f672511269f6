# SPDX-License-Identifier: MIT
# Checks what the headers include: cmake -D INCLUDE_DIR=include -P rooms.cmake
#   - a room includes itself and the rooms below it, in quotes and by a relative path; so does a part of the room formats;
#   - nlohmann/json is included by json.hpp and formats alone, so that writers and checkpoints do without;
#   - the reading core (but for the room that talks to the operating system) includes cheap standard headers only, and so does an
#     adapter, but for the one that waits for servers.
cmake_minimum_required(VERSION 3.25)
cmake_path(ABSOLUTE_PATH INCLUDE_DIR BASE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")

# What each room may include besides itself; what those may include follows.
set(below_vocabulary "")
set(below_bytes vocabulary)
set(below_source bytes)
set(below_index bytes)
set(below_store index source)
set(below_stet store)
set(below_load store)
set(below_manifest stet load wire)
set(below_json manifest)
set(below_graph json)
set(below_writer manifest source)
set(below_checkpoint writer store restore)
set(below_cache writer store)
set(below_sharded checkpoint load)
set(below_restore stet load)
set(below_wire source)
set(below_formats native keras tfjs tensorflow safetensors gguf numpy onnx pytorch tflite executorch replace)
set(below_sharded checkpoint)
set(below_ext store)
set(below_ext_mpi ext sharded)

# The parts of the room formats: NAME of what begins with PATH, the first that fits. What none fits is on top: any.hpp.
set(parts_of_formats
  common=formats/common/ common=formats/model.hpp common=formats/format.hpp
  common=formats/description.hpp common=formats/save_any_options.hpp
  native=formats/native/
  hdf5=formats/hdf5/
  keras_config=formats/keras/config keras=formats/keras/
  graph_def=formats/tensorflow/graph_def graph_def=formats/tensorflow/detail/data_type.hpp
  graph_def=formats/tensorflow/detail/tensor_proto.hpp tensorflow=formats/tensorflow/
  tfjs=formats/tfjs/ safetensors=formats/safetensors
  gguf=formats/gguf numpy=formats/numpy onnx=formats/onnx pytorch=formats/pytorch tflite=formats/tflite executorch=formats/executorch
  replace=formats/replace/ common=formats/replace_options.hpp)
set(below_common wire index manifest graph store writer checkpoint restore)
set(below_native common)
set(below_hdf5 common)
set(below_keras_config common)
set(below_keras hdf5 keras_config)
set(below_graph_def common)
set(below_tensorflow graph_def)
set(below_tfjs keras_config graph_def)
set(below_safetensors common)
set(below_gguf common)
set(below_numpy common)
set(below_onnx replace)
set(below_tflite common)
set(below_pytorch common)
set(below_executorch common)
set(below_replace gguf)

set(cheap_rooms vocabulary bytes index store stet ext)
# An adapter that waits for servers includes what its library costs several times over.
set(headers_of_ext_curl atomic chrono condition_variable ctime mutex)
set(cheap_headers array bit cassert compare cstddef cstdint cstdio cstdlib cstring initializer_list limits new span string_view type_traits utility version)

# Sets `result` to every room that `room` may include.
function(rooms_below room result)
  if(NOT DEFINED below_${room})
    message(FATAL_ERROR "the room '${room}' is not in the table of rooms.cmake")
  endif()
  set(all ${room})
  foreach(lower IN LISTS below_${room})
    rooms_below(${lower} more)
    list(APPEND all ${more})
  endforeach()
  list(REMOVE_DUPLICATES all)
  set(${result} ${all} PARENT_SCOPE)
endfunction()

# "stet/bytes/endian.hpp" and "stet/bytes.hpp" are of the room "bytes", "stet/formats/hdf5/open.hpp" of the part "hdf5". Above
# json.hpp, and in the folder of manifests, stands what reads graphs. The one adapter that is not over the reading core is MPI's.
function(room_of path result)
  foreach(part IN LISTS parts_of_formats)
    string(REGEX REPLACE "=.*" "" name "${part}")
    string(REGEX REPLACE ".*=" "stet/" begin "${part}")
    string(FIND "${path}" "${begin}" at)
    if(at EQUAL 0)
      set(${result} "${name}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  string(REGEX REPLACE "^stet/([a-z_0-9]+).*$" "\\1" room "${path}")
  if(path MATCHES "^stet/manifest/(graph[a-z_]*|detail/json_fields)\\.hpp$")
    set(room graph)
  elseif(path STREQUAL "stet/ext/mpi.hpp")
    set(room ext_mpi)
  endif()
  set(${result} "${room}" PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE headers RELATIVE "${INCLUDE_DIR}" "${INCLUDE_DIR}/stet/*.hpp")
set(include_count 0)
set(mistakes 0)
macro(mistake text)
  message(SEND_ERROR "${header}: ${text}")
  math(EXPR mistakes "${mistakes} + 1")
endmacro()

foreach(header IN LISTS headers)
  room_of("${header}" room)
  rooms_below(${room} allowed)
  string(REGEX REPLACE "^stet/([a-z_0-9]+).*$" "\\1" folder_room "${header}")
  file(STRINGS "${INCLUDE_DIR}/${header}" includes REGEX "^[ \t]*#[ \t]*include[ \t]")
  foreach(line IN LISTS includes)
    math(EXPR include_count "${include_count} + 1")
    if(line MATCHES "\"([^\"]+)\"")
      set(target "${CMAKE_MATCH_1}")
      cmake_path(GET header PARENT_PATH folder)
      cmake_path(APPEND folder "${target}" OUTPUT_VARIABLE target)
      cmake_path(NORMAL_PATH target)
      room_of("${target}" target_room)
      if(NOT EXISTS "${INCLUDE_DIR}/${target}")
        mistake("includes ${target}, which is not there")
      elseif(NOT target_room IN_LIST allowed)
        mistake("the room ${room} may not include ${target}")
      endif()
    elseif(line MATCHES "<([^>]+)>")
      set(target "${CMAKE_MATCH_1}")
      if(target MATCHES "^stet/")
        mistake("includes <${target}>; own headers are included in quotes, by a relative path")
      elseif(target MATCHES "^nlohmann/" AND NOT folder_room MATCHES "^(json|formats)$")
        mistake("the room ${room} may not include <${target}>")
      elseif(header MATCHES "^stet/ext/(curl|detail/http_client)\\.hpp$" AND target IN_LIST headers_of_ext_curl)
        # as above
      elseif(room IN_LIST cheap_rooms AND target MATCHES "^[a-z_]+$" AND NOT target IN_LIST cheap_headers)
        mistake("the room ${room} may not include <${target}>")
      endif()
    endif()
  endforeach()
endforeach()

list(LENGTH headers header_count)
if(include_count EQUAL 0)
  message(FATAL_ERROR "no includes found below ${INCLUDE_DIR}")
endif()
message(STATUS "${header_count} headers, ${include_count} includes, ${mistakes} mistakes")
