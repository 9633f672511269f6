// SPDX-License-Identifier: MIT
// Tests of keras/describe.hpp: graph, state and versions of files of Keras, and descriptions that are none.
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/keras/format.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

using namespace stet_test;
using namespace std::literals;

stet::result<stet::model_description> describe(const stet::format& as, const temp_folder& folder,
                                               const std::string& bytes, stet::inflate_function inflate = nullptr) {
  const std::string path = folder.write("m", bytes);
  stet::open_options options;
  options.inflate = inflate;
  const auto opened = stet::open_as(as, path, options);
  CHECK(outcome(opened) == "ok");
  if (!opened) return opened.error();
  return stet::describe(*opened);
}

/// "ok", or "CODE SUBJECT", of an archive with this configuration.
std::string verdict_on(const std::string& member, const std::string& text) {
  const temp_folder folder;
  made_archive archive = keras_archive();
  archive.members[member == "config.json" ? 1 : 0] = {member, text};
  const auto described = describe(stet::keras_format, folder, archive.bytes());
  return described ? "ok" : outcome(described) + " " + std::string(described.error().subject());
}

} // namespace

TEST_SUITE("keras/describe") {
  TEST_CASE("an archive tells graph, state and versions") {
    made_weights weights;
    weights.add_object("layers/dense", "probe", {{2, 3}, {3}});
    weights.attribute("optimizer/vars", "name", "adam");
    weights.add_scalar("optimizer/vars/0", stet::dtype::int64, std::int64_t{12});
    weights.add_scalar("optimizer/vars/1", stet::dtype::float32, 0.25f);
    weights.add("optimizer/vars/2", {2, 3});
    const temp_folder folder;
    const auto described = describe(stet::keras_format, folder, keras_archive(weights.bytes()).bytes());
    REQUIRE(outcome(described) == "ok");
    if (!described) return;
    REQUIRE(described->graphs.size() == 1);
    const stet::graph& graph = described->graphs[0];
    REQUIRE(graph.nodes.size() == 2);
    CHECK(graph.nodes[0].op == "InputLayer");
    CHECK(graph.nodes[1].name == "probe");
    CHECK(graph.nodes[1].op == "Dense");
    REQUIRE(graph.nodes[1].variables.size() == 2);
    REQUIRE(graph.nodes[1].variable("kernel") != nullptr);
    CHECK(*graph.nodes[1].variable("kernel") == "/layers/dense/vars/0");
    CHECK(described->state["global_step"] == 12);
    CHECK(described->state["optimizer"]["learning_rate"] == 0.25);
    CHECK(described->state["optimizer"]["variables"] ==
          stet::json_value{"/optimizer/vars/0", "/optimizer/vars/1", "/optimizer/vars/2"});
    CHECK(described->metadata["keras"]["keras_version"] == "3.15.1");
  }

  TEST_CASE("layers are known by their names, not by their groups' paths") {
    made_weights weights;
    weights.add_object("layers/dense", "first", {{2, 3}});
    weights.add_object("layers/dense_1", "dense", {{3, 3}});
    made_archive archive = keras_archive(weights.bytes());
    archive.members[1] = {
        "config.json",
        R"({"class_name": "Sequential", "config": {"name": "m", "layers": [)"
        R"({"class_name": "Dense", "config": {"name": "first"}}, {"class_name": "Dense", "config": {"name": "dense"}}]}})"};
    const temp_folder folder;
    const auto described = describe(stet::keras_format, folder, archive.bytes());
    REQUIRE(outcome(described) == "ok");
    if (!described) return;
    const auto& nodes = described->graphs[0].nodes;
    REQUIRE(nodes.size() == 3); // and the input that is not said
    REQUIRE(nodes[1].variables.size() == 1);
    CHECK(nodes[1].variables[0].tensor == "/layers/dense/vars/0");
    REQUIRE(nodes[2].variables.size() == 1);
    CHECK(nodes[2].variables[0].tensor == "/layers/dense_1/vars/0");
  }

  TEST_CASE("of an optimizer that scales losses, the inner one counts") {
    made_weights weights;
    weights.add_scalar("optimizer/vars/0", stet::dtype::int64, std::int64_t{0});
    weights.add_scalar("optimizer/vars/1", stet::dtype::float32, 0.0f);
    weights.add_scalar("optimizer/inner_optimizer/vars/0", stet::dtype::int64, std::int64_t{5});
    weights.add_scalar("optimizer/inner_optimizer/vars/1", stet::dtype::float32, 0.5f);
    weights.group("layers");
    const temp_folder folder;
    auto described = describe(stet::keras_h5_format, folder, weights.bytes());
    REQUIRE(outcome(described) == "ok");
    CHECK(described->state["global_step"] == 5);
    CHECK(described->state["optimizer"]["learning_rate"] == 0.5);

    made_weights legacy;
    legacy.attribute("", "keras_version", "3.15.1");
    legacy.add_scalar("optimizer_weights/adam/iteration", stet::dtype::int64, std::int64_t{6});
    legacy.add_scalar("optimizer_weights/adam/learning_rate", stet::dtype::float32, 0.5f);
    legacy.add_scalar("optimizer_weights/loss_scale_optimizer/iteration", stet::dtype::int64, std::int64_t{0});
    legacy.add_scalar("optimizer_weights/loss_scale_optimizer/learning_rate", stet::dtype::float32, 0.0f);
    described = describe(stet::keras_h5_format, folder, legacy.bytes());
    REQUIRE(outcome(described) == "ok");
    CHECK(described->state["global_step"] == 6);
    CHECK(described->state["optimizer"]["learning_rate"] == 0.5);
    CHECK(described->state["optimizer"]["variables"].size() == 4);
  }

  TEST_CASE("the optimizer's variables of a legacy file are in the order of its list, if that is one of them") {
    const auto variables_in = [](const std::vector<std::string>& first, const std::vector<std::string>& second) {
      made_weights weights;
      weights.attribute("", "keras_version", "2.15.0");
      weights.attribute("optimizer_weights", "weight_names0", first);
      weights.attribute("optimizer_weights", "weight_names1", second);
      for (const char* const name : {"a:0", "b:0", "iteration:0"}) weights.add("optimizer_weights/"s + name, {2});
      const temp_folder folder;
      const auto described = describe(stet::keras_h5_format, folder, weights.bytes());
      CHECK(outcome(described) == "ok");
      std::string made;
      if (described) {
        for (const stet::json_value& each : described->state["optimizer"]["variables"])
          made += each.get_ref<const std::string&>().substr(19);
      }
      return made;
    };
    CHECK(variables_in({"iteration:0", "b:0"}, {"a:0"}) == "iteration:0b:0a:0");
    CHECK(variables_in({"iteration:0", "b:0"}, {}) == "a:0b:0iteration:0");
    CHECK(variables_in({"iteration:0", "b:0"}, {"b:0"}) == "a:0b:0iteration:0");
    CHECK(variables_in({"iteration:0", "b:0"}, {"a:0", "a:0"}) == "a:0b:0iteration:0");
    CHECK(variables_in({"iteration:0", "b:0"}, {"../a:0"}) == "a:0b:0iteration:0");
  }

  TEST_CASE("Keras 2.15 keeps no learning rate, and a weight of one element is none") {
    made_weights weights;
    weights.add_object("layers/dense", "", {{1, 1}});
    weights.add_scalar("optimizer/vars/0", stet::dtype::int64, std::int64_t{3});
    weights.add("optimizer/vars/1", {1, 1});
    const temp_folder folder;
    const auto described = describe(stet::keras_h5_format, folder, weights.bytes());
    REQUIRE(outcome(described) == "ok");
    CHECK(described->state["global_step"] == 3);
    CHECK(!described->state["optimizer"].contains("learning_rate"));
  }

  TEST_CASE("a whole model in one HDF5 file tells the same by its attributes") {
    made_weights weights;
    weights.attribute("", "keras_version", "2.15.0");
    weights.attribute("", "backend", "tensorflow");
    weights.attribute("", "model_config", sequential_config("probe"));
    weights.attribute("", "training_config", R"({"loss": "mse"})");
    weights.attribute("model_weights", "layer_names", std::vector{"probe"s});
    weights.attribute("model_weights/probe", "weight_names", std::vector{"probe/kernel:0"s});
    weights.add("model_weights/probe/probe/kernel:0", {2, 3});
    weights.add_scalar("optimizer_weights/iteration:0", stet::dtype::int64, std::int64_t{9});
    const temp_folder folder;
    const auto described = describe(stet::keras_h5_format, folder, weights.bytes());
    REQUIRE(outcome(described) == "ok");
    if (!described) return;
    REQUIRE(described->graphs.size() == 1);
    REQUIRE(described->graphs[0].nodes.size() == 2);
    CHECK(*described->graphs[0].nodes[1].variable("kernel") == "/model_weights/probe/probe/kernel:0");
    CHECK(described->state["global_step"] == 9);
    CHECK(described->metadata["keras"] == stet::json_value{{"keras_version", "2.15.0"},
                                                           {"backend", "tensorflow"},
                                                           {"training_config", {{"loss", "mse"}}},
                                                           {"weight_names", {{"probe", {"probe/kernel:0"}}}}});
  }

  TEST_CASE("an HDF5 file that is not of Keras says nothing") {
    made_weights weights;
    weights.add("group/data", {2});
    weights.attribute("", "backend", "none");
    const temp_folder folder;
    const auto described = describe(stet::hdf5_format, folder, weights.bytes());
    REQUIRE(outcome(described) == "ok");
    CHECK(*described == stet::model_description());
  }

  TEST_CASE("attributes that are no descriptions are refused, the attribute the subject") {
    const auto verdict = [](const char* name, const std::string& text, bool is_list = false) {
      made_weights weights;
      weights.group("layers");
      if (is_list) {
        weights.attribute("", name, std::vector{text, text});
      } else {
        weights.attribute("", name, text);
      }
      const temp_folder folder;
      const auto described = describe(stet::keras_h5_format, folder, weights.bytes());
      return described ? "ok"s : outcome(described) + " " + std::string(described.error().subject());
    };
    CHECK(verdict("model_config", "{") == "bad_json model_config");
    CHECK(verdict("model_config", std::string(100000, '[')) == "too_deep model_config");
    CHECK(verdict("model_config", "[]") == "wrong_type model_config");
    CHECK(verdict("model_config", "7") == "wrong_type model_config");
    CHECK(verdict("model_config", "{}", true) == "wrong_type model_config");
    CHECK(verdict("keras_version", "\xff") == "wrong_type keras_version");
    CHECK(verdict("backend", "a\0b"s) == "wrong_type backend");
    CHECK(verdict("training_config", "no JSON") == "ok"); // kept as the text it is
  }

  TEST_CASE("members that are no descriptions are refused, the member the subject") {
    CHECK(verdict_on("config.json", "{") == "bad_json config.json");
    CHECK(verdict_on("config.json", "") == "bad_json config.json");
    CHECK(verdict_on("config.json", std::string(100000, '[') + std::string(100000, ']')) == "too_deep config.json");
    CHECK(verdict_on("config.json", "[]") == "wrong_type config.json");
    CHECK(verdict_on("config.json", "\"x\"") == "wrong_type config.json");
    CHECK(verdict_on("config.json", R"({"class_name": "a", "class_name": "b"})").substr(0, 13) == "duplicate_key");
    CHECK(verdict_on("metadata.json", "[]") == "wrong_type metadata.json");
    CHECK(verdict_on("metadata.json", "{") == "bad_json metadata.json");
    CHECK(verdict_on("metadata.json", R"({"config": 1})") == "ok");
  }

  TEST_CASE("a configuration that lists no layers makes no graph, and is kept") {
    const temp_folder folder;
    made_archive archive = keras_archive();
    archive.members[1] = {"config.json", R"({"class_name": "MyModel", "config": {"units": 3}})"};
    const auto described = describe(stet::keras_format, folder, archive.bytes());
    REQUIRE(outcome(described) == "ok");
    if (!described) return;
    CHECK(described->graphs.empty());
    CHECK(described->metadata["keras"]["config"]["class_name"] == "MyModel");
    archive.members[0] = {"metadata.json", R"({"config": 1})"};
    CHECK(outcome(describe(stet::keras_format, folder, archive.bytes())) == "duplicate_key");
    archive.members.erase(archive.members.begin(), archive.members.begin() + 2);
    const auto bare = describe(stet::keras_format, folder, archive.bytes());
    REQUIRE(outcome(bare) == "ok");
    CHECK(*bare == stet::model_description());
  }

  TEST_CASE("descriptions are checked against the archive, deflated or not") {
    const temp_folder folder;
    made_archive archive = keras_archive();
    archive.members[1].local.crc32 ^= 1;
    archive.members[1].central.crc32 ^= 1;
    CHECK(outcome(describe(stet::keras_format, folder, archive.bytes())) == "bad_archive");
    archive = keras_archive();
    archive.members[1] = deflated_member("config.json", sequential_config("probe"));
    CHECK(outcome(describe(stet::keras_format, folder, archive.bytes())) == "compressed");
    const auto described = describe(stet::keras_format, folder, archive.bytes(), inflate_stored);
    REQUIRE(outcome(described) == "ok");
    CHECK(described->graphs.size() == 1);
    // A bomb of a description is not decompressed.
    archive.members[1].local.size = archive.members[1].central.size = 65u << 20;
    CHECK(outcome(describe(stet::keras_format, folder, archive.bytes(), inflate_stored)) == "too_large");
  }

  TEST_CASE("the index of shards says what it says of itself") {
    const temp_folder folder;
    folder.write("a.weights.h5", probe_weights());
    const auto described =
        describe(stet::keras_format, folder,
                 R"({"metadata": {"total_size": 36.0}, "weight_map": {"/layers/dense/vars": "a.weights.h5"}})");
    REQUIRE(outcome(described) == "ok");
    CHECK(described->graphs.empty());
    CHECK(described->metadata["keras"]["total_size"] == 36.0);
  }
}
