// SPDX-License-Identifier: MIT
// Reads the messages of an ONNX model that graphs, functions and nodes have in common.
#ifndef STET_FORMATS_ONNX_DETAIL_GRAPH_PARTS_HPP
#define STET_FORMATS_ONNX_DETAIL_GRAPH_PARTS_HPP

#include "data_type.hpp"
#include "fields.hpp"

#include "../../common/json_members.hpp"

#include "../../../manifest/graph_json.hpp"
#include "../../../vocabulary/detail/bit_cast.hpp"
#include "../../../wire/base64.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads text, properties, names, types and shapes. Failures are those of the input.
class onnx_part_reader {
protected:
  explicit onnx_part_reader(onnx_input& in) noexcept : in_(in) {}

  static void set(json_value& object, std::string_view key, json_value value) {
    if (json_value* const found = find_member(object, key)) {
      *found = std::move(value);
    } else {
      append_member(object, std::string(key), std::move(value));
    }
  }

  /// The text of a field, which must be UTF-8.
  std::string text(const onnx_fields& field) {
    std::string made(field.text());
    if (!is_utf8(made)) in_.fail(error(errc::bad_protobuf, "text that is not UTF-8", field.offset_bytes()));
    return made;
  }
  /// Bytes as text if they are, else in base64.
  static json_value bytes_json(std::string_view bytes) {
    if (is_utf8(bytes)) return std::string(bytes);
    return json_value{{"base64", to_base64(bytes)}};
  }

  void read_facts(const onnx_range& graph, json_value& into) {
    json_value properties = json_value::object();
    onnx_fields fields(in_, graph);
    while (fields.next()) {
      if (fields.tag() == bytes_field(2)) set(into, "name", text(fields));
      if (fields.tag() == bytes_field(10)) set(into, "doc_string", text(fields));
      if (fields.tag() == bytes_field(16)) read_property(fields.payload(), properties);
    }
    if (!properties.empty()) set(into, "metadata_props", std::move(properties));
  }
  void read_opset(const onnx_range& opset, json_value& into) {
    std::string domain;
    std::int64_t version = 0;
    onnx_fields fields(in_, opset);
    while (fields.next()) {
      if (fields.tag() == bytes_field(1)) domain = text(fields);
      if (fields.tag() == varint_field(2)) version = static_cast<std::int64_t>(fields.value());
    }
    set(into, domain, version);
  }
  void read_property(const onnx_range& property, json_value& into) {
    std::string key, value;
    onnx_fields fields(in_, property);
    while (fields.next()) {
      if (fields.tag() == bytes_field(1)) key = text(fields);
      if (fields.tag() == bytes_field(2)) value = text(fields);
    }
    set(into, key, std::move(value));
  }

  std::string name_of_tensor(const onnx_range& tensor) {
    std::string name;
    onnx_fields fields(in_, tensor);
    while (fields.next()) {
      if (fields.tag() == bytes_field(8)) name = text(fields);
    }
    return name;
  }
  std::string name_of_sparse(const onnx_range& sparse) {
    std::string name;
    onnx_fields fields(in_, sparse);
    while (fields.next()) {
      if (fields.tag() == bytes_field(1)) name = name_of_tensor(fields.payload());
    }
    return name;
  }

  /// The value of an attribute of a type whose field is absent; null for types that are not values.
  static json_value default_of(std::uint64_t type) {
    switch (type) {
    case 1: // FLOAT
      return 0.0;
    case 2: // INT
      return 0;
    case 3: // STRING
      return "";
    case 6: // FLOATS
    case 7: // INTS
    case 8: // STRINGS
      return json_value::array();
    default:
      return nullptr;
    }
  }

  template <class Visit> void for_each_packed_float(const onnx_range& packed, Visit&& visit) {
    if (packed.size_bytes() % 4 != 0) return in_.fail(error(errc::bad_protobuf, {}, packed.begin));
    for (std::uint64_t at = packed.begin; at != packed.end; at += 4) {
      const std::byte* const word = in_.view(at, 4);
      if (word == nullptr) return;
      visit(bit_cast<float>(load_little<std::uint32_t>(word)));
    }
  }

  /// Reads a ValueInfoProto. The node is still missing.
  graph_port read_port(const onnx_range& value) {
    graph_port made;
    onnx_fields fields(in_, value);
    while (fields.next()) {
      if (fields.tag() == bytes_field(1)) made.name = text(fields);
      if (fields.tag() == bytes_field(3)) set(made.endpoint.extra, "doc_string", text(fields));
      if (fields.tag() == bytes_field(2)) read_type(fields.payload(), made);
    }
    return made;
  }
  /// The name of a TypeProto that is no tensor, by its field; nullptr for others.
  static const char* name_of_type(std::uint32_t tag) noexcept {
    switch (tag) {
    case bytes_field(4):
      return "sequence";
    case bytes_field(5):
      return "map";
    case bytes_field(7):
      return "opaque";
    case bytes_field(8):
      return "sparse_tensor";
    case bytes_field(9):
      return "optional";
    default:
      return nullptr;
    }
  }
  void read_type(const onnx_range& type, graph_port& into) {
    onnx_fields fields(in_, type);
    while (fields.next()) {
      if (const char* const name = name_of_type(fields.tag())) set(into.endpoint.extra, "type", name);
      if (fields.tag() == bytes_field(1)) read_tensor_type(fields.payload(), into);
    }
  }
  void read_tensor_type(const onnx_range& type, graph_port& into) {
    onnx_fields fields(in_, type);
    while (fields.next()) {
      if (fields.tag() == varint_field(1)) {
        const onnx_type* const found =
            find_onnx_type(static_cast<std::int32_t>(static_cast<std::uint32_t>(fields.value())));
        if (found != nullptr) into.dtype = found->dtype;
      }
      if (fields.tag() == bytes_field(2)) read_shape(fields.payload(), into);
    }
  }
  void read_shape(const onnx_range& shape, graph_port& into) {
    std::vector<std::int64_t> extents;
    json_value symbols = json_value::array();
    bool has_symbols = false;
    onnx_fields fields(in_, shape);
    while (fields.next()) {
      if (fields.tag() != bytes_field(1)) continue;
      if (extents.size() == max_rank) return; // the rank is not known to a graph
      std::int64_t extent = unknown_extent;
      json_value symbol;
      onnx_fields dim(in_, fields.payload());
      while (dim.next()) {
        if (dim.tag() == varint_field(1) && static_cast<std::int64_t>(dim.value()) >= 0)
          extent = static_cast<std::int64_t>(dim.value());
        if (dim.tag() == bytes_field(2)) symbol = text(dim);
      }
      has_symbols = has_symbols || !symbol.is_null();
      extents.push_back(extent);
      symbols.push_back(std::move(symbol));
    }
    into.shape = std::move(extents);
    if (has_symbols) set(into.endpoint.extra, "dim_params", std::move(symbols));
  }
  json_value type_json(const onnx_range& type) {
    graph_port port;
    read_type(type, port);
    json_value made = json_value::object();
    if (port.dtype) set(made, "dtype", std::string(stet::name_of(*port.dtype)));
    if (port.shape) set(made, "shape", *port.shape);
    if (port.endpoint.extra.is_object()) {
      for (auto& [key, value] : port.endpoint.extra.items()) set(made, key, std::move(value));
    }
    return made;
  }

  onnx_input& in_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
