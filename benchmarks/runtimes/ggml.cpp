// SPDX-License-Identifier: MIT
// ggml loads and runs the network of layers.hpp on the processor: ggml prepare|small|adapter|own dense FOLDER
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <gguf.h>

#include <stet/ext/ggml.hpp>
#include <stet/formats/gguf/save.hpp>

#include "layers.hpp"

int main(int argument_count, char** arguments) {
  if (argument_count != 4) return 2;
  const std::string mode = arguments[1], folder = arguments[3];
  const std::string large = folder + "/large.stet", small = folder + "/small.stet", own = folder + "/dense.gguf";
  if (mode == "prepare") {
    const auto kernels = layers::save_both(large, small);
    stet::writer out;
    for (std::size_t i = 0; i < layers::count; ++i)
      out.add(layers::name_of(i), kernels[i], {layers::width, layers::width});
    layers::require(static_cast<bool>(stet::save_gguf(own, out)), "save " + own);
    return 0;
  }
  const std::size_t width = mode == "small" ? layers::small_width : layers::width;
  const std::vector<float> ones(width, 1.0f);
  layers::measured since;
  std::shared_ptr<const stet::store> store;
  ggml_backend_buffer_t buffer = nullptr;
  gguf_context* file = nullptr;
  ggml_context* weights = nullptr;
  std::vector<ggml_tensor*> kernels;
  if (mode == "own") {
    file = gguf_init_from_file(own.c_str(), {false, &weights});
    layers::require(file != nullptr, "open " + own);
    for (std::size_t i = 0; i < layers::count; ++i)
      kernels.push_back(ggml_get_tensor(weights, layers::name_of(i).c_str()));
  } else {
    store = layers::open(mode == "small" ? small : large);
    const auto made = stet::make_ggml_buffer(store->data());
    layers::require(static_cast<bool>(made), "a buffer");
    buffer = *made;
    weights = ggml_init({layers::count * ggml_tensor_overhead(), nullptr, true});
    for (std::size_t i = 0; i < layers::count; ++i) {
      const auto kernel = stet::make_ggml_tensor(weights, buffer, *store, layers::name_of(i));
      layers::require(static_cast<bool>(kernel), "a kernel");
      kernels.push_back(*kernel);
    }
  }
  ggml_context* const net = ggml_init({64 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true});
  ggml_tensor* const input = ggml_new_tensor_1d(net, GGML_TYPE_F32, static_cast<std::int64_t>(width));
  ggml_tensor* last = input;
  for (ggml_tensor* const each : kernels) last = ggml_relu(net, ggml_mul_mat(net, each, last));
  ggml_cgraph* const graph = ggml_new_graph(net);
  ggml_build_forward_expand(graph, last);
  const ggml_backend_t backend = ggml_backend_cpu_init();
  ggml_backend_cpu_set_n_threads(backend, 1); // its threads wait for each other without sleeping
  const ggml_backend_buffer_t computed = ggml_backend_alloc_ctx_tensors(net, backend);
  since.note_loaded();
  ggml_backend_tensor_set(input, ones.data(), 0, ones.size() * sizeof(float));
  layers::require(ggml_backend_graph_compute(backend, graph) == GGML_STATUS_SUCCESS, "compute");
  std::vector<float> answer(width);
  ggml_backend_tensor_get(last, answer.data(), 0, answer.size() * sizeof(float));
  since.print(answer);
  ggml_backend_buffer_free(computed);
  ggml_backend_free(backend);
  ggml_free(net);
  ggml_free(weights);
  if (buffer != nullptr) ggml_backend_buffer_free(buffer);
  if (file != nullptr) gguf_free(file);
  return 0;
}
