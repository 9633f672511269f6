// SPDX-License-Identifier: MIT
// Models of TensorFlow.js: weights over files, every dtype, quantization, what is said beside them, and
// attacks.
#include <stet/formats/tfjs/format.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/manifest/quantization.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("tfjs");

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

/// A folder with a model in it.
struct tfjs_folder {
  stet_test::temp_folder folder;

  stet::result<stet::model> open(std::string_view json, const stet::open_options& options = {}) const {
    return stet::compiled::open_any(folder.write("model.json", json), options);
  }
  stet::result<stet::model> open_weights(std::string_view groups, const stet::open_options& options = {}) const {
    return open(std::string(R"({"format":"graph-model","weightsManifest":)").append(groups).append("}"), options);
  }
};

template <class T> std::vector<T> values(const stet::store& store, std::string_view name) {
  const auto found = store.find(name);
  CHECK_MESSAGE(found, name);
  if (!found) return {};
  std::vector<T> made(static_cast<std::size_t>(found->element_count()));
  CHECK(stet_test::outcome(found->copy_to(std::span(made))) == "ok");
  return made;
}

std::vector<std::string> strings(const stet::store& store, std::string_view name) {
  const auto found = store.find(name);
  CHECK_MESSAGE(found, name);
  const auto made = found ? found->as_strings() : stet::result<stet::string_span>(stet::errc::not_found);
  CHECK(made);
  std::vector<std::string> all;
  for (std::size_t i = 0; made && i < made->size(); ++i) all.emplace_back((*made)[i]);
  return all;
}

} // namespace

TEST_CASE("every dtype, back to back and unaligned, as encodeWeights of TensorFlow.js writes them") {
  const tfjs_folder at;
  at.folder.write("w.bin", "\x02\0\0\0"
                           "ab\0\0\0\0\x02\0\0\0\xc3\xa9"
                           "\x01\0"
                           "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"
                           "\x01\0\0\0\xfe\xff\xff\xff"sv);
  const auto opened = at.open_weights(R"([{"paths":["w.bin"],"weights":[
    {"name":"s","shape":[3],"dtype":"string"},{"name":"b","shape":[2],"dtype":"bool"},
    {"name":"c","shape":[2],"dtype":"complex64"},{"name":"i","shape":[2],"dtype":"int32"}]}])");
  REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
  if (!opened) return;
  CHECK(opened->format == &stet::tfjs_format);
  CHECK(opened->file_count == 1);
  CHECK(strings(opened->store, "s") == std::vector<std::string>{"ab", "", "é"});
  const auto b = opened->store.find("b");
  REQUIRE(b);
  const auto flags = b->as<bool>();
  REQUIRE(flags);
  if (flags) CHECK(((*flags)[0] && !(*flags)[1]));
  CHECK(values<stet::complex64>(opened->store, "c") == std::vector<stet::complex64>{{1, 2}, {3, 4}});
  CHECK(values<std::int32_t>(opened->store, "i") == std::vector<std::int32_t>{1, -2});
  const auto c = opened->store.find("c");
  if (c) {
    CHECK(c->entry().offset_bytes() == 18);
    CHECK(stet_test::outcome(c->as<stet::complex64>()) == "misaligned");
    CHECK(c->is_in_place());
  }
}

TEST_CASE("quantized weights are their codes; what these stand for is said beside them") {
  const tfjs_folder at;
  // As files of 4, 5 and 6 bytes, so that two of three weights are cut.
  at.folder.write("1.bin", "\x00\x80\xff\x00"sv);
  at.folder.write("2.bin", "\x3c\x00\xc0\x00\x00"sv);
  at.folder.write("3.bin", "\xc0\x3f\x00\x00\x00\xc0"sv);
  const auto opened = at.open_weights(R"([{"paths":["1.bin","2.bin","3.bin"],"weights":[
    {"name":"q8","shape":[3],"dtype":"float32","quantization":{"dtype":"uint8","scale":0.5,"min":-64,"original_dtype":"float32"}},
    {"name":"h","shape":[2],"dtype":"float32","quantization":{"dtype":"float16"}},
    {"name":"f","shape":[2],"dtype":"float32","group":"optimizer"}]}])");
  REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
  if (!opened) return;
  CHECK(opened->file_count == 3);
  CHECK(values<std::uint8_t>(opened->store, "q8") == std::vector<std::uint8_t>{0, 128, 255});
  CHECK(values<float>(opened->store, "f") == std::vector<float>{1.5f, -2});
  const auto q8 = opened->store.find("q8"), h = opened->store.find("h");
  const auto described = stet::describe(*opened);
  REQUIRE(described);
  REQUIRE(q8);
  REQUIRE(h);
  if (!q8 || !h || !described) return;
  CHECK(opened->is_in_file(*q8));
  CHECK_FALSE(opened->is_in_file(*h));
  CHECK_FALSE(h->is_in_place());
  REQUIRE(described->tensors.size() == 3);
  CHECK(described->tensors[0].attributes.dump() ==
        R"({"quantization":{"scheme":"affine","dtype":"float32","scales":0.5,"min":-64.0}})");
  CHECK(described->tensors[1].attributes.dump() == R"({"quantization":{"scheme":"cast","dtype":"float32"}})");
  CHECK(described->tensors[2].attributes.dump() == R"({"group":"optimizer"})");
  const struct {
    const stet::tensor& codes;
    std::size_t note;
    std::vector<float> expected;
  } rows[] = {{*q8, 0, {-64, 0, 63.5f}}, {*h, 1, {1, -2}}};
  for (const auto& row : rows) {
    const auto how =
        stet::read_quantization(described->tensors[row.note].attributes["quantization"], row.codes, opened->store);
    REQUIRE(how);
    std::vector<float> numbers(row.expected.size());
    if (how) CHECK(stet_test::outcome(stet::dequantize(row.codes, *how, std::span(numbers))) == "ok");
    CHECK(numbers == row.expected);
  }
}

TEST_CASE("groups begin anew, files may be empty, and strings may be cut anywhere") {
  const std::string stored = "\x03\0\0\0one\x00\0\0\0\x04\0\0\0four"s;
  for (std::size_t cut = 0; cut <= stored.size(); ++cut) {
    CAPTURE(cut);
    const tfjs_folder at;
    at.folder.write("a", std::string_view(stored).substr(0, cut));
    at.folder.write("b", ""sv);
    at.folder.write("c", std::string_view(stored).substr(cut));
    at.folder.write("d", "\x07\0\0\0"sv);
    for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = backing;
      const auto opened = at.open_weights(R"([{"paths":["a","b","c"],"weights":[
        {"name":"s","shape":[3,1],"dtype":"string"},{"name":"z","shape":[0,9],"dtype":"float32"}]},
        {"paths":["d"],"weights":[{"name":"scalar","shape":[],"dtype":"int32"}]},{"paths":[],"weights":[]}])",
                                          options);
      CHECK(stet_test::outcome(opened) == "ok");
      if (!opened) continue;
      CHECK(strings(opened->store, "s") == std::vector<std::string>{"one", "", "four"});
      CHECK(values<float>(opened->store, "z").empty());
      CHECK(values<std::int32_t>(opened->store, "scalar") == std::vector<std::int32_t>{7});
    }
  }
}

TEST_CASE("a bare manifest of weights, a folder, and a file in a folder below") {
  const tfjs_folder at;
  std::filesystem::create_directory(stet_test::to_path(at.folder.path("sub")));
  at.folder.write("sub/w", "\x01"sv);
  constexpr std::string_view groups = R"([{"paths":["./sub/w"],"weights":[{"name":"w","shape":[],"dtype":"bool"}]}])";
  const auto bare = stet::compiled::open_any(at.folder.write("weights_manifest.json", groups));
  CHECK(stet_test::outcome(bare) == "ok");
  if (bare) {
    const auto described = stet::describe(*bare);
    REQUIRE(described);
    if (described) CHECK(*described == stet::model_description());
  }
  CHECK(stet_test::outcome(at.open_weights(groups)) == "ok");
  const auto folder = stet::compiled::open_any(at.folder.path());
  CHECK(stet_test::outcome(folder) == "ok");
  if (folder) CHECK(stet_test::outcome(stet::describe(*folder)) == "ok");
  std::error_code failure;
  std::filesystem::create_directory_symlink(stet_test::to_path(at.folder.path("sub")),
                                            stet_test::to_path(at.folder.path("link")), failure);
  if (!failure) {
    const auto linked = at.open_weights(R"([{"paths":["link/w"],"weights":[{"name":"w","shape":[],"dtype":"bool"}]}])");
    CHECK(stet_test::outcome(linked) == "bad_path");
    stet::open_options options;
    options.follow_links = true;
    CHECK(stet_test::outcome(at.open_weights(
              R"([{"paths":["link/w"],"weights":[{"name":"w","shape":[],"dtype":"bool"}]}])", options)) == "ok");
  }
}

TEST_CASE("a model's topology becomes its graph, with its weights") {
  const tfjs_folder at;
  at.folder.write("w.bin", std::string(24, '\0'));
  const auto layers =
      at.open(R"({"format":"layers-model","generatedBy":"test","modelTopology":{"class_name":"Sequential",
    "config":{"name":"s","layers":[{"class_name":"Dense","config":{"name":"d","units":2,"batch_input_shape":[null,2]}}]}},
    "userDefinedMetadata":{"a":1},"weightsManifest":[{"paths":["w.bin"],"weights":[
    {"name":"d/kernel","shape":[2,2],"dtype":"float32"},{"name":"d/bias","shape":[2],"dtype":"float32"}]}]})");
  REQUIRE(layers);
  if (!layers) return;
  auto described = stet::describe(*layers);
  REQUIRE_MESSAGE(described, stet_test::outcome(described));
  if (!described) return;
  REQUIRE(described->graphs.size() == 1);
  CHECK(described->graphs[0].nodes[1].variables ==
        std::vector<stet::graph_variable>{{"kernel", "d/kernel"}, {"bias", "d/bias"}});
  CHECK(described->metadata.dump() ==
        R"({"tfjs":{"format":"layers-model","generatedBy":"test","userDefinedMetadata":{"a":1}}})");

  const auto graph_model =
      at.open(R"({"format":"graph-model","signature":{"inputs":{"x":{"name":"x:0","dtype":"DT_FLOAT",
    "tensorShape":{"dim":[{"size":"-1"},{"size":"2"}]}}},"outputs":{"y":{"name":"m:0","dtype":"DT_FLOAT"}}},
    "modelTopology":{"node":[{"name":"k","op":"Const","attr":{"dtype":{"type":"DT_FLOAT"},"value":{"tensor":{"dtype":
    "DT_FLOAT","tensorShape":{"dim":[{"size":"2"},{"size":"3"}]}}}}},{"name":"x","op":"Placeholder"},
    {"name":"m","op":"MatMul","input":["x","k"]}],"versions":{"producer":1}},"modelInitializer":{"node":[]},
    "weightsManifest":[{"paths":["w.bin"],"weights":[{"name":"k","shape":[2,3],"dtype":"float32"}]}]})");
  REQUIRE(graph_model);
  if (!graph_model) return;
  described = stet::describe(*graph_model);
  REQUIRE_MESSAGE(described, stet_test::outcome(described));
  if (!described) return;
  REQUIRE(described->graphs.size() == 2);
  const stet::graph& graph = described->graphs[0];
  CHECK(stet_test::outcome(stet::check_graph(graph)) == "ok");
  CHECK(graph.nodes[0].variables == std::vector<stet::graph_variable>{{"value", "k"}});
  REQUIRE(graph.signatures.size() == 1);
  CHECK(graph.signatures[0].name == "serving_default");
  CHECK(graph.signatures[0].inputs[0].shape == std::vector<std::int64_t>{stet::unknown_extent, 2});
  CHECK(described->graphs[1].metadata["tags"].dump() == R"(["initializer"])");
}

TEST_CASE("refuses what model.json must not say") {
  const tfjs_folder at;
  at.folder.write("w.bin", std::string(8, '\0'));
  const auto weight = [](std::string_view fields) {
    return std::string(R"([{"paths":["w.bin"],"weights":[{)").append(fields).append("}]}]");
  };
  const struct {
    std::string groups;
    const char* expected;
    const char* subject;
  } rows[] = {
      {"{}", "wrong_type", "weightsManifest"},
      {"[1]", "wrong_type", "group 0"},
      {"[{}]", "missing_field", "paths of group 0"},
      {R"([{"paths":["w.bin"]}])", "missing_field", "weights of group 0"},
      {R"([{"paths":"w.bin","weights":[]}])", "wrong_type", "paths of group 0"},
      {R"([{"paths":[1],"weights":[]}])", "wrong_type", "paths of group 0"},
      {R"([{"paths":["w.bin"],"weights":{}}])", "wrong_type", "weights"},
      {R"([{"paths":["w.bin"],"weights":[3]}])", "wrong_type", "weight 0"},
      {weight(""), "missing_field", "name of weight 0"},
      {weight(R"("name":7)"), "wrong_type", "name of weight 0"},
      {weight(R"("name":"a")"), "missing_field", "shape of a"},
      {weight(R"("name":"a","shape":[2])"), "missing_field", "dtype of a"},
      {weight(R"("name":"a","shape":2,"dtype":"float32")"), "wrong_type", "shape of a"},
      {weight(R"("name":"a","shape":["2"],"dtype":"float32")"), "wrong_type", "shape of a"},
      {weight(R"("name":"a","shape":[-1],"dtype":"float32")"), "bad_number", "shape of a"},
      {weight(R"("name":"a","shape":[2.0],"dtype":"float32")"), "bad_number", "shape of a"},
      {weight(R"("name":"a","shape":[1e1],"dtype":"float32")"), "bad_number", "shape of a"},
      {weight(R"("name":"a","shape":[18446744073709551616],"dtype":"float32")"), "bad_number", ""},
      {weight(R"("name":"a","shape":[4294967296,4294967296],"dtype":"float32")"), "bad_shape", "a"},
      {weight(R"("name":"a","shape":[0,18446744073709551615,2],"dtype":"float32")"), "bad_shape", "a"},
      {weight(R"("name":"a","shape":[18446744073709551615],"dtype":"float32")"), "bad_shape", "a"},
      {weight(R"("name":"a","shape":[18446744073709551615],"dtype":"string")"), "bad_shape", "a"},
      {weight(R"("name":"a","shape":[2],"dtype":"float64")"), "unknown_dtype", "dtype of a"},
      {weight(R"("name":"a","shape":[2],"dtype":7)"), "wrong_type", "dtype of a"},
      {weight(R"("name":"a","shape":[2],"dtype":"float32","dtype":"int32")"), "duplicate_key", "dtype"},
      {weight(R"("name":"","shape":[2],"dtype":"float32")"), "bad_name", ""},
      {weight(R"("name":"a\u0000b","shape":[2],"dtype":"float32")"), "bad_name", ""},
      {weight(R"("name":"a","shape":[3],"dtype":"float32")"), "truncated", "a"},
      {weight(R"("name":"a","shape":[1],"dtype":"float32")"), "trailing_bytes", "w.bin"},
      {weight(R"("name":"a","shape":[1],"dtype":"float32"},{"name":"a","shape":[1],"dtype":"float32")"),
       "duplicate_name", "a"},
      {weight(R"("name":"a","shape":[3],"dtype":"string")"), "bad_string_table", "a"},
      {weight(R"("name":"a","shape":[1],"dtype":"string")"), "trailing_bytes", "w.bin"},
      {weight(R"("name":"a","shape":[8],"dtype":"float32","quantization":[])"), "wrong_type", "quantization of a"},
      {weight(R"("name":"a","shape":[8],"dtype":"float32","quantization":{})"), "missing_field", "dtype of a"},
      {weight(R"("name":"a","shape":[8],"dtype":"float32","quantization":{"dtype":"uint8"})"), "bad_quantization", "a"},
      {weight(R"("name":"a","shape":[8],"dtype":"float32","quantization":{"dtype":"uint8","scale":1})"),
       "bad_quantization", "a"},
      {weight(R"("name":"a","shape":[8],"dtype":"float32","quantization":{"dtype":"uint8","scale":"1","min":0})"),
       "wrong_type", "scale of a"},
      {weight(R"("name":"a","shape":[8],"dtype":"float32","quantization":{"dtype":"uint8","scale":0,"min":0})"),
       "bad_quantization", "a"},
      {weight(R"("name":"a","shape":[8],"dtype":"float32","quantization":{"dtype":"int8","scale":1,"min":0})"),
       "bad_quantization", "a"},
      {weight(R"("name":"a","shape":[8],"dtype":"bool","quantization":{"dtype":"uint8","scale":1,"min":0})"),
       "bad_quantization", "a"},
      {weight(R"("name":"a","shape":[8],"dtype":"string","quantization":{"dtype":"uint8","scale":1,"min":0})"),
       "bad_quantization", "a"},
      {weight(R"("name":"a","shape":[4],"dtype":"int32","quantization":{"dtype":"float16"})"), "bad_quantization", "a"},
      {R"([{"paths":["w.bin","w.bin"],"weights":[]}])", "duplicate_part", "w.bin"},
      {R"([{"paths":["w.bin"],"weights":[]},{"paths":["./w.bin"],"weights":[]}])", "duplicate_part", "w.bin"},
      {R"([{"paths":["none.bin"],"weights":[]}])", "missing_part", "none.bin"},
      {R"([{"paths":["none/w.bin"],"weights":[]}])", "missing_part", "none/w.bin"},
      {R"([{"paths":["w.bin/w.bin"],"weights":[]}])", "bad_path", "w.bin/w.bin"},
      {R"([{"paths":["model.json"],"weights":[]}])", "bad_path", "model.json"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.groups);
    const auto opened = at.open_weights(row.groups);
    CHECK(stet_test::outcome(opened) == row.expected);
    if (!opened && *row.subject != 0) CHECK(opened.error().subject() == row.subject);
  }
  for (const char* path : {"", ".", "..", "../w.bin", "/etc/passwd", "a/../w.bin", "a//w.bin", "w.bin/", "http://x/w",
                           "C:\\\\w", "\\\\\\\\?\\\\x", "a\\u0000b", "w\\n", "./", "./../w.bin"}) {
    CAPTURE(path);
    const auto opened = at.open_weights(std::string(R"([{"paths":[")").append(path).append(R"("],"weights":[]}])"));
    CHECK(stet_test::outcome(opened) == "bad_path");
  }
  CHECK(stet_test::outcome(at.open(R"({"modelTopology":{}})")) == "missing_field");
  CHECK(stet_test::outcome(at.open(R"({"modelTopology":)" + std::string(100000, '['))) == "too_deep");
  CHECK(stet_test::outcome(at.open(R"({"modelTopology":{}, "weightsManifest":[)")) == "bad_json");
}

TEST_CASE("files that are links, or lie about strings") {
  const tfjs_folder at;
  at.folder.write("w.bin", "\xff\xff\xff\xff"
                           "aaaa"sv);
  CHECK(stet_test::outcome(at.open_weights(
            R"([{"paths":["w.bin"],"weights":[{"name":"a","shape":[1],"dtype":"string"}]}])")) == "bad_string_table");
  CHECK(stet_test::outcome(at.open_weights(
            R"([{"paths":["w.bin"],"weights":[{"name":"a","shape":[1000000000000],"dtype":"string"}]}])")) ==
        "bad_string_table");
  std::error_code failure;
  std::filesystem::create_symlink(stet_test::to_path(at.folder.path("w.bin")),
                                  stet_test::to_path(at.folder.path("link.bin")), failure);
  if (!failure) CHECK(stet_test::outcome(at.open_weights(R"([{"paths":["link.bin"],"weights":[]}])")) == "bad_path");
}

TEST_CASE("no prefix of a model and no changed byte does any harm") {
  constexpr std::string_view json =
      R"({"format":"layers-model","modelTopology":{"class_name":"Model","config":{"name":"m","layers":[)"
      R"({"class_name":"InputLayer","config":{"batch_input_shape":[null,1],"name":"x"},"name":"x","inbound_nodes":[]},)"
      R"({"class_name":"D","config":{"name":"d"},"name":"d","inbound_nodes":[[["x",0,0,{}]]]}],)"
      R"("input_layers":[["x",0,0]],"output_layers":[["d",0,0]]}},"weightsManifest":[{"paths":["w"],"weights":[)"
      R"({"name":"d/k","shape":[1],"dtype":"string"},{"name":"q","shape":[2],"dtype":"float32",)"
      R"("quantization":{"dtype":"uint8","scale":1,"min":0}}]}]})";
  const tfjs_folder at;
  at.folder.write("w", "\x01\0\0\0abc"sv);
  REQUIRE(at.open(json));
  std::size_t opened_count = 0;
  const auto attempt = [&](const std::string& text) {
    // Through the format itself: the front door may say that it is no format at all.
    const std::string path = at.folder.write("model.json", text);
    const auto opened = stet::open_as(stet::tfjs_format, path, {});
    if (opened) {
      ++opened_count;
      (void)stet::describe(*opened);
    }
  };
  for (std::size_t size = 0; size < json.size(); ++size) {
    attempt(std::string(json.substr(0, size)));
    CHECK(opened_count == 0);
  }
  for (std::size_t place = 0; place < json.size(); ++place) {
    for (const char byte : {'\0', '"', '[', '9', '\x80'}) {
      std::string changed(json);
      changed[place] = byte;
      attempt(changed);
    }
  }
  CHECK(opened_count > 0);
}

TEST_CASE("real models: every graph is sound, and says the topology that was read") {
  const char* const samples = std::getenv("STET_SAMPLES");
  if (samples == nullptr || *samples == 0) {
    MESSAGE("skipped: no folder of samples");
    return;
  }
  std::size_t model_count = 0;
  for (const char* const folder : {"tfjs", "made/tfjs"}) {
    std::error_code failure;
    for (std::filesystem::recursive_directory_iterator
             at(stet_test::to_path(std::string(samples) + "/" + folder), failure),
         end;
         at != end; at.increment(failure)) {
      const std::string path = stet_test::to_utf8(at->path());
      if (at->path().extension() != ".json") continue;
      CAPTURE(path);
      const auto opened = stet::compiled::open_any(path);
      CHECK_MESSAGE(opened, stet_test::outcome(opened));
      if (!opened) continue;
      CHECK(opened->format == &stet::tfjs_format);
      const auto described = stet::describe(*opened);
      CHECK_MESSAGE(described, stet_test::outcome(described));
      if (!described) continue;
      ++model_count;
      const auto json = stet::detail::read_tfjs_model(stet::format_probe(path));
      REQUIRE(json);
      if (!json) continue;
      for (const stet::graph& graph : described->graphs) {
        stet::graph_rules rules = stet::tensorflow_graph_rules();
        rules.has_variable = [&](std::string_view name) { return opened->store.contains(name); };
        const auto sound = stet::check_graph(graph, rules);
        CHECK_MESSAGE(sound, sound.error().subject());
        const auto again = stet::graph_from_json(stet::graph_to_json(graph));
        CHECK(again);
        if (again) CHECK(*again == graph);
      }
      const stet::json_value* topology = stet::detail::find_member(json->fields, "modelTopology");
      if (topology == nullptr || described->graphs.empty()) continue;
      std::size_t named = 0;
      for (const stet::graph_node& node : described->graphs[0].nodes) named += node.variables.size();
      for (const stet::graph_function& function : described->graphs[0].functions) {
        for (const stet::graph_node& node : function.nodes) named += node.variables.size();
      }
      std::size_t unnamed = described->graphs[0].nodes.empty() ? opened->store.tensor_count() : 0;
      for (const stet::tensor_note& note : described->tensors)
        unnamed += note.attributes.contains("group");                          // the optimizer's
      for (std::size_t i = 1; i < described->graphs.size(); ++i) unnamed += 2; // the keys and values of a table
      constexpr std::size_t left_over = 4; // of constants that the converter took out of one graph
      CHECK(named + unnamed + left_over >= opened->store.tensor_count());
      const bool is_graph_model = topology->contains("node");
      const auto written =
          is_graph_model ? stet::graph_to_graph_def(described->graphs[0]) : stet::graph_to_keras(described->graphs[0]);
      REQUIRE(written);
      if (!written) continue;
      nlohmann::json expected(topology->contains("model_config") ? (*topology)["model_config"] : *topology);
      nlohmann::json made(written->contains("model_config") ? (*written)["model_config"] : *written);
      if (is_graph_model) {
        for (auto& node : expected["node"]) { // "x:0" says the same as "x"
          for (auto& input : node["input"])
            input = stet::detail::text_of_endpoint(stet::detail::endpoint_of_text(input.get<std::string>(), false));
          if (node["input"].is_null()) node.erase("input");
          if (node.contains("attr") && node["attr"].empty()) node.erase("attr");
        }
        if (expected.contains("library") && expected["library"].empty()) expected.erase("library");
        CHECK(made["node"] == expected["node"]);
      } else {
        if (expected["config"].is_array()) { // Keras 1, which gave Sequential models no name
          expected["config"] = {{"layers", expected["config"]}};
          made["config"].erase("name");
        }
        for (auto& layer : made["config"]["layers"])
          layer.erase("name"); // Sequential models of some versions have it in the config alone
        for (auto& layer : expected["config"]["layers"]) layer.erase("name");
        CHECK(made["config"] == expected["config"]);
      }
    }
  }
  CHECK(model_count >= 20);
}

TEST_SUITE_END();
