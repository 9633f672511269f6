// SPDX-License-Identifier: MIT
#include <stet/formats/any.hpp>

#include <stet/writer.hpp>

#include "support/keras_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

TEST_SUITE("formats/any") {
  TEST_CASE("a native store is recognised by its content, and says what it holds") {
    const stet_test::temp_folder folder;
    const std::array<float, 4> kernel = {1, 2, 3, 4};
    stet::writer out;
    REQUIRE(out.add("kernel", {2, 2}, std::span<const float>(kernel), {{"trainable", false}}));
    out.metadata = {{"author", "me"}};
    out.state = {{"global_step", 7}};
    stet::graph graph;
    graph.nodes.push_back({"matmul", "MatMul", {}, nullptr, {{"b", "kernel"}}, nullptr});
    out.graph = stet::graph_to_json(graph);
    for (const stet::store_form form : {stet::store_form::single_file, stet::store_form::loose}) {
      const std::string path = folder.path(form == stet::store_form::loose ? "m.json" : "weights.h5");
      stet::save_options options;
      options.form = form;
      REQUIRE(out.save(path, options));
      const auto opened = stet::open_any(path);
      REQUIRE(opened);
      CHECK(opened->format->name == "stet");
      const auto found = opened->store.find("kernel");
      REQUIRE(found);
      CHECK(opened->is_in_file(*found));
      CHECK((*found->as<float>())[3] == 4.0f);
      const auto description = stet::describe_any(path, *opened);
      REQUIRE(description);
      CHECK(description->metadata["author"] == "me");
      CHECK(description->state["global_step"] == 7);
      REQUIRE(description->graphs.size() == 1);
      CHECK(description->graphs[0].nodes[0].op == "MatMul");
      REQUIRE(description->tensors.size() == 1);
      CHECK(description->tensors[0].name == "kernel");
      CHECK(description->tensors[0].attributes["trainable"] == false);
    }
  }

  TEST_CASE("models of Keras are opened as what they are, and described by the format that opened them") {
    const stet_test::temp_folder folder;
    const std::pair<std::string, const char*> table[] = {
        {stet_test::keras_archive().bytes(), "keras-v3"},
        {stet_test::probe_weights(), "hdf5"},
    };
    for (const auto& row : table) {
      const std::string path = folder.write("model.stet", row.first);
      const auto opened = stet::open_any(path);
      REQUIRE(opened);
      if (!opened) return;
      CHECK(opened->format->name == row.second);
      CHECK(opened->store.contains("probe/kernel"));
      const auto description = stet::describe_any(path, *opened);
      REQUIRE(description);
      CHECK(description->graphs.size() == (row.second == std::string("hdf5") ? 0 : 1));
    }
  }

  TEST_CASE("what is no model is said to be none") {
    const stet_test::temp_folder folder;
    const std::string text = folder.write("notes.stet", "not a model"), empty = folder.write("empty", ""),
                      json = folder.write("other.json", R"({"made_by": "stet"})");
    CHECK(stet::open_any(text).error().code() == stet::errc::unknown_format);
    CHECK(stet::open_any(empty).error().code() == stet::errc::unknown_format);
    CHECK(stet::open_any(json).error().code() == stet::errc::unknown_format);
    CHECK(stet::open_any(json).error().subject() == json);
    CHECK(stet::open_any(folder.path("absent")).error().code() == stet::errc::file_not_found);
    CHECK(stet::open_any(folder.path()).error().code() == stet::errc::not_a_regular_file);
  }

  TEST_CASE("a model that open_any did not open is not described") {
    const stet::model none;
    CHECK(stet::describe_any("x", none).error().code() == stet::errc::invalid_argument);
  }
}
