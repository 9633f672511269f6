// SPDX-License-Identifier: MIT
// TFLite models as a format: what is recognised, bundles, what cannot be in a store, graphs, notes and metadata.
#include <stet/formats/tflite/format.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"
#include "support/tflite_files.hpp"
#include "support/thinned.hpp"
#include "support/zip_archives.hpp"

#include <stet/formats/check_model.hpp>
#include <stet/manifest/graph_link.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::string_literals;
using namespace stet_test;

stet::result<stet::model> open_as_tflite(const std::string& path) { return stet::open_as(stet::tflite_format, path); }

/// The description of a model that opens.
stet::model_description described_tflite(const std::string& bytes) {
  const temp_folder folder;
  const auto model = open_as_tflite(folder.write("m.tflite", bytes));
  REQUIRE(model);
  auto made = stet::describe(*model);
  REQUIRE(made);
  for (const stet::graph& each : made->graphs) CHECK(outcome(stet::check_graph(each)) == "ok");
  return std::move(*made);
}

tflite_model_file quantized_tflite_model(tflite_tensor tensor, std::string bytes) {
  tflite_model_file made;
  tensor.buffer = 1;
  made.subgraphs = {{{std::move(tensor)}}};
  made.buffers = {std::move(bytes)};
  return made;
}

/// The attributes of the first tensor that has any, as text.
std::string first_note(const tflite_model_file& model) {
  const stet::model_description made = described_tflite(model.bytes());
  return made.tensors.empty() ? "none" : made.tensors.front().name + " " + made.tensors.front().attributes.dump();
}

} // namespace

TEST_SUITE("formats/tflite/format") {
  TEST_CASE("a model is recognised by its identifier, and a bundle by a stored member") {
    const temp_folder folder;
    const auto is = [&](const stet::format& of, const std::string& bytes) {
      const std::string path = folder.write("m", bytes);
      stet::format_probe probe(path);
      return of.recognises(probe);
    };
    const std::string model = dense_tflite_model().bytes();
    CHECK(is(stet::tflite_format, model));
    CHECK(is(stet::tflite_format, model + "PK\5\6"));
    CHECK_FALSE(is(stet::tflite_format, model.substr(0, 7)));
    CHECK_FALSE(is(stet::tflite_format, ""));
    const std::string bundle = made_archive{{{"a.tflite", model}, {"notes.txt", "abc"}}}.bytes();
    CHECK(is(stet::tflite_bundle_format, bundle));
    CHECK_FALSE(is(stet::tflite_format, bundle));
    CHECK_FALSE(is(stet::tflite_bundle_format, made_archive{{{"notes.txt", "abc"}}}.bytes()));
    CHECK_FALSE(is(stet::tflite_bundle_format, bundle.substr(0, bundle.size() - 1)));
  }

  TEST_CASE("the names without numbers are second names") {
    const temp_folder folder;
    const auto model = open_as_tflite(folder.write("m.tflite", dense_tflite_model().bytes()));
    REQUIRE(model);
    CHECK(model->file_count == 1);
    CHECK_FALSE(model->is_second_name(*model->store.find("0:1:dense/w")));
    CHECK(model->is_second_name(*model->store.find("dense/w")));
    CHECK(model->is_in_file(*model->store.find("0:1:dense/w")));
  }

  TEST_CASE("a bundle has the tensors of its models in place, and the checksums of their members") {
    const temp_folder folder;
    const std::string bytes = made_archive{
        {{"one", dense_tflite_model().bytes()},
         {"two", dense_tflite_model().bytes()},
         {"x", "y"}}}.bytes();
    const auto model = stet::open_as(stet::tflite_bundle_format, folder.write("m.task", bytes));
    REQUIRE(model);
    CHECK(model->store.tensor_count() == 8);
    const auto w = model->store.find("two/0:1:dense/w");
    REQUIRE(w);
    CHECK(w->bytes().data() > model->store.find("one/0:1:dense/w")->bytes().data());
    CHECK(model->store.find("two/dense/w")->bytes().data() == w->bytes().data());
    CHECK(model->checks.size() == 2);
    CHECK(model->checks[1].name == "two");
    const auto made = stet::describe(*model);
    REQUIRE(made);
    CHECK(made->graphs.size() == 2);
    CHECK(made->graphs[1].metadata.dump() == R"({"tflite":{"subgraph":0,"name":"main","model":"two"}})");
    CHECK(made->metadata["tflite"]["two"]["description"] == "made");

    std::string damaged = dense_tflite_model().bytes();
    damaged.resize(damaged.size() / 2);
    const auto broken =
        stet::open_as(stet::tflite_bundle_format, folder.write("b.task", made_archive{{{"one", damaged}}}.bytes()));
    REQUIRE_FALSE(broken);
    CHECK(broken.error().code() == stet::errc::truncated);
    CHECK(broken.error().subject().find("one/") != std::string_view::npos);
  }

  TEST_CASE("what the store cannot have is omitted, with the reason") {
    const temp_folder folder;
    tflite_tensor external{"e", {3}};
    external.external_buffer = 7;
    tflite_model_file model;
    model.subgraphs = {{{external, {"r", {1}, tflite_resource, 1}}}};
    model.buffers = {"1234"};
    const auto opened = open_as_tflite(folder.write("m.tflite", model.bytes()));
    REQUIRE(opened);
    REQUIRE(opened->omitted.size() == 2);
    CHECK(opened->omitted[0].name == "0:0:e");
    CHECK(opened->omitted[0].reason.code() == stet::errc::external_data);
    CHECK(opened->omitted[1].name == "0:1:r");
    CHECK(opened->omitted[1].reason.code() == stet::errc::unknown_dtype);
  }

  TEST_CASE("operators, ports and signatures are a graph") {
    const stet::model_description made = described_tflite(dense_tflite_model().bytes());
    REQUIRE(made.graphs.size() == 1);
    const stet::graph& graph = made.graphs[0];
    REQUIRE(graph.nodes.size() == 2);
    CHECK(graph.nodes[0].name == "0:x");
    CHECK(graph.nodes[0].op == "Placeholder");
    const stet::graph_node& dense = graph.nodes[1];
    CHECK(dense.name == "3:y");
    CHECK(dense.op == "FULLY_CONNECTED");
    CHECK(dense.inputs == std::vector<stet::graph_endpoint>{"0:x"});
    CHECK(dense.variables == std::vector<stet::graph_variable>{{"1", "0:1:dense/w"}, {"2", "0:2:dense/b"}});
    CHECK(dense.attributes.dump() == R"({"fused_activation_function":"RELU","weights_format":0,"keep_num_dims":true,)"
                                     R"("asymmetric_quantize_inputs":false,"quantized_bias_type":"FLOAT32",)"
                                     R"("tensors":{"inputs":[0,1,2],"outputs":[3]}})");
    REQUIRE(graph.inputs.size() == 1);
    CHECK(graph.inputs[0].name == "x");
    CHECK(graph.inputs[0].dtype == stet::dtype::float32);
    CHECK(graph.inputs[0].shape == std::vector<std::int64_t>{1, 2});
    REQUIRE(graph.outputs.size() == 1);
    CHECK(graph.outputs[0].endpoint == stet::graph_endpoint("3:y"));
    REQUIRE(graph.signatures.size() == 1);
    CHECK(graph.signatures[0].name == "serve");
    CHECK(graph.signatures[0].inputs[0].name == "image");
    CHECK(graph.signatures[0].outputs[0].endpoint == stet::graph_endpoint("3:y"));
    CHECK(made.metadata.dump() == R"({"tflite":{"description":"made","metadata":{"min_runtime_version":"1.5.0"}}})");
  }

  TEST_CASE("a constant as an output, a tensor that nothing makes, an absent input, and a custom operator") {
    tflite_model_file model = dense_tflite_model();
    tflite_subgraph& graph = model.subgraphs[0];
    graph.tensors.push_back({"state", {1}, tflite_f32, 0, {}, {}, 0, true});
    graph.outputs = {3, 1, 3};
    model.operator_codes.push_back(flat_table({flat_number(std::int8_t{32}), flat_string("Mine"),
                                               flat_number(std::int32_t{1}), flat_number(std::int32_t{32})}));
    graph.operators.push_back(flat_table({flat_number(std::uint32_t{1}),
                                          flat_numbers<std::int32_t>({4, -1, 3}),
                                          flat_numbers<std::int32_t>({}),
                                          {},
                                          {},
                                          flat_data("\x01\xAB", 4)}));
    const stet::model_description made = described_tflite(model.bytes());
    const stet::graph& read = made.graphs[0];
    REQUIRE(read.nodes.size() == 5);
    CHECK(read.nodes[2].op == "Variable");
    CHECK(read.nodes[3].op == "Mine");
    CHECK(read.nodes[3].inputs == std::vector<stet::graph_endpoint>{"4:state", "3:y"});
    CHECK(read.nodes[3].attributes["custom_options"]["hex"] == "01ab");
    CHECK(read.nodes[4].op == "Const");
    CHECK(*read.nodes[4].variable("value") == "0:1:dense/w");
    CHECK(read.outputs[1].endpoint == stet::graph_endpoint("1:dense/w"));
    CHECK(read.outputs[2].name == "3:y"); // the second port of one tensor
  }

  TEST_CASE("numbers of tensors, operators and subgraphs that do not exist are errors") {
    const auto failure = [](auto change) {
      const temp_folder folder;
      tflite_model_file model = dense_tflite_model();
      change(model);
      const auto opened = open_as_tflite(folder.write("m.tflite", model.bytes()));
      REQUIRE(opened);
      const auto made = stet::describe(*opened);
      return made ? "ok"s : outcome(made) + " " + std::string(made.error().subject());
    };
    CHECK(failure([](tflite_model_file& of) { of.subgraphs[0].inputs = {4}; }) == "malformed inputs");
    CHECK(failure([](tflite_model_file& of) { of.subgraphs[0].inputs = {-1}; }) == "malformed inputs");
    CHECK(failure([](tflite_model_file& of) { of.subgraphs[0].outputs = {4}; }) == "malformed outputs");
    CHECK(failure([](tflite_model_file& of) { of.operator_codes.clear(); }) == "malformed operator");
    CHECK(failure([](tflite_model_file& of) {
            of.subgraphs[0].operators[0].children[1] = flat_numbers<std::int32_t>({4});
          }) == "malformed operator");
    CHECK(failure([](tflite_model_file& of) { of.signatures[0].children.resize(5, flat_number(std::uint32_t{1})); }) !=
          "ok");
    CHECK(failure([](tflite_model_file& of) {
            of.signatures[0].children[0] = flat_list({flat_table({flat_string("i"), flat_number(std::uint32_t{4})})});
          }) == "malformed signature");
  }

  TEST_CASE("affine quantization is the tensor's, for all of it or along an axis") {
    tflite_tensor all{"w", {2, 2}, tflite_i8};
    all.quantization = tflite_affine({0.5F}, {-3});
    CHECK(first_note(quantized_tflite_model(all, "1234")) ==
          R"(0:0:w {"quantization":{"scheme":"affine","dtype":"float32","scales":0.5,"zero_points":-3}})");
    tflite_tensor along{"w", {2, 2}, tflite_i8};
    along.quantization = tflite_affine({0.5F, 0.25F}, {0, 0}, 1);
    CHECK(first_note(quantized_tflite_model(along, "1234")) ==
          R"(0:0:w {"quantization":{"scheme":"affine","dtype":"float32","axis":1,"scales":[0.5,0.25]}})");
    along.quantization = tflite_affine({0.5F, 0.25F}, {1}, 0);
    CHECK(
        first_note(quantized_tflite_model(along, "1234")) ==
        R"(0:0:w {"quantization":{"scheme":"affine","dtype":"float32","axis":0,"scales":[0.5,0.25],"zero_points":[1,1]}})");
    CHECK(first_note(quantized_tflite_model({"w", {4}, tflite_i8}, "1234")) == "none");
  }

  TEST_CASE("a quantization that does not fit is told as such") {
    const auto note = [](const std::vector<float>& scales, const std::vector<std::int64_t>& points, std::int32_t axis) {
      tflite_tensor of{"w", {2, 2}, tflite_i8};
      of.quantization = tflite_affine(scales, points, axis);
      return first_note(quantized_tflite_model(of, "1234"));
    };
    const std::string unread =
        R"(0:0:w {"tflite":{"unread":"quantization: scales or zero points do not fit the tensor"}})";
    CHECK(note({0}, {0}, 0) == unread);
    CHECK(note({-1}, {0}, 0) == unread);
    CHECK(note({std::numeric_limits<float>::infinity()}, {0}, 0) == unread);
    CHECK(note({std::numeric_limits<float>::quiet_NaN()}, {0}, 0) == unread);
    CHECK(note({1}, {128}, 0) == unread);
    CHECK(note({1, 1, 1}, {0, 0, 0}, 0) == unread);
    CHECK(note({1, 1}, {0, 0}, 2) == unread);
    CHECK(note({1, 1}, {0, 0}, -1) == unread);
    CHECK(note({1, 1}, {0, 0, 0}, 0) == unread);
  }

  TEST_CASE("blocks and sparse tensors have notes of their own") {
    tflite_model_file model;
    tflite_tensor blocks{"q", {2, 2}, tflite_i8, 1};
    const flat_value details =
        flat_table({flat_number(std::int32_t{1}), flat_number(std::int32_t{-1}), flat_number(std::int32_t{32})});
    blocks.quantization = flat_table({{}, {}, {}, {}, flat_number(std::uint8_t{2}), details});
    model.subgraphs = {{{blocks, {"s", {1}, tflite_f32, 1}}}};
    model.buffers = {"1234"};
    CHECK(first_note(model) == R"(0:0:q {"tflite":{"blockwise":{"scales":"0:1:s","block_size":32}}})");
    tflite_tensor sparse{"w", {2, 4}};
    sparse.sparsity = flat_table({flat_numbers<std::int32_t>({0, 1}),
                                  {},
                                  flat_list({flat_table({flat_number(std::int8_t{0}), flat_number(std::int32_t{2})}),
                                             flat_table({flat_number(std::int8_t{1})})})});
    CHECK(first_note(quantized_tflite_model(sparse, "12345678")) ==
          R"(0:0:w.values {"tflite":{"sparse":{"shape":[2,4],"traversal_order":[0,1],"block_map":[],)"
          R"("dimensions":[{"format":"dense","size":2},{"format":"csr"}]}}})");
  }

  TEST_CASE("any truncation, and any flipped bit, is an error or a valid graph") {
    const temp_folder folder;
    const std::string file = dense_tflite_model().bytes();
    const auto run = [&](const std::string& bytes) {
      const auto opened = open_as_tflite(folder.write("m.tflite", bytes));
      if (!opened) return false;
      const auto made = stet::describe(*opened);
      if (!made) return false;
      for (const stet::graph& each : made->graphs) {
        if (outcome(stet::check_graph(each)) != "ok") MESSAGE(stet::check_graph(each).error().subject());
        CHECK(outcome(stet::check_graph(each)) == "ok");
      }
      return true;
    };
    std::size_t needed = file.size();
    while (file[needed - 1] == '\0') --needed;
    for (std::size_t size = 0; size < needed; size += step_if_thinned(5)) CHECK_FALSE(run(file.substr(0, size)));
    for (std::size_t bit = 0; bit < file.size() * 8; bit += step_if_thinned(7)) {
      std::string flipped = file;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      (void)run(flipped);
    }
  }
}
