// SPDX-License-Identifier: MIT
// Tests of describe.hpp: the notes of variables take time and memory in proportion to the object graph.
#include "support/allocations.hpp"
#include "support/outcome.hpp"

#include <stet/formats/tensorflow/describe.hpp>
#include <stet/wire/protobuf_writer.hpp>

#include <doctest/doctest.h>

#include <span>
#include <string>

namespace {

using stet::detail::protobuf_writer;

/// A graph of a node with attributes of no account, the last of which is its key, and a node with slots that all name it.
std::string graph_of_slots(int attribute_count, const std::string& key, int slot_count) {
  protobuf_writer graph;
  graph.message(1, [&](protobuf_writer& node) {
    for (int i = 0; i < attribute_count; ++i)
      node.message(2, [](protobuf_writer& attribute) { attribute.bytes(1, "a"); });
    node.message(2, [&](protobuf_writer& attribute) { attribute.bytes(1, "VARIABLE_VALUE").bytes(3, key); });
  });
  graph.message(1, [&](protobuf_writer& node) {
    for (int i = 0; i < slot_count; ++i)
      node.message(3, [&](protobuf_writer& slot) { slot.bytes(2, std::to_string(i)); });
  });
  return graph.take();
}

} // namespace

TEST_SUITE("tensorflow/describe") {
  TEST_CASE("slots are noted with the keys of their nodes, however many attributes these have") {
    const std::string graph = graph_of_slots(20000, "k", 20000);
    const auto notes = stet::detail::notes_of_object_graph(std::as_bytes(std::span(graph)));
    REQUIRE(notes);
    REQUIRE(notes->size() == 1);
    CHECK((*notes)[0].name == "k");
    const stet::json_value& slots = (*notes)[0].attributes["tensorflow"]["slots"];
    CHECK(slots.size() == 20000);
    CHECK(slots.items().begin().value() == "k");
  }

  TEST_CASE("one long key behind many slots does not take memory out of proportion") {
    const std::string graph = graph_of_slots(0, std::string(60000, 'k'), 5000);
    const stet_test::allocations before;
    const auto notes = stet::detail::notes_of_object_graph(std::as_bytes(std::span(graph)));
    CHECK(stet_test::outcome(notes) == "too_large");
    CHECK(before.bytes() < 64 * graph.size());
  }
}
