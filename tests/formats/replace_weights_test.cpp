// SPDX-License-Identifier: MIT
// New weights in copies of models: exactly their bytes change, and the checksums that depend on them; what cannot be is told.
#include <stet/formats/compiled.hpp>
#include <stet/formats/replace_options.hpp>

#include "support/gguf_files.hpp"
#include "support/onnx_files.hpp"
#include "support/outcome.hpp"
#include "support/pytorch_files.hpp"
#include "support/safetensors_files.hpp"
#include "support/temp_folder.hpp"
#include "support/tflite_files.hpp"
#include "support/zip_archives.hpp"

#include <stet/checkpoint/live_store.hpp>
#include <stet/formats/check_model.hpp>
#include <stet/formats/gguf/ggml_type.hpp>
#include <stet/formats/gguf/quantize.hpp>
#include <stet/formats/numpy/save.hpp>
#include <stet/formats/safetensors.hpp>
#include <stet/restore/report.hpp>
#include <stet/restore/rules.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace std::string_literals;
using namespace stet_test;

/// A store of float32 tensors, in memory.
class new_weights {
public:
  struct row {
    std::string name;
    std::vector<std::uint64_t> shape;
    std::vector<float> values;
  };
  explicit new_weights(const std::vector<row>& rows) {
    std::string header = "{", data;
    for (const row& each : rows) {
      const std::size_t begin = data.size();
      data += numbers_as_bytes(each.values);
      std::string shape;
      for (const std::uint64_t extent : each.shape) shape += (shape.empty() ? "" : ",") + std::to_string(extent);
      header += (header.size() == 1 ? "\"" : ",\"") + each.name + R"(":{"dtype":"F32","shape":[)" + shape +
                R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
    }
    file_ = safetensors_file(header + "}", data);
  }
  [[nodiscard]] stet::store open() const {
    auto made = stet::open_safetensors(std::as_bytes(std::span(file_.data(), file_.size())));
    REQUIRE(made);
    return std::move(*made);
  }

private:
  std::string file_;
};

std::string text_in(const temp_folder& folder, std::string_view name) {
  const std::vector<std::byte> bytes = folder.read(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// The number of bytes in which files of one size differ.
std::size_t difference_of(const std::string& a, const std::string& b) {
  REQUIRE(a.size() == b.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += a[i] != b[i] ? 1u : 0u;
  return count;
}

/// Replaces in a copy of `bytes`, "m", whose name is `name`. The outcome and the new file are kept.
struct replaced_file {
  std::string outcome, subject, bytes;
  stet::replaced_weights done;
  stet::restore_report report;

  replaced_file(std::string_view name, const std::string& model, const stet::store& from,
                const stet::restore_rules& rules = stet::patch_rules(), const stet::replace_options& options = {}) {
    const temp_folder folder;
    const std::string path = folder.write(name, model);
    const auto made = stet::compiled::replace_weights(path, from, rules, folder.path("out"), options, &report);
    outcome = stet_test::outcome(made);
    if (made) {
      done = *made;
      bytes = text_in(folder, "out");
      CHECK(done.file_size_bytes == bytes.size());
      const auto checked = stet::compiled::open_any(folder.path("out"));
      REQUIRE(checked);
      CHECK(stet_test::outcome(stet::check_ranges(*checked)) == "ok");
    } else {
      subject = made.error().subject();
      CHECK(folder.names() == std::vector<std::string>{std::string(name)});
    }
    CHECK(text_in(folder, name) == model);
  }
  /// "OUTCOME REASON" of a tensor of the model; '!' in front of an error.
  [[nodiscard]] std::string of(std::string_view variable) const {
    for (const stet::restore_entry& each : report.entries) {
      if (each.variable != variable) continue;
      return (each.is_error ? "!" : "") + std::string(name_of(each.outcome)) +
             (each.reason.empty() ? "" : " " + each.reason);
    }
    return "none";
  }
};

/// A TFLite model with one constant "q" of int8 or another type.
std::string quantized_model(tflite_tensor tensor, std::string codes) {
  tflite_model_file made;
  tensor.buffer = 1;
  made.subgraphs = {{{std::move(tensor)}}};
  made.buffers = {std::move(codes)};
  return made.bytes();
}

} // namespace

TEST_SUITE("formats/replace_weights") {
  TEST_CASE("tensors of a safetensors file get new values, converted, and no other byte changes") {
    const std::string model = example_safetensors_file();
    const new_weights weights({{"a", {3}, {7, 8, 9}}, {"h", {}, {0.5F}}, {"unused", {1}, {1}}});
    const stet::store from = weights.open();
    const replaced_file made("m.safetensors", model, from);
    REQUIRE(made.outcome == "ok");
    CHECK(made.done.tensor_count == 2);
    std::string expected = model;
    expected.replace(0xD0, 12, numbers_as_bytes<float>({7, 8, 9}));
    expected.replace(0xDC, 2, "\0\x38"s); // 0.5 as float16
    CHECK(made.bytes == expected);
    CHECK(made.of("a") == "copied");
    CHECK(made.of("h") == "converted float32 [] in the weights, float16 [] in the model");
    CHECK(made.of("bb") == "missing");
    CHECK(made.report.count(stet::restore_outcome::unexpected) == 1);
    CHECK(made.report.copied_bytes == 14);
  }

  TEST_CASE("the file is replaced by a new one: who has it open keeps it, and who opens it gets the new one") {
    const temp_folder folder;
    const std::string path = folder.write("m.safetensors", example_safetensors_file());
    const auto old = stet::compiled::open_any(path);
    REQUIRE(old);
    const new_weights weights({{"a", {3}, {7, 8, 9}}});
    const stet::store from = weights.open();
    REQUIRE(stet::compiled::replace_weights(path, from, stet::patch_rules(), path, {}));
    std::vector<float> values(3);
    REQUIRE(old->store.find("a")->copy_to(std::span(values)));
    CHECK(values == std::vector<float>{1, 2, 3});
    const auto now = stet::compiled::open_any(path);
    REQUIRE(now);
    REQUIRE(now->store.find("a")->copy_to(std::span(values)));
    CHECK(values == std::vector<float>{7, 8, 9});
  }

  TEST_CASE("rules: renames, selection, and what is missing, unexpected or of another shape or dtype") {
    const std::string model = example_safetensors_file();
    const new_weights weights({{"layer.a", {3}, {7, 8, 9}}, {"h", {}, {2}}, {"bb", {2}, {1, 2}}});
    const stet::store from = weights.open();
    stet::restore_rules rules = stet::patch_rules();
    rules.exclude = {"bb"};
    rules.renames = {stet::rename_rule::exact("a", "layer.a")};
    const replaced_file made("m.safetensors", model, from, rules);
    CHECK(made.outcome == "ok");
    CHECK(made.of("a") == "copied");
    CHECK(made.of("bb") == "excluded");
    CHECK(made.report.count(stet::restore_outcome::unexpected) == 0);

    rules.exclude.clear();
    const replaced_file wrong("m.safetensors", model, from, rules);
    CHECK(wrong.outcome == "binding_failed");
    CHECK(wrong.subject == "bb");
    CHECK(wrong.of("bb") == "!shape_mismatch float32 [2] in the weights, uint8 [1] in the model");
    rules.shape = stet::shape_policy::skip;
    CHECK(replaced_file("m.safetensors", model, from, rules).outcome == "ok");
    rules.dtype = stet::dtype_policy::error;
    CHECK(replaced_file("m.safetensors", model, from, rules).of("h") ==
          "!dtype_mismatch float32 [] in the weights, float16 [] in the model");
    rules = stet::patch_rules();
    rules.exclude = {"bb"};
    rules.missing = stet::absence_policy::error;
    CHECK(replaced_file("m.safetensors", model, from, rules).subject == "a");
    rules.missing = stet::absence_policy::skip;
    rules.unexpected = stet::absence_policy::error;
    CHECK(replaced_file("m.safetensors", model, from, rules).subject == "layer.a");

    const new_weights others({{"other", {1}, {1}}});
    const stet::store none = others.open();
    CHECK(replaced_file("m.safetensors", model, none).outcome == "not_found");
  }

  TEST_CASE("axes in another order are turned while the bytes are made") {
    const std::string model = dense_tflite_model().bytes();
    const new_weights weights({{"kernel", {2, 3}, {1, 2, 3, 4, 5, 6}}});
    const stet::store from = weights.open();
    stet::restore_rules rules = stet::patch_rules();
    rules.renames = {stet::rename_rule::exact("dense/w", "kernel")};
    stet::replace_options options;
    CHECK(replaced_file("m.tflite", model, from, rules, options).of("0:1:dense/w") ==
          "!shape_mismatch float32 [2, 3] in the weights, float32 [3, 2] in the model");
    options.axes = {{"dense/*", {1, 0}}};
    const replaced_file made("m.tflite", model, from, rules, options);
    REQUIRE(made.outcome == "ok");
    std::string expected = model;
    const std::string old = numbers_as_bytes<float>({1, 2, 3, 4, 5, 6});
    expected.replace(expected.find(old), old.size(), numbers_as_bytes<float>({1, 4, 2, 5, 3, 6}));
    CHECK(made.bytes == expected);
    for (const std::vector<std::uint32_t>& bad : {std::vector<std::uint32_t>{0, 0}, {1}, {1, 2}, {0, 1}, {1, 0, 2}}) {
      options.axes = {{"dense/*", bad}};
      CHECK(replaced_file("m.tflite", model, from, rules, options).outcome == "binding_failed");
    }
  }

  TEST_CASE("codes of TFLite are made with the scales and zero points of the model") {
    const new_weights weights({{"q", {2, 2}, {0.25F, -0.75F, 100, -100}}});
    const stet::store from = weights.open();
    const auto codes = [&](const flat_value& how, std::int8_t type = tflite_i8, std::size_t size = 4) {
      tflite_tensor tensor{"q", {2, 2}, type};
      tensor.quantization = how;
      const std::string model = quantized_model(tensor, std::string(size, '\x55'));
      const replaced_file made("m.tflite", model, from);
      CHECK(made.outcome == "ok");
      const std::size_t at = model.find(std::string(size, '\x55'));
      CHECK(difference_of(model, made.bytes) <= size);
      return std::pair(made.bytes.substr(at, size), made.done.out_of_range_count);
    };
    // Ties go away from zero; a symmetric tensor has no -128.
    CHECK(codes(tflite_affine({0.5F}, {0})) == std::pair("\x01\xFE\x7F\x81"s, std::uint64_t{2}));
    CHECK(codes(tflite_affine({1}, {-3})) == std::pair("\xFD\xFC\x61\x99"s, std::uint64_t{0}));
    CHECK(codes(tflite_affine({0.5F}, {-3})) == std::pair("\xFE\xFB\x7F\x80"s, std::uint64_t{2}));
    CHECK(codes(tflite_affine({0.25F, 1}, {0, 0}, 0)) == std::pair("\x01\xFD\x64\x9C"s, std::uint64_t{0}));
    CHECK(codes(tflite_affine({0.25F, 1}, {0, 0}, 1)) == std::pair("\x01\xFF\x7F\x9C"s, std::uint64_t{1}));
    CHECK(codes(tflite_affine({1}, {128}), tflite_u8) == std::pair("\x80\x7F\xE4\x1C"s, std::uint64_t{0}));
    CHECK(codes(tflite_affine({0.5F}, {0}), tflite_i32, 16) ==
          std::pair(numbers_as_bytes<std::int32_t>({1, -2, 200, -200}), std::uint64_t{0}));
    CHECK(codes(tflite_affine({0.5F}, {0}), tflite_i4, 2) == std::pair("\xE1\x97"s, std::uint64_t{2}));
    CHECK(codes(tflite_affine({1e-20F}, {0}), tflite_i64, 32).first ==
          numbers_as_bytes<std::int64_t>(
              {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min(),
               std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}));
  }

  TEST_CASE("numbers out of the range of a scale are told by the report") {
    tflite_tensor tensor{"q", {2}, tflite_i8};
    tensor.quantization = tflite_affine({0.5F}, {0});
    const new_weights weights({{"q", {2}, {1000, 1}}});
    const stet::store from = weights.open();
    const replaced_file made("m.tflite", quantized_model(tensor, "12"), from);
    CHECK(made.of("0:0:q") ==
          "converted float32 [2] in the weights, int8 [2] in the model; 1 of its numbers are out of "
          "the range of the scale and got the nearest code");
  }

  TEST_CASE("a number that is NaN has no code, and nothing is written") {
    tflite_tensor tensor{"q", {2}, tflite_i8};
    tensor.quantization = tflite_affine({0.5F}, {0});
    const new_weights weights({{"q", {2}, {1, std::numeric_limits<float>::quiet_NaN()}}});
    const stet::store from = weights.open();
    const replaced_file made("m.tflite", quantized_model(tensor, "12"), from);
    CHECK(made.outcome == "not_convertible");
    CHECK(made.of("0:0:q").starts_with("!failed"));
    CHECK(made.report.copied_bytes == 0);
  }

  TEST_CASE("quantizations that are not affine are told, and codes without one are cast") {
    const new_weights weights({{"q", {2}, {1.75F, -2}}});
    const stet::store from = weights.open();
    tflite_tensor tensor{"q", {2}, tflite_i8};
    tensor.quantization = flat_table({{}, {}, {}, {}, flat_number(std::uint8_t{2}), flat_table({})});
    CHECK(replaced_file("m.tflite", quantized_model(tensor, "12"), from).of("0:0:q") ==
          "!failed its quantization is not affine, so numbers have no codes in it");
    tensor.quantization = tflite_affine({-1}, {0});
    CHECK(replaced_file("m.tflite", quantized_model(tensor, "12"), from).outcome == "binding_failed");
    tensor.quantization = {};
    const replaced_file cast("m.tflite", quantized_model(tensor, "12"), from);
    CHECK(cast.outcome == "ok");
  }

  TEST_CASE("tensors that share their bytes get the same values, or none") {
    tflite_model_file model;
    model.subgraphs = {{{{"a", {2}, tflite_f32, 1}, {"b", {2}, tflite_f32, 1}}}};
    model.buffers = {std::string(8, '\x55')};
    const new_weights weights({{"a", {2}, {1, 2}}, {"b", {2}, {1, 2}}});
    const stet::store from = weights.open();
    stet::restore_rules rules = stet::patch_rules();
    const replaced_file wrong("m.tflite", model.bytes(), from, rules);
    CHECK(wrong.of("0:0:a") == "!failed its bytes are also those of 0:1:b, which gets other values or none");
    CHECK(wrong.of("0:1:b") == "!failed its bytes are also those of 0:0:a, which gets other values or none");
    rules.exclude = {"b"};
    CHECK(replaced_file("m.tflite", model.bytes(), from, rules).of("0:0:a").starts_with("!failed"));
    rules = stet::patch_rules();
    rules.renames = {stet::rename_rule::exact("b", "a")};
    const replaced_file made("m.tflite", model.bytes(), from, rules);
    REQUIRE(made.outcome == "ok");
    std::string expected = model.bytes();
    expected.replace(expected.find(std::string(8, '\x55')), 8, numbers_as_bytes<float>({1, 2}));
    CHECK(made.bytes == expected);
  }

  TEST_CASE("the checksums of members of an archive are made anew, in their entries, headers and descriptors") {
    const auto npy = [](const std::string& values) {
      std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
      head.resize(117, ' ');
      return "\x93NUMPY\1\0"s + little(118, 2) + head + "\n" + values;
    };
    const std::string old = numbers_as_bytes<float>({1, 2}), other = numbers_as_bytes<float>({3, 4}),
                      values = numbers_as_bytes<float>({5, 6});
    const new_weights weights({{"a", {2}, {5, 6}}});
    const stet::store from = weights.open();
    const auto archive = [&](const std::string& first, bool has_descriptor, bool has_mark) {
      made_archive made{{{"a.npy", npy(first)}, {"b.npy", npy(other)}, {"notes.txt", "text"}}};
      if (has_descriptor) {
        made_member& member = made.members[0];
        member.descriptor = (has_mark ? "PK\7\x08"s : ""s) + little(member.central.crc32, 4) +
                            little(member.central.stored_size, 4) + little(member.central.size, 4);
        member.local.flags = member.central.flags = 8;
        member.local.crc32 = member.local.stored_size = member.local.size = 0;
      }
      return made.bytes();
    };
    for (const bool has_descriptor : {false, true}) {
      for (const bool has_mark : {false, true}) {
        const replaced_file made("m.npz", archive(old, has_descriptor, has_mark), from);
        REQUIRE(made.outcome == "ok");
        CHECK(made.bytes == archive(values, has_descriptor, has_mark));
      }
    }
  }

  TEST_CASE("a model in a bundle is replaced there") {
    const new_weights weights({{"one/dense/b", {3}, {7, 8, 9}}});
    const stet::store from = weights.open();
    const std::string model = dense_tflite_model().bytes();
    const std::string bundle = zip_of({{"one", model}, {"two", model}});
    const replaced_file made("m.task", bundle, from);
    REQUIRE(made.outcome == "ok");
    std::string changed = model;
    const std::string old = numbers_as_bytes<float>({0.5F, 1.5F, 2.5F});
    changed.replace(changed.find(old), old.size(), numbers_as_bytes<float>({7, 8, 9}));
    CHECK(made.bytes == zip_of({{"one", changed}, {"two", model}}));
  }

  TEST_CASE("blocks of GGUF are made of numbers where that is possible") {
    std::vector<float> numbers;
    for (int i = 0; i < 64; ++i) numbers.push_back(static_cast<float>(i) / 8 - 3);
    const new_weights weights({{"q", {2, 32}, numbers}, {"k", {1, 256}, std::vector<float>(256, 1)}});
    const stet::store from = weights.open();
    gguf_file model;
    model.tensor("q", {32, 2}, 8, std::string(68, '\x55'));
    const replaced_file made("m.gguf", model.bytes(), from);
    REQUIRE(made.outcome == "ok");
    std::vector<std::byte> blocks(68);
    REQUIRE(stet::quantize_blocks(stet::find_ggml_type(8)->block(), numbers, blocks));
    CHECK(std::memcmp(made.bytes.data() + made.bytes.size() - 96, blocks.data(), 68) == 0);
    gguf_file other;
    other.tensor("k", {256, 1}, 12, std::string(144, '\0')); // q4_k
    CHECK(replaced_file("m.gguf", other.bytes(), from).of("k") ==
          "!dtype_mismatch float32 [1, 256] in the weights, q4_k [1, 256] in the model; blocks of this type cannot be "
          "made");
  }

  TEST_CASE("big-endian elements are written in the order of the file") {
    std::string head = "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }";
    head.resize(117, ' ');
    head = "\x93NUMPY\1\0"s + little(118, 2) + head + "\n";
    const new_weights weights({{"0", {2}, {1, 2}}});
    const stet::store from = weights.open();
    const replaced_file made("m.npy", head + "12345678", from);
    REQUIRE(made.outcome == "ok");
    CHECK(made.bytes == head + "\x3F\x80\0\0\x40\0\0\0"s);
  }

  TEST_CASE("a tensor whose bytes are not in the file as they are is told") {
    std::string head = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }";
    head.resize(117, ' ');
    head = "\x93NUMPY\1\0"s + little(118, 2) + head + "\n";
    const new_weights weights({{"0", {2, 2}, {1, 2, 3, 4}}});
    const stet::store from = weights.open();
    CHECK(replaced_file("m.npy", head + "0123456789abcdef", from).of("0") ==
          "!failed its bytes are not in the file as they are: decoded, compressed or gathered");
  }

  TEST_CASE("an ONNX model gets new values, converted, with every other byte the same") {
    const std::string old = "\0\x3C\0\x40"s; // 1 and 2 as float16
    const std::string model = onnx_model(onnx_graph({onnx_raw("w", 10, {2}, old), onnx_raw("v", 1, {1}, "1234")}));
    const new_weights weights({{"w", {2}, {0.5F, -1}}});
    const stet::store from = weights.open();
    const replaced_file made("m.onnx", model, from);
    REQUIRE(made.outcome == "ok");
    std::string expected = model;
    expected.replace(expected.find(old), old.size(), "\0\x38\0\xBC"s);
    CHECK(made.bytes == expected);
    CHECK(made.of("w") == "converted float32 [2] in the weights, float16 [2] in the model");
    CHECK(made.of("v") == "missing");
  }

  TEST_CASE(
      "tensors of a file of PyTorch get new values, and with them their tied names and the checksums of storages") {
    const auto archive = [](const std::string& w, const std::string& h) {
      return pytorch_file(
          pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {2, 3}, {3, 1}), pt::text("tied"),
                    pt::tensor("0", 6, 0, {2, 3}, {3, 1}), pt::text("h"),
                    pt::tensor("1", 2, 0, {2}, {1}, "HalfStorage"), pt::text("b"), pt::tensor("2", 2, 0, {2}, {1}),
                    pt::text("turned"), pt::tensor("3", 4, 0, {2, 2}, {1, 2}), pt::text("epoch"), pt::integer(7)}),
          {{"0", w}, {"1", h}, {"2", floats(2, 50)}, {"3", floats(4, 60)}}, {{"byteorder", "little"}});
    };
    const new_weights weights({{"w", {2, 3}, {10, 11, 12, 13, 14, 15}}, {"h", {2}, {0.5F, -1}}});
    const stet::store from = weights.open();
    const replaced_file made("m.pt", archive(floats(6), "\0\x3C\0\x40"s), from);
    REQUIRE(made.outcome == "ok");
    CHECK(made.bytes == archive(floats(6, 10), "\0\x38\0\xBC"s));
    CHECK(made.of("w") == "copied");
    CHECK(made.of("h") == "converted float32 [2] in the weights, float16 [2] in the model");
    CHECK(made.of("b") == "missing");
    CHECK(made.of("tied") == "none"); // the bytes are those of w
    // By the tied name, too.
    const new_weights by_alias({{"tied", {2, 3}, {10, 11, 12, 13, 14, 15}}});
    const stet::store other = by_alias.open();
    CHECK(replaced_file("m.pt", archive(floats(6), "1234"), other).bytes == archive(floats(6, 10), "1234"));
    // A view whose bytes are gathered.
    const new_weights gathered({{"turned", {2, 2}, {1, 2, 3, 4}}});
    const stet::store views = gathered.open();
    const replaced_file turned("m.pt", archive(floats(6), "1234"), views);
    CHECK(turned.outcome == "binding_failed");
    CHECK(turned.subject == "turned");
    CHECK(turned.of("turned") == "!failed its bytes are not in the file as they are: decoded, compressed or gathered");
  }

  TEST_CASE("views of one storage of PyTorch must not get different values where they overlap") {
    const std::string model = pytorch_file(pt::dict({pt::text("whole"), pt::tensor("0", 6, 0, {6}, {1}),
                                                     pt::text("end"), pt::tensor("0", 6, 4, {2}, {1})}),
                                           {{"0", floats(6)}});
    const new_weights weights({{"end", {2}, {1, 2}}});
    const stet::store from = weights.open();
    CHECK(replaced_file("m.pt", model, from).of("end") ==
          "!failed its bytes are also those of whole, which gets other values or none");
    const std::string apart = pytorch_file(pt::dict({pt::text("begin"), pt::tensor("0", 6, 0, {4}, {1}),
                                                     pt::text("end"), pt::tensor("0", 6, 4, {2}, {1})}),
                                           {{"0", floats(6)}});
    std::string expected = pytorch_file(pt::dict({pt::text("begin"), pt::tensor("0", 6, 0, {4}, {1}), pt::text("end"),
                                                  pt::tensor("0", 6, 4, {2}, {1})}),
                                        {{"0", floats(4) + floats(2, 1)}});
    CHECK(replaced_file("m.pt", apart, from).bytes == expected);
  }

  TEST_CASE("files of PyTorch without an archive, and with big-endian elements, get new values") {
    const new_weights weights({{"w", {2, 3}, {10, 11, 12, 13, 14, 15}}});
    const stet::store from = weights.open();
    const std::string legacy = example_legacy_pytorch_file();
    std::string expected = legacy;
    expected.replace(expected.find(floats(6)), 24, floats(6, 10));
    CHECK(replaced_file("m.pth", legacy, from).bytes == expected);
    const std::string object = pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {2, 3}, {3, 1})});
    std::string turned = floats(6, 10);
    for (std::size_t at = 0; at < turned.size(); at += 4) {
      std::swap(turned[at], turned[at + 3]);
      std::swap(turned[at + 1], turned[at + 2]);
    }
    CHECK(replaced_file("m.pt", pytorch_file(object, {{"0", floats(6)}}, {{"byteorder", "big"}}), from).bytes ==
          pytorch_file(object, {{"0", turned}}, {{"byteorder", "big"}}));
  }

  TEST_CASE("weights within an archive of torch.export get new values, and both archives their checksums") {
    const auto inner = [](const std::string& w, const std::string& b, bool has_descriptor) {
      made_archive made;
      for (const auto& [name, bytes] :
           {std::pair("m/data.pkl"s, pt::pickle(pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {2, 3}, {3, 1}),
                                                          pt::text("b"), pt::tensor("1", 2, 0, {2}, {1})}))),
            std::pair("m/data/0"s, w), std::pair("m/data/1"s, b), std::pair("m/version"s, "3"s)}) {
        made_member& member = made.members.emplace_back(name, bytes);
        if (!has_descriptor) continue;
        member.descriptor =
            "PK\7\x08"s + little(member.central.crc32, 4) + little(bytes.size(), 4) + little(bytes.size(), 4);
        member.local.flags = member.central.flags = 8;
        member.local.crc32 = member.local.stored_size = member.local.size = 0;
      }
      return made.bytes();
    };
    const auto outer = [](const std::string& state_dict) {
      return zip_of({{"serialized_exported_program.json", "{}"},
                     {"serialized_state_dict.pt", state_dict},
                     {"serialized_constants.pt", "other"},
                     {"version", "5.1"}});
    };
    const new_weights weights({{"w", {2, 3}, {10, 11, 12, 13, 14, 15}}, {"b", {2}, {20, 21}}});
    const stet::store from = weights.open();
    for (const bool has_descriptor : {false, true}) {
      const replaced_file made("m.pt2", outer(inner(floats(6), floats(2, 50), has_descriptor)), from);
      REQUIRE(made.outcome == "ok");
      CHECK(made.bytes == outer(inner(floats(6, 10), floats(2, 20), has_descriptor)));
    }
    // A storage that looks like an archive is none.
    const std::string archive = zip_of({{"a", "0123456789abcdef"}});
    const auto storage = [&](const std::string& bytes) {
      const auto count = static_cast<std::int64_t>(bytes.size());
      return pytorch_file(pt::dict({pt::text("x"), pt::tensor("0", count, 0, {count}, {1}, "ByteStorage")}),
                          {{"0", bytes}});
    };
    const new_weights zeros({{"x", {archive.size()}, std::vector<float>(archive.size())}});
    const stet::store none = zeros.open();
    CHECK(replaced_file("m.pt", storage(archive), none).bytes == storage(std::string(archive.size(), '\0')));
  }

#if STET_FILES
  TEST_CASE("a live store over a file of PyTorch finds the new weights, and its readers keep the old ones") {
    const temp_folder folder;
    const std::string path = folder.write("m.pt", example_pytorch_file());
    auto live = stet::live_store::open(path, [](std::string_view at) -> stet::result<stet::store> {
      stet::result<stet::model> opened = stet::compiled::open_any(at);
      if (!opened) return opened.error();
      return std::move(opened->store);
    });
    REQUIRE(live);
    const auto before = live->current();
    const auto first_of = [](const stet::store& of) {
      std::vector<float> values(6);
      REQUIRE(of.find("w")->copy_to(std::span(values)));
      return values.front();
    };
    CHECK(first_of(*before) == 0);
    CHECK_FALSE(*live->poll());
    const new_weights weights({{"w", {2, 3}, {10, 11, 12, 13, 14, 15}}});
    const stet::store from = weights.open();
    REQUIRE(stet::compiled::replace_weights(path, from, stet::patch_rules(), path, {}));
    CHECK(first_of(*live->current()) == 0); // until it is asked to look
    const auto polled = live->poll();
    REQUIRE(polled);
    CHECK(*polled);
    CHECK(first_of(*live->current()) == 10);
    CHECK(first_of(*before) == 0);
    // A replacement that fails leaves the file, and so the store.
    const new_weights wrong({{"w", {3}, {1, 2, 3}}});
    const stet::store unfit = wrong.open();
    CHECK(outcome(stet::compiled::replace_weights(path, unfit, stet::patch_rules(), path, {})) == "binding_failed");
    CHECK_FALSE(*live->poll());
    CHECK(first_of(*live->current()) == 10);
  }
#endif

  TEST_CASE("formats with checksums of tensors in their tables, and models of several files, are errors by name") {
    const temp_folder folder;
    const new_weights weights({{"a", {1}, {1}}});
    const stet::store from = weights.open();
    stet::writer out;
    const std::vector<float> one{1};
    out.add("a", one);
    REQUIRE(out.save(folder.path("m.stet")));
    const auto native =
        stet::compiled::replace_weights(folder.path("m.stet"), from, stet::patch_rules(), folder.path("out"), {});
    CHECK(outcome(native) == "unsupported");
    CHECK(native.error().subject() == "stet");
    gguf_file first;
    first.split(0, 2, 2).tensor("a", {1}, 0, "1234");
    gguf_file second;
    second.split(1, 2, 2).tensor("b", {1}, 0, "1234");
    (void)folder.write("m-00002-of-00002.gguf", second.bytes());
    const auto split = stet::compiled::replace_weights(folder.write("m-00001-of-00002.gguf", first.bytes()), from,
                                                       stet::patch_rules(), folder.path("out"), {});
    CHECK(outcome(split) == "unsupported");
    CHECK(split.error().subject() == "a model of several files");
    CHECK(outcome(stet::compiled::replace_weights(folder.path("none"), from, stet::patch_rules(), "out", {})) ==
          "file_not_found");
  }

  TEST_CASE("windows: a tensor of many elements is the same as one of few") {
    std::vector<float> numbers(10007);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 251) - 125;
    const new_weights weights({{"q", {10007}, numbers}});
    const stet::store from = weights.open();
    tflite_tensor tensor{"q", {10007}, tflite_i8};
    tensor.quantization = tflite_affine({1}, {0});
    const std::string model = quantized_model(tensor, std::string(10007, '\x7E'));
    const replaced_file made("m.tflite", model, from);
    REQUIRE(made.outcome == "ok");
    const std::size_t at = model.find(std::string(10007, '\x7E'));
    bool is_same = true;
    for (std::size_t i = 0; i < numbers.size(); ++i)
      is_same = is_same && static_cast<float>(static_cast<signed char>(made.bytes[at + i])) == numbers[i];
    CHECK(is_same);
  }
}
