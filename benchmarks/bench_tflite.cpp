// SPDX-License-Identifier: MIT
// TFLite models of many constants: opening with the full check, per constant, beside the Verifier of FlatBuffers and a walk over the
// same tables. The Verifier checks operators and quantization, too, which stet reads when a program asks for them; it does not compare
// sizes with shapes, and finds nothing by name, but where the contender's name says so.
#include "support/bare_file.hpp"
#include "support/model.hpp"
#include "support/tflite_files.hpp" // of the tests

#include <stet/formats/tflite.hpp>

#if STET_PEER_FLATBUFFERS
#include <peer_tflite.hpp>
#endif

#include <memory>
#include <optional>
#include <unordered_map>

namespace {

/// Layers of a kernel of int8 with a scale, a bias, and an activation that has no bytes: two constants each.
void write_tflite_model(const std::string& path, std::size_t constant_count) {
  using namespace stet_test;
  const std::string values(16, '\1');
  std::vector<std::string> names;
  for (std::size_t number = 0; number < constant_count / 2; ++number) {
    const std::string layer = "model/layer_" + std::to_string(number);
    for (const char* const leaf : {"/MatMul", "/BiasAdd", "/Relu"}) names.push_back(layer + leaf);
  }
  tflite_model_file model;
  tflite_subgraph graph;
  for (std::uint32_t number = 0; number < constant_count / 2; ++number) {
    tflite_tensor kernel{names[3 * number], {4, 4}, tflite_i8, 2 * number + 1};
    kernel.quantization = tflite_affine({0.5F}, {0});
    graph.tensors.push_back(std::move(kernel));
    graph.tensors.push_back({names[3 * number + 1], {4}, tflite_i32, 2 * number + 2});
    graph.tensors.push_back({names[3 * number + 2], {1, 4}, tflite_i8});
    const auto first = static_cast<std::int32_t>(3 * number);
    graph.operators.push_back(flat_table({flat_number(std::uint32_t{0}),
                                          flat_numbers<std::int32_t>({first == 0 ? 2 : first - 1, first, first + 1}),
                                          flat_numbers<std::int32_t>({first + 2}), flat_number(std::uint8_t{8}),
                                          flat_table({flat_number(std::int8_t{1})})}));
    model.buffers.push_back(values);
    model.buffers.push_back(values);
  }
  model.subgraphs = {std::move(graph)};
  model.operator_codes = {flat_table({flat_number(std::int8_t{9}), {}, flat_number(std::int32_t{1})})};
  const std::string file = model.bytes();
  bench::write_plainly(path, std::as_bytes(std::span(file)));
}

void open_tflite(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::string path = folder / "model.tflite";
  write_tflite_model(path, count);
  const auto opened = stet::open_tflite(path);
  bench::require(bool(opened) && opened->find("model/layer_7/BiasAdd"), "open");

  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::store> store;
    return bench::seconds_of([&] { store.emplace(stet::open_tflite(path).value()); });
  });
#if STET_PEER_FLATBUFFERS
  const auto with_peer = [&](bool finds_names) {
    std::unique_ptr<bench::bare_mapping> mapping;
    std::vector<peer::constant> found;
    std::unordered_map<std::string_view, std::size_t> numbers;
    const double seconds = bench::seconds_of([&] {
      mapping = std::make_unique<bench::bare_mapping>(path.c_str());
      found = peer::constants_of(reinterpret_cast<const std::uint8_t*>(mapping->data()), mapping->size_bytes());
      if (!finds_names) return;
      numbers.reserve(found.size());
      for (std::size_t number = 0; number < found.size(); ++number) numbers.emplace(found[number].name, number);
    });
    bench::require(found.size() == count && found.back().size_bytes == 16, "the peer's walk");
    return seconds;
  };
  contest.add("flatbuffers", [&] { return with_peer(false); });
  contest.add("flatbuffers_with_names", [&] { return with_peer(true); });
  contest.expect_ratio_at_most("stet", "flatbuffers", 1);
#endif
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(open_tflite)->Arg(100)->Arg(1000)->Arg(10000)->UseManualTime()->Unit(benchmark::kMicrosecond);

} // namespace
