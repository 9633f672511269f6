// SPDX-License-Identifier: MIT
// Saves a model for TensorFlow.js: model.json, and its weights in files of a chosen size.
#ifndef STET_FORMATS_TFJS_SAVE_HPP
#define STET_FORMATS_TFJS_SAVE_HPP

#include "detail/dialect.hpp"
#include "detail/shards.hpp"
#include "detail/weights.hpp"

#include "../common/writer_model.hpp"
#include "../tensorflow/graph_def.hpp"

#include "../../vocabulary/version.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// How a model is saved for TensorFlow.js.
struct tfjs_save_options {
  /// No file of weights is larger; TensorFlow's converter has the same.
  std::uint64_t shard_size_bytes = std::uint64_t{4} << 20;
  /// Whether float64 and complex128, which TensorFlow.js does not have, may be rounded to what it has.
  bool allow_rounding = false;
  /// Whether the topology is left out: tf.io.decodeWeights gives a program the weights of any model, by the names of
  /// the tensors.
  bool weights_only = false;
  /// Wait until the files and their names are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

/// What was saved for TensorFlow.js.
struct tfjs_save_report {
  /// All files together.
  std::uint64_t file_size_bytes = 0;
  /// Files of weights.
  std::uint32_t shard_count = 0;
  /// "layers-model", for tf.loadLayersModel; "graph-model", for tf.loadGraphModel; empty: weights alone.
  std::string_view kind;
};

namespace detail {

/// Whether a graph is one that tf.loadGraphModel can run: TensorFlow's ops, and no variables of their own.
inline bool is_frozen_graph(const graph& whole) {
  if (whole.nodes.empty()) return false;
  const auto are_frozen = [](const graph_body& body) {
    return std::none_of(body.nodes.begin(), body.nodes.end(), [](const graph_node& node) {
      return node.op == "VarHandleOp" || node.op == "VariableV2" || node.op == "ReadVariableOp";
    });
  };
  return are_frozen(whole) && std::all_of(whole.functions.begin(), whole.functions.end(), are_frozen);
}

/// Brings the graph of Keras layers, if there is one, into the terms of TensorFlow.js. One that was read from a
/// model of TensorFlow.js is in these already, and may have classes that a program registers.
/// Errors: those of tfjs_translator.
inline result<void> translate_for_tfjs(model_description& described) {
  if (described.graphs.empty() || find_member(described.metadata, "tfjs") != nullptr) return {};
  graph& whole = described.graphs.front();
  if (!is_frozen_graph(whole) || find_member(whole.metadata, "tensorflow") != nullptr) return {};
  const json_value* const keras = find_member(described.metadata, "keras");
  const bool is_keras_3 = keras != nullptr && text_member(*keras, "keras_version").starts_with("3");
  result<graph> translated = tfjs_translator(whole, is_keras_3).run();
  if (!translated) return translated.error();
  whole = std::move(*translated);
  return {};
}

/// All of model.json but the weights: the topology, if there is a graph to make one of, and what was in model.json
/// before.
struct tfjs_head {
  json_value fields = json_value::object();
  std::string_view kind;
};

/// Errors: those of graph_to_graph_def and graph_to_keras.
inline result<tfjs_head> make_tfjs_head(const model_description& described, bool weights_only) {
  tfjs_head made;
  json_value topology;
  const graph* const whole = described.graphs.empty() ? nullptr : &described.graphs.front();
  if (!weights_only && whole != nullptr && is_frozen_graph(*whole)) {
    // Nodes of Keras have attributes that are none of TensorFlow's, and the other way round.
    const bool is_of_tensorflow = find_member(whole->metadata, "tensorflow") != nullptr;
    result<json_value> written =
        is_of_tensorflow ? graph_to_graph_def(*whole) : graph_to_keras(*whole, keras_dialect::tfjs);
    if (!written) return written.error();
    made.kind = is_of_tensorflow ? "graph-model" : "layers-model";
    topology = std::move(*written);
  }
  if (!made.kind.empty()) append_member(made.fields, "format", made.kind);
  append_member(made.fields, "generatedBy", "stet v" STET_VERSION_STRING);
  append_member(made.fields, "convertedBy", nullptr);
  append_if_any(made.fields, "modelTopology", std::move(topology));
  if (made.kind == "graph-model" && !whole->signatures.empty())
    append_member(made.fields, "signature", signature_to_signature_def(whole->signatures.front()));
  for (const graph& each : described.graphs) {
    const json_value* const tags = find_member(each.metadata, "tags");
    if (made.kind != "graph-model" || tags == nullptr || *tags != json_value::array_t{"initializer"}) continue;
    if (result<json_value> said = graph_to_graph_def(each)) {
      append_member(made.fields, "modelInitializer", std::move(*said));
      if (!each.signatures.empty())
        append_member(made.fields, "initializerSignature", signature_to_signature_def(each.signatures.front()));
    }
  }
  if (const json_value* const before = find_member(described.metadata, "tfjs")) {
    for (const auto& [key, value] : before->items()) {
      if (find_member(made.fields, key) == nullptr && !weights_only) append_member(made.fields, key, value);
    }
  } else if (!described.metadata.is_null()) {
    append_member(made.fields, "userDefinedMetadata", described.metadata);
  }
  return made;
}

/// Checks that the reader accepts a model.json, and tf.loadLayersModel the names of its weights.
/// Errors: those of parse_tfjs_model and graph_from_keras; errc::duplicate_name, bad_name.
inline result<void> check_tfjs_text(const std::string& text, const manifest_limits& limits = {}) {
  result<tfjs_model_json> parsed = parse_tfjs_model(text, limits);
  if (!parsed) return parsed.error().subject().empty() ? parsed.error().about("model.json") : parsed.error();
  std::vector<std::string_view> names;
  for (const tfjs_group& group : parsed->groups) {
    for (const tfjs_weight& weight : group.weights) names.push_back(weight.name);
  }
  for (const std::string_view each : names) {
    if (!is_valid_name(each)) return error(errc::bad_name, each);
  }
  if (const std::size_t same = find_duplicate(names.size(), [&](std::size_t i) { return names[i]; });
      same != name_table::none)
    return error(errc::duplicate_name, names[same]);
  json_value topology = take_member(parsed->fields, "modelTopology");
  if (!topology.is_object()) return {};
  const result<graph> read = find_member(topology, "node") != nullptr ? graph_from_graph_def(std::move(topology))
                                                                      : graph_from_keras(std::move(topology));
  return read ? result<void>() : read.error();
}

} // namespace detail

/// Saves what was added to `from` to `path_utf8`, a model.json, and its weights beside it. Where a model is there
/// already, a reader finds the old one or the new one, whole; its files of weights are removed at the end, if
/// they are, by name and content, what a save to this very path wrote. The same model and options give the same
/// bytes.
///
/// A graph of Keras layers becomes the topology of a layers model, the weights that its nodes name are called
/// LAYER/ROLE, and further tensors are put into the group "optimizer", which loading passes over. A graph of
/// TensorFlow's ops with constants becomes a graph model, and the tensors that they name are called as the
/// nodes. Without either, only the weights are saved. TensorFlow.js does not have all layers of Keras, nor all that
/// they can do: the table is in tfjs/dialect.hpp. A graph that was read from a model of TensorFlow.js is saved as it
/// was.
///
/// float16 is stored as such, and read as float32. Quantized codes are stored as such where TensorFlow.js can
/// read them (uint8 and uint16 with one scale), else as the numbers they stand for. Other integers become
/// int32, and other floats float32.
/// @param path_utf8  of the new model.json
/// @retval errc::not_expressible  TensorFlow.js does not have a layer, the subject, or computes something else for
///                                it; `weights_only` works
/// @retval errc::not_convertible  a tensor, the subject, is of blocks, or would have to be rounded
/// @retval errc::bad_value        an integer of a tensor, the subject, does not fit int32
/// @retval errc::too_large, too_deep, duplicate_name  a string is longer than 4 GiB; or model.json would be longer or
///                                deeper than readers accept, or two weights, the subject, have one name
/// @retval errc::checksum_mismatch  a tensor, the subject, is damaged
/// @retval errc::bad_path, invalid_argument  the path names no file, or a size of 0 bytes was asked for
/// or the error of the first `add` that failed, of `graph_from_json`, of reading, or of the operating system. After one the folder is as it was
/// before. Cost: reads every byte once, twice where integers may not fit; memory for the list of weights and
/// 256 KiB. Source: tfjs/model_json.hpp, "A model of TensorFlow.js".
inline result<tfjs_save_report> save_tfjs(std::string_view path_utf8, const writer& from,
                                          const tfjs_save_options& options = {}) {
  if (options.shard_size_bytes == 0) return error(errc::invalid_argument, path_utf8);
  const std::size_t folder = detail::folder_size(path_utf8);
  if (!detail::is_part_name(path_utf8.substr(folder))) return error(errc::bad_path, path_utf8);
  result<detail::writer_model> added = detail::model_of_writer(from);
  if (!added) return added.error();
  model_description& described = added->described;
  if (!options.weights_only) {
    if (auto translated = detail::translate_for_tfjs(described); !translated) return translated.error();
  }
  result<detail::tfjs_head> head = detail::make_tfjs_head(described, options.weights_only);
  if (!head) return head.error();
  const result<std::vector<detail::saved_weight>> weights =
      detail::plan_tfjs_weights(*added, head->kind, options.allow_rounding);
  if (!weights) return weights.error();

  std::uint64_t size_bytes = 0;
  json_value::array_t specifications;
  for (const detail::saved_weight& each : *weights) {
    size_bytes += each.size_bytes;
    specifications.push_back(each.specification);
  }
  const file_operations& system = options.operations == nullptr ? system_file_operations() : *options.operations;
  detail::tfjs_shards shards(system, path_utf8, size_bytes, options.shard_size_bytes, options.is_durable);
  json_value group{{"paths", shards.planned_names()}};
  detail::append_member(group, "weights", std::move(specifications));
  detail::append_member(head->fields, "weightsManifest", json_value::array_t{std::move(group)});
  // The names of files change with their content, but not their sizes.
  if (auto checked = detail::check_tfjs_text(detail::text_of(head->fields)); !checked) return checked.error();
  for (const detail::saved_weight& each : *weights) {
    auto written = each.write(shards);
    if (!written) return written.error().subject().empty() ? written.error().about(each.from.name()) : written.error();
  }
  if (auto finished = shards.finish(); !finished) return finished.error();

  head->fields["weightsManifest"][0]["paths"] = shards.names();
  const std::string text = detail::text_of(head->fields);
  if (auto published = shards.publish(text); !published) return published.error();
  return tfjs_save_report{size_bytes + text.size(), static_cast<std::uint32_t>(shards.names().size()), head->kind};
}

} // namespace stet::inline STET_NAMESPACE

#endif
