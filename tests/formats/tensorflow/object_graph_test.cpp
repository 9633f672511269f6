// SPDX-License-Identifier: MIT
// Tests of object_graph.hpp: nodes, names and slots, and graphs that name nodes that are not there.
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/tensorflow/detail/object_graph.hpp>

#include <doctest/doctest.h>

namespace {

using namespace std::literals;
using namespace stet_test;

/// The root, a variable "w", an optimizer, and its slot "m" for the variable; the root is a child of the optimizer again.
std::string made_graph(std::int64_t slot_of = 1, std::int64_t slot_node = 3, std::int64_t child = 1) {
  protobuf_writer out;
  out.message(1, [&](protobuf_writer& root) {
    root.message(1, [&](protobuf_writer& edge) { edge.integer(1, child).bytes(2, "w"); });
    root.message(1, [](protobuf_writer& edge) { edge.integer(1, 2).bytes(2, "optimizer"); });
  });
  out.message(1, [](protobuf_writer& w) {
    w.message(2, [](protobuf_writer& value) {
      value.bytes(1, "VARIABLE_VALUE").bytes(2, "dense/kernel").bytes(3, "w/.ATTRIBUTES/VARIABLE_VALUE").varint(4, 1);
    });
    w.bytes(5, "\x08\x01");
  });
  out.message(1, [&](protobuf_writer& optimizer) {
    optimizer.message(1, [](protobuf_writer& edge) { edge.bytes(2, "back"); });
    optimizer.message(3, [&](protobuf_writer& slot) { slot.integer(1, slot_of).bytes(2, "m").integer(3, slot_node); });
  });
  out.message(1, [](protobuf_writer& m) {
    m.message(2, [](protobuf_writer& value) {
      value.bytes(1, "VARIABLE_VALUE").bytes(3, "w/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE");
    });
  });
  return out.take();
}

std::string result_of(std::string_view text) {
  return outcome(stet::detail::parse_object_graph(exact_text(text).bytes()));
}

} // namespace

TEST_SUITE("tensorflow/object_graph") {
  TEST_CASE("reads nodes, names and slots; cycles are no more than numbers") {
    const exact_text block(made_graph());
    const auto graph = stet::detail::parse_object_graph(block.bytes());
    REQUIRE(graph);
    REQUIRE(graph->nodes.size() == 4);
    REQUIRE(graph->nodes[0].children.size() == 2);
    CHECK(graph->nodes[0].children[1].name == "optimizer");
    CHECK(graph->nodes[0].children[1].node == 2);
    CHECK(graph->nodes[2].children[0].node == 0);
    REQUIRE(graph->nodes[1].attributes.size() == 1);
    CHECK(graph->nodes[1].attributes[0].full_name == "dense/kernel");
    CHECK(graph->nodes[1].attributes[0].key == "w/.ATTRIBUTES/VARIABLE_VALUE");
    REQUIRE(graph->nodes[2].slots.size() == 1);
    CHECK(graph->nodes[2].slots[0].name == "m");
    CHECK(graph->nodes[2].slots[0].variable == 1);
    CHECK(graph->nodes[2].slots[0].node == 3);
    CHECK(result_of("") == "ok");
  }

  TEST_CASE("visits attributes alone") {
    const exact_text block(made_graph());
    std::vector<std::string> keys;
    CHECK(stet::detail::for_each_object_attribute(block.bytes(),
                                                  [&](const auto& attribute) { keys.emplace_back(attribute.key); }));
    CHECK(keys == std::vector<std::string>{"w/.ATTRIBUTES/VARIABLE_VALUE",
                                           "w/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE"});
    CHECK(stet::detail::without_variable_suffix(keys[0]) == "w");
    CHECK(stet::detail::without_variable_suffix("save_counter") == "save_counter");
  }

  TEST_CASE("refuses nodes that are not there") {
    CHECK(result_of(made_graph(1, 3, 3)) == "ok");
    CHECK(result_of(made_graph(1, 3, 4)) == "bad_graph");
    CHECK(result_of(made_graph(1, 3, -1)) == "bad_graph");
    CHECK(result_of(made_graph(4, 3)) == "bad_graph");
    CHECK(result_of(made_graph(1, -1)) == "bad_graph");
    CHECK(result_of(made_graph(1, INT32_MAX)) == "bad_graph");
  }

  TEST_CASE("every truncation and flip of a bit gives a graph or an error") {
    const std::string good = made_graph();
    for (std::size_t size = 0; size < good.size(); ++size) {
      const std::string result = result_of(std::string_view(good).substr(0, size));
      CHECK((result == "ok" || result == "bad_protobuf" || result == "bad_graph"));
    }
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string damaged = good;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      const std::string result = result_of(damaged);
      CHECK((result == "ok" || result == "bad_protobuf" || result == "bad_graph"));
      const exact_text block(damaged);
      (void)stet::detail::for_each_object_attribute(block.bytes(), [](const auto&) {});
    }
  }
}
