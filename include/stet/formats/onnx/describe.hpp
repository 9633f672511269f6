// SPDX-License-Identifier: MIT
// Describes ONNX models: graphs, functions, and the shapes of sparse tensors.
#ifndef STET_FORMATS_ONNX_DESCRIBE_HPP
#define STET_FORMATS_ONNX_DESCRIBE_HPP

#include "detail/graph.hpp"
#include "open.hpp"

#include "../description.hpp"

#include <string>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// `format::describe` of onnx_format. A tensor has no graph. The values of a sparse tensor have the note
/// {"onnx": {"sparse_shape": [...]}}. Where the graph cannot be read, there is none, and the metadata state why:
/// {"onnx": {"unread": "SUBJECT: PROBLEM"}}; the tensors can be used all the same.
/// Cost: reads the messages again, but for the values of tensors.
inline result<model_description> describe_onnx(const model& of) {
  open_options on_demand = of.options;
  on_demand.access = access::read_only;
  on_demand.range = {};
  if (on_demand.backing == backing::read) on_demand.backing = backing::stream;
  const result<source> file = open_source(of.path, on_demand);
  if (!file) return file.error();
  model_description made;
  onnx_input in(*file);
  const onnx_kind kind = kind_of_onnx(in);
  const result<onnx_tensors> tensors = find_onnx_tensors(in, kind);
  if (!tensors) return tensors.error();
  for (const onnx_tensor& each : tensors->tensors) {
    if (each.sparse_shape)
      made.tensors.push_back({each.name, json_value{{"onnx", json_value{{"sparse_shape", *each.sparse_shape}}}}});
  }
  if (kind != onnx_kind::model) return made;
  graph whole = onnx_graph_reader(in, of.store).read();
  if (in.failure()) {
    char text[error::max_text_bytes];
    const error& problem = *in.failure();
    made.metadata["onnx"]["unread"] = std::string(problem.print(text, sizeof text));
    return made;
  }
  made.graphs.push_back(std::move(whole));
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
