// SPDX-License-Identifier: MIT
// Models saved for Keras and opened again: places, names, dtypes, order of layers, what cannot be said, and
// what a failure leaves.
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/keras/save.hpp>
#include <stet/formats/tensorflow/save.hpp>

#include "support/save_model.hpp"
#include "support/faulty_files.hpp"
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("save_keras");

namespace {

/// A model in a native file, saved for Keras beside it.
struct saved_for_keras {
  stet_test::temp_folder folder, memory;
  stet::writer out;

  stet::result<stet::keras_save_report> save(const std::string& name, stet::keras_save_options options = {}) {
    options.is_durable = false;
    const std::string path = folder.path("model.stet");
    CHECK(stet_test::outcome(out.save(path)) == "ok");
    const auto opened = stet::compiled::open_any(path);
    CHECK(opened);
    if (!opened) return opened.error();
    auto made = stet_test::save_keras(folder.path(name), *opened, options);
    // From memory, without a file first, comes the same.
    const auto from_memory = stet::save_keras(memory.path(name), out, options);
    CHECK(stet_test::outcome(from_memory) == stet_test::outcome(made));
    if (!made && !from_memory) {
      std::string subject(from_memory.error().subject());
      if (subject.starts_with(memory.path())) subject.replace(0, memory.path().size(), folder.path());
      CHECK(subject == made.error().subject());
    }
    for (const std::string& each : memory.names()) CHECK((memory.read(each) == folder.read(each)));
    return made;
  }
  stet::result<stet::model> open(const std::string& name) const { return stet::compiled::open_any(folder.path(name)); }
  /// What a legacy file lists as the weights of each layer; null if it cannot be read.
  stet::json_value weight_names(const std::string& name) const {
    const auto opened = open(name);
    CHECK(stet_test::outcome(opened) == "ok");
    if (!opened) return nullptr;
    const auto described = stet::describe(*opened);
    CHECK(stet_test::outcome(described) == "ok");
    return described ? described->metadata["keras"]["weight_names"] : stet::json_value();
  }
};

/// The names of the tensors, second names apart, with a space behind each.
std::string names_of(const stet::model& of) {
  std::string made;
  for (const stet::tensor each : of.store) {
    if (!of.store.original_of(each)) made.append(each.name()).append(" ");
  }
  return made;
}

template <class T> std::vector<T> keras_values(const stet::model& of, std::string_view name) {
  const auto found = of.store.find(name);
  CHECK_MESSAGE(found, name);
  std::vector<T> made(found ? static_cast<std::size_t>(found->element_count()) : 0);
  if (found) CHECK_MESSAGE(stet_test::outcome(found->copy_to(std::span(made))) == "ok", name);
  return made;
}

/// Adds a float32 tensor that holds one number everywhere.
void add(stet::writer& out, const std::string& name, std::vector<std::uint64_t> shape, float value) {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  out.add_source(name, stet::element_layout::of(stet::dtype::float32), shape, count * 4, [=](stet::piece_sink& sink) {
    const std::vector<float> all(static_cast<std::size_t>(count), value);
    return sink.write(std::as_bytes(std::span(all)));
  });
}

/// x → d, a Dense of 3 × 2.
void make_dense(stet::writer& out) {
  add(out, "layer one/W", {3, 2}, 1);
  add(out, "layer one/b", {2}, 2);
  stet::graph graph;
  graph.add("x", "Placeholder");
  graph.add("d", "Dense", {"x"}, {{"units", 2}}, {{"bias", "layer one/b"}, {"kernel", "layer one/W"}});
  graph.inputs = {{"x", "x", stet::dtype::float32, {{3}}}};
  graph.outputs = {{"y", "d", std::nullopt, std::nullopt}};
  out.graph = stet::graph_to_json(graph);
}

std::string text_of_file(const stet_test::temp_folder& folder, const std::string& name) {
  const auto bytes = folder.read(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

TEST_CASE("a graph and its weights: .keras, .weights.h5 and .h5, each opened where its tensors lie") {
  saved_for_keras at;
  make_dense(at.out);
  const struct {
    const char* file;
    const char* format;
    const char* names;
    bool has_config;
  } rows[] = {
      {"m.keras", "keras-v3", "/layers/dense/vars/0 /layers/dense/vars/1 ", true},
      {"m.weights.h5", "hdf5", "/layers/dense/vars/0 /layers/dense/vars/1 ", false},
      {"m.h5", "hdf5", "/model_weights/d/d/bias /model_weights/d/d/kernel ", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.file);
    const auto saved = at.save(row.file);
    REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
    if (!saved) return;
    CHECK(saved->has_config == row.has_config);
    CHECK(saved->dataset_count == 2);
    CHECK(saved->file_size_bytes == at.folder.read(row.file).size());
    const auto opened = at.open(row.file);
    REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
    if (!opened) return;
    CHECK(opened->format->name == row.format);
    CHECK(names_of(*opened) == row.names);
    CHECK(keras_values<float>(*opened, "d/kernel") == std::vector<float>(6, 1));
    CHECK(keras_values<float>(*opened, "d/bias") == std::vector<float>(2, 2));
    for (const stet::tensor each : opened->store) {
      CHECK(opened->is_in_file(each));
      CHECK(each.entry().offset_bytes() % 64 == 0);
      CHECK(each.as<float>());
    }
    const auto described = stet::describe(*opened);
    REQUIRE(described);
    if (!described) return;
    CHECK(described->graphs.size() == (row.has_config ? 1 : 0));
    if (row.has_config) {
      CHECK(described->graphs[0].nodes.back().op == "Dense");
      CHECK(described->graphs[0].nodes.back().attributes["units"] == 2);
      CHECK(described->graphs[0].nodes.back().variables.size() == 2);
    }
    // The same again is the same file.
    const auto once = at.folder.read(row.file);
    CHECK(at.save(row.file));
    CHECK(at.folder.read(row.file) == once);
  }
}

TEST_CASE("what stands in the archive around the weights, letter by letter") {
  saved_for_keras at;
  make_dense(at.out);
  REQUIRE(at.save("m.keras"));
  const std::string file = text_of_file(at.folder, "m.keras");
  constexpr std::string_view metadata = R"({"keras_version":"3.0.0"})";
  constexpr std::string_view config =
      R"({"class_name":"Sequential","config":{"name":"model","layers":[)"
      R"({"class_name":"InputLayer","config":{"name":"x","dtype":"float32","batch_shape":[null,3]},"name":"x",)"
      R"("module":"keras.layers","registered_name":null},)"
      R"({"class_name":"Dense","config":{"units":2,"name":"d"},"name":"d","module":"keras.layers","registered_name":null}]},)"
      R"("module":"keras","registered_name":null})";
  CHECK(file.substr(0, 4) == "PK\3\4");
  CHECK(file.substr(30, 13) == "metadata.json");
  CHECK(file.substr(43, metadata.size()) == metadata);
  CHECK(file.substr(43 + metadata.size() + 30, 11) == "config.json");
  CHECK(file.substr(43 + metadata.size() + 41, config.size()) == config);
  const std::size_t weights = file.find("\x89HDF");
  CHECK(weights % 64 == 0);
}

TEST_CASE("every dtype: as it is where HDF5 has it, else widened; no value changes") {
  saved_for_keras at;
  const bool flags[] = {true, false, true};
  const std::vector<stet::int4> i4{stet::int4(-8), stet::int4(7), stet::int4(-1)};
  const std::vector<stet::uint2> u2{stet::uint2(3), stet::uint2(0), stet::uint2(2)};
  const std::vector<stet::bfloat16> bf16{stet::bfloat16(1.5f), stet::bfloat16(-2.0f)};
  const std::vector<stet::float16> f16{stet::float16(0.5f)};
  const std::vector<stet::float8_e4m3fnuz> f8{stet::float8_e4m3fnuz(-2.5f)};
  const std::vector<stet::float8_e4m3fn> fn{stet::float8_e4m3fn(448.0f)};
  const std::vector<stet::complex64> c64{{1, -2}};
  const std::vector<std::int64_t> i64{INT64_MIN, INT64_MAX};
  const std::vector<std::string_view> words{"ab", "", "é"};
  at.out.add("/bool", flags, {3});
  at.out.add("/i4", i4, {3});
  at.out.add("/u2", u2, {3});
  at.out.add("/bf16", bf16, {2});
  at.out.add("/f16", f16, {});
  at.out.add("/f8", f8, {1});
  at.out.add("/fn", fn, {1});
  at.out.add("/c64", c64, {1});
  at.out.add("/i64", i64, {1, 2});
  at.out.add("/none", std::span<const float>(), {0, 4});
  at.out.add("/words", words, {3});
  for (const char* file : {"m.weights.h5", "m.h5"}) {
    CAPTURE(file);
    const auto saved = at.save(file);
    REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
    const auto opened = at.open(file);
    REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
    if (!opened) return;
    CHECK(keras_values<std::int8_t>(*opened, "/i4") == std::vector<std::int8_t>{-8, 7, -1});
    CHECK(keras_values<std::uint8_t>(*opened, "/u2") == std::vector<std::uint8_t>{3, 0, 2});
    CHECK(keras_values<stet::bfloat16>(*opened, "/bf16") == bf16);
    CHECK(keras_values<stet::float16>(*opened, "/f16") == f16);
    CHECK(keras_values<float>(*opened, "/f8") == std::vector<float>{-2.5f});
    CHECK(keras_values<stet::float8_e4m3fn>(*opened, "/fn") == fn);
    CHECK(keras_values<stet::complex64>(*opened, "/c64") == c64);
    CHECK(keras_values<std::int64_t>(*opened, "/i64") == i64);
    CHECK(keras_values<float>(*opened, "/none").empty());
    bool read[3] = {};
    const auto found = opened->store.find("/bool");
    REQUIRE(found);
    CHECK(found->copy_to(std::span<bool>(read)));
    CHECK((read[0] && !read[1] && read[2]));
    const auto texts = opened->store.find("/words");
    REQUIRE(texts);
    const auto strings = texts->as_strings();
    REQUIRE(strings);
    if (strings) CHECK(((*strings)[0] == "ab" && (*strings)[1].empty() && (*strings)[2] == "é"));
  }
}

TEST_CASE("layers are numbered as Keras numbers them: the farthest from the output first, however the graph "
          "lists them") {
  // The outputs' side is listed first; both branches are of one class and shape.
  saved_for_keras at;
  for (const char* name : {"last", "near", "far", "farther"})
    add(at.out, std::string(name) + "/kernel", {2, 2},
        std::string_view(name) == "last"   ? 4.0f
        : std::string_view(name) == "near" ? 3.0f
        : std::string_view(name) == "far"  ? 2.0f
                                           : 1.0f);
  stet::graph graph;
  const stet::json_value dense{{"units", 2}, {"use_bias", false}};
  graph.add("last", "Dense", {"both"}, dense, {{"kernel", "last/kernel"}});
  graph.add("both", "Add", {"near", "far"});
  graph.add("near", "Dense", {"x"}, dense, {{"kernel", "near/kernel"}});
  graph.add("far", "Dense", {"farther"}, dense, {{"kernel", "far/kernel"}});
  graph.add("farther", "Dense", {"x"}, dense, {{"kernel", "farther/kernel"}});
  graph.add("x", "Placeholder");
  graph.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
  graph.outputs = {{"y", "last", std::nullopt, std::nullopt}};
  at.out.graph = stet::graph_to_json(graph);
  REQUIRE(at.save("m.keras"));
  const auto opened = at.open("m.keras");
  REQUIRE(opened);
  if (!opened) return;
  const char* places[] = {"/layers/dense/vars/0", "/layers/dense_1/vars/0", "/layers/dense_2/vars/0",
                          "/layers/dense_3/vars/0"};
  const float expected[] = {1, 3, 2, 4}; // farther; then near before far, as the way back from the output meets them
  for (std::size_t i = 0; i < 4; ++i) CHECK(keras_values<float>(*opened, places[i])[0] == expected[i]);
}

TEST_CASE("the insides of layers: where Keras 3 has their variables") {
  const struct {
    const char *op, *role, *path;
  } rows[] = {
      {"LSTM", "kernel", "/layers/lstm/cell/vars/0"},
      {"GRU", "gru_cell/bias", "/layers/gru/cell/vars/0"},
      {"Bidirectional", "forward_lstm/lstm_cell/kernel", "/layers/bidirectional/forward_layer/cell/vars/0"},
      {"Bidirectional", "backward/kernel", "/layers/bidirectional/backward_layer/cell/vars/0"},
      {"MultiHeadAttention", "query/kernel", "/layers/multi_head_attention/query_dense/vars/0"},
      {"MultiHeadAttention", "attention_output/bias", "/layers/multi_head_attention/output_dense/vars/0"},
      {"TimeDistributed", "dense/kernel", "/layers/time_distributed/layer/vars/0"},
      {"Conv2DTranspose", "kernel", "/layers/conv2d_transpose/vars/0"},
      {"SeparableConv2D", "pointwise_kernel", "/layers/separable_conv2d/vars/0"},
      {"PReLU", "alpha", "/layers/p_re_lu/vars/0"},
      {"mine>Own", "gain", "/layers/own/vars/0"},
      {"StackedRNN", "cell/kernel", nullptr},
      {"MultiHeadAttention", "x/y/kernel", nullptr},
  };
  for (const auto& row : rows) {
    CAPTURE(row.role);
    saved_for_keras at;
    add(at.out, "w", {1, 1}, 1);
    stet::graph graph;
    graph.add("x", "Placeholder");
    graph.add("l", row.op, {"x"}, nullptr, {{row.role, "w"}});
    graph.inputs = {{"x", "x", stet::dtype::float32, {{1}}}};
    graph.outputs = {{"y", "l", std::nullopt, std::nullopt}};
    at.out.graph = stet::graph_to_json(graph);
    const auto saved = at.save("m.keras");
    if (row.path == nullptr) {
      CHECK(stet_test::outcome(saved) == "not_expressible");
      if (!saved) CHECK(saved.error().subject() == "layer l (" + std::string(row.op) + "): can be saved as stet");
      continue;
    }
    REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
    const auto opened = at.open("m.keras");
    REQUIRE(opened);
    if (opened) CHECK(names_of(*opened) == std::string(row.path) + " ");
  }
}

TEST_CASE("weights of one layer stand in Keras' order, whatever the graph's is; frozen ones come last in "
          "legacy files") {
  saved_for_keras at;
  for (const char* name : {"moving_variance", "beta", "moving_mean", "gamma"})
    add(at.out, std::string("bn/") + name, {2}, static_cast<float>(name[0]));
  stet::graph graph;
  graph.add("x", "Placeholder");
  graph.add("bn", "BatchNormalization", {"x"}, nullptr,
            {{"moving_variance", "bn/moving_variance"},
             {"beta", "bn/beta"},
             {"moving_mean", "bn/moving_mean"},
             {"gamma", "bn/gamma"}});
  graph.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
  graph.outputs = {{"y", "bn", std::nullopt, std::nullopt}};
  at.out.graph = stet::graph_to_json(graph);
  REQUIRE(at.save("m.keras"));
  const auto opened = at.open("m.keras");
  REQUIRE(opened);
  if (!opened) return;
  CHECK(keras_values<float>(*opened, "/layers/batch_normalization/vars/0")[0] == 'g');
  CHECK(keras_values<float>(*opened, "/layers/batch_normalization/vars/1")[0] == 'b');
  CHECK(keras_values<float>(*opened, "bn/moving_mean")[0] == 'm');
  CHECK(names_of(*opened).size() == 4 * std::string_view("/layers/batch_normalization/vars/0 ").size());
}

TEST_CASE("without a graph, names tell the layers; what begins with '/' stays where it is") {
  saved_for_keras at;
  add(at.out, "dense/bias", {2}, 2);
  add(at.out, "dense/kernel", {1, 2}, 1);
  add(at.out, "rnn/lstm_cell/kernel", {1, 2}, 3);
  add(at.out, "/a/b", {2}, 4);
  add(at.out, "step", {}, 5);
  CHECK(stet_test::outcome(at.save("m.keras")) == "not_expressible");
  REQUIRE(at.save("m.weights.h5"));
  auto opened = at.open("m.weights.h5");
  REQUIRE(opened);
  if (opened) {
    CHECK(names_of(*opened) == "/a/b /layers/dense/vars/0 /layers/dense/vars/1 /layers/rnn/cell/vars/0 /step ");
    CHECK(keras_values<float>(*opened, "dense/bias")[0] == 2);
  }
  REQUIRE(at.save("m.h5"));
  opened = at.open("m.h5");
  REQUIRE(opened);
  if (opened) {
    CHECK(names_of(*opened) == "/a/b /dense/dense/bias /dense/dense/kernel /rnn/lstm_cell/rnn/lstm_cell/kernel /step ");
    CHECK(keras_values<float>(*opened, "dense/kernel")[0] == 1);
  }
}

TEST_CASE("the optimizer's variables come on request, and only where their order is known") {
  saved_for_keras at;
  make_dense(at.out);
  add(at.out, "/optimizer/vars/10", {2}, 10);
  add(at.out, "/optimizer/vars/2", {2}, 2);
  stet::keras_save_options with;
  with.save_optimizer = true;
  auto saved = at.save("m.keras");
  REQUIRE(saved);
  if (saved) CHECK(saved->left_out_count == 2);
  saved = at.save("m.keras", with);
  REQUIRE(saved);
  if (saved) CHECK(saved->left_out_count == 0);
  auto opened = at.open("m.keras");
  REQUIRE(opened);
  if (opened) CHECK(keras_values<float>(*opened, "/optimizer/vars/10")[0] == 10);
  REQUIRE(at.save("m.h5", with));
  opened = at.open("m.h5");
  REQUIRE(opened);
  if (!opened) return;
  CHECK(keras_values<float>(*opened, "/optimizer_weights/vars/10")[0] == 10);
  const auto described = stet::describe(*opened);
  REQUIRE(described);
  if (described) // in their order, 2 before 10
    CHECK(described->state["optimizer"]["variables"].dump() ==
          R"(["/optimizer_weights/vars/2","/optimizer_weights/vars/10"])");
  // Back there is no telling which numbers they would have.
  const auto back = stet_test::save_keras(at.folder.path("back.keras"), *opened, with);
  CHECK(stet_test::outcome(back) == "not_convertible");
  CHECK(stet_test::save_keras(at.folder.path("back.keras"), *opened));
}

TEST_CASE("what cannot be saved is an error that names it, and leaves the folder as it was") {
  const struct {
    const char *file, *expected, *subject;
    void (*make)(stet::writer& out);
  } rows[] = {
      {"m.bin", "invalid_argument", "m.bin", make_dense},
      {"none/m.keras", "file_not_found", "", make_dense},
      {"m.keras", "not_expressible", "model without layers: weights can be saved as keras-weights",
       [](stet::writer& out) { add(out, "a", {1}, 1); }},
      {"m.h5", "not_expressible", "/layers/x/vars/0: can be saved as keras or keras-weights",
       [](stet::writer& out) { add(out, "/layers/x/vars/0", {1}, 1); }},
      {"m.weights.h5", "not_expressible", "/model_weights/a: can be saved as keras-legacy",
       [](stet::writer& out) { add(out, "/model_weights/a", {1}, 1); }},
      {"m.h5", "duplicate_name", "/a", [](stet::writer& out) { add(out, "a", {1}, 1), add(out, "/a", {1}, 1); }},
      {"m.h5", "duplicate_name", "/a/b", [](stet::writer& out) { add(out, "/a", {1}, 1), add(out, "/a/b", {1}, 1); }},
      {"m.h5", "bad_name", "/a/../b", [](stet::writer& out) { add(out, "/a/../b", {1}, 1); }},
      {"m.h5", "bad_name", "/a//b", [](stet::writer& out) { add(out, "/a//b", {1}, 1); }},
      {"m.h5", "bad_shape", "/a", [](stet::writer& out) { add(out, "/a", std::vector<std::uint64_t>(33, 1), 1); }},
      {"m.weights.h5", "not_found", "gone",
       [](stet::writer& out) {
         make_dense(out);
         stet::json_value graph = stet::to_json_value(out.graph);
         graph["nodes"][1]["variables"]["kernel"] = "gone";
         out.graph = graph;
       }},
  };
  for (const auto& row : rows) {
    CAPTURE(row.subject);
    saved_for_keras at;
    row.make(at.out);
    const auto saved = at.save(row.file);
    CHECK(stet_test::outcome(saved) == row.expected);
    if (!saved && row.subject[0] != '\0') CHECK(saved.error().subject().ends_with(row.subject));
    CHECK(at.folder.names() == std::vector<std::string>{"model.stet"});
  }
  saved_for_keras at;
  make_dense(at.out);
  CHECK(stet_test::outcome(at.save("")) == "bad_path");
}

#if !defined(_WIN32)
TEST_CASE("a backslash in the path of a file to save is part of its name") {
  saved_for_keras at;
  make_dense(at.out);
  CHECK(stet_test::outcome(at.save("c\\d.weights.h5")) == "ok");
  CHECK(at.folder.names() == std::vector<std::string>{"c\\d.weights.h5", "model.stet"});
  CHECK(at.open("c\\d.weights.h5"));
}
#endif

/// A file of HDF5 as Keras would have written it, and the same saved again in a form.
struct saved_again {
  stet_test::temp_folder folder;
  stet::result<stet::keras_save_report> save(const char* from, const std::string& bytes, const char* to) {
    const std::string path = folder.write(from, bytes);
    const auto opened = stet::compiled::open_any(path);
    REQUIRE(opened);
    if (!opened) return opened.error();
    stet::keras_save_options options;
    options.is_durable = false;
    return stet_test::save_keras(folder.path(to), *opened, options);
  }
};
template <class Saved> std::string subject_of(const Saved& saved) {
  return saved ? std::string() : std::string(saved.error().subject());
}

TEST_CASE("legacy weights keep the order of their lists, which loading goes by") {
  using namespace std::literals;
  stet_test::made_weights weights;
  weights.attribute("", "layer_names", std::vector{"z"s, "a/b"s, "m"s});
  weights.attribute("z", "weight_names", std::vector{"z/kernel:0"s});
  weights.add("z/z/kernel:0", {3, 3});
  weights.attribute("a/b", "weight_names", std::vector{"scope/u:0"s, "a/b/k:0"s});
  weights.add("a/b/scope/u:0", {2});
  weights.add("a/b/a/b/k:0", {4});
  weights.attribute("m", "weight_names", std::vector<std::string>{});
  saved_again at;
  const auto saved = at.save("w.h5", weights.bytes(), "again.h5");
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (saved) CHECK(saved->dataset_count == 3);
  const auto opened = stet::compiled::open_any(at.folder.path("again.h5"));
  REQUIRE(opened);
  if (!opened) return;
  CHECK(names_of(*opened) == "/a/b/a/b/k:0 /a/b/scope/u:0 /z/z/kernel:0 ");
  const auto described = stet::describe(*opened);
  REQUIRE(described);
  if (described)
    CHECK(described->metadata["keras"]["weight_names"].dump() ==
          R"({"z":["z/kernel:0"],"a/b":["scope/u:0","a/b/k:0"],"m":[]})");
  // Which class they are of is not known, so that Keras 3 would not find them.
  const auto objects = at.save("w.h5", weights.bytes(), "w.weights.h5");
  CHECK(stet_test::outcome(objects) == "not_expressible");
  CHECK(subject_of(objects) == "class of layer a/b: can be saved as keras-legacy");
}

TEST_CASE("objects stay where they are, each once and with its name; lists of layers are not made up") {
  stet_test::made_weights weights;
  weights.add_object("layers/dense", "dense_1", {{2, 3}, {3}});
  weights.add_object("layers/dense_1", "dense", {{2, 3}, {3}});
  weights.add_object("layers/lstm", "lstm", {});
  weights.add_object("layers/lstm/cell", "lstm_cell", {{2, 12}, {3, 12}, {12}});
  saved_again at;
  const auto saved = at.save("m.weights.h5", weights.bytes(), "again.weights.h5");
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (saved) CHECK(saved->dataset_count == 7);
  const auto opened = stet::compiled::open_any(at.folder.path("again.weights.h5"));
  REQUIRE(opened);
  if (!opened) return;
  CHECK(names_of(*opened) == "/layers/dense/vars/0 /layers/dense/vars/1 /layers/dense_1/vars/0 /layers/dense_1/vars/1 "
                             "/layers/lstm/cell/vars/0 /layers/lstm/cell/vars/1 /layers/lstm/cell/vars/2 ");
  const auto named = opened->store.find("dense_1/kernel");
  REQUIRE(named);
  if (named) CHECK(opened->store.original_of(*named)->name() == "/layers/dense/vars/0");
  const auto legacy = at.save("m.weights.h5", weights.bytes(), "m.h5");
  CHECK(stet_test::outcome(legacy) == "not_expressible");
  CHECK(subject_of(legacy) == "order of layer dense_1: can be saved as keras or keras-weights");
}

TEST_CASE("what another form cannot express is refused, the layer and what works the subject") {
  const struct {
    const char *op, *config, *module, *role, *subject;
  } rows[] = {
      {"Dense", R"({"lora_rank": 2})", nullptr, "kernel", "layer l (Dense): can be saved as stet"},
      {"Dense", R"({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int4"}}})", nullptr, "kernel",
       "layer l (Dense): can be saved as stet"},
      {"TimeDistributed", R"({"layer": {"class_name": "Mine", "module": "own", "config": {}}})", nullptr, "mine/kernel",
       "layer l (TimeDistributed): can be saved as stet"},
      {"TimeDistributed", R"({"layer": {"class_name": "Dense", "config": {"lora_rank": 2}}})", nullptr, "dense/kernel",
       "layer l (TimeDistributed): can be saved as stet"},
      {"RNN", R"({"cell": {"class_name": "Mine", "module": "own", "config": {}}})", nullptr, "mine/kernel",
       "layer l (RNN): can be saved as stet"},
      {"LSTM", "{}", "own", "lstm_cell/kernel", "layer l (LSTM): can be saved as stet"},
      {"RNN", R"({"cell": {"class_name": "GRUCell", "config": {}}})", nullptr, "gru_cell/kernel", ""},
      {"TimeDistributed", R"({"layer": {"class_name": "Dense", "config": {}}})", nullptr, "dense/kernel", ""},
      {"Dense", "{}", nullptr, "old_scope/dense/kernel", ""},
      {"Dense", R"({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}})", nullptr, "kernel",
       ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.config);
    saved_for_keras at;
    add(at.out, "w", {1, 1}, 1);
    stet::graph graph;
    graph.add("x", "Placeholder");
    graph.add("l", row.op, {"x"}, *stet::parse_json(row.config), {{row.role, "w"}});
    if (row.module != nullptr) graph.nodes.back().extra = stet::json_value{{"module", row.module}};
    graph.inputs = {{"x", "x", stet::dtype::float32, {{1}}}};
    graph.outputs = {{"y", "l", std::nullopt, std::nullopt}};
    at.out.graph = stet::graph_to_json(graph);
    const auto saved = at.save("m.keras");
    CHECK(stet_test::outcome(saved) == (row.subject[0] == 0 ? "ok" : "not_expressible"));
    CHECK(subject_of(saved) == row.subject);
  }
  saved_for_keras at; // a long name leaves the hint whole
  add(at.out, "w", {1, 1}, 1);
  stet::graph graph;
  graph.add("x", "Placeholder");
  graph.add(std::string(200, 'n'), "Own", {"x"}, nullptr, {{"a/b", "w"}});
  graph.inputs = {{"x", "x", stet::dtype::float32, {{1}}}};
  graph.outputs = {{"y", std::string(200, 'n'), std::nullopt, std::nullopt}};
  at.out.graph = stet::graph_to_json(graph);
  CHECK(subject_of(at.save("m.keras")).ends_with("nnn...: can be saved as stet"));
}

TEST_CASE("layers with '/' in their names go where Keras has them, not into .keras files") {
  const struct {
    const char *name, *config, *subject;
  } rows[] = {
      {"conv1/conv", "{}", "layer conv1/conv (Dense): can be saved as keras-legacy"},
      {"d", R"({"layer": {"class_name": "Dense", "config": {"name": "in/side"}}})",
       "layer in/side (Dense): can be saved as keras-legacy"},
      {"d", R"({"dtype": {"class_name": "DTypePolicy", "config": {"name": "float32"}}})", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    saved_for_keras at;
    add(at.out, "k", {3, 2}, 1);
    add(at.out, "b", {2}, 2);
    stet::graph graph;
    graph.add("x", "Placeholder");
    graph.add(row.name, "Dense", {"x"}, *stet::parse_json(row.config), {{"kernel", "k"}, {"bias", "b"}});
    graph.inputs = {{"x", "x", stet::dtype::float32, {{3}}}};
    graph.outputs = {{"y", row.name, std::nullopt, std::nullopt}};
    at.out.graph = stet::graph_to_json(graph);
    const auto saved = at.save("m.keras");
    CHECK(stet_test::outcome(saved) == (row.subject[0] == 0 ? "ok" : "not_expressible"));
    CHECK(subject_of(saved) == row.subject);
    REQUIRE(at.save("m.h5"));
    const auto opened = at.open("m.h5");
    REQUIRE(opened);
    if (opened) CHECK(opened->store.find(std::string("/model_weights/") + row.name + "/" + row.name + "/kernel"));
    CHECK(stet_test::outcome(at.save("m.weights.h5")) == "ok");
  }
}

TEST_CASE("a model in a model in a model: legacy files have all weights in the order of Keras") {
  saved_for_keras at;
  stet::graph graph;
  graph.functions.resize(2);
  const auto fill = [](stet::graph_body& body, const std::string& name, const char* function) {
    body.add("x", "Placeholder");
    body.add(name, "Functional", {"x"}, {{"function", function}});
    body.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
    body.outputs = {{"y", name, std::nullopt, std::nullopt}};
  };
  fill(graph, "outer", "f");
  fill(graph.functions[0], "inner", "g");
  graph.functions[0].name = "f";
  stet::graph_function& last = graph.functions[1];
  last.name = "g";
  last.add("x", "Placeholder");
  last.add("n", "BatchNormalization", {"x"}, nullptr,
           {{"moving_mean", "m"}, {"gamma", "g"}, {"moving_variance", "v"}, {"beta", "o"}});
  last.add("d", "Dense", {"n"}, nullptr, {{"bias", "b"}, {"kernel", "k"}});
  last.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
  last.outputs = {{"y", "d", std::nullopt, std::nullopt}};
  for (const char* const name : {"m", "g", "v", "o", "b"}) add(at.out, name, {2}, 1);
  add(at.out, "k", {2, 2}, 2);
  at.out.graph = stet::graph_to_json(graph);
  REQUIRE(at.save("m.h5"));
  CHECK(at.weight_names("m.h5")["outer"].dump() ==
        R"(["outer/inner/n/gamma","outer/inner/n/beta","outer/inner/d/kernel","outer/inner/d/bias",)"
        R"("outer/inner/n/moving_mean","outer/inner/n/moving_variance"])");
}

TEST_CASE("weights of TensorFlow's form tell no order, and are refused as legacy weights") {
  stet::writer out;
  add(out, "dense/kernel", {2, 2}, 1);
  add(out, "dense/bias", {2}, 1);
  const stet_test::temp_folder folder;
  REQUIRE(stet::save_tensorflow_checkpoint(folder.path("w"), out));
  const auto opened = stet::compiled::open_any(folder.path("w"));
  REQUIRE(opened);
  if (!opened) return;
  const auto save = [&](const char* name) { return stet_test::save_keras(folder.path(name), *opened); };
  CHECK(stet_test::outcome(save("w.h5")) == "not_expressible");
  CHECK(subject_of(save("w.h5")) == "order of layer dense: can be saved as keras or keras-weights");
  CHECK(stet_test::outcome(save("w.weights.h5")) == "ok");
}

TEST_CASE("variables of TensorFlow's objects whose layers no name tells are refused") {
  saved_for_keras at;
  add(at.out, "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE", {2, 2}, 1);
  for (const char* const name : {"m.h5", "m.weights.h5"}) {
    const auto saved = at.save(name);
    CHECK(stet_test::outcome(saved) == "not_expressible");
    CHECK(subject_of(saved).ends_with(": can be saved as tensorflow-objects"));
  }
}

TEST_CASE("shards whose layers are called as other groups become one file, each weight once") {
  stet_test::made_weights first, second;
  first.add_object("layers/dense", "dense_1", {{2, 3}, {3}});
  second.add_object("layers/dense_1", "dense", {{4, 5}, {5}});
  second.add_object("layers/functional/layers/dense", "dense", {{6, 7}, {7}});
  saved_again at;
  at.folder.write("m_0.weights.h5", first.bytes());
  at.folder.write("m_1.weights.h5", second.bytes());
  const auto saved =
      at.save("m.weights.json",
              R"({"metadata": {}, "weight_map": {"/layers/dense/vars": "m_0.weights.h5",)"
              R"("/layers/dense_1/vars": "m_1.weights.h5", "/layers/functional/layers/dense/vars": "m_1.weights.h5"}})",
              "again.weights.h5");
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (saved) CHECK(saved->dataset_count == 6);
  const auto opened = stet::compiled::open_any(at.folder.path("again.weights.h5"));
  REQUIRE(opened);
  if (!opened) return;
  const auto rows_of = [&](const char* path) {
    const auto found = opened->store.find(path);
    return found ? found->shape()[0] : 0;
  };
  CHECK(rows_of("/layers/dense/vars/0") == 2);
  CHECK(rows_of("/layers/dense_1/vars/0") == 4);
  CHECK(rows_of("/layers/functional/layers/dense/vars/0") == 6);
}

TEST_CASE("a long name of a layer of many weights takes no more memory than readers would") {
  saved_for_keras at;
  stet::graph graph;
  graph.add("x", "Placeholder");
  const std::string name(60000, 'n');
  std::vector<stet::graph_variable> variables;
  for (int i = 0; i < 1200; ++i) {
    const std::string role = std::to_string(i);
    add(at.out, role, {1}, 1);
    variables.push_back({role, role});
  }
  graph.add(name, "Own", {"x"}, nullptr, std::move(variables));
  graph.inputs = {{"x", "x", stet::dtype::float32, {{1}}}};
  graph.outputs = {{"y", name, std::nullopt, std::nullopt}};
  at.out.graph = stet::graph_to_json(graph);
  CHECK(stet_test::outcome(at.save("m.h5")) == "too_large");
  CHECK(stet_test::outcome(at.save("m.keras")) == "ok");
}

TEST_CASE("int8: the bias, which alone is trained, stands first in legacy files") {
  saved_for_keras at;
  add(at.out, "d/kernel", {2, 3}, 1);
  add(at.out, "d/bias", {3}, 2);
  add(at.out, "d/kernel_scale", {3}, 3);
  stet::graph graph;
  graph.add("x", "Placeholder");
  graph.add("d", "Dense", {"x"},
            *stet::parse_json(R"({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}})"),
            {{"kernel_scale", "d/kernel_scale"}, {"kernel", "d/kernel"}, {"bias", "d/bias"}});
  graph.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
  graph.outputs = {{"y", "d", std::nullopt, std::nullopt}};
  at.out.graph = stet::graph_to_json(graph);
  REQUIRE(at.save("m.h5"));
  CHECK(at.weight_names("m.h5")["d"].dump() == R"(["d/bias","d/kernel","d/kernel_scale"])");
  REQUIRE(at.save("m.keras"));
  const auto objects = at.open("m.keras");
  REQUIRE(objects);
  if (objects) CHECK(keras_values<float>(*objects, "/layers/dense/vars/2")[0] == 3);
}

TEST_CASE("a configuration that readers would refuse is not written") {
  // Functions stand one beside the other in a graph, and one in the other in a configuration.
  saved_for_keras at;
  stet::json_value deep = 1;
  for (int i = 0; i < 54; ++i) deep = stet::json_value::array({std::move(deep)});
  stet::graph graph;
  const auto fill = [](stet::graph_body& body, const char* op, stet::json_value attributes) {
    body.add("x", "Placeholder");
    body.add("y", op, {"x"}, std::move(attributes));
    body.inputs = {{"x", "x", stet::dtype::float32, {{3}}}};
    body.outputs = {{"y", "y", std::nullopt, std::nullopt}};
  };
  fill(graph, "Model", {{"function", "f"}});
  graph.functions.resize(2);
  graph.functions[0].name = "f";
  graph.functions[1].name = "g";
  fill(graph.functions[0], "Model", {{"function", "g"}});
  fill(graph.functions[1], "Flatten", {{"deep", std::move(deep)}});
  at.out.graph = stet::graph_to_json(graph);
  CHECK(stet_test::outcome(at.save("m.keras")) == "too_deep");
  CHECK(stet_test::outcome(at.save("m.h5")) == "too_deep");
  CHECK(at.folder.names() == std::vector<std::string>{"model.stet"});
}

TEST_CASE("damage in the model that is saved is found on the way") {
  saved_for_keras at;
  make_dense(at.out);
  CHECK(stet_test::outcome(at.out.save(at.folder.path("model.stet"))) == "ok");
  auto bytes = at.folder.read("model.stet");
  bytes[bytes.size() - 1 - stet::tail_padding_bytes] ^= std::byte{1};
  at.folder.write("model.stet", bytes);
  const auto opened = stet::compiled::open_any(at.folder.path("model.stet"));
  REQUIRE(opened);
  if (!opened) return;
  const auto saved = stet_test::save_keras(at.folder.path("m.keras"), *opened);
  CHECK(stet_test::outcome(saved) == "checksum_mismatch");
  CHECK(at.folder.names() == std::vector<std::string>{"model.stet"});
}

TEST_CASE("lists too long for an attribute go on in further ones") {
  saved_for_keras at;
  for (int i = 0; i < 4500; ++i) add(at.out, "layer_" + std::to_string(i) + "/kernel", {1, 1}, static_cast<float>(i));
  REQUIRE(at.save("m.h5"));
  const auto opened = at.open("m.h5");
  REQUIRE(opened);
  if (opened) CHECK(keras_values<float>(*opened, "layer_4499/kernel")[0] == 4499);
  const std::string file = text_of_file(at.folder, "m.h5");
  CHECK(file.find("layer_names1") != std::string::npos);
  CHECK(file.find("layer_names2") == std::string::npos);
}

TEST_CASE("every call of a save fails once, in every way it can: the old file is there or the new one, and "
          "no litter") {
  saved_for_keras at;
  make_dense(at.out);
  CHECK(stet_test::outcome(at.out.save(at.folder.path("model.stet"))) == "ok");
  const auto opened = stet::compiled::open_any(at.folder.path("model.stet"));
  REQUIRE(opened);
  if (!opened) return;
  std::size_t fault_count = 0;
  for (const char* name : {"m.keras", "m.h5"}) {
    stet_test::temp_folder folder;
    const auto save = [&](const stet::file_operations* operations) {
      stet::keras_save_options options;
      options.operations = operations;
      return stet_test::save_keras(folder.path(name), *opened, options);
    };
    std::vector<stet_test::faulty_files::call> calls;
    {
      stet_test::faulty_files all;
      REQUIRE(save(&all.operations()));
      calls = all.calls();
    }
    const auto whole = folder.read(name);
    for (const bool is_there : {false, true}) {
      for (const auto what : {stet_test::fault::failure, stet_test::fault::late_failure, stet_test::fault::interruption,
                              stet_test::fault::short_write, stet_test::fault::no_reservation}) {
        for (std::size_t number = 0; number < calls.size(); ++number) {
          if (!stet_test::is_applicable(what, calls[number].entry)) continue;
          CAPTURE(number);
          CAPTURE(static_cast<int>(what));
          for (const std::string& each : folder.names()) CHECK(std::filesystem::remove(folder.path(each)));
          if (is_there) folder.write(name, "old");
          stet_test::faulty_files faulty(what, number, stet_test::without_syncing());
          const auto saved = save(&faulty.operations());
          const bool is_new = std::filesystem::exists(folder.path(name)) && folder.read(name) == whole;
          const bool is_survivable = what != stet_test::fault::failure && what != stet_test::fault::late_failure;
          CHECK(static_cast<bool>(saved) == (is_survivable || stet_test::is_beside_the_save(calls, number)));
          ++fault_count;
          if (saved)
            CHECK(is_new);
          else if (!is_new)
            CHECK(folder.names() == (is_there ? std::vector<std::string>{name} : std::vector<std::string>{}));
          else
            CHECK(folder.names() == std::vector<std::string>{name});
          if (is_there && !is_new) CHECK(text_of_file(folder, name) == "old");
        }
      }
    }
  }
  CHECK(fault_count > 60);
}

TEST_CASE("after a loss of power at any moment the old file is there or the new one") {
  saved_for_keras at;
  make_dense(at.out);
  CHECK(stet_test::outcome(at.out.save(at.folder.path("model.stet"))) == "ok");
  const auto opened = stet::compiled::open_any(at.folder.path("model.stet"));
  REQUIRE(opened);
  if (!opened) return;
  stet_test::temp_folder folder;
  stet_test::simulated_disk disk;
  stet::keras_save_options options;
  options.operations = &disk.operations();
  const auto save = [&] { return stet_test::save_keras(folder.path("m.keras"), *opened, options); };
  REQUIRE(save());
  const auto whole = folder.read("m.keras");
  std::size_t images = 0;
  const auto check = [&] {
    disk.after_power_loss([&](const stet_test::disk_image& image) {
      ++images;
      const auto found = image.find("m.keras");
      CHECK(found != image.end());
      if (found != image.end()) CHECK(found->second == whole);
    });
  };
  disk.before_call = check;
  REQUIRE(save());
  check();
  CHECK(images > 5);
}

TEST_SUITE_END();
