// SPDX-License-Identifier: MIT
// The digits network run by XNNPACK, its weights in the mapped file: serve_xnnpack MODEL.stet DATA.stet
#include <xnnpack.h>

#include <stet/ext/xnnpack.hpp>

#include "serve.hpp"

#include <limits>

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// A tensor of float32 that is not in a file. @return its number
std::uint32_t define(xnn_subgraph_t graph, std::size_t rows, std::size_t columns,
                     std::uint32_t external = XNN_INVALID_VALUE_ID, std::uint32_t flags = 0) {
  const std::size_t extents[] = {rows, columns};
  std::uint32_t id = XNN_INVALID_VALUE_ID;
  (void)xnn_define_tensor_value(graph, xnn_datatype_fp32, 2, extents, nullptr, external, flags, &id);
  return id; // which the nodes refuse if it could not be defined
}

/// A dense layer with the weights of `store`, whose kernel is [in, out], as Keras has it.
stet::result<void> add_dense(xnn_subgraph_t graph, const stet::store& store, const char* kernel, const char* bias,
                             std::uint32_t input, std::uint32_t output, float least) {
  const auto weights = stet::define_xnnpack_value(graph, store, kernel);
  if (!weights) return weights.error();
  const auto added = stet::define_xnnpack_value(graph, store, bias);
  if (!added) return added.error();
  if (xnn_define_fully_connected(graph, least, infinity, input, *weights, *added, output, XNN_FLAG_TRANSPOSE_WEIGHTS) !=
      xnn_status_success)
    return stet::error(stet::errc::unsupported, kernel);
  return {};
}

} // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  auto task = runtimes::open_task(arguments[1], arguments[2]);
  if (!task) return runtimes::fail(task.error());
  const stet::store& store = task->model.store; // it outlives subgraph and runtime, which use its bytes
  const std::size_t images = task->image_count();

  xnn_subgraph_t graph = nullptr;
  if (xnn_initialize(nullptr) != xnn_status_success || xnn_create_subgraph(2, 0, &graph) != xnn_status_success)
    return runtimes::fail("XNNPACK does not work on this machine");
  const std::uint32_t input = define(graph, images, digits::pixel_count, 0, XNN_VALUE_FLAG_EXTERNAL_INPUT),
                      output = define(graph, images, digits::class_count, 1, XNN_VALUE_FLAG_EXTERNAL_OUTPUT),
                      hidden = define(graph, images, digits::hidden_count),
                      scores = define(graph, images, digits::class_count);
  if (auto added = add_dense(graph, store, "dense/kernel", "dense/bias", input, hidden, 0); !added)
    return runtimes::fail(added.error());
  if (auto added = add_dense(graph, store, "dense_1/kernel", "dense_1/bias", hidden, scores, -infinity); !added)
    return runtimes::fail(added.error());

  // XNNPACK reads beyond arrays of the program, too.
  std::vector<float> pixels = task->pixels, answers(images * digits::class_count + XNN_EXTRA_BYTES / sizeof(float));
  pixels.resize(pixels.size() + XNN_EXTRA_BYTES / sizeof(float));
  const xnn_external_value ends[] = {{input, pixels.data()}, {output, answers.data()}};
  xnn_runtime_t runtime = nullptr;
  if (xnn_define_softmax(graph, scores, output, 0) != xnn_status_success ||
      xnn_create_runtime(graph, &runtime) != xnn_status_success ||
      xnn_setup_runtime(runtime, 2, ends) != xnn_status_success || xnn_invoke_runtime(runtime) != xnn_status_success)
    return runtimes::fail("XNNPACK refuses the network");
  const int status = runtimes::compare(*task, "XNNPACK", answers);
  xnn_delete_runtime(runtime);
  xnn_delete_subgraph(graph);
  xnn_deinitialize();
  return status;
}
