// SPDX-License-Identifier: MIT
// LibTorch loads and runs the network of layers.hpp on the processor: torch prepare|small|adapter|own dense FOLDER
#include <torch/script.h>

#include <stet/ext/torch.hpp>

#include "layers.hpp"

namespace {

torch::Tensor kernel_of(const std::shared_ptr<const stet::store>& from, std::size_t layer) {
  const auto made = stet::torch_tensor(from, layers::name_of(layer));
  layers::require(static_cast<bool>(made), "a kernel");
  return *made;
}

/// The network as TorchScript, with its own loader's file format.
torch::jit::Module make_module(const std::shared_ptr<const stet::store>& from) {
  torch::jit::Module made("dense");
  std::string forward = "def forward(self, x):\n";
  for (std::size_t i = 0; i < layers::count; ++i) {
    const std::string name = "kernel_" + std::to_string(i);
    made.register_parameter(name, kernel_of(from, i), false);
    forward += "  x = torch.relu(torch.matmul(x, self." + name + "))\n";
  }
  made.define(forward + "  return x\n");
  return made;
}

} // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 4) return 2;
  const std::string mode = arguments[1], folder = arguments[3];
  const std::string large = folder + "/large.stet", small = folder + "/small.stet", own = folder + "/dense.pt";
  const torch::NoGradGuard inference;
  if (mode == "prepare") {
    layers::save_both(large, small);
    make_module(layers::open(large)).save(own);
    return 0;
  }
  const std::size_t width = mode == "small" ? layers::small_width : layers::width;
  layers::measured since;
  torch::Tensor last = torch::ones({1, static_cast<std::int64_t>(width)});
  torch::jit::Module module;
  std::vector<torch::Tensor> kernels;
  if (mode == "own") {
    module = torch::jit::load(own);
    since.note_loaded();
    last = module.forward({last}).toTensor();
  } else {
    const auto store = layers::open(mode == "small" ? small : large);
    for (std::size_t i = 0; i < layers::count; ++i) kernels.push_back(kernel_of(store, i));
    since.note_loaded();
    for (const torch::Tensor& each : kernels) last = torch::relu(torch::matmul(last, each));
  }
  since.print({last.data_ptr<float>(), static_cast<std::size_t>(last.numel())});
  return 0;
}
