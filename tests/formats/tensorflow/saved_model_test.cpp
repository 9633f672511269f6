// SPDX-License-Identifier: MIT
// TensorFlow's files with graphs: told apart by content; variables and constants in one store; real
// SavedModels.
#include <stet/formats/tensorflow/saved_model.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/manifest.hpp>
#include <stet/wire/protobuf_writer.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("SavedModel");

namespace {

using stet::detail::graph_file_kind;
using stet::detail::protobuf_writer;

/// A GraphDef of a constant "c", which is `value`, and a node that uses it.
std::string graph_def(std::string_view value = "abcd") {
  protobuf_writer graph;
  graph.message(1, [&](protobuf_writer& node) {
    node.bytes(1, "c").bytes(2, "Const");
    node.message(5, [&](protobuf_writer& entry) {
      entry.bytes(1, "value").message(2, [&](protobuf_writer& attribute) {
        attribute.message(8, [&](protobuf_writer& tensor) {
          tensor.varint(1, 4).message(2, [&](protobuf_writer& shape) {
            shape.message(2, [&](protobuf_writer& dim) { dim.varint(1, value.size()); });
          });
          tensor.bytes(4, value);
        });
      });
    });
  });
  graph.message(1, [](protobuf_writer& node) { node.bytes(1, "y").bytes(2, "Identity").bytes(3, "c"); });
  return graph.take();
}

std::string meta_graph(std::string_view graph, std::vector<std::string_view> tags) {
  protobuf_writer made;
  made.message(1, [&](protobuf_writer& info) {
    for (const std::string_view tag : tags) info.bytes(4, tag);
    info.bytes(5, "2.21.0");
  });
  made.bytes(2, graph);
  made.message(5, [](protobuf_writer& entry) {
    entry.bytes(1, "serving_default").message(2, [](protobuf_writer& signature) {
      signature.message(2, [](protobuf_writer& output) {
        output.bytes(1, "out").message(2, [](protobuf_writer& info) { info.bytes(1, "y:0").varint(2, 4); });
      });
      signature.bytes(3, "predict");
    });
  });
  return made.take();
}

std::string saved_model(const std::vector<std::string>& meta_graphs) {
  protobuf_writer made;
  made.varint(1, 1);
  for (const std::string& each : meta_graphs) made.bytes(2, each);
  return made.take();
}

graph_file_kind kind_of(const std::string& text) {
  return stet::detail::kind_of_graph_file(std::as_bytes(std::span(text)));
}

std::string text_of(const stet::store& store, std::string_view name) {
  const auto found = store.find(name);
  CHECK_MESSAGE(found, name);
  if (!found) return {};
  const auto bytes = found->bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

TEST_CASE("messages are told apart by their fields") {
  CHECK(kind_of(graph_def()) == graph_file_kind::graph_def);
  CHECK(kind_of(meta_graph(graph_def(), {"serve"})) == graph_file_kind::meta_graph);
  CHECK(kind_of(saved_model({meta_graph(graph_def(), {})})) == graph_file_kind::saved_model);
  CHECK(kind_of(std::string()) == graph_file_kind::none);
  CHECK(kind_of("\nplain text that begins with an empty line") == graph_file_kind::none);
  CHECK(kind_of(graph_def() + "\x0A") == graph_file_kind::none);
  protobuf_writer other;
  other.varint(1, 8).bytes(2, "pytorch").bytes(7, "graph"); // ONNX
  CHECK(kind_of(other.take()) == graph_file_kind::none);
  protobuf_writer newer;
  newer.varint(1, 2).bytes(2, meta_graph(graph_def(), {}));
  CHECK(kind_of(newer.take()) == graph_file_kind::none);
}

TEST_CASE("a graph alone: its constants in place, whatever the file is called") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("frozen", graph_def());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    stet::open_options options;
    options.backing = backing;
    const auto opened = stet::compiled::open_any(path, options);
    REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
    if (!opened) return;
    CHECK(opened->format == &stet::graph_def_format);
    CHECK(opened->file_count == 1);
    const auto c = opened->store.find("c");
    REQUIRE(c);
    if (!c) return;
    CHECK(c->entry().offset_bytes() == graph_def().find("abcd"));
    CHECK(opened->is_in_file(*c));
    std::byte bytes[4];
    CHECK(c->read(0, bytes));
    CHECK(bytes[3] == std::byte{'d'});
    const auto described = stet::describe(*opened);
    REQUIRE(described);
    if (described) {
      REQUIRE(described->graphs.size() == 1);
      CHECK(described->graphs[0].nodes[0].variables == std::vector<stet::graph_variable>{{"value", "c"}});
    }
  }
}

TEST_CASE("a SavedModel of several MetaGraphs, by its folder and by its file") {
  const stet_test::temp_folder folder;
  const std::string file =
      folder.write("saved_model.pb",
                   saved_model({meta_graph(graph_def(), {"serve"}), meta_graph(graph_def("efgh"), {"serve", "gpu"})}));
  for (const std::string& path : {folder.path(), file}) {
    const auto opened = stet::compiled::open_any(path);
    REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
    if (!opened) return;
    CHECK(opened->format == &stet::saved_model_format);
    CHECK(text_of(opened->store, "c") == "abcd");
    CHECK(text_of(opened->store, "serve+gpu/c") == "efgh");
    const auto described = stet::describe(*opened);
    REQUIRE_MESSAGE(described, stet_test::outcome(described));
    if (!described) return;
    REQUIRE(described->graphs.size() == 2);
    CHECK(described->graphs[1].metadata["tags"].dump() == R"(["serve","gpu"])");
    CHECK(described->graphs[1].nodes[0].variables == std::vector<stet::graph_variable>{{"value", "serve+gpu/c"}});
    CHECK(described->graphs[0].metadata["tensorflow"]["metaInfoDef"].dump() == R"({"tensorflowVersion":"2.21.0"})");
    REQUIRE(described->graphs[0].signatures.size() == 1);
    CHECK(described->graphs[0].signatures[0].outputs[0].endpoint == stet::graph_endpoint("y"));
    CHECK(described->graphs[0].signatures[0].extra.dump() == R"({"methodName":"predict"})");
    CHECK(stet_test::outcome(stet::check_graph(described->graphs[0])) == "ok");
  }
}

TEST_CASE("a MetaGraph file; and damage in any of them is an error, or none, but no harm") {
  const stet_test::temp_folder folder;
  const auto meta = stet::compiled::open_any(folder.write("model.ckpt-7.meta", meta_graph(graph_def(), {})));
  CHECK(stet_test::outcome(meta) == "ok");
  if (meta) CHECK(meta->format == &stet::meta_graph_format);
  const std::string whole = saved_model({meta_graph(graph_def(), {"serve"})});
  const auto attempt = [&](const std::string& bytes) {
    const std::string path = folder.write("saved_model.pb", bytes);
    const auto opened = stet::open_as(stet::saved_model_format, path, {});
    if (!opened) return;
    (void)stet::describe(*opened);
    for (const stet::tensor each : opened->store) (void)text_of(opened->store, each.name());
  };
  for (std::size_t size = 0; size < whole.size(); ++size) attempt(whole.substr(0, size));
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (const int bit : {0, 1, 3, 7}) {
      std::string changed = whole;
      changed[place] = static_cast<char>(changed[place] ^ (1 << bit));
      attempt(changed);
    }
  }
  CHECK(stet_test::outcome(stet::compiled::open_any(folder.write("empty", ""))) == "unknown_format");
}

TEST_CASE("a constant with the name of another tensor") {
  const stet_test::temp_folder folder;
  // A second graph with no tags and one whose tag makes the same name.
  const auto opened = stet::compiled::open_any(
      folder.write("saved_model.pb", saved_model({meta_graph(graph_def(), {}), meta_graph(graph_def("2222"), {"t"}),
                                                  meta_graph(graph_def("3333"), {"t"})})));
  REQUIRE_MESSAGE(opened, stet_test::outcome(opened));
  if (opened) {
    CHECK(text_of(opened->store, "t/c") == "2222");
    CHECK(text_of(opened->store, "t/c_1") == "3333");
  }
}

TEST_CASE("a folder of a form that is not read says what was found and what to give") {
  const std::pair<const char*, const char*> table[] = {
      {"saved_model.pbtxt", "saved_model.pbtxt is text: give variables/variables, or save it as saved_model.pb"},
      {"tensorflowjs_model.pb", "tensorflowjs_model.pb (TensorFlow.js before 1.0): give weights_manifest.json"}};
  for (const auto& [file, subject] : table) {
    const stet_test::temp_folder folder;
    const std::string path = folder.write(file, std::string_view("saved_model_schema_version: 1\n"));
    const auto opened = stet::compiled::open_any(folder.path());
    CHECK(stet_test::outcome(opened) == "unsupported");
    CHECK(opened.error().subject() == subject);
    CHECK(stet_test::outcome(stet::compiled::open_any(path)) == "unsupported");
  }
}

TEST_CASE("real SavedModels: sound graphs, signatures, tags, and a tensor for every variable and constant") {
  const char* const samples = std::getenv("STET_SAMPLES");
  if (samples == nullptr || *samples == 0) {
    MESSAGE("skipped: no folder of samples");
    return;
  }
  std::size_t model_count = 0, constant_count = 0, in_place_count = 0, variable_count = 0, signature_count = 0;
  for (const char* const below :
       {"tf-savedmodel", "made/tf-savedmodel", "tf-ckpt-v2", "tf-ckpt-v1", "made/tf-ckpt-v2"}) {
    std::error_code failure;
    for (std::filesystem::recursive_directory_iterator
             at(stet_test::to_path(std::string(samples) + "/" + below), failure),
         end;
         at != end; at.increment(failure)) {
      const bool is_meta = at->path().extension() == ".meta";
      if (!is_meta && at->path().filename() != "saved_model.pb") continue;
      const std::string path = stet_test::to_utf8(is_meta ? at->path() : at->path().parent_path());
      CAPTURE(path);
      const auto opened = stet::compiled::open_any(path);
      CHECK_MESSAGE(opened, stet_test::outcome(opened));
      if (!opened) continue;
      CHECK(opened->format == (is_meta ? &stet::meta_graph_format : &stet::saved_model_format));
      const auto described = stet::describe(*opened);
      CHECK_MESSAGE(described, stet_test::outcome(described));
      if (!described) continue;
      ++model_count;
      for (const stet::graph& graph : described->graphs) {
        stet::graph_rules rules = stet::tensorflow_graph_rules();
        rules.has_variable = [&](std::string_view name) { return opened->store.contains(name); };
        const auto sound = stet::check_graph(graph, rules);
        CHECK_MESSAGE(sound, sound.error().subject());
        signature_count += graph.signatures.size();
        const auto again = stet::graph_from_json(stet::graph_to_json(graph));
        CHECK(again);
        if (again) CHECK(*again == graph);
        const auto count = [&](const stet::graph_body& body) {
          for (const stet::graph_node& node : body.nodes) {
            const std::string* const value = node.variable("value");
            if (node.op == "Const") {
              ++constant_count;
              CHECK_MESSAGE(value != nullptr, node.name);
              const auto found = opened->store.find(value == nullptr ? "" : *value);
              in_place_count += found && opened->is_in_file(*found) && found->size_bytes() != 0;
            }
            variable_count += node.op != "Const" && value != nullptr;
          }
        };
        count(graph);
        for (const stet::graph_function& function : graph.functions) count(function);
      }
    }
  }
  MESSAGE(model_count << " models, " << signature_count << " signatures, " << constant_count << " constants, "
                      << in_place_count << " in place, " << variable_count << " variables");
  CHECK(model_count >= 5);
  CHECK(signature_count >= 5);
  CHECK(in_place_count > 0);
  CHECK(variable_count > 0);
}

TEST_SUITE_END();
