// SPDX-License-Identifier: MIT
// Tests of build_object_graph.hpp: keys as TensorFlow makes them, and the graph that leads to them.
#include "support/sorted_tables.hpp"

#include <stet/formats/tensorflow/detail/build_object_graph.hpp>

#include <doctest/doctest.h>

namespace {

/// The node that these edges lead to from the root.
const stet::detail::object_graph::node* follow(const stet::detail::object_graph& graph,
                                               std::initializer_list<const char*> path) {
  std::size_t at = 0;
  for (const char* const name : path) {
    std::size_t next = 0;
    for (const auto& child : graph.nodes[at].children) {
      if (child.name == name) next = static_cast<std::size_t>(child.node);
    }
    if (next == 0) return nullptr;
    at = next;
  }
  return &graph.nodes[at];
}

} // namespace

TEST_SUITE("tensorflow/build_object_graph") {
  TEST_CASE("edges are escaped as TensorFlow does") {
    CHECK(stet::detail::escape_edge("a.b/c") == "a..b.Sc");
    CHECK(stet::detail::escape_edge(".") == "..");
    for (const char* const name : {"a.b/c", ".", "..", "/", "./S", "plain", "", ".S", "a."})
      CHECK(stet::detail::unescape_edge(stet::detail::escape_edge(name)) == name);
    CHECK(stet::detail::unescape_edge(".OPTIMIZER_SLOT") == ".OPTIMIZER_SLOT");
  }

  TEST_CASE("paths become nodes, and keys") {
    stet::detail::object_graph_builder made;
    CHECK(made.add("net/w", "dense/kernel") == "net/w/.ATTRIBUTES/VARIABLE_VALUE");
    CHECK(made.add("net/dec.out", "net/dec.out") == "net/dec..out/.ATTRIBUTES/VARIABLE_VALUE");
    CHECK(made.add("net", "net") == "net/.ATTRIBUTES/VARIABLE_VALUE"); // a variable and a path to others
    CHECK(made.add("enc.Sin/a..b/.ATTRIBUTES/VARIABLE_VALUE", "x") == "enc.Sin/a..b/.ATTRIBUTES/VARIABLE_VALUE");
    const stet_test::exact_text bytes(made.finish());
    const auto graph = stet::detail::parse_object_graph(bytes.bytes());
    REQUIRE(graph);
    CHECK(graph->nodes.size() == 6);
    const auto* const w = follow(*graph, {"net", "w"});
    REQUIRE(w != nullptr);
    REQUIRE(w->attributes.size() == 1);
    CHECK(w->attributes[0].name == "VARIABLE_VALUE");
    CHECK(w->attributes[0].full_name == "dense/kernel");
    CHECK(w->attributes[0].key == "net/w/.ATTRIBUTES/VARIABLE_VALUE");
    CHECK(follow(*graph, {"net", "dec.out"}) != nullptr);
    CHECK(follow(*graph, {"enc/in", "a.b"}) != nullptr);
    CHECK(follow(*graph, {"net"})->attributes.size() == 1);
    CHECK(graph->nodes[0].attributes.empty());
  }
}
