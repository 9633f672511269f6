// SPDX-License-Identifier: MIT
// Writes the seeds of onnx_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/onnx_files.hpp"

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  const std::string tensor = onnx_raw("t", 2, {2}, "ab");
  const std::string sparse =
      onnx_field(1, tensor) +
      onnx_field(2, onnx_tensor("i", 7, {2}, [](onnx_writer& out) { out.bytes(7, "\x01\x03"); })) +
      onnx_field(3, "\x05");
  seeds.add("example", example_onnx_model());
  seeds.add("tensor", tensor);
  seeds.add("sequence", onnx_writer().bytes(1, "s").varint(2, 1).bytes(3, tensor).take());
  seeds.add("lists", onnx_model(onnx_graph(
                         {onnx_tensor("f", 1, {2}, [](onnx_writer& out) { out.fixed32(4, 1).fixed32(4, 2); }),
                          onnx_tensor("h", 10, {2}, [](onnx_writer& out) { out.varint(5, 1).bytes(5, "\x02"); }),
                          onnx_tensor("n", 22, {3}, [](onnx_writer& out) { out.bytes(5, "\x21\x03"); }),
                          onnx_tensor("six", 27, {3}, [](onnx_writer& out) { out.bytes(5, "\x21\x03\x02"); }),
                          onnx_tensor("s", 8, {2}, [](onnx_writer& out) { out.bytes(6, "text").bytes(6, ""); }),
                          onnx_tensor("d", 11, {1}, [](onnx_writer& out) { out.fixed64(10, 1); })})));
  seeds.add("files",
            onnx_model(onnx_graph({onnx_external("w", 2, {4},
                                                 {{"location", "w.bin"},
                                                  {"offset", "4"},
                                                  {"length", "4"},
                                                  {"checksum", "a9993e364706816aba3e25717850c26c9cd0d89d"}})})));
  const std::string subgraph = onnx_graph({tensor}, onnx_field(15, sparse));
  const std::string graph = onnx_graph(
      {tensor},
      onnx_field(1, onnx_node("If", {"t", ""}, {"y"},
                              {onnx_attribute("b", 6, subgraph), onnx_attribute("v", 5, tensor),
                               onnx_attribute("s", 22, sparse), onnx_writer().bytes(1, "i").bytes(8, "\x01").take(),
                               onnx_writer().bytes(1, "f").float32(2, 1).take()})) +
          onnx_field(11, onnx_field(1, "x") + onnx_field(2, onnx_field(1, onnx_field(2, onnx_field(1, "\x08\x02"))))) +
          onnx_field(12, onnx_field(1, "y")));
  const std::string function =
      onnx_field(1, "F") + onnx_field(4, "a") + onnx_field(5, "b") + onnx_field(7, onnx_node("N", {"a"}, {"b"}));
  seeds.add("graphs", onnx_model(graph, onnx_field(25, function) + onnx_field(20, onnx_field(1, subgraph)) +
                                            onnx_field(14, onnx_field(1, "k") + onnx_field(2, "v"))));
  return seeds.status();
}
