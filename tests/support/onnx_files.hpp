// SPDX-License-Identifier: MIT
// Makes ONNX messages field by field.
#ifndef STET_TESTS_SUPPORT_ONNX_FILES_HPP
#define STET_TESTS_SUPPORT_ONNX_FILES_HPP

#include <stet/wire/protobuf_writer.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace stet_test {

using onnx_writer = stet::detail::protobuf_writer;

/// A TensorProto; `fill` adds its values.
template <class Fill>
std::string onnx_tensor(std::string_view name, std::uint64_t type, std::initializer_list<std::int64_t> dims,
                        Fill&& fill) {
  onnx_writer made;
  for (const std::int64_t extent : dims) made.integer(1, extent);
  made.varint(2, type);
  std::forward<Fill>(fill)(made);
  if (!name.empty()) made.bytes(8, name);
  return made.take();
}
/// One with `raw_data`.
inline std::string onnx_raw(std::string_view name, std::uint64_t type, std::initializer_list<std::int64_t> dims,
                            std::string_view raw) {
  return onnx_tensor(name, type, dims, [&](onnx_writer& out) { out.bytes(9, raw); });
}
/// One in another file; an entry of external data for each pair.
inline std::string onnx_external(std::string_view name, std::uint64_t type, std::initializer_list<std::int64_t> dims,
                                 std::initializer_list<std::pair<std::string_view, std::string_view>> entries) {
  return onnx_tensor(name, type, dims, [&](onnx_writer& out) {
    for (const auto& [key, value] : entries)
      out.message(13, [&, k = key, v = value](onnx_writer& entry) { entry.bytes(1, k).bytes(2, v); });
    out.varint(14, 1);
  });
}
/// A GraphProto with these initializers.
inline std::string onnx_graph(std::initializer_list<std::string> initializers, std::string_view other_fields = {}) {
  onnx_writer made;
  for (const std::string& each : initializers) made.bytes(5, each);
  return made.take().append(other_fields);
}
/// A ModelProto with this graph.
inline std::string onnx_model(std::string_view graph, std::string_view other_fields = {}) {
  onnx_writer made;
  made.varint(1, 8).bytes(7, graph).message(8, [](onnx_writer& opset) { opset.varint(2, 21); });
  return made.take().append(other_fields);
}
/// A field of type bytes.
inline std::string onnx_field(std::uint32_t number, std::string_view payload) {
  return onnx_writer().bytes(number, payload).take();
}
/// A NodeProto.
inline std::string onnx_node(std::string_view op, std::initializer_list<std::string_view> inputs,
                             std::initializer_list<std::string_view> outputs,
                             std::initializer_list<std::string> attributes = {}, std::string_view name = {}) {
  onnx_writer made;
  for (const std::string_view each : inputs) made.bytes(1, each);
  for (const std::string_view each : outputs) made.bytes(2, each);
  if (!name.empty()) made.bytes(3, name);
  made.bytes(4, op);
  for (const std::string& each : attributes) made.bytes(5, each);
  return made.take();
}
/// An AttributeProto with one field of type bytes.
inline std::string onnx_attribute(std::string_view name, std::uint32_t number, std::string_view payload) {
  return onnx_writer().bytes(1, name).bytes(number, payload).take();
}

/// A model: MatMul with w [[1, 2], [3, 4]], which is raw, and Add of b [0.5, -1], a packed list.
inline std::string example_onnx_model() {
  const auto node = [](std::string_view op, std::initializer_list<std::string_view> in, std::string_view out_name) {
    return onnx_field(1, onnx_node(op, in, {out_name}));
  };
  using namespace std::string_view_literals;
  std::string graph = node("MatMul", {"x", "w"}, "m") + node("Add", {"m", "b"}, "y") + onnx_field(2, "g");
  graph += onnx_field(5, onnx_raw("w", 1, {2, 2}, "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"sv));
  graph += onnx_field(5, onnx_tensor("b", 1, {2}, [](onnx_writer& out) { out.bytes(4, "\0\0\0\x3f\0\0\x80\xbf"sv); }));
  return onnx_model(graph);
}

} // namespace stet_test

#endif
