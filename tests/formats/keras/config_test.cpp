// SPDX-License-Identifier: MIT
// Keras configurations to graphs and back: chains, branches, shared and nested layers, three versions of
// Keras.
#include <stet/formats/keras/config.hpp>

#include "support/outcome.hpp"

#include <stet/manifest.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

TEST_SUITE_BEGIN("Keras configuration");

namespace {

stet::json_value json(std::string_view text) {
  auto parsed = stet::parse_json(text);
  CHECK(parsed);
  return parsed ? std::move(*parsed) : stet::json_value();
}

/// The graph of a configuration; checks that it is sound and that writing it gives the configuration again,
/// the order of keys apart.
stet::graph graph_of(std::string_view text) {
  auto read = stet::graph_from_keras(json(text));
  CHECK_MESSAGE(read, stet_test::outcome(read));
  if (!read) return {};
  CHECK(stet_test::outcome(stet::check_graph(*read)) == "ok");
  auto again = stet::graph_from_json(stet::graph_to_json(*read));
  CHECK(again);
  if (again) CHECK(*again == *read);
  const auto written = stet::graph_to_keras(*read);
  CHECK_MESSAGE(written, stet_test::outcome(written));
  if (written) CHECK(nlohmann::json(*written) == nlohmann::json(json(text)));
  return std::move(*read);
}

const stet::graph_node& node_of(const stet::graph_body& body, std::string_view name) {
  static const stet::graph_node none;
  for (const stet::graph_node& each : body.nodes) {
    if (each.name == name) return each;
  }
  FAIL_CHECK("no node " << name);
  return none;
}

} // namespace

TEST_CASE("a Sequential model is the chain of its layers, with an input that stands for the shape") {
  const stet::graph graph = graph_of(R"({"class_name":"Sequential","config":{"name":"s","layers":[
    {"class_name":"Dense","config":{"name":"a","units":10,"batch_input_shape":[null,784],"dtype":"float32"},"name":"a"},
    {"class_name":"Dense","config":{"name":"b","units":2},"name":"b"}]},
    "keras_version":"tfjs-layers 4.22.0","backend":"tensor_flow.js"})");
  REQUIRE(graph.nodes.size() == 3);
  CHECK(graph.nodes[0].name == "a_input");
  CHECK(graph.nodes[0].op == "InputLayer");
  CHECK(graph.nodes[2].inputs == std::vector<stet::graph_endpoint>{"a"});
  CHECK(*graph.nodes[2].attribute("units") == 2);
  REQUIRE(graph.inputs.size() == 1);
  CHECK(graph.inputs[0].name == "a_input");
  CHECK(graph.inputs[0].dtype == stet::dtype::float32);
  CHECK(graph.inputs[0].shape == std::vector<std::int64_t>{stet::unknown_extent, 784});
  CHECK(graph.outputs[0].endpoint == stet::graph_endpoint("b"));
  CHECK(graph.metadata["keras"]["backend"] == "tensor_flow.js");
}

TEST_CASE("a functional model of Keras 2: branches, shared layers, keyword arguments") {
  const stet::graph graph = graph_of(R"({"class_name":"Functional","config":{"name":"f","layers":[
    {"class_name":"InputLayer","config":{"batch_input_shape":[null,6],"dtype":"int32","name":"x"},"name":"x","inbound_nodes":[]},
    {"class_name":"InputLayer","config":{"batch_input_shape":[null,4],"dtype":"float32","name":"y"},"name":"y","inbound_nodes":[]},
    {"class_name":"Dense","config":{"name":"shared","units":4},"name":"shared","inbound_nodes":[[["x",0,0,{}]],[["y",0,0,{"training":true,"mask":["x",0,0,{}]}]]]},
    {"class_name":"Add","config":{"name":"add"},"name":"add","inbound_nodes":[[["shared",0,0,{}],["shared",1,0,{}]]]},
    {"class_name":"Lambda","config":{"name":"named"},"name":"named","inbound_nodes":[{"left":["add",0,0,{}],"right":["y",0,0,{}]}]}],
    "input_layers":[["x",0,0],["y",0,0]],"output_layers":[["add",0,0],["shared",1,0]]}})");
  CHECK(node_of(graph, "shared:1").attributes.dump() == R"({"layer":"shared"})");
  CHECK(node_of(graph, "shared:1").inputs == std::vector<stet::graph_endpoint>{"y", "x"});
  CHECK(node_of(graph, "shared:1").extra["call"].dump() ==
        R"({"args":[{"$input":0}],"kwargs":{"training":true,"mask":{"$input":1}}})");
  CHECK(node_of(graph, "add").inputs == std::vector<stet::graph_endpoint>{"shared", "shared:1"});
  CHECK(node_of(graph, "add").extra.is_null());
  CHECK(node_of(graph, "named").extra["call"]["args"].dump() == R"([{"left":{"$input":0},"right":{"$input":1}}])");
  CHECK(graph.inputs[0].dtype == stet::dtype::int32);
  CHECK(graph.outputs[1].name == "shared:1");
}

TEST_CASE("a functional model of Keras 3: tensors with shapes, outputs by name") {
  const stet::graph graph = graph_of(R"({"module":"keras.src.models.functional","class_name":"Functional","config":{
    "name":"f","trainable":true,"layers":[
    {"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,3],"dtype":"float32","name":"x"},
     "registered_name":null,"name":"x","inbound_nodes":[]},
    {"module":"keras.layers","class_name":"Dense","config":{"name":"d","units":4,"dtype":{"module":"keras",
     "class_name":"DTypePolicy","config":{"name":"float32"},"registered_name":null}},"registered_name":null,
     "build_config":{"input_shape":[null,3]},"name":"d","inbound_nodes":[{"args":[{"class_name":"__keras_tensor__",
     "config":{"shape":[null,3],"dtype":"float32","keras_history":["x",0,0]}}],"kwargs":{"mask":null}}]},
    {"module":"keras.layers","class_name":"Attention","config":{"name":"q"},"name":"q","inbound_nodes":[{"args":[
     {"class_name":"__keras_tensor__","config":{"shape":[null,4],"dtype":"float32","keras_history":["d",0,0]}},
     {"class_name":"__keras_tensor__","config":{"shape":[null,3],"dtype":"float32","keras_history":["x",0,0]}}],
     "kwargs":{}}]}],
    "input_layers":["x",0,0],"output_layers":{"scores":["d",0,0],"seen":["q",0,0]}},
    "registered_name":"Functional","build_config":{"input_shape":null},"compile_config":{}})");
  CHECK(node_of(graph, "d").inputs[0].extra.dump() == R"({"shape":[null,3],"dtype":"float32"})");
  CHECK(node_of(graph, "d").extra["call"]["kwargs"].dump() == R"({"mask":null})");
  CHECK(node_of(graph, "q").inputs.size() == 2);
  CHECK(graph.outputs[0].name == "scores");
  CHECK(graph.outputs[1].name == "seen");
  CHECK(graph.inputs[0].shape == std::vector<std::int64_t>{stet::unknown_extent, 3});

  const auto for_tfjs = stet::graph_to_keras(graph, stet::keras_dialect::tfjs);
  REQUIRE(for_tfjs);
  if (for_tfjs) {
    const auto& layers = (*for_tfjs)["config"]["layers"];
    CHECK(layers[0].dump() == R"({"class_name":"InputLayer","config":{"dtype":"float32","name":"x",)"
                              R"("batch_input_shape":[null,3]},"name":"x","inbound_nodes":[]})");
    CHECK(layers[1]["config"]["dtype"] == "float32");
    CHECK(layers[1]["inbound_nodes"].dump() == R"([[["x",0,0,{"mask":null}]]])");
    CHECK(layers[2]["inbound_nodes"].dump() == R"([[["d",0,0,{}],["x",0,0,{}]]])");
    CHECK((*for_tfjs)["config"]["output_layers"].dump() == R"([["d",0,0],["q",0,0]])");
    CHECK_FALSE(for_tfjs->contains("module"));
  }
}

TEST_CASE("models within models are functions") {
  const stet::graph graph = graph_of(R"({"class_name":"Sequential","config":{"name":"outer","layers":[
    {"class_name":"Sequential","config":{"name":"inner","layers":[
      {"class_name":"Dense","config":{"name":"d","units":1},"name":"d"}]},"name":"inner"},
    {"class_name":"Dense","config":{"name":"d","units":1},"name":"d"}]}})");
  REQUIRE(graph.functions.size() == 1);
  CHECK(graph.functions[0].name == "inner");
  CHECK(node_of(graph, "inner").attributes.dump() == R"({"function":"inner"})");
  CHECK(node_of(graph.functions[0], "d").inputs == std::vector<stet::graph_endpoint>{"d_input"});
}

TEST_CASE("a model called after it was built counts its calls from 1") {
  const stet::graph graph = graph_of(R"({"class_name":"Model","config":{"name":"m","layers":[
    {"class_name":"InputLayer","config":{"name":"x"},"name":"x","inbound_nodes":[]},
    {"class_name":"Sequential","config":{"name":"i","layers":[
      {"class_name":"Dense","config":{"name":"d"},"name":"d"}]},"name":"i",
     "inbound_nodes":[[["x",0,0,{}]],[["i",1,0,{}]]]}],
    "input_layers":[["x",0,0]],"output_layers":[["i",2,0]]}})");
  REQUIRE(graph.outputs.size() == 1);
  CHECK(graph.outputs[0].endpoint == stet::graph_endpoint("i:1"));
  CHECK(node_of(graph, "i:1").inputs == std::vector<stet::graph_endpoint>{"i"});
  CHECK(node_of(graph, "i").extra.dump() == R"({"first_call":1})");
}

TEST_CASE("for TensorFlow.js a model within the model is always called after it was built") {
  const stet::graph graph = graph_of(R"({"class_name":"Model","config":{"name":"m","layers":[
    {"class_name":"InputLayer","config":{"name":"x"},"name":"x","inbound_nodes":[]},
    {"class_name":"Sequential","config":{"name":"i","layers":[
      {"class_name":"Dense","config":{"name":"d"},"name":"d"}]},"name":"i","inbound_nodes":[[["x",0,0,{}]]]}],
    "input_layers":[["x",0,0]],"output_layers":[["i",0,0]]}})");
  const auto written = stet::graph_to_keras(graph, stet::keras_dialect::tfjs);
  REQUIRE(written);
  if (written) CHECK((*written)["config"]["output_layers"].dump() == R"([["i",1,0]])");
}

TEST_CASE("Keras 1, and a description wrapped as HDF5 files have it") {
  const auto read = stet::graph_from_keras(json(R"({"model_config":{"class_name":"Sequential","config":[
    {"class_name":"Dense","config":{"name":"a","batch_input_shape":[null,2]}}]},"keras_version":"1.2.0"})"));
  REQUIRE(read);
  if (read) {
    CHECK(read->nodes.size() == 2);
    CHECK(read->metadata["keras_file"]["keras_version"] == "1.2.0");
  }
}

TEST_CASE("a graph of one's own is written for TensorFlow.js") {
  stet::graph graph;
  graph.add("pixels", "Placeholder");
  graph.add("dense", "Dense", {"pixels"}, {{"units", 10}, {"activation", "relu"}}, {{"kernel", "dense/kernel"}});
  graph.inputs = {{"pixels", "pixels", stet::dtype::float32, {{784}}}};
  graph.outputs = {{"scores", "dense", std::nullopt, std::nullopt}};
  const auto written = stet::graph_to_keras(graph, stet::keras_dialect::tfjs);
  REQUIRE(written);
  if (written) {
    CHECK(written->dump() == R"({"class_name":"Sequential","config":{"name":"model","layers":[)"
                             R"({"class_name":"InputLayer","config":{"name":"pixels","dtype":"float32",)"
                             R"("batch_input_shape":[null,784]},"name":"pixels"},)"
                             R"({"class_name":"Dense","config":{"units":10,"activation":"relu","name":"dense"},)"
                             R"("name":"dense"}]}})");
  }
  CHECK(stet_test::outcome(stet::graph_to_keras(stet::graph())) == "bad_graph");
}

TEST_CASE("weights find their layers by their names") {
  auto graph = stet::graph_from_keras(json(R"({"class_name":"Sequential","config":{"name":"o","layers":[
    {"class_name":"Dense","config":{"name":"d"}},{"class_name":"LSTM","config":{"name":"lstm"}},
    {"class_name":"Sequential","config":{"name":"in","layers":[{"class_name":"Dense","config":{"name":"e"}}]}}]}})"));
  REQUIRE(graph);
  stet::writer out;
  const float one = 1;
  for (const char* name : {"Adam/m/d/kernel", "d/kernel:0", "d/bias", "lstm/lstm_cell/kernel", "in/e/kernel",
                           "unknown/kernel", "kernel", "/kernel", "d/"})
    out.add(name, std::span<const float>(&one, 1), {});
  const auto saved = out.save_to_memory();
  REQUIRE(saved);
  if (!graph || !saved) return;
  const auto store = stet::open(std::span<const std::byte>(*saved));
  REQUIRE(store);
  if (!store) return;
  stet::name_keras_variables(*graph, *store);
  using variables = std::vector<stet::graph_variable>;
  CHECK(node_of(*graph, "d").variables == variables{{"kernel", "d/kernel:0"}, {"bias", "d/bias"}});
  CHECK(node_of(*graph, "lstm").variables == variables{{"lstm_cell/kernel", "lstm/lstm_cell/kernel"}});
  CHECK(node_of(graph->functions[0], "e").variables == variables{{"kernel", "in/e/kernel"}});
}

TEST_CASE("layers without names have those of their classes, and are written without") {
  const char* text = R"({"class_name":"Sequential","config":{"name":"m","layers":[
    {"class_name":"Scale","config":{"units":3}},{"class_name":"Dense","config":{"name":"scale_1"}},
    {"class_name":"Scale","config":{"units":4}}]}})";
  const auto graph = stet::graph_from_keras(json(text));
  REQUIRE_MESSAGE(graph, stet_test::outcome(graph));
  if (!graph) return;
  CHECK(graph->nodes[1].name == "scale");
  CHECK(graph->nodes[2].name == "scale_1");
  CHECK(graph->nodes[3].name == "scale_2");
  const auto written = stet::graph_to_keras(*graph);
  REQUIRE(written);
  if (written) CHECK((*written)["config"]["layers"][0].dump() == R"({"class_name":"Scale","config":{"units":3}})");
}

TEST_CASE("a wrapper's own field is not a further call: the chain stays Sequential, with its module") {
  const char* text = R"({"module":"keras","class_name":"Sequential","config":{"name":"m","layers":[
    {"class_name":"InputLayer","config":{"name":"i","batch_shape":[null,5,4]}},
    {"class_name":"TimeDistributed","config":{"name":"td","layer":{"class_name":"Dense","config":{"name":"d"}}}},
    {"class_name":"Own","config":{"layer":{"class_name":"Dense","config":{"name":"d"}}}}]}})";
  const auto graph = stet::graph_from_keras(json(text));
  REQUIRE(graph);
  if (!graph) return;
  auto written = stet::graph_to_keras(*graph);
  REQUIRE(written);
  if (written) CHECK(((*written)["class_name"] == "Sequential" && (*written)["module"] == "keras"));
  // What is no chain any more is of another class, found elsewhere.
  stet::graph branched = *graph;
  branched.nodes[2].inputs.push_back(branched.nodes[2].inputs[0]);
  written = stet::graph_to_keras(branched);
  REQUIRE(written);
  if (written) CHECK(((*written)["class_name"] == "Functional" && !written->contains("module")));
}

TEST_CASE("calls of a layer with a long name take memory in proportion to the configuration") {
  const auto with_calls = [](std::size_t size, int calls) {
    std::string text = R"({"class_name":"Model","config":{"name":"m","layers":[{"class_name":"D","name":")" +
                       std::string(size, 'n') + R"(","config":{},"inbound_nodes":[)";
    for (int i = 0; i < calls; ++i) text += i == 0 ? "[]" : ",[]";
    return stet_test::outcome(
        stet::graph_from_keras(json((text + R"(]}],"input_layers":[],"output_layers":[]}})").c_str())));
  };
  CHECK(with_calls(20, 1000) == "ok");
  CHECK(with_calls(100000, 1000) == "too_large");
}

TEST_CASE("refuses what Keras does not write") {
  const struct {
    const char* text;
    const char* expected;
    const char* subject;
  } rows[] = {
      {"[]", "wrong_type", ""},
      {"{}", "missing_field", "layers"},
      {R"({"config":{"layers":{}}})", "wrong_type", "layers"},
      {R"({"config":{"layers":[1]}})", "wrong_type", "layer 0"},
      {R"({"config":{"layers":[{}]}})", "missing_field", "class_name of layer"},
      {R"({"config":{"layers":[{"config":{"name":"a"}}]}})", "missing_field", "class_name of a"},
      {R"({"config":{"layers":[{"class_name":"D","name":"a","config":3}]}})", "wrong_type", "config of a"},
      {R"({"config":{"layers":[{"class_name":"D","name":"a","inbound_nodes":[[["b",0,0]]]}],"input_layers":[],"output_layers":[]}})",
       "ok", ""},
      {R"({"config":{"layers":[{"class_name":"D","name":"a","inbound_nodes":[[["a",7,0]]]}],"input_layers":[],"output_layers":[]}})",
       "bad_graph", "input a of a"},
      {R"({"config":{"layers":[{"class_name":"D","name":"a","inbound_nodes":[[["a",0,65536]]]}],"input_layers":[],"output_layers":[]}})",
       "bad_graph", "input a of a"},
      {R"({"config":{"layers":[{"class_name":"D","name":"a","inbound_nodes":[{"args":[{"class_name":"__keras_tensor__"}]}]}],"input_layers":[],"output_layers":[]}})",
       "bad_graph", "input  of a"},
      {R"({"config":{"layers":[{"class_name":"D","name":"a","inputs":[]}]}})", "duplicate_key", "inputs of a"},
      {R"({"config":{"layers":[{"class_name":"D","name":"a","call":{}}]}})", "duplicate_key", "call of a"},
      {R"({"config":{"layers":[],"input_layers":[["b",0,0]],"output_layers":[]}})", "bad_graph", "input_layers"},
      {R"({"config":{"layers":[],"output_layers":[]}})", "missing_field", "input_layers"},
      {R"({"config":{"layers":[],"input_layers":[]}})", "missing_field", "output_layers"},
      {R"({"config":{"layers":[],"input_layers":[],"output_layers":7}})", "bad_graph", "output_layers"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto read = stet::graph_from_keras(json(row.text));
    CHECK(stet_test::outcome(read) == row.expected);
    if (!read) CHECK(read.error().subject() == row.subject);
  }
}

TEST_CASE("a graph whose layers form a cycle is read, and check_graph refuses it") {
  const auto read = stet::graph_from_keras(json(R"({"class_name":"Model","config":{"layers":[
    {"class_name":"D","name":"a","config":{},"inbound_nodes":[[["b",0,0]]]},
    {"class_name":"D","name":"b","config":{},"inbound_nodes":[[["a",0,0]]]}],
    "input_layers":[["a",0,0]],"output_layers":[["b",0,0]]}})"));
  REQUIRE(read);
  if (read) CHECK(stet_test::outcome(stet::check_graph(*read)) == "bad_graph");
}

TEST_SUITE_END();
