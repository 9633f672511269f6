// SPDX-License-Identifier: MIT
// Describes TensorFlow files with graphs: graphs, signatures, tags, assets.
#ifndef STET_FORMATS_TENSORFLOW_SAVED_MODEL_DESCRIBE_HPP
#define STET_FORMATS_TENSORFLOW_SAVED_MODEL_DESCRIBE_HPP

#include "open.hpp"

#include "../../common/json_members.hpp"
#include "../describe.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Makes a graph of a MetaGraphDef in JSON: tags in its metadata, and everything else under "tensorflow".
inline result<graph> graph_of_meta_graph(json_value json) {
  result<graph> made = graph_from_graph_def(take_member(json, "graphDef"));
  if (!made) return made;
  json_value signatures = take_member(json, "signatureDef");
  if (json_value::object_t* const members = signatures.get_ptr<json_value::object_t*>()) {
    for (auto& [name, signature] : *members) {
      result<graph_signature> read = signature_from_json(name, std::move(signature));
      if (!read) return read.error();
      made->signatures.push_back(std::move(*read));
    }
  }
  json_value* const info = find_member(json, "metaInfoDef");
  json_value tags = info == nullptr ? json_value() : take_member(*info, "tags");
  json_value metadata = json_value::object();
  append_member(metadata, "tags", tags.is_null() ? json_value::array() : std::move(tags));
  json_value rest = take_member(made->metadata, "tensorflow");
  append_members(rest, json);
  append_member(metadata, "tensorflow", std::move(rest));
  made->metadata = std::move(metadata);
  return made;
}

/// The message of the graph or MetaGraph that fills `bytes`, as a graph.
inline result<graph> read_graph_message(std::span<const std::byte> bytes, graph_file_kind kind) {
  if (kind == graph_file_kind::graph_def) return graph_from_graph_def(bytes);
  result<json_value> json = proto_to_json::run(proto_id::meta_graph, bytes);
  if (!json) return json.error();
  if (find_member(*json, "graphDef") == nullptr) append_member(*json, "graphDef", json_value::object());
  return graph_of_meta_graph(std::move(*json));
}

/// `format::describe` of the formats with graphs.
inline result<model_description> describe_graph_file(const model& of) {
  const graph_file from = locate_graph_file(of.path, is_folder(of.path, of.options));
  result<model_description> made = describe_tensorflow_checkpoint(of);
  if (!made) return made;
  const result<source> whole = read_graph_file(from.path, of.options);
  if (!whole) return whole.error();
  const std::span<const std::byte> file = bytes_in(*whole);
  const graph_file_kind kind = kind_of_graph_file(file);
  const auto add = [&](std::span<const std::byte> message) -> result<void> {
    result<graph> read = read_graph_message(message, kind);
    if (!read) { // the tensors can be used without this graph
      note_unread(made->metadata, read.error().subject().empty() ? read.error().about(from.name) : read.error());
      return {};
    }
    // Constants of further graphs have their tags before them.
    std::string prefix = made->graphs.empty() ? std::string() : joined_tags(message) + "/";
    name_graph_def_variables(*read, of.store, std::string(constants_prefix) + prefix);
    name_graph_def_variables(*read, of.store, prefix);
    made->graphs.push_back(std::move(*read));
    return {};
  };
  if (kind != graph_file_kind::saved_model) {
    if (auto added = add(file); !added) return added.error();
    return made;
  }
  protobuf_message fields(file);
  while (fields.next()) {
    if (fields.tag() != bytes_field(2)) continue;
    if (auto added = add(fields.bytes()); !added) return added.error();
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
