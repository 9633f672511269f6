// SPDX-License-Identifier: MIT
// The names of tensors, subgraphs and functions of an ONNX model in a store and in its graph.
#ifndef STET_FORMATS_ONNX_DETAIL_NAMES_HPP
#define STET_FORMATS_ONNX_DETAIL_NAMES_HPP

#include "../../common/distinct_names.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// The names
// =========
//
//   W                             an initializer of the graph
//   node:OP:LABEL:ATTRIBUTE       a tensor that is an attribute of a node; of several, ATTRIBUTE:0, ATTRIBUTE:1, …
//   sparse:NAME:values, :indices  the parts of a sparse initializer; as an attribute, node:OP:LABEL:ATTRIBUTE:sparse:NAME:values
//   sub:LABEL:ATTRIBUTE/…         a tensor of the graph that is an attribute of a node
//   function:NAME/…               a tensor of a function
//   training:initialization/…, training:algorithm/…  a tensor of these graphs
//
// LABEL is the first output of the node, which is unique within its graph. A second function or training graph of the same name
// has a number: "function:NAME_1/…".

namespace stet::inline STET_NAMESPACE::detail {

/// The label of a node: its first output, else its name, else its number.
inline std::string onnx_node_label(std::string_view first_output, std::string_view name, std::uint64_t number) {
  if (!first_output.empty()) return std::string(first_output);
  return name.empty() ? "#" + std::to_string(number) : std::string(name);
}
/// The name of a tensor that is an attribute.
inline std::string onnx_node_name(std::string_view op, std::string_view label, std::string_view attribute) {
  return std::string("node:").append(op).append(":").append(label).append(":").append(attribute);
}
/// The name of a graph that is an attribute.
inline std::string onnx_subgraph_name(std::string_view label, std::string_view attribute) {
  return std::string("sub:").append(label).append(":").append(attribute);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
