// SPDX-License-Identifier: MIT
#include <stet/manifest/graph.hpp>
#include <stet/manifest/graph_json.hpp>
#include <stet/manifest/graph_link.hpp>
#include <stet/manifest/parse.hpp>
#include <stet/manifest/print.hpp>

#include "support/colliding_names.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using stet::errc;
using stet::graph_endpoint;
using stet::json_value;

/// What a call came to: "ok", or "CODE: SUBJECT".
template <class Value> std::string outcome_of(const stet::result<Value>& made) {
  if (made) return "ok";
  const stet::error& problem = made.error();
  return std::string(stet::describe(problem.code()).name) + ": " + std::string(problem.subject());
}

stet::graph_port port(std::string name, graph_endpoint endpoint) {
  return {std::move(name), std::move(endpoint), {}, {}};
}

/// A small classifier as a program would build it.
stet::graph small_graph() {
  stet::graph graph;
  graph.add("pixels", "Placeholder");
  graph.add("dense", "Dense", {"pixels"}, {{"units", 10}, {"activation", "softmax"}},
            {{"kernel", "dense/kernel"}, {"bias", "dense/bias"}});
  graph.add("best", "TopK", {"dense"}, {{"k", 3}});
  graph.inputs = {{"pixels", "pixels", stet::dtype::float32, {{stet::unknown_extent, 784}}}};
  graph.outputs = {port("probabilities", "dense"), port("digits", {"best", 1})};
  return graph;
}

/// A graph that uses every field, and fields that this library does not know in every object.
stet::graph full_graph() {
  stet::graph graph = small_graph();
  const json_value further = {{"z", {{"deep", json_value::array({1, -2, 0.5, nullptr})}}}, {"a", "first"}};
  graph_endpoint named("best", 2);
  named.output_name = "indices";
  graph_endpoint with_more("dense");
  with_more.extra = further;
  graph.add("^odd:0 \"name\" \xE6\x97\xA5", "Op with spaces", {named, graph_endpoint::control("pixels"), with_more},
            json_value::object());
  graph.nodes.back().extra = further;
  graph.outputs.push_back({"odd", with_more, stet::dtype::int4, std::vector<std::int64_t>{}});
  graph.outputs.back().endpoint.output_name = "y";
  graph.signatures.push_back({"serving_default", graph.inputs, graph.outputs, further});
  graph.signatures.push_back({"empty", {}, {}, nullptr});
  stet::graph_function function;
  function.name = "cond_true";
  function.add("x", "Argument", {}, {{"index", 0}});
  function.inputs = {port("x", "x")};
  function.outputs = {port("y", "x")};
  function.attributes = {{"noinline", true}};
  function.extra = further;
  graph.functions.push_back(function);
  graph.metadata = {{"producer", "a test"}};
  graph.extra = further;
  return graph;
}

std::string parsed(std::string_view text) {
  const auto made = stet::graph_from_json(json_value::parse(text, nullptr, false));
  return outcome_of(made);
}

/// What check_graph says of small_graph() after a change.
template <class Change> std::string checked(Change change, const stet::graph_rules& rules = {}) {
  stet::graph graph = small_graph();
  change(graph);
  return outcome_of(stet::check_graph(graph, rules));
}

/// A loop as TensorFlow 1 writes it: while (i < n) i = i + 1.
stet::graph while_loop() {
  stet::graph graph;
  graph.add("zero", "Const");
  graph.add("enter", "Enter", {"zero"});
  graph.add("merge", "Merge", {"enter", "next"});
  graph.add("less", "Less", {"merge", "zero"});
  graph.add("cond", "LoopCond", {"less"});
  graph.add("switch", "Switch", {"merge", "cond"});
  graph.add("exit", "Exit", {"switch"});
  graph.add("body", "Identity", {{"switch", 1}});
  graph.add("one", "Const", {graph_endpoint::control("body")});
  graph.add("add", "Add", {"body", "one"});
  graph.add("next", "NextIteration", {"add"});
  return graph;
}

/// Whether every node stands behind those it takes an input from, and is there once.
bool is_in_order(const stet::linked_graph& linked) {
  std::vector<std::uint32_t> place(linked.nodes().size(), stet::linked_graph::none);
  for (std::size_t at = 0; at < linked.order().size(); ++at) place[linked.order()[at]] = static_cast<std::uint32_t>(at);
  for (std::uint32_t node = 0; node < linked.nodes().size(); ++node) {
    if (place[node] == stet::linked_graph::none) return false;
    for (const stet::graph_source& source : linked.inputs(node)) {
      if (place[source.node] >= place[node]) return false;
    }
  }
  return linked.order().size() == linked.nodes().size();
}

std::vector<std::string> names_in_order(const stet::linked_graph& linked) {
  std::vector<std::string> names;
  for (const std::uint32_t number : linked.order()) names.push_back(linked.nodes()[number].name);
  return names;
}

/// Random numbers that are the same everywhere.
struct random_numbers {
  std::uint64_t state;
  std::size_t below(std::size_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>((state >> 33) % limit);
  }
};

constexpr std::size_t many = 100000;

} // namespace

TEST_SUITE("graph") {

  TEST_CASE("a graph is written as the specification says") {
    CHECK(stet::graph_to_json(small_graph()).dump() ==
          R"({"nodes":[{"name":"pixels","op":"Placeholder"},)"
          R"({"name":"dense","op":"Dense","inputs":["pixels"],)"
          R"("attributes":{"units":10,"activation":"softmax"},)"
          R"("variables":{"kernel":"dense/kernel","bias":"dense/bias"}},)"
          R"({"name":"best","op":"TopK","inputs":["dense"],"attributes":{"k":3}}],)"
          R"("inputs":{"pixels":{"node":"pixels","dtype":"float32","shape":[null,784]}},)"
          R"("outputs":{"probabilities":"dense","digits":{"node":"best","output":1}}})");
    CHECK(stet::graph_to_json({}).dump() == R"({"nodes":[]})");
  }

  TEST_CASE("a graph read from what was written is the same, in every field and those not known") {
    for (const stet::graph& graph : {small_graph(), full_graph(), stet::graph()}) {
      const json_value json = stet::graph_to_json(graph);
      const auto again = stet::graph_from_json(json);
      REQUIRE(again);
      if (!again) return;
      CHECK(*again == graph);
      CHECK(stet::graph_to_json(*again).dump() == json.dump());
    }
  }

  TEST_CASE("a graph goes through a manifest unharmed") {
    const stet::graph graph = full_graph();
    stet::manifest manifest;
    manifest.graph = stet::graph_to_json(graph);
    REQUIRE(stet::check_manifest(manifest));
    const std::string text = stet::print_manifest(manifest);
    auto again = stet::parse_manifest(text);
    REQUIRE(again);
    if (!again) return;
    CHECK(stet::print_manifest(*again) == text);
    const auto read = stet::graph_from_json(stet::to_json_value(again->graph));
    REQUIRE(read);
    if (!read) return;
    CHECK(*read == graph);
    CHECK(stet::check_graph(*read));
  }

  TEST_CASE("the long form of an endpoint and fields in any order mean the same") {
    const auto made = stet::graph_from_json(json_value::parse(
        R"({"outputs":{"y":{"shape":[],"node":"b"}},
            "nodes":[{"op":"B","inputs":[{"control":false,"output":0,"node":"a"}],"name":"b"},
                     {"name":"a","op":"A","inputs":[],"variables":{}}]})",
        nullptr, false));
    REQUIRE(made);
    if (!made) return;
    CHECK(made->nodes[0].inputs == std::vector<graph_endpoint>{"a"});
    CHECK(made->outputs[0].shape == std::vector<std::int64_t>{});
    CHECK(stet::graph_to_json(*made).dump() ==
          R"({"nodes":[{"name":"b","op":"B","inputs":["a"]},{"name":"a","op":"A"}],)"
          R"("outputs":{"y":{"node":"b","shape":[]}}})");
  }

  TEST_CASE("what is not written as a graph is an error about its place") {
    const struct {
      const char *text, *outcome;
    } rows[] = {
        {R"(null)", "wrong_type: "},
        {R"([])", "wrong_type: "},
        {R"("nodes")", "wrong_type: "},
        {R"({})", "missing_field: nodes"},
        {R"({"nodes":{}})", "wrong_type: nodes"},
        {R"({"nodes":[7]})", "wrong_type: nodes of node 0"},
        {R"({"nodes":[{"name":"a","op":"A"},{"op":"A"}]})", "missing_field: name of node 1"},
        {R"({"nodes":[{"name":"a"}]})", "missing_field: op of a"},
        {R"({"nodes":[{"name":1,"op":"A"}]})", "wrong_type: name of node 0"},
        {R"({"nodes":[{"op":null,"name":"a"}]})", "wrong_type: op of a"},
        {R"({"nodes":[{"name":"a","op":"A","attributes":[]}]})", "wrong_type: attributes of a"},
        {R"({"nodes":[{"name":"a","op":"A","attributes":null}]})", "wrong_type: attributes of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":"b"}]})", "wrong_type: inputs of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[1]}]})", "wrong_type: inputs of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[["b",1]]}]})", "wrong_type: inputs of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[{}]}]})", "missing_field: node of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[{"node":"b","output":-1}]}]})", "bad_number: output of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[{"node":"b","output":1.0}]}]})", "bad_number: output of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[{"node":"b","output":4294967296}]}]})", "bad_number: output of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[{"node":"b","output":"1"}]}]})", "wrong_type: output of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[{"node":"b","control":1}]}]})", "wrong_type: control of a"},
        {R"({"nodes":[{"name":"a","op":"A","inputs":[{"node":"b","output_name":1}]}]})",
         "wrong_type: output_name of a"},
        {R"({"nodes":[{"name":"a","op":"A","variables":["k"]}]})", "wrong_type: variables of a"},
        {R"({"nodes":[{"name":"a","op":"A","variables":{"kernel":1}}]})", "wrong_type: variables of a"},
        {R"({"nodes":[],"inputs":[]})", "wrong_type: inputs"},
        {R"({"nodes":[],"inputs":{"x":1}})", "wrong_type: inputs of x"},
        {R"({"nodes":[],"inputs":{"x":{}}})", "missing_field: node of x"},
        {R"({"nodes":[],"outputs":{"y":{"node":"a","dtype":"float33"}}})", "unknown_dtype: dtype of y"},
        {R"({"nodes":[],"outputs":{"y":{"node":"a","dtype":12}}})", "wrong_type: dtype of y"},
        {R"({"nodes":[],"outputs":{"y":{"node":"a","shape":{}}}})", "wrong_type: shape of y"},
        {R"({"nodes":[],"outputs":{"y":{"node":"a","shape":[-1]}}})", "bad_number: shape of y"},
        {R"({"nodes":[],"outputs":{"y":{"node":"a","shape":[9223372036854775808]}}})", "bad_shape: shape of y"},
        {R"({"nodes":[],"outputs":{"y":{"node":"a","shape":["1"]}}})", "wrong_type: shape of y"},
        {R"({"nodes":[],"signatures":[]})", "wrong_type: signatures"},
        {R"({"nodes":[],"signatures":{"s":[]}})", "wrong_type: signatures of s"},
        {R"({"nodes":[],"signatures":{"s":{"inputs":[]}}})", "wrong_type: inputs of s"},
        {R"({"nodes":[],"signatures":{"s":{"inputs":{"x":{"output":1}}}}})", "missing_field: node of x in s"},
        {R"({"nodes":[],"functions":{"f":{}}})", "missing_field: nodes of f"},
        {R"({"nodes":[],"functions":{"f":{"nodes":[{"name":"n"}]}}})", "missing_field: op of n in f"},
        {R"({"nodes":[],"functions":{"f":{"nodes":[],"attributes":1}}})", "wrong_type: attributes of f"},
        {R"({"nodes":[],"metadata":[]})", "wrong_type: metadata"},
        {R"({"nodes":[],"later":[{"unknown":null}]})", "ok"},
    };
    for (const auto& row : rows) {
      CAPTURE(row.text);
      CHECK(parsed(row.text) == row.outcome);
    }
  }

  TEST_CASE("a shape of more dimensions than any tensor has is refused") {
    json_value json = stet::graph_to_json(small_graph());
    json_value& shape = json["inputs"]["pixels"]["shape"];
    shape = json_value::array();
    for (std::size_t axis = 0; axis < stet::max_rank; ++axis) shape.push_back(nullptr);
    CHECK(stet::graph_from_json(json));
    shape.push_back(1);
    CHECK(outcome_of(stet::graph_from_json(json)) == "bad_shape: shape of pixels");
  }

  TEST_CASE("a key that occurs twice is refused in every object") {
    // nlohmann's parser would merge them; a program can still make such an object.
    const auto twice = [](json_value& object) {
      json_value::object_t& members = *object.get_ptr<json_value::object_t*>();
      members.emplace_back(members.front().first, members.front().second);
    };
    const json_value whole = stet::graph_to_json(full_graph());
    const char* const objects[] = {"",
                                   "/nodes/1",
                                   "/nodes/1/variables",
                                   "/nodes/3/inputs/0",
                                   "/inputs",
                                   "/inputs/pixels",
                                   "/outputs",
                                   "/signatures",
                                   "/signatures/serving_default",
                                   "/signatures/serving_default/inputs/pixels",
                                   "/functions",
                                   "/functions/cond_true",
                                   "/functions/cond_true/nodes/0"};
    for (const char* const object : objects) {
      CAPTURE(object);
      json_value json = whole;
      twice(json[json_value::json_pointer(object)]);
      const auto made = stet::graph_from_json(json);
      REQUIRE_FALSE(made);
      if (!made) CHECK(made.error().code() == errc::duplicate_key);
    }
  }

  TEST_CASE("attributes and variables are found by their names") {
    const stet::graph graph = small_graph();
    const stet::graph_node& dense = graph.nodes[1];
    REQUIRE(dense.attribute("units") != nullptr);
    CHECK(*dense.attribute("units") == 10);
    CHECK(dense.attribute("none") == nullptr);
    CHECK(graph.nodes[0].attribute("units") == nullptr);
    REQUIRE(dense.variable("bias") != nullptr);
    CHECK(*dense.variable("bias") == "dense/bias");
    CHECK(dense.variable("gamma") == nullptr);
  }

  TEST_CASE("names lead to nodes, inputs to their sources, nodes to their consumers") {
    stet::graph graph = small_graph();
    graph.add("both", "Concat", {{"best", 1}, "dense", graph_endpoint::control("dense")});
    const auto linked = stet::link_graph(graph);
    REQUIRE(linked);
    if (!linked) return;
    CHECK(linked->number_of("dense") == 1);
    CHECK(linked->find("both") == &graph.nodes[3]);
    CHECK(linked->number_of("none") == stet::linked_graph::none);
    CHECK(linked->find("") == nullptr);
    CHECK(linked->inputs(0).empty());
    REQUIRE(linked->inputs(3).size() == 3);
    CHECK(linked->inputs(3)[0].node == 2);
    CHECK(linked->inputs(3)[0].output == 1);
    CHECK(linked->inputs(3)[1].node == 1);
    const auto uses = linked->consumers(1);
    CHECK(std::vector<stet::graph_use>(uses.begin(), uses.end()) ==
          std::vector<stet::graph_use>{{2, 0}, {3, 1}, {3, 2}});
    CHECK(linked->consumers(3).empty());
  }

  TEST_CASE("an empty graph links to nothing") {
    const auto linked = stet::link_graph(stet::graph());
    REQUIRE(linked);
    if (!linked) return;
    CHECK(linked->order().empty());
    CHECK(linked->number_of("x") == stet::linked_graph::none);
  }

  TEST_CASE("a linked graph stays good when graph and links are moved") {
    stet::graph graph = small_graph();
    auto linked = stet::link_graph(graph);
    REQUIRE(linked);
    if (!linked) return;
    const stet::graph elsewhere = std::move(graph);
    const stet::linked_graph moved = std::move(*linked);
    CHECK(moved.find("best") == &elsewhere.nodes[2]);
    CHECK(names_in_order(moved) == std::vector<std::string>{"pixels", "dense", "best"});
  }

  TEST_CASE("nodes that stand in order keep it, others come after their inputs") {
    stet::graph graph;
    graph.add("b", "Op");
    graph.add("a", "Op");
    graph.add("c", "Op", {"a", "b"});
    const auto kept = stet::link_graph(graph);
    REQUIRE(kept);
    if (!kept) return;
    CHECK(names_in_order(*kept) == std::vector<std::string>{"b", "a", "c"});
    std::swap(graph.nodes[0], graph.nodes[2]);
    const auto turned = stet::link_graph(graph);
    REQUIRE(turned);
    if (!turned) return;
    CHECK(names_in_order(*turned) == std::vector<std::string>{"a", "b", "c"});
  }

  TEST_CASE("what makes no sense is refused, and the subject says what") {
    CHECK(checked([](stet::graph&) {}) == "ok");
    CHECK(outcome_of(stet::check_graph(full_graph())) == "ok");
    CHECK(checked([](auto& g) { g.nodes[2].name = "dense"; }) == "bad_graph: node dense");
    CHECK(checked([](auto& g) { g.nodes[2].name = ""; }) == "bad_name: node 2");
    CHECK(checked([](auto& g) { g.nodes[2].name = std::string("a\0b", 3); }) == "bad_name: node 2");
    CHECK(checked([](auto& g) { g.nodes[1].name = "\xFF"; }) == "bad_name: node 1");
    CHECK(checked([](auto& g) { g.nodes[1].op = ""; }) == "bad_name: op of dense");
    CHECK(checked([](auto& g) { g.nodes[1].attributes = 7; }) == "wrong_type: attributes of dense");
    CHECK(checked([](auto& g) { g.nodes[1].inputs = {"pixel"}; }) == "bad_graph: input pixel of dense");
    CHECK(checked([](auto& g) { g.nodes[1].inputs = {"^pixels"}; }) == "bad_graph: input ^pixels of dense");
    CHECK(checked([](auto& g) { g.nodes[1].inputs = {{"pixels", 65535}}; }) == "ok");
    CHECK(checked([](auto& g) { g.nodes[1].inputs = {{"pixels", 65536}}; }) == "bad_graph: input pixels of dense");
    CHECK(checked([](auto& g) {
            g.nodes[1].inputs = {graph_endpoint::control("pixels")};
            g.nodes[1].inputs[0].output = 1;
          }) == "bad_graph: input pixels of dense");
    CHECK(checked([](auto& g) { g.nodes[1].variables[1].role = "kernel"; }) == "bad_graph: variable kernel of dense");
    CHECK(checked([](auto& g) { g.nodes[1].variables[1].role = ""; }) == "bad_name: variable 1");
    CHECK(checked([](auto& g) { g.nodes[1].variables[1].tensor = ""; }) == "bad_name: variables of dense");
    CHECK(checked([](auto& g) { g.inputs[0].endpoint.node = "x"; }) == "bad_graph: input pixels");
    CHECK(checked([](auto& g) { g.inputs[0].shape = {{-2}}; }) == "bad_shape: pixels");
    CHECK(checked([](auto& g) { g.inputs[0].shape.emplace(255u); }) == "bad_shape: pixels");
    CHECK(checked([](auto& g) { g.inputs[0].dtype = static_cast<stet::dtype>(200); }) == "unknown_dtype: pixels");
    CHECK(checked([](auto& g) { g.outputs[1].name = "probabilities"; }) == "bad_graph: output probabilities");
    CHECK(checked([](auto& g) { g.outputs[1].endpoint.is_control = true; }) == "bad_graph: output digits");
    CHECK(checked([](auto& g) { g.outputs[1].name = ""; }) == "bad_name: output 1");
    CHECK(checked([](auto& g) { g.metadata = "text"; }) == "wrong_type: metadata");
    CHECK(checked([](auto& g) { g.signatures = {{"s", {port("x", "nothing")}, {}, nullptr}}; }) ==
          "bad_graph: input x of s");
    CHECK(checked([](auto& g) { g.signatures = {{"s", {}, {port("y", "nothing")}, nullptr}}; }) ==
          "bad_graph: output y of s");
    CHECK(checked([](auto& g) { g.signatures.resize(2); }) == "bad_name: signature 0");
    CHECK(checked([](auto& g) { g.signatures = {{"s", {}, {}, nullptr}, {"s", {}, {}, nullptr}}; }) ==
          "bad_graph: signature s");
    const auto with_function = [](stet::graph& g) -> stet::graph_function& {
      g.functions = full_graph().functions;
      return g.functions[0];
    };
    CHECK(checked([&](auto& g) { with_function(g).name = ""; }) == "bad_name: function 0");
    CHECK(checked([&](auto& g) { g.functions.push_back(with_function(g)); }) == "bad_graph: function cond_true");
    CHECK(checked([&](auto& g) { with_function(g).attributes = 1; }) == "wrong_type: attributes of cond_true");
    CHECK(checked([&](auto& g) { with_function(g).add("y", "Op", {"dense"}); }) ==
          "bad_graph: input dense of y in cond_true"); // functions see their own nodes only
    CHECK(checked([&](auto& g) { with_function(g).nodes[0].inputs = {"x"}; }) ==
          "bad_graph: cycle through x in cond_true");
  }

  TEST_CASE("a graph may be asked to fit what the program knows of ops and variables") {
    stet::graph_rules rules;
    rules.has_variable = [](std::string_view name) { return name == "dense/kernel"; };
    CHECK(checked([](auto& g) { g.nodes[1].variables.pop_back(); }, rules) == "ok");
    CHECK(checked([](auto&) {}, rules) == "not_found: dense/bias");
    CHECK(checked(
              [](auto& g) {
                g.nodes[1].variables.pop_back();
                g.functions = full_graph().functions;
                g.functions[0].nodes[0].variables = {{"value", "constant"}};
              },
              rules) == "not_found: constant");
    rules.has_variable = nullptr;
    rules.output_count = [](const stet::graph_node& node) -> std::optional<std::uint32_t> {
      if (node.op == "TopK") return 2;
      return node.op == "Dense" ? std::optional<std::uint32_t>(1) : std::nullopt;
    };
    CHECK(checked([](auto&) {}, rules) == "ok");
    CHECK(checked([](auto& g) { g.outputs[1].endpoint.output = 2; }, rules) == "bad_graph: output digits");
    CHECK(checked([](auto& g) { g.nodes[2].inputs[0].output = 1; }, rules) == "bad_graph: input dense of best");
    CHECK(checked([](auto& g) { g.nodes[1].inputs[0].output = 9; }, rules) == "ok"); // of an op not known
  }

  TEST_CASE("cycles are refused, but for those that run through an op made for it") {
    stet::graph self;
    self.add("a", "Op", {"a"});
    CHECK(outcome_of(stet::check_graph(self)) == "bad_graph: cycle through a");
    stet::graph waits;
    waits.add("a", "Op", {"b"});
    waits.add("b", "Op", {graph_endpoint::control("a")});
    CHECK(outcome_of(stet::check_graph(waits)) == "bad_graph: cycle through a");

    const stet::graph loop = while_loop();
    CHECK(outcome_of(stet::check_graph(loop)) == "bad_graph: cycle through merge");
    stet::graph_rules rules;
    rules.may_close_cycle = [](std::string_view op) { return op == "NextIteration"; };
    CHECK(outcome_of(stet::check_graph(self, rules)) == "bad_graph: cycle through a");
    const auto linked = stet::link_graph(loop, rules);
    REQUIRE(linked);
    if (!linked) return;
    const auto names = names_in_order(*linked);
    CHECK(names == std::vector<std::string>{"zero", "enter", "merge", "less", "cond", "switch", "exit", "body", "one",
                                            "add", "next"});
    // The way back is still there to be followed.
    CHECK(linked->inputs(2)[1].node == linked->number_of("next"));
    CHECK(linked->consumers(linked->number_of("next")).size() == 1);
  }

  TEST_CASE("order, consumers and cycles agree with a plain search on random graphs") {
    random_numbers random{42};
    std::size_t cyclic = 0;
    for (int round = 0; round < 2000; ++round) {
      stet::graph graph;
      const std::size_t count = 1 + random.below(8);
      for (std::size_t i = 0; i < count; ++i) {
        stet::graph_node& node = graph.add(std::to_string(i), "Op");
        for (std::size_t inputs = random.below(3); inputs > 0; --inputs)
          node.inputs.emplace_back(std::to_string(random.below(count)));
      }
      // reaches[a][b]: b's output leads to a.
      std::vector<std::vector<bool>> reaches(count, std::vector<bool>(count));
      for (std::size_t i = 0; i < count; ++i) {
        for (const graph_endpoint& input : graph.nodes[i].inputs)
          reaches[i][static_cast<std::size_t>(input.node[0] - '0')] = true;
      }
      for (std::size_t via = 0; via < count; ++via) {
        for (std::size_t a = 0; a < count; ++a) {
          for (std::size_t b = 0; b < count; ++b) reaches[a][b] = reaches[a][b] || (reaches[a][via] && reaches[via][b]);
        }
      }
      bool has_cycle = false;
      for (std::size_t i = 0; i < count; ++i) has_cycle = has_cycle || reaches[i][i];
      const auto linked = stet::link_graph(graph);
      cyclic += has_cycle;
      REQUIRE(static_cast<bool>(linked) != has_cycle);
      if (!linked) continue;
      CHECK(is_in_order(*linked));
      std::size_t uses = 0, inputs = 0;
      for (std::uint32_t node = 0; node < count; ++node) {
        inputs += graph.nodes[node].inputs.size();
        for (const stet::graph_use& use : linked->consumers(node)) {
          ++uses;
          CHECK(graph.nodes[use.node].inputs[use.input].node == graph.nodes[node].name);
        }
      }
      CHECK(uses == inputs);
    }
    CHECK(cyclic > 500);
    CHECK(cyclic < 1900);
  }

  // None of these may overflow the stack or take more than a moment: the suite's time limit is the judge.
  TEST_CASE("a chain of a hundred thousand nodes, either way around, is put in order") {
    stet::graph graph;
    for (std::size_t i = 0; i < many; ++i) {
      stet::graph_node& node = graph.add("node " + std::to_string(i), "Op");
      if (i != 0) node.inputs.emplace_back("node " + std::to_string(i - 1));
    }
    for (int turn = 0; turn < 2; ++turn) {
      const auto linked = stet::link_graph(graph);
      REQUIRE(linked);
      if (!linked) return;
      CHECK(is_in_order(*linked));
      std::reverse(graph.nodes.begin(), graph.nodes.end());
    }
    graph.nodes[0].inputs.emplace_back("node " + std::to_string(many - 1));
    CHECK(outcome_of(stet::check_graph(graph)).substr(0, 24) == "bad_graph: cycle through");
    const auto again = stet::graph_from_json(stet::graph_to_json(graph));
    REQUIRE(again);
    if (again) CHECK(*again == graph);
  }

  TEST_CASE("a hundred thousand inputs of one node, consumers of one node, and edges between few") {
    stet::graph graph;
    graph.add("hub", "Op");
    for (std::size_t i = 0; i < many; ++i) graph.add("spoke " + std::to_string(i), "Op", {"hub"});
    stet::graph_node& sink = graph.add("sink", "Op");
    for (std::size_t i = 0; i < many; ++i) sink.inputs.emplace_back("spoke " + std::to_string(i));
    for (std::size_t i = 0; i < many; ++i) sink.inputs.emplace_back("hub", 7);
    for (std::size_t i = 0; i < many; ++i) graph.outputs.push_back(port(std::to_string(i), "sink"));
    const auto linked = stet::link_graph(graph);
    REQUIRE(linked);
    if (!linked) return;
    CHECK(is_in_order(*linked));
    CHECK(linked->consumers(0).size() == 2 * many);
    const auto again = stet::graph_from_json(stet::graph_to_json(graph));
    REQUIRE(again);
    if (again) CHECK(again->outputs == graph.outputs);
  }

  TEST_CASE("names made to collide cost little more than others, and are found") {
    // All in one bucket: the upper bits of the hash are equal.
    const auto names = stet_test::colliding_names(2000, 0xFFFFF00000000000u, 0xABCDE00000000000u);
    stet::graph graph;
    for (const std::string& name : names) graph.add(name, "Op");
    const auto linked = stet::link_graph(graph);
    REQUIRE(linked);
    if (!linked) return;
    for (std::uint32_t i = 0; i < names.size(); ++i) CHECK(linked->number_of(names[i]) == i);
    graph.nodes.back().name = names[0];
    CHECK(outcome_of(stet::check_graph(graph)) == "bad_graph: node " + names[0]);
  }

} // TEST_SUITE
