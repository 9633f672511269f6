// SPDX-License-Identifier: MIT
// Putting new weights into a copy of a model's file, 256 MiB, not durable: opening the model and the weights included. Beside plain
// writing of as many bytes.
#include "support/bare_file.hpp"
#include "support/model.hpp"
#include "support/tflite_files.hpp" // of the tests

#include <stet/formats/compiled.hpp>
#include <stet/formats/replace_options.hpp>
#include <stet/restore.hpp>
#include <stet/writer.hpp>

#include <cstring>

namespace {

constexpr std::size_t tensor_count = 64, tensor_size_bytes = std::size_t{4} << 20;

/// A model of zeros, with the names of `weights`.
std::string write_safetensors(const bench::folder& folder, const bench::model& weights) {
  const std::string path = folder / "model.safetensors";
  const std::vector<float> zeros(tensor_size_bytes / sizeof(float));
  stet::writer out;
  for (const std::string& each : weights.names()) out.add(each, std::span(zeros));
  stet::save_any_options options;
  options.is_durable = false;
  bench::require(bool(stet::compiled::save_any(path, out, options)), "save");
  return path;
}
std::string write_tflite(const bench::folder& folder, const bench::model& weights) {
  using namespace stet_test;
  tflite_model_file model;
  tflite_subgraph graph;
  for (std::uint32_t number = 0; number < tensor_count; ++number) {
    const auto extent = static_cast<std::int32_t>(tensor_size_bytes / sizeof(float));
    graph.tensors.push_back({weights.names()[number], {extent}, tflite_f32, number + 1});
    model.buffers.emplace_back(tensor_size_bytes, '\0');
  }
  model.subgraphs = {std::move(graph)};
  const std::string path = folder / "model.tflite", file = model.bytes();
  bench::write_plainly(path, std::as_bytes(std::span(file)));
  return path;
}

template <class Write> void patch(benchmark::State& state, Write write) {
  const bench::folder folder;
  const bench::model weights(tensor_count, tensor_size_bytes);
  const std::string model = write(folder, weights), from = folder / "weights.stet", out = folder / "patched",
                    plain = folder / "plain";
  weights.save(from, false);
  stet::restore_rules rules = stet::patch_rules();
  stet::replace_options options;
  options.is_durable = false;
  const auto patched = [&] {
    const auto opened = stet::compiled::open_any(model);
    const auto store = stet::open(from.c_str());
    bench::require(opened && store, "open");
    const auto done = stet::compiled::replace_weights(*opened, *store, rules, out, options);
    bench::require(done && done->tensor_count == tensor_count, "replace");
  };
  patched();
  const auto made = stet::compiled::open_any(out);
  for (std::size_t number = 0; number < tensor_count; ++number) {
    const auto found = made->store.find(weights.names()[number]);
    bench::require(found && std::memcmp(found->bytes().data(), weights.values(number).data(), tensor_size_bytes) == 0,
                   "the new values");
  }

  const auto removing = [](const std::string& file, double seconds) {
    std::filesystem::remove(file);
    return seconds;
  };
  bench::contest contest(true);
  contest.add("stet", [&] { return removing(out, bench::seconds_of(patched)); });
  contest.add("write", [&] {
    return removing(plain, bench::seconds_of([&] { bench::write_plainly(plain, std::as_bytes(weights.values())); }));
  });
  contest.expect_ratio_at_least("write", "stet", 0.85);
  contest.run(state, 1);
}
BENCHMARK_CAPTURE(patch, safetensors, write_safetensors)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(patch, tflite, write_tflite)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
