// SPDX-License-Identifier: MIT
// Describes TFLite models: subgraphs as graphs, signatures, quantization and metadata.
#ifndef STET_FORMATS_TFLITE_DESCRIBE_HPP
#define STET_FORMATS_TFLITE_DESCRIBE_HPP

#include "detail/graph_reader.hpp"
#include "detail/models.hpp"
#include "detail/notes.hpp"

#include "../common/finish_model.hpp"
#include "../description.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A TFLite model as a description
// ===============================
//
//   graphs       one for each subgraph
//     nodes        one for each operator, in the order of the file, called as its first output: "NUMBER:NAME" of the tensor. Its op is
//                  the name in the schema ("CONV_2D"), or that of a custom operator. `inputs` are the tensors that earlier operators
//                  made; `variables` are the constants, each by its place among the inputs: {"1": "0:4:kernel"}
//       attributes the fields of the options as the schema calls them; "tensors": {"inputs": [0, 4, -1], "outputs": [7]}, the numbers
//                  of all tensors, -1 for an input that is absent; and for custom options, "custom_options": {"hex": …}
//     ops of stet  "Placeholder": an input of the graph; "Const": a constant that is an output; "Variable": another tensor that is read
//                  and that no operator before has made
//     signatures   of this subgraph
//     metadata     {"tflite": {"subgraph": 0, "name": …, "model": the member of a bundle}}
//   tensors      quantization (manifest/manifest.hpp) where there are scales, one or one for each index of an axis; and the object
//                "tflite" with what it does not have: "variable": true, "blockwise": {"scales": TENSOR, "zero_points": TENSOR,
//                "block_size": 32}, "sparse": {"shape", "traversal_order", "block_map", "dimensions"} at the values of a sparse tensor
//   metadata     {"tflite": {"description": …, "metadata": {NAME: TEXT, or {"size_bytes": …}}}}; in a bundle an object for each
//                member that is a model, by its name

namespace stet::inline STET_NAMESPACE::detail {

/// `format::describe` of TFLite formats. The file was checked when it was opened, but for operators and signatures:
/// @retval errc::malformed, truncated, too_large  as of `open_tflite`, for operators, signatures, quantization and metadata
/// Cost: a walk over the file but for the bytes of buffers.
inline result<model_description> describe_tflite(const model& of) {
  const model* all = &of;
  while (all->whole != nullptr) all = all->whole.get();
  const source& file = all->store.tensor_file(0);
  const result<std::vector<tflite_model>> models = find_tflite_models(bytes_in(file));
  if (!models) return models.error();
  model_description made;
  for (const tflite_model& each : *models) {
    // Names of tensors, and their references in operators, are read several times.
    tflite_file reader(each.bytes, 8);
    if (auto opened = reader.open(); !opened) return opened.error();
    if (auto read = read_tflite_notes(reader, each.prefix, made.tensors); !read) return read.error();
    if (auto read = tflite_graph_reader(reader, each.prefix, all->store).read(made.graphs); !read) return read.error();
    const result<json_value> metadata = read_tflite_metadata(reader);
    if (!metadata) return metadata.error();
    if (metadata->is_null()) continue;
    if (each.prefix.empty()) {
      made.metadata["tflite"] = *metadata;
    } else {
      made.metadata["tflite"][each.prefix.substr(0, each.prefix.size() - 1)] = *metadata;
    }
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
