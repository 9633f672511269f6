// SPDX-License-Identifier: MIT
// Converts TensorFlow's graphs, binary or JSON, to graphs and back; and reads the tensors in them.
#ifndef STET_FORMATS_TENSORFLOW_GRAPH_DEF_HPP
#define STET_FORMATS_TENSORFLOW_GRAPH_DEF_HPP

#include "graph_def/constants.hpp"
#include "graph_def/read.hpp"
#include "graph_def/write.hpp"

// A GraphDef as a graph
// =====================
//
//   node         a NodeDef
//     attributes its attr, each in its JSON form: {"T": {"type": "DT_FLOAT"}, "strides": {"list": {"i": ["1", "1"]}}}
//                (protobuf.dev, "ProtoJSON Format"; TensorFlow.js has the same). Of the value of a Const, only the dtype
//                and the shape are included
//     inputs     "name:1" is output 1 of a node, "^name" a control input; in functions "name:out:1" is output_name "out"
//     variables  {"value": TENSOR} of Const, VarHandleOp and VariableV2, if the store has that tensor
//     device     additional field, like all others of a NodeDef
//   functions    the library's. Arguments are nodes of op Argument with the fields of their ArgDef; `signature` (the rest
//                of the OpDef), argAttr, controlRet … are additional fields with their JSON names
//   signatures   those of a MetaGraph. A port has the additional field data_type if its type is not a dtype (DT_RESOURCE)
//   metadata     {"tensorflow": {"versions": …}}
//
// Source: tensorflow/core/framework/{graph,node_def,attr_value,function,op_def}.proto, core/protobuf/meta_graph.proto.

#endif
