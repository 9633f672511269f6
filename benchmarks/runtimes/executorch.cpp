// SPDX-License-Identifier: MIT
// ExecuTorch loads and runs the network of layers.hpp: executorch prepare|small|adapter|own|own_mapped dense FOLDER
#include <memory>

#include <executorch/extension/data_loader/file_data_loader.h>
#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/flat_tensor/flat_tensor_data_map.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/runtime.h>

#include <stet/ext/executorch.hpp>

#include "../../examples/runtimes/executorch_memory.hpp"
#include "../../tests/support/pte_files.hpp"
#include "../../tests/support/ptd_files.hpp"
#include "layers.hpp"

namespace {

namespace et = executorch::runtime;
using executorch::extension::FileDataLoader;
using executorch::extension::FlatTensorDataMap;
using executorch::extension::MmapDataLoader;

/// The program without weights. Two pieces of memory in turn are enough for what is between the layers.
std::string program(std::size_t of_width) {
  const auto width = static_cast<std::int32_t>(of_width);
  stet_test::pte_program made;
  const std::int32_t product = made.add_planned({1, width}), positive = made.add_planned({1, width});
  std::int32_t last = made.add_input({1, width});
  for (std::size_t i = 0; i < layers::count; ++i) {
    made.call("aten::mm", {last, made.add_external(layers::name_of(i), {width, width})}, product);
    made.call("aten::relu", {product}, positive);
    last = positive;
  }
  return made.bytes(last);
}

/// The same weights as ExecuTorch's own file.
std::string ptd(const std::vector<std::vector<float>>& kernels) {
  stet_test::ptd_model_file made;
  made.version = 0;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < layers::count; ++i) names.push_back(layers::name_of(i));
  for (std::size_t i = 0; i < layers::count; ++i) {
    constexpr std::int8_t float32 = 6;
    const auto width = static_cast<std::int32_t>(layers::width);
    made.rows.push_back({names[i], static_cast<std::uint32_t>(i), float32, {width, width}, {0, 1}});
    made.segments.emplace_back(reinterpret_cast<const char*>(kernels[i].data()), kernels[i].size() * sizeof(float));
  }
  return made.bytes();
}

/// Runs the program and prints what it took.
void run(const std::string& path, std::size_t of_width, const et::NamedDataMap& weights, layers::measured& since) {
  auto loader = MmapDataLoader::from(path.c_str(), MmapDataLoader::MlockConfig::NoMlock);
  layers::require(loader.ok(), path);
  const auto loaded = et::Program::load(&*loader);
  layers::require(loaded.ok(), path);
  const auto meta = loaded->method_meta("forward");
  layers::require(meta.ok(), "a method");
  runtimes::executorch_memory memory(*meta);
  auto method = loaded->load_method("forward", memory.manager(), nullptr, &weights);
  layers::require(method.ok(), "load the method");
  since.note_loaded();
  std::vector<float> input(of_width, 1.0f);
  std::int32_t extents[] = {1, static_cast<std::int32_t>(of_width)};
  std::uint8_t order[] = {0, 1};
  executorch::aten::TensorImpl tensor(executorch::aten::ScalarType::Float, 2, extents, input.data(), order);
  layers::require(method->set_input(et::EValue(executorch::aten::Tensor(&tensor)), 0) == et::Error::Ok,
                  "set the input");
  layers::require(method->execute() == et::Error::Ok, "run");
  const auto answer = method->get_output(0).toTensor();
  since.print({answer.const_data_ptr<float>(), static_cast<std::size_t>(answer.numel())});
}

/// By ExecuTorch's own map of its own file.
template <class Loader> void run_own(et::Result<Loader>&& loader, const std::string& path, layers::measured& since) {
  layers::require(loader.ok(), "open the weights");
  const auto weights = FlatTensorDataMap::load(&*loader);
  layers::require(weights.ok(), "load the weights");
  run(path, layers::width, *weights, since);
}

} // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 4 || arguments[2] != std::string_view("dense")) return 2;
  const std::string mode = arguments[1], folder = arguments[3];
  const std::string large = folder + "/large", small = folder + "/small", own = folder + "/own.ptd";
  if (mode == "prepare") {
    layers::write(large + ".pte", program(layers::width));
    layers::write(small + ".pte", program(layers::small_width));
    layers::write(own, ptd(layers::save_both(large + ".stet", small + ".stet")));
    return 0;
  }
  et::runtime_init();
  layers::measured since;
  if (mode == "own") {
    run_own(FileDataLoader::from(own.c_str()), large + ".pte", since);
  } else if (mode == "own_mapped") {
    run_own(MmapDataLoader::from(own.c_str(), MmapDataLoader::MlockConfig::NoMlock), large + ".pte", since);
  } else {
    const std::string& name = mode == "small" ? small : large;
    const auto weights = stet::executorch_data_map::make(layers::open(name + ".stet"));
    layers::require(static_cast<bool>(weights), "a map");
    run(name + ".pte", mode == "small" ? layers::small_width : layers::width, *weights, since);
  }
  return 0;
}
