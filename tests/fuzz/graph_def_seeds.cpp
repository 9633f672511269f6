// SPDX-License-Identifier: MIT
// Writes the seeds of graph_def_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"

#include <stet/wire/protobuf_writer.hpp>

#include <string>
#include <string_view>

namespace {

using stet::detail::protobuf_writer;

/// A graph of a constant, a node with attributes, and a function.
std::string graph_def() {
  protobuf_writer graph;
  const auto constant = [](protobuf_writer& into, std::uint32_t number) {
    into.message(number, [](protobuf_writer& node) {
      node.bytes(1, "c").bytes(2, "Const");
      node.message(5, [](protobuf_writer& entry) {
        entry.bytes(1, "value").message(2, [](protobuf_writer& attribute) {
          attribute.message(8, [](protobuf_writer& tensor) {
            tensor.varint(1, 1).message(
                2, [](protobuf_writer& shape) { shape.message(2, [](protobuf_writer& dim) { dim.varint(1, 2); }); });
            tensor.float32(5, 1.5f);
          });
        });
      });
    });
  };
  constant(graph, 1);
  graph.message(1, [](protobuf_writer& node) {
    node.bytes(1, "n").bytes(2, "Identity").bytes(3, "c").bytes(3, "^c").bytes(4, "/device:CPU:0");
    node.message(5, [](protobuf_writer& entry) {
      entry.bytes(1, "T").message(2, [](protobuf_writer& value) { value.varint(6, 1); });
    });
  });
  graph.message(2, [&](protobuf_writer& library) {
    library.message(1, [&](protobuf_writer& function) {
      function.message(1, [](protobuf_writer& signature) {
        signature.bytes(1, "f");
        signature.message(2, [](protobuf_writer& argument) { argument.bytes(1, "x").varint(3, 1); });
        signature.message(3, [](protobuf_writer& result) { result.bytes(1, "y").varint(3, 1); });
      });
      constant(function, 3);
      function.message(4, [](protobuf_writer& ret) { ret.bytes(1, "y").bytes(2, "c:output:0"); });
    });
  });
  return graph.take();
}

std::string meta_graph() {
  protobuf_writer made;
  made.message(1, [](protobuf_writer& info) { info.bytes(4, "serve"); });
  made.bytes(2, graph_def());
  made.message(5, [](protobuf_writer& entry) {
    entry.bytes(1, "s").message(2, [](protobuf_writer& signature) {
      signature.message(2, [](protobuf_writer& output) {
        output.bytes(1, "y").message(2, [](protobuf_writer& info) { info.bytes(1, "n:0").varint(2, 1); });
      });
    });
  });
  return made.take();
}

} // namespace

int main(int count, char** arguments) {
  stet_test::seed_folder seeds(count, arguments);
  protobuf_writer saved_model;
  saved_model.varint(1, 1).bytes(2, meta_graph());
  seeds.add("saved_model", 0, saved_model.view());
  seeds.add("meta_graph", 0, meta_graph());
  seeds.add("graph_def", 1, graph_def());
  seeds.add(
      "graph_json", 2,
      R"({"node":[{"name":"c","op":"Const","attr":{"value":{"tensor":{"dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":"2"}]}}}}},)"
      R"({"name":"y","op":"Split","input":["c:1","^c"],"device":"d"}],"library":{"function":[{"signature":{"name":"f",)"
      R"("inputArg":[{"name":"x","type":"DT_INT32"}],"outputArg":[{"name":"y","type":"DT_INT32"}]},"ret":{"y":"x"}}]}})");
  seeds.add(
      "keras", 3,
      R"({"class_name":"Model","config":{"name":"m","layers":[{"class_name":"InputLayer","config":{"batch_shape":[null,1]},)"
      R"("name":"x","inbound_nodes":[]},{"class_name":"Sequential","config":{"name":"i","layers":[{"class_name":"D","config":)"
      R"({"name":"d"}}]},"name":"i","inbound_nodes":[[["x",0,0,{"a":1}]],[["i",1,0]]]},{"class_name":"A","config":{"name":"a"},)"
      R"("name":"a","inbound_nodes":[{"args":[{"class_name":"__keras_tensor__","config":{"shape":[1],"keras_history":)"
      R"(["x",0,0]}}],"kwargs":{"k":["i",2,0]}}]}],"input_layers":["x",0,0],"output_layers":{"o":["a",0,0]}}})");
  return seeds.status();
}
