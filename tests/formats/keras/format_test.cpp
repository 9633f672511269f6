// SPDX-License-Identifier: MIT
// Tests of keras.hpp: what is recognised, and real files of every kind.
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace stet_test;
using namespace std::literals;

/// A model among the samples; said aloud if there are none.
std::optional<stet::model> keras_sample(const std::string& name) {
  const char* const folder = std::getenv("STET_SAMPLES");
  if (folder == nullptr) {
    MESSAGE("skipped: STET_SAMPLES is not set");
    return std::nullopt;
  }
  auto opened = stet::compiled::open_any(std::string(folder) + "/" + name);
  CAPTURE(name);
  REQUIRE(outcome(opened) == "ok");
  if (!opened) return std::nullopt;
  return std::move(*opened);
}
stet::model_description description_of(const stet::model& opened) {
  const auto made = stet::describe(opened);
  REQUIRE(outcome(made) == "ok");
  return made ? *made : stet::model_description();
}

std::vector<std::byte> stored_bytes(const stet::model& in, std::string_view name) {
  const auto found = in.store.find(name);
  CAPTURE(name);
  REQUIRE(outcome(found) == "ok");
  if (!found) return {};
  std::vector<std::byte> bytes(static_cast<std::size_t>(found->size_bytes()));
  CHECK(found->read(0, bytes));
  return bytes;
}

} // namespace

TEST_SUITE("keras") {
  TEST_CASE("is recognised by its content, whatever it is called") {
    const temp_folder folder;
    folder.write("a.weights.h5", probe_weights());
    made_archive large = keras_archive(), unnamed = keras_archive();
    large.members[1] = {"config.json", sequential_config("probe") + std::string(9000, ' ')};
    for (int i = 0; i < 200; ++i)
      large.members.emplace_back("assets/layers/text_vectorization/" + std::to_string(i), "word");
    unnamed.members = {unnamed.members[2]};
    const std::pair<std::string, const char*> table[] = {
        {keras_archive().bytes(), "keras-v3"},
        {large.bytes(), "keras-v3"}, // the weights are called so nowhere near either end
        {unnamed.bytes(), "keras-v3"},
        {probe_weights(), "hdf5"},
        {std::string(2048, 'u') + probe_weights(), "hdf5"},
        {R"(  {"metadata": {}, "weight_map": {"/layers/dense/vars": ["a.weights.h5"]}})", "keras-v3"},
    };
    for (const auto& row : table) {
      const auto opened = stet::compiled::open_any(folder.write("m.bin", row.first));
      REQUIRE(outcome(opened) == "ok");
      if (opened) CHECK(opened->format->name == row.second);
    }
    const std::pair<std::string, std::string_view> others[] = {
        {zip_of({{"archive/data.pkl", "x"}, {"archive/data/0", "y"}}), "malformed"}, // of PyTorch
        {"\x89HDF\r\n\x1a", "unknown_format"},
        {std::string(8000, 'u') + probe_weights(), "unknown_format"}, // no superblock is looked for there
        {R"({"metadata": {}, "weight_map": {"kernel": "model-00001-of-00002.safetensors"}})", "missing_part"},
        {zip_of({{"kernel.npy", "x"}}), "unknown_format"}, // an npz without an array
        {made_archive{}.bytes(), "ok"},                    // an npz without members
    };
    for (const auto& [bytes, expected] : others) {
      const auto opened = stet::compiled::open_any(folder.write("m.keras", bytes));
      CHECK(outcome(opened) == expected);
      if (opened) CHECK(opened->format->name == "npz");
    }
  }

  TEST_CASE("what is restored by layer and variable is what the path holds") {
    const temp_folder folder;
    const auto opened = stet::compiled::open_any(folder.write("m.keras", keras_archive().bytes()));
    REQUIRE(opened);
    if (!opened) return;
    const auto kernel = opened->store.find("probe/kernel");
    REQUIRE(kernel);
    std::vector<float> values(6); // in an archive, nothing need be aligned
    CHECK(kernel->copy_to(std::span(values)));
    CHECK(stored_bytes(*opened, "/layers/dense/vars/0") ==
          std::vector(std::as_bytes(std::span(values)).begin(), std::as_bytes(std::span(values)).end()));
    CHECK(opened->store.original_of(*kernel)->name() == "/layers/dense/vars/0");
    CHECK(!opened->store.find("probe/other"));
  }

  TEST_CASE("one network, saved in every way Keras has, has the same weights") {
    const auto archive = keras_sample("made/keras-v3/seed_example/my_model.keras");
    if (!archive) return;
    const auto weights = keras_sample("made/keras-v3/seed_example/my_model.weights.h5"),
               legacy = keras_sample("made/keras-v3/seed_example/my_model.h5");
    std::size_t count = 0;
    for (const stet::tensor each : archive->store) {
      if (archive->store.original_of(each)) {
        ++count;
        CHECK(stored_bytes(*weights, each.name()) == stored_bytes(*archive, each.name()));
        CHECK(stored_bytes(*legacy, each.name()) == stored_bytes(*archive, each.name()));
      }
    }
    CHECK(count >= 4);
    const stet::model_description described = description_of(*archive), by_legacy = description_of(*legacy);
    REQUIRE(described.graphs.size() == 1);
    REQUIRE(by_legacy.graphs.size() == 1);
    CHECK(described.graphs[0].nodes.size() == by_legacy.graphs[0].nodes.size());
    CHECK(described.state["global_step"] == by_legacy.state["global_step"]);
    CHECK(described.state["optimizer"]["learning_rate"] == by_legacy.state["optimizer"]["learning_rate"]);
    CHECK(described.graphs[0].nodes.back().variables.size() == 2);
  }

  TEST_CASE("every layer's variables have names, and the graph has them") {
    const std::string name = "made/keras-v3/layer_zoo/zoo.keras";
    const auto opened = keras_sample(name);
    if (!opened) return;
    for (const char* const each :
         {"conv_a/kernel", "batch_normalization/moving_variance", "separable_conv2d/pointwise_kernel",
          "embedding/embeddings", "lstm/lstm_cell/recurrent_kernel", "inner_functional/dense_3/bias",
          "block/sequential/dense_1/kernel"})
      CHECK(opened->store.contains(each));
    const stet::model_description described = description_of(*opened);
    REQUIRE(described.graphs.size() == 1);
    CHECK(described.graphs[0].functions.size() == 3);
    for (const stet::graph_node& node : described.graphs[0].nodes) {
      for (const auto& variable : node.variables) CHECK(opened->store.contains(variable.tensor));
      if (node.op == "BatchNormalization") CHECK(node.variables.size() == 4);
      if (node.op == "Embedding") CHECK(node.variables.size() == 1);
    }
    // The same archive, its members elsewhere.
    const char* const folder = std::getenv("STET_SAMPLES");
    const auto moved = stet::compiled::open_any(std::string(folder) + "/made/keras-v3/layer_zoo/zoo_zipped_off.keras");
    REQUIRE(outcome(moved) == "ok");
    CHECK(stored_bytes(*moved, "conv_a/kernel") == stored_bytes(*opened, "conv_a/kernel"));
  }

  TEST_CASE("variables of every policy are stored as the policy says") {
    const std::pair<const char*, stet::dtype> table[] = {
        {"bfloat16", stet::dtype::bfloat16},      {"float16", stet::dtype::float16}, {"float64", stet::dtype::float64},
        {"mixed_bfloat16", stet::dtype::float32}, {"quant_int8", stet::dtype::int8}, {"quant_int4", stet::dtype::int8},
        {"quant_float8", stet::dtype::float32},
    };
    for (const auto& row : table) {
      const auto opened = keras_sample("made/keras-v3/dtype_policies/"s + row.first + ".keras");
      if (!opened) return;
      CAPTURE(row.first);
      const auto kernel = opened->store.find("/layers/dense/vars/0");
      REQUIRE(kernel);
      CHECK(kernel->dtype() == row.second);
      CHECK(opened->is_in_file(*kernel));
      std::size_t kernels = 0;
      for (const stet::tensor each : opened->store) kernels += each.name().ends_with("/kernel");
      CHECK(kernels == 2);
    }
  }

  TEST_CASE("Keras 2 is read in all its forms") {
    const auto archive = keras_sample("made/keras-v3/keras2_15/keras2.keras");
    if (!archive) return;
    const auto legacy = keras_sample("made/hdf5/keras2_h5/model.h5"),
               weights = keras_sample("made/hdf5/keras2_h5/weights_only.h5");
    for (const char* const name :
         {"dense_6/kernel", "dense_6/bias", "batch_normalization_2/moving_mean", "dense_8/bias"}) {
      CHECK(stored_bytes(*archive, name) == stored_bytes(*legacy, name));
      CHECK(stored_bytes(*weights, name) == stored_bytes(*legacy, name));
    }
    const auto rnn = keras_sample("made/hdf5/keras2_h5/rnn.h5");
    std::size_t named = 0;
    for (const stet::tensor each : rnn->store) named += static_cast<bool>(rnn->store.original_of(each));
    CHECK(named >= 4);
    const stet::model_description described = description_of(*legacy);
    CHECK(described.metadata["keras"]["keras_version"] == "2.15.0");
    REQUIRE(described.graphs.size() == 1);
    CHECK(described.graphs[0].nodes.back().variables.size() == 2);
  }

  TEST_CASE("shards are one model") {
    const std::string name = "made/keras-v3/sharded_weights/big.weights.json";
    const auto opened = keras_sample(name);
    if (!opened) return;
    CHECK(opened->file_count == 2);
    const auto kernel =
        opened->store.find("dense_24/kernel"); // its name is in the first shard, its bytes in the second
    REQUIRE(kernel);
    CHECK(opened->store.index().part(kernel->entry().part()).path == "big_00001.weights.h5");
    CHECK(description_of(*opened).metadata["keras"]["total_size"] == 376012.0);
  }
}
