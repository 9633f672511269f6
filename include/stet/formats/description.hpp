// SPDX-License-Identifier: MIT
// The description of a model of any format: everything but the tensors.
#ifndef STET_FORMATS_DESCRIPTION_HPP
#define STET_FORMATS_DESCRIPTION_HPP

#include "format.hpp"

#include "../manifest/graph.hpp"

#include <string>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The attributes of a tensor.
struct tensor_note {
  /// The name of the tensor in the store.
  std::string name;
  /// An object as `manifest_tensor::attributes`: trainable, quantization, anything.
  json_value attributes;
  friend bool operator==(const tensor_note&, const tensor_note&) = default;
};

/// The description of a model in the terms of a manifest (manifest/manifest.hpp): everything but the tensors. A plain value.
struct model_description {
  /// The graphs; more than one where a file holds the model for several uses (the `tags` of their metadata tell them apart).
  std::vector<stet::graph> graphs;
  /// The state of the session, an object; null, as in `metadata`: none.
  json_value state;
  /// Free-form fields of the model.
  json_value metadata;
  /// The tensors that have attributes, in the order of the store.
  std::vector<tensor_note> tensors;
  friend bool operator==(const model_description&, const model_description&) = default;
};

/// Reads graphs, state, metadata and attributes of tensors from the files of a model, which are opened again at `model::path`. Of a
/// selection of the tensors of a model (select.hpp, convert_tensors.hpp), that of the whole model.
/// Errors: those of the format's reader of graphs and settings;
/// @retval errc::invalid_argument  the model was opened by neither `open_any` nor `open_as`
[[nodiscard]] inline result<model_description> describe(const model& of) {
  if (of.whole != nullptr) return describe(*of.whole);
  if (of.format == nullptr || of.format->describe == nullptr) return error(errc::invalid_argument, of.path);
  return of.format->describe(of);
}

} // namespace stet::inline STET_NAMESPACE

#endif
