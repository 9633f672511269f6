// SPDX-License-Identifier: MIT
// Tests of keras/names.hpp: which variable is called what, and that what is not sure keeps its number.
#include "support/allocations.hpp"
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/keras/format.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace stet_test;
using namespace std::literals;
using shapes = std::initializer_list<std::vector<std::uint64_t>>;

/// The second names of a model, "NAME = PATH", sorted.
std::vector<std::string> second_names(const stet::model& in) {
  std::vector<std::string> found;
  for (const stet::tensor each : in.store) {
    if (const auto original = in.store.original_of(each))
      found.push_back(std::string(each.name()) + " = " + std::string(original->name()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> names_in(made_weights& weights) {
  const temp_folder folder;
  const std::string path = folder.write("m.weights.h5", weights.bytes());
  stet::format_probe probe(path);
  const bool is_keras = stet::keras_h5_format.recognises(probe);
  const auto opened = stet::open_as(is_keras ? stet::keras_h5_format : stet::hdf5_format, probe);
  CHECK(outcome(opened) == "ok");
  return opened ? second_names(*opened) : std::vector<std::string>();
}

std::vector<std::string> names_in(const made_archive& archive) {
  const temp_folder folder;
  const auto opened = stet::open_as(stet::keras_format, folder.write("m.keras", archive.bytes()), {});
  CHECK(outcome(opened) == "ok");
  return opened ? second_names(*opened) : std::vector<std::string>();
}

/// What one object's variables are called behind its own name.
std::string roles(const std::string& group, shapes variables, stet::dtype first = stet::dtype::float32,
                  const std::string& name = "own") {
  made_weights weights;
  weights.add_object("layers/" + group, name, variables, first);
  std::string made;
  for (std::size_t i = 0; i < variables.size(); ++i) {
    for (const std::string& each : names_in(weights)) {
      const std::string end = " = /layers/" + group + "/vars/" + std::to_string(i);
      if (each.ends_with(end))
        made += (made.empty() ? "" : " ") + each.substr(0, each.size() - end.size()).substr(name.size() + 1);
    }
  }
  return made;
}

} // namespace

TEST_SUITE("keras/names") {
  TEST_CASE("groups are called as Keras calls them") {
    const std::pair<const char*, const char*> table[] = {
        {"Dense", "dense"},
        {"Conv2DTranspose", "conv2d_transpose"},
        {"LSTM", "lstm"},
        {"GRUCell", "gru_cell"},
        {"PReLU", "p_re_lu"},
        {"MultiHeadAttention", "multi_head_attention"},
        {"TFOpLambda", "tf_op_lambda"},
        {"SeparableConv2D", "separable_conv2d"},
        {"MaxPooling2D", "max_pooling2d"},
        {"My_Layer", "my__layer"},
        {"a b>c", "abc"},
        {"", ""},
    };
    for (const auto& row : table) CHECK(stet::detail::keras_group_of_class(row.first) == row.second);
    CHECK(stet::detail::without_number("dense_12") == "dense");
    CHECK(stet::detail::without_number("conv2d") == "conv2d");
    CHECK(stet::detail::without_number("dense") == "dense");
    CHECK(stet::detail::without_number("12") == "12");
    CHECK(stet::detail::without_number("dense_") == "dense_");
    CHECK(stet::detail::without_number("_query_dense") == "query_dense");
    CHECK(stet::detail::without_number("__").empty());
    CHECK(stet::detail::without_number("").empty());
  }

  TEST_CASE("variables are called by their role where class, count, ranks and dtypes leave no doubt") {
    constexpr stet::dtype int8 = stet::dtype::int8;
    CHECK(roles("dense", {{2, 3}, {3}}) == "kernel bias");
    CHECK(roles("dense_7", {{2, 3}}) == "kernel");
    CHECK(roles("conv3d", {{1, 1, 1, 2, 3}, {3}}) == "kernel bias");
    CHECK(roles("einsum_dense", {{2, 3, 4}, {3, 4}}) == "kernel bias");
    CHECK(roles("separable_conv2d", {{3, 3, 4, 1}, {1, 1, 4, 3}, {3}}) == "depthwise_kernel pointwise_kernel bias");
    CHECK(roles("separable_conv1d", {{3, 4, 1}, {1, 4, 3}}) == "depthwise_kernel pointwise_kernel");
    CHECK(roles("batch_normalization", {{4}, {4}, {4}, {4}}) == "gamma beta moving_mean moving_variance");
    CHECK(roles("batch_normalization", {{4}, {4}}) == "moving_mean moving_variance");
    CHECK(roles("layer_normalization_2", {{4}, {4}}) == "gamma beta");
    CHECK(roles("embedding", {{9, 4}}) == "embeddings");
    CHECK(roles("dense", {{2, 3}, {3}, {3}}, int8) == "kernel bias kernel_scale");
    CHECK(roles("dense", {{2, 3}, {3}}, int8) == "kernel kernel_scale");
    CHECK(roles("dense", {{2, 3}, {3}, {1, 3}, {1, 3}, {3}}, int8) == "kernel bias kernel_scale kernel_zero g_idx");
    CHECK(roles("embedding", {{9, 4}, {9}}, int8) == "embeddings embeddings_scale");
    CHECK(roles("dense", {{2, 3}, {3}, {}, {9}, {}, {9}, {}, {9}}) ==
          "kernel bias inputs_scale inputs_amax_history kernel_scale kernel_amax_history outputs_grad_scale "
          "outputs_grad_amax_history");
  }

  TEST_CASE("what leaves a doubt keeps its number") {
    CHECK(roles("batch_normalization", {{4}, {4}, {4}}) == "0 1 2"); // of gamma and beta, one
    CHECK(roles("layer_normalization", {{4}}) == "0");
    CHECK(roles("dense", {{3}, {3}}) == "0 1"); // no kernel is a vector
    CHECK(roles("dense", {{2, 3}, {3}, {3}}) == "0 1 2");
    CHECK(roles("embedding", {{9, 4}, {9}}) == "0 1");
    CHECK(roles("my_layer", {{2, 3}, {3}}) == "0 1");
    CHECK(roles("projection", {{2, 3}, {3}}, stet::dtype::float32, "to_logits") == "0 1");
    CHECK(roles("cell", {{2, 3}, {3}}) == "0 1");
    // Neither an own name nor the name of an attribute tells the class.
    CHECK(roles("projection", {{2, 3}, {3}}, stet::dtype::float32, "dense_4") == "0 1");
    CHECK(roles("cell", {{2, 3}, {3}}, stet::dtype::float32, "dense") == "0 1");
    CHECK(roles("cell", {{2, 12}, {3, 12}, {12}}) == "0 1 2");
  }

  TEST_CASE("objects within objects have the names of all around them, but for the model's") {
    made_weights weights;
    weights.group("vars");
    weights.attribute("vars", "name", "model");
    weights.add_object("layers/lstm", "reader", {});
    weights.add_object("layers/lstm/cell", "lstm_cell", {{2, 12}, {3, 12}, {12}});
    weights.add_object("layers/functional", "encoder", {});
    weights.add_object("layers/functional/layers/dense", "dense_3", {{2, 3}, {3}});
    weights.add_object("layers/multi_head_attention", "attention", {});
    weights.add_object("layers/multi_head_attention/query_dense", "query", {{2, 3, 4}, {3, 4}});
    weights.add_object("layers/time_distributed/layer", "dense_5", {{2, 3}});
    weights.add_object("block/table/container_1/dense", "inner", {{2, 2}});
    CHECK(names_in(weights) == std::vector<std::string>{
                                   "attention/query/bias = /layers/multi_head_attention/query_dense/vars/1",
                                   "attention/query/kernel = /layers/multi_head_attention/query_dense/vars/0",
                                   "dense_5/0 = /layers/time_distributed/layer/vars/0",
                                   "encoder/dense_3/bias = /layers/functional/layers/dense/vars/1",
                                   "encoder/dense_3/kernel = /layers/functional/layers/dense/vars/0",
                                   "inner/kernel = /block/table/container_1/dense/vars/0",
                                   "reader/lstm_cell/bias = /layers/lstm/cell/vars/2",
                                   "reader/lstm_cell/kernel = /layers/lstm/cell/vars/0",
                                   "reader/lstm_cell/recurrent_kernel = /layers/lstm/cell/vars/1",
                               });
  }

  TEST_CASE("an attribute that is called as a class tells nothing; a container's groups do") {
    made_weights weights;
    weights.add_object("layers/my_layer", "mine", {});
    weights.add_object("layers/my_layer/dense", "gru_cell", {{2, 9}, {3, 9}}); // self.dense = GRUCell(use_bias=False)
    weights.add_object("layers/my_layer/blocks/dense", "d", {{2, 3}, {3}});
    weights.add_object("layers/rnn", "rnn", {});
    weights.add_object("layers/rnn/cell", "minimal",
                       {{3, 3}, {2, 3}}); // recurrent_kernel first, in a class of a program
    weights.add_object("dense", "top", {{2, 9}, {3, 9}});
    CHECK(names_in(weights) == std::vector<std::string>{
                                   "mine/d/bias = /layers/my_layer/blocks/dense/vars/1",
                                   "mine/d/kernel = /layers/my_layer/blocks/dense/vars/0",
                                   "mine/gru_cell/0 = /layers/my_layer/dense/vars/0",
                                   "mine/gru_cell/1 = /layers/my_layer/dense/vars/1",
                                   "rnn/minimal/0 = /layers/rnn/cell/vars/0",
                                   "rnn/minimal/1 = /layers/rnn/cell/vars/1",
                                   "top/0 = /dense/vars/0",
                                   "top/1 = /dense/vars/1",
                               });
  }

  TEST_CASE("the configuration tells the classes of layers and of those in them") {
    made_weights weights;
    weights.add_object("layers/dense", "own", {{2, 3}, {3}});
    weights.add_object("layers/rnn", "rnn", {});
    weights.add_object("layers/rnn/cell", "cell", {{2, 9}, {3, 9}});
    weights.add_object("layers/rnn_1", "own_rnn", {});
    weights.add_object("layers/rnn_1/cell", "cell", {{2, 9}, {3, 9}});
    weights.add_object("layers/time_distributed", "td", {});
    weights.add_object("layers/time_distributed/layer", "inside", {{2, 3}});
    weights.add_object("layers/bidirectional", "both", {});
    weights.add_object("layers/bidirectional/backward_layer", "back", {});
    weights.add_object("layers/bidirectional/backward_layer/cell", "c", {{2, 12}, {3, 12}});
    made_archive archive = keras_archive(weights.bytes());
    archive.members[1] = {"config.json", R"({"class_name": "Sequential", "config": {"name": "m", "layers": [
      {"module": null, "class_name": "Dense", "registered_name": "mine>Dense", "config": {"name": "own"}},
      {"module": "keras.layers", "class_name": "RNN", "config": {"name": "rnn", "cell": {"module": "keras.layers", "class_name": "GRUCell", "config": {}}}},
      {"module": "keras.layers", "class_name": "RNN", "config": {"name": "own_rnn", "cell": {"module": "main", "class_name": "GRUCell", "config": {}}}},
      {"module": "keras.layers", "class_name": "TimeDistributed", "config": {"name": "td", "layer": {"class_name": "Dense", "config": {}}}},
      {"module": "keras.layers", "class_name": "Bidirectional", "config": {"name": "both", "layer": {"class_name": "LSTM", "config": {}}}}]}})"};
    CHECK(names_in(archive) == std::vector<std::string>{
                                   "both/back/c/kernel = /layers/bidirectional/backward_layer/cell/vars/0",
                                   "both/back/c/recurrent_kernel = /layers/bidirectional/backward_layer/cell/vars/1",
                                   "own/0 = /layers/dense/vars/0",
                                   "own/1 = /layers/dense/vars/1",
                                   "own_rnn/cell/0 = /layers/rnn_1/cell/vars/0",
                                   "own_rnn/cell/1 = /layers/rnn_1/cell/vars/1",
                                   "rnn/cell/kernel = /layers/rnn/cell/vars/0",
                                   "rnn/cell/recurrent_kernel = /layers/rnn/cell/vars/1",
                                   "td/inside/kernel = /layers/time_distributed/layer/vars/0",
                               });
  }

  TEST_CASE("the two directions of a wrapper have names of their own, also where the file has none") {
    made_weights weights;
    weights.add_object("layers/bidirectional", "", {});
    for (const std::string half : {"forward_layer", "backward_layer"}) {
      weights.add_object("layers/bidirectional/" + half, "", {});
      weights.add_object("layers/bidirectional/" + half + "/cell", "", {{2, 12}, {3, 12}});
    }
    made_archive archive = keras_archive(weights.bytes());
    archive.members[1] = {"config.json", R"({"class_name": "Sequential", "config": {"name": "m", "layers": [
      {"module": "keras.layers", "class_name": "Bidirectional", "config": {"name": "both", "layer": {"class_name": "LSTM", "config": {"name": "lstm"}}}}]}})"};
    CHECK(names_in(archive) ==
          std::vector<std::string>{
              "both/backward_layer/cell/kernel = /layers/bidirectional/backward_layer/cell/vars/0",
              "both/backward_layer/cell/recurrent_kernel = /layers/bidirectional/backward_layer/cell/vars/1",
              "both/forward_layer/cell/kernel = /layers/bidirectional/forward_layer/cell/vars/0",
              "both/forward_layer/cell/recurrent_kernel = /layers/bidirectional/forward_layer/cell/vars/1",
          });
  }

  TEST_CASE("layers with '/' in their names, layers called vars, and weights of another scope") {
    made_weights weights;
    weights.attribute("", "keras_version", "2.15.0");
    weights.attribute("model_weights", "layer_names", std::vector{"conv1/bn"s, "vars"s, "renamed"s});
    weights.attribute("model_weights/conv1/bn", "weight_names", std::vector{"conv1/bn/gamma:0"s});
    weights.add("model_weights/conv1/bn/conv1/bn/gamma:0", {2});
    weights.attribute("model_weights/vars", "weight_names", std::vector{"vars/kernel:0"s});
    weights.add("model_weights/vars/vars/kernel:0", {2, 3});
    weights.attribute("model_weights/renamed", "weight_names", std::vector{"dense_3/kernel:0"s});
    weights.add("model_weights/renamed/dense_3/kernel:0", {2, 3});
    CHECK(names_in(weights) == std::vector<std::string>{
                                   "conv1/bn/gamma = /model_weights/conv1/bn/conv1/bn/gamma:0",
                                   "renamed/dense_3/kernel = /model_weights/renamed/dense_3/kernel:0",
                                   "vars/kernel = /model_weights/vars/vars/kernel:0",
                               });
    made_weights objects;
    objects.add_object("layers/mine", "mine", {{2}});
    objects.add_object("layers/mine/vars", "inner", {{3}}); // self.vars = …
    CHECK(names_in(objects) ==
          std::vector<std::string>{"mine/0 = /layers/mine/vars/0", "mine/inner/0 = /layers/mine/vars/vars/0"});
  }

  TEST_CASE("the optimizer's variables, metrics and the model's own have no second names") {
    made_weights weights;
    weights.add_object("layers/dense", "d", {{2, 3}});
    weights.add_object("optimizer", "adam", {{}, {}, {2, 3}});
    weights.add_object("optimizer/inner_optimizer", "adam", {{}, {}});
    weights.add_object("metrics/mean", "mean", {{}, {}});
    weights.attribute("vars", "name", "model");
    weights.add("vars/0", {2});
    CHECK(names_in(weights) == std::vector<std::string>{"d/kernel = /layers/dense/vars/0"});
  }

  TEST_CASE("a name that a tensor has, or that is none, is not given again") {
    made_weights weights;
    weights.add_object("layers/dense", "same", {{2, 3}});
    weights.add_object("layers/dense_1", "same", {{2, 3}});
    weights.add_object("layers/dense_2", "\xff", {{2, 3}});
    weights.add_object("layers/dense_3", "a\nb", {{2, 3}});
    CHECK(names_in(weights) ==
          std::vector<std::string>{"a\nb/kernel = /layers/dense_3/vars/0", "same/kernel = /layers/dense/vars/0"});
  }

  TEST_CASE("variables that are not numbered from 0 on are called as they are there") {
    made_weights weights;
    weights.attribute("layers/dense/vars", "name", "d");
    weights.add("layers/dense/vars/1", {3});
    weights.add("layers/dense/vars/kernel", {2, 3});
    CHECK(names_in(weights) ==
          std::vector<std::string>{"d/1 = /layers/dense/vars/1", "d/kernel = /layers/dense/vars/kernel"});
    made_weights gap;
    gap.attribute("layers/batch_normalization/vars", "name", "n");
    for (const char* const number : {"0", "1", "3"}) gap.add("layers/batch_normalization/vars/"s + number, {3});
    // Two of them would be the moving averages, were they all.
    CHECK(names_in(gap) == std::vector<std::string>{"n/0 = /layers/batch_normalization/vars/0",
                                                    "n/1 = /layers/batch_normalization/vars/1",
                                                    "n/3 = /layers/batch_normalization/vars/3"});
  }

  TEST_CASE("legacy files list the names themselves") {
    made_weights weights;
    weights.attribute("", "keras_version", "2.15.0");
    weights.attribute("model_weights", "layer_names", std::vector{"dense"s, "encoder"s, "first"s, "top"s});
    weights.attribute("model_weights/dense", "weight_names0", std::vector{"dense/kernel:0"s});
    weights.attribute("model_weights/dense", "weight_names1", std::vector{"dense/bias:0"s});
    weights.add("model_weights/dense/dense/kernel:0", {2, 3});
    weights.add("model_weights/dense/dense/bias:0", {3});
    weights.attribute("model_weights/encoder", "weight_names",
                      std::vector{"dense/kernel:0"s, "lstm/lstm_cell/bias:0"s});
    weights.add("model_weights/encoder/dense/kernel:0", {2, 3});
    weights.add("model_weights/encoder/lstm/lstm_cell/bias:0", {2});
    weights.attribute("model_weights/first", "weight_names", std::vector{"sequential/first/kernel"s});
    weights.add("model_weights/first/sequential/first/kernel", {2, 3});
    weights.attribute("optimizer_weights", "weight_names", std::vector{"Adam/m/dense/kernel:0"s});
    weights.add("optimizer_weights/Adam/m/dense/kernel:0", {2, 3});
    // What is not there, leads elsewhere, or is no dataset, is passed over.
    weights.attribute("model_weights/top", "weight_names",
                      std::vector{"../dense/dense/kernel:0"s, "none"s, ""s, "/"s, "deep"s});
    weights.group("model_weights/top/deep");
    CHECK(names_in(weights) == std::vector<std::string>{
                                   "dense/bias = /model_weights/dense/dense/bias:0",
                                   "dense/kernel = /model_weights/dense/dense/kernel:0",
                                   "encoder/dense/kernel = /model_weights/encoder/dense/kernel:0",
                                   "encoder/lstm/lstm_cell/bias = /model_weights/encoder/lstm/lstm_cell/bias:0",
                                   "first/kernel = /model_weights/first/sequential/first/kernel",
                               });
  }

  TEST_CASE("weights alone, of Keras 1, are known by the list of their layers") {
    made_weights weights;
    weights.attribute("", "layer_names", std::vector{"dense_1"s});
    weights.attribute("dense_1", "weight_names", std::vector{"dense_1_W"s, "dense_1_b:0"s});
    weights.add("dense_1/dense_1_W", {2, 3});
    weights.add("dense_1/dense_1_b:0", {3});
    CHECK(names_in(weights) == std::vector<std::string>{"dense_1/dense_1_W = /dense_1/dense_1_W",
                                                        "dense_1/dense_1_b = /dense_1/dense_1_b:0"});
    // A list that names no groups is anybody's.
    made_weights other;
    other.attribute("", "layer_names", std::vector{"dense_1"s});
    other.attribute("group", "weight_names", std::vector{"data"s});
    other.add("group/data", {2});
    CHECK(names_in(other).empty());
  }

  TEST_CASE("where Keras 2.15 wrote no names, config.json tells them") {
    made_weights weights;
    weights.add_object("layers/dense", "", {{2, 3}});
    weights.add_object("layers/dense_1", "", {{2, 3}});
    weights.add_object("layers/functional", "", {});
    weights.add_object("layers/functional/layers/dense", "", {{2, 3}});
    weights.add_object("layers/lstm", "", {});
    weights.add_object("layers/lstm/cell", "", {{2, 12}, {3, 12}});
    made_archive archive = keras_archive(weights.bytes());
    const auto layer = [](const char* of, const char* name, const char* more = "") {
      return R"({"class_name": ")"s + of + R"(", "config": {"name": ")" + name + '"' + more + "}}";
    };
    const std::string inner = R"(, "layers": [)" + layer("Dense", "deep") + "]";
    const std::string config = R"({"class_name": "Sequential", "config": {"name": "m", "layers": [)" +
                               layer("Dense", "dense_1") + "," + layer("Functional", "encoder", inner.c_str()) + "," +
                               layer("Dense", "dense") + "," + layer("LSTM", "reader") + "]}}";
    archive.members[1] = {"config.json", config};
    CHECK(names_in(archive) == std::vector<std::string>{
                                   "dense/kernel = /layers/dense_1/vars/0", // as the layers are called, not the groups
                                   "dense_1/kernel = /layers/dense/vars/0",
                                   "encoder/deep/kernel = /layers/functional/layers/dense/vars/0",
                                   "reader/cell/kernel = /layers/lstm/cell/vars/0",
                                   "reader/cell/recurrent_kernel = /layers/lstm/cell/vars/1",
                               });
    // Without it, by the groups.
    archive.members[1] = {"config.json", "{"};
    const temp_folder folder;
    const auto bare = stet::open_as(stet::keras_format, folder.write("b.keras", archive.bytes()), {});
    REQUIRE(bare);
    if (bare) CHECK(second_names(*bare)[0] == "dense/kernel = /layers/dense/vars/0");
  }

  TEST_CASE("shards share groups, of which one has the name") {
    made_weights first, second;
    first.add_object("layers/batch_normalization", "norm", {{4}, {4}});
    first.add_object("layers/dense", "late", {});
    second.add("layers/batch_normalization/vars/2", {4});
    second.add("layers/batch_normalization/vars/3", {4});
    second.add_object("layers/dense", "", {{2, 3}, {3}});
    const temp_folder folder;
    folder.write("m_00000.weights.h5", first.bytes());
    folder.write("m_00001.weights.h5", second.bytes());
    const auto opened = stet::open_as(
        stet::keras_format,
        folder.write(
            "m.weights.json",
            R"({"metadata": {"total_size": 1.0}, "weight_map": {"/layers/batch_normalization/vars": ["m_00000.weights.h5", "m_00001.weights.h5"], "/layers/dense/vars": "m_00001.weights.h5"}})"),
        {});
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    CHECK(opened->file_count == 2);
    CHECK(second_names(*opened) == std::vector<std::string>{
                                       "late/bias = /layers/dense/vars/1",
                                       "late/kernel = /layers/dense/vars/0",
                                       "norm/beta = /layers/batch_normalization/vars/1",
                                       "norm/gamma = /layers/batch_normalization/vars/0",
                                       "norm/moving_mean = /layers/batch_normalization/vars/2",
                                       "norm/moving_variance = /layers/batch_normalization/vars/3",
                                   });
  }

  TEST_CASE("names cannot take far more memory than the file") {
    const temp_folder folder;
    made_weights many;
    many.attribute("layers/dense/vars", "name", std::string(60000, 'n'));
    for (int i = 0; i < 300; ++i) many.add("layers/dense/vars/" + std::to_string(i), {1});
    CHECK(outcome(stet::open_as(stet::keras_h5_format, folder.write("many.h5", many.bytes()), {})) == "too_large");
  }

  TEST_CASE("a layer of many variables takes memory in proportion to them") {
    const temp_folder folder;
    std::uint64_t bytes[2] = {};
    for (const std::size_t twice : {0u, 1u}) {
      made_weights many;
      many.attribute("layers/dense/vars", "name", "probe"s);
      for (int i = 0; i < (twice == 0 ? 1000 : 2000); ++i) many.add("layers/dense/vars/" + std::to_string(i), {1});
      const std::string path = folder.write("many.keras", keras_archive(many.bytes()).bytes());
      const allocations before;
      const auto opened = stet::open_as(stet::keras_format, path, {});
      REQUIRE(outcome(opened) == "ok");
      if (opened) CHECK(outcome(stet::describe(*opened)) == "ok");
      bytes[twice] = before.bytes();
    }
    CHECK(bytes[1] < 3 * bytes[0]);
  }

  TEST_CASE("a long class or layer name in front of many items takes memory in proportion to the file") {
    for (const bool is_long_class : {true, false}) {
      CAPTURE(is_long_class);
      const std::string long_name(60000, 'N');
      const std::string inner = R"({"module": "keras", "class_name": ")" + (is_long_class ? long_name : "Functional") +
                                R"(", "config": {"name": ")" + (is_long_class ? "inner" : long_name) +
                                R"(", "layers": [)";
      std::string layers;
      for (int i = 0; i < 2000; ++i)
        layers += std::string(i == 0 ? "" : ", ") + R"({"class_name": "Flatten", "config": {"name": "f)" +
                  std::to_string(i) + R"("}})";
      made_archive archive = keras_archive();
      archive.members[1] = {"config.json", R"({"class_name": "Sequential", "config": {"name": "m", "layers": [)" +
                                               inner + layers + "]}}]}}"};
      const temp_folder folder;
      const std::string bytes = archive.bytes(), path = folder.write("long.keras", bytes);
      const allocations before;
      const auto opened = stet::open_as(stet::keras_format, path, {});
      REQUIRE(outcome(opened) == "ok");
      if (opened) (void)stet::describe(*opened);
      CHECK(before.bytes() < 300 * bytes.size()); // 2,000 of these names alone would be more
    }
  }
}
