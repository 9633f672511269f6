// SPDX-License-Identifier: MIT
// Models saved for TensorFlow.js and opened again: names, dtypes, quantization, shards, and what a failure
// leaves.
#include <stet/formats/compiled.hpp>
#include <stet/formats/tfjs/save.hpp>

#include "support/save_model.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("save_tfjs");

namespace {

/// A model in a native file, saved for TensorFlow.js beside it.
struct saved_for_tfjs {
  stet_test::temp_folder folder, memory;
  stet::writer out;

  stet::result<stet::tfjs_save_report> save(const stet::tfjs_save_options& options = {}) {
    const std::string path = folder.path("model.stet");
    CHECK(stet_test::outcome(out.save(path)) == "ok");
    const auto opened = stet::compiled::open_any(path);
    CHECK(opened);
    if (!opened) return opened.error();
    auto made = stet_test::save_tfjs(folder.path("model.json"), *opened, options);
    // From memory, without a file first, comes the same.
    const auto from_memory = stet::save_tfjs(memory.path("model.json"), out, options);
    CHECK(stet_test::outcome(from_memory) == stet_test::outcome(made));
    if (!made && !from_memory) {
      std::string subject(from_memory.error().subject());
      if (subject.starts_with(memory.path())) subject.replace(0, memory.path().size(), folder.path());
      CHECK(subject == made.error().subject());
    }
    for (const std::string& each : memory.names()) CHECK((memory.read(each) == folder.read(each)));
    return made;
  }
  stet::result<stet::model> open() const { return stet::compiled::open_any(folder.path("model.json")); }
  stet::json_value json() const {
    const auto bytes = folder.read("model.json");
    auto parsed = stet::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    CHECK(parsed);
    return parsed ? std::move(*parsed) : stet::json_value();
  }
};

template <class T> std::vector<T> tfjs_values(const stet::store& store, std::string_view name) {
  const auto found = store.find(name);
  CHECK_MESSAGE(found, name);
  std::vector<T> made(found ? static_cast<std::size_t>(found->element_count()) : 0);
  if (found) CHECK_MESSAGE(stet_test::outcome(found->copy_to(std::span(made))) == "ok", name);
  return made;
}

stet::graph dense_graph() {
  stet::graph graph;
  graph.add("x", "Placeholder");
  graph.add("d", "Dense", {"x"}, {{"units", 2}}, {{"kernel", "layer one/W"}, {"bias", "layer one/b"}});
  graph.inputs = {{"x", "x", stet::dtype::float32, {{3}}}};
  graph.outputs = {{"y", "d", std::nullopt, std::nullopt}};
  return graph;
}

} // namespace

TEST_CASE("every dtype that TensorFlow.js has, or that becomes one") {
  saved_for_tfjs at;
  const std::vector<float> f32{1.5f, -2};
  const std::vector<std::int32_t> i32{7, -7};
  const std::vector<stet::complex64> c64{{1, 2}};
  const std::vector<stet::float16> f16{stet::float16(0.5f), stet::float16(-0.0f)};
  const std::vector<stet::bfloat16> bf16{stet::bfloat16(3.0f)};
  const std::vector<std::int8_t> i8{-128, 127};
  const std::vector<std::int64_t> i64{INT32_MIN, INT32_MAX};
  const std::vector<std::uint32_t> u32{0, INT32_MAX};
  const std::vector<stet::uint4> u4{stet::uint4(15), stet::uint4(3), stet::uint4(1)};
  const bool flags[] = {true, false, true};
  const std::vector<std::string_view> words{"ab", "", "é"};
  at.out.add("f32", f32, {2});
  at.out.add("bool", flags, {3});
  at.out.add("i32", i32, {1, 2});
  at.out.add("c64", c64, {});
  at.out.add("f16", f16, {2});
  at.out.add("bf16", bf16, {1});
  at.out.add("i8", i8, {2});
  at.out.add("i64", i64, {2});
  at.out.add("u32", u32, {2});
  at.out.add("u4", u4, {3});
  at.out.add("words", words, {3});
  at.out.add("none", std::span<const float>(), {0, 4});
  at.out.add_alias("tied", "f32");
  const auto saved = at.save();
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (!saved) return;
  CHECK(saved->shard_count == 1);
  CHECK(saved->kind.empty());
  const auto opened = at.open();
  REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
  if (!opened) return;
  const stet::store& store = opened->store;
  CHECK(tfjs_values<float>(store, "f32") == f32);
  CHECK(tfjs_values<float>(store, "tied") == f32);
  CHECK(tfjs_values<std::int32_t>(store, "i32") == i32);
  CHECK(tfjs_values<stet::complex64>(store, "c64") == c64);
  CHECK(tfjs_values<stet::float16>(store, "f16") == f16);
  CHECK(tfjs_values<float>(store, "bf16") == std::vector<float>{3});
  CHECK(tfjs_values<std::int32_t>(store, "i8") == std::vector<std::int32_t>{-128, 127});
  CHECK(tfjs_values<std::int32_t>(store, "i64") == std::vector<std::int32_t>{INT32_MIN, INT32_MAX});
  CHECK(tfjs_values<std::int32_t>(store, "u32") == std::vector<std::int32_t>{0, INT32_MAX});
  CHECK(tfjs_values<std::int32_t>(store, "u4") == std::vector<std::int32_t>{15, 3, 1});
  CHECK(tfjs_values<float>(store, "none").empty());
  const auto found = store.find("words");
  REQUIRE(found);
  const auto strings = found->as_strings();
  REQUIRE(strings);
  if (strings) CHECK(((*strings)[0] == "ab" && (*strings)[1].empty() && (*strings)[2] == "é"));
  CHECK(
      at.json()["weightsManifest"][0]["weights"][4].dump() ==
      R"({"name":"f16","shape":[2],"dtype":"float32","quantization":{"dtype":"float16","original_dtype":"float32"}})");
}

TEST_CASE("codes stay codes where TensorFlow.js can read them, else they are numbers") {
  saved_for_tfjs at;
  const std::vector<std::uint8_t> u8{0, 255, 3, 4};
  const std::vector<std::int8_t> i8{-1, 1};
  at.out.add("affine", u8, {4}, stet::json_value{{"quantization", {{"scales", 0.5}, {"min", -1.5}}}});
  at.out.add("by axis", u8, {2, 2}, stet::json_value{{"quantization", {{"scales", {1, 2}}, {"axis", 1}}}});
  at.out.add("signed", i8, {2}, stet::json_value{{"quantization", {{"scales", 0.25}, {"zero_points", 1}}}});
  const auto saved = at.save();
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  const auto opened = at.open();
  REQUIRE(opened);
  if (!opened) return;
  CHECK(tfjs_values<std::uint8_t>(opened->store, "affine") == u8);
  CHECK(tfjs_values<float>(opened->store, "by axis") == std::vector<float>{0, 510, 3, 8});
  CHECK(tfjs_values<float>(opened->store, "signed") == std::vector<float>{-0.5f, 0});
  CHECK(at.json()["weightsManifest"][0]["weights"][0]["quantization"].dump() ==
        R"({"dtype":"uint8","scale":0.5,"min":-1.5,"original_dtype":"float32"})");
}

TEST_CASE("a graph of layers is a topology: weights by their layers, the rest in the optimizer's group") {
  saved_for_tfjs at;
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  at.out.add("layer one/W", numbers, {3, 2});
  at.out.add("layer one/b", std::span<const float>(numbers).first(2), {2});
  at.out.add("moment", std::span<const float>(numbers).first(2), {2});
  at.out.graph = stet::graph_to_json(dense_graph());
  at.out.metadata = stet::json_value{{"author", "me"}};
  const auto saved = at.save();
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (saved) CHECK(saved->kind == "layers-model");
  const stet::json_value json = at.json();
  CHECK(json["format"] == "layers-model");
  CHECK(json["modelTopology"]["class_name"] == "Sequential");
  CHECK(json["userDefinedMetadata"].dump() == R"({"author":"me"})");
  const auto& weights = json["weightsManifest"][0]["weights"];
  CHECK(weights[0]["name"] == "d/kernel");
  CHECK(weights[1]["name"] == "d/bias");
  CHECK(weights[2].dump() == R"({"name":"moment","shape":[2],"dtype":"float32","group":"optimizer"})");

  // Saved again from what was opened, it says the same.
  const auto opened = at.open();
  REQUIRE(opened);
  if (!opened) return;
  const auto again = stet_test::save_tfjs(at.folder.path("again.json"), *opened);
  REQUIRE_MESSAGE(again, stet_test::outcome(again));
  const auto bytes = at.folder.read("again.json");
  const auto parsed = stet::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  REQUIRE(parsed);
  if (parsed) {
    CHECK((*parsed)["modelTopology"]["config"]["layers"] == json["modelTopology"]["config"]["layers"]);
    CHECK((*parsed)["weightsManifest"][0]["weights"] == weights);
  }
}

TEST_CASE("a frozen graph of TensorFlow is a graph model; one with variables is not") {
  stet::graph graph;
  graph.add("k", "Const", {}, {{"dtype", {{"type", "DT_FLOAT"}}}}, {{"value", "the kernel"}});
  graph.add("x", "Placeholder");
  graph.add("y", "MatMul", {"x", "k"});
  graph.metadata = {{"tensorflow", {{"versions", {{"producer", 1645}}}}}};
  graph.signatures.push_back(
      {"serving_default", {{"in", "x", stet::dtype::float32, {{-1, 2}}}}, {{"out", "y", {}, {}}}, {}});
  saved_for_tfjs at;
  const std::vector<float> numbers{1, 2};
  at.out.add("the kernel", numbers, {2, 1});
  at.out.graph = stet::graph_to_json(graph);
  auto saved = at.save();
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (saved) CHECK(saved->kind == "graph-model");
  const stet::json_value json = at.json();
  CHECK(json["weightsManifest"][0]["weights"][0]["name"] == "k");
  CHECK(json["modelTopology"]["node"][2].dump() == R"({"name":"y","op":"MatMul","input":["x","k"]})");
  CHECK(json["signature"]["inputs"]["in"]["name"] == "x:0");
  const auto opened = at.open();
  REQUIRE(opened);

  graph.add("v", "VarHandleOp");
  at.out.graph = stet::graph_to_json(graph);
  saved = at.save();
  REQUIRE(saved);
  if (saved) CHECK(saved->kind.empty());
  CHECK_FALSE(at.json().contains("modelTopology"));
}

TEST_CASE("shards of any size, and the same bytes every time") {
  const auto bytes = stet_test::pattern(1000);
  for (const std::uint64_t shard_size : {1u, 3u, 999u, 1000u, 1001u}) {
    CAPTURE(shard_size);
    saved_for_tfjs at;
    at.out.add("a", std::span(reinterpret_cast<const std::int8_t*>(bytes.data()), 999), {999},
               stet::json_value{{"quantization", {{"scales", 1}}}}); // int8 codes: saved as numbers
    at.out.add("codes", std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), 1000), {1000},
               stet::json_value{{"quantization", {{"scales", 1}}}});
    stet::tfjs_save_options options;
    options.shard_size_bytes = shard_size == 1 ? 7 : shard_size;
    options.is_durable = false;
    const auto saved = at.save(options);
    REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
    if (!saved) continue;
    constexpr std::uint64_t total = 999 * 4 + 1000;
    CHECK(saved->shard_count == (total + options.shard_size_bytes - 1) / options.shard_size_bytes);
    const auto opened = at.open();
    REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
    if (!opened) continue;
    const auto codes = tfjs_values<std::uint8_t>(opened->store, "codes");
    CHECK(std::equal(codes.begin(), codes.end(), reinterpret_cast<const std::uint8_t*>(bytes.data())));
    CHECK(tfjs_values<float>(opened->store, "a")[5] == static_cast<float>(static_cast<std::int8_t>(bytes[5])));
    const auto names = at.folder.names();
    CHECK(at.save(options));
    CHECK(at.folder.names() == names);
  }
}

TEST_CASE("saving over a model removes its files, and only those; no tensors are one empty file") {
  saved_for_tfjs at;
  const std::vector<float> numbers{1, 2};
  at.out.add("a", numbers, {2});
  at.folder.write("model-unrelated.bin", "keep me");
  CHECK(at.save());
  const auto first = at.folder.names();
  CHECK(first.size() == 4);
  saved_for_tfjs other;
  CHECK(stet_test::outcome(other.out.save(other.folder.path("empty.stet"))) == "ok");
  const auto empty = stet::compiled::open_any(other.folder.path("empty.stet"));
  REQUIRE(empty);
  if (!empty) return;
  const auto saved = stet_test::save_tfjs(at.folder.path("model.json"), *empty);
  CHECK_MESSAGE(saved, stet_test::outcome(saved));
  const auto second = at.folder.names();
  CHECK(second.size() == 4);
  CHECK(second != first);
  const auto opened = at.open();
  CHECK_MESSAGE(opened, stet_test::outcome(opened));
  if (opened) CHECK(opened->store.tensor_count() == 0);
}

TEST_CASE("files that the replaced model.json lists are removed only if a save to this path wrote them") {
  const std::vector<float> one{1, 2}, other{3, 4};
  const auto manifest_of = [](const std::string& name) {
    return R"({"weightsManifest":[{"paths":[")" + name + R"("],"weights":[]}]})";
  };
  saved_for_tfjs at;
  at.out.add("a", one, {2});
  REQUIRE(at.save());
  const std::string own = at.json()["weightsManifest"][0]["paths"][0].get<std::string>();
  const auto own_bytes = at.folder.read(own);

  // A foreign file of a name that looks like one.
  const std::string foreign = "model-00000-of-00001-89abcdef.bin";
  at.folder.write(foreign, "keep me");
  at.folder.write("model.json", manifest_of(foreign));
  REQUIRE(at.save());
  CHECK(at.folder.read(foreign).size() == 7);

  // A file of this very name, whose content is another by now.
  at.folder.write("model.json", manifest_of(own));
  at.folder.write(own, "keep me");
  saved_for_tfjs changed;
  changed.out.add("a", other, {2});
  CHECK(stet_test::outcome(changed.out.save(changed.folder.path("model.stet"))) == "ok");
  const auto model = stet::compiled::open_any(changed.folder.path("model.stet"));
  REQUIRE(model);
  if (!model) return;
  const auto save_other = [&](const char* name) {
    return stet_test::outcome(stet_test::save_tfjs(at.folder.path(name), *model));
  };
  CHECK(save_other("model.json") == "ok");
  CHECK(at.folder.read(own).size() == 7);

  // Its own file, listed by a copy of its model.json under another name.
  at.folder.write(own, own_bytes);
  at.folder.write("copy.json", manifest_of(own));
  CHECK(save_other("copy.json") == "ok");
  CHECK(at.folder.read(own) == own_bytes);

  // And at last its own, listed by its own.
  at.folder.write("model.json", manifest_of(own));
  CHECK(save_other("model.json") == "ok");
  const auto names = at.folder.names();
  CHECK(std::find(names.begin(), names.end(), own) == names.end());
}

TEST_CASE("a layer that TensorFlow.js does not have is refused by its name, and its weights alone are saved") {
  saved_for_tfjs at;
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  at.out.add("g/gamma", std::span<const float>(numbers).first(2), {2});
  stet::graph graph;
  graph.add("x", "Placeholder");
  graph.add("g", "GroupNormalization", {"x"}, {}, {{"gamma", "g/gamma"}});
  graph.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
  graph.outputs = {{"y", "g", std::nullopt, std::nullopt}};
  at.out.graph = stet::graph_to_json(graph);
  const auto refused = at.save();
  CHECK(stet_test::outcome(refused) == "not_expressible");
  if (!refused) CHECK(refused.error().subject() == "layer g (GroupNormalization): can be saved as tfjs-weights");
  CHECK(at.folder.names() == std::vector<std::string>{"model.stet"});
  stet::tfjs_save_options options;
  options.weights_only = true;
  const auto saved = at.save(options);
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (saved) CHECK(saved->kind.empty());
  CHECK_FALSE(at.json().contains("modelTopology"));
  CHECK(at.json()["weightsManifest"][0]["weights"][0]["name"] == "g/gamma");
}

TEST_CASE("a model of TensorFlow.js with a class that a program registers stays what it is") {
  stet_test::temp_folder folder;
  folder.write("model.json",
               R"({"format":"layers-model","modelTopology":{"class_name":"Sequential","config":{"name":"s","layers":[)"
               R"({"class_name":"Mine","config":{"name":"m","batch_input_shape":[null,2]}}]}},)"
               R"("weightsManifest":[{"paths":["w"],"weights":[{"name":"m/own","shape":[1],"dtype":"float32"}]}]})");
  folder.write("w", std::string_view("\0\0\x80\x3f", 4));
  const auto opened = stet::compiled::open_any(folder.path("model.json"));
  REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
  if (!opened) return;
  const auto saved = stet_test::save_tfjs(folder.path("again.json"), *opened);
  REQUIRE_MESSAGE(saved, stet_test::outcome(saved));
  if (saved) CHECK(saved->kind == "layers-model");
}

TEST_CASE("what the reader would refuse is not saved") {
  saved_for_tfjs at;
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  at.out.add("layer one/W", numbers, {3, 2});
  at.out.add("layer one/b", std::span<const float>(numbers).first(2), {2});
  at.out.graph = stet::graph_to_json(dense_graph());
  const auto refused = [&](const char* expected) {
    const auto saved = at.save();
    CHECK(stet_test::outcome(saved) == expected);
    CHECK(at.folder.names() == std::vector<std::string>{"model.stet"});
  };

  // Two weights of one name: that of the layer's, and a tensor that is called so.
  at.out.add("d/kernel", std::span<const float>(numbers).first(2), {2});
  refused("duplicate_name");
}

TEST_CASE("the text is checked with the limits of the reader") {
  const std::string text =
      R"({"modelTopology":{"class_name":"Sequential","config":{"layers":[]}},)"
      R"("weightsManifest":[{"paths":["w"],"weights":[{"name":"a","shape":[1],"dtype":"float32"}]}]})";
  for (const std::uint64_t less : {0u, 1u}) {
    stet::manifest_limits limits;
    limits.size_bytes = text.size() - less;
    CHECK(stet_test::outcome(stet::detail::check_tfjs_text(text, limits)) == (less == 0 ? "ok" : "too_large"));
  }
  const auto named = [](const std::string& name) {
    return stet_test::outcome(
        stet::detail::check_tfjs_text(R"({"weightsManifest":[{"paths":["w"],"weights":[{"name":")" + name +
                                      R"(","shape":[1],"dtype":"float32"}]}]})"));
  };
  CHECK(named(std::string(65535, 'n')) == "ok");
  CHECK(named(std::string(65536, 'n')) == "bad_name");
  CHECK(named("") == "bad_name");
  // Models within models, as deep as a reader follows, and deeper.
  const auto nested = [](std::size_t depth) {
    std::string model = R"({"class_name":"Sequential","config":{"layers":[]}})";
    for (std::size_t i = 0; i < depth; ++i)
      model = R"({"class_name":"Sequential","config":{"name":"m","layers":[)" + model + "]}}";
    return stet_test::outcome(stet::detail::check_tfjs_text(R"({"weightsManifest":[],"modelTopology":)" + model + "}"));
  };
  CHECK(nested(3) == "ok");
  CHECK(nested(500) == "too_deep");
}

TEST_CASE("a failure says which tensor, and leaves the folder as it was") {
  const std::vector<double> f64{0.1};
  const std::vector<std::int64_t> i64{std::int64_t{INT32_MAX} + 1};
  const std::vector<std::uint64_t> u64{~std::uint64_t{0}};
  const struct {
    const char* expected;
    void (*add)(stet::writer& out, const std::vector<double>&, const std::vector<std::int64_t>&,
                const std::vector<std::uint64_t>&);
  } rows[] = {
      {"not_convertible", [](stet::writer& out, const auto& f, const auto&, const auto&) { out.add("t", f, {1}); }},
      {"bad_value", [](stet::writer& out, const auto&, const auto& i, const auto&) { out.add("t", i, {1}); }},
      {"bad_value", [](stet::writer& out, const auto&, const auto&, const auto& u) { out.add("t", u, {1}); }},
  };
  for (const auto& row : rows) {
    saved_for_tfjs at;
    row.add(at.out, f64, i64, u64);
    const auto saved = at.save();
    CHECK(stet_test::outcome(saved) == row.expected);
    if (!saved) CHECK(saved.error().subject() == "t");
    CHECK(at.folder.names() == std::vector<std::string>{"model.stet"});
  }
  saved_for_tfjs rounded;
  rounded.out.add("t", f64, {1});
  stet::tfjs_save_options options;
  options.allow_rounding = true;
  CHECK(rounded.save(options));
  const auto opened = rounded.open();
  REQUIRE(opened);
  if (opened) CHECK(tfjs_values<float>(opened->store, "t") == std::vector<float>{0.1f});

  options.shard_size_bytes = 0;
  CHECK(stet_test::outcome(rounded.save(options)) == "invalid_argument");
  const auto native = stet::compiled::open_any(rounded.folder.path("model.stet"));
  REQUIRE(native);
  if (!native) return;
  options = {};
  options.allow_rounding = true;
  const std::string from = rounded.folder.path("model.stet");
  CHECK(stet_test::outcome(stet_test::save_tfjs(rounded.folder.path("none/model.json"), *native, options)) ==
        "file_not_found");
  CHECK(stet_test::outcome(stet_test::save_tfjs("", *native, options)) == "bad_path");
}

TEST_CASE("damage in the model that is saved is found on the way") {
  saved_for_tfjs at;
  const std::vector<float> numbers(100, 1.0f);
  at.out.add("t", numbers, {100});
  CHECK(stet_test::outcome(at.out.save(at.folder.path("model.stet"))) == "ok");
  auto bytes = at.folder.read("model.stet");
  bytes[bytes.size() - 1 - stet::tail_padding_bytes] ^= std::byte{1};
  at.folder.write("model.stet", bytes);
  const auto opened = stet::compiled::open_any(at.folder.path("model.stet"));
  REQUIRE(opened);
  if (!opened) return;
  const auto saved = stet_test::save_tfjs(at.folder.path("model.json"), *opened);
  CHECK(stet_test::outcome(saved) == "checksum_mismatch");
  CHECK(at.folder.names() == std::vector<std::string>{"model.stet"});
}

TEST_SUITE_END();
