// SPDX-License-Identifier: MIT
// Recognises TensorFlow files with graphs, and opens their variables and constants.
#ifndef STET_FORMATS_TENSORFLOW_SAVED_MODEL_OPEN_HPP
#define STET_FORMATS_TENSORFLOW_SAVED_MODEL_OPEN_HPP

#include "../graph_def.hpp"
#include "../../format.hpp"
#include "../../common/store_builder.hpp"
#include "../open.hpp"
#include "../detail/locate.hpp"

#include "../../../source/detail/path.hpp"
#include "../../../wire/protobuf.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Which message a file is.
enum class graph_file_kind : std::uint8_t { none, saved_model, meta_graph, graph_def };

/// Whether `bytes` begin with the fields of a NodeDef: a name, and an op that could be one. The message may
/// be cut off.
inline bool begins_like_node(std::span<const std::byte> bytes) noexcept {
  protobuf_message fields(bytes);
  if (!fields.next() || fields.tag() != bytes_field(1) || fields.text().empty() || !is_utf8(fields.text()))
    return false;
  if (!fields.next() || fields.tag() != bytes_field(2) || fields.text().empty()) return false;
  for (const char c : fields.text()) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_letter && !(c >= '0' && c <= '9') && c != '_' && c != '>' && c != '.') return false;
  }
  return true;
}

/// Whether `bytes` are a GraphDef by its fields, and its first node is one.
inline bool is_graph_def(std::span<const std::byte> bytes) noexcept {
  protobuf_message fields(bytes);
  bool has_node = false;
  while (fields.next()) {
    if (fields.tag() == bytes_field(1)) {
      if (!has_node && !begins_like_node(fields.bytes())) return false;
      has_node = true;
    } else if (fields.tag() != bytes_field(2) && fields.tag() != varint_field(3) && fields.tag() != bytes_field(4)) {
      return false;
    }
  }
  return has_node && fields.is_whole();
}

/// Which message fills `file`, as far as its outermost fields tell. Cost: a look at each of these.
inline graph_file_kind kind_of_graph_file(std::span<const std::byte> file) noexcept {
  if (is_graph_def(file)) return graph_file_kind::graph_def;
  protobuf_message fields(file);
  bool is_saved_model = true, is_meta_graph = true, has_version = false, has_graph = false;
  while (fields.next()) {
    const bool is_version = fields.tag() == varint_field(1);
    has_version = has_version || (is_version && fields.varint() == 1);
    is_saved_model = is_saved_model && (is_version || fields.tag() == bytes_field(2));
    is_meta_graph = is_meta_graph && fields.type() == protobuf_type::bytes && fields.number() <= 7;
    if (fields.tag() == bytes_field(2) && is_meta_graph) has_graph = has_graph || is_graph_def(fields.bytes());
  }
  if (!fields.is_whole()) return graph_file_kind::none;
  if (is_saved_model && has_version) return graph_file_kind::saved_model;
  return is_meta_graph && has_graph ? graph_file_kind::meta_graph : graph_file_kind::none;
}

/// A file with graphs, and where the rest of the model is.
struct graph_file {
  std::string path;
  /// The name of the file, and the checkpoint beside it, relative to the model's folder; that may be missing.
  std::string name, checkpoint_folder;
  /// The path of the checkpoint without ".index".
  std::string checkpoint;
};

/// The file that `path_utf8` means: itself, or saved_model.pb in that folder.
inline graph_file locate_graph_file(std::string_view path_utf8, bool is_folder) {
  graph_file made;
  made.path = path_utf8;
  if (is_folder) made.path.append(separator_after(made.path)).append("saved_model.pb");
  const std::size_t folder = folder_size(made.path);
  made.name = made.path.substr(folder);
  if (made.path.ends_with(".meta")) {
    made.checkpoint = made.path.substr(0, made.path.size() - std::string_view(".meta").size());
  } else {
    made.checkpoint = made.path.substr(0, folder) + "variables/variables";
    made.checkpoint_folder = "variables/";
  }
  return made;
}

/// All bytes of the file in memory, mapped if need be.
inline result<source> read_graph_file(std::string_view path_utf8, const open_options& options) {
  open_options mapped = options;
  mapped.backing = backing::map;
  mapped.access = access::read_only;
  return open_resident(path_utf8, mapped);
}

/// A file that marks a folder as a model in a form that is not read here, and the subject of the error: what was found, and what
/// to give instead.
struct unread_form {
  std::string_view file, subject;
};
inline constexpr unread_form unread_forms[] = {
    {"saved_model.pbtxt", "saved_model.pbtxt is text: give variables/variables, or save it as saved_model.pb"},
    {"tensorflowjs_model.pb", "tensorflowjs_model.pb (TensorFlow.js before 1.0): give weights_manifest.json"},
};

/// The form of the model at `path_utf8`, a folder or one of these files; nullptr if it is none of them.
inline const unread_form* find_unread_form(std::string_view path_utf8, const open_options& options) {
  const std::string_view name = path_utf8.substr(folder_size(path_utf8));
  for (const unread_form& each : unread_forms) {
    if (name == each.file || is_file(std::string(path_utf8).append("/").append(each.file), options)) return &each;
  }
  return nullptr;
}

/// Whether a file that begins with these bytes could be one with graphs: by its outermost fields, as far as they are there. Of the
/// last one, which may be cut off, the number and the type tell.
inline bool may_be_graph_file(std::span<const std::byte> start) noexcept {
  constexpr std::uint64_t longest_tag = 5;
  protobuf_message fields(start);
  bool is_saved_model = true, is_meta_graph = true, is_graph = true;
  const auto is_cut_within_payload = [&] {
    return !fields.is_whole() && start.size() - fields.offset_bytes() > longest_tag;
  };
  while (fields.next() || is_cut_within_payload()) {
    const std::uint32_t number = fields.number();
    const bool is_bytes = fields.type() == protobuf_type::bytes;
    is_saved_model = is_saved_model && (fields.tag() == varint_field(1) || fields.tag() == bytes_field(2));
    is_meta_graph = is_meta_graph && is_bytes && number <= 7;
    is_graph = is_graph && (number == 3 ? fields.tag() == varint_field(3) : is_bytes && number <= 4);
    if (!fields.is_whole()) break;
  }
  return is_saved_model || is_meta_graph || is_graph;
}

/// Cost: reads or maps the whole file if its first fields are those of one with graphs.
template <graph_file_kind Kind> bool is_graph_file(format_probe& probe) {
  if (probe.is_folder())
    return Kind == graph_file_kind::saved_model &&
           (probe.has_file("/saved_model.pb") || find_unread_form(probe.path(), probe.options()) != nullptr);
  if (Kind == graph_file_kind::saved_model && probe.starts_with("saved_model_schema_version") &&
      find_unread_form(probe.path(), probe.options()) != nullptr)
    return true;
  // Whatever it is, it begins with its field 1.
  if (probe.failure() || (!probe.starts_with("\x0A") && !probe.starts_with("\x08"))) return false;
  if (!may_be_graph_file(probe.start())) return false;
  const auto bytes = probe.bytes();
  return bytes && kind_of_graph_file(*bytes) == Kind;
}

/// The tags of a MetaGraphDef, joined: what its constants have before their names. Malformed ones have none.
inline std::string joined_tags(std::span<const std::byte> meta_graph) {
  std::string made;
  protobuf_message fields(meta_graph);
  while (fields.next()) {
    protobuf_message info(fields.tag() == bytes_field(1) ? fields.bytes() : std::span<const std::byte>());
    while (info.next()) {
      if (info.tag() == bytes_field(4)) made.append(made.empty() ? "" : "+").append(info.text());
    }
  }
  return made;
}

/// Calls `take(GraphDef, number of the MetaGraph, prefix of its constants)` for each graph of a file. The prefix is a view that
/// lasts for the call.
/// @retval errc::bad_protobuf  the message is malformed; or an error of `take`
template <class Take> result<void> for_each_graph(std::span<const std::byte> file, Take take) {
  const graph_file_kind kind = kind_of_graph_file(file);
  if (kind == graph_file_kind::graph_def) return take(file, 0u, std::string_view());
  const auto of_meta_graph = [&](std::span<const std::byte> meta_graph, std::uint32_t number) -> result<void> {
    const std::string tags = number == 0 ? std::string() : joined_tags(meta_graph) + "/";
    protobuf_message fields(meta_graph);
    while (fields.next()) {
      if (fields.tag() != bytes_field(2)) continue;
      if (result<void> taken = take(fields.bytes(), number, std::string_view(tags)); !taken) return taken;
    }
    return fields.is_whole()
               ? result<void>()
               : error(errc::bad_protobuf, {},
                       static_cast<std::uint64_t>(meta_graph.data() - file.data()) + fields.offset_bytes());
  };
  if (kind == graph_file_kind::meta_graph) return of_meta_graph(file, 0);
  protobuf_message fields(file);
  for (std::uint32_t number = 0; fields.next();) {
    if (fields.tag() != bytes_field(2)) continue;
    if (result<void> taken = of_meta_graph(fields.bytes(), number++); !taken) return taken;
  }
  return fields.is_whole() ? result<void>() : error(errc::bad_protobuf, {}, fields.offset_bytes());
}

/// What all constants have before their names where one has that of a variable.
inline constexpr std::string_view constants_prefix = "constants/";

/// @param file  looks at the file with the graphs
inline result<model> open_graph_file_with(const graph_file& from, format_probe& file, std::string_view prefix) {
  const open_options& options = file.options();
  // Bytes on demand are read here all the same, since the messages say where the constants lie.
  const auto bytes = file.bytes();
  if (!bytes) return bytes.error();
  store_builder builder(options.memory);
  result<source> own = file.take();
  if (!own) return own.error();
  const std::uint32_t part = builder.add_file(from.name, std::move(*own));
  if (is_file(from.checkpoint + ".index", options)) {
    if (auto added = add_tensorflow_checkpoint(builder, from.checkpoint, options, from.checkpoint_folder); !added)
      return added.error();
  }
  constant_adder constants(*bytes, part, builder);
  auto added = for_each_graph(*bytes, [&](std::span<const std::byte> graph, std::uint32_t, std::string_view tags) {
    return constants.add_graph(graph, prefix, tags);
  });
  if (!added) return added.error().subject().empty() ? added.error().about(from.path) : added.error();
  return finish_model(builder, options);
}

/// `format::open` of the formats with graphs.
inline result<model> open_graph_file(format_probe& probe) {
  const graph_file from = locate_graph_file(probe.path(), probe.is_folder());
  std::optional<format_probe> in_folder;
  if (probe.is_folder()) in_folder.emplace(from.path, probe.options());
  format_probe& file = in_folder ? *in_folder : probe;
  if (const unread_form* const form = find_unread_form(probe.path(), probe.options());
      form != nullptr && (file.failure() || from.name != "saved_model.pb"))
    return error(errc::unsupported, form->subject);
  result<model> made = open_graph_file_with(from, file, {});
  if (made || made.error().code() != errc::duplicate_name) return made;
  format_probe again(from.path, probe.options());
  return open_graph_file_with(from, again, constants_prefix);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
