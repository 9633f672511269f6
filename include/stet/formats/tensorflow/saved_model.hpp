// SPDX-License-Identifier: MIT
// TensorFlow files with graphs as formats: SavedModel, MetaGraph (.meta), and GraphDef.
#ifndef STET_FORMATS_TENSORFLOW_SAVED_MODEL_HPP
#define STET_FORMATS_TENSORFLOW_SAVED_MODEL_HPP

#include "saved_model/describe.hpp"
#include "saved_model/open.hpp"

#include <string>
#include <string_view>

// The files
// =========
//
//   a SavedModel   a folder: saved_model.pb (MetaGraphs for several uses, which have different tags),
//                  variables/variables.index and .data (a checkpoint; absent without variables), assets/
//   P.meta         a MetaGraph beside the checkpoint P: a graph with its signatures, collections and saver
//   a GraphDef     a graph alone, its weights constants in it
//
// The store has the tensors of the checkpoint under their keys, and the constants of the graphs under the
// names of their nodes: NODE, in a function FUNCTION/NODE. Those of a second and further MetaGraph have its
// tags before it: TAG+TAG/NODE. Should a constant have the name of a variable, all constants are called
// constants/NODE.
//
// Source: tensorflow/core/protobuf/saved_model.proto, meta_graph.proto; core/framework/graph.proto.

namespace stet::inline STET_NAMESPACE {

/// A SavedModel: its folder, or saved_model.pb in it.
///
/// Opening fails with the errors of a checkpoint (add_tensorflow_checkpoint), those of file::open, and
/// @retval errc::bad_protobuf  a message is malformed; the offset is in saved_model.pb
/// @retval errc::bad_shape, bad_size, bad_string_table, too_large  a constant, the subject, is not what it says
/// @retval errc::unsupported   a text SavedModel, or a model of TensorFlow.js before 1.0; the subject says what to give instead
/// Constants of a dtype that stet does not have are omitted, each with its reason (`model::omitted`).
inline constexpr format saved_model_format{
    "tf-savedmodel", "TensorFlow SavedModel: the folder, or saved_model.pb in it",
    detail::is_graph_file<detail::graph_file_kind::saved_model>, detail::open_graph_file, detail::describe_graph_file};

/// The MetaGraph of a checkpoint, with its variables if they are there. Errors as above.
inline constexpr format meta_graph_format{"tf-metagraph", "TensorFlow MetaGraph: .meta beside its checkpoint",
                                          detail::is_graph_file<detail::graph_file_kind::meta_graph>,
                                          detail::open_graph_file, detail::describe_graph_file};

/// A graph alone. Errors as above.
inline constexpr format graph_def_format{"tf-graphdef", "TensorFlow GraphDef, with its constants",
                                         detail::is_graph_file<detail::graph_file_kind::graph_def>,
                                         detail::open_graph_file, detail::describe_graph_file};

} // namespace stet::inline STET_NAMESPACE

#endif
