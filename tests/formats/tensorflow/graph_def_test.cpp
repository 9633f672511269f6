// SPDX-License-Identifier: MIT
// TensorFlow's graphs: the same from their binary form and from JSON; constants as tensors; attacks.
#include <stet/formats/tensorflow/graph_def.hpp>

#include "support/allocations.hpp"
#include "support/outcome.hpp"

#include <stet/manifest.hpp>
#include <stet/wire/protobuf_writer.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("GraphDef");

namespace {

using stet::detail::protobuf_writer;

std::span<const std::byte> text_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

stet::json_value graph_json(std::string_view text) {
  auto parsed = stet::parse_json(text);
  CHECK(parsed);
  return parsed ? std::move(*parsed) : stet::json_value();
}

/// An entry of a map, the value of which `fill` makes.
template <class Fill> void entry(protobuf_writer& into, std::uint32_t number, std::string_view key, Fill fill) {
  into.message(number, [&](protobuf_writer& made) { made.bytes(1, key).message(2, fill); });
}

/// A node of op Const with this TensorProto.
template <class Fill> void constant(protobuf_writer& into, std::uint32_t number, std::string_view name, Fill tensor) {
  into.message(number, [&](protobuf_writer& node) {
    node.bytes(1, name).bytes(2, "Const");
    entry(node, 5, "value", [&](protobuf_writer& value) { value.message(8, tensor); });
    entry(node, 5, "dtype", [](protobuf_writer& value) { value.varint(6, 1); });
  });
}

/// A TensorShapeProto as field 2 of a TensorProto.
void shape(protobuf_writer& tensor, std::initializer_list<std::int64_t> extents) {
  tensor.message(2, [&](protobuf_writer& made) {
    for (const std::int64_t extent : extents) made.message(2, [&](protobuf_writer& dim) { dim.integer(1, extent); });
  });
}

/// A graph with every kind of attribute, a function, and constants.
std::string graph_sample() {
  protobuf_writer graph;
  constant(graph, 1, "k", [](protobuf_writer& tensor) {
    tensor.varint(1, 1);
    shape(tensor, {2});
    tensor.bytes(4, std::string_view("\0\0\x80\x3f\0\0\0\x40", 8));
  });
  graph.message(1, [](protobuf_writer& node) {
    node.bytes(1, "n").bytes(2, "Everything").bytes(3, "k:0").bytes(3, "m:2").bytes(3, "^k").bytes(4, "/device:CPU:0");
    entry(node, 5, "s", [](protobuf_writer& value) { value.bytes(2, "NHWC"); });
    entry(node, 5, "i", [](protobuf_writer& value) { value.integer(3, -1); });
    entry(node, 5, "zero", [](protobuf_writer& value) { value.integer(3, 0); });
    entry(node, 5, "f", [](protobuf_writer& value) { value.float32(4, 0.2f); });
    entry(node, 5, "nan", [](protobuf_writer& value) { value.float32(4, std::numeric_limits<float>::quiet_NaN()); });
    entry(node, 5, "b", [](protobuf_writer& value) { value.varint(5, 1); });
    entry(node, 5, "type", [](protobuf_writer& value) { value.varint(6, 119); });
    entry(node, 5, "shape", [](protobuf_writer& value) {
      value.message(7, [](protobuf_writer& made) {
        made.message(2, [](protobuf_writer& dim) { dim.integer(1, -1); });
        made.message(2, [](protobuf_writer&) {});
      });
    });
    entry(node, 5, "list", [](protobuf_writer& value) {
      value.message(1, [](protobuf_writer& list) { list.bytes(3, std::string_view("\x01\x02", 2)).bytes(2, "a"); });
    });
    entry(node, 5, "func", [](protobuf_writer& value) {
      value.message(10, [](protobuf_writer& func) {
        func.bytes(1, "f");
        entry(func, 2, "T", [](protobuf_writer& inner) { inner.varint(6, 3); });
      });
    });
    entry(node, 5, "tensor", [](protobuf_writer& value) {
      value.message(8, [](protobuf_writer& tensor) { tensor.varint(1, 3).varint(7, 5); });
    });
  });
  graph.message(1, [](protobuf_writer& node) { node.bytes(1, "m").bytes(2, "Split"); });
  graph.message(2, [](protobuf_writer& library) {
    library.message(1, [](protobuf_writer& function) {
      function.message(1, [](protobuf_writer& signature) {
        signature.bytes(1, "f");
        signature.message(2, [](protobuf_writer& argument) { argument.bytes(1, "x").varint(3, 1); });
        signature.message(3, [](protobuf_writer& result) { result.bytes(1, "y").varint(3, 1); });
        signature.varint(17, 1);
      });
      constant(function, 3, "c", [](protobuf_writer& tensor) {
        tensor.varint(1, 1).float32(5, 3.0f);
        shape(tensor, {});
      });
      function.message(3, [](protobuf_writer& node) {
        node.bytes(1, "sum").bytes(2, "AddV2").bytes(3, "x").bytes(3, "c:output:0").bytes(3, "^c");
      });
      function.message(4, [](protobuf_writer& ret) { ret.bytes(1, "y").bytes(2, "sum:z:0"); });
    });
  });
  graph.message(4, [](protobuf_writer& versions) { versions.varint(1, 1645); });
  return graph.take();
}

/// The constants of a GraphDef as a store.
struct constants {
  explicit constants(const std::string& graph) : file(graph) {
    builder.add_file("graph.pb", stet::source::borrow(text_bytes(file)));
    stet::detail::constant_adder adder(text_bytes(file), 0, builder);
    added = adder.add_graph(text_bytes(file));
    auto made = builder.finish();
    if (made) // not if a changed name is none
      store = std::move(*made);
  }
  std::string file;
  stet::store_builder builder;
  stet::result<void> added;
  stet::store store;
};

template <class T> std::vector<T> constant_values(const stet::store& store, std::string_view name) {
  const auto found = store.find(name);
  CHECK_MESSAGE(found, name);
  std::vector<T> made(found ? static_cast<std::size_t>(found->element_count()) : 0);
  if (found) CHECK(stet_test::outcome(found->copy_to(std::span(made))) == "ok");
  return made;
}

/// A graph of one constant.
template <class Fill> std::string graph_of_constant(Fill tensor) {
  protobuf_writer graph;
  constant(graph, 1, "c", tensor);
  return graph.take();
}

} // namespace

TEST_CASE("bytes to JSON, as TensorFlow's own printer has it") {
  const auto made = stet::detail::proto_to_json::run(stet::detail::proto_id::graph_def, text_bytes(graph_sample()));
  REQUIRE(made);
  if (!made) return;
  CHECK(
      (*made)["node"][0].dump() ==
      R"({"name":"k","op":"Const","attr":{"value":{"tensor":{"dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":"2"}]}}},)"
      R"("dtype":{"type":"DT_FLOAT"}}})");
  CHECK((*made)["node"][1]["attr"].dump() ==
        R"({"s":{"s":"TkhXQw=="},"i":{"i":"-1"},"zero":{"i":"0"},"f":{"f":0.2},"nan":{"f":"NaN"},"b":{"b":true},)"
        R"("type":{"type":"DT_HALF_REF"},"shape":{"shape":{"dim":[{"size":"-1"},{"size":"0"}]}},)"
        R"("list":{"list":{"i":["1","2"],"s":["YQ=="]}},"func":{"func":{"name":"f","attr":{"T":{"type":"DT_INT32"}}}},)"
        R"("tensor":{"tensor":{"dtype":"DT_INT32","intVal":[5]}}})");
  CHECK((*made)["versions"].dump() == R"({"producer":1645})");
}

TEST_CASE("nodes, functions and versions become a graph, which says the same again") {
  const auto graph = stet::graph_from_graph_def(text_bytes(graph_sample()));
  REQUIRE(graph);
  if (!graph) return;
  CHECK(stet_test::outcome(stet::check_graph(*graph, stet::tensorflow_graph_rules())) == "ok");
  REQUIRE(graph->nodes.size() == 3);
  CHECK(graph->nodes[1].inputs == std::vector<stet::graph_endpoint>{"k", {"m", 2}, stet::graph_endpoint::control("k")});
  CHECK(graph->nodes[1].extra.dump() == R"({"device":"/device:CPU:0"})");
  REQUIRE(graph->functions.size() == 1);
  const stet::graph_function& function = graph->functions[0];
  CHECK(function.name == "f");
  REQUIRE(function.nodes.size() == 3);
  CHECK(function.nodes[0].op == "Argument");
  CHECK(function.nodes[2].inputs[1].node == "c");
  CHECK(function.nodes[2].inputs[1].output_name == "output");
  CHECK(function.outputs[0].endpoint.output_name == "z");
  CHECK(function.outputs[0].dtype == stet::dtype::float32);
  CHECK(function.extra.dump() == R"({"signature":{"isStateful":true}})");

  const auto json_of_bytes =
      stet::detail::proto_to_json::run(stet::detail::proto_id::graph_def, text_bytes(graph_sample()));
  const auto written = stet::graph_to_graph_def(*graph);
  REQUIRE(written);
  if (!written || !json_of_bytes) return;
  nlohmann::json expected(*json_of_bytes);
  expected["node"][1]["input"][0] = "k";
  CHECK(nlohmann::json(*written) == expected);
  auto again = stet::graph_from_graph_def(stet::json_value(*written));
  REQUIRE(again);
  if (again) CHECK(*again == *graph);
  auto through_manifest = stet::graph_from_json(stet::graph_to_json(*graph));
  REQUIRE(through_manifest);
  if (through_manifest) CHECK(*through_manifest == *graph);
}

TEST_CASE("signatures both ways: sparse tensors and types that are no dtypes included") {
  constexpr std::string_view text =
      R"({"inputs":{"x":{"name":"x:0","dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":"-1"},{"size":"2"}]}},)"
      R"("table":{"name":"unknown:0","dtype":"DT_RESOURCE","tensorShape":{},"resourceId":4245},)"
      R"("any":{"name":"n:3","dtype":"DT_BOOL"},)"
      R"("sparse":{"dtype":"DT_INT64","cooSparse":{"valuesTensorName":"v:1","indicesTensorName":"i:0"}}},)"
      R"("outputs":{"y":{"name":"Identity:0","dtype":"DT_HALF"}},"methodName":"tensorflow/serving/predict"})";
  const auto read = stet::signature_from_json("default", graph_json(text));
  REQUIRE(read);
  if (!read) return;
  CHECK(read->inputs[0].shape == std::vector<std::int64_t>{stet::unknown_extent, 2});
  CHECK(read->inputs[1].endpoint.node == "unknown");
  CHECK_FALSE(read->inputs[1].dtype);
  CHECK(read->inputs[1].shape == std::vector<std::int64_t>{});
  CHECK(read->inputs[2].endpoint == stet::graph_endpoint("n", 3));
  CHECK_FALSE(read->inputs[2].shape);
  CHECK(read->inputs[3].endpoint.node == "v");
  CHECK(read->outputs[0].dtype == stet::dtype::float16);
  CHECK(nlohmann::json(stet::signature_to_signature_def(*read)) == nlohmann::json(graph_json(text)));
  CHECK(stet_test::outcome(stet::signature_from_json("s", graph_json(R"({"inputs":[1]})"))) == "wrong_type");
}

TEST_CASE("a graph of other ops is no GraphDef") {
  stet::graph graph;
  graph.add("d", "Dense", {}, {{"units", 10}});
  const auto written = stet::graph_to_graph_def(graph);
  REQUIRE_FALSE(written);
  CHECK(stet_test::outcome(written) == "not_convertible");
  if (!written) CHECK(written.error().subject() == "units of d");
}

TEST_CASE("constants are tensors: in place where their bytes lie in the file") {
  constants of(graph_sample());
  CHECK(stet_test::outcome(of.added) == "ok");
  CHECK(constant_values<float>(of.store, "k") == std::vector<float>{1, 2});
  CHECK(constant_values<float>(of.store, "f/c") == std::vector<float>{3});
  const auto k = of.store.find("k");
  REQUIRE(k);
  if (k) {
    CHECK(k->entry().part() == 0);
    CHECK(k->is_in_place());
    CHECK(static_cast<const void*>(k->bytes().data()) == of.file.data() + k->entry().offset_bytes());
  }
  auto graph = stet::graph_from_graph_def(text_bytes(of.file));
  REQUIRE(graph);
  if (!graph) return;
  stet::name_graph_def_variables(*graph, of.store);
  CHECK(graph->nodes[0].variables == std::vector<stet::graph_variable>{{"value", "k"}});
  CHECK(graph->functions[0].nodes[1].variables == std::vector<stet::graph_variable>{{"value", "f/c"}});
}

TEST_CASE("values one by one, in every list, the last of which repeats") {
  const struct {
    std::int32_t data_type;
    std::uint32_t field;
    const char* name;
  } integers[] = {{3, 7, "int32"},   {4, 7, "uint8"},    {5, 7, "int16"},    {6, 7, "int8"}, {9, 10, "int64"},
                  {17, 7, "uint16"}, {22, 16, "uint32"}, {23, 17, "uint64"}, {29, 7, "int4"}};
  for (const auto& row : integers) {
    CAPTURE(row.name);
    for (const bool is_packed : {false, true}) {
      constants of(graph_of_constant([&](protobuf_writer& tensor) {
        tensor.varint(1, static_cast<std::uint64_t>(row.data_type));
        shape(tensor, {2, 2});
        if (is_packed)
          tensor.bytes(row.field, "\x01\x07");
        else
          tensor.varint(row.field, 1).varint(row.field, 7);
      }));
      CHECK(stet_test::outcome(of.added) == "ok");
      const auto found = of.store.find("c");
      REQUIRE(found);
      if (!found) continue;
      CHECK(stet::name_of(found->dtype()) == row.name);
      std::vector<int> made(4);
      CHECK(found->copy_to(std::span(made), stet::convert));
      CHECK(made == std::vector<int>{1, 7, 7, 7});
    }
  }
  constants negative(graph_of_constant([](protobuf_writer& tensor) {
    tensor.varint(1, 5).integer(7, -2);
    shape(tensor, {});
  }));
  CHECK(constant_values<std::int16_t>(negative.store, "c") == std::vector<std::int16_t>{-2});
  constants halves(graph_of_constant([](protobuf_writer& tensor) {
    tensor.varint(1, 19).varint(13, 0x3C00);
    shape(tensor, {3});
  }));
  CHECK(constant_values<stet::float16>(halves.store, "c") == std::vector<stet::float16>(3, stet::float16(1.0f)));
  constants complex(graph_of_constant([](protobuf_writer& tensor) {
    tensor.varint(1, 18).float64(12, 1).float64(12, -1);
    shape(tensor, {2});
  }));
  CHECK(constant_values<stet::complex128>(complex.store, "c") == std::vector<stet::complex128>(2, {1, -1}));
  constants empty(graph_of_constant([](protobuf_writer& tensor) {
    tensor.varint(1, 2);
    shape(tensor, {0, 5});
  }));
  CHECK(constant_values<double>(empty.store, "c").empty());
  constants zeros(graph_of_constant([](protobuf_writer& tensor) {
    tensor.varint(1, 2);
    shape(tensor, {2});
  }));
  CHECK(constant_values<double>(zeros.store, "c") == std::vector<double>{0, 0});
  constants words(graph_of_constant([](protobuf_writer& tensor) {
    tensor.varint(1, 7).bytes(8, "one").bytes(8, "");
    shape(tensor, {3});
  }));
  const auto text = words.store.find("c");
  REQUIRE(text);
  if (text) {
    const auto strings = text->as_strings();
    REQUIRE(strings);
    if (strings) CHECK(((*strings)[0] == "one" && (*strings)[1].empty() && (*strings)[2].empty()));
  }
}

TEST_CASE("one value for a great many elements takes no memory") {
  constants of(graph_of_constant([](protobuf_writer& tensor) {
    tensor.varint(1, 1).float32(5, 1.0f).float32(5, 2.0f);
    shape(tensor, {1 << 20, 1 << 20, 1 << 10});
  }));
  CHECK(stet_test::outcome(of.added) == "ok");
  const auto found = of.store.find("c");
  REQUIRE(found);
  if (!found) return;
  CHECK(found->size_bytes() == std::uint64_t{1} << 52);
  float some[3] = {};
  CHECK(found->read(0, std::as_writable_bytes(std::span(some))));
  CHECK(std::vector<float>(some, some + 3) == std::vector<float>{1, 2, 2});
  CHECK(found->read((std::uint64_t{1} << 52) - 12, std::as_writable_bytes(std::span(some))));
  CHECK(std::vector<float>(some, some + 3) == std::vector<float>{2, 2, 2});
}

TEST_CASE("refuses constants that are not what they say") {
  const struct {
    const char* what;
    void (*fill)(protobuf_writer& tensor);
    const char* expected;
  } rows[] = {
      {"content too short", [](protobuf_writer& t) { t.varint(1, 1).bytes(4, "abc"), shape(t, {1}); }, "bad_size"},
      {"content too long", [](protobuf_writer& t) { t.varint(1, 1).bytes(4, "abcdefgh"), shape(t, {1}); }, "bad_size"},
      {"half a complex number", [](protobuf_writer& t) { t.varint(1, 8).float32(9, 1), shape(t, {1}); }, "bad_size"},
      {"lengths of strings cut off", [](protobuf_writer& t) { t.varint(1, 7).bytes(4, "\x80"), shape(t, {1}); },
       "bad_string_table"},
      {"fewer strings in the content than elements",
       [](protobuf_writer& t) { t.varint(1, 7).bytes(4, "\x01x"), shape(t, {2}); }, "bad_string_table"},
      {"fewer bytes of strings in the content than their lengths",
       [](protobuf_writer& t) { t.varint(1, 7).bytes(4, "\x02x"), shape(t, {1}); }, "bad_string_table"},
      {"more bytes of strings in the content than their lengths",
       [](protobuf_writer& t) { t.varint(1, 7).bytes(4, "\x01xy"), shape(t, {1}); }, "bad_string_table"},
      {"more strings than the content has bytes",
       [](protobuf_writer& t) { t.varint(1, 7).bytes(4, "\x01x"), shape(t, {1 << 30}); }, "bad_string_table"},
      {"2^61 strings", [](protobuf_writer& t) { t.varint(1, 7), shape(t, {std::int64_t{1} << 61}); }, "bad_shape"},
      {"negative extent", [](protobuf_writer& t) { t.varint(1, 1), shape(t, {-1}); }, "bad_shape"},
      {"product overflows",
       [](protobuf_writer& t) { t.varint(1, 1), shape(t, {std::int64_t{1} << 40, std::int64_t{1} << 40}); },
       "bad_shape"},
      {"overflow behind a zero", [](protobuf_writer& t) { t.varint(1, 1), shape(t, {0, std::int64_t{1} << 62, 4}); },
       "bad_shape"},
      {"unknown rank",
       [](protobuf_writer& t) { t.varint(1, 1).message(2, [](protobuf_writer& s) { s.varint(3, 1); }); }, "bad_shape"},
      {"packed words cut off", [](protobuf_writer& t) { t.varint(1, 1).bytes(5, "abc"), shape(t, {1}); },
       "bad_protobuf"},
      {"a type that is none", [](protobuf_writer& t) { t.varint(1, 20), shape(t, {1}); }, "ok"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    constants of(graph_of_constant(row.fill));
    CHECK(stet_test::outcome(of.added) == row.expected);
    if (!of.added && std::string_view(row.expected) != "bad_protobuf") CHECK(of.added.error().subject() == "c");
  }
}

TEST_CASE("strings in tensor_content, as TensorFlow's C API writes them: lengths, then bytes") {
  const std::string long_text(300, 'x');
  constants of(graph_of_constant([&](protobuf_writer& t) {
    t.varint(1, 7).bytes(4, std::string("\x03\x00\xac\x02", 4) + "one" + long_text);
    t.bytes(8, "of no account"); // TensorFlow takes the content
    shape(t, {3});
  }));
  CHECK(stet_test::outcome(of.added) == "ok");
  const auto found = of.store.find("c");
  REQUIRE(found);
  const auto strings = found->as_strings();
  REQUIRE(strings);
  REQUIRE(strings->size() == 3);
  CHECK((*strings)[0] == "one");
  CHECK((*strings)[1].empty());
  CHECK((*strings)[2] == long_text);
}

TEST_CASE("surplus values are ignored, as TensorFlow does") {
  constants numbers(graph_of_constant([](protobuf_writer& t) {
    t.varint(1, 3).varint(7, 1).varint(7, 2).varint(7, 3);
    shape(t, {2});
  }));
  CHECK(stet_test::outcome(numbers.added) == "ok");
  CHECK(constant_values<std::int32_t>(numbers.store, "c") == std::vector<std::int32_t>{1, 2});
  constants texts(graph_of_constant([](protobuf_writer& t) {
    t.varint(1, 7).bytes(8, "a").bytes(8, "b");
    shape(t, {1});
  }));
  CHECK(stet_test::outcome(texts.added) == "ok");
  REQUIRE(texts.store.find("c"));
  CHECK((*texts.store.find("c")->as_strings())[0] == "a");
  constants none(graph_of_constant([](protobuf_writer& t) {
    t.varint(1, 1).bytes(4, "abcd");
    shape(t, {0});
  }));
  CHECK(stet_test::outcome(none.added) == "ok");
  CHECK(constant_values<float>(none.store, "c").empty());
}

TEST_CASE("constants that cannot be tensors are omitted, each with its reason") {
  protobuf_writer graph;
  constant(graph, 1, "variant", [](protobuf_writer& t) { t.varint(1, 21), shape(t, {}); });
  constant(graph, 1, "resource", [](protobuf_writer& t) { t.varint(1, 20), shape(t, {1}); });
  constant(graph, 1, "future", [](protobuf_writer& t) { t.varint(1, 99).bytes(4, "x"), shape(t, {1}); });
  constant(graph, 1, "typeless", [](protobuf_writer& t) { shape(t, {}); });
  constant(graph, 1, "", [](protobuf_writer& t) { t.varint(1, 3).varint(7, 5), shape(t, {}); });
  constant(graph, 1, std::string(70000, 'n'), [](protobuf_writer& t) { t.varint(1, 3).varint(7, 5), shape(t, {}); });
  constant(graph, 1, "kept", [](protobuf_writer& t) { t.varint(1, 3).varint(7, 5), shape(t, {}); });
  constants of(graph.take());
  CHECK(stet_test::outcome(of.added) == "ok");
  CHECK(constant_values<std::int32_t>(of.store, "kept") == std::vector<std::int32_t>{5});
  CHECK(of.store.tensor_count() == 1);
  const std::vector<stet::omitted_item> omitted = of.builder.take_omitted();
  const struct {
    std::string name, reason;
  } expected[] = {{"variant", "unsupported dtype variant"},
                  {"resource", "unsupported dtype resource"},
                  {"future", "unknown_dtype dtype 99"},
                  {"typeless", "unknown_dtype dtype 0"},
                  {"", "bad_name "},
                  {std::string(70000, 'n'), "bad_name nnn"}};
  REQUIRE(omitted.size() == std::size(expected));
  for (std::size_t i = 0; i < omitted.size(); ++i) {
    CHECK(omitted[i].name == expected[i].name);
    CHECK((stet_test::outcome(stet::result<void>(omitted[i].reason)) + " " + std::string(omitted[i].reason.subject()))
              .starts_with(expected[i].reason));
  }
}

TEST_CASE("a constant that would take too much memory is listed, and the others can be used") {
  protobuf_writer graph;
  constant(graph, 1, "many", [](protobuf_writer& t) { t.varint(1, 7).bytes(8, "a"), shape(t, {1 << 30}); });
  constant(graph, 1, "kept", [](protobuf_writer& t) { t.varint(1, 3).varint(7, 5), shape(t, {}); });
  constants of(graph.take());
  CHECK(stet_test::outcome(of.added) == "ok");
  const auto many = of.store.find("many");
  REQUIRE(many);
  CHECK(many->size_bytes() == ((std::uint64_t{1} << 30) + 1) * 8 + (std::uint64_t{1} << 30));
  std::byte room[8];
  CHECK(stet_test::outcome(many->read(0, room)) == "too_large");
  CHECK(constant_values<std::int32_t>(of.store, "kept") == std::vector<std::int32_t>{5});
}

TEST_CASE("memory stays in proportion to the file") {
  // One long name of a function before the names of its nodes, which are refused, and before nodes that are no constants.
  for (const bool are_constants : {true, false}) {
    protobuf_writer graph;
    graph.message(2, [&](protobuf_writer& library) {
      library.message(1, [&](protobuf_writer& function) {
        function.message(1, [](protobuf_writer& signature) { signature.bytes(1, std::string(60000, 'f')); });
        for (int i = 0; i < 5000; ++i) {
          if (are_constants)
            constant(function, 3, std::to_string(i), [](protobuf_writer& t) { t.varint(1, 1), shape(t, {}); });
          else
            function.message(3, [&](protobuf_writer& node) { node.bytes(1, std::to_string(i)).bytes(2, "Add"); });
        }
      });
    });
    const std::string file = graph.take();
    const stet_test::allocations before;
    constants of(file);
    CHECK(stet_test::outcome(of.added) == (are_constants ? "too_large" : "ok"));
    CHECK(before.bytes() < 192 * file.size());
  }
  // Small constants of which each asks for a little more than it gives: texts, and numbers.
  for (const std::uint64_t data_type : {7u, 1u}) {
    protobuf_writer graph;
    for (int i = 0; i < 10000; ++i) {
      constant(graph, 1, std::to_string(i),
               [&](protobuf_writer& t) { t.varint(1, data_type), shape(t, {data_type == 7 ? 7000 : 1024}); });
    }
    const std::string file = graph.take();
    const stet_test::allocations before;
    constants of(file);
    CHECK(stet_test::outcome(of.added) == "ok");
    CHECK(of.store.tensor_count() == 10000);
    CHECK(before.bytes() < (1 << 20) + 96 * file.size());
  }
}

TEST_CASE("refuses messages that are malformed, too deep, or have a key twice") {
  std::string deep;
  for (int i = 0; i < 300; ++i) { // AttrValue in a list of functions in an AttrValue …
    protobuf_writer func, attr;
    if (i % 2 == 0)
      func.message(2, [&](protobuf_writer& each) { each.bytes(1, "a").bytes(2, deep); });
    else
      attr.bytes(10, deep);
    deep = i % 2 == 0 ? func.take() : attr.take();
  }
  const auto with_attribute = [](std::string_view value, int times = 1) {
    protobuf_writer graph;
    graph.message(1, [&](protobuf_writer& node) {
      node.bytes(1, "n").bytes(2, "Op");
      for (int i = 0; i < times; ++i)
        node.message(5, [&](protobuf_writer& each) { each.bytes(1, "a").bytes(2, value); });
    });
    return graph.take();
  };
  CHECK(stet_test::outcome(stet::graph_from_graph_def(text_bytes(with_attribute(deep)))) == "too_deep");
  CHECK(stet_test::outcome(stet::graph_from_graph_def(text_bytes(with_attribute("", 2)))) == "duplicate_key");
  CHECK(stet_test::outcome(stet::graph_from_graph_def(text_bytes(with_attribute("\x08")))) == "bad_protobuf");
  protobuf_writer bad_text;
  bad_text.message(1, [](protobuf_writer& node) { node.bytes(1, "\xC0\xAF").bytes(2, "Op"); });
  CHECK(stet_test::outcome(stet::graph_from_graph_def(text_bytes(bad_text.take()))) == "bad_protobuf");
  CHECK(stet_test::outcome(stet::graph_from_graph_def(graph_json("[]"))) == "wrong_type");
  CHECK(stet_test::outcome(stet::graph_from_graph_def(graph_json(R"({"node":{}})"))) == "wrong_type");
  CHECK(stet_test::outcome(stet::graph_from_graph_def(graph_json(R"({"node":[1]})"))) == "wrong_type");
  CHECK(stet_test::outcome(stet::graph_from_graph_def(graph_json(R"({"node":[{"name":"a","attr":7}]})"))) ==
        "wrong_type");
  CHECK(stet_test::outcome(stet::graph_from_graph_def(graph_json(R"({"library":{"function":[[]]}})"))) == "wrong_type");
}

TEST_CASE("refuses fields that TensorFlow does not write and that would be taken for the graph's own") {
  for (const char* text :
       {R"({"node":[{"name":"a","op":"A","inputs":[]}]})", R"({"node":[{"name":"a","op":"A","variables":{}}]})",
        R"({"library":{"function":[{"signature":{"name":"f"},"nodes":[]}]}})",
        R"({"library":{"function":[{"signature":{"name":"f","outputArg":[{"name":"y","node":1}]}}]}})"}) {
    CAPTURE(text);
    CHECK(stet_test::outcome(stet::graph_from_graph_def(graph_json(text))) == "duplicate_key");
  }
  CHECK(stet_test::outcome(stet::signature_from_json(
            "s", graph_json(R"({"inputs":{"x":{"name":"x:0","output":1}}})"))) == "duplicate_key");
}

TEST_CASE("a node without name or op, or with inputs that are none, is for check_graph to refuse") {
  for (const char* text :
       {R"({"node":[{"op":"A"}]})", R"({"node":[{"name":"a"}]})", R"({"node":[{"name":"a","op":"A","input":[1]}]})",
        R"({"node":[{"name":"a","op":"A","input":["a"]}]})"}) {
    const auto graph = stet::graph_from_graph_def(graph_json(text));
    REQUIRE(graph);
    if (graph) CHECK_FALSE(stet::check_graph(*graph));
  }
}

TEST_CASE("loops are closed by NextIteration") {
  const auto graph = stet::graph_from_graph_def(graph_json(
      R"({"node":[{"name":"m","op":"Merge","input":["n"]},{"name":"n","op":"NextIteration","input":["m"]}]})"));
  REQUIRE(graph);
  if (!graph) return;
  CHECK(stet_test::outcome(stet::check_graph(*graph)) == "bad_graph");
  CHECK(stet_test::outcome(stet::check_graph(*graph, stet::tensorflow_graph_rules())) == "ok");
}

TEST_CASE("no prefix and no changed bit of a graph does any harm") {
  const std::string whole = graph_sample();
  std::size_t refused = 0;
  const auto attempt = [&](const std::string& bytes) {
    const std::vector<std::byte> exact(text_bytes(bytes).begin(), text_bytes(bytes).end());
    const auto graph = stet::graph_from_graph_def(std::span<const std::byte>(exact));
    refused += !graph;
    if (graph) {
      (void)stet::check_graph(*graph, stet::tensorflow_graph_rules());
      (void)stet::graph_to_graph_def(*graph);
    }
    constants of(bytes);
    for (const stet::tensor each : of.store) {
      std::byte first{};
      if (each.size_bytes() != 0) (void)each.read(each.size_bytes() - 1, std::span(&first, 1));
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) attempt(whole.substr(0, size));
  CHECK(refused + 8 >= whole.size()); // a prefix that ends between fields is a graph
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = whole;
      changed[place] = static_cast<char>(changed[place] ^ (1 << bit));
      attempt(changed);
    }
  }
}

TEST_CASE("base64 both ways") {
  for (const char* text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    const auto back = stet::detail::from_base64(stet::detail::to_base64(text));
    REQUIRE(back);
    CHECK(*back == text);
  }
  CHECK(stet::detail::to_base64("fooba") == "Zm9vYmE="); // RFC 4648, 10
  CHECK(stet::detail::from_base64("_-8") == std::string("\xFF\xEF"));
  CHECK_FALSE(stet::detail::from_base64("Z"));
  CHECK_FALSE(stet::detail::from_base64("Zm 9"));
}

TEST_SUITE_END();
