// SPDX-License-Identifier: MIT
// The fields of the messages of TensorFlow's graphs, and their form in JSON.
#ifndef STET_FORMATS_TENSORFLOW_GRAPH_DEF_SCHEMA_HPP
#define STET_FORMATS_TENSORFLOW_GRAPH_DEF_SCHEMA_HPP

#include "../../../vocabulary/config.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

// A message as JSON (protobuf.dev, "ProtoJSON Format"): names in lowerCamelCase; 64-bit integers as strings;
// bytes in base64; enumerators by name; NaN and infinities as strings; a map as an object. TensorFlow.js has
// its graphs in this form.

namespace stet::inline STET_NAMESPACE::detail {

/// What a field holds.
enum class proto_kind : std::uint8_t {
  boolean,
  int32,
  int64,
  uint64,
  float32,
  float64,
  text,
  bytes,
  data_type,
  message,
  /// A repeated message {1: key, 2: value} that is an object by key, the value as `proto_field::message`
  /// says: its first field where that has no name, else the whole.
  map,
};

/// Every message: a row of `proto_messages`.
enum class proto_id : std::uint8_t {
  none,
  dim,
  tensor_shape,
  tensor,
  bare_tensor,
  name_attr_list,
  list_value,
  attr_value,
  bare_attr_value,
  node_def,
  const_node_def,
  arg_def,
  attr_def,
  op_def,
  text_value,
  uint32_value,
  arg_attrs,
  function_def,
  gradient_def,
  library,
  version_def,
  graph_def,
  sparse_info,
  composite_info,
  tensor_info,
  signature_def,
  meta_info,
  saver_def,
  asset_file,
  node_list,
  bytes_list,
  int64_list,
  float_list,
  collection,
  meta_graph,
};

/// A row: the number, the name in JSON, and what it holds.
struct proto_field {
  std::uint32_t number;
  const char* name;
  proto_kind kind;
  bool is_repeated = false;
  proto_id message = proto_id::none;
};

// ---- tensorflow/core/framework/tensor_shape.proto, tensor.proto ----

inline constexpr proto_field dim_fields[] = {{1, "size", proto_kind::int64}, {2, "name", proto_kind::text}};

inline constexpr proto_field tensor_shape_fields[] = {
    {2, "dim", proto_kind::message, true, proto_id::dim},
    {3, "unknownRank", proto_kind::boolean},
};
inline constexpr proto_field tensor_fields_of_proto[] = {
    {1, "dtype", proto_kind::data_type},
    {2, "tensorShape", proto_kind::message, false, proto_id::tensor_shape},
    {3, "versionNumber", proto_kind::int32},
    {4, "tensorContent", proto_kind::bytes},
    {5, "floatVal", proto_kind::float32, true},
    {6, "doubleVal", proto_kind::float64, true},
    {7, "intVal", proto_kind::int32, true},
    {8, "stringVal", proto_kind::bytes, true},
    {9, "scomplexVal", proto_kind::float32, true},
    {10, "int64Val", proto_kind::int64, true},
    {11, "boolVal", proto_kind::boolean, true},
    {12, "dcomplexVal", proto_kind::float64, true},
    {13, "halfVal", proto_kind::int32, true},
    {16, "uint32Val", proto_kind::int32, true},
    {17, "uint64Val", proto_kind::uint64, true},
    {18, "float8Val", proto_kind::bytes},
};

inline constexpr proto_field name_attr_list_fields[] = {
    {1, "name", proto_kind::text},
    {2, "attr", proto_kind::map, true, proto_id::attr_value},
};
inline constexpr proto_field list_value_fields[] = {
    {2, "s", proto_kind::bytes, true},
    {3, "i", proto_kind::int64, true},
    {4, "f", proto_kind::float32, true},
    {5, "b", proto_kind::boolean, true},
    {6, "type", proto_kind::data_type, true},
    {7, "shape", proto_kind::message, true, proto_id::tensor_shape},
    {8, "tensor", proto_kind::message, true, proto_id::tensor},
    {9, "func", proto_kind::message, true, proto_id::name_attr_list},
};
inline constexpr proto_field attr_value_fields[] = {
    {1, "list", proto_kind::message, false, proto_id::list_value},
    {2, "s", proto_kind::bytes},
    {3, "i", proto_kind::int64},
    {4, "f", proto_kind::float32},
    {5, "b", proto_kind::boolean},
    {6, "type", proto_kind::data_type},
    {7, "shape", proto_kind::message, false, proto_id::tensor_shape},
    {8, "tensor", proto_kind::message, false, proto_id::tensor},
    {9, "placeholder", proto_kind::text},
    {10, "func", proto_kind::message, false, proto_id::name_attr_list},
};
inline constexpr proto_field bare_attr_value_fields[] = {
    attr_value_fields[0], attr_value_fields[1],
    attr_value_fields[2], attr_value_fields[3],
    attr_value_fields[4], attr_value_fields[5],
    attr_value_fields[6], {8, "tensor", proto_kind::message, false, proto_id::bare_tensor},
};
inline constexpr proto_field node_def_fields[] = {
    {1, "name", proto_kind::text},
    {2, "op", proto_kind::text},
    {3, "input", proto_kind::text, true},
    {4, "device", proto_kind::text},
    {5, "attr", proto_kind::map, true, proto_id::attr_value},
};
inline constexpr proto_field const_node_def_fields[] = {
    node_def_fields[0],
    node_def_fields[1],
    node_def_fields[2],
    node_def_fields[3],
    {5, "attr", proto_kind::map, true, proto_id::bare_attr_value},
};

inline constexpr proto_field arg_def_fields[] = {
    {1, "name", proto_kind::text},      {2, "description", proto_kind::text}, {3, "type", proto_kind::data_type},
    {4, "typeAttr", proto_kind::text},  {5, "numberAttr", proto_kind::text},  {6, "typeListAttr", proto_kind::text},
    {16, "isRef", proto_kind::boolean},
};
inline constexpr proto_field attr_def_fields[] = {
    {1, "name", proto_kind::text},
    {2, "type", proto_kind::text},
    {3, "defaultValue", proto_kind::message, false, proto_id::attr_value},
    {4, "description", proto_kind::text},
    {5, "hasMinimum", proto_kind::boolean},
    {6, "minimum", proto_kind::int64},
    {7, "allowedValues", proto_kind::message, false, proto_id::attr_value},
};
inline constexpr proto_field op_def_fields[] = {
    {1, "name", proto_kind::text},
    {2, "inputArg", proto_kind::message, true, proto_id::arg_def},
    {3, "outputArg", proto_kind::message, true, proto_id::arg_def},
    {20, "controlOutput", proto_kind::text, true},
    {4, "attr", proto_kind::message, true, proto_id::attr_def},
    {5, "summary", proto_kind::text},
    {6, "description", proto_kind::text},
    {18, "isCommutative", proto_kind::boolean},
    {16, "isAggregate", proto_kind::boolean},
    {17, "isStateful", proto_kind::boolean},
    {19, "allowsUninitializedInput", proto_kind::boolean},
    {21, "isDistributedCommunication", proto_kind::boolean},
};
inline constexpr proto_field text_value_fields[] = {{2, nullptr, proto_kind::text}};
inline constexpr proto_field uint32_value_fields[] = {{2, nullptr, proto_kind::int32}};
inline constexpr proto_field arg_attrs_fields[] = {{1, "attr", proto_kind::map, true, proto_id::attr_value}};
inline constexpr proto_field function_def_fields[] = {
    {1, "signature", proto_kind::message, false, proto_id::op_def},
    {5, "attr", proto_kind::map, true, proto_id::attr_value},
    {7, "argAttr", proto_kind::map, true, proto_id::arg_attrs},
    {8, "resourceArgUniqueId", proto_kind::map, true, proto_id::uint32_value},
    {3, "nodeDef", proto_kind::message, true, proto_id::node_def},
    {4, "ret", proto_kind::map, true, proto_id::text_value},
    {6, "controlRet", proto_kind::map, true, proto_id::text_value},
};
inline constexpr proto_field gradient_def_fields[] = {{1, "functionName", proto_kind::text},
                                                      {2, "gradientFunc", proto_kind::text}};
inline constexpr proto_field library_fields[] = {
    {1, "function", proto_kind::message, true, proto_id::function_def},
    {2, "gradient", proto_kind::message, true, proto_id::gradient_def},
};
inline constexpr proto_field version_def_fields[] = {
    {1, "producer", proto_kind::int32},
    {2, "minConsumer", proto_kind::int32},
    {3, "badConsumers", proto_kind::int32, true},
};
inline constexpr proto_field graph_def_fields[] = {
    {1, "node", proto_kind::message, true, proto_id::node_def},
    {2, "library", proto_kind::message, false, proto_id::library},
    {3, "version", proto_kind::int32},
    {4, "versions", proto_kind::message, false, proto_id::version_def},
};

inline constexpr proto_field sparse_info_fields[] = {
    {1, "valuesTensorName", proto_kind::text},
    {2, "indicesTensorName", proto_kind::text},
    {3, "denseShapeTensorName", proto_kind::text},
};
inline constexpr proto_field composite_info_fields[] = {
    {2, "components", proto_kind::message, true, proto_id::tensor_info}};
inline constexpr proto_field tensor_info_fields[] = {
    {1, "name", proto_kind::text},
    {4, "cooSparse", proto_kind::message, false, proto_id::sparse_info},
    {5, "compositeTensor", proto_kind::message, false, proto_id::composite_info},
    {2, "dtype", proto_kind::data_type},
    {3, "tensorShape", proto_kind::message, false, proto_id::tensor_shape},
};
inline constexpr proto_field signature_def_fields[] = {
    {1, "inputs", proto_kind::map, true, proto_id::tensor_info},
    {2, "outputs", proto_kind::map, true, proto_id::tensor_info},
    {3, "methodName", proto_kind::text},
    {4, "defaults", proto_kind::map, true, proto_id::tensor},
};
inline constexpr proto_field meta_info_fields[] = {
    {1, "metaGraphVersion", proto_kind::text},
    {4, "tags", proto_kind::text, true},
    {5, "tensorflowVersion", proto_kind::text},
    {6, "tensorflowGitVersion", proto_kind::text},
    {7, "strippedDefaultAttrs", proto_kind::boolean},
    {8, "functionAliases", proto_kind::map, true, proto_id::text_value},
};
inline constexpr proto_field saver_def_fields[] = {
    {1, "filenameTensorName", proto_kind::text}, {2, "saveTensorName", proto_kind::text},
    {3, "restoreOpName", proto_kind::text},      {4, "maxToKeep", proto_kind::int32},
    {5, "sharded", proto_kind::boolean},         {6, "keepCheckpointEveryNHours", proto_kind::float32},
    {7, "version", proto_kind::int32},
};
inline constexpr proto_field asset_file_fields[] = {
    {1, "tensorInfo", proto_kind::message, false, proto_id::tensor_info},
    {2, "filename", proto_kind::text},
};
inline constexpr proto_field node_list_fields[] = {{1, "value", proto_kind::text, true}};
inline constexpr proto_field bytes_list_fields[] = {{1, "value", proto_kind::bytes, true}};
inline constexpr proto_field int64_list_fields[] = {{1, "value", proto_kind::int64, true}};
inline constexpr proto_field float_list_fields[] = {{1, "value", proto_kind::float32, true}};
inline constexpr proto_field collection_fields[] = {
    {1, "nodeList", proto_kind::message, false, proto_id::node_list},
    {2, "bytesList", proto_kind::message, false, proto_id::bytes_list},
    {3, "int64List", proto_kind::message, false, proto_id::int64_list},
    {4, "floatList", proto_kind::message, false, proto_id::float_list},
};
inline constexpr proto_field meta_graph_fields[] = {
    {1, "metaInfoDef", proto_kind::message, false, proto_id::meta_info},
    {2, "graphDef", proto_kind::message, false, proto_id::graph_def},
    {3, "saverDef", proto_kind::message, false, proto_id::saver_def},
    {4, "collectionDef", proto_kind::map, true, proto_id::collection},
    {5, "signatureDef", proto_kind::map, true, proto_id::signature_def},
    {6, "assetFileDef", proto_kind::message, true, proto_id::asset_file},
};

// ---- all ----

/// The fields of each message, by its `proto_id`. What is not listed is passed over.
inline constexpr std::span<const proto_field> proto_messages[] = {
    {},
    dim_fields,
    tensor_shape_fields,
    tensor_fields_of_proto,
    std::span(tensor_fields_of_proto).first<2>(),
    name_attr_list_fields,
    list_value_fields,
    attr_value_fields,
    bare_attr_value_fields,
    node_def_fields,
    const_node_def_fields,
    arg_def_fields,
    attr_def_fields,
    op_def_fields,
    text_value_fields,
    uint32_value_fields,
    arg_attrs_fields,
    function_def_fields,
    gradient_def_fields,
    library_fields,
    version_def_fields,
    graph_def_fields,
    sparse_info_fields,
    composite_info_fields,
    tensor_info_fields,
    signature_def_fields,
    meta_info_fields,
    saver_def_fields,
    asset_file_fields,
    node_list_fields,
    bytes_list_fields,
    int64_list_fields,
    float_list_fields,
    collection_fields,
    meta_graph_fields,
};
static_assert(std::size(proto_messages) == static_cast<std::size_t>(proto_id::meta_graph) + 1);
inline constexpr std::span<const proto_field> fields_of(proto_id message) noexcept {
  return proto_messages[static_cast<std::size_t>(message)];
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
