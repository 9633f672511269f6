// SPDX-License-Identifier: MIT
// An ONNX model of many initializers, in the file and beside it: opening with the full check, and listing. measure_onnx.py runs
// onnx.load on the same.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <stet/formats/onnx.hpp>
#include <stet/wire/protobuf_writer.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t initializer_count = 1000, total_bytes = std::size_t{256} << 20;

/// Writes the model, whose values are in `data` or, if that is empty, in the model itself.
/// @return the offsets of the initializers
std::vector<std::size_t> write_onnx_model(const std::string& path, const std::string& data) {
  constexpr std::size_t size_bytes = total_bytes / initializer_count / 4 * 4;
  const std::string values(size_bytes, '\1');
  std::FILE* const beside = data.empty() ? nullptr : std::fopen(data.c_str(), "wb");
  std::string graph;
  std::vector<std::size_t> offsets;
  for (std::size_t number = 0; number < initializer_count; ++number) {
    stet::detail::protobuf_writer tensor;
    tensor.varint(1, size_bytes / 4).varint(2, 1).bytes(8, bench::name_of_tensor(number));
    if (beside == nullptr) {
      tensor.bytes(9, values);
    } else {
      const auto entry = [&](std::string_view key, const std::string& value) {
        tensor.message(13, [&](stet::detail::protobuf_writer& out) { out.bytes(1, key).bytes(2, value); });
      };
      entry("location", "data.bin");
      entry("offset", std::to_string(number * size_bytes));
      entry("length", std::to_string(size_bytes));
      tensor.varint(14, 1);
      bench::require(std::fwrite(values.data(), 1, values.size(), beside) == values.size(), "write");
    }
    stet::detail::protobuf_writer field;
    offsets.push_back(graph.size());
    graph += field.bytes(5, tensor.view()).view();
  }
  if (beside != nullptr) std::fclose(beside);
  stet::detail::protobuf_writer model;
  model.varint(1, 8).bytes(7, graph).message(8, [](stet::detail::protobuf_writer& out) { out.varint(2, 21); });
  std::FILE* const out = std::fopen(path.c_str(), "wb");
  bench::require(out != nullptr && std::fwrite(model.view().data(), 1, model.view().size(), out) == model.view().size(),
                 "write");
  std::fclose(out);
  return offsets;
}

/// Opens the model and lists its tensors.
void list_onnx(benchmark::State& state) {
  const bool is_beside = state.range(0) != 0;
  const bench::folder folder;
  const std::string path = folder / "model.onnx";
  const std::vector<std::size_t> offsets = write_onnx_model(path, is_beside ? folder / "data.bin" : std::string());
  bench::contest contest(true);
  contest.add("stet", [&] {
    return bench::seconds_of([&] {
      const auto opened = stet::open_onnx(path);
      bench::require(opened && opened->store.tensor_count() == initializer_count, "open");
      std::uint64_t elements = 0;
      for (const stet::tensor each : opened->store) elements += each.element_count() + each.name().size();
      benchmark::DoNotOptimize(elements);
    });
  });
  contest.add("floor", [&] {
    return bench::seconds_of([&] {
      const bench::bare_mapping file(path.c_str());
      unsigned sum = 0;
      for (const std::size_t offset : offsets) sum += std::to_integer<unsigned>(file.data()[offset]);
      benchmark::DoNotOptimize(sum);
    });
  });
  contest.run(state, 1);
}
BENCHMARK(list_onnx)->ArgName("beside")->Arg(0)->Arg(1)->UseManualTime()->Unit(benchmark::kMicrosecond);

} // namespace
