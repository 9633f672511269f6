// SPDX-License-Identifier: MIT
// ONNX as a row of the table of formats: how it is recognised, and the graph of a model.
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/onnx/format.hpp>
#include <stet/formats/replace_options.hpp>
#include <stet/formats/tensorflow/saved_model.hpp>
#include <stet/manifest/graph_link.hpp>
#include <stet/restore/report.hpp>
#include <stet/restore/rules.hpp>
#include <stet/writer.hpp>

#include "support/onnx_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("onnx");

namespace {

using namespace std::string_view_literals;
using stet_test::onnx_attribute;
using stet_test::onnx_field;
using stet_test::onnx_graph;
using stet_test::onnx_model;
using stet_test::onnx_node;
using stet_test::onnx_raw;
using stet_test::onnx_writer;

/// The head of a message in front of what follows.
std::string onnx_head(std::uint32_t number, std::uint64_t size_bytes) {
  std::string made;
  stet::detail::append_varint(made, stet::detail::bytes_field(number));
  stet::detail::append_varint(made, size_bytes);
  return made;
}

/// A model of 1 GiB: 64 tensors of 16 MiB, all zero. Counts the bytes that are read.
class large_onnx_file final : public stet::byte_reader {
public:
  static constexpr std::uint64_t tensor_count = 64, tensor_size_bytes = std::uint64_t{16} << 20;

  large_onnx_file() {
    for (std::uint64_t i = 0; i < tensor_count; ++i) {
      std::string fields =
          onnx_writer().varint(1, tensor_size_bytes / 4).varint(2, 1).bytes(8, "w" + std::to_string(i)).take();
      fields += onnx_head(9, tensor_size_bytes);
      heads_[i] = onnx_head(5, fields.size() + tensor_size_bytes) + fields;
    }
    std::uint64_t graph_size = 0;
    for (const std::string& each : heads_) graph_size += each.size() + tensor_size_bytes;
    heads_[0] = onnx_writer().varint(1, 8).bytes(2, "producer").take() + onnx_head(7, graph_size) + heads_[0];
    for (std::uint64_t i = 0; i < tensor_count; ++i) {
      begins_[i] = size_bytes_;
      size_bytes_ += heads_[i].size() + tensor_size_bytes;
    }
  }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    read_bytes += into.size();
    std::memset(into.data(), 0, into.size());
    for (std::uint64_t i = 0; i < tensor_count; ++i) {
      for (std::size_t at = 0; at < heads_[i].size(); ++at) {
        const std::uint64_t place = begins_[i] + at;
        if (place >= offset_bytes && place - offset_bytes < into.size())
          into[static_cast<std::size_t>(place - offset_bytes)] = static_cast<std::byte>(heads_[i][at]);
      }
    }
    return {};
  }
  mutable std::atomic<std::uint64_t> read_bytes{0};

private:
  std::string heads_[tensor_count];
  std::uint64_t begins_[tensor_count] = {}, size_bytes_ = 0;
};

class large_onnx_files final : public stet::file_system {
public:
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view path_utf8) const noexcept override {
    if (path_utf8 != "large.onnx") return stet::errc::file_not_found;
    return stet::source::stream(file);
  }
  large_onnx_file file;
};

std::string onnx_description(const stet_test::temp_folder& folder, std::string_view file) {
  const auto opened = stet::open_as(stet::onnx_format, folder.write("m.onnx", file));
  if (!opened) return std::string(stet::describe(opened.error().code()).name);
  const auto described = stet::describe(*opened);
  if (!described) return std::string(stet::describe(described.error().code()).name);
  std::string made = described->metadata.is_null() ? std::string() : described->metadata.dump();
  for (const stet::tensor_note& each : described->tensors) made += each.name + " " + each.attributes.dump() + "\n";
  for (const stet::graph& each : described->graphs) {
    const auto checked = stet::check_graph(each);
    CHECK(checked);
    made += stet::graph_to_json(each).dump();
  }
  return made;
}

} // namespace

TEST_CASE("ONNX files are told from TensorFlow's, which are protobufs, too") {
  const stet_test::temp_folder folder;
  const auto recognised = [&](const stet::format& as, std::string_view bytes) {
    const std::string path = folder.write("x", bytes);
    stet::format_probe probe(path);
    return as.recognises(probe);
  };
  const std::string model = stet_test::example_onnx_model(), tensor = onnx_raw("t", 1, {1}, "abcd");
  const std::string graph_def = onnx_field(1, onnx_field(1, "n") + onnx_field(2, "Const"));
  const std::string saved_model = onnx_writer().varint(1, 1).bytes(2, onnx_field(2, graph_def)).take();
  const std::string meta_graph = onnx_field(1, "") + onnx_field(2, graph_def);
  for (const std::string& onnx : {model, tensor}) {
    CHECK(recognised(stet::onnx_format, onnx));
    CHECK_FALSE(recognised(stet::graph_def_format, onnx));
    CHECK_FALSE(recognised(stet::saved_model_format, onnx));
    CHECK_FALSE(recognised(stet::meta_graph_format, onnx));
  }
  for (const std::string& other :
       {graph_def, saved_model, meta_graph, std::string(), std::string("\n\n\n\n"), std::string("{}")})
    CHECK_FALSE(recognised(stet::onnx_format, other));
  CHECK(recognised(stet::saved_model_format, saved_model));
}

TEST_CASE("a model of ONNX of 1 GiB is recognised and listed from a few KiB of it") {
  const large_onnx_files files;
  const stet::open_options options{.backing = stet::backing::stream, .files = &files};
  stet::format_probe probe("large.onnx", options);
  REQUIRE_FALSE(probe.failure());
  // The rows that are asked before and after do not read it, either.
  for (const stet::format* const each : {&stet::saved_model_format, &stet::meta_graph_format, &stet::graph_def_format})
    CHECK_FALSE(each->recognises(probe));
  CHECK(stet::onnx_format.recognises(probe));
  CHECK(files.file.read_bytes <= 2 * stet::format_probe::sample_size_bytes);
  const auto opened = stet::open_as(stet::onnx_format, probe);
  REQUIRE(opened);
  CHECK(opened->store.tensor_count() == large_onnx_file::tensor_count);
  CHECK(opened->store.find("w63")->size_bytes() == large_onnx_file::tensor_size_bytes);
  CHECK(files.file.read_bytes < 200 * 1024);
  const auto described = stet::describe(*opened);
  REQUIRE(described);
  REQUIRE(described->graphs.size() == 1);
  CHECK(described->graphs[0].nodes.size() == large_onnx_file::tensor_count);
  CHECK(files.file.read_bytes < 512 * 1024);
}

TEST_CASE("the graph of an ONNX model") {
  const stet_test::temp_folder folder;
  const auto value = [](std::string_view name, std::string_view extents) {
    const std::string shape = onnx_field(2, extents);
    return onnx_field(1, name) + onnx_field(2, onnx_field(1, onnx_writer().varint(1, 1).take() + shape));
  };
  const std::string two = onnx_field(1, onnx_writer().varint(1, 2).take()), any = onnx_field(1, onnx_field(2, "N"));
  const std::string then =
      onnx_field(1, onnx_node("Neg", {"x"}, {"t"})) + onnx_field(12, value("t", two)) + onnx_field(2, "then");
  const std::string attributes = onnx_writer().bytes(1, "f").float32(2, 0.1f).varint(20, 1).take();
  std::string graph = onnx_graph({onnx_raw("w", 1, {1}, "abcd")});
  graph += onnx_field(11, value("x", any + two)) + onnx_field(12, value("y", ""));
  graph += onnx_field(
      1, onnx_node("If", {"c"}, {"b", "b2"},
                   {onnx_attribute("then_branch", 6, then), onnx_attribute("s", 4, "text"),
                    onnx_attribute("raw", 4, "\xff"), onnx_writer().bytes(1, "i").integer(3, -3).take(), attributes,
                    onnx_writer().bytes(1, "floats").float32(7, 1).bytes(7, "\0\0\0\x40\0\0\xc0\x7f"sv).take(),
                    onnx_writer().bytes(1, "ints").varint(8, 1).bytes(8, "\x02\x03").take(),
                    onnx_writer().bytes(1, "strings").bytes(9, "a").bytes(9, "b").take(),
                    onnx_writer().bytes(1, "empty").varint(20, 7).take()},
                   "branch"));
  graph += onnx_field(1, onnx_node("Add", {"b2", "", "w"}, {"y"}) + onnx_field(7, "custom"));
  graph += onnx_field(1, onnx_node("Constant", {}, {"c"}, {onnx_attribute("value", 5, onnx_raw("", 9, {}, "\1"))}));
  const std::string function =
      onnx_field(1, "F") + onnx_field(4, "a") + onnx_field(5, "r") + onnx_field(6, "alpha") + onnx_field(10, "custom") +
      onnx_field(7, onnx_node("Elu", {"a"}, {"r"}, {onnx_field(1, "alpha") + onnx_field(21, "alpha")}));
  const std::string file =
      onnx_model(onnx_field(2, "g") + graph, onnx_field(14, onnx_field(1, "author") + onnx_field(2, "me")) +
                                                 onnx_field(25, function) + onnx_field(2, "made"));
  CHECK(
      onnx_description(folder, file) ==
      R"({"nodes":[{"name":"w","op":"Initializer","variables":{"value":"w"}},{"name":"x","op":"Input"},)"
      R"({"name":"branch","op":"If","inputs":["c"],"attributes":{"then_branch":{"function":"sub:b:then_branch"},)"
      R"("s":"text","raw":{"base64":"/w=="},"i":-3,"f":0.1,"floats":[1.0,2.0,"NaN"],"ints":[1,2,3],"strings":["a","b"],)"
      R"("empty":[]},"outputs":["b","b2"]},)"
      R"({"name":"y","op":"Add","inputs":[{"node":"branch","output":1},"omitted","w"],"domain":"custom"},)"
      R"({"name":"c","op":"Constant","variables":{"value":"node:Constant:c:value"}},{"name":"omitted","op":"Omitted"}],)"
      R"("inputs":{"x":{"node":"x","dtype":"float32","shape":[null,2],"dim_params":["N",null]}},)"
      R"("outputs":{"y":{"node":"y","dtype":"float32","shape":[]}},)"
      R"("functions":{"sub:b:then_branch":{"nodes":[{"name":"t","op":"Neg","inputs":["x"]},{"name":"x","op":"Outer"}],)"
      R"("outputs":{"t":{"node":"t","dtype":"float32","shape":[2]}},"attributes":{"name":"then"}},)"
      R"("function:F":{"nodes":[{"name":"a","op":"Input"},{"name":"r","op":"Elu","inputs":["a"],"attributes":)"
      R"({"alpha":{"ref":"alpha"}}}],"inputs":{"a":"a"},"outputs":{"r":"r"},"attributes":{"alpha":null},)"
      R"("domain":"custom","op":"F"}},)"
      R"("metadata":{"onnx":{"ir_version":8,"producer_name":"made","opset_import":{"":21},"metadata_props":{"author":"me"},)"
      R"("graph":{"name":"g"}}}})");
}

TEST_CASE("what an ONNX file holds beside a graph that can be read") {
  const stet_test::temp_folder folder;
  CHECK(onnx_description(folder, onnx_raw("t", 1, {1}, "abcd")).empty());
  const std::string sparse = onnx_field(1, onnx_raw("s", 2, {1}, "v")) +
                             onnx_field(2, onnx_raw("", 7, {1}, "\3\0\0\0\0\0\0\0"sv)) + onnx_field(3, "\x05\x02");
  CHECK(onnx_description(folder, onnx_model(onnx_graph({}, onnx_field(15, sparse))))
            .starts_with(
                "sparse:s:values "
                "{\"onnx\":{\"sparse_shape\":[5,2]}}\n{\"nodes\":[{\"name\":\"s\",\"op\":\"Initializer\",\"variables\":"
                "{\"values\":\"sparse:s:values\",\"indices\":\"sparse:s:indices\"}}]"));
  // Two nodes of a name have different ones in the graph.
  const std::string twins =
      onnx_field(1, onnx_node("A", {}, {"x"}, {}, "n")) + onnx_field(1, onnx_node("B", {"x"}, {"y"}, {}, "n"));
  CHECK(onnx_description(folder, onnx_model(twins)).find(R"({"name":"n_1","op":"B","inputs":["n"],"outputs":["y"]})") !=
        std::string::npos);
  // Text that is not UTF-8 and attributes that occur twice cost the graph alone.
  CHECK(onnx_description(folder, onnx_model(onnx_field(1, onnx_node("\xff", {}, {"x"}))))
            .starts_with("{\"onnx\":{\"unread\":\"text that is not UTF-8: a message is not valid"));
  const std::string twice = onnx_writer().bytes(1, "i").integer(3, 1).take();
  CHECK(onnx_description(folder, onnx_model(onnx_field(1, onnx_node("A", {}, {"x"}, {twice, twice})))).find("i of x") !=
        std::string::npos);
}

TEST_CASE("replace_weights puts converted weights into an ONNX model, in its own places and in other files") {
  const stet_test::temp_folder folder;
  folder.write("w.data", "..abcdefgh");
  const auto list = stet_test::onnx_tensor("list", 7, {2}, [](onnx_writer& out) { out.bytes(7, "\x01\x02"); });
  const auto beside = stet_test::onnx_external("dense/kernel", 1, {2}, {{"location", "w.data"}, {"offset", "2"}});
  const std::string path = folder.write("m.onnx", onnx_model(onnx_graph({onnx_raw("bias", 1, {1}, "abcd"), list, beside,
                                                                         onnx_raw("kept", 2, {1}, "k")})));
  const std::vector<double> new_kernel{0.5, -2};
  const std::vector<float> new_bias{3}, long_bias{3, 4};
  const std::vector<std::int32_t> new_list{-1, 300};
  stet::writer out;
  out.add("trained/kernel", new_kernel, {2});
  out.add("bias", new_bias, {1});
  out.add("list", new_list, {2});
  REQUIRE(out.save(folder.path("weights.stet")));
  const auto weights = stet::open(folder.path("weights.stet"));
  REQUIRE(weights);
  auto rules = stet::patch_rules();
  rules.renames.push_back(stet::rename_rule::exact("dense/kernel", "trained/kernel"));
  stet::restore_report report;
  const auto done = stet::compiled::replace_weights(path, *weights, rules, path, {}, &report);
  REQUIRE(done);
  CHECK(done->tensor_count == 3);
  CHECK(report.is_good());
  const auto opened = stet::open_as(stet::onnx_format, path);
  REQUIRE(opened);
  std::vector<float> kernel(2), bias(1);
  std::vector<std::int64_t> integers(2);
  std::vector<std::uint8_t> kept(1);
  REQUIRE(opened->store.find("dense/kernel")->copy_to(std::span(kernel)));
  REQUIRE(opened->store.find("bias")->copy_to(std::span(bias)));
  REQUIRE(opened->store.find("list")->copy_to(std::span(integers)));
  REQUIRE(opened->store.find("kept")->copy_to(std::span(kept)));
  CHECK(kernel == std::vector<float>{0.5f, -2});
  CHECK(bias == std::vector<float>{3});
  CHECK(integers == std::vector<std::int64_t>{-1, 300});
  CHECK(kept[0] == 'k');
  // Another shape is an error, and nothing is written.
  const std::string before = [&] {
    const auto bytes = folder.read("m.onnx");
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }();
  stet::writer other;
  other.add("bias", long_bias, {2});
  REQUIRE(other.save(folder.path("other.stet")));
  const auto wrong = stet::open(folder.path("other.stet"));
  REQUIRE(wrong);
  const auto failed = stet::compiled::replace_weights(path, *wrong, stet::patch_rules(), path, {}, &report);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == stet::errc::binding_failed);
  CHECK(failed.error().subject() == "bias");
  const auto bytes = folder.read("m.onnx");
  CHECK(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == before);
}

TEST_SUITE_END();
